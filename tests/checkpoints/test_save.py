"""What is written appears complete or not at all, and never in place of something else."""

import dataclasses
import functools
import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import restyle_jax as rs
from restyle_jax.checkpoints.export import Format
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.checkpoints.obstacles import obstacles
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.nets.encoders import Encoder, EncoderConfig
from restyle_jax.nets.structure import structure
from tests import official, tiny


@pytest.fixture
def model() -> rs.Model:
    return rs.load(tiny.checkpoint(resolution=32))


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Writing more than 100 kB to a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_our_format_keeps_everything(model: rs.Model, tmp_path: Path):
    model = dataclasses.replace(model, metadata={"opts": {"paths": (Path("a"), 1)}, "step": 7})
    rs.save(model, tmp_path / "deep" / "copy")
    copy = rs.load(tmp_path / "deep" / "copy")
    assert copy.geometry == model.geometry and copy.metadata == {"opts": {"paths": ["a", 1]}, "step": 7}
    for network, twin in ((model.generator, copy.generator), (model.encoder, copy.encoder)):
        assert network is not None and twin is not None and network.config == twin.config
        expected, found = flat_arrays(network), flat_arrays(twin)
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)
    np.testing.assert_array_equal(np.asarray(copy.w_avg), np.asarray(model.w_avg))


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_either_file_stands_for_the_directory(name: str):
    assert rs.load(tiny.checkpoint() / name).require_encoder().config.trunk == "resnet18"


def test_networks_that_do_not_fit_each_other(model: rs.Model, tmp_path: Path):
    """They make no model; nor do their files, if somebody edits one."""
    smaller = rs.load(tiny.checkpoint())
    for changes, words in (
        ({"encoder": smaller.encoder}, r"codes of shape \(6, 32\), expected \(8, 32\)"),
        ({"w_avg": smaller.w_avg}, r"w_avg has shape \(6, 32\), expected \(8, 32\)"),
        ({"w_avg": np.zeros(32)}, r"w_avg has shape \(32,\)"),
        ({"geometry": rs.Geometry(24, 24)}, "cannot pool 32 x 32 pixels to 24 x 24"),
        ({"geometry": rs.Geometry(20, 64, 3)}, "does not cut a 32-px picture"),
    ):
        with pytest.raises(ValueError, match=words):
            dataclasses.replace(model, **changes)
    rs.save(model, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["geometry"]["width"] = config["geometry"]["height"] = 24
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"config\.json: found networks that do not fit each other .*24 x 24"):
        rs.load(tmp_path / "model")


