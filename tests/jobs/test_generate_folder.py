"""Pictures of seeds in a folder: the same whatever the batch, continued, refused where they do not fit."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import restyle_jax as rs
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.generate_folder import GenerateOptions, generate_folder
from restyle_jax.jobs.outputs import OutputError
from restyle_jax.ops.images import to_bytes
from tests import tiny


def options(**changes) -> GenerateOptions:
    return GenerateOptions(**{"checkpoint": tiny.checkpoint(encoder=False), "batch_size": 2, **changes})


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def test_pictures_equal_the_python_interface(tmp_path: Path) -> None:
    seeds = [7, 0, 12345]
    generate_folder(seeds, tmp_path / "out", options())
    expected = to_bytes(rs.generate(rs.load(tiny.checkpoint(encoder=False)), seeds, truncation_psi=0.7, batch_size=2))
    for seed, pixels in zip(seeds, expected, strict=True):
        assert np.abs(picture(tmp_path / "out" / f"seed{seed:04d}.png") - pixels).max() <= 1
    with Image.open(tmp_path / "out" / "sheet.png") as sheet:
        assert sheet.width > 3 * 16 and sheet.height > 16


def test_more_seeds_join_and_other_settings_do_not(tmp_path: Path) -> None:
    output = tmp_path / "out"
    generate_folder([0, 1], output, options())
    time = (output / "seed0001.png").stat().st_mtime_ns
    generate_folder([1, 2], output, options())
    assert {path.name for path in output.glob("seed*")} == {"seed0000.png", "seed0001.png", "seed0002.png"}
    assert (output / "seed0001.png").stat().st_mtime_ns == time
    with pytest.raises(OutputError, match=r"truncation_psi: 0\.7 there, 1\.0 now"):
        generate_folder([1], output, options(truncation_psi=1.0))
    before = picture(output / "seed0001.png")
    generate_folder([1, 3], output, options(truncation_psi=1.0, overwrite=True))
    assert {path.name for path in output.glob("seed*")} == {"seed0001.png", "seed0003.png"}
    assert np.abs(picture(output / "seed0001.png") - before).max() > 1


@pytest.mark.parametrize("content", [b"", b"half", b"zeros"])
def test_a_damaged_picture_of_an_earlier_run(content: bytes, tmp_path: Path) -> None:
    output = tmp_path / "out"
    generate_folder([0], output, options())
    file = output / "seed0000.png"
    whole = file.read_bytes()
    file.write_bytes(
        {b"half": whole[: len(whole) // 2], b"zeros": whole[:33] + bytes(len(whole) - 33)}.get(content, b"")
    )
    with pytest.raises(OutputError, match=r"seed0000\.png: .* Remove it and run the same command again"):
        generate_folder([0, 1], output, options())


def test_requests_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no label"):
        generate_folder([0], tmp_path / "out", options(label=3))
    with pytest.raises(CheckpointError, match="No such file"):
        generate_folder([0], tmp_path / "out", options(checkpoint=tmp_path / "nowhere.pkl"))
    broken = tiny.broken(tmp_path / "broken", encoder=False)
    with pytest.raises(
        CheckpointError, match="broken: found numbers that are not finite in the pictures of seeds 7, 0;"
    ):
        generate_folder([7, 0, 1], tmp_path / "out", options(checkpoint=broken))
    assert not (tmp_path / "out").exists()
