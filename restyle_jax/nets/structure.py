"""Networks without their arrays: what a file is read into, and what a compiled step is planned for."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
from flax import nnx

M = TypeVar("M", bound=nnx.Module)


class _OneKey:
    """What networks ask of `nnx.Rngs`, for when nothing is drawn: to count in an array takes longer to trace than a network."""

    def params(self) -> jax.Array:
        return jax.random.key(0)


def structure(kind: Callable[..., M], *sizes: Any, **options: Any) -> M:
    """The network `kind(*sizes, **options)` with shapes and dtypes (jax.ShapeDtypeStruct) in place of its arrays.

    Nothing is computed or allocated. Raises what `kind` raises.
    """
    return nnx.eval_shape(lambda: kind(*sizes, **options, rngs=_OneKey()))
