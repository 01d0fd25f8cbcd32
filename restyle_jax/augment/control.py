"""The probability p of the augmentation, adapted to the discriminator (StyleGAN2-ADA, arXiv 2006.06676, section 3.1).

Official `training/training_loop.py`. A discriminator that overfits is sure of the real pictures: the mean sign of its scores
rises, and with it p.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

INTERVAL = 4  # batches from one `adjust` to the next


class Control(NamedTuple):
    """p, f32[], and the scores of real pictures since its last adjustment: the sum of their signs and their number, f32[]."""

    p: jax.Array
    signs: jax.Array
    count: jax.Array

    @classmethod
    def start(cls, p: float = 0.0) -> "Control":
        """The state before training. Raises ValueError for a p that is negative or not finite."""
        if not 0 <= p < float("inf"):
            raise ValueError(
                f"the probability of augmentation starts at {p}, but must be a finite number of at least 0"
            )
        return cls(jnp.float32(p), jnp.zeros(()), jnp.zeros(()))


def observe(control: Control, mean_sign: jax.Array, count: int) -> Control:
    """Take account of the scores of `count` augmented real pictures, of which the mean sign f32[] is given: from every pass over
    them, the regulariser's included."""
    signs = jnp.round(mean_sign * count)  # a whole number again, so that the target can be met exactly
    return control._replace(signs=control.signs + signs, count=control.count + count)


def adjust(control: Control, batch_size: int, target: float = 0.6, kimg: float = 500) -> Control:
    """One step of p towards a mean sign of `target`, to be taken every INTERVAL batches; then the observation starts anew.

    batch_size: global. kimg: thousands of pictures in which p can move by 1 (the official code takes 100 when it resumes
    from a trained network). p has no upper limit; without observations it stays.
    """
    excess = jnp.where(control.count > 0, jnp.sign(control.signs / control.count - target), 0)
    p = control.p + excess * (INTERVAL * batch_size / (kimg * 1000))
    return Control(jnp.maximum(p, 0), jnp.zeros_like(control.signs), jnp.zeros_like(control.count))
