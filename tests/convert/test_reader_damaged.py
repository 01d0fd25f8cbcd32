"""Damaged files and files of another kind: a message that helps, whatever the bytes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from restyle_jax.convert.errors import CheckpointError
from restyle_jax.convert.reader import read
from tests.convert import pickles
from tests.convert.pickles import Global, dump, legacy, storage_id, tensor


def sound_zip(path: Path) -> bytes:
    torch.save({"state_dict": {"weight": torch.ones(4, 4)}}, path)
    return path.read_bytes()


def lfs_pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1234\n")


def torchscript(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.ones(1)), path)


def compressed_zip(path: Path) -> None:
    sound_zip(path)
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in members.items():
            target.writestr(name, data)


def doubled_member(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", dump({}))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("m/data.pkl", dump({}))


def damaged_pickle(path: Path) -> None:
    path.write_bytes(sound_zip(path).replace(b"state_dict", b"state_dice"))


def other_zip(path: Path) -> None:
    np.savez(path.with_suffix(".npz"), x=np.ones(2))
    path.with_suffix(".npz").rename(path)


def other_tar(path: Path) -> None:
    member = path.with_name("notes.txt")
    member.write_text("x")
    subprocess.run(["tar", "-cf", path, "-C", path.parent, member.name], check=True)


def tensorflow_pickle(path: Path) -> None:
    path.write_bytes(dump((Global("dnnlib.tflib.network", "Network")(), None, None)))


def whole_model(path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), path)


def short_safetensors(path: Path) -> None:
    save_file({"x": np.ones(8, np.float32)}, path)
    path.write_bytes(path.read_bytes()[:-4])


def float8_safetensors(path: Path) -> None:
    save_file({"x": np.ones(8, np.float32)}, path)
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"F4" '))


def long_header(path: Path) -> None:
    header = b'{"x":[' + b"[]," * 1_000_000 + b"[]]}"
    path.write_bytes(len(header).to_bytes(8, "little") + header)


def legacy_bytes() -> bytes:
    storage = storage_id("0", 4, "FloatStorage", None)
    return legacy({"x": tensor(storage, (4,), (1,))}, {"0": bytes(16)})


KINDS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "No such file"),
    "directory": (lambda path: path.mkdir(), "a directory"),
    "named pipe": (lambda path: os.mkfifo(path), "not a regular file"),
    "empty": (lambda path: path.touch(), "an empty file"),
    "web page": (lambda path: path.write_text("\n<!DOCTYPE html><html>Virus scan warning"), "web page.*gdown"),
    "git-lfs": (lfs_pointer, "git lfs pull"),
    "text": (lambda path: path.write_text("hello\n"), "unknown kind"),
    "noise": (lambda path: path.write_bytes(bytes(range(255, 0, -1))), "unknown kind"),
    "picture": (lambda path: path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(64)), "JPEG"),
    "gzip": (lambda path: path.write_bytes(b"\x1f\x8b" + bytes(64)), "gzip.*unpack"),
    "tar": (other_tar, "notes.txt.*unpack"),
    "torchscript": (torchscript, "TorchScript.*state_dict"),
    "zip without its end": (lambda path: path.write_bytes(sound_zip(path)[:-200]), "without a sound end"),
    "compressed zip": (compressed_zip, "compressed or encrypted"),
    "doubled member": (doubled_member, "two members of the same name"),
    "damaged pickle": (damaged_pickle, r"data\.pkl' that is damaged"),
    "other zip": (other_zip, "x.npy"),
    "whole model": (whole_model, "torch.nn.modules.linear.Linear.*state_dict"),
    "tensorflow": (tensorflow_pickle, "TensorFlow.*convert_weight.py.*legacy.py"),
    "legacy cut in a tensor": (lambda path: path.write_bytes(legacy_bytes()[:-5]), "ends inside a tensor storage"),
    "legacy cut in the pickle": (lambda path: path.write_bytes(legacy_bytes()[:150]), "ends early"),
    "pickle of numbers": (lambda path: path.write_bytes(pickle.dumps({"a": 1})), "without a network"),
    "unknown array type": (float8_safetensors, "'x' of the type 'F4'; expected F64 or"),
    "long header": (long_header, r"a header of 3,000,010 bytes; expected at most 2,097,152"),
    "cut safetensors": (short_safetensors, "28 bytes of arrays where its header promises 32"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_wrong_kind_of_file_has_its_own_message(tmp_path: Path, kind: str) -> None:
    make, message = KINDS[kind]
    path = tmp_path / "model.pt"
    make(path)

    with pytest.raises(CheckpointError, match=f"(?s){message}") as caught:
        read(path)

    assert str(caught.value).startswith(f"{path}: found ")
    assert "; expected " in str(caught.value) and "What to do: " in str(caught.value)


def small_files(folder: Path) -> list[bytes]:
    """A file of each format, small enough that a random change hits structure; the zip has no checksums."""
    state = {"a": torch.ones(2, 3), "b": torch.arange(3).half(), "opts": {"size": 64, "name": "x"}}
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(state, folder / "zip")
    finally:
        torch.serialization.set_crc32_options(True)
    torch.save(state, folder / "legacy", _use_new_zipfile_serialization=False)
    weight = tensor(pickles.embedded(bytes(24)), (2, 3), (3, 1))
    child = pickles.network("Layer", _parameters={"weight": weight}, _buffers={}, _modules={})
    top = pickles.network("Generator", _parameters={}, _buffers={}, _modules={"fc": child}, z_dim=4)
    (folder / "nvlabs").write_bytes(dump({"G_ema": top}))
    save_file({"a": np.ones((2, 3), np.float32), "b": np.arange(3)}, folder / "safetensors")
    (folder / "tar").write_bytes(pickles.tar())
    return [path.read_bytes() for path in sorted(folder.iterdir())]


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "set", "insert", "delete", "double", "cut"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=6,
)


def edited(data: bytes, edits: list[tuple[str, float, int]]) -> bytes:
    result = bytearray(data)
    for kind, where, value in edits:
        at = int(where * len(result))
        match kind:
            case "flip" if result:
                result[at] ^= 1 << value % 8
            case "set" if result:
                result[at] = value
            case "insert":
                result.insert(at, value)
            case "delete":
                del result[at : at + value]
            case "double":
                result[at:at] = result[at : at + value]
            case "cut" if value < 32:
                del result[at:]
    return bytes(result)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return small_files(tmp_path_factory.mktemp("seeds"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "model.pt"


def imported() -> set[str]:
    """All modules but the codecs, which Python loads when a zip file asks for them."""
    return {name for name in sys.modules if not name.startswith("encodings")}


@settings(max_examples=800, deadline=None)
@given(which=st.integers(0, 4), edits=EDITS)
def test_changed_bytes_are_read_or_reported(
    seeds: list[bytes], target: Path, which: int, edits: list[tuple[str, float, int]]
) -> None:
    target.write_bytes(edited(seeds[which], edits))
    before = imported()
    try:
        tree = read(target).tree
    except CheckpointError as error:
        assert str(target) in str(error)
    else:
        assert tree is None or isinstance(tree, dict | list | tuple | str | int | float | bytes | np.ndarray)
    assert imported() == before
