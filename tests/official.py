"""Checkpoint files in the official formats, with the keys and the order of the official code but any size.

The keys come from the manifests of the goldens, which list the state dicts of the official classes; narrow versions divide
every width by four and stop at a smaller resolution, so that a whole checkpoint takes a few megabytes.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from restyle_jax.convert import torch_file
from tests import networks, recipe

# Manifest of each official encoder class. e4e's has the tensors of pSp's.
ENCODERS = {
    "BackboneEncoder": "restyle_encoders/backbone_s18_c6",
    "ResNetBackboneEncoder": "restyle_encoders/resnet_backbone_s16_c6_cars",
    "GradualStyleEncoder": "restyle_encoders/gradual_s18_c3",
    "ResNetGradualStyleEncoder": "restyle_encoders/resnet_gradual_s14_c6",
    "ProgressiveBackboneEncoder": "restyle_encoders/progressive_backbone_s18_c6",
    "ResNetProgressiveBackboneEncoder": "restyle_encoders/resnet_progressive_backbone_s14_c6",
    "Encoder4Editing": "restyle_encoders/gradual_s18_c3",
}

Entry = tuple[str, list[int], str, str]
State = dict[str, np.ndarray]


def entries(manifest: str, prefix: str = "") -> list[Entry]:
    """[key, shape, dtype, rule] of every tensor, in the order of the official state dict."""
    return [
        (prefix + key, list(shape), dtype, rule) for key, shape, dtype, rule in networks.manifest(manifest)["weights"]
    ]


def resized(tensors: Sequence[Entry], *, resolution: int, narrow: int = 4, styles: int | None = None) -> list[Entry]:
    """The tensors that remain at a smaller resolution (with `styles` heads, or as many as fit), widths divided by `narrow`."""
    blocks = resolution.bit_length() - 2
    limits = {
        "convs": 2 * blocks - 2,
        "to_rgbs": blocks - 1,
        "noises.noise_": 2 * blocks - 1,
        "styles": styles or 2 * blocks,
    }

    def kept(key: str) -> bool:
        number = re.match(r"(?:encoder\.|decoder\.)?(convs|to_rgbs|noises\.noise_|styles)\.?(\d+)", key)
        return number is None or int(number[2]) < limits[number[1]]

    return [
        (key, shape if ":fir:" in rule or "noises" in key else _narrowed(shape, narrow), dtype, rule)
        for key, shape, dtype, rule in tensors
        if kept(key)
    ]


def _narrowed(shape: Sequence[int], factor: int) -> list[int]:
    axes = len(shape) - 2 if len(shape) >= 4 else len(shape)  # the last two of a convolution are its window
    return [
        (size - 1) // factor + 1 if size == 513 else size // factor if axis < axes and size % factor == 0 else size
        for axis, size in enumerate(shape)
    ]


def values(tensors: Sequence[Entry], seed: int = 0) -> State:
    """Random numbers of sensible size: as the recipe of the goldens, but drawn fast; batch counts are not zero."""
    state: State = {}
    for key, shape, _, rule in tensors:
        kind, *arguments = rule.split(":")[1:]
        generator = np.random.default_rng([seed, zlib.crc32(key.encode())])
        if kind == "int0":
            state[key] = np.asarray(generator.integers(1, 10**6), np.int64)
        elif kind == "fir":
            state[key] = recipe.weight("", key, shape, rule)
        else:
            scale, offset = float(arguments[0]), float(arguments[1])
            scale = 0.1 if re.search(r"styles\.\d+\.linear\.weight", key) else scale
            draw = generator.standard_normal if kind == "randn" else generator.random
            state[key] = np.asarray(offset + scale * draw(shape, np.float32), np.float32)
    return state


def generator(resolution: int = 32, narrow: int = 4, seed: int = 0) -> State:
    """A generator's state dict in rosinality's names."""
    return values(resized(entries("sg2_generator/g1024"), resolution=resolution, narrow=narrow), seed)


def discriminator(narrow: int = 4, seed: int = 0) -> State:
    """A 32-px discriminator's state dict in rosinality's names."""
    return values(resized(entries("sg2_discriminator/d32"), resolution=32, narrow=narrow), seed)


def stylegan(name: str) -> dict[str, Any]:
    """The contents of the StyleGAN file that the golden `name` belongs to, in the naming of its source."""
    state = recipe.build(networks.manifest(f"stylegan1/{name}"))
    return {"generator_smooth": state} if "genforce" in name else state


def checkpoint(
    encoder_type: str,
    *,
    resolution: int = 32,
    narrow: int = 4,
    styles: int | None = None,
    seed: int = 0,
    opts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The contents of a ReStyle, pSp or e4e checkpoint: state_dict, opts and latent_avg, the options extended by `opts`."""
    encoder = resized(entries(ENCODERS[encoder_type], "encoder."), resolution=resolution, narrow=narrow, styles=styles)
    decoder = resized(entries("sg2_generator/g1024", "decoder."), resolution=resolution, narrow=narrow)
    heads = styles or 2 * (resolution.bit_length() - 2)
    channels = next(
        shape[1] for key, shape, *_ in encoder if key.endswith(("input_layer.0.weight", "encoder.conv1.weight"))
    )
    average = 0.5 * np.random.default_rng(seed).standard_normal(512 // narrow)
    stated = {
        "encoder_type": encoder_type,
        "dataset_type": "ffhq_encode",
        "input_nc": channels,
        "output_size": resolution,
        "start_from_latent_avg": True,
        "learning_rate": 1e-4,
    }
    return {
        "state_dict": values([*encoder, *decoder], seed),
        "opts": {**stated, **(opts or {})},
        "latent_avg": np.tile(average.astype(np.float32), (heads, 1)),
    }


def style_transformer(resolution: int = 32, narrow: int = 4, seed: int = 0) -> dict[str, Any]:
    """The contents of a Style Transformer checkpoint: 18 tokens whatever the resolution, and the keys of DataParallel."""
    tensors = entries("style_transformer/inversion_1024")
    plain = [(key.replace(".module.", ".", 1), shape, dtype, rule) for key, shape, dtype, rule in tensors]
    state = values(resized(plain, resolution=resolution, narrow=narrow), seed)
    average = 0.5 * np.random.default_rng(seed).standard_normal(512 // narrow)
    return {
        "state_dict": {re.sub(r"^(encoder|decoder)", r"\1.module", key): array for key, array in state.items()},
        "opts": {"dataset_type": "ffhq_encode", "input_nc": 3, "output_size": resolution, "learn_in_w": False},
        "latent_avg": average.astype(np.float32),
    }


def write(path: Path, tree: Any) -> Path:
    """The tree as a torch file; returns its path."""
    with path.open("wb") as file:
        torch_file.write(file, tree)
    return path


def without(state: State, *keys: str) -> State:
    """The state dict without these keys."""
    return {key: value for key, value in state.items() if key not in keys}
