"""Compiled programs that draw codes. A point of S gives the same bits as the code that it comes from, as both pass through
`of_styles`: in one program with the affine layers before it, XLA fuses these into what follows, and rounds otherwise.

graph and state are those of a generator.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from restyle_jax.nets import stylegan2
from restyle_jax.nets.generators import GeneratorConfig


def draw(config: GeneratorConfig, graph: nnx.GraphDef, state: nnx.State, w: jax.Array | np.ndarray) -> jax.Array:
    """Codes f32[B, K, w_dim] as pictures f32[B, R, R, 3], nominally in [-1, 1], with the network's constant noise."""
    if isinstance(config, stylegan2.GeneratorConfig):
        return of_styles(graph, state, styles(graph, state, w))
    return _of_codes(graph, state, w)


@functools.partial(jax.jit, static_argnames="graph")
def styles(graph, state, w) -> jax.Array:
    """Codes f32[B, K, w_dim] as points f32[B, C] of S: the styles of a StyleGAN2 one after another."""
    return jnp.concatenate(nnx.merge(graph, state, copy=True).synthesis.styles(w), axis=-1)


@functools.partial(jax.jit, static_argnames="graph")
def of_styles(graph, state, s) -> jax.Array:
    """Points f32[B, C] of S as pictures, as `draw`."""
    synthesis = nnx.merge(graph, state, copy=True).synthesis
    return synthesis.from_styles(jnp.split(s, np.cumsum(synthesis.config.style_widths)[:-1], axis=-1))[0]


@functools.partial(jax.jit, static_argnames="graph")
def _of_codes(graph, state, w) -> jax.Array:
    return nnx.merge(graph, state, copy=True).synthesis(w)
