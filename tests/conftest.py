"""How tests compute: float32 proper, as accelerators round the inputs of matrix products by default; and quick compilation."""

import atexit
import importlib.metadata
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

# A small program is computed in no time, but compiled for seconds. Tests, and the processes that they start, do without LLVM's
# optimisations, without the slower of XLA's two generators of code, and without cutting programs into parts. Those named
# test_parity..., and those in OPTIMISED, compare numbers with other code, compute for long, or ask what optimisations do to
# numbers: they run what users run.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
# XLA ends the process for a flag that it does not know, and that of jaxlib 0.11 has one generator only.
os.environ["XLA_FLAGS"] = "--xla_cpu_parallel_codegen_split_count=1" + (
    " --xla_cpu_use_fusion_emitters=false" if importlib.metadata.version("jaxlib").startswith("0.10.") else ""
)

# What several tests, or processes that they start, need is compiled once.
os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="restyle_programs_")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import restyle_jax  # noqa: F401, I001  (before jax: it chooses the convolutions of the CPU backend)

import jax
import pytest
from jax._src import compiler

atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

# What XLA does where XLA_FLAGS does not say otherwise.
USUAL_CODE: dict[str, bool | int] = {"xla_cpu_parallel_codegen_split_count": 32}
if "use_fusion_emitters" in os.environ["XLA_FLAGS"]:
    USUAL_CODE["xla_cpu_use_fusion_emitters"] = True

OPTIMISED = (
    "checkpoints/test_load.py",  # averages of 100,000 codes
    "edit/test_stylespace.py::test_pictures_of_points_of_a_trained_generator",
    "jobs/test_evaluate_folder.py",
    "losses/test_parity.py",
    "ops/test_layers.py::test_compiled_gradients_equal_those_of_single_operations",
    "parity",
    "train/test_coach.py",
    "train/test_encoder.py::test_memory_does_not_grow_with_the_number_of_steps",  # which is compiled sooner then
)

# Begun first, so that no worker is left alone with them at the end.
LONG = (
    "train/test_coach.py",
    "parity/test_loops.py",
    "nets/test_encoders.py",
    "train/test_encoder.py",
    "nets/test_stylegan2.py",
)

quick_options = compiler.get_compile_options

jax.config.update("jax_default_matmul_precision", "highest")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long modules first, and what is optimised before the rest, so that processes seldom change over."""
    names = {item: module(item) for item in items}
    items.sort(key=lambda item: (not optimised(item), (*LONG, names[item]).index(names[item])))


def module(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).as_posix()


def optimised(item: pytest.Item) -> bool:
    return item.name.startswith("test_parity") or f"{module(item)}::{item.name}".startswith(OPTIMISED)


def usual_options(*arguments: Any, **options: Any) -> Any:
    """What JAX asks of XLA, as if neither environment variable were set."""
    chosen = quick_options(*arguments, **options)
    chosen.env_option_overrides = [*chosen.env_option_overrides, *USUAL_CODE.items()]
    return chosen


@pytest.hookimpl(tryfirst=True)  # before the fixtures
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Optimise what shall be optimised, and take no program that was compiled otherwise."""
    quickly = not optimised(item)
    if quickly != (compiler.get_compile_options is quick_options):
        jax.clear_caches()
        jax.config.update("jax_disable_most_optimizations", quickly)
        compiler.get_compile_options = quick_options if quickly else usual_options
