"""What every style-based generator has: sizes, noise inputs, and codes that are repeated, mixed and truncated."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, Protocol

import jax
import jax.numpy as jnp

Noise = Literal["const", "none"] | jax.Array | Sequence[jax.Array]
"""Noise inputs: the maps stored with the network, nothing, a PRNG key for fresh maps per sample, or a list of explicit
maps ([r, r] or [B, r, r] each; one for each noise input of the network, from 4 px upwards)."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of a generator. `channels[b]` is the width of block b, whose resolution is 4 * 2**b."""

    resolution: int
    channels: tuple[int, ...]
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    label_dim: int = 0

    def __post_init__(self):
        if self.resolution < 8 or 4 * 2 ** (len(self.channels) - 1) != self.resolution:
            raise ValueError(
                f"a generator of resolution {self.resolution} cannot have {len(self.channels)} blocks; expected one block for "
                "each power of two from 4 to the resolution, which is at least 8"
            )

    @property
    def num_styles(self) -> int:
        """K, the number of style vectors: 2 log2(resolution) - 2."""
        return 2 * len(self.channels)

    def check_codes(self, w: jax.Array) -> None:
        """Raise ValueError unless w is [B, K, w_dim]."""
        if w.ndim != 3 or w.shape[1:] != (self.num_styles, self.w_dim):
            raise ValueError(
                f"w has shape {w.shape}, expected [B, {self.num_styles}, {self.w_dim}] for a "
                f"{self.resolution}-px generator; repeat a single w with `broadcast_styles`"
            )


def channel_widths(resolution: int, channel_base: int, channel_max: int = 512) -> tuple[int, ...]:
    """min(channel_base / r, channel_max) for each r = 4, 8, ..., resolution."""
    return tuple(min(channel_base // 2**i, channel_max) for i in range(2, resolution.bit_length()))


class Mapping(Protocol):
    """A mapping network: z f32[B, z_dim] and labels f32[B, label_dim] (none if that is 0) -> f32[B, w_dim] or f32[B, K, w_dim]."""

    z_dim: int
    label_dim: int

    def __call__(self, z: jax.Array, labels: jax.Array | None = None) -> jax.Array: ...


def check_labels(labels: jax.Array | None, label_dim: int) -> None:
    """Raise ValueError if a mapping network for labels of width `label_dim` (0: none) gets none, or gets some without need."""
    if bool(label_dim) != (labels is not None):
        needs = f"labels of shape [B, {label_dim}]" if label_dim else "no labels"
        raise ValueError(f"this mapping network takes {needs}, got {'none' if labels is None else labels.shape}")


def uniform_labels(key: jax.Array, count: int, label_dim: int) -> jax.Array | None:
    """Labels drawn uniformly, one-hot f32[count, label_dim]; None for networks that take none."""
    if not label_dim:
        return None
    return jax.nn.one_hot(jax.random.randint(key, (count,), 0, label_dim), label_dim)


def noise_maps(noise: Noise, stored: Sequence[jax.Array], batch: int) -> list[jax.Array | None]:
    """One map (or None) for each of the `stored` ones. Raises ValueError on an unknown mode or a list of the wrong length."""
    if isinstance(noise, str):
        if noise not in ("const", "none"):
            raise ValueError(f"noise is {noise!r}, expected 'const', 'none', a PRNG key or a list of maps")
        return [constant if noise == "const" else None for constant in stored]
    if isinstance(noise, jax.Array):
        keys = jax.random.split(noise, len(stored))
        return [jax.random.normal(key, (batch, *constant.shape)) for key, constant in zip(keys, stored, strict=True)]
    if len(noise) != len(stored):
        raise ValueError(f"got {len(noise)} noise maps, expected {len(stored)}")
    return list(noise)


def broadcast_styles(w: jax.Array, num_styles: int) -> jax.Array:
    """w [B, w_dim] repeated to W+ [B, num_styles, w_dim]; an input of rank 3 passes unchanged."""
    return w if w.ndim == 3 else jnp.repeat(w[:, None], num_styles, axis=1)


def mix_styles(first: jax.Array, second: jax.Array, index: jax.Array | int) -> jax.Array:
    """Style mixing of two W+ codes [B, K, w_dim]: `first` before style `index` (which may be traced), `second` from there on."""
    return jnp.where(jnp.arange(first.shape[1])[:, None] < index, first, second)


def truncate(w: jax.Array, w_avg: jax.Array, psi: jax.Array | float, cutoff: int | None = None) -> jax.Array:
    """w_avg + psi (w - w_avg) for the first `cutoff` styles (all when None). w: [B, K, w_dim], w_avg: [w_dim] or [K, w_dim]."""
    truncated = w_avg + psi * (w - w_avg)
    return truncated if cutoff is None else mix_styles(truncated, w, cutoff)


def mean_w(mapping: Mapping, key: jax.Array, samples: int = 100_000, chunk: int = 10_000) -> jax.Array:
    """Mean of mapped normal z, f32[w_dim] (f32[K, w_dim] if each style has a code of its own).

    Computed `chunk` samples at a time (the rest at last) so that memory stays small. A conditional network is averaged over
    labels drawn uniformly. pSp and ReStyle use 100,000 samples, e4e 10,000.
    """

    def mean(key: jax.Array, count: int = chunk) -> jax.Array:
        key_z, key_label = jax.random.split(key)
        labels = uniform_labels(key_label, count, mapping.label_dim)
        return mapping(jax.random.normal(key_z, (count, mapping.z_dim)), labels).mean(0)

    chunks, rest = divmod(samples, chunk)
    keys = jax.random.split(key, chunks + bool(rest))
    means = jax.lax.map(mean, keys[:chunks])
    return (means.sum(0) * chunk + mean(keys[-1], rest) * rest) / samples if rest else means.mean(0)
