"""Files of directions: what is written is read again, by us and by the code that the formats come from; bad files are refused."""

import dataclasses
import io
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from restyle_jax import zoo
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.edit import files
from restyle_jax.edit.direction import Direction
from restyle_jax.edit.ganspace import Components
from restyle_jax.edit.stylespace import Statistics

K, D = 6, 8
RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def same(first: Direction, second: Direction) -> bool:
    """Equal in every field, in the type of their vectors, and bit for bit."""
    fields = [dataclasses.asdict(direction) for direction in (first, second)]
    vectors = [field.pop("vector") for field in fields]
    return (
        fields[0] == fields[1] and vectors[0].dtype == vectors[1].dtype and vectors[0].tobytes() == vectors[1].tobytes()
    )


def components(**fields) -> Components:
    vectors = np.linalg.qr(RANDOM.standard_normal((D, 3)))[0].T.astype(np.float32)
    return Components(vectors, normal(D), np.abs(normal(3)), **fields)


def test_our_format_keeps_everything(tmp_path: Path):
    directions = [
        Direction("smile", normal(D), "Z", metadata={"accuracy": {"between": None, "training": 0.1}}),
        Direction("age", normal(D).astype(np.float64), "W", layers=(1, 2), unit=0.1, zero=-1 / 3),
        Direction("pose", normal(K, D), "W+", layers=(0, 5)),
        Direction("hair", normal(5), "S", widths=(3, 2), layers=(1,), unit=2.5),
    ]
    files.write_directions(directions, tmp_path / "new" / "four.npz")
    found = files.read_directions(tmp_path / "new" / "four.npz")
    assert all(map(same, found, directions)) and len(found) == 4
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["four.npz"]
    longest = tmp_path / f"{'d' * 251}.npz"
    files.write_directions(directions, longest)
    assert all(map(same, files.read_directions(longest), directions))


