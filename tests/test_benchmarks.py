"""The arithmetic of the benchmarks: analytic operations, and the predicted efficiency on pods."""

import dataclasses

import pytest

from experiments.benchmarks.flops import encoder_flops, face_flops, lpips_flops, synthesis_flops, training_flops
from experiments.benchmarks.planned import efficiency
from restyle_jax.nets.stylegan2 import GeneratorConfig
from restyle_jax.train.config import EncoderTraining


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


def test_efficiency_of_a_ring():
    assert efficiency(1.0, 0, 0, 8, 1e9, 1e-3) == 1
    assert efficiency(1.0, 10**9, 0, 2, 1e9, 0.0) == 0.5  # each of two devices passes on half of it, twice
    assert efficiency(1.0, 10**9, 500, 4, 1.5e9, 1e-3) == pytest.approx(1 / 2.5)
    assert efficiency(1.0, 10**9, 5, 256, 1e9, 1e-3) < efficiency(1.0, 10**9, 5, 8, 1e9, 1e-3)
