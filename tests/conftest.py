"""How tests compute: float32 proper, as accelerators round the inputs of matrix products by default; and quick compilation."""

import os
from pathlib import Path

# A small program spends half of its time in LLVM's optimisations. Tests, and the processes that they start, do without; those
# in OPTIMISED, which compare numbers with other code or compute for longer than they compile, run what users run.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

import restyle_jax  # noqa: F401, I001  (before jax: it chooses the convolutions of the CPU backend)

import jax
import pytest

OPTIMISED = ("checkpoints", "jobs/test_evaluate_folder.py", "losses", "nets", "ops", "parity", "train/test_coach.py")

# Begun first, so that no worker is left alone with them at the end.
LONG = (
    "train/test_coach.py",
    "parity/test_loops.py",
    "nets/test_encoders.py",
    "train/test_encoder.py",
    "nets/test_stylegan2.py",
)

QUICKLY = pytest.StashKey[bool]()

jax.config.update("jax_default_matmul_precision", "highest")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long modules first, and those in OPTIMISED before the others, so that each process changes over once."""
    names = {item: module(item.path) for item in items}
    items.sort(key=lambda item: (not names[item].startswith(OPTIMISED), (*LONG, names[item]).index(names[item])))


def module(path: Path) -> str:
    return path.relative_to(Path(__file__).parent).as_posix()


@pytest.fixture(autouse=True, scope="module")
def machine_code(request: pytest.FixtureRequest) -> None:
    """Optimise the programs of a module in OPTIMISED only, and take none that was compiled otherwise."""
    quickly = not module(request.path).startswith(OPTIMISED)
    if quickly != request.config.stash.get(QUICKLY, True):
        jax.clear_caches()
        jax.config.update("jax_disable_most_optimizations", quickly)
        request.config.stash[QUICKLY] = quickly
