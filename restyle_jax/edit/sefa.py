"""SeFa (arXiv 2007.06600): the directions that change the styles of chosen layers most, in closed form from their weights.

In W + a v a layer with the affine weights A changes by a A^T v: the largest changes are along the first eigenvectors of A A^T.
"""

from collections.abc import Sequence

import numpy as np

from restyle_jax.edit.direction import Direction, Layers, layer_numbers
from restyle_jax.nets import stylegan2
from restyle_jax.nets.generators import Generator


def factorise(generator: Generator, layers: Layers = "all", *, count: int | None = None) -> list[Direction]:
    """The first `count` directions (all if None), as genforce/sefa `utils.py`: they change the layers that they come from.

    Layer k is what style vector k of a code goes to: a convolution, or in StyleGAN2 for the last k the colours. Columns of
    weights are normalised, so that each style counts the same. (omertov/encoder4editing returns the layers shifted by one;
    here both sides have the same numbers.) Raises ValueError for layers that do not exist.
    """
    chosen = layer_numbers(layers, generator.config.num_styles)
    weights = np.concatenate([_weights(generator, k) for k in chosen], axis=1)
    weights = weights / np.linalg.norm(weights, axis=0)
    return _directions(weights, None if layers == "all" else chosen, count, "sefa")


def factorise_unnormalised(generator: stylegan2.Generator, *, count: int | None = None) -> list[Direction]:
    """The first `count` directions for all layers, as rosinality/stylegan2-pytorch `closed_form_factorization.py`.

    From the weights of all convolutions and of the first colours, as they are. Raises ValueError for StyleGAN.
    """
    if not isinstance(generator, stylegan2.Generator):
        raise ValueError("this form of SeFa is for StyleGAN2 generators, got a StyleGAN; use `factorise`")
    styles = range(generator.config.num_styles - 1)
    first_colours = np.asarray(generator.synthesis.blocks[0].to_rgb.modulation.kernel[...], np.float64)
    weights = np.concatenate([*(_weights(generator, k) for k in styles), first_colours], axis=1)
    return _directions(weights, None, count, "sefa-unnormalised")


def _weights(generator: Generator, k: int) -> np.ndarray:
    """What makes the style of layer k from its code, f64[w_dim, channels], without equalisation."""
    if isinstance(generator, stylegan2.Generator):
        blocks = generator.synthesis.blocks
        modulated = [*(conv for block in blocks for conv in block.convs), blocks[-1].to_rgb][k]
        return np.asarray(modulated.modulation.kernel[...], np.float64)
    epilogues = [epilogue for block in generator.synthesis.blocks for epilogue in block.epilogues]
    return np.asarray(epilogues[k].style.kernel[...], np.float64)


def _directions(weights: np.ndarray, layers: Sequence[int] | None, count: int | None, method: str) -> list[Direction]:
    values, vectors = np.linalg.eigh(weights @ weights.T)
    ordered = list(zip(values[::-1].tolist(), vectors.T[::-1].astype(np.float32), strict=True))
    return [
        Direction(
            f"component{i}",
            vector,
            "W",
            layers=None if layers is None else tuple(layers),
            metadata={"method": method, "eigenvalue": value},
        )
        for i, (value, vector) in enumerate(ordered[:count])
    ]
