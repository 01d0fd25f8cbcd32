"""Files of directions: our own, which keeps everything, and the published ones. Nothing in a file is ever executed.

.npz  ours: arrays, and all else as JSON          GANSpace: components (harskish/ganspace)
.npy  InterFaceGAN: one boundary f64[1, D] (genforce/interfacegan)
.pt   e4e and ReStyle: one direction f32[1, D] or f32[1, K, D]; e4e's components of GANSpace {comp, mean, std};
      SeFa: {ckpt, eigvec} with directions as columns (rosinality/stylegan2-pytorch)
.pkl  StyleSpace: mean and standard deviation of S (betterze/StyleSpace, `S_mean_std`, which has no ending there)
"""

import contextlib
import json
import os
import pickle
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from data_pipelines import npz
from restyle_jax import zoo
from restyle_jax.convert import reader, torch_file
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.convert.writing import whole_file
from restyle_jax.edit.direction import Direction, Space
from restyle_jax.edit.ganspace import Components
from restyle_jax.edit.stylespace import Statistics

FORMAT, VERSION = "restyle_jax directions", 1
TORCH = (".pt", ".pth")
EXPECTED = "directions: .npz (ours or GANSpace's), .npy (InterFaceGAN) or .pt (e4e, ReStyle, e4e's GANSpace, rosinality's SeFa)"
_FIELDS = ("name", "space", "layers", "unit", "zero", "widths", "metadata")
# {model}_{data set}_{attribute}, "_w" for W, "_c_" before the attributes that are left alone.
_BOUNDARY = re.compile(r"(pggan|stylegan)_[^_]+_(?P<name>.+?)(?P<w>_w)?(?P<conditions>_c_.+)?_boundary")
# {model}-{class}_{layer}_{estimator}_n{number of codes}
_GANSPACE = re.compile(r".*_n\d+(?P<w>_w)?(_seed\d+)?")
_OFFICIAL = {
    _BOUNDARY: ("stylegan_ffhq_smile", "_boundary.npy"),
    _GANSPACE: ("stylegan2-ffhq_style_ipca_n1000000", ".npz"),
}


def read_directions(path: str | os.PathLike[str], *, space: Space | None = None) -> list[Direction]:
    """The directions in a file of any kind above, or of a name of the zoo; those of a file of components are called component0,
    component1, ...

    space: of the codes, for files that do not say it. Ours do, boundaries and components tell Z from W by their official names,
    `.pt` files belong to W or W+. Raises CheckpointError for a file that is missing, damaged, of another kind, or of an unknown
    space or another one than this.
    """
    path = zoo.resolve(path)
    with _explained(path):
        if path.suffix in TORCH:
            made = _from_torch(path, reader.read(path).tree)
        elif path.suffix == ".npy":
            made = [_single(path, _load(path), _space_of(path, _BOUNDARY, space))]
        elif path.suffix == ".npz":
            arrays = _load(path)
            made = _own(path, arrays) if "directions" in arrays else _components(path, arrays, space).directions()
        else:
            raise ValueError(f"a file that ends in {path.suffix or 'nothing'}")
        for direction in made:
            _check_space(direction.space, space)
    return made


def read_components(path: str | os.PathLike[str], *, space: Space | None = None) -> Components:
    """The components in a GANSpace file (.npz, or e4e's .pt) with their mean. Raises as `read_directions`."""
    path = zoo.resolve(path)
    with _explained(path):
        arrays = reader.read(path).tree if path.suffix in TORCH else _load(path)
        made = _components(path, arrays, space)
        _check_space(made.space, space)
        return made


def read_statistics(path: str | os.PathLike[str]) -> Statistics:
    """Mean and standard deviation of S in a pickle [[mean of each style], [std of each style]]. Raises CheckpointError."""
    path = Path(path)
    with _explained(path, "StyleSpace statistics, a pickle [[mean of each style], [std of each style]]"):
        tree = reader.read(path, plain=True).tree
        if not (isinstance(tree, list | tuple) and [type(part) for part in tree] == [list, list]):
            raise ValueError(f"a pickle of {_listing(tree)}")
        means, stds = ([np.asarray(style, np.float32).reshape(-1) for style in part] for part in tree)
        return Statistics(np.concatenate(means), np.concatenate(stds), tuple(map(len, means)))


