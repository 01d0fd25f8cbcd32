"""StyleGAN generators in the files of idinvert_pytorch and genforce: what is read, written, reported and refused."""

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import restyle_jax as rs
from restyle_jax.checkpoints.export import Format
from restyle_jax.cli import main
from restyle_jax.nets.style_based import channel_widths
from restyle_jax.nets.stylegan import GeneratorConfig
from tests import official, tiny

NAMES: dict[Format, str] = {"idinvert": "narrow_idinvert", "genforce": "narrow_genforce"}


def load(path: Path, tree: Any) -> rs.Model:
    """Write and load, with every warning an error."""
    official.write(path, tree)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return rs.load(path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.pth"


@pytest.mark.parametrize("format", NAMES)
def test_round_trip_to_the_last_bit(format: Format, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Official file -> our format -> official file, by the commands; keys in the official order."""
    tree = official.stylegan(NAMES[format])
    official.write(tmp_path / "a.pth", {**tree, "discriminator": {}} if format == "genforce" else tree)
    assert main(["convert", str(tmp_path / "a.pth"), str(tmp_path / "ours")]) == 0
    extra = [] if format == "idinvert" else ["--format", "genforce"]  # the first is the default of StyleGAN
    assert main(["export", str(tmp_path / "ours"), str(tmp_path / "b.pth"), *extra]) == 0
    read = torch.load(tmp_path / "b.pth", weights_only=True)
    expected, found = (next(iter(t.values())) if format == "genforce" else t for t in (tree, read))
    assert list(found) == list(expected)
    for key, array in expected.items():
        assert found[key].dtype == torch.float32, key
        np.testing.assert_array_equal(found[key].numpy(), array, err_msg=key)
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "a.pth"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["kind"] == f"StyleGAN generator ({'idinvert_pytorch' if format == 'idinvert' else 'genforce'})"
    assert (report["resolution"], report["num_styles"], report["missing"], report["unexpected"]) == (128, 12, [], [])
    assert report["networks"]["generator"]["architecture"] == "stylegan"
    assert report["ignored"] == (["discriminator"] if format == "genforce" else [])


def test_sizes_and_averages(file: Path):
    model = load(file, official.stylegan("narrow_genforce"))
    generator, w_avg = model.require_generator()
    widths = channel_widths(128, 2048, 32)
    fields = {"z_dim": 24, "w_dim": 16, "mapping_layers": 3, "label_dim": 3, "mapping_width": 20}
    assert generator.config == GeneratorConfig(128, widths, **fields, distinct_styles=True)
    average = official.stylegan("narrow_genforce")["generator_smooth"]["truncation.w_avg"]
    np.testing.assert_array_equal(w_avg, average.reshape(12, 16))
    assert rs.sample(model, [0], label=2, truncation_psi=0.5, truncation_cutoff=8).shape == (1, 12, 16)

    model = load(file, official.stylegan("narrow_idinvert"))
    generator, w_avg = model.require_generator()
    assert generator.config.final_tanh and generator.config.distinct_styles
    np.testing.assert_array_equal(w_avg, np.tile(official.stylegan("narrow_idinvert")["truncation.w_avg"], (12, 1)))
    assert rs.generate(model, [0], batch_size=1).shape == (1, 128, 128, 3)


def test_what_a_file_may_lack(file: Path):
    """The official program sets the coefficients of truncation itself; without w_avg there are samples."""
    state = official.without(official.stylegan("narrow_idinvert"), "truncation.truncation")
    load(file, {"state_dict": {f"module.{key}": array for key, array in state.items()}})
    official.write(file, official.without(state, "truncation.w_avg"))
    with pytest.warns(UserWarning, match="estimated from 100000 samples"):
        assert rs.load(file).require_generator()[1].shape == (12, 16)


def test_everything_that_is_wrong_is_named(file: Path):
    state = official.without(official.stylegan("narrow_idinvert"), "synthesis.layer3.epilogue.bias")
    state["synthesis.layer10.weight"] = np.zeros((16, 32, 3, 3), np.float32)
    state["synthesis.layer4.blur.kernel"] = np.ones((32, 1, 3, 3), np.float32)
    state["synthesis.lod"] = np.ones((), np.float32)
    state["stranger"] = np.zeros(2, np.float32)
    with pytest.raises(rs.CheckpointError) as caught:
        rs.load(official.write(file, state))
    for part in (
        "5 tensors",
        "missing     synthesis.layer3.epilogue.bias (32), for generator.synthesis.blocks.1.epilogue1.bias (32)",
        "shape       synthesis.layer10.weight: found (16, 32, 3, 3), expected (3, 3, 32, 16)",
        "value       synthesis.layer4.blur.kernel is not the standard filter",
        "synthesis.lod is not the level of detail at the end of progressive growing; it begins with [1.0], expected [0.0]",
        "unexpected  stranger (2)",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("tree", [{"generator_smooth": {"synthesis.early_layer.const": 1}}, {"generator": {}}])
def test_other_networks_of_genforce_are_refused(tree: dict[str, Any], file: Path):
    with pytest.raises(rs.CheckpointError, match=f"`{next(iter(tree))}` that is no StyleGAN"):
        rs.load(official.write(file, tree))


def test_exports_that_do_not_fit(tmp_path: Path):
    stylegan = load(tmp_path / "a.pth", official.stylegan("narrow_genforce"))
    cases: list[tuple[rs.Model, Format, str]] = [
        (rs.load(tiny.checkpoint(encoder=False)), "genforce", "a StyleGAN2 generator in place of StyleGAN"),
        (stylegan, "rosinality", "a StyleGAN generator in place of StyleGAN2"),
        (stylegan, "restyle", "no encoder"),
        (stylegan, "idinvert", "a mapping network of width 20 in place of 32"),
    ]
    for model, format, reason in cases:
        with pytest.raises(rs.CheckpointError, match=reason):
            rs.export_torch(model, tmp_path / "b.pth", format)


def test_what_a_file_cannot_say(tmp_path: Path):
    model = load(tmp_path / "a.pth", official.stylegan("narrow_idinvert"))
    with pytest.warns(UserWarning, match="needs final_tanh=True"):
        rs.export_torch(model, tmp_path / "b.pth", "genforce")
    model = dataclasses.replace(model, w_avg=np.arange(12 * 16, dtype=np.float32).reshape(12, 16))
    with pytest.warns(UserWarning, match="different w_avg for each style"):
        rs.export_torch(model, tmp_path / "c.pth", "idinvert")


def test_the_architecture_in_our_format(tmp_path: Path):
    """Folders without it are StyleGAN2."""
    rs.save(rs.load(tiny.checkpoint(encoder=False)), tmp_path / "ours")
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert config["generator"].pop("architecture") == "stylegan2"
    for name, named in (("stylegan3", "architecture = 'stylegan3'"), ([], "architecture"), (None, None)):
        changed = config if name is None else {**config, "generator": {**config["generator"], "architecture": name}}
        (tmp_path / "ours" / "config.json").write_text(json.dumps(changed))
        if named is None:
            assert rs.load(tmp_path / "ours").require_generator()[0].config.resolution == 16
        else:
            with pytest.raises(rs.CheckpointError, match=named):
                rs.load(tmp_path / "ours")
