"""What an edit by reference should keep and take over (Style Transformer: `training/coach_ref_edit.py`)."""

import jax
import jax.numpy as jnp

from restyle_jax.nets.latent_classifier import LatentClassifier


def reference_losses(
    classifier: LatentClassifier, source: jax.Array, edited: jax.Array, reference: jax.Array, attribute: int
) -> dict[str, jax.Array]:
    """Mean squared differences, {name: f32[B]}, of codes f32[B, K, D] and of the classifier's embeddings of their attributes.

    `l2`: of the edited code from the source. `l2_ref`: of its `attribute` (by number) from that of the reference. `l2_src`: of
    all other attributes from those of the source; 0 if there are none.
    """
    found = {name: classifier(codes).embeddings for name, codes in (("s", source), ("e", edited), ("r", reference))}
    taken = jnp.square(found["e"] - found["r"]).mean(-1)
    kept = jnp.square(found["e"] - found["s"]).mean(-1)
    others = jnp.arange(kept.shape[1]) != attribute
    return {
        "l2": jnp.square(edited - source).mean((1, 2)),
        "l2_ref": taken[:, attribute],
        "l2_src": jnp.where(others, kept, 0).sum(1) / max(kept.shape[1] - 1, 1),
    }