def _from_torch(path: Path, tree: Any) -> list[Direction]:
    if isinstance(tree, np.ndarray):
        return [_single(path, tree, "W" if tree.size == tree.shape[-1] else "W+")]
    if isinstance(tree, Mapping) and "comp" in tree:
        return _components(path, tree).directions()
    if isinstance(tree, Mapping) and isinstance(tree.get("eigvec"), np.ndarray) and tree["eigvec"].ndim == 2:
        metadata = {"method": "sefa-unnormalised", "ckpt": str(tree.get("ckpt"))}
        columns = enumerate(tree["eigvec"].T)
        return [Direction(f"component{i}", column, "W", metadata=metadata) for i, column in columns]
    raise ValueError(f"a torch file of {_listing(tree)}")


def _single(path: Path, array: Any, space: Space) -> Direction:
    """The direction in an array [D], [1, D], [K, D] or [1, K, D]; two axes are left in W+ only."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise ValueError(f"contents that are not numbers ({_listing(array)})")
    while array.ndim > (2 if space == "W+" else 1) and len(array) == 1:
        array = array[0]
    matched = _BOUNDARY.fullmatch(path.stem)
    name = matched["name"] + (matched["conditions"] or "") if matched else path.stem
    return Direction(name, array, space)


def _check_space(found: Space, asked: Space | None) -> None:
    if asked not in (None, found):
        raise ValueError(f"directions in {found} where {asked} was asked for")


def _space_of(path: Path, pattern: re.Pattern[str], asked: Space | None) -> Space:
    """The space that the official name of a file tells; of another file, the one that is asked for."""
    matched = pattern.fullmatch(path.stem)
    if matched:
        return "W" if matched["w"] else "Z"
    if asked:
        return asked
    without, ending = _OFFICIAL[pattern]
    raise CheckpointError.explain(
        path,
        found="a file whose name does not tell whether it belongs to Z or W",
        expected=f"an official name, such as {without}_w{ending} for W and {without}{ending} for Z",
        remedy='rename it in this way, or read it in Python with `read_directions(path, space="W")`',
    )


def _components(path: Path, arrays: Any, space: Space | None = None) -> Components:
    """From the keys of GANSpace, or those of e4e, which have an axis more than they need."""
    if not isinstance(arrays, Mapping) or not ({"comp", "mean", "std"} <= set(arrays) or "lat_comp" in arrays):
        raise ValueError(f"no components ({_listing(arrays)})")
    ganspace = "lat_comp" in arrays
    vectors, mean, std = (
        np.asarray(arrays[key]).astype(np.float32, casting="same_kind")
        for key in (("lat_comp", "lat_mean", "lat_stdev") if ganspace else ("comp", "mean", "std"))
    )
    explained, random_std = (arrays.get(key) if ganspace else None for key in ("var_ratio", "random_stdevs"))
    return Components(
        vectors.reshape(len(vectors), -1),
        mean.reshape(-1),
        std.reshape(-1),
        explained if explained is None else np.asarray(explained, np.float32),
        random_std if random_std is None else np.asarray(random_std, np.float32),
        _space_of(path, _GANSPACE, space) if ganspace else "W",
    )


def _own(path: Path, arrays: dict[str, np.ndarray]) -> list[Direction]:
    header = json.loads(str(arrays["directions"]))
    if header["format"] != FORMAT or header["version"] != VERSION:
        raise ValueError(
            f"version {header['version']} of the format {header['format']!r} (known: {VERSION} of {FORMAT!r})"
        )
    made = []
    for i, fields in enumerate(header["directions"]):
        fields = {**fields, "widths": tuple(fields["widths"])}
        made.append(Direction(vector=arrays[f"vector{i}"], **fields))
    if not made:
        raise ValueError("no direction at all")
    return made


def _load(path: Path) -> Any:
    loaded = npz.load(path)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded as archive:
        return dict(archive)


def _listing(tree: Any) -> str:
    if isinstance(tree, Mapping):
        return "a dict of " + ", ".join(map(str, list(tree)[:8]))
    return f"an array {tree.shape} of {tree.dtype}" if isinstance(tree, np.ndarray) else type(tree).__name__


@contextlib.contextmanager
def _explained(path: Path, expected: str = EXPECTED) -> Iterator[None]:
    """Turn whatever is wrong with the contents of a file into a CheckpointError about it."""
    try:
        yield
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError.explain(
            path,
            found=f"that it cannot be read ({error.strerror or error})",
            expected=expected,
            remedy="check the path and its permissions",
        ) from error
    except npz.UNREADABLE as error:
        found = (
            f"{error}"
            if isinstance(error, ValueError)
            else f"damaged contents ({type(error).__name__}: {error!s:.100})"
        )
        raise CheckpointError.explain(
            path,
            found=found,
            expected=expected,
            remedy="give the file of a direction, and its space if it does not tell",
        ) from error


def write_directions(directions: Sequence[Direction], path: str | os.PathLike[str]) -> None:
    """Write directions to a .npz in our format. Raises ValueError for none or another ending, CheckpointError if it fails."""
    if not directions:
        raise ValueError(f"there are no directions to write to {os.fspath(path)}")
    header = {
        "format": FORMAT,
        "version": VERSION,
        "directions": [{field: getattr(direction, field) for field in _FIELDS} for direction in directions],
    }
    arrays = {f"vector{i}": direction.vector for i, direction in enumerate(directions)}
    text = json.dumps(header)
    _write(path, (".npz",), lambda file: np.savez(file, allow_pickle=False, directions=np.array(text), **arrays))


def write_boundary(direction: Direction, path: str | os.PathLike[str]) -> None:
    """Write one direction of Z or W as InterFaceGAN does, a .npy f64[1, D]. Raises as `write_directions`, for layers as well."""
    vector = _plain(direction, ("Z", "W")).astype(np.float64)
    _write(path, (".npy",), lambda file: np.save(file, vector[None], allow_pickle=False))


def write_latent_direction(direction: Direction, path: str | os.PathLike[str]) -> None:
    """Write one direction of W or W+ as e4e and ReStyle do, a .pt f32[1, D] or f32[1, K, D]. Raises as `write_boundary`."""
    vector = _plain(direction, ("W", "W+")).astype(np.float32)
    _write(path, TORCH, lambda file: torch_file.write(file, vector[None]))


def write_factor(directions: Sequence[Direction], path: str | os.PathLike[str], *, ckpt: str) -> None:
    """Write directions of W as rosinality's SeFa does, the columns of `eigvec` in a .pt; `ckpt` is the file of the generator.

    Raises as `write_boundary`.
    """
    columns = np.stack([_plain(direction, ("W",)) for direction in directions], axis=1).astype(np.float32)
    _write(path, TORCH, lambda file: torch_file.write(file, {"ckpt": ckpt, "eigvec": columns}))


def write_components(components: Components, path: str | os.PathLike[str]) -> None:
    """Write components as GANSpace does (.npz), or as e4e does (.pt). Raises as `write_directions`.

    What they have not measured (`explained`, `random_std`) is left out.
    """
    vectors, mean, std = components.vectors[:, None], components.mean[None], components.std
    if Path(path).suffix in TORCH:
        _write(path, TORCH, lambda file: torch_file.write(file, {"comp": vectors, "mean": mean, "std": std}))
        return
    arrays = {"act_comp": vectors, "act_mean": mean, "act_stdev": std}
    arrays |= {"lat_comp": vectors, "lat_mean": mean, "lat_stdev": std}
    arrays |= {"var_ratio": components.explained, "random_stdevs": components.random_std}
    known = {key: array for key, array in arrays.items() if array is not None}
    _write(path, (".npz",), lambda file: np.savez(file, allow_pickle=False, **known))


def write_statistics(found: Statistics, path: str | os.PathLike[str]) -> None:
    """Write the mean and the standard deviation of S as StyleSpace does, a pickle of two lists. Raises as `write_directions`."""
    ends = np.cumsum(found.widths)[:-1]
    lists = [[np.ascontiguousarray(style) for style in np.split(array, ends)] for array in (found.mean, found.std)]
    _write(path, None, lambda file: pickle.dump(lists, file, protocol=2))


def _plain(direction: Direction, spaces: tuple[str, ...]) -> np.ndarray:
    """The vector of a direction that has nothing else to tell."""
    if direction.space not in spaces or direction.layers is not None or direction.unit != 1 or direction.zero != 0:
        raise ValueError(
            f"direction {direction.name} ({direction.space}, layers {direction.layers}, unit {direction.unit}, zero "
            f"{direction.zero}) does not fit this format, which is for {' and '.join(spaces)}, all layers and a unit of 1; write "
            "it in our own with `write_directions`"
        )
    return direction.vector


def _write(path: str | os.PathLike[str], endings: tuple[str, ...] | None, write: Callable[[BinaryIO], object]) -> None:
    """Write a file that appears complete or not at all."""
    path = Path(path)
    if endings and path.suffix not in endings:
        raise ValueError(f"{path} ends in {path.suffix or 'nothing'}, expected {' or '.join(endings)}")
    with whole_file(path) as fresh, fresh.open("xb") as file:
        write(file)
