"""Distortions of avatars: none at strength 0, stronger with the strength, the same everywhere; pairs of one identity."""

import numpy as np
import pytest

from data_pipelines.avatars import AvatarSource, IdentityPairs, render
from data_pipelines.distorted_avatars import DISTORTIONS, KINDS, RATIO, STRONGEST, toward, triplets
from data_pipelines.drawing.factors import FACTORS


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return render(AvatarSource("test", 9, 64).described(np.array([8])), 64)[0]


@pytest.mark.parametrize("kind", DISTORTIONS)
def test_errors_grow_with_the_strength(kind: str, picture: np.ndarray):
    def distorted(strength: float) -> np.ndarray:
        found = DISTORTIONS[kind](picture, strength, np.random.default_rng(4))
        assert found.shape == picture.shape and found.dtype == np.uint8
        return found.astype(float) - picture

    errors = [np.square(distorted(strength)).mean() for strength in (0.0, 0.25, 0.5, 1.0)]
    assert errors[0] <= (40 if kind == "compression" else 0)  # JPEG loses colour at any quality
    assert errors[0] < errors[1] < errors[2] < errors[3]


def test_each_does_what_its_name_says(picture: np.ndarray):
    random = np.random.default_rng(0)
    noise = DISTORTIONS["noise"](np.full((64, 64, 3), 128, np.uint8), 1, random).astype(float)
    assert noise.std() == pytest.approx(0.15 * 255, rel=0.05) and abs(noise.mean() - 128) < 2
    moved = DISTORTIONS["colour"](np.full((64, 64, 3), 128, np.uint8), 0.5, random)
    assert np.ptp(moved, axis=(0, 1)).max() == 0
    assert np.linalg.norm(moved[0, 0] - 128.0) == pytest.approx(0.15 * 255, abs=1)
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[:, None, None] * 3, 64, 1).repeat(3, 2)
    shifted = DISTORTIONS["shift"](ramp, 1, random)[20:40].astype(float) - ramp[20:40]
    assert np.ptp(shifted) <= 1 and np.abs(shifted).max() <= 18  # 6 px at most, of 3 levels each
    blurred = DISTORTIONS["blur"](picture, 1, random)
    assert np.abs(np.diff(blurred.astype(float), axis=0)).max() < np.abs(np.diff(picture.astype(float), axis=0)).max()


def test_triplets_are_ordered_and_repeatable():
    avatars = AvatarSource("train", 60, 16)
    found, again = triplets(avatars, 3), triplets(avatars, 3)
    for name in ("original", "nearer", "farther"):
        pictures = getattr(found, name)
        assert pictures.shape == (60, 16, 16, 3) and pictures.dtype == np.uint8
        np.testing.assert_array_equal(pictures, getattr(again, name))
    np.testing.assert_array_equal(found.original, render(avatars.described(np.arange(60)), 16))
    assert (found.kinds[::2, 0] == found.kinds[::2, 1]).all() and set(found.kinds.ravel()) == set(range(len(KINDS)))
    weaker, stronger = found.strengths.T
    assert STRONGEST[0] <= stronger.min() and stronger.max() <= STRONGEST[1]
    assert (weaker <= RATIO[1] * stronger).all() and (weaker >= RATIO[0] * stronger).all()
    assert (triplets(avatars, 4).kinds != found.kinds).any()
    with pytest.raises(ValueError, match="4 avatars: expected more than 4"):
        triplets(AvatarSource("train", 4, 16), 0)


def test_a_face_on_the_way_to_another():
    avatars = AvatarSource("train", 8, 16)
    one, other = (avatars.described(np.array([i])) for i in (0, 4))
    start, end = (toward(one, other, np.array([strength])) for strength in (0.0, 1.0))
    for name, factor in FACTORS.items():
        np.testing.assert_allclose(start[name], one[name])
        moves = factor.role == "identity" and factor.kind != "discrete"
        np.testing.assert_allclose(end[name], (other if moves else one)[name])


def test_pairs_show_one_identity_and_two_pictures():
    avatars = AvatarSource("test", 14, 16)  # three identities, and two pictures of a fourth
    pairs = IdentityPairs(avatars)
    assert (len(pairs), pairs.identities, pairs.paired) == (18, 3, True)
    numbers = [pairs.pictures(i) for i in range(len(pairs))]
    assert len(set(numbers)) == 18 and all(a < b and a // 4 == b // 4 == i % 3 for i, (a, b) in enumerate(numbers))
    first, second = pairs.open(7)
    np.testing.assert_array_equal(np.asarray(first), np.asarray(avatars.open(numbers[7][0])[0]))
    np.testing.assert_array_equal(np.asarray(second), np.asarray(avatars.open(numbers[7][1])[0]))
    assert pairs.name(7) == "2147483649_0_3.png" and pairs.head(7) == ((16, 16), "RGB")
    with pytest.raises(ValueError, match="7 pictures: expected at least 8"):
        IdentityPairs(AvatarSource("test", 7, 16))
