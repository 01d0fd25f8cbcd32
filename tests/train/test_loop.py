"""The loop in one process on one device: what it logs, evaluates and saves, and what it refuses."""

import dataclasses
import json
import os
import re
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest
from PIL import Image
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]

from restyle_jax.train import sharding
from restyle_jax.train.checkpointing import Checkpoints
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.logs import SMALLEST_CELL
from restyle_jax.train.loop import Outcome
from restyle_jax.train.plan import Plan
from restyle_jax.train.stylegan_config import StyleGANTraining
from restyle_jax.train.workdir import locked
from tests.train import runs, toy

CONFIG = toy.Toy(max_steps=7, log_every=2, image_every=3, eval_every=3, save_every=2)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of CONFIG; not to be changed."""
    folder = tmp_path_factory.mktemp("done") / "deep" / "run"
    said: list[str] = []
    outcome = toy.train(CONFIG, folder, say=said.append)
    assert outcome.step == 7 and outcome.exit_status == 0
    assert said[0] == "Total: 240 -- 960 bytes"
    assert said[1] == "1 cpu device in 1 process: batch of 8, 8 on each device"
    assert said[2].startswith("planned memory of each device: ") and len(said) == 3
    return folder


def test_what_needs_less_memory_is_a_setting_of_the_task():
    plan = Plan(1, "gpu", 8, state=2, frozen=1, batch=1, temporary=7, total=11, limit=10, exchanged=0)
    assert plan.lines(vars(EncoderTraining()))[-1].endswith(": a smaller batch, more micro-batches, remat, bfloat16.")
    assert plan.lines(vars(StyleGANTraining()))[-1].endswith(": a smaller batch, more micro-batches, bfloat16.")
    assert len(dataclasses.replace(plan, limit=11).lines(vars(CONFIG))) == 2


@pytest.fixture
def copy(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "run"))


def by_hand(steps: int) -> tuple[dict[str, Any], list[dict[str, np.ndarray]]]:
    """The state, and the metrics of every step, of the plain loop."""
    task = toy.task(CONFIG)
    state, batches, metrics = jax.jit(task.init)(jax.random.key(0)), toy.Batches(CONFIG, 0, 0, 1, 0.0), []
    step = jax.jit(task.step)
    for _ in range(steps):
        state, values = step(state, task.frozen, next(batches))
        metrics.append(jax.device_get(values))
    return state, metrics


def test_what_is_logged(done: Path):
    state, metrics = by_hand(7)
    train, test = runs.lines(done, "train"), runs.lines(done, "test")
    assert [line["step"] for line in train] == [2, 4, 6, 7] and [line["step"] for line in test] == [3, 6, 7]
    for line, (first, last) in zip(train, ((0, 2), (2, 4), (4, 6), (6, 7)), strict=True):
        assert line["loss"] == pytest.approx(np.mean([m["loss"] for m in metrics[first:last]]), rel=1e-5)
        for i in range(toy.STEPS):
            assert line[f"l2/{i + 1}"] == pytest.approx(np.mean([m["l2"][i] for m in metrics[first:last]]), rel=1e-5)
    task = toy.task(CONFIG)
    target: Any = toy.pictures()[: toy.TestSet.COUNT]  # without the padding
    errors = np.asarray(task.evaluate(state, task.frozen, {"source": target * np.float32(0.5), "target": target})["l2"])
    assert [test[-1][f"l2/{i}"] for i in (1, 2, 3)] == pytest.approx(errors.mean(0).tolist(), rel=1e-5)
    timing = json.loads((done / "metrics.jsonl").read_text().splitlines()[0])["timing"]
    assert timing.keys() == {"seconds_per_step", "images_per_second", "waiting_for_data", "eta_seconds"}


def test_what_is_in_the_folder(done: Path):
    assert sorted(path.name for path in (done / "images").iterdir()) == [f"result_{step:08d}.png" for step in (3, 6, 7)]
    with Image.open(done / "images" / "result_00000007.png") as grid:
        assert grid.width > 3 * SMALLEST_CELL and grid.height > 4 * SMALLEST_CELL > 4 * toy.SIZE
    assert "['hidden'] | (3, 3, 3, 8)" in (done / "parameters.txt").read_text()
    assert json.loads((done / "config.json").read_text())["config"]["learning_rate"] == 0.02
    best = min(runs.lines(done, "test"), key=lambda line: line["l2/3"])
    assert runs.record(done, 7)["best"] == [best["l2/3"], best["step"]]
    kept = {int(path.name) for path in (done / "checkpoints").iterdir()}
    assert kept == {6, 7} | {best["step"]}
    saved = runs.arrays(done, 7)
    for name, value in runs.model(done, "latest").items():
        np.testing.assert_array_equal(value, saved[f"/params/{name}"])
    for name, value in runs.model(done, "best").items():
        np.testing.assert_array_equal(value, runs.arrays(done, best["step"])[f"/params/{name}"])
    state, _ = by_hand(7)
    np.testing.assert_allclose(saved["/params/hidden"], state["params"]["hidden"], atol=1e-6)
    np.testing.assert_array_equal(saved["/key"], jax.random.key_data(state["key"]))


def events(folder: Path) -> list[Any]:
    """Every TensorBoard event, in the order of the files' names."""
    parsed = []
    for file in sorted((folder / "tensorboard").iterdir()):
        data, position = file.read_bytes(), 0
        while position < len(data):  # length, its checksum, the event, its checksum
            length = int.from_bytes(data[position : position + 8], "little")
            parsed.append(Event.FromString(data[position + 12 : position + 12 + length]))
            position += length + 16
    return parsed


