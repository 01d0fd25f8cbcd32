"""The three forms that `torch.save` has written: zip (since 1.6), legacy (0.1.10 to 1.5) and tar (before).

Each `open_*` function returns the parsed pickle and a lookup from persistent ids to storages. Follows
torch/serialization.py, which still reads all three.
"""

from __future__ import annotations

import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection
from itertools import islice
from typing import Any

import numpy as np

from restyle_jax.convert.errors import Unreadable
from restyle_jax.convert.records import Guard, Name, Persistent
from restyle_jax.convert.storage import STORAGE_DTYPES, Storage, StridedView, counted
from restyle_jax.convert.unpickle import parse

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_MOST_TAR_MEMBERS = 64
_ENCRYPTED = 0x1
_UTF8_NAME = 0x800

Opened = tuple[Any, Callable[[Any], Any]]


def open_zip(path: str, data: memoryview, guard: Guard, *, verify: bool) -> Opened:
    """A zip file of `torch.save`; with `verify`, the checksum of every member is compared as well."""
    directory = _zip_directory(path)
    root = _zip_root(directory)
    members = {name: _zip_member(info, data, verify or name == f"{root}/data.pkl") for name, info in directory.items()}
    order = bytes(members.get(f"{root}/byteorder", b"little"))
    if order not in (b"little", b"big"):
        raise Unreadable(f"a torch file of unknown byte order {order[:20]!r}")

    def lookup(key: Any) -> Storage:
        dtype, name, count, _ = _storage_id(key)
        member = members.get(f"{root}/data/{name}")
        if member is None:
            raise Unreadable(f"a torch file without its member {root}/data/{name}")
        if count * dtype.itemsize != len(member):
            raise Unreadable(
                f"a torch file whose member {root}/data/{name} has {len(member)} bytes instead of "
                f"{count * dtype.itemsize}"
            )
        raw = np.asarray(member)
        return Storage(_swapped(raw, dtype) if order == b"big" else raw, dtype)

    return parse(members[f"{root}/data.pkl"], 0, guard)[0], lookup


def _swapped(raw: np.ndarray, dtype: np.dtype) -> np.ndarray:
    width = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
    return raw.view(f"u{width}").byteswap().view(np.uint8)


