"""The Style Transformer at 1024 px against the official one, from a checkpoint file in the official format."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import restyle_jax as rs
from restyle_jax.checkpoints.export import style_transformer_tree
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.nets.style_transformer import StyleTransformer
from tests import networks, official, recipe

NAME, BOUND = "style_transformer/inversion_1024", 5e-5
STRIDES = {"coarse": 8, "medium": 32, "fine": 128}  # of the memories in the golden
NOT_TRAINED = ("mean", "var", "count")


def stages(encoder: StyleTransformer, x: jax.Array) -> dict[str, jax.Array]:
    """The encoder's own stages, in the order of the golden, which has the batch second."""
    found = {"query": encoder.queries()[None]}
    tokens = jnp.broadcast_to(found["query"], (len(x), *encoder.tokens.shape))
    for name, memory in zip(STRIDES, encoder.memories(x), strict=True):
        tokens = getattr(encoder, name)(tokens, memory)
        found[f"mem_{name}"] = memory.swapaxes(0, 1)[:: STRIDES[name]]
        found[f"out_{name}"] = tokens.swapaxes(0, 1)
    return {**found, "encoder_codes": tokens}


def test_parity_with_the_official_inversion(tmp_path: Path):
    source = recipe.build(networks.manifest(NAME))
    average = recipe.latent("stf_1024/latent_avg", (18, 512), 0.5)
    options = {"dataset_type": "ffhq_encode", "output_size": 1024, "input_nc": 3}
    file = official.write(tmp_path / "a.pt", {"state_dict": source, "opts": options, "latent_avg": average})
    with pytest.warns(UserWarning, match="only the mapping network that was trained with its encoder"):
        model = rs.load(file)
    file.unlink()
    assert isinstance(model.encoder, StyleTransformer)
    x = networks.nhwc(recipe.image("stf_1024/x", 2, 3, 256, 256))
    networks.assert_parity(networks.apply(model.encoder, stages, jnp.asarray(x)), NAME, BOUND)

    inversion = rs.invert(model, x[:1])
    image = networks.nchw(inversion.images[0])
    pooled = image.reshape(1, 3, 256, 4, 256, 4).mean((3, 5))
    networks.assert_parity({"codes": inversion.latents[0], "img": image, "img_256": pooled}, NAME, BOUND)

    back = style_transformer_tree(model)
    assert list(back["state_dict"]) == list(source)
    assert all(np.array_equal(back["state_dict"][key], array) for key, array in source.items())
    np.testing.assert_array_equal(back["latent_avg"], average)

    sizes = {path: array.size for path, array in flat_arrays(model.encoder).items() if not path.endswith(NOT_TRAINED)}
    assert sum(size for path, size in sizes.items() if not path.startswith("mapping.")) == 40_620_224