def test_tensorboard(done: Path):
    found = {(event.step, value.tag): value for event in events(done) for value in event.summary.value}
    for line in runs.lines(done):
        for name, value in line.items():
            if name not in ("step", "kind"):
                assert found[line["step"], f"{line['kind']}/{name}"].simple_value == pytest.approx(value)
    assert (2, "train/timing/images_per_second") in found
    assert found[3, "pictures/result"].image.encoded_image_string.startswith(b"\x89PNG")


def test_more_steps_continue_a_finished_run(copy: Path, tmp_path: Path):
    before = runs.lines(copy)
    with (copy / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "kind": "train"}\n{"step": 9, "ki')  # as a killed process leaves it
    moved = dataclasses.replace(CONFIG, max_steps=9, workers=5, weights=None, data=tmp_path / "moved")
    said: list[str] = []
    assert toy.train(dataclasses.replace(moved, data=None), copy, say=said.append).step == 9
    assert said[0] == "continuing after step 7 of 9, batch 7"
    lines = runs.lines(copy)
    assert lines[: len(before)] == before and [line["step"] for line in lines[len(before) :]] == [8, 9, 9]
    _, metrics = by_hand(9)
    assert lines[-2]["loss"] == pytest.approx(float(metrics[8]["loss"]), rel=1e-5)
    assert any(event.step == 8 and event.session_log.status == 1 for event in events(copy))
    assert toy.train(dataclasses.replace(moved, data=None), copy).step == 9 and runs.lines(copy) == lines


class Interrupted(toy.TestSet):
    """Asks the process to stop after the first batch of the evaluation with this number, as when a machine is taken away."""

    def __init__(self, number: int) -> None:
        super().__init__(CONFIG, 0, 1)
        self.number = number

    def __iter__(self):
        self.number -= 1
        for batch in super().__iter__():
            yield batch
            if not self.number:
                os.kill(os.getpid(), signal.SIGTERM)


def killed(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("number", "step"), [(1, 3), (3, 7)])
def test_an_evaluation_that_was_interrupted(
    number: int, step: int, tmp_path: Path, done: Path, monkeypatch: pytest.MonkeyPatch
):
    """It is made once, although the process that repeats it is killed before it has noted so."""
    interrupted = Interrupted(number)
    assert toy.train(CONFIG, tmp_path, open_test=lambda: interrupted).exit_status == 143
    assert not runs.record(tmp_path, step)["evaluated"]
    with monkeypatch.context() as changed, pytest.raises(KeyboardInterrupt):
        changed.setattr(Checkpoints, "amend", killed)
        toy.train(CONFIG, tmp_path)
    assert runs.lines(tmp_path, "test")[-1]["step"] == step
    with monkeypatch.context() as changed, pytest.raises(KeyboardInterrupt):
        changed.setattr("restyle_jax.train.trainer.Clock", killed)  # right after it
        toy.train(CONFIG, tmp_path)
    assert runs.record(tmp_path, step)["evaluated"]
    assert toy.train(CONFIG, tmp_path).exit_status == 0
    assert runs.lines(tmp_path) == runs.lines(done)
    assert runs.record(tmp_path, 7) == runs.record(done, 7)
    runs.assert_same(runs.arrays(tmp_path, 7), runs.arrays(done, 7))
    runs.assert_same(runs.model(tmp_path, "best"), runs.model(done, "best"))


@dataclasses.dataclass(frozen=True)
class Newer(toy.Toy):
    """Of a later version, with a field that the earlier one did without."""

    smooth: bool = False


def test_a_run_of_an_earlier_version(copy: Path):
    settings = {field.name: getattr(CONFIG, field.name) for field in dataclasses.fields(CONFIG)} | {"max_steps": 8}
    with pytest.raises(TrainingError, match="smooth: false in the folder, true now"):
        toy.train(Newer(**settings, smooth=True), copy)
    newer = Newer(**settings)
    assert toy.train(newer, copy).step == 8
    record = runs.record(copy, 8)
    del record["test_data"], record["scorer"]
    (copy / "checkpoints" / "8" / "record" / "metadata").write_text(json.dumps(record))
    longer = dataclasses.replace(newer, max_steps=9)
    assert toy.train(longer, copy, test_fingerprint="21 pictures").step == 9
    with pytest.raises(TrainingError, match="test data: 21 pictures in the folder, 20 pictures now"):
        toy.train(longer, copy, test_fingerprint="20 pictures")


def test_a_run_with_other_options(copy: Path, tmp_path: Path):
    other = dataclasses.replace(CONFIG, learning_rate=0.1, batch_size=4, max_steps=99)
    with pytest.raises(TrainingError) as failure:
        toy.train(other, copy)
    message = str(failure.value)
    assert "batch_size: 8 in the folder, 4 now" in message and "learning_rate: 0.02 in the folder, 0.1 now" in message
    assert "max_steps:" not in message and str(copy) in message
    with pytest.raises(TrainingError, match="training data: 24 pictures in the folder, 25 pictures now"):
        toy.train(CONFIG, copy, fingerprint="25 pictures")
    same = toy.task(CONFIG).frozen
    elsewhere = dataclasses.replace(toy.task(CONFIG), frozen={**same, "derived": np.ones(3, np.float32)})
    assert toy.train(CONFIG, copy, task=elsewhere).step == 7
    changed = dataclasses.replace(toy.task(CONFIG), frozen={"gain": np.zeros(3, np.float32)})
    with pytest.raises(TrainingError, match=r"stays as it is in training \(generator, .* labels\)"):
        toy.train(CONFIG, copy, task=changed)
    with pytest.raises(TrainingError, match="holds an earlier run"):
        toy.train(CONFIG, copy, resume="never")
    first = dataclasses.replace(CONFIG, max_steps=1, weights=tmp_path / "here")
    toy.train(first, tmp_path / "paths")
    assert toy.train(dataclasses.replace(first, weights=tmp_path / "there"), tmp_path / "paths") == Outcome(
        1, (runs.lines(tmp_path / "paths", "test")[0]["l2/3"], 1)
    )


def cut(folder: Path) -> None:
    for file in (path for path in (folder / "state").rglob("d/*") if path.is_file()):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(folder: Path) -> None:
    for file in (path for path in (folder / "state").rglob("d/*") if path.is_file()):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)


