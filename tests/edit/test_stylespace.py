"""S: codes as points of it, pictures of points, statistics, and the channels that go with an attribute."""

import numpy as np
import pytest

import restyle_jax
from restyle_jax.edit import stylespace
from restyle_jax.edit.direction import apply
from restyle_jax.model import Model, synthesise
from tests.edit.generators import stylegan2_of, stylegan_of

RANDOM = np.random.default_rng(0)


def codes(count: int) -> np.ndarray:
    return RANDOM.standard_normal((count, 6, 16)).astype(np.float32)


def statistics(widths: tuple[int, ...] = (4, 4, 4, 3, 3)) -> stylespace.Statistics:
    channels = sum(widths)
    return stylespace.Statistics(
        RANDOM.standard_normal(channels).astype(np.float32), RANDOM.uniform(0.5, 2, channels).astype(np.float32), widths
    )


def test_pictures_of_points_are_those_of_the_codes_bit_for_bit():
    generator, w = stylegan2_of(), codes(3)
    points = stylespace.styles(generator, w)
    assert points.shape == (3, sum(generator.config.style_widths))
    expected = synthesise(Model(generator=generator, w_avg=w[0]), w, batch_size=2)
    np.testing.assert_array_equal(stylespace.pictures(generator, points, batch_size=2), expected)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_pictures_of_points_of_a_trained_generator_are_those_of_the_codes_bit_for_bit(batch_size: int):
    model = restyle_jax.load("avatars64/stylegan2")
    generator, w_avg = model.require_generator()
    w = np.asarray(w_avg) + RANDOM.standard_normal((4, *w_avg.shape)).astype(np.float32) / 2
    points = stylespace.styles(generator, w)
    expected = synthesise(model, w, batch_size=batch_size)
    np.testing.assert_array_equal(stylespace.pictures(generator, points, batch_size=batch_size), expected)


def test_a_step_along_a_channel_changes_its_style_only():
    generator = stylegan2_of()
    points = stylespace.styles(generator, codes(4))
    found = stylespace.statistics(generator, [codes(50)])
    widths = generator.config.style_widths
    moved = np.asarray(apply(stylespace.channel(found, 3, 5), points, [0.0, 2.0]))
    c = sum(widths[:3]) + 5
    assert moved[0].tobytes() == points.tobytes()
    np.testing.assert_allclose(moved[1][:, c], points[:, c] + 2 * found.std[c], rtol=1e-5)
    assert (np.delete(moved[1], c, 1) == np.delete(points, c, 1)).all()
    absolute = np.asarray(apply(stylespace.channel(found, 3, 5, sign=-1), points, 2.0, mode="absolute"))
    np.testing.assert_allclose(absolute[:, c], found.mean[c] - 2 * found.std[c], atol=1e-5)
    assert np.abs(stylespace.pictures(generator, moved[1]) - stylespace.pictures(generator, points)).max() > 1e-4


def test_statistics_are_those_of_all_codes_at_once():
    generator, w = stylegan2_of(), codes(130) + 2
    points = stylespace.styles(generator, w)
    found = stylespace.statistics(generator, (w[i : i + 50] for i in range(0, 130, 50)))
    np.testing.assert_allclose(found.mean, points.mean(0), atol=1e-4)
    np.testing.assert_allclose(found.std, points.std(0), rtol=1e-4)
    assert found.widths == generator.config.style_widths
    with pytest.raises(ValueError, match="there are no codes"):
        stylespace.statistics(generator, [])


def test_channels_of_colours_are_every_third_style():
    found = statistics()
    assert found.to_colours.tolist() == [False] * 4 + [True] * 4 + [False] * 7 + [True] * 3


def test_scores_are_those_of_the_paper():
    found = statistics()
    positives = found.mean + found.std * RANDOM.standard_normal((12, 18)).astype(np.float32)
    positives[:, 9] = found.mean[9] - found.std[9] * RANDOM.normal(3, 0.1, 12)  # clearly less of channel 9
    positives[:, 2] = found.mean[2] + found.std[2] * RANDOM.normal(2, 0.2, 12)
    positives[:, 5] = found.mean[5] + 10 + RANDOM.normal(0, 0.1, 12)  # of colours
    scores, signs = stylespace.attribute_scores(found, positives)
    difference = (positives - found.mean) / found.std
    expected = np.abs(difference.mean(0)) / difference.std(0)
    np.testing.assert_allclose(scores[~found.to_colours], expected[~found.to_colours], rtol=1e-4)
    assert not scores[found.to_colours].any() and signs[9] == -1 and signs[2] == 1

    best = stylespace.attribute_channels(found, positives, name="hat", count=3)
    assert [d.name for d in best] == ["hat0", "hat1", "hat2"]
    assert [d.metadata["channel"] for d in best[:2]] == [[2, 1], [0, 2]]
    assert best[0].vector[9] == -1 and best[1].vector[2] == 1 and best[0].metadata["score"] == scores[9]


def test_channels_that_never_change_score_nothing():
    found = statistics()
    found.std[:] = 0
    positives = found.mean + RANDOM.standard_normal((3, 18)).astype(np.float32)
    scores, _ = stylespace.attribute_scores(found, positives)
    assert not scores.any() and not stylespace.attribute_channels(found, positives, name="a")
    with pytest.raises(ValueError, match="is the same for all codes"):
        stylespace.channel(found, 0, 0)


def test_places():
    assert [stylespace.place((2, 1, 3), c) for c in range(6)] == [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2)]


def test_other_generators_and_shapes():
    generator, found = stylegan2_of(), statistics()
    with pytest.raises(ValueError, match=r"this generator is a StyleGAN, use codes of W\+"):
        stylespace.styles(stylegan_of(), codes(1))
    with pytest.raises(ValueError, match=r"points of S have shape \(2, 18\), expected \[B, 112\] for this 16-px"):
        stylespace.pictures(generator, np.ones((2, 18)))
    with pytest.raises(ValueError, match=r"expected \[B, 6, 16\]"):
        stylespace.styles(generator, codes(2)[:, :4])
    with pytest.raises(ValueError, match=r"no channel \(2, 4\): style 2 has channels 0 to 3"):
        stylespace.channel(found, 2, 4)
    with pytest.raises(ValueError, match=r"no channel \(5, 0\): there are styles 0 to 4"):
        stylespace.channel(found, 5, 0)
    with pytest.raises(ValueError, match=r"positives have shape \(1, 18\), expected \[n, 18\] with two points"):
        stylespace.attribute_scores(found, np.ones((1, 18)))
    with pytest.raises(ValueError, match=r"expected \[18\], the sum of widths"):
        stylespace.Statistics(np.ones(3), np.ones(3), (18,))
