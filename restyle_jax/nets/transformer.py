"""The decoder layer of the Style Transformer (arXiv 2203.07932, `models/transformer.py`), which is that of DETR (arXiv 2005.12872).

Tokens lie between batch and channels, [B, tokens, dim]; the official code has the batch second.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Literal

import jax
import jax.numpy as jnp
from einops import einsum, rearrange
from flax import nnx

from restyle_jax.nets.residual import torch_bias_init, torch_kernel_init
from restyle_jax.ops.layers import at_least_float32, leaky_relu

# Keeps the sum over keys away from zero where a query has lost all of them to other queries.
COMPETITION_EPSILON = 1e-8


@dataclasses.dataclass(frozen=True)
class DecoderLayerConfig:
    """Sizes and forms of a decoder layer.

    dim: width of all tokens. heads: of either attention. hidden: width inside the feed-forward network.
    dropout: share of the attention weights and of what each part adds that is dropped, where a key is given.
    norm_first: normalise what enters each of the three parts ("pre-norm"), not the sum behind it, as published.
    cross_attention: "keys", the ordinary softmax over the tokens that are attended to; or "queries", the attention of reference
        editing in the paper: a softmax over the queries, so that a token is divided among them, normalised to a sum of 1 over
        the tokens; it has one head. (The official code has the ordinary one there too.)
    """

    dim: int = 512
    heads: int = 4
    hidden: int = 1024
    dropout: float = 0.1
    norm_first: bool = False
    cross_attention: Literal["keys", "queries"] = "keys"

    def __post_init__(self):
        if min(self.dim, self.heads, self.hidden) < 1 or self.dim % self.heads:
            raise ValueError(
                f"the width of tokens must be a multiple of the number of heads, and all sizes at least 1, "
                f"but dim={self.dim}, heads={self.heads}, hidden={self.hidden}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is a share from 0 to below 1, found {self.dropout}")
        if self.cross_attention not in ("keys", "queries"):
            raise ValueError(f"unknown cross_attention {self.cross_attention!r}; there is keys, queries")


Drop = Callable[[jax.Array], jax.Array]


def dropout(rate: float, key: jax.Array | None) -> Drop:
    """A function that drops a share `rate` of the elements of an array and scales up the others, with a new mask at each call.

    Without a key, or at rate 0, it returns its argument.
    """
    if key is None or not rate:
        return lambda x: x

    def keys() -> Iterator[jax.Array]:
        rest = key
        while True:
            rest, now = jax.random.split(rest)
            yield now

    masks = keys()
    return lambda x: jnp.where(jax.random.bernoulli(next(masks), 1 - rate, x.shape), x / (1 - rate), 0)


def attention_weights(scores: jax.Array, over: Literal["keys", "queries"]) -> jax.Array:
    """Scores [..., queries, keys] to weights of the same shape, whose sum over the keys is 1 for each query.

    over: which axis the softmax runs over. "queries" divides every key among the queries before a query's shares are made to
    sum to 1, as slot attention does (arXiv 2006.15055).
    """
    if over == "keys":
        return jax.nn.softmax(scores, axis=-1)
    shares = jax.nn.softmax(scores, axis=-2)
    return shares / (shares.sum(-1, keepdims=True) + COMPETITION_EPSILON)


class Attention(nnx.Module):
    """Multi-head attention as `torch.nn.MultiheadAttention`: `packed` projects to queries, keys and values, in this order."""

    def __init__(
        self,
        dim: int,
        heads: int,
        over: Literal["keys", "queries"] = "keys",
        *,
        dtype: jax.typing.DTypeLike,
        rngs: nnx.Rngs,
    ):
        zeros, xavier = nnx.initializers.zeros_init(), nnx.initializers.xavier_uniform()
        self.packed = nnx.Linear(dim, 3 * dim, kernel_init=xavier, bias_init=zeros, rngs=rngs)
        self.out = nnx.Linear(dim, dim, kernel_init=torch_kernel_init, bias_init=zeros, dtype=dtype, rngs=rngs)
        self.heads, self.dtype = heads, dtype
        self.over: Literal["keys", "queries"] = over

    def __call__(self, query: jax.Array, key: jax.Array, value: jax.Array, drop: Drop) -> jax.Array:
        """query: [B, Q, dim], key and value: [B, N, dim] -> [B, Q, dim]. `drop` acts on the attention weights.

        The weights are written out, because `jax.nn.dot_product_attention` can neither drop any nor normalise over queries. With
        some 18 queries they are small, and take as long as that function does.
        """
        assert self.packed.bias is not None
        kernels, biases = jnp.split(self.packed.kernel[...], 3, 1), jnp.split(self.packed.bias[...], 3)
        q, k, v = (
            rearrange(
                x.astype(self.dtype) @ kernel.astype(self.dtype) + bias.astype(self.dtype),
                "b n (h d) -> b n h d",
                h=self.heads,
            )
            for x, kernel, bias in zip((query, key, value), kernels, biases, strict=True)
        )
        scores = at_least_float32(einsum(q * q.shape[-1] ** -0.5, k, "b q h d, b n h d -> b h q n"))
        weights = drop(attention_weights(scores, self.over)).astype(self.dtype)
        return self.out(rearrange(einsum(weights, v, "b h q n, b n h d -> b q h d"), "b q h d -> b q (h d)"))


class DecoderLayer(nnx.Module):
    """Tokens attend to each other, then to a memory, then pass through a feed-forward network; each part adds to them."""

    def __init__(self, config: DecoderLayerConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        over, dim = config.cross_attention, config.dim

        def linear(inputs: int, outputs: int) -> nnx.Linear:
            bias = torch_bias_init(inputs)
            return nnx.Linear(inputs, outputs, kernel_init=torch_kernel_init, bias_init=bias, dtype=dtype, rngs=rngs)

        def norm() -> nnx.LayerNorm:
            return nnx.LayerNorm(dim, epsilon=1e-5, use_fast_variance=False, dtype=dtype, rngs=rngs)

        self.config = config
        self.self_attention = Attention(dim, config.heads, dtype=dtype, rngs=rngs)
        heads = config.heads if over == "keys" else 1
        self.cross_attention = Attention(dim, heads, over, dtype=dtype, rngs=rngs)
        self.linear1, self.linear2 = linear(dim, config.hidden), linear(config.hidden, dim)
        self.norm1, self.norm2, self.norm3 = norm(), norm(), norm()
        self.dtype = dtype

    def __call__(
        self,
        tokens: jax.Array,
        memory: jax.Array,
        *,
        positions: jax.Array | None = None,
        memory_positions: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """tokens: [B, Q, dim], memory: [B, N, dim] -> tokens [B, Q, dim] in the compute dtype.

        positions, memory_positions: added to the tokens, and to the memory, where these are queries and keys (`query_pos` and
            `pos` in the official code, whose networks have none).
        key: for dropout; None drops nothing.
        Raises ValueError if `tokens` or `memory` have another width or rank.
        """
        for name, array in (("tokens", tokens), ("memory", memory)):
            if array.ndim != 3 or array.shape[-1] != self.config.dim:
                raise ValueError(f"{name} have shape {array.shape}, expected [B, tokens, {self.config.dim}]")
        drop = dropout(self.config.dropout, key)

        def placed(x: jax.Array, offset: jax.Array | None) -> jax.Array:
            return x if offset is None else x + offset.astype(x.dtype)

        def attend(x: jax.Array) -> jax.Array:
            place = placed(x, positions)
            return self.self_attention(place, place, x, drop)

        def look(x: jax.Array) -> jax.Array:
            return self.cross_attention(placed(x, positions), placed(memory, memory_positions), memory, drop)

        def feed_forward(x: jax.Array) -> jax.Array:
            return self.linear2(drop(leaky_relu(self.linear1(x), 0)))

        x = tokens.astype(self.dtype)
        for part, norm in ((attend, self.norm1), (look, self.norm2), (feed_forward, self.norm3)):
            x = x + drop(part(norm(x))) if self.config.norm_first else norm(x + drop(part(x)))
        return x