def forget(folder: Path) -> None:
    (folder / "record" / "metadata").write_text("{}")


def lose(folder: Path) -> None:
    (folder / "record" / "metadata").write_text('{"step": 7}')


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize("damage", [cut, flip, forget, lose, empty])
def test_a_damaged_checkpoint(copy: Path, done: Path, damage: Any):
    damage(copy / "checkpoints" / "7")
    said: list[str] = []
    assert toy.train(CONFIG, copy, say=said.append).step == 7
    assert "the checkpoint of step 7 is damaged" in said[0]
    assert said[0].endswith(f"moved to {copy / 'damaged' / '7'}") and (copy / "damaged" / "7").is_dir()
    assert said[1].startswith("continuing after step 6")
    runs.assert_same(runs.arrays(copy, 7), runs.arrays(done, 7))
    assert runs.lines(copy) == runs.lines(done)


def test_where_a_damaged_checkpoint_goes(copy: Path):
    forget(copy / "checkpoints" / "7")
    (copy / "damaged").write_text("mine")
    with pytest.raises(
        TrainingError, match=r"7: this checkpoint is damaged, and cannot be moved .*rename what is there"
    ):
        toy.train(CONFIG, copy)
    assert (copy / "damaged").read_text() == "mine" and (copy / "checkpoints" / "7").is_dir()
    (copy / "damaged").unlink()
    (copy / "damaged" / "7").mkdir(parents=True)
    said: list[str] = []
    assert toy.train(CONFIG, copy, say=said.append).step == 7
    assert said[0].endswith(f"moved to {copy / 'damaged' / '7.1'}") and (copy / "damaged" / "7.1" / "record").is_dir()


