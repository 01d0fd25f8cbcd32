"""Order, sharding, resuming, augmentation and damaged pictures of the batches, on real files."""

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_pipelines.folder import ImageError
from data_pipelines.loader import TrainingBatches, evaluation_batches, training_batches
from data_pipelines.preparation import Preparation, TaskName
from data_pipelines.prepare import prepare
from data_pipelines.source import Source, open_split
from data_pipelines.transforms import to_model_input
from tests.data_pipelines import made_up

ROOT = Path(__file__).parents[2]
COUNT = 23
SMALL = Preparation("inversion", 6, 4)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("pictures")
    made_up.folder(folder / "train", COUNT, (9, 7))
    prepare("folder", folder, folder / "data")
    return open_split(folder / "data", "train")


def take(batches: TrainingBatches, count: int) -> list[dict[str, np.ndarray]]:
    found = [next(batches) for _ in range(count)]
    batches.close()
    return found


def train(source: Source, count: int, **options: Any) -> list[dict[str, np.ndarray]]:
    return take(training_batches(source, SMALL, **({"batch_size": 4, "seed": 5} | options)), count)


def equal(ours: list[dict[str, np.ndarray]], theirs: list[dict[str, np.ndarray]]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def test_batches_hold_the_pictures_that_index_tells(source: Source) -> None:
    for batch in train(source, 3):
        assert {key: (value.dtype.name, value.shape) for key, value in batch.items()} == {
            "source": ("float32", (4, 6, 4, 3)),
            "target": ("float32", (4, 6, 4, 3)),
            "index": ("int32", (4,)),
        }
        assert batch["source"] is batch["target"], "one array serves as both"
        for row, index in zip(batch["target"], batch["index"], strict=True):
            plain = to_model_input(source.open(index)[1], 6, 4)
            assert np.array_equal(row, plain) or np.array_equal(row, plain[:, ::-1])


def test_every_picture_once_in_each_epoch_and_a_new_order(source: Source) -> None:
    order = np.concatenate([batch["index"] for batch in train(source, COUNT)])[: 4 * COUNT].reshape(4, COUNT)
    for epoch in order:
        assert sorted(epoch) == list(range(COUNT))
    assert len({tuple(epoch) for epoch in order}) == 4
    assert not np.array_equal(order[0], np.concatenate([b["index"] for b in train(source, 6, seed=6)])[:COUNT])


def test_flips_are_new_in_each_epoch(source: Source) -> None:
    seen = Counter()
    for batch in train(source, 2 * COUNT):
        for row, index in zip(batch["target"], batch["index"], strict=True):
            seen[int(index), np.array_equal(row, to_model_input(source.open(index)[1], 6, 4))] += 1
    assert sum(count for (_, plain), count in seen.items() if plain) in range(65, 120)  # of 184
    assert sum((i, False) in seen and (i, True) in seen for i in range(COUNT)) > COUNT * 0.8


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_threads_change_nothing(source: Source, workers: int) -> None:
    equal(train(source, 8, workers=workers), train(source, 8))


@pytest.mark.parametrize("stop", [1, 3, 6, 13])
def test_resume_in_the_middle_of_an_epoch(source: Source, stop: int) -> None:
    whole = train(source, 16)
    first = training_batches(source, SMALL, batch_size=4, seed=5)
    assert first.position == 0
    begun = take(first, stop)
    assert first.position == stop
    second = training_batches(source, SMALL, batch_size=4, seed=5, start=first.position)
    equal(begun + take(second, 16 - stop), whole)
    assert second.position == 16


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_one_sequence(source: Source, processes: int) -> None:
    parts = [train(source, 9, processes=processes, process=process) for process in range(processes)]
    joined = [
        {key: np.concatenate([part[key] for part in rows]) for key in rows[0]} for rows in zip(*parts, strict=True)
    ]
    equal(joined, train(source, 9))


def test_continue_on_another_number_of_processes(source: Source) -> None:
    whole = train(source, 9)
    parts = [train(source, 5, processes=4, process=process, start=4) for process in range(4)]
    joined = [
        {key: np.concatenate([part[key] for part in rows]) for key in rows[0]} for rows in zip(*parts, strict=True)
    ]
    equal(train(source, 4, processes=1) + joined, whole)


def test_real_processes(source: Source, tmp_path: Path) -> None:
    made_up.folder(tmp_path / "train", COUNT, (9, 7))
    code = """
import json, sys
from pathlib import Path
from data_pipelines.loader import training_batches
from data_pipelines.preparation import Preparation
from data_pipelines.source import open_split
source = open_split(Path(sys.argv[1]), "train")
batches = training_batches(
    source, Preparation("inversion", 6, 4), batch_size=4, seed=5, process=int(sys.argv[2]), processes=2, start=2
)
found = [next(batches) for _ in range(7)]
print(json.dumps([[batch["index"].tolist(), float(batch["source"].sum())] for batch in found]))
"""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), str(process)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for process in range(2)
    ]
    found = [json.loads(process.communicate()[0]) for process in running]
    assert [process.returncode for process in running] == [0, 0]
    expected = [
        [[batch["index"].tolist(), float(batch["source"].sum())] for batch in take(batches, 7)]
        for batches in (
            training_batches(
                open_split(tmp_path, "train"), SMALL, batch_size=4, seed=5, process=p, processes=2, start=2
            )
            for p in range(2)
        )
    ]
    assert found == expected