def _zip_directory(path: str) -> dict[str, zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise Unreadable(
            f"the beginning of a zip file without a sound end ({error})", expected="a complete torch .pt file"
        ) from error
    directory = {info.filename: info for info in infos}
    if len(directory) != len(infos):
        raise Unreadable("a zip file with two members of the same name")
    return directory


def _zip_root(names: Collection[str]) -> str:
    """The folder that holds `data.pkl`; torch names it after the file."""
    roots = [name.removesuffix("/data.pkl") for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise Unreadable(
            f"a zip file that is no torch checkpoint (members: {_some(names)})",
            remedy="if the checkpoint is inside, unpack it first; otherwise give the .pt file itself",
        )
    if f"{roots[0]}/constants.pkl" in names:
        raise Unreadable(
            "a TorchScript program (torch.jit.save)",
            remedy="give the checkpoint that the program was made from, or save its state_dict() with torch.save",
        )
    return roots[0]


def _some(names: Collection[str]) -> str:
    return f"{', '.join(sorted(names)[:4]):.200}"


def _zip_member(info: zipfile.ZipInfo, data: memoryview, verify: bool) -> memoryview:
    """The bytes of a stored member, in place; the local header must tell the same story as the directory."""
    where = f"zip member {info.filename!r:.100}"
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
        raise Unreadable(
            f"a {where} that is compressed or encrypted",
            expected="the plain members that torch.save writes",
            remedy="fetch the original file, or load it with torch and save it again",
        )
    name_at = info.header_offset + _LOCAL_HEADER.size
    if info.header_offset < 0 or name_at > len(data):
        raise Unreadable(f"a {where} that lies outside of the file")
    signature, _, flags, *_, name_length, extra_length = _LOCAL_HEADER.unpack_from(data, info.header_offset)
    start = name_at + name_length + extra_length
    name = str(data[name_at : name_at + name_length], "utf-8" if flags & _UTF8_NAME else "cp437")
    if signature != b"PK\x03\x04" or name != info.orig_filename or info.file_size != info.compress_size:
        raise Unreadable(f"a {where} that contradicts itself")
    if start + info.file_size > len(data):
        raise Unreadable(f"a {where} that reaches beyond the end of the file")
    view = data[start : start + info.file_size]
    # A checksum of zero is what torch writes when it is told to compute none.
    if verify and info.CRC and zlib.crc32(view) != info.CRC:
        raise Unreadable(f"a {where} that is damaged (wrong checksum)")
    return view


def _storage_id(key: Any) -> tuple[np.dtype, str, int, Any]:
    """(element type, storage key, number of elements, view or None) of a persistent id."""
    match key:
        case ("storage", Name(dotted=dotted), str() as name, _, int() as count, *rest) if dotted in STORAGE_DTYPES:
            return STORAGE_DTYPES[dotted], name, count, rest[0] if rest else None
    raise Unreadable("a tensor whose storage is described in an unknown way")


def open_legacy(data: memoryview, guard: Guard) -> Opened:
    """The legacy form: five pickles (magic, protocol, system, object, storage keys), then the storages."""
    magic, position, _ = parse(data, 0, guard)
    protocol, position, _ = parse(data, position, guard)
    if magic != LEGACY_MAGIC or protocol != _LEGACY_PROTOCOL:
        raise Unreadable("the beginning of a legacy torch file, then something else")
    _system, position, _ = parse(data, position, guard)
    root, position, persistents = parse(data, position, guard)
    keys, position, _ = parse(data, position, guard)
    declared = {name: (dtype, count) for dtype, name, count, _ in (_storage_id(p.key) for p in persistents)}
    storages: dict[str, Storage] = {}
    for name in keys:
        if not isinstance(name, str) or name not in declared:
            raise Unreadable("a legacy torch file that stores a tensor which nothing refers to")
        dtype, count = declared[name]
        storages[name], position = counted(data, position, dtype)
        if storages[name].data.size != count * dtype.itemsize:
            raise Unreadable(f"a legacy torch file that gives two sizes for its storage {name!r:.100}")

    def lookup(key: Any) -> Storage:
        dtype, name, _, view = _storage_id(key)
        storage = storages.get(name)
        if storage is None:
            raise Unreadable(f"a legacy torch file without its storage {name!r:.100}")
        if dtype != storage.dtype:
            raise Unreadable(f"a legacy torch file that gives two types for its storage {name!r:.100}")
        if view is None:
            return storage
        _view_key, offset, count = view
        return storage.part(offset, count)

    return root, lookup


def open_embedded(data: memoryview, guard: Guard) -> Storage:
    """A storage that was pickled as the bytes of a legacy file (`torch.storage._load_from_bytes`)."""
    root, lookup = open_legacy(data, guard)
    if not isinstance(root, Persistent):
        raise Unreadable("an embedded torch file that holds something other than one storage")
    return lookup(root.key)


def open_tar(path: str, data: memoryview, guard: Guard) -> Opened:
    """The first form, still that of torchvision's resnet34-333f7ec4.pth: a tar of storages, tensors and pickle."""
    try:
        with tarfile.open(path, "r:") as archive:
            # Bounded, because offsets in a malicious tar can run in circles.
            found = list(islice(archive, _MOST_TAR_MEMBERS))
    except tarfile.TarError as error:
        raise Unreadable(f"a damaged tar archive ({error})") from error
    members = {m.name: data[m.offset_data : m.offset_data + m.size] for m in found if m.isreg()}
    if not {"storages", "tensors", "pickle"} <= members.keys():
        raise Unreadable(
            f"a tar archive that is no torch checkpoint (members: {_some(members)})",
            remedy="unpack it and give the checkpoint inside",
        )
    tensors = _tar_tensors(members["tensors"], _tar_storages(members["storages"], guard), guard)
    return parse(members["pickle"], 0, guard)[0], lambda key: tensors[int(key)]


def _tar_storages(data: memoryview, guard: Guard) -> dict[int, Storage]:
    count, position, _ = parse(data, 0, guard)
    storages: dict[int, Storage] = {}
    for _ in range(count):
        (key, _location, kind), position, _ = parse(data, position, guard)
        storages[int(key)], position = counted(data, position, STORAGE_DTYPES[kind.dotted])
    views, _, _ = parse(data, position, guard)
    for key, root, offset, size in views:
        storages[int(key)] = storages[int(root)].part(offset, size)
    return storages


def _tar_tensors(data: memoryview, storages: dict[int, Storage], guard: Guard) -> dict[int, StridedView]:
    count, position, _ = parse(data, 0, guard)
    tensors: dict[int, StridedView] = {}
    for _ in range(count):
        (key, storage, _kind), position, _ = parse(data, position, guard)
        # The rank takes four of eight bytes; then come shape, strides and offset.
        (rank,) = struct.unpack_from("<i4x", data, position)
        numbers = struct.unpack_from(f"<{2 * rank + 1}q", data, position + 8)
        position += 8 + 8 * len(numbers)
        tensors[int(key)] = StridedView(storages[int(storage)], numbers[-1], numbers[:rank], numbers[rank:-1])
    return tensors