def test_damaged_metrics(copy: Path):
    """Lines that cannot be read are left out."""
    before, longer = runs.lines(copy), dataclasses.replace(CONFIG, max_steps=8)
    with (copy / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 7, "kind": "tr\xff\n')
    assert toy.train(longer, copy).step == 8
    lines = runs.lines(copy)
    assert lines[: len(before)] == before and [line["step"] for line in lines[len(before) :]] == [8, 8]


@pytest.mark.parametrize("name", ["images", "tensorboard"])
def test_a_file_where_logs_go(name: str, copy: Path):
    shutil.rmtree(copy / name)
    (copy / name).write_text("mine")
    with pytest.raises(TrainingError, match=f"{name}: cannot be written"):
        toy.train(dataclasses.replace(CONFIG, max_steps=8), copy)


def test_only_damaged_checkpoints(copy: Path):
    folders = sorted((copy / "checkpoints").iterdir())
    for folder in folders:
        forget(folder)
    with pytest.raises(TrainingError, match="no checkpoint can be read"):
        toy.train(CONFIG, copy)
    assert sorted((copy / "checkpoints").iterdir()) == folders


def test_a_dry_run_writes_nothing(tmp_path: Path):
    said: list[str] = []
    assert toy.train(CONFIG, tmp_path / "run", dry_run=True, say=said.append).step == 0
    assert any("planned memory" in line for line in said) and not (tmp_path / "run").exists()


def contents(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


def test_a_dry_run_refuses_what_a_run_does(copy: Path, tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "metrics.jsonl").write_text("mine")
    before = contents(tmp_path)
    other = dataclasses.replace(CONFIG, learning_rate=0.1)
    refused: list[tuple[toy.Toy, Path, dict[str, Any], str]] = [
        (other, copy, {}, "another configuration:\n  learning_rate: 0.02 in the folder, 0.1 now"),
        (CONFIG, copy, {"resume": "never"}, "holds an earlier run"),
        (CONFIG, tmp_path / "file", {}, r"file: cannot be used as the folder of a run \(.*file is not a folder\)"),
        (
            CONFIG,
            tmp_path / "file" / "run",
            {},
            r"run: cannot be used as the folder of a run \(.*file is not a folder\)",
        ),
        (CONFIG, tmp_path / "foreign", {}, "found metrics.jsonl, which no training run has written"),
    ]
    for config, folder, options, words in refused:
        with pytest.raises(TrainingError, match=words):
            toy.train(config, folder, dry_run=True, **options)
    forget(copy / "checkpoints" / "7")  # the one before it says the same
    before |= contents(copy)
    with pytest.raises(TrainingError, match="another configuration"):
        toy.train(other, copy, dry_run=True)
    assert toy.train(CONFIG, copy, dry_run=True).step == 0
    assert contents(tmp_path) == before


def test_what_is_planned(tmp_path: Path):
    """Whole numbers, also of scalars and of a discriminator; a frozen array that no step reads is on the device, but no part of the
    batch."""
    task = toy.task(CONFIG)

    def init(key: jax.Array) -> Any:
        state = task.init(key)
        params = {**state["params"], "scale": jax.numpy.float32(1)}
        judge = {"params": {"weights": jax.numpy.zeros(6)}}
        optimizer = optax.adam(CONFIG.learning_rate).init(params)
        return {**state, "params": params, "optimizer": optimizer, "discriminator": judge}

    unread = {**task.frozen, "unread": np.zeros(10**6, np.float32)}
    said: list[str] = []
    toy.train(CONFIG, tmp_path, task=dataclasses.replace(task, init=init, frozen=unread), dry_run=True, say=said.append)
    assert said[0] == "Total: 247 -- 988 bytes"
    assert "frozen networks 4 MB, batch 12.3 kB," in said[2]  # 2 x 8 pictures and 8 numbers
    total = re.search(r"each device: ([\d.]+) MB", said[2])
    assert total and float(total[1]) >= 4.01, said[2]


def test_micro_batches_of_several_devices(tmp_path: Path):
    """Every device has equally many pictures of each part."""
    with pytest.raises(TrainingError, match=r"batch_size = 8 .* in each of 3 micro-batches; .* sizes: 6 or 9\."):
        toy.train(dataclasses.replace(CONFIG, micro_batches=3), tmp_path / "run")
    four: Any = jax.sharding.AbstractMesh((4,), ("data",))
    sharding.check_batch_size("batch_size", 16, four, parts=4)
    with pytest.raises(TrainingError, match=r"4 cannot be divided among 4 devices .* in each of 4 .* sizes: 16\."):
        sharding.check_batch_size("batch_size", 4, four, parts=4)


@pytest.mark.parametrize("every", [3, 4])
def test_a_loss_that_is_not_finite(every: int, tmp_path: Path):
    """Whether the step is looked at at once, as pictures of it are to be shown, or when the next one is under way, which is to
    be saved."""
    poison = int(toy.order(0, 0)[2 * 8 + 3])  # in the third batch
    poisoned = dataclasses.replace(CONFIG, poison=poison, log_every=4, image_every=every, eval_every=4)
    with pytest.raises(TrainingError) as failure:
        toy.train(poisoned, tmp_path)
    message = str(failure.value)
    assert (
        message.startswith("step 3:")
        and "l2/1 = nan" in message
        and f"picture-{poison}.png" in message
        and "the checkpoint of step 2 is kept" in message
    )
    assert len([index for index in range(toy.PICTURES) if f"picture-{index}.png" in message]) == 8
    assert all(np.isfinite(value).all() for value in runs.arrays(tmp_path, 2).values())
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["2"]


def test_an_evaluation_that_is_not_finite_ends_the_run(tmp_path: Path):
    task = toy.task(CONFIG)
    broken = dataclasses.replace(
        task, evaluate=lambda *inputs: {name: of * jax.numpy.nan for name, of in task.evaluate(*inputs).items()}
    )
    with pytest.raises(TrainingError, match=r"after step 3: l2/1 = nan.*the checkpoint of step 2 is kept"):
        toy.train(CONFIG, tmp_path, task=broken)


def test_the_latest_model_of_a_finished_run_is_made_again(copy: Path):
    """As a run that is killed after its last checkpoint leaves it."""
    before = runs.model(copy, "latest")
    (copy / ".restyle-abc").mkdir()
    (copy / "latest").rename(copy / ".restyle-abc" / "new")
    assert toy.train(CONFIG, copy).step == 7
    runs.assert_same(runs.model(copy, "latest"), before)
    assert not list(copy.glob(".restyle*"))


def test_a_state_that_is_not_finite_becomes_no_model(tmp_path: Path):
    """Although it scores well, as with a regulariser that only the next step would feel."""
    task = toy.task(CONFIG)

    def step(state: Any, frozen: Any, batch: Any) -> Any:
        state, metrics = task.step(state, frozen, batch)
        return {**state, "stats": jax.numpy.where(state["step"] >= 3, jax.numpy.nan, state["stats"])}, metrics

    def evaluate(*inputs: Any) -> dict[str, jax.Array]:
        return {name: jax.numpy.zeros_like(of) for name, of in task.evaluate(*inputs).items()}

    with pytest.raises(TrainingError, match=r"after step 3 these arrays are not finite: \['stats'\].*step 2 is kept"):
        unseen = dataclasses.replace(CONFIG, image_every=50)
        toy.train(unseen, tmp_path, task=dataclasses.replace(task, step=step, evaluate=evaluate))
    assert not (tmp_path / "best").exists()


def test_a_state_that_is_not_finite_is_not_saved(tmp_path: Path):
    task = toy.task(CONFIG)

    def step(state: Any, frozen: Any, batch: Any) -> Any:
        state, metrics = task.step(state, frozen, batch)
        stats = jax.numpy.where(state["step"] >= 4, jax.numpy.nan, state["stats"])
        return {**state, "stats": stats}, metrics

    with pytest.raises(TrainingError, match=r"after step 4 these arrays are not finite: \['stats'\].*step 2 is kept"):
        toy.train(CONFIG, tmp_path, task=dataclasses.replace(task, step=step), open_test=None)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["2"]


def test_damaged_pictures_are_named(tmp_path: Path):
    said: list[str] = []
    damaged = int(toy.order(0, 0)[2])
    toy.train(dataclasses.replace(CONFIG, max_steps=1, damaged=damaged), tmp_path, say=said.append)
    assert f"step 1: skipped picture-{damaged}.png (cut short)" in said
    assert any(line.startswith("1 damaged pictures skipped so far") for line in said)


class Damaged(toy.TestSet):
    """Whose first pictures cannot be read."""

    def __init__(self, count: int) -> None:
        super().__init__(CONFIG, 0, 1)
        self.count = count

    def __iter__(self):
        self.unreadable = [(toy.name(index), "cut short") for index in range(self.count)]
        for batch in super().__iter__():
            yield {**batch, "valid": batch["valid"] & (batch["index"] >= self.count)}


def test_damaged_test_pictures_are_named_once(tmp_path: Path):
    said: list[str] = []
    toy.train(CONFIG, tmp_path, open_test=lambda: Damaged(2), say=said.append)
    assert [line for line in said if "left out" in line] == [
        "evaluation after step 3: left out picture-0.png (cut short)",
        "evaluation after step 3: left out picture-1.png (cut short)",
        "2 damaged test pictures left out so far",
    ]


def test_a_test_set_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(TrainingError) as failure:
        toy.train(CONFIG, tmp_path, open_test=lambda: Damaged(21))
    message = str(failure.value)
    assert message.startswith("evaluation after step 3: none of the test pictures can be read")
    assert message.count("cut short") == 5 and "the checkpoint of step 2 is kept" in message


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config.json", '{"mine": 1}'),
        ("config.json", "[]"),
        ("config.json", "not JSON"),
        ("metrics.jsonl", "mine\n"),
        ("parameters.txt", "mine"),
        ("latest/mine.txt", "mine"),
        ("best", "mine"),
        ("checkpoints", "mine"),
    ],
)
def test_a_folder_that_is_not_of_a_run(file: str, text: str, tmp_path: Path):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(
        TrainingError, match=rf"found {file}, which no training run has written.*Choose another --workdir"
    ):
        toy.train(CONFIG, tmp_path)
    assert path.read_text() == text and {entry.name for entry in tmp_path.iterdir()} == {".lock", file.split("/")[0]}