def test_more_rows_than_pictures(tmp_path: Path) -> None:
    made_up.folder(tmp_path, 1)
    (batch,) = train(open_split(tmp_path, "train"), 1, batch_size=5)
    np.testing.assert_array_equal(batch["index"], np.zeros(5))


def damaged(folder: Path, *numbers: int) -> Source:
    made_up.folder(folder, 12)
    for number in numbers:
        (folder / f"{number:03}.png").write_text("damaged")
    return open_split(folder, "train")


def test_damaged_pictures_are_replaced_and_named_once(tmp_path: Path) -> None:
    source = damaged(tmp_path, 3, 4, 11)
    batches = training_batches(source, SMALL, batch_size=4, seed=1)
    indices = np.concatenate([batch["index"] for batch in take(batches, 9)]).reshape(3, 12)
    for epoch in indices:
        assert sorted(epoch) == sorted([0, 0, 1, 2, 5, 5, 5, 6, 7, 8, 9, 10])
    assert sorted(name for name, _ in batches.unreadable) == ["003.png", "004.png", "011.png"]
    assert all(f"{name}: not a picture" in reason for name, reason in batches.unreadable)
    parts = [train(source, 9, seed=1, processes=2, process=process) for process in range(2)]
    joined = [np.concatenate([one["index"], other["index"]]) for one, other in zip(*parts, strict=True)]
    np.testing.assert_array_equal(np.concatenate(joined).reshape(3, 12), indices)


def test_only_consumed_batches_count(tmp_path: Path) -> None:
    whole = np.concatenate([batch["index"] for batch in train(damaged(tmp_path / "whole"), 12, batch_size=1)])
    when = int(np.flatnonzero(whole == 5)[0])
    batches = training_batches(damaged(tmp_path / "damaged", 5), SMALL, batch_size=1, seed=5)
    for _ in range(when):
        next(batches)
    assert batches.unreadable == [], "it was read ahead, but not used yet"
    assert take(batches, 1)[0]["index"] == 6
    assert [name for name, _ in batches.unreadable] == ["005.png"]


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_damaged_pictures(tmp_path: Path, workers: int) -> None:
    source = damaged(tmp_path, 1, 3, 5, 7)
    batches = training_batches(source, SMALL, batch_size=2, seed=1, max_unreadable=3, workers=workers)
    with pytest.raises(
        ImageError, match=r"4 pictures could not be read, and max_unreadable is 3.*\n.*\.png: not a pic"
    ):
        for _ in range(6):
            next(batches)
    batches.close()


def test_no_readable_picture_ends_in_an_error(tmp_path: Path) -> None:
    source = damaged(tmp_path, *range(12))
    for limit, found in ((2, "max_unreadable is 2"), (100, "none of the 12 training pictures can be read")):
        with pytest.raises(ImageError, match=found):
            next(training_batches(source, SMALL, batch_size=2, seed=1, max_unreadable=limit))


