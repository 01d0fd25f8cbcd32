"""The report about a generator of avatars, on a tiny generator that knows nothing."""

import json
from pathlib import Path

import jax.numpy as jnp
import pytest
from flax import nnx
from PIL import Image

import restyle_jax
from experiments.avatars.generator_report import main
from restyle_jax.checkpoints.attributes import save_attributes
from restyle_jax.jobs.train_attributes import avatar_attributes
from restyle_jax.nets.attributes import AttributeNetwork
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig

SIZE = 16


def test_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    sizes = GeneratorConfig.nvlabs_ada(SIZE, 64, 8, z_dim=8, w_dim=8, mapping_layers=1)
    model = restyle_jax.Model(generator=Generator(sizes, rngs=nnx.Rngs(0)), w_avg=jnp.zeros((sizes.num_styles, 8)))
    restyle_jax.save(model, tmp_path / "generator")
    network = AttributeNetwork(avatar_attributes(SIZE, (8, 8), 8), rngs=nnx.Rngs(0))
    save_attributes(network, {}, tmp_path / "attributes")
    report = tmp_path / "report"
    options = ["--attributes", str(tmp_path / "attributes"), "--output", str(report), "--pictures", "100"]
    results = main([str(tmp_path / "generator"), *options])
    assert json.loads((report / "scores.json").read_text()) == results
    scores = results["scores"]
    floor = scores["half of the data"]["fid"]
    assert floor < scores["generator"]["fid"] and floor < scores["untrained generator"]["fid"]
    hats = results["shares"]["hat"]
    assert sum(entry["data"] for entry in hats.values()) == pytest.approx(1, abs=1e-4)
    assert all(entry["factor"] >= 1 for values in results["shares"].values() for entry in values.values())
    for name, columns in (("samples.png", 8), ("neighbours.png", 7)):
        with Image.open(report / name) as sheet:
            assert sheet.width >= columns * SIZE
    assert "half of the data" in capsys.readouterr().out