def test_a_run_that_died_before_its_first_checkpoint(copy: Path):
    shutil.rmtree(copy / "checkpoints")
    for name in ("best", "latest"):
        (copy / name / "model.npz").rename(copy / name / "weights.safetensors")
    assert toy.train(dataclasses.replace(CONFIG, max_steps=1), copy).step == 1
    assert [line["step"] for line in runs.lines(copy)] == [1, 1]


def test_two_runs_in_one_folder(copy: Path):
    with locked(copy), pytest.raises(TrainingError, match=r"another run is active in this folder \(process \d+ on "):
        toy.train(CONFIG, copy)
    toy.train(CONFIG, copy)  # a lock that nobody holds is no obstacle


def test_a_full_disk(copy: Path, done: Path):
    """No file may grow beyond 30 kB, which a checkpoint with ballast does."""
    config = dataclasses.replace(CONFIG, ballast=100_000)
    folder = copy.with_name("large")
    toy.train(dataclasses.replace(config, max_steps=2), folder)
    before = runs.arrays(folder, 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        with pytest.raises(TrainingError, match=r"a checkpoint cannot be written .*the checkpoint of step 2 is kept"):
            toy.train(config, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    runs.assert_same(runs.arrays(folder, 2), before)
    assert toy.train(config, folder).step == 7


def test_too_little_room(copy: Path, monkeypatch: pytest.MonkeyPatch):
    """It is counted before anything is written."""
    free = shutil.disk_usage(copy)._replace(free=1000)
    with monkeypatch.context() as context, pytest.raises(TrainingError) as failure:
        context.setattr(shutil, "disk_usage", lambda _: free)
        toy.train(dataclasses.replace(CONFIG, max_steps=9), copy)
    assert re.search(r"needs [\d,]+ bytes, 1,000 are free.*the checkpoint of step 7 is kept", str(failure.value))
    assert toy.train(dataclasses.replace(CONFIG, max_steps=9), copy).step == 9


def test_equal_entries_of_a_batch_are_placed_once():
    """Source and target of an inversion are one array: it crosses to the device once."""
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    placed = sharding.place_batch({"source": rows, "target": rows, "index": rows[:, 0]}, sharding.data_mesh())
    assert placed["source"] is placed["target"]
    np.testing.assert_array_equal(placed["target"], rows)
    np.testing.assert_array_equal(placed["index"], rows[:, 0])