def test_evaluation_is_the_whole_set_in_order(source: Source) -> None:
    batches = list(evaluation_batches(source, SMALL, batch_size=5))
    assert len(batches) == 5 and {batch["target"].shape for batch in batches} == {(5, 6, 4, 3)}
    valid = np.concatenate([batch["valid"] for batch in batches])
    assert valid.tolist() == [True] * COUNT + [False] * 2
    indices = np.concatenate([batch["index"] for batch in batches])[valid]
    np.testing.assert_array_equal(indices, np.arange(COUNT))
    pictures = np.concatenate([batch["source"] for batch in batches])
    for i in range(COUNT):
        np.testing.assert_array_equal(pictures[i], to_model_input(source.open(i)[1], 6, 4))
    np.testing.assert_array_equal(pictures[COUNT:], 0)


def test_evaluation_over_processes(source: Source) -> None:
    whole = list(evaluation_batches(source, SMALL, batch_size=8))
    parts = [list(evaluation_batches(source, SMALL, batch_size=8, process=p, processes=4)) for p in range(4)]
    joined = [
        {key: np.concatenate([part[key] for part in rows]) for key in rows[0]} for rows in zip(*parts, strict=True)
    ]
    equal(joined, whole)


def test_evaluation_marks_damaged_pictures(tmp_path: Path) -> None:
    batches = evaluation_batches(damaged(tmp_path, 2), SMALL, batch_size=12)
    (batch,) = list(batches)
    assert batch["valid"].tolist() == [True, True, False] + [True] * 9
    np.testing.assert_array_equal(batch["index"], np.arange(12))
    assert [name for name, _ in batches.unreadable] == ["002.png"]


def test_random_factors_of_evaluation_stay_the_same(source: Source) -> None:
    settings = Preparation("super_resolution", 8, 8, resize_factors=(1, 2, 4))
    equal(*(list(evaluation_batches(source, settings, batch_size=8)) for _ in range(2)))


def test_pairs(tmp_path: Path) -> None:
    made_up.pairs(tmp_path / "train", 5, labels=3)
    source = open_split(tmp_path, "train")
    settings = Preparation("segmentation", 8, 8, label_classes=3)
    (batch,) = take(training_batches(source, settings, batch_size=5, seed=0), 1)
    assert batch["source"].shape == (5, 8, 8, 3)
    for row, index in zip(batch["source"], batch["index"], strict=True):
        np.testing.assert_array_equal(row.argmax(-1), made_up.pixels(index, channels=1) % 3)
    too_few = Preparation("segmentation", 8, 8, label_classes=2)
    with pytest.raises(ImageError, match=r"00\d\.jpg: found label 2, expected 0 to 1"):
        next(training_batches(source, too_few, batch_size=5, seed=0))


@pytest.mark.parametrize("task", ["sketch", "inversion"])
def test_a_source_picture_that_cannot_be_used_is_skipped_and_named(tmp_path: Path, task: TaskName) -> None:
    made_up.pairs(tmp_path / "train", 4)
    made_up.save_unusable(tmp_path / "train" / "source" / "001.png")
    source, settings = open_split(tmp_path, "train"), Preparation(task, 8, 8)
    for batches in (
        training_batches(source, settings, batch_size=4, seed=0),
        evaluation_batches(source, settings, batch_size=4),
    ):
        next(batches)
        ((name, reason),) = batches.unreadable
        assert name == "001.jpg" and "001.jpg (source): cannot be converted (grey values from 0 to 300" in reason
        batches.close()


def test_what_cannot_be_trained_on(source: Source) -> None:
    with pytest.raises(ImageError, match="sketch needs pairs"):
        training_batches(source, Preparation("sketch"), batch_size=4, seed=0)
    for options in ({"processes": 3}, {"process": 2, "processes": 2}, {"batch_size": 0}):
        with pytest.raises(ValueError, match="cannot be split evenly"):
            training_batches(source, SMALL, **({"batch_size": 4, "seed": 0} | options))


def test_closing_ends_the_threads(source: Source) -> None:
    before = set(threading.enumerate())
    for _ in range(3):
        train(source, 2)
    left = set(threading.enumerate()) - before
    for thread in left:  # they end by themselves, a moment later
        thread.join(timeout=60)
    assert not [thread.name for thread in left if thread.is_alive()]
