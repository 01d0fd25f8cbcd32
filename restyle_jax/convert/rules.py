"""What the records of a pickle mean: the complete table of names that a checkpoint may mention.

`ALLOWED` is the allow-list of the reader. Every rule builds plain Python values and numpy arrays from inert
records; none of them looks anything up by a name that comes from the file.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Literal

import numpy as np

from restyle_jax.convert.errors import Unreadable
from restyle_jax.convert.rebuild import Rebuilder, Rules, pairs_of
from restyle_jax.convert.records import Call, Name
from restyle_jax.convert.storage import STORAGE_DTYPES, TENSOR_DTYPES, whole

_NUMPY_CODE = re.compile(r"[biufc](1|2|4|8|16)|[US]\d{1,6}")

# Containers and small values of Python.


def _dictionary(r: Rebuilder, call: Call) -> dict[Any, Any]:
    return r.mapping(pairs_of(call))


def _attributes(r: Rebuilder, call: Call) -> dict[Any, Any]:
    return r.mapping(pairs_of(call.state)) if call.has_state else {}


def _plain_object(r: Rebuilder, call: Call) -> dict[Any, Any]:
    """How protocols 0 and 1 make an object of a class of Python: without arguments, out of `object`; its attributes follow."""
    match call.args:
        case (Name(dotted=kind), Name(dotted="builtins.object"), None) if RULES.get(kind) is _attributes:
            return _attributes(r, call)
    raise Unreadable("an object that is made in an unknown way")


def _members(r: Rebuilder, call: Call) -> list[Any]:
    given = call.args[0] if call.args else []
    if not isinstance(given, list):
        raise Unreadable("a set of something other than a list")
    return r.plain([*given, *call.items])


def _bytes(r: Rebuilder, call: Call) -> bytes:
    return bytes(r.blob(call))


def _arguments(r: Rebuilder, call: Call) -> tuple[Any, ...]:
    return r.plain(call.args)


def _first(r: Rebuilder, call: Call) -> Any:
    return r.plain(call.args[0])


def _complex(r: Rebuilder, call: Call) -> complex:
    real, imaginary = call.args
    return complex(real, imaginary)


def _posix_path(r: Rebuilder, call: Call) -> str:
    return str(PurePosixPath(*r.plain(call.args)))


def _windows_path(r: Rebuilder, call: Call) -> str:
    return str(PureWindowsPath(*r.plain(call.args)))


# Torch.


def _device(r: Rebuilder, call: Call) -> str:
    return ":".join(str(part) for part in r.plain(call.args))


def _tensor(r: Rebuilder, call: Call) -> np.ndarray:
    return r.tensor(call, extra=call.args[6] if len(call.args) > 6 else None)


def _typed_tensor(r: Rebuilder, call: Call) -> np.ndarray:
    dtype = call.args[6]
    if not (isinstance(dtype, Name) and dtype.dotted in TENSOR_DTYPES):
        raise Unreadable("a tensor of an unknown element type")
    return r.tensor(call, TENSOR_DTYPES[dtype.dotted], extra=call.args[7] if len(call.args) > 7 else None)


def _parameter(r: Rebuilder, call: Call) -> Any:
    return r.plain(call.args[0])


def _subclass(r: Rebuilder, call: Call) -> Any:
    function, kind, arguments, _state = call.args
    rules = (_tensor, _typed_tensor, _parameter)
    if not (isinstance(function, Name) and isinstance(kind, Name) and RULES.get(function.dotted) in rules):
        raise Unreadable("a tensor of an unknown kind")
    return r.plain(Call(function.dotted, arguments))


def _bare_storage(r: Rebuilder, call: Call) -> np.ndarray:
    return whole(r.storage(call), r.guard)


# NumPy.


def _numpy_dtype(value: Any) -> np.dtype:
    if not (isinstance(value, Call) and value.name == "numpy.dtype" and isinstance(value.args[0], str)):
        raise Unreadable("a numpy array without an element type")
    if not _NUMPY_CODE.fullmatch(value.args[0]):
        raise Unreadable("a numpy array whose elements are not plain numbers or text")
    order = value.state[1] if value.has_state else "="
    if order not in ("<", ">", "=", "|"):
        raise Unreadable("a numpy array of unknown byte order")
    return np.dtype(value.args[0]).newbyteorder(order)


def _dtype_name(r: Rebuilder, call: Call) -> str:
    return str(_numpy_dtype(call))


def _numpy_array(r: Rebuilder, data: Any, dtype: Any, shape: Any, order: Literal["C", "F"]) -> np.ndarray:
    flat = np.asarray(r.blob(data)).view(_numpy_dtype(dtype))
    return flat.astype(flat.dtype.newbyteorder("="), copy=False).reshape(r.plain(shape), order=order)


def _array(r: Rebuilder, call: Call) -> np.ndarray:
    _version, shape, dtype, columns_first, data = call.state
    return _numpy_array(r, data, dtype, shape, "F" if columns_first else "C")


def _array_from_buffer(r: Rebuilder, call: Call) -> np.ndarray:
    data, dtype, shape, order = call.args
    return _numpy_array(r, data, dtype, shape, "F" if order == "F" else "C")


def _numpy_scalar(r: Rebuilder, call: Call) -> Any:
    dtype, data = call.args
    return _numpy_array(r, data, dtype, (), "C").item()


# NVlabs.


def _persistent_class(r: Rebuilder, call: Call) -> dict[str, Any]:
    """A network of `torch_utils.persistence`, with its modules flattened in the order of torch's state_dict.

    The record carries the source text of the class (`module_src`), which is neither kept nor looked at.
    """
    match call.args:
        case ({"type": "class", "class_name": str() as class_name, "state": state},):
            members = dict(pairs_of({} if state is None else state))
        case _:
            raise Unreadable("an NVlabs record of an unknown type")
    node: dict[str, Any] = {
        "class_name": class_name,
        "init_args": list(r.plain(members.get("_init_args", ()))),
        "init_kwargs": r.plain(members.get("_init_kwargs", {})),
        "modules": {"": class_name},
        "attributes": {
            name: value
            for name, value in members.items()
            if not name.startswith("_") and isinstance(value, bool | int | float | str | None) and name != "training"
        },
        "state": {},
    }
    not_saved = r.plain(members.get("_non_persistent_buffers_set", []))
    own = pairs_of(members.get("_parameters", {})) + [
        (name, value) for name, value in pairs_of(members.get("_buffers", {})) if name not in not_saved
    ]
    node["state"] = {name: r.plain(value) for name, value in own if value is not None}
    for name, child in pairs_of(members.get("_modules", {})):
        if child is None:
            continue
        inner = r.plain(child)
        for part in ("modules", "attributes", "state"):
            node[part].update({f"{name}.{key}" if key else name: item for key, item in inner[part].items()})
    return node


RULES: Rules = {
    "collections.OrderedDict": _dictionary,
    "collections.defaultdict": _dictionary,
    "collections.Counter": _dictionary,  # of torch's MultiStepLR
    "dnnlib.util.EasyDict": _dictionary,
    "argparse.Namespace": _attributes,
    "types.SimpleNamespace": _attributes,
    "copyreg._reconstructor": _plain_object,
    "builtins.set": _members,
    "builtins.frozenset": _members,
    "builtins.slice": _arguments,
    "builtins.range": _arguments,
    "builtins.complex": _complex,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
    "_codecs.encode": _bytes,
    "pathlib.Path": _posix_path,
    "pathlib.PosixPath": _posix_path,
    "pathlib.PurePosixPath": _posix_path,
    "pathlib.WindowsPath": _windows_path,
    "pathlib.PureWindowsPath": _windows_path,
    "torch.Size": _first,
    "torch.device": _device,
    "torch.serialization._get_layout": _first,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed_tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "torch.storage._load_from_bytes": _bare_storage,
    "numpy.dtype": _dtype_name,
    "numpy.core.multiarray._reconstruct": _array,
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "numpy.core.numeric._frombuffer": _array_from_buffer,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent_class,
}

_ELEMENTS = ("Double", "Float", "Half", "Long", "Int", "Short", "Char", "Byte")
_MENTIONED = (
    *STORAGE_DTYPES,
    *TENSOR_DTYPES,
    *(f"torch.{element}Tensor" for element in _ELEMENTS),
    "torch.Tensor",
    "numpy.ndarray",
    *(f"builtins.{name}" for name in ("object", "dict", "list", "int", "float", "str", "bool")),
)
_MOVED = {
    "__builtin__.": "builtins.",
    "copy_reg.": "copyreg.",
    "numpy._core.": "numpy.core.",
    "pathlib._local.": "pathlib.",
}
_KNOWN = {name: name for name in (*RULES, *_MENTIONED)}
ALLOWED: dict[str, str] = _KNOWN | {
    name.replace(today, spelling): name
    for spelling, today in _MOVED.items()
    for name in _KNOWN
    if name.startswith(today)
}
"""Every name that a pickle may mention, under each of its spellings (Python 2, NumPy 2, Python 3.13)."""
