"""How well an attribute network sees each factor of avatars that it was not trained on.

    python -m experiments.avatars.attribute_accuracy runs/avatar_attributes/best [--pictures 2000]

Takes ten seconds on one CPU core. Numbers and angles: R2, the share of the variance that is explained (someone who does not look
reaches 0). Choices: the share of pictures whose value is recognised, what one reaches who always says the most frequent value, and
by which factor `frequencies` is off at worst, to either side.

A factor counts in every picture, also where it can hardly be seen: hair volume of a bald head, earrings behind long hair, the
pattern of a texture of strength 0. So not every factor can reach 1.
"""

import argparse
from pathlib import Path

import numpy as np

from data_pipelines.avatars import AvatarSource, render
from restyle_jax.checkpoints.attributes import load_attributes
from restyle_jax.nets.attributes import AttributeNetwork, describe, frequencies
from restyle_jax.ops.images import to_float
from restyle_jax.train.attributes import errors, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--pictures", type=int, default=2000, help="how many test pictures to draw")
    options = parser.parse_args()
    for line in report(load_attributes(options.network), options.pictures):
        print(line)


def report(network: AttributeNetwork, pictures: int) -> list[str]:
    """The table, line by line."""
    config = network.config
    source = AvatarSource("test", pictures, config.resolution)
    factors = source.described(np.arange(pictures))
    images, known = to_float(render(factors, config.resolution)), table(config, factors)
    found = describe(network, images)
    numbers, _ = errors(config, found, known)
    explained = 1 - np.asarray(numbers).mean(0)
    lines = [f"{'number or angle':22} {'R2':>7}"]
    names = (*(name for name, *_ in config.scalars), *config.angles)
    lines += [f"{name:22} {value:7.3f}" for name, value in zip(names, explained, strict=True)]
    lines += [
        f"{'mean':22} {explained.mean():7.3f}",
        "",
        f"{'choice':22} {'right':>7} {'chance':>7} {'values':>7} {'off by':>7}",
    ]
    said = frequencies(network, images)
    right = []
    for i, (name, values) in enumerate(config.choices):
        truth = known["choices"][:, i]
        right.append(float((found.choices[name].argmax(-1) == truth).mean()))
        shares = np.bincount(truth, minlength=len(values)) / pictures
        occurs = shares > 0
        ratios = np.array(list(said[name].values()))[occurs] / shares[occurs]
        off = max(ratios.max(), 1 / ratios.min())
        lines.append(f"{name:22} {right[-1]:7.3f} {shares.max():7.3f} {len(values):7} {off:7.2f}")
    return [*lines, f"{'mean':22} {np.mean(right):7.3f}"]


if __name__ == "__main__":
    main()
