"""Malicious files: pickles that want to run something, and bombs. Refused by name, without effect, in bounded memory."""

from __future__ import annotations

import builtins
import functools
import operator
import os
import pickle
import subprocess
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from restyle_jax.convert.errors import CheckpointError
from restyle_jax.convert.reader import read
from tests.convert import pickles
from tests.convert.pickles import Global, Raw, Reduce, dump, emit, legacy, storage_id, tensor


def as_zip(root: Any, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", dump(root))
        archive.writestr("model/data/0", bytes(8))


def as_legacy(root: Any, path: Path) -> None:
    path.write_bytes(legacy(root, {}))


def as_nvlabs(root: Any, path: Path) -> None:
    path.write_bytes(dump({"G_ema": root}))


def as_embedded_storage(root: Any, path: Path) -> None:
    storage = Global("torch.storage", "_load_from_bytes")(legacy(root, {}))
    state = {"_parameters": {"weight": tensor(storage, (1,), (1,))}}
    path.write_bytes(dump({"G_ema": pickles.network("Generator", **state)}))


def as_unframed_pickle(root: Any, path: Path) -> None:
    path.write_bytes(emit(root) + b".")


CARRIERS = [as_zip, as_legacy, as_nvlabs, as_embedded_storage, as_unframed_pickle]


class Armed:
    """Pickles to a call of `function`."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def attacks(command: str) -> dict[str, Any]:
    """Ways to run `command`, under the name that the error must show."""
    touch = f"__import__('os').system({command!r})"
    shell = Global("os", "system")
    return {
        "os.system": shell(command),
        "posix.system": Global("posix", "system")(command),
        "subprocess.Popen": Global("subprocess", "Popen")(("sh", "-c", command)),
        "builtins.eval": Global("builtins", "eval")(touch),
        "__builtin__.exec": Global("__builtin__", "exec")(touch),
        "builtins.getattr": Global("builtins", "getattr")(Global("os", "path"), "os"),
        "builtins.type": Global("builtins", "type")("X", (), {}),
        "builtins.__import__": Global("builtins", "__import__")("os"),
        "functools.partial": Global("functools", "partial")(shell, command),
        "operator.attrgetter": Global("operator", "attrgetter")("system"),
        "importlib.import_module": Global("importlib", "import_module")("os"),
        "torch.load": Global("torch", "load")("other.pt"),
        "torch.hub.load": Global("torch.hub", "load")("owner/name", "model"),
        "numpy.load": Global("numpy", "load")("other.npy"),
        "pickle.loads": Global("pickle", "loads")(b""),
        "collections.OrderedDict.__class__": Global("collections", "OrderedDict.__class__")("X"),
        "torch.nn.modules.linear.Linear": Global("torch.nn.modules.linear", "Linear")(),
        "copyreg.extension": Raw(b"\x82\x01"),
        "nt.system": Raw(b"(" + emit(command) + b"int\nsystem\n"),  # opcode INST
        "pty.spawn": Raw(b"(cpty\nspawn\n" + emit("sh") + b"o"),  # opcode OBJ
        "copy_reg._slotnames": Global("copy_reg", "_slotnames")(shell),
        "webbrowser.open": Raw(emit("webbrowser") + emit("open") + b"\x93" + emit((command,)) + b"\x81"),
    }


@pytest.mark.parametrize("carry", CARRIERS)
@pytest.mark.parametrize("name", attacks(""))
def test_malicious_pickle_is_refused_by_name_and_runs_nothing(tmp_path: Path, name: str, carry: Any) -> None:
    sentinel, path = tmp_path / "sentinel", tmp_path / "model.pt"
    carry(attacks(f"touch {sentinel}")[name], path)

    with pytest.raises(CheckpointError) as caught:
        read(path)

    assert name in str(caught.value) and str(path) in str(caught.value)
    assert not sentinel.exists()


@pytest.mark.parametrize("function", [os.system, builtins.eval, subprocess.call, functools.partial, operator.getitem])
def test_malicious_pickle_as_python_and_torch_write_it(tmp_path: Path, function: Callable[..., Any]) -> None:
    sentinel = tmp_path / "sentinel"
    payload = {"opts": Armed(function, f"touch {sentinel}")}
    torch.save(payload, tmp_path / "zip.pt")
    torch.save(payload, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / f"{protocol}.pkl").write_bytes(pickle.dumps(payload, protocol))

    for path in tmp_path.iterdir():
        with pytest.raises(CheckpointError, match=function.__name__):
            read(path)

    assert not sentinel.exists()
    if function is os.system:
        pickle.loads(pickle.dumps(payload))  # The weapon was loaded.
        assert sentinel.exists()


RECONSTRUCTOR, NAMESPACE = Global("copy_reg", "_reconstructor"), Global("argparse", "Namespace")


@pytest.mark.parametrize(
    "trick",
    {
        "call of a result": Reduce(Global("torch", "Size")((1,)), ((2,),)),
        "call of a string": Reduce("os.system", ("true",)),
        "call of a storage class": Global("torch", "FloatStorage")(10**12),
        "call with keywords": Raw(emit(Global("torch", "Size")) + emit(()) + emit({"a": 1}) + b"\x92"),
        "attributes of a class": Raw(emit(Global("collections", "OrderedDict")) + emit({"fromkeys": 1}) + b"b"),
        "attributes of a dict": Raw(emit({}) + emit({"a": 1}) + b"b"),
        "items of a string": Raw(emit("text") + emit(1) + emit(2) + b"s"),
        "other codec": Global("_codecs", "encode")("x", "zlib"),
        "set of bytes": Global("builtins", "set")(b"abc"),
        "parameter of another function": Global("torch._tensor", "_rebuild_from_type_v2")(
            Global("torch", "Size"), Global("torch", "Tensor"), ((1,),), None
        ),
        "object of a class with another rule": RECONSTRUCTOR(
            Global("torch", "Size"), Global("builtins", "object"), None
        ),
        "object of a base that does something": RECONSTRUCTOR(NAMESPACE, Global("builtins", "dict"), None),
        "object with a state for its base": RECONSTRUCTOR(NAMESPACE, Global("__builtin__", "object"), {"a": 1}),
        "object of no class": RECONSTRUCTOR(NAMESPACE),
        "object array": Global("numpy.core.multiarray", "scalar")(
            Global("numpy", "dtype")("O8", False, True), b"12345678"
        ),
        "deferred conjugation": Global("torch._utils", "_rebuild_tensor_v2")(
            storage_id("0", 2), 0, (2,), (1,), False, None, {"conj": True}
        ),
    }.items(),
    ids=lambda item: item[0],
)
def test_tricks_with_allowed_names_are_refused(tmp_path: Path, trick: tuple[str, Any]) -> None:
    as_zip({"x": trick[1]}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="found"):
        read(tmp_path / "model.pt")


DEEP = b")" + b"\x85" * 200_000
# Every list holds the one before it twice.
DOUBLING = b"]q\x00" + b"".join(bytes([ord("("), *b"h", i, *b"h", i, *b"lq", i + 1]) for i in range(60))


@pytest.mark.parametrize(
    "bomb",
    {
        "expanded to terabytes": tensor(storage_id("0", 2), (10**12,), (0,)),
        "one storage, a million tensors": [tensor(storage_id("0", 2), (1 << 20,), (0,))] * 100,
        "beyond the storage": tensor(storage_id("0", 2), (3,), (1,)),
        "offset beyond the storage": tensor(storage_id("0", 2), (1,), (1,), 2),
        "negative offset": tensor(storage_id("0", 2), (1,), (1,), -1),
        "negative stride": tensor(storage_id("0", 2), (2,), (-1,)),
        "enormous stride": tensor(storage_id("0", 2), (2,), (10**30,)),
        "enormous empty tensor": tensor(storage_id("0", 2), (0, 10**12, 10**12), (1, 1, 1)),
        "fewer strides than dimensions": tensor(storage_id("0", 2), (1, 1), (1,)),
        "shape of text": tensor(storage_id("0", 2), ("1",), (1,)),
        "storage of another size": tensor(storage_id("0", 1 << 60), (1,), (1,)),
        "missing storage": tensor(storage_id("1", 2), (1,), (1,)),
        "memo index of four gigabytes": Raw(b"]r\xff\xff\xff\xffh\x07"),
        "bytes of an exabyte": Raw(b"\x8e" + (1 << 60).to_bytes(8, "little")),
        "integer of a gigabyte": Raw(b"\x8b" + (1 << 30).to_bytes(4, "little")),
        "integer of many digits": Raw(b"I" + b"9" * 50_000 + b"\n"),
        "doubling lists": Raw(b"(" + DOUBLING + b"t"),
        "contains itself": Raw(b"]q\x00h\x00a"),
        "deep tuple": Raw(DEEP),
        "deep tuple as a key": Raw(b"}" + DEEP + b"Ns"),
        "deep calls": Raw(b"ctorch\nSize\nq\x000" + b"h\x00" * 100_000 + b")" + b"R\x85" * 100_000),
        "text that is not UTF-8": Raw(b"X\x02\x00\x00\x00\xff\xfe"),
    }.items(),
    ids=lambda item: item[0],
)
def test_bombs_cost_no_memory(tmp_path: Path, bomb: tuple[str, Any]) -> None:
    as_zip({"x": bomb[1]}, tmp_path / "model.pt")

    tracemalloc.start()
    with pytest.raises(CheckpointError, match="found"):
        read(tmp_path / "model.pt")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 64 << 20
