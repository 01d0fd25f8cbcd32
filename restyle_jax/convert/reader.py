"""Reads a checkpoint file of any known form into a plain tree of numpy arrays.

The reader knows containers, not models: what the tree means is the business of the conversion tables. It never
imports torch, never executes anything from a file, and copies nothing: arrays are read-only views of the mapped
file, so that looking at a checkpoint costs about as much as reading its table of contents.
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from restyle_jax.convert.errors import CheckpointError, Refused, Unreadable
from restyle_jax.convert.rebuild import Rebuilder
from restyle_jax.convert.records import Guard
from restyle_jax.convert.rules import ALLOWED, RULES
from restyle_jax.convert.safetensors_file import looks_like_safetensors, read_safetensors
from restyle_jax.convert.torch_archives import (
    LEGACY_MAGIC,
    Opened,
    open_embedded,
    open_legacy,
    open_tar,
    open_zip,
)
from restyle_jax.convert.unpickle import parse

Format = Literal["torch-zip", "torch-legacy", "torch-tar", "nvlabs-pickle", "pickle", "safetensors"]

# Parsing and rebuilding take about 300,000 steps for a checkpoint with optimiser state, and less than one per byte.
_MOST_STEPS, _FIRST_STEPS = 2_000_000, 10_000
# Shared weights count once per use; copies of a small vector fit in the allowance of 64 MiB.
_SHARING, _FIRST_BYTES = 8, 64 << 20

_PICKLE = 0x80  # opcode PROTO
_STRANGERS = (
    (b"version https://git-lfs", "a git-lfs pointer, not the file itself", "run `git lfs pull` in its repository"),
    (b"\x1f\x8b", "a gzip archive", "unpack it and give the checkpoint inside"),
    (b"BZh", "a bzip2 archive", "unpack it and give the checkpoint inside"),
    (b"\xfd7zXZ", "an xz archive", "unpack it and give the checkpoint inside"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it and give the checkpoint inside"),
    (b"Rar!", "a rar archive", "unpack it and give the checkpoint inside"),
    (b"\x28\xb5\x2f\xfd", "a zstandard archive", "unpack it and give the checkpoint inside"),
    (b"\x89HDF", "an HDF5 file (Keras)", "give the PyTorch checkpoint instead"),
    (b"\x93NUMPY", "a single numpy array", "give the checkpoint; arrays such as editing directions go elsewhere"),
    (b"\x89PNG", "a PNG picture", "give the checkpoint; pictures go to --input"),
    (b"\xff\xd8\xff", "a JPEG picture", "give the checkpoint; pictures go to --input"),
)  # fmt: skip
_WEB_PAGE = (
    "a web page (a failed download, such as the virus-scan notice of Google Drive)",
    "open the download link in a browser, or use `gdown`, and check that the file has hundreds of megabytes",
)
_FAILURES = (
    ArithmeticError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True, eq=False)
class Container:
    """What a checkpoint file holds.

    Attributes:
        path: the file.
        format: its container format.
        tree: nested dicts, lists and tuples of numpy arrays, numbers, strings, bytes and None. OrderedDict,
            Counter and EasyDict have become dict, Namespace objects the dict of their attributes, sets lists, slices and
            ranges tuples, paths, devices and dtypes strings. Arrays are read-only views in the element type of
            the file (bfloat16 as `ml_dtypes.bfloat16`), in torch's layout. A network of an NVlabs pickle is a dict
            {"class_name", "init_args", "init_kwargs", "modules": {path: class name}, "attributes": {path: plain
            value}, "state": {path: array}}, with dotted paths and `state` in the order of torch's state_dict.
        metadata: the `__metadata__` strings of a safetensors file; empty for the others.
    """

    path: str
    format: Format
    tree: Any
    metadata: dict[str, str] = field(default_factory=dict)


def read(path: str | os.PathLike[str], *, verify: bool = False, plain: bool = False) -> Container:
    """The contents of a checkpoint file, without executing or importing anything that it names.

    Reads PyTorch files of every age (zip, legacy, tar), network pickles of NVlabs stylegan2-ada-pytorch and
    stylegan3, and safetensors. The file must not be changed in place while its arrays are in use.

    Args:
        path: the file.
        verify: also compare the checksums of a zip file, which reads all of it (about a second per gigabyte).
            The other formats have none.
        plain: also accept a pickle of plain containers and numpy arrays, in which there is no network.
    Raises:
        CheckpointError: the file is missing, of another kind, damaged, or a pickle that asks for anything but
            tensors and plain containers; the message names what it asked for.
    """
    name = os.fspath(path)
    try:
        return _read(name, verify, plain)
    except Unreadable as error:
        raise CheckpointError.explain(name, found=error.found, expected=error.expected, remedy=error.remedy) from error
    except OSError as error:
        raise CheckpointError.unreadable(name, error) from error
    except _FAILURES as error:
        # Damage can surface anywhere, as nearly any built-in error; nothing else may leave this function.
        damage = Unreadable(f"damaged contents ({type(error).__name__}: {error!s:.100})")
        raise CheckpointError.explain(
            name, found=damage.found, expected=damage.expected, remedy=damage.remedy
        ) from error


def _read(path: str, verify: bool, plain: bool) -> Container:
    data = _mapped(path)
    steps = min(_MOST_STEPS, _FIRST_STEPS + _SHARING * len(data))
    guard = Guard(ALLOWED, steps, _FIRST_BYTES + _SHARING * len(data))
    head = bytes(data[:512])
    if head.startswith(b"PK"):
        return Container(path, "torch-zip", _tree(open_zip(path, data, guard, verify=verify), guard))
    if head[257:262] == b"ustar":
        return Container(path, "torch-tar", _tree(open_tar(path, data, guard), guard))
    if looks_like_safetensors(data):
        return Container(path, "safetensors", *read_safetensors(data))
    _refuse_strangers(head)
    return _read_pickle(path, data, guard, plain)


def _mapped(path: str) -> memoryview:
    # Asked first: opening a named pipe would wait for a writer.
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise Unreadable(
            "a directory",
            remedy="give the checkpoint file inside; a directory that `restyle convert` wrote goes to restyle_jax.load",
        )
    if not stat.S_ISREG(mode):
        raise Unreadable("something that is not a regular file", remedy="give the path of the file itself")
    if os.path.getsize(path) == 0:
        raise Unreadable("an empty file")
    return memoryview(np.memmap(path, np.uint8, "r"))  # pyright: ignore[reportArgumentType]


def _refuse_strangers(head: bytes) -> None:
    for start, found, remedy in _STRANGERS:
        if head.startswith(start):
            raise Unreadable(found, remedy=remedy)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise Unreadable(_WEB_PAGE[0], remedy=_WEB_PAGE[1])


def _tree(opened: Opened, guard: Guard) -> Any:
    root, lookup = opened
    return Rebuilder(lookup, open_embedded, guard, RULES).plain(root)


def _read_pickle(path: str, data: memoryview, guard: Guard, plain: bool) -> Container:
    try:
        root, _, _ = parse(data, 0, guard)
    except Refused:
        raise
    except Unreadable as error:
        if data[0] == _PICKLE:
            raise
        raise Unreadable(f"contents of an unknown kind (it starts with {bytes(data[:16])!r})") from error
    if root == LEGACY_MAGIC:
        return Container(path, "torch-legacy", _tree(open_legacy(data, guard), guard))
    tree = _tree((root, _no_reference), guard)
    if not _has_network(tree) and plain:
        return Container(path, "pickle", tree)
    if not _has_network(tree):
        raise Unreadable(
            "a pickle without a network",
            remedy="give the network snapshot (.pkl) of an NVlabs training run, or a .pt file",
        )
    return Container(path, "nvlabs-pickle", tree)


def _no_reference(key: Any) -> Any:
    raise Unreadable("a plain pickle that refers to something outside of itself")


def _has_network(tree: Any) -> bool:
    nodes = [tree, *tree.values()] if isinstance(tree, dict) else []
    return any(isinstance(node, dict) and "class_name" in node and "state" in node for node in nodes)
