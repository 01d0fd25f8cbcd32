"""Reports on files, from shapes alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import restyle_jax as rs
from restyle_jax.checkpoints import describe
from restyle_jax.checkpoints.report import report_on
from tests import official, tiny


def report(path: Path) -> dict[str, Any]:
    found = rs.inspect(path)
    assert json.loads(json.dumps(found)) == found
    assert str(path) in describe(found)
    return found


@pytest.mark.parametrize("encoder_type", official.ENCODERS)
def test_encoders(encoder_type: str, tmp_path: Path):
    tree = {**official.checkpoint(encoder_type), "global_step": 1234, "optimizer": {"state": {}}}
    found = report(official.write(tmp_path / "a.pt", tree))
    encoder = found["networks"]["encoder"]
    assert (found["kind"], found["format"]) == ("ReStyle, pSp or e4e checkpoint", "torch-zip")
    assert (found["resolution"], found["num_styles"], found["step"]) == (32, 8, 1234)
    assert (encoder["encoder_type"], encoder["in_channels"]) == (encoder_type, tree["opts"]["input_nc"])
    assert encoder["dtypes"] == ["float32"]
    assert (found["missing"], found["unexpected"], found["ignored"]) == ([], [], ["optimizer"])
    assert found["latent_avg"] == [8, 128] and found["opts"] == tree["opts"]
    assert "training step: 1234" in describe(found)


@pytest.mark.parametrize(
    ("encoder_type", "parameters"),
    [
        ("BackboneEncoder", 205_585_792),
        ("ResNetBackboneEncoder", 176_524_352),
        ("GradualStyleEncoder", 267_136_704),
        ("ResNetGradualStyleEncoder", 199_794_752),
    ],
)
def test_parameters_of_the_official_sizes(encoder_type: str, parameters: int, tmp_path: Path):
    heads = official.networks.manifest(official.ENCODERS[encoder_type])["args"]["n_styles"]
    entries = [
        *official.entries(official.ENCODERS[encoder_type], "encoder."),
        *official.entries("sg2_generator/g1024", "decoder."),
    ]
    states = {key: np.broadcast_to(np.float32(0), shape) for key, shape, *_ in entries}
    networks = report_on({"state_dict": states}, "torch-zip", "a.pt")["networks"]
    assert networks["encoder"]["parameters"] == parameters and networks["encoder"]["num_styles"] == heads
    assert networks["generator"]["parameters"] == 30_370_060


def test_what_is_missing(tmp_path: Path):
    tree = official.checkpoint("BackboneEncoder")
    states = official.without(tree["state_dict"], "decoder.convs.1.noise.weight", "encoder.styles.0.linear.bias")
    states = {key: array.astype("f2") if array.dtype == "f4" else array for key, array in states.items()}
    states["decoder.extra"] = np.zeros(1, np.float16)
    found = report(official.write(tmp_path / "a.pt", {"state_dict": states}))
    tensors = ["decoder.convs.1.noise.weight", "encoder.styles.0.linear.bias"]
    assert found["missing"] == [*tensors, "latent_avg", "opts.encoder_type", "opts.dataset_type"]
    assert found["unexpected"] == ["decoder.extra"]
    assert found["networks"]["encoder"]["dtypes"] == ["float16"]
    assert "missing: decoder.convs.1.noise.weight" in describe(found)


def test_cars(tmp_path: Path):
    tree = official.checkpoint("BackboneEncoder", opts={"dataset_type": "cars_encode"})
    found = report(official.write(tmp_path / "a.pt", tree))
    assert found["geometry"] == {"height": 192, "width": 256, "top": 32}
    assert "256 x 192 px" in describe(found)


def test_generator_and_discriminator(tmp_path: Path):
    tree = {"g_ema": official.generator(), "d": official.discriminator(), "g_optim": {}}
    found = report(official.write(tmp_path / "a.pt", tree))
    assert (found["kind"], found["resolution"]) == ("StyleGAN2 checkpoint (rosinality)", 32)
    assert found["networks"]["generator"]["channels"] == [128] * 4
    assert found["networks"]["discriminator"]["resolution"] == 32
    assert (found["missing"], found["ignored"], found["geometry"]) == (["latent_avg"], ["g_optim"], None)


def test_nvlabs():
    found = report(official.networks.GOLDEN / "nvlabs_ada" / "snapshot_64.pkl")
    generator, discriminator = found["networks"]["generator"], found["networks"]["discriminator"]
    assert (found["format"], found["kind"]) == ("nvlabs-pickle", "StyleGAN2 network pickle (NVlabs)")
    assert (generator["channels"], generator["w_dim"], generator["conv_clamp"]) == ([64, 64, 64, 32, 16], 64, 256)
    assert (discriminator["stddev_group"], found["latent_avg"], found["missing"]) == (8, [64], [])


def test_our_own():
    found = report(tiny.checkpoint(resolution=32))
    assert (found["kind"], found["resolution"], found["latent_avg"]) == ("restyle_jax directory", 32, [8, 32])
    assert found["networks"]["encoder"]["trunk"] == "resnet18" and found["missing"] == []


def test_numbers_that_json_lacks(tmp_path: Path):
    odd = {"lr": float("nan"), "betas": (float("inf"), -float("inf"), 0.9)}
    tree = official.checkpoint("ResNetBackboneEncoder", resolution=8, narrow=32, opts=odd)
    found = report(official.write(tmp_path / "a.pt", tree))["opts"]
    assert (found["lr"], found["betas"]) == ("nan", ["inf", "-inf", 0.9])
    rs.save(rs.load(tmp_path / "a.pt"), tmp_path / "ours")
    assert "NaN" not in (tmp_path / "ours" / "config.json").read_text()


def test_names_that_no_terminal_takes(tmp_path: Path):
    file = official.write(tmp_path / "a.pt", {**official.generator(resolution=8, narrow=32), "odd\udce9": np.zeros(1)})
    assert "unexpected: odd\\udce9" in describe(rs.inspect(file))


def test_trunk(tmp_path: Path):
    shapes = {f"layer{stage}.{place}.conv1.weight": (8, 8, 3, 3) for stage in range(1, 5) for place in range(2)}
    shapes |= {"conv1.weight": (8, 3, 7, 7), "fc.weight": (1000, 64)}
    states = {key: np.zeros(shape, np.float32) for key, shape in shapes.items()}
    found = report(official.write(tmp_path / "a.pt", states))
    assert found["kind"] == "torchvision ResNet"
    assert found["networks"]["trunk"]["trunk"] == "resnet18" and found["networks"]["trunk"]["in_channels"] == 3
    assert found["num_styles"] is None


def test_something_else(tmp_path: Path):
    with pytest.raises(rs.CheckpointError, match="entries a"):
        rs.inspect(official.write(tmp_path / "a.pt", {"a": 1}))
