"""The arithmetic of the benchmarks: analytic operations, and the predicted efficiency on pods; and a run of one that is short."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import restyle_jax  # noqa: F401 - before jax: it chooses the convolutions of the CPU backend

# isort: split
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import accelerator
from experiments.benchmarks.flops import (
    discriminator_flops,
    encoder_flops,
    face_flops,
    generator_training_flops,
    lpips_flops,
    mapping_flops,
    synthesis_flops,
    training_flops,
)
from experiments.benchmarks.generator_programs import Ours, Unconditional, updates
from experiments.benchmarks.generator_training import measure, table
from experiments.benchmarks.input import main as measure_input
from experiments.benchmarks.measure import slowest, slowest_lines
from experiments.benchmarks.official_generator import import_official
from experiments.benchmarks.planned import efficiency, predictions, scaling_table, training_config
from restyle_jax.nets.discriminators import DiscriminatorConfig
from restyle_jax.nets.encoders import EncoderConfig
from restyle_jax.nets.style_transformer import StyleTransformerConfig
from restyle_jax.nets.stylegan2 import GeneratorConfig
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.stylegan_config import StyleGANTraining

SMALL = StyleGANTraining(
    resolution=16,
    channel_base=128,
    channel_max=8,
    w_dim=8,
    mapping_layers=2,
    batch_size=4,
    style_mixing=0.9,
)


def test_operations_of_the_loss_networks():
    # AlexNet on 64 px, whose maps have 15, 7 and 3 pixels a side.
    alex = 15**2 * 121 * 3 * 64 + 7**2 * 25 * 64 * 192 + 3**2 * 9 * (192 * 384 + 384 * 256 + 256 * 256)
    assert lpips_flops("alex", 64, 64) == 2 * alex
    # torchvision's own counts in GMAC for 224 px, without the classifiers that LPIPS leaves out.
    assert lpips_flops("alex", 224, 224) / 2 == pytest.approx(0.714e9 - 0.0586e9, rel=0.01)
    assert lpips_flops("vgg", 224, 224) / 2 == pytest.approx(15.47e9 - 0.124e9, rel=0.01)
    assert lpips_flops("squeeze", 224, 224) / 2 == pytest.approx(0.349e9 - 0.0865e9, rel=0.01)
    # InsightFace's count for its IR-SE50.
    assert face_flops() / 2 == pytest.approx(6.3e9, rel=0.02)


def test_operations_of_an_iteration():
    config = EncoderTraining(steps_per_image=3, height=64, width=64)
    sizes = GeneratorConfig.rosinality(64)
    encoder = config.encoder(sizes.num_styles)
    plain = training_flops(config, encoder, sizes)
    trained, fixed = encoder_flops(encoder, 64, 64), synthesis_flops(sizes)
    lpips = lpips_flops("alex", 64, 64)
    assert plain.forward == 3 * (trained + fixed + lpips) + lpips
    assert plain.backward == 3 * (2 * trained + fixed + lpips)
    faces = training_flops(dataclasses.replace(config, identity=0.1), encoder, sizes)
    assert faces.forward - plain.forward == 4 * face_flops()


def test_operations_of_a_style_transformer():
    # 32 px, ResNet-18 of width 4: maps of 8 px with 8 channels, 4 px with 16 and 2 px with 32, which is also the width of 3 tokens.
    config = StyleTransformerConfig(3, trunk="resnet18", style_dim=32, width=4, hidden=5)
    pyramid = 4 * 4 * 16 * 32 + 8 * 8 * 8 * 32
    layers = [2 * 3 * (3 + n) * 32 + (4 * 3 + 2 * 3 + 2 * n) * 32 * 32 + 2 * 3 * 32 * 5 for n in (4, 16, 64)]
    trunk = encoder_flops(EncoderConfig("backbone", "resnet18", 1, 3, 32, 4, 1), 32, 32) - 2 * (9 + 1) * 32 * 32
    assert encoder_flops(config, 32, 32) == trunk + 2 * (pyramid + sum(layers))


def test_efficiency_of_a_ring():
    assert efficiency(1.0, 0, 0, 8, 1e9, 1e-3) == 1
    assert efficiency(1.0, 10**9, 0, 2, 1e9, 0.0) == 0.5  # each of two devices passes on half of it, twice
    assert efficiency(1.0, 10**9, 500, 4, 1.5e9, 1e-3) == pytest.approx(1 / 2.5)
    assert efficiency(1.0, 10**9, 5, 256, 1e9, 1e-3) < efficiency(1.0, 10**9, 5, 8, 1e9, 1e-3)


def test_predictions_for_pods():
    config, sizes = training_config(64, steps_per_image=5), GeneratorConfig.rosinality(64)
    sums = {"bytes": 10**9, "calls": 0}
    found = predictions(config, sizes, (2, 8), sums)
    assert [(row["device"], row["batch"]) for row in found[:2]] == [("TPU v5e", 2), ("TPU v5e", 8)]
    for row in found:
        for count, value in row["efficiency"].items():  # a fifth of the bytes takes a fifth of the time
            assert 1 / row["summed_once"][count] - 1 == pytest.approx((1 / value - 1) / 5)
    assert scaling_table(found, sums).count("\n|") == 2 + len(found)


def test_operations_of_a_discriminator():
    # 8 px: from RGB; two convolutions and the skip of the block; at 4 px a convolution, with one channel more, and two layers.
    block = 64 * 9 * 5 * 5 + 16 * (9 + 1) * 5 * 7
    expected = 2 * (64 * 3 * 5 + block + 16 * 9 * 8 * 7 + 16 * 7 * 7 + 7)
    assert discriminator_flops(DiscriminatorConfig(8, (7, 5))) == expected
    assert mapping_flops(GeneratorConfig(8, (7, 5), z_dim=3, w_dim=4, mapping_layers=3)) == 2 * (3 * 4 + 2 * 4 * 4)


def test_operations_of_generator_training():
    """Those that XLA counts in the programs as they are traced: some less, because it leaves out the products with zeros of the
    borders (8 percent of a 3x3 convolution at 16 px), and the activations more."""
    config = dataclasses.replace(SMALL, channel_base=4096, channel_max=256, w_dim=64)
    ours = Ours(config, np.zeros((4, 16, 16, 3), np.float32))

    def counted(function: Callable) -> float:
        cost: Any = jax.jit(function).lower(ours.state, ours.frozen, ours.batch).cost_analysis()
        return cost["flops"] / 1e9

    found = {name: counted(update) for name, update in updates(ours.trainer).items()}
    expected = ours.gflops()
    for name, value in found.items():
        assert 0.9 < value / expected[name] < 0.95, name
    every = [*ours.due(0)]
    assert sorted(every) == ["discriminator", "generator"] and ours.due(1) == set() and ours.due(4) == {"generator"}
    trainer = ours.trainer
    whole = Unconditional(trainer.config, trainer.sizes, trainer.generator, trainer.discriminator, ours.due(0))
    assert counted(whole.step) == pytest.approx(sum(found.values()), rel=0.01)
    assert list(generator_training_flops(trainer.sizes, DiscriminatorConfig(8, (7, 5)))) == list(ours.intervals)


def test_the_benchmark_of_generator_training_runs():
    rows, difference = measure(SMALL, ("phases", "data"), repeats=1, operations=3)
    assert difference is None
    assert [row.name for row in rows] == ["G main", "G path", "D main", "D R1", "data"]
    assert [row.every for row in rows] == [1, 4, 1, 16, 1]
    for row in rows:
        assert row.seconds > 0 and row.per_kimg == pytest.approx(row.seconds / row.every * 250)
    assert table(rows, {"jax": 1e9}).count("\n|") == 2 + len(rows)
    assert [len(row.slowest) for row in rows] == [3, 3, 3, 3, 0]


def test_the_slowest_operations():
    x = jnp.ones((600, 600))
    function = jax.jit(lambda x: jnp.sin(x @ x).sum())
    function(x)
    found = slowest(lambda: function(x), 2)
    program = function.lower(x).compile().as_text()
    assert len(found) == 2 and all(f"%{name.partition(':')[0]} =" in program for name in found)
    assert min(found.values()) > 0 and [*found.values()] == sorted(found.values(), reverse=True)
    text = slowest_lines({"a product": found, "another": {"dot.1": 0.0125}})
    assert text.startswith("Slowest in a product:\n") and text.endswith("Slowest in another:\n  12.5 ms  dot.1")


def test_the_benchmark_of_the_input_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    short = "--sizes 16 --kinds drawn jpg --threads 1 --batch-size 4 --seconds 0.01 --repeats 1 --device-ms 1"
    monkeypatch.setattr("sys.argv", ["input", *short.split()])
    measure_input()
    _, _, *rows = (line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines())
    assert [row[1:3] for row in rows] == [["drawn", "memory"], ["jpg", "folder"], ["jpg", "prepared"]]
    assert all(float(row[4]) > 0 and float(row[7]) >= 0 for row in rows)


def test_all_benchmarks_of_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert accelerator.COMPARED.keys() <= accelerator.BENCHMARKS.keys()
    planned = "training --repeats 0"  # only plans, and so writes its numbers at once
    short = {"planned": planned, "encoder_1024_float32": f"{planned} --batch-sizes none"}
    monkeypatch.setattr(accelerator, "BENCHMARKS", short)
    assert accelerator.main(["--output", str(tmp_path)]) == 1
    assert json.loads((tmp_path / "planned.json").read_text())["rows"] == []
    printed = capsys.readouterr()
    assert "invalid int value: 'none'" in printed.out and "encoder_1024_float32 ended with status 2" in printed.err
    assert accelerator.main(["--output", str(tmp_path), "--names", "planned"]) == 0


def test_the_reference_must_be_the_public_trainer(tmp_path: Path):
    with pytest.raises(
        FileNotFoundError, match=r"no training/networks.py.*expected a checkout of NVlabs/stylegan2-ada"
    ):
        import_official(tmp_path)
