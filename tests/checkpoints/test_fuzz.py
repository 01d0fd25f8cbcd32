"""Whatever the bytes of a checkpoint, loading it succeeds or raises CheckpointError."""

import io
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import restyle_jax as rs
from tests import official, tiny

WORDS = (b"float", b"nan", b"-1", b"9999999", b"[]", b"null", b"true", b"{}", b"conv", b"\xff\xff")


@pytest.fixture(scope="module")
def legacy_file() -> bytes:
    """A narrow checkpoint in the form without checksums."""
    tree = official.checkpoint("ResNetBackboneEncoder", resolution=8, narrow=32)
    tensors = {key: torch.from_numpy(array) for key, array in tree["state_dict"].items()}
    buffer = io.BytesIO()
    contents = {**tree, "state_dict": tensors, "latent_avg": torch.from_numpy(tree["latent_avg"])}
    torch.save(contents, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def load(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            rs.load(path)
        except rs.CheckpointError as error:
            assert path.name in str(error)


@settings(max_examples=60, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), word=st.sampled_from(WORDS), value=st.integers(0, 255))
def test_official_file(legacy_file: bytes, target: Path, where: float, word: bytes, value: int):
    data = bytearray(legacy_file)
    # The pickle with names, shapes and options comes first; the numbers behind it are less interesting.
    at = int(where * data.index(b"latent_avg"))
    data[at : at + len(word)] = word if value % 2 else bytes([value])
    (target / "a.pt").write_bytes(data)
    load(target / "a.pt")


@settings(max_examples=60, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), word=st.sampled_from(WORDS), config=st.booleans())
def test_own_directory(target: Path, where: float, word: bytes, config: bool):
    directory = target / "ours"
    directory.mkdir(exist_ok=True)
    files = {name: (tiny.checkpoint() / name).read_bytes() for name in ("config.json", "weights.safetensors")}
    name = "config.json" if config else "weights.safetensors"
    data = bytearray(files[name])
    at = int(where * (len(data) if config else int.from_bytes(data[:8], "little") + 8))
    data[at : at + len(word)] = word
    for file, contents in {**files, name: data}.items():
        (directory / file).write_bytes(contents)
    load(directory)
