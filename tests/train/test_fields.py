"""Fields of a configuration as text, and what is checked about their values."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import optax
import pytest

from restyle_jax.jobs.experiment import KINDS
from restyle_jax.train import fields
from restyle_jax.train.checks import problems
from restyle_jax.train.config import EncoderTraining

HINTS = fields.hints(EncoderTraining)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("batch_size", "16", 16),
        ("learning_rate", "5e-5", 5e-5),
        ("data", "a folder", Path("a folder")),
        ("data", "none", None),
        ("progressive_start", "none", None),
        ("progressive_start", "100", 100),
        ("ema", "0.999", 0.999),
        ("resize_factors", "1,2,4", (1, 2, 4)),
        ("trunk", "resnet34", "resnet34"),
        ("optimizer", "adam", "adam"),
    ],
)
def test_text_means_a_value(name: str, text: str, value: Any) -> None:
    found = fields.parse(text, HINTS[name])
    assert found == value and type(found) is type(value)
    assert fields.fits(found, HINTS[name])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("batch_size", "1.5", "a whole number"),
        ("batch_size", "none", "a whole number"),
        ("learning_rate", "nan", "a number"),
        ("learning_rate", "inf", "a number"),
        ("ema", "fast", "a number or none"),
        ("data", "", "a path or none"),
        ("resize_factors", "1;2", "whole numbers with commas between them"),
        ("trunk", "resnet", "one of irse50, irse100, irse152, resnet18, resnet34, resnet50"),
        ("optimizer", "sgd", "one of ranger, adam"),
    ],
)
def test_other_text_is_refused(name: str, text: str, expected: str) -> None:
    with pytest.raises(ValueError):
        fields.parse(text, HINTS[name])
    assert fields.expected(HINTS[name]) == expected


def test_every_field_can_be_described_and_read() -> None:
    """What the command line cannot set would be missing from it without anybody noticing."""
    for name, hint in HINTS.items():
        default = getattr(EncoderTraining(), name)
        assert fields.expected(hint), name
        assert fields.fits(default, hint), name
        if hint is not bool:
            text = {None: "none"}.get(default, str(default)) if not isinstance(default, tuple) else "1,2"
            assert fields.fits(fields.parse(text, hint), hint), name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generator": "ffhq.pt"}, ["generator: found 'ffhq.pt', expected a path such as Path(\"photos\") or none"]),
        ({"batch_size": True}, ["batch_size: found True, expected a whole number"]),
        ({"lpips": float("nan")}, ["lpips: found nan, expected a number"]),
        ({"learning_rate": 10**400}, [f"learning_rate: found {10**400}, expected 2147483647 or less"]),
        ({"head": np.zeros(3)}, ["head: found array([0., 0., 0.]), expected one of backbone, progressive"]),
        (
            {"optimizer": optax.sgd(1.0)},
            ["expected one of ranger, adam, or a function without arguments that returns one"],
        ),
        ({"flip": 1}, ["flip: found 1, expected true or false"]),
        (
            {"resize_factors": [1, 2]},
            ["resize_factors: found [1, 2], expected a tuple of whole numbers such as (1, 2)"],
        ),
        ({"micro_batches": 0}, ["micro_batches: found 0, expected 1 or more"]),
        ({"batch_size": 0, "l2": -1}, ["batch_size: found 0, expected 1 or more", "l2: found -1, expected 0 or more"]),
        ({"decay_from": 5, "optimizer": lambda: None}, ["decay_from: found 5 with an optimizer of your own"]),
        ({"decay_from": -1}, ["decay_from: found -1, expected 0 or more"]),
        ({"decay_from": 2**31}, ["decay_from: found 2147483648, expected 2147483647 or less"]),
        ({"r1_every": 10**20, "seed": 2**63}, ["seed: found", "r1_every: found 1"]),
        ({"ema": 1.0}, ["ema: found 1.0, expected a number between 0 and 1"]),
        ({"resize_factors": (0,)}, ["resize_factors: found (0,)"]),
        ({"height": 200, "top": 100}, ["found 200 rows from row 100 on"]),
        ({"batch_size": 8, "micro_batches": 3}, ["8 pictures do not divide into 3 equal parts"]),
        ({"identity": 0.1, "moco": 0.5}, ["identity and moco: found 0.1 and 0.5, expected one of them to be 0"]),
        ({"l2": 0, "lpips": 0}, ["found 0 for all"]),
        ({"identity": 0.1, "height": 192, "top": 32}, ["identity: found 0.1 with pictures of 192 x 256"]),
        ({"delta": 1e-4}, ["delta: found 0.0001 without progressive_start"]),
        ({"progressive_start": 10}, ["progressive_start: found 10 with head backbone"]),
        ({"task": "sketch"}, ["in_channels: found 6 for task sketch, expected 1"]),
        ({"task": "segmentation"}, ["in_channels: found 6 for task segmentation, expected the number of classes"]),
        (
            {"task": "segmentation", "in_channels": 1},
            ["in_channels: found 1 for task segmentation, expected the number"],
        ),
    ],
)
def test_impossible_values_are_all_named(changes: dict[str, Any], words: list[str]) -> None:
    found = problems(dataclasses.replace(EncoderTraining(), **changes))
    assert len(found) == len(words), found
    assert all(word in sentence for word, sentence in zip(words, found, strict=True)), found


def test_the_defaults_and_an_own_optimizer_are_fine() -> None:
    assert problems(EncoderTraining()) == []
    assert problems(EncoderTraining(seed=2**63 - 1, decay_from=2**31 - 1)) == []
    assert problems(EncoderTraining(optimizer=lambda: None)) == []  # pyright: ignore[reportArgumentType]


def test_a_name_that_several_configurations_have_means_one_type() -> None:
    """As it is one option of `restyle train`."""
    types: dict[str, set[str]] = {}
    for kind in KINDS.values():
        for name, hint in fields.hints(kind).items():
            types.setdefault(name, set()).add(str(hint))
    assert not {name: found for name, found in types.items() if len(found) > 1}
