"""Fields of a configuration: what each may be, in words, from text, and checked."""

import dataclasses
import math
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def hints(kind: type) -> dict[str, Any]:
    """The type of each field of a dataclass, in order."""
    known = get_type_hints(kind)
    return {field.name: known[field.name] for field in dataclasses.fields(kind)}


def expected(hint: Any, *, in_a_file: bool = False) -> str:
    """What a field of this type may be, for people: "a number or none". in_a_file: as a value of Python, not as an option."""
    if _is_union(hint) and not choices(hint):
        parts = sorted(get_args(hint), key=lambda part: part is type(None))
        return " or ".join(words for part in parts if (words := expected(part, in_a_file=in_a_file)))
    if names := choices(hint):
        functions = in_a_file and Callable in get_args(hint)
        return f"one of {', '.join(names)}" + (
            ", or a function without arguments that returns one" if functions else ""
        )
    if in_a_file and hint is Path:
        return 'a path such as Path("photos")'
    if get_origin(hint) is tuple:
        return "a tuple of whole numbers such as (1, 2)" if in_a_file else "whole numbers with commas between them"
    words = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        Path: "a path",
        str: "a name",
        type(None): "none",
    }
    return words.get(hint, "")  # functions can only be given in an experiment file


def choices(hint: Any) -> tuple[str, ...]:
    """The names that a field may have, where there is a list of them."""
    if _is_union(hint):
        return tuple(name for part in get_args(hint) for name in choices(part))
    return get_args(hint) if get_origin(hint) is Literal else ()


def parse(text: str, hint: Any) -> Any:
    """The value of a field of this type that `text` means. Raises ValueError if there is none."""
    if _is_union(hint):
        for part in sorted(get_args(hint), key=lambda part: part is not type(None)):
            try:
                return parse(text, part)
            except ValueError:
                continue
    elif get_origin(hint) is Literal and text in get_args(hint):
        return text
    elif get_origin(hint) is tuple:
        return tuple(int(part) for part in text.split(","))
    elif hint is type(None) and text == "none":
        return None
    elif hint is int:
        return int(text)
    elif hint is float and math.isfinite(float(text)):
        return float(text)
    elif hint in (Path, str) and text:
        return hint(text)
    raise ValueError(f"found {text!r}, expected {expected(hint)}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is one of this type; whole numbers are numbers too."""
    if _is_union(hint):
        return any(fits(value, part) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(fits(item, int) for item in value)
    if hint is float:
        return fits(value, int) or (isinstance(value, float) and math.isfinite(value))
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return callable(value) if not isinstance(hint, type) else isinstance(value, hint)


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)