def test_directions_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A name of the zoo stands for the file that its entry names."""
    monkeypatch.setenv("RESTYLE_MODELS", str(tmp_path))
    entry = dataclasses.replace(zoo.find("official/lpips-alex"), name="official/smile", file="smile.npz", sha256=None)
    monkeypatch.setitem(zoo._BY_NAME, entry.name, entry)
    with pytest.raises(CheckpointError, match="official/smile: found no file"):
        files.read_directions("official/smile")
    smile = Direction("smile", normal(D), "W")
    files.write_directions([smile], tmp_path / "smile.npz")
    assert same(files.read_directions("official/smile")[0], smile)
    with pytest.raises(CheckpointError, match="official/nothing: found neither a file nor the name"):
        files.read_components("official/nothing")


def test_boundaries_of_interfacegan(tmp_path: Path):
    """float64 of shape [1, D]; Z or W by the name."""
    vector = RANDOM.standard_normal(D)
    for stem, name, space in (
        ("stylegan_ffhq_smile_w", "smile", "W"),
        ("pggan_celebahq_eyeglasses", "eyeglasses", "Z"),
        ("stylegan_celebahq_age_c_gender_eyeglasses", "age_c_gender_eyeglasses", "Z"),
    ):
        path = tmp_path / f"{stem}_boundary.npy"
        np.save(path, vector[None])
        (found,) = files.read_directions(path)
        assert same(found, Direction(name, vector, space))  # pyright: ignore[reportArgumentType]
        before = path.read_bytes()
        files.write_boundary(found, path)
        assert path.read_bytes() == before
    np.save(tmp_path / "mine.npy", vector)
    assert same(files.read_directions(tmp_path / "mine.npy", space="W")[0], Direction("mine", vector, "W"))


def test_directions_of_e4e_and_restyle(tmp_path: Path):
    for shape, space in (((1, D), "W"), ((D,), "W"), ((1, 1, D), "W"), ((1, K, D), "W+"), ((K, D), "W+")):
        vector = normal(*shape)
        torch.save(torch.from_numpy(vector), tmp_path / "pose.pt")
        (found,) = files.read_directions(tmp_path / "pose.pt")
        assert same(found, Direction("pose", vector.reshape(-1, D) if space == "W+" else vector.reshape(D), space))
        files.write_latent_direction(found, tmp_path / "again" / "pose.pt")
        again = torch.load(tmp_path / "again" / "pose.pt", weights_only=True)
        np.testing.assert_array_equal(again, found.vector[None])
        assert same(files.read_directions(tmp_path / "again" / "pose.pt")[0], found)


def test_components_of_ganspace_and_of_e4e(tmp_path: Path):
    whole = components(explained=np.float32([0.5, 0.2, 0.1]), random_std=np.abs(normal(3)))
    for name, space in (
        ("stylegan2-ffhq_style_ipca_n1000000_w.npz", "W"),
        ("stylegan2-ffhq_style_ipca_n300000_seed3.npz", "Z"),
    ):
        files.write_components(whole, tmp_path / name)
        with np.load(tmp_path / name, allow_pickle=False) as archive:
            assert archive["act_comp"].shape == archive["lat_comp"].shape == (3, 1, D)
        found = files.read_components(tmp_path / name)
        assert found.space == space
        for field in ("vectors", "mean", "std", "explained", "random_std"):
            np.testing.assert_array_equal(getattr(found, field), getattr(whole, field))
    files.write_components(whole, tmp_path / "ffhq_pca.pt")
    tree = torch.load(tmp_path / "ffhq_pca.pt", weights_only=True)
    assert {key: tuple(value.shape) for key, value in tree.items()} == {"comp": (3, 1, D), "mean": (1, D), "std": (3,)}
    torch.save(tree, tmp_path / "official.pt")
    found = files.read_directions(tmp_path / "official.pt")
    assert all(map(same, found, whole.directions())) and [d.name for d in found] == [
        "component0",
        "component1",
        "component2",
    ]
    assert found[1].unit == whole.std[1] and abs(found[1].zero - whole.mean @ whole.vectors[1]) < 1e-6


def test_factors_of_sefa_are_columns(tmp_path: Path):
    eigvec = np.linalg.qr(RANDOM.standard_normal((D, D)))[0].astype(np.float32)
    torch.save({"ckpt": "generator.pt", "eigvec": torch.from_numpy(eigvec)}, tmp_path / "factor.pt")
    found = files.read_directions(tmp_path / "factor.pt")
    assert len(found) == D and found[2].metadata["ckpt"] == "generator.pt"
    np.testing.assert_array_equal(found[2].vector, eigvec[:, 2])
    files.write_factor(found, tmp_path / "again.pt", ckpt="generator.pt")
    again = torch.load(tmp_path / "again.pt", weights_only=True)
    np.testing.assert_array_equal(again["eigvec"], eigvec)
    assert again["ckpt"] == "generator.pt"


def test_statistics_of_stylespace(tmp_path: Path):
    means, stds = ([normal(3), normal(2)] for _ in range(2))
    path = tmp_path / "S_mean_std"
    path.write_bytes(pickle.dumps([means, stds]))
    found = files.read_statistics(path)
    assert found.widths == (3, 2)
    np.testing.assert_array_equal(found.mean, np.concatenate(means))
    files.write_statistics(found, path)
    again = pickle.loads(path.read_bytes())
    for part, expected in zip(again, (means, stds), strict=True):
        assert all(map(np.array_equal, part, expected))
    assert same_statistics(files.read_statistics(path), found)


def same_statistics(first: Statistics, second: Statistics) -> bool:
    return (first.mean == second.mean).all() and (first.std == second.std).all() and first.widths == second.widths


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def _npz(header: object) -> dict:
    return {"directions": np.array(json.dumps(header)), "vector0": np.ones(3)}


def _archive(patches: dict[int, int], compressed: bool = False) -> bytes:
    """A file of ours whose entries in the list at the end of the archive begin with other bytes at some places."""
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **_npz({**HEADER, "directions": [FIELDS]}))
    content = bytearray(buffer.getvalue())
    for place, value in patches.items():
        content[content.index(b"PK\x01\x02") + place] = value
    return bytes(content)


def _scrambled() -> bytes:
    content = bytearray(_archive({}, compressed=True))
    content[60:120] = b"\xff" * 60
    return bytes(content)


HEADER = {"format": files.FORMAT, "version": 1}
FIELDS = {"name": "a", "space": "W", "layers": None, "unit": 1, "zero": 0, "widths": [], "metadata": {}}


def saved(path: Path, content) -> Path:
    """The path of a file with this content: bytes, an array, arrays, or what torch saves."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        np.save(path, content, allow_pickle=True)
    elif path.suffix == ".npz":
        np.savez(path, **content)
    else:
        torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"smile", "a file that ends in .txt; expected directions: .npz .* or .pt"),
        ("a", b"smile", "ends in nothing"),
        ("a.pt", b"", "an empty file"),
        ("a.pt", {"weights": torch.ones(3)}, "a torch file of a dict of weights"),
        ("a.pt", {"comp": torch.ones(3, 1, 4), "mean": torch.ones(1, 5), "std": torch.ones(3)}, r"and a mean \(5,\)"),
        ("a.pt", torch.ones(2, 3, 4), r"shape \(2, 3, 4\), expected \[K, D\]"),
        ("a.pt", torch.zeros(1, 4), "its vector is zero"),
        ("a.pt", torch.ones(1, 4, dtype=torch.int64), "contents that are not numbers|array"),
        ("a.pt", torch.tensor(1.0), "damaged contents|shape"),
        ("a.npy", b"", "found damaged contents|No data left"),
        ("a.npy", b"smile", "cannot be loaded|not.*pickle|allow_pickle"),
        ("a.npy", np.array([Evil()], object), "Object arrays cannot be loaded when allow_pickle=False"),
        ("a.npy", np.ones((1, 4)), "does not tell whether it belongs to Z or W"),
        ("a.npy", np.ones((1, 4)), r"such as stylegan_ffhq_smile_w_boundary\.npy for W .*: rename it"),
        ("a.npy", b"smile", "neither those of a .npy nor of a .npz"),
        ("stylegan_ffhq_a_w_boundary.npy", np.ones((1, 4)) + 0j, "not numbers .*complex128"),
        ("stylegan_ffhq_a_w_boundary.npy", np.full((1, 4), 1e300), "not finite"),
        ("stylegan_ffhq_a_w_boundary.npy", np.ones((2, 4)), r"shape \(2, 4\), expected \[D\] in W"),
        ("stylegan_ffhq_a_w_boundary.npy", np.full((1, 4), np.nan), "not finite"),
        ("a.npz", {"x": np.ones(3)}, "no components .a dict of x"),
        ("a.npz", {"lat_comp": np.ones((2, 1, 3))}, "damaged contents .KeyError: 'lat_mean'"),
        (
            "a.npz",
            {key: np.ones((1, 3)) for key in ("lat_comp", "lat_mean", "lat_stdev")},
            r"Z or W; .* as stylegan2-ffhq_style_ipca_n1000000_w\.npz for W",
        ),
        ("a.npz", {"comp": np.ones(1) + 0j, "mean": np.ones(1), "std": np.ones(1)}, "complex128"),
        ("a.npz", b"PK\x03\x04", "damaged contents .BadZipFile"),
        ("a.npz", b"", "damaged contents .EOFError"),
        ("a.npz", _archive({8: 1}), "damaged contents .RuntimeError.*encrypted"),
        ("a.npz", _archive({10: 99}), "damaged contents .NotImplementedError"),
        ("a.npz", _scrambled(), "damaged contents .(error|BadZipFile)"),
        ("a.npz", {"directions": np.array("{")}, "Expecting property name"),
        ("a.npz", _npz({**HEADER, "version": 2, "directions": []}), "version 2 of the format"),
        ("a.npz", _npz({**HEADER, "directions": []}), "no direction at all"),
        ("a.npz", _npz({**HEADER, "directions": [{**FIELDS, "space": "V"}]}), "unknown space 'V'"),
        ("a.npz", _npz({**HEADER, "directions": [{**FIELDS, "more": 1}]}), "unexpected keyword argument 'more'"),
        (
            "a.npz",
            _npz({**HEADER, "directions": [{**FIELDS, "layers": [float("inf")]}]}),
            r"layers are \[inf\], expected whole numbers from 0",
        ),
        ("a.npz", _npz({**HEADER, "directions": [{**FIELDS, "unit": 1e300}]}), "not finite in float32"),
        ("a.npz", _npz({**HEADER, "directions": [FIELDS, FIELDS]}), "KeyError: 'vector1'"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content, message: str, capsys: pytest.CaptureFixture[str]):
    path = saved(tmp_path / name, content)
    with pytest.raises(CheckpointError, match=message) as raised:
        files.read_directions(path)
    assert str(path) in str(raised.value) and "What to do:" in str(raised.value) and "unsafe" not in str(raised.value)
    assert not capsys.readouterr().out