def test_a_generator_without_average_is_not_saved(model: rs.Model, tmp_path: Path):
    with pytest.raises(ValueError, match="a generator without w_avg"):
        rs.save(rs.Model(generator=model.generator), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_directories_of_ours_and_empty_ones_are_replaced(model: rs.Model, tmp_path: Path):
    (tmp_path / "copy").mkdir()
    for step in (1, 2):
        rs.save(dataclasses.replace(model, metadata={"step": step}), tmp_path / "copy")
    assert rs.load(tmp_path / "copy").metadata == {"step": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@pytest.mark.parametrize("kind", ["file", "foreign", "ours and more", "link"])
def test_nothing_else_is_overwritten(kind: str, model: rs.Model, tmp_path: Path):
    target = tmp_path / "target"
    match kind:
        case "file":
            target.write_text("mine")
        case "foreign":
            target.mkdir()
            (target / "config.json").write_text("{}")
        case "ours and more":
            rs.save(model, target)
            (target / "notes.txt").write_text("mine")
        case "link":
            target.symlink_to(tmp_path / "elsewhere")
    before = sorted((path, path.lstat().st_mtime_ns) for path in tmp_path.rglob("*"))
    with pytest.raises(rs.CheckpointError, match="target"):
        rs.save(model, target)
    assert sorted((path, path.lstat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_an_empty_directory_is_filled_where_it_is(model: rs.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    inode = tmp_path.stat().st_ino
    rs.save(model, ".")
    assert sorted(os.listdir()) == ["config.json", "weights.safetensors"] and tmp_path.stat().st_ino == inode
    with pytest.raises(rs.CheckpointError, match="a checkpoint in the current folder or a mount point"):
        rs.save(model, ".")
    assert rs.load(tmp_path).require_encoder().config == model.require_encoder().config


def test_an_empty_directory_stays_empty_after_a_failure(
    model: rs.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target.name == "config.json":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(rs.CheckpointError, match="No space left"):
        rs.save(model, tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_was_there_stays_after_a_failure(
    error: BaseException, model: rs.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rs.save(model, tmp_path / "mine")
    before = {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()}
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises((rs.CheckpointError, KeyboardInterrupt)):
        rs.save(model, tmp_path / "mine")
    assert {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()} == before
    assert os.listdir(tmp_path) == ["mine"]


def test_names_as_long_as_they_may_be(model: rs.Model, generator: rs.Model, tmp_path: Path):
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    rs.save(model, tmp_path / ("d" * longest))
    rs.export_torch(generator, tmp_path / ("f" * longest), format="rosinality")
    assert len(os.listdir(tmp_path)) == 2


def test_metadata_that_could_not_be_read(model: rs.Model, tmp_path: Path):
    for levels in (90, 500):
        deep: Any = functools.reduce(lambda inner, _: [inner], range(levels), 1)
        target = tmp_path / str(levels)
        if levels == 90:
            rs.save(dataclasses.replace(model, metadata={"opts": deep}), target)
            assert rs.load(target).metadata == {"opts": deep}
        else:
            with pytest.raises(rs.CheckpointError, match="nested more than 100 deep"):
                rs.save(dataclasses.replace(model, metadata={"opts": deep}), target)


@pytest.mark.usefixtures("full_disk")
def test_no_space_for_our_format(model: rs.Model, tmp_path: Path):
    with pytest.raises(rs.CheckpointError, match="cannot be written"):
        rs.save(model, tmp_path / "copy")
    with pytest.raises(rs.CheckpointError, match="cannot be written"):
        rs.save(model, tmp_path / "new" / "parents" / "copy")
    assert not list(tmp_path.iterdir())


def test_no_space_leaves_the_previous_version(model: rs.Model, tmp_path: Path, request: pytest.FixtureRequest):
    rs.save(model, tmp_path / "copy")
    request.getfixturevalue("full_disk")
    with pytest.raises(rs.CheckpointError, match="cannot be written"):
        rs.save(dataclasses.replace(model, metadata={"step": 2}), tmp_path / "copy")
    assert rs.load(tmp_path / "copy").metadata == model.metadata
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> rs.Model:
    tree = {"g_ema": official.generator(resolution=8, narrow=1), "latent_avg": np.zeros(512, np.float32)}
    return rs.load(official.write(tmp_path_factory.mktemp("official") / "a.pt", tree))


@pytest.mark.usefixtures("full_disk")
def test_no_space_for_an_export(generator: rs.Model, tmp_path: Path):
    with pytest.raises(rs.CheckpointError, match="cannot be written"):
        rs.export_torch(generator, tmp_path / "new" / "parents" / "a.pt", format="rosinality")
    assert not list(tmp_path.iterdir())


def test_existing_files_are_kept_unless_told(generator: rs.Model, tmp_path: Path):
    file = tmp_path / "a.pt"
    file.write_text("mine")
    with pytest.raises(rs.CheckpointError, match="already exists"):
        rs.export_torch(generator, file, format="rosinality")
    assert file.read_text() == "mine"
    rs.export_torch(generator, file, format="rosinality", overwrite=True)
    assert os.listdir(tmp_path) == ["a.pt"] and "g_ema" in torch.load(file, weights_only=True)


def test_one_average_for_all_styles(generator: rs.Model, tmp_path: Path):
    rows = np.arange(4 * 512, dtype=np.float32).reshape(4, 512)
    model = dataclasses.replace(generator, w_avg=rows)
    with pytest.warns(UserWarning, match="w_avg"):
        rs.export_torch(model, tmp_path / "a.pt", format="rosinality")
    read = torch.load(tmp_path / "a.pt", weights_only=True)["latent_avg"]
    np.testing.assert_array_equal(read.numpy(), rows.mean(0))


def test_what_official_code_cannot_build(model: rs.Model, tmp_path: Path):
    with pytest.raises(rs.CheckpointError) as caught:
        rs.export_torch(model, tmp_path / "a.pt")
    for part in (
        "2 mapping layers in place of 8",
        "32 numbers per style in place of 512",
        "channels (16, 16, 16, 16)",
        "8 channels in the first stage of the trunk in place of 64",
        "a backbone head on a resnet18 trunk",
    ):
        assert part in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("format", "named"), [("restyle", "no encoder"), ("rosinality", "channels (64, 64, 64, 32, 16)")]
)
def test_networks_that_do_not_fit(format: Format, named: str, tmp_path: Path):
    model = rs.load(official.networks.GOLDEN / "nvlabs_ada" / "snapshot_64.pkl")
    with pytest.raises(rs.CheckpointError, match="snapshot_64") as caught:
        rs.export_torch(model, tmp_path / "a.pt", format=format)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("head", "channels", "refused"),
    [("fpn_progressive", 6, True), ("fpn_progressive", 3, False), ("progressive", 6, False)],
)
def test_encoder4editing_sees_three_channels(head: Any, channels: int, refused: bool, model: rs.Model):
    sizes = EncoderConfig(head, "irse50", num_styles=8, in_channels=channels, style_dim=32, width=16, head_convs=1)
    reasons = obstacles(dataclasses.replace(model, encoder=structure(Encoder, sizes)), "restyle")
    assert ("6 input channels of Encoder4Editing in place of 3" in reasons) == refused
    assert not any("no official class" in reason for reason in reasons)


@pytest.mark.parametrize(("head", "side", "refused"), [("fpn", 16, True), ("fpn", 32, False), ("backbone", 16, False)])
def test_the_feature_pyramid_of_pSp_takes_seven_styles(head: Any, side: int, refused: bool):
    model = rs.load(tiny.checkpoint(resolution=side))
    styles = model.require_generator()[0].config.num_styles
    sizes = EncoderConfig(head, "irse50", num_styles=styles, in_channels=6, style_dim=32, width=16, head_convs=1)
    reasons = obstacles(dataclasses.replace(model, encoder=structure(Encoder, sizes)), "restyle")
    assert any(reason.startswith("6 styles, of which") for reason in reasons) == refused


def test_unknown_format(generator: rs.Model, tmp_path: Path):
    with pytest.raises(ValueError, match="format is 'onnx'"):
        rs.export_torch(generator, tmp_path / "a.pt", format="onnx")  # pyright: ignore[reportArgumentType]
