"""The whole refinement loop against the official inference, from a checkpoint file in the official format.

Bound: ten times the floor of float32, which is 3e-5 at step 5 (the reference rerun in float64).
"""

import jax.numpy as jnp
import numpy as np
import pytest

import restyle_jax as rs
from tests import networks, official, recipe


@pytest.mark.parametrize(
    "name", ["psp_256_n5", "e4e_256_n5", "psp_1024_n2", "psp_cars_512_n2", "psp_church_256_n3", "psp_fpn_256_n2"]
)
def test_parity_with_official_inference(name: str, tmp_path):
    manifest = networks.manifest(f"restyle_loop/{name}")
    arguments, shapes = manifest["args"], manifest["outputs"]
    steps, batch, styles, _ = shapes["latents"]
    average = recipe.latent(f"restyle_{name}/latent_avg", (styles, 512), 0.5)
    stored = {"state_dict": recipe.build(manifest), "opts": {**arguments, "input_nc": 6}, "latent_avg": average}
    model = rs.load(official.write(tmp_path / f"{name}.pt", stored))

    cars = "cars" in arguments["dataset_type"]
    x = recipe.image(f"restyle_{name}/x", batch, 3, 192 if cars else 256, 256)
    inversion = rs.invert(model, networks.nhwc(x), steps=steps, resize_outputs=arguments["resize_outputs"])
    found = {"avg_image": networks.nchw(model.average.y[0]), "latents": inversion.latents}
    for step in range(steps):
        found[f"img_step{step}"] = networks.nchw(inversion.images[step])
        if f"img_step{step}_pooled" in manifest["subsampled"]:
            square = inversion.images[step]
            side = square.shape[2] // 256
            pooled = square.reshape(batch, square.shape[1] // side, side, 256, side, 3).mean((2, 4))
            found[f"img_step{step}_pooled"] = networks.nchw(pooled)
    if "img_last_full" in shapes:
        found["img_last_full"] = networks.nchw(inversion.images[-1][0])
    networks.assert_parity(
        {key: np.asarray(jnp.asarray(value)) for key, value in found.items()}, f"restyle_loop/{name}", 3e-4
    )