def test_pickles_that_are_not_statistics(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "S_mean_std"
    for content, message in (
        (Evil(), "asks for .*print, which was refused"),
        ([["conv"], [np.ones(3)]], "could not convert string"),
        ({"mean": 1}, "a pickle of a dict of mean"),
        ([[np.ones(3)], [np.ones(2)]], r"mean has shape \(3,\) and std \(2,\)"),
        ([[], []], "need at least one array"),
    ):
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(CheckpointError, match=message):
            files.read_statistics(path)
    assert not capsys.readouterr().out


def test_the_space_that_is_asked_for(tmp_path: Path):
    files.write_directions([Direction("a", normal(D), "Z")], tmp_path / "a.npz")
    with pytest.raises(CheckpointError, match="directions in Z where W was asked for"):
        files.read_directions(tmp_path / "a.npz", space="W")
    with pytest.raises(CheckpointError, match=r"cannot be read \(No such file"):
        files.read_directions(tmp_path / "none.npy")
    with pytest.raises(CheckpointError, match="no components"):
        files.read_components(tmp_path / "a.npz")


COMPONENTS = {"lat_comp": np.eye(2, 4), "lat_mean": np.ones(4), "lat_stdev": np.ones(2)}
TORCH_COMPONENTS = {"comp": torch.eye(2, 4), "mean": torch.ones(1, 4), "std": torch.ones(2)}


@pytest.mark.parametrize(
    ("name", "content", "space", "other"),
    [
        ("stylegan_ffhq_age_boundary.npy", np.ones((1, 4)), "Z", "W"),
        ("stylegan_ffhq_age_w_boundary.npy", np.ones((1, 4)), "W", "Z"),
        ("stylegan2-ffhq_style_ipca_n1000000.npz", COMPONENTS, "Z", "W"),
        ("stylegan2-ffhq_style_ipca_n1000000_w.npz", COMPONENTS, "W", "Z"),
        ("ffhq_pca.pt", TORCH_COMPONENTS, "W", "Z"),
        ("factor.pt", {"eigvec": torch.eye(4)}, "W", "Z"),
        ("pose.pt", torch.ones(1, 4), "W", "Z"),
        ("pose.pt", torch.ones(1, 4), "W", "W+"),
        ("pose.pt", torch.ones(1, 6, 4), "W+", "Z"),
    ],
)
def test_what_a_file_says_of_its_space_is_not_overruled(tmp_path: Path, name: str, content, space, other):
    """By its official name, or by its kind and shape; another name leaves the word to the caller."""
    path = saved(tmp_path / name, content)
    message = f"{name}: found directions in {re.escape(space)} where {re.escape(other)} was asked for"
    readers: list[Callable[..., list[Direction]]] = [files.read_directions]
    if isinstance(content, dict) and "eigvec" not in content:
        readers.append(lambda path, space: files.read_components(path, space=space).directions())
    for read in readers:
        assert {each.space for asked in (None, space) for each in read(path, space=asked)} == {space}
        with pytest.raises(CheckpointError, match=message):
            read(path, space=other)
        if path.suffix != ".pt":
            mine = saved(tmp_path / f"mine{path.suffix}", content)
            assert {each.space for asked in (space, other) for each in read(mine, space=asked)} == {"Z", "W"}


def test_what_a_format_has_no_room_for(tmp_path: Path):
    layered = Direction("a", normal(D), "W", layers=(1,))
    with pytest.raises(ValueError, match=r"layers \(1,\).* all layers and a unit of 1; write it in our own"):
        files.write_boundary(layered, tmp_path / "a.npy")
    with pytest.raises(ValueError, match="is for W and W\\+"):
        files.write_latent_direction(Direction("a", normal(D), "Z"), tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"unit 2\.0"):
        files.write_factor([Direction("a", normal(D), "W", unit=2.0)], tmp_path / "a.pt", ckpt="")
    with pytest.raises(ValueError, match=r"a\.npy ends in \.npy, expected \.npz"):
        files.write_directions([layered], tmp_path / "a.npy")
    with pytest.raises(ValueError, match="there are no directions"):
        files.write_directions([], tmp_path / "a.npz")
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be written"):
        files.write_directions([layered], tmp_path / "file" / "a.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
