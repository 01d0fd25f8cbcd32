"""What an edit by reference should keep and take over (Style Transformer: `training/coach_ref_edit.py`)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from restyle_jax.nets.latent_classifier import LatentClassifier


def reference_losses(
    classifier: LatentClassifier, source: jax.Array, edited: jax.Array, reference: jax.Array, taken: Sequence[int]
) -> dict[str, jax.Array]:
    """Mean squared differences, {name: f32[B]}, of codes f32[B, K, D] and of the classifier's embeddings of their attributes.

    `l2`: of the edited code from the source. `l2_ref`: of its attributes `taken` (by number, at least one) from those of the
    reference. `l2_src`: of all others from those of the source; 0 if there are none.
    """
    found = {name: classifier(codes).embeddings for name, codes in (("s", source), ("e", edited), ("r", reference))}
    new = jnp.square(found["e"] - found["r"]).mean(-1)
    kept = jnp.square(found["e"] - found["s"]).mean(-1)
    others = np.setdiff1d(np.arange(kept.shape[1]), taken)
    return {
        "l2": jnp.square(edited - source).mean((1, 2)),
        "l2_ref": new[:, np.asarray(taken)].mean(1),
        "l2_src": kept[:, others].sum(1) / max(len(others), 1),
    }
