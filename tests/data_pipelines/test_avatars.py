"""Drawn faces: fixed, each by itself, every factor visible where it belongs; prepared and read back with their factors."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_pipelines import avatars
from data_pipelines.avatars import PICTURES_PER_IDENTITY, AvatarSource, KeptAvatars, layout, render
from data_pipelines.check import check
from data_pipelines.drawing import processes
from data_pipelines.drawing.factors import FACTORS, Continuous, Discrete, code, sample_factors
from data_pipelines.drawing.styles import DRAWN_AS, STYLES, comic
from data_pipelines.folder import ImageError
from data_pipelines.loader import training_batches
from data_pipelines.preparation import Preparation
from data_pipelines.source import PreparedSource, open_split
from restyle_jax.cli import main
from tests.data_pipelines import made_up

# Mean colours of avatars 0 to 7 at 32 px. They change only with a decision to draw all of them anew.
MEANS = [
    [127.24, 146.24, 131.5],
    [142.7, 161.3, 121.59],
    [148.25, 115.38, 138.81],
    [170.79, 143.67, 104.76],
    [128.81, 135.63, 140.55],
    [95.59, 100.52, 87.15],
    [191.26, 147.18, 128.58],
    [129.71, 136.05, 103.84],
]
COMIC_MEANS = [[129.87, 161.31, 138.27], [146.93, 170.53, 113.96], [160.29, 110.38, 155.79]]


def some(count: int, first: int = 0) -> dict[str, np.ndarray]:
    return sample_factors(np.arange(first, first + count), np.zeros(count, int))


def neutral(count: int) -> dict[str, np.ndarray]:
    """Faces in which every part can be seen."""
    plain = {"hair_style": "parted", "glasses": "none", "beard": "none", "hat": "none", "earrings": "none"}
    looks = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, "eye_open": 1.0, "texture": 0.0, "light_strength": 0.5}
    values = {name: code(name, value) for name, value in plain.items()} | looks
    return some(count) | {name: np.full(count, value) for name, value in values.items()}


def changed(factors: dict[str, np.ndarray], name: str, value: float) -> np.ndarray:
    """Where and how much a picture of 64 px changes with one factor: f64[B, 64, 64], the largest of the channels."""
    after = render(factors | {name: np.full_like(factors[name], value)}, 64)
    return abs(after.astype(float) - render(factors, 64)).max(3)


def test_the_table_is_rich_and_documented() -> None:
    kinds = [factor.kind for factor in FACTORS.values()]
    assert kinds.count("continuous") >= 12 and kinds.count("discrete") >= 8
    assert {factor.role for factor in FACTORS.values()} == {"identity", "attribute", "nuisance"}
    for factor in FACTORS.values():
        assert factor.meaning
        if isinstance(factor, Discrete) and factor.shares:
            assert len(factor.shares) == len(factor.values) and sum(factor.shares) == pytest.approx(1)


def test_factors_are_fixed_and_fill_their_ranges() -> None:
    found = some(4000)
    assert found["yaw"][:3] == pytest.approx([21.736635422982253, -26.527016250964977, -22.127054529570877], abs=1e-9)
    for name, factor in FACTORS.items():
        values = found[name]
        if isinstance(factor, Continuous):
            width = factor.high - factor.low
            assert factor.low <= values.min() < factor.low + 0.01 * width
            assert factor.high - 0.01 * width < values.max() <= factor.high
        else:
            share = np.bincount(values, minlength=len(factor.values)) / 4000
            expected = factor.shares or np.full(len(factor.values), 1 / len(factor.values))
            np.testing.assert_allclose(share, expected, atol=0.03)
    table = np.corrcoef(np.stack(list(found.values())))
    assert abs(table - np.eye(len(table))).max() < 0.08, "factors are independent"


def test_pictures_of_one_identity_share_its_factors_alone() -> None:
    found = sample_factors(np.full(50, 7), np.arange(50))
    for name, factor in FACTORS.items():
        assert (len(set(found[name])) == 1) == (factor.role == "identity"), name
    other = sample_factors(np.full(50, 8), np.arange(50))
    assert not np.array_equal(found["smile"], other["smile"])


def test_pictures_are_fixed() -> None:
    np.testing.assert_allclose(render(some(8), 32).mean((1, 2)), MEANS, atol=0.05)


def test_a_picture_does_not_depend_on_its_batch() -> None:
    factors = some(40)
    whole = render(factors, 64)
    assert whole.shape == (40, 64, 64, 3) and whole.dtype == np.uint8
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_array_equal(render({name: values[order] for name, values in factors.items()}, 64), whole[order])
    for i in range(0, 40, 5):
        alone = render({name: values[[i]] for name, values in factors.items()}, 64)
        np.testing.assert_array_equal(alone[0], whole[i])
    assert render({name: values[:0] for name, values in factors.items()}, 64).shape == (0, 64, 64, 3)


def test_every_value_of_every_factor_shows() -> None:
    factors = neutral(12) | {"texture": np.full(12, 0.5), "eye_shadow": np.full(12, 0.5)}
    before = render(factors, 64).astype(float)
    for name, factor in FACTORS.items():
        # Of the patterns of noise, some will do.
        values = range(min(len(factor.values), 9)) if isinstance(factor, Discrete) else (factor.low, factor.high)
        for value in values:
            after = render(factors | {name: np.full_like(factors[name], value)}, 64)
            moved = factors[name] != value
            np.testing.assert_array_equal(after[~moved], before[~moved])
            if name in ("light_direction", "background_hue", "clothes_hue"):
                moved &= abs(factors[name] - 180) < 100  # 0 and 360 degrees are the same
            if moved.any():
                largest = np.median(abs(after - before).max((1, 2, 3))[moved])
                assert largest > 8, f"{name} = {value}: half of the pictures change by {largest} of 255 at most"


@pytest.mark.parametrize(
    ("name", "value", "rows"),
    [
        ("hat", "beanie", (0, 32)),
        ("hat", "cap", (0, 32)),
        ("hat", "brim", (0, 32)),
        ("glasses", "round", (20, 40)),
        ("glasses", "tinted", (20, 40)),
        ("beard", "moustache", (36, 50)),
        ("beard", "goatee", (36, 60)),
        ("beard", "full", (28, 62)),
        ("earrings", "hoops", (30, 50)),
        ("lipstick", "red", (36, 56)),
        ("freckles", "yes", (30, 46)),
        ("collar", "turtleneck", (42, 64)),
    ],
)
def test_discrete_factors_change_their_region(name: str, value: str, rows: tuple[int, int]) -> None:
    factors = neutral(16)
    factors[name] = np.zeros_like(factors[name])
    difference = changed(factors, name, code(name, value))
    first, last = rows
    assert (difference[:, first:last].max((1, 2)) > 20).all()
    assert difference[:, :first].max(initial=0) <= 2 and difference[:, last:].max(initial=0) <= 2


def test_turning_the_head_moves_the_face_and_not_the_backdrop() -> None:
    factors = neutral(8)
    corners = changed(factors, "yaw", 30)[:, :8, :8]
    assert corners.max() <= 2 and changed(factors, "yaw", 30)[:, 16:48, 16:48].mean() > 5


def test_resolutions_show_the_same() -> None:
    factors = some(12)
    small, large = render(factors, 64).astype(float), render(factors, 128).astype(float)
    averaged = large.reshape(12, 64, 2, 64, 2, 3).mean((2, 4))
    difference = abs(averaged - small)
    assert difference.mean() < 1.5 and np.quantile(difference, 0.99) < 16
    # Drawing without coverage, from the middle of every pixel, would be far off.
    assert difference.mean() < 0.5 * abs(large[:, ::2, ::2] - small).mean()


def test_splits_have_other_identities() -> None:
    train, test = AvatarSource("train", 10, 16), AvatarSource("test", 10, 16)
    found = [source.factors(i) for source in (train, test) for i in range(10)]
    identities = [[values["identity"] for values in found[part]] for part in (slice(10), slice(10, None))]
    assert not set(identities[0]) & set(identities[1])
    assert identities[0] == [0] * PICTURES_PER_IDENTITY + [1] * PICTURES_PER_IDENTITY + [2] * 2
    assert train.name(5) == "0000000001_1.png" and test.name(0) == "2147483648_0.png"
    last = AvatarSource("train", 2**31 * PICTURES_PER_IDENTITY, 16)
    assert last.factors(len(last) - 1)["identity"] == 2**31 - 1


def test_streaming() -> None:
    source = AvatarSource("train", 6, 24)
    batches = training_batches(source, Preparation(height=24, width=24, flip=False), batch_size=3, seed=1)
    found = [next(batches) for _ in range(2)]
    batches.close()
    assert sorted(np.concatenate([batch["index"] for batch in found])) == list(range(6))
    drawn = render(source.described(found[0]["index"]), 24)
    np.testing.assert_allclose(found[0]["target"], drawn / np.float32(127.5) - 1, atol=1e-6)


def test_prepared_with_factors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["data", "prepare", "avatars", "--to", str(tmp_path / "data"), "--resolution", "24", "--count", "30"]
    assert main(command) == 0
    assert "avatars, train: 30 pictures" in capsys.readouterr().out
    assert check(tmp_path / "data").fine
    for split, count in (("train", 30), ("test", 3)):
        read, drawn = open_split(tmp_path / "data", split), AvatarSource(split, count, 24)
        assert isinstance(read, PreparedSource) and len(read) == len(drawn) == count
        for i in range(count):
            assert read.name(i) == drawn.name(i) and read.factors(i) == drawn.factors(i)
            assert read.open(i)[1].tobytes() == drawn.open(i)[1].tobytes()
    again = {name: np.array([value]) for name, value in PreparedSource(tmp_path / "data", "test").factors(2).items()}
    np.testing.assert_array_equal(render(again, 24)[0], np.asarray(drawn.open(2)[1]))


def test_other_data_sets_have_no_factors(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in" / "train", 1)
    assert main(["data", "prepare", "folder", "--from", str(tmp_path / "in"), "--to", str(tmp_path / "data")]) == 0
    with pytest.raises(ImageError, match=r"000\.png has no factors"):
        PreparedSource(tmp_path / "data", "train").factors(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["avatars", "--from", "x"], "avatars are drawn, not read from a download: leave out --from"),
        (["avatars", "--resolution", "5000"], "resolution 5000: expected 8 to 4096 pixels"),
        (["ffhq"], "ffhq needs --from"),
        (["ffhq", "--from", "x", "--count", "5"], "--resolution and --count are for avatars"),
    ],
)
def test_wrong_options(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    assert main(["data", "prepare", *options, "--to", str(tmp_path / "data")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda factors: {key: value for key, value in factors.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("smile"), "smile is missing"),
        (lambda f: f | {"smile": f["smile"] + 5}, "smile must lie from -1 to 1"),
        (lambda f: f | {"smile": f["smile"] * np.nan}, "smile must lie from -1 to 1"),
        (lambda f: f | {"smile": f["smile"][:1]}, r"smile has shape \(1,\), expected \[B\]"),
        (lambda f: f | {"hat": f["hat"] + 9}, "hat must be integers from 0 to 3"),
        (lambda f: f | {"hat": f["hat"] + 0.5}, "hat must be integers from 0 to 3"),
    ],
)
def test_wrong_factors(change: Callable[[dict[str, Any]], dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=f"factors of avatars: {message}"):
        render(change(some(2)), 16)


def test_wrong_seeds_sizes_and_names() -> None:
    with pytest.raises(ValueError, match="expected the same"):
        sample_factors(np.arange(3), np.arange(2))
    with pytest.raises(ValueError, match="identities: expected integers from 0"):
        sample_factors(np.array([-1]), np.array([0]))
    with pytest.raises(ValueError, match="resolution 4: expected 8 to 4096"):
        render(some(1), 4)
    with pytest.raises(ValueError, match="style 'oil': expected one of painted, comic"):
        render(some(1), 16, "oil")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="0 pictures: expected 1 to"):
        layout(64, 0)
    with pytest.raises(ValueError, match=r"crown: hat has no such value\. Known: none, beanie, cap, brim"):
        code("hat", "crown")
    with pytest.raises(ValueError, match=r"smile: there is no such discrete factor\. Known: eye_colour"):
        code("smile", "yes")


def test_kept_avatars_are_the_same_as_those_drawn_when_read():
    kept, drawn = KeptAvatars("test", 21, 16), AvatarSource("test", 21, 16)
    assert len(kept) == 21 and kept.pictures.shape == (21, 16, 16, 3) and kept.pictures.dtype == np.uint8
    for index in (0, 20):
        source, target = kept.open(index)
        assert (
            source is target and kept.name(index) == drawn.name(index) and kept.factors(index) == drawn.factors(index)
        )
        np.testing.assert_array_equal(np.asarray(source), np.asarray(drawn.open(index)[0]))


def test_more_avatars_than_the_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: AvatarSource) -> np.ndarray:
        raise MemoryError(len(source))

    monkeypatch.setattr(avatars, "draw_all", full)
    with pytest.raises(ValueError, match="5000000000 pictures of 16 px: need 3840 GB of memory"):
        KeptAvatars("train", 5_000_000_000, 16)


def test_many_avatars_are_drawn_by_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 3)
    source = AvatarSource("test", 3 * processes.FEW + 1, 8, "comic")
    np.testing.assert_array_equal(processes.draw_all(source), source.drawn(np.arange(len(source))))
    monkeypatch.setattr(processes.sys, "executable", "false")
    with pytest.raises(
        processes.DrawingError,
        match=r"data_pipelines.drawing.processes test 8 comic (0 1000|1000 2000|2000 3001) failed",
    ):
        processes.draw_all(source)


def test_a_process_that_is_killed_stops_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others would wait for ten minutes."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys, time\nif sys.orig_argv[-2] == '1000':\n    os.kill(os.getpid(), 9)\ntime.sleep(600)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(processes, "cores", lambda: 3)
    began = time.monotonic()
    with pytest.raises(processes.DrawingError, match="8 comic 1000 2000: ended by signal 9; perhaps the memory was"):
        processes.draw_all(AvatarSource("test", 3 * processes.FEW, 8, "comic"))
    assert time.monotonic() - began < 60


def test_the_comic_is_fixed_and_does_not_depend_on_the_batch() -> None:
    factors = some(20)
    whole = render(factors, 64, "comic")
    assert whole.shape == (20, 64, 64, 3) and whole.dtype == np.uint8
    np.testing.assert_allclose(whole[:3].mean((1, 2)), COMIC_MEANS, atol=0.05)
    for i in (0, 7, 19):
        alone = render({name: values[[i]] for name, values in factors.items()}, 64, "comic")
        np.testing.assert_array_equal(alone[0], whole[i])
    for source in (KeptAvatars("train", 9, 16, "comic"), AvatarSource("train", 9, 16, "comic")):
        drawn = render(source.described(np.arange(9)), 16, "comic")
        np.testing.assert_array_equal(np.stack([np.asarray(source.open(i)[0]) for i in range(9)]), drawn)


def test_the_comic_looks_different_and_shows_the_same() -> None:
    assert set(DRAWN_AS) == set(STYLES)
    painted, drawn = (render(some(40), 64, style).astype(float) for style in STYLES)
    assert abs(drawn - painted).mean() > 20
    assert np.ptp(drawn, axis=3).mean() > 1.3 * np.ptp(painted, axis=3).mean()
    # Nearer to its own painted picture than to any other.
    errors = np.square(drawn[:, None] - painted[None]).mean((2, 3, 4))
    assert (errors.argmin(1) == np.arange(40)).all()
    large = render(some(40), 128, "comic").reshape(40, 64, 2, 64, 2, 3).mean((2, 4))
    assert abs(large - drawn).mean() < 0.5 * abs(drawn - painted).mean()


def test_lines_of_the_comic_are_on_the_dark_side_of_edges() -> None:
    pixels = np.full((1, 3, 64, 64), 0.8, np.float32)
    pixels[..., 32:] = 0.4
    drawn = comic(pixels)
    np.testing.assert_allclose(drawn[..., :28], drawn[0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(drawn[..., 38:], drawn[0, 0, 0, -1], atol=1e-6)
    dark = drawn.mean(1)[0] < 0.25
    assert dark.any(1).all() and not dark[:, :32].any() and dark.sum(1).max() <= 2
