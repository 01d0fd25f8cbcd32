"""What holds for the repository as a whole: the direction of imports, the two commands, the installed package."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What jobs, and all above them, stand on.
PARTS = (
    *("data_pipelines", "restyle_jax.ops", "restyle_jax.augment", "restyle_jax.nets", "restyle_jax.losses"),
    *("restyle_jax.refine", "restyle_jax.metrics", "restyle_jax.model", "restyle_jax.convert", "restyle_jax.edit"),
    *("restyle_jax.zoo", "restyle_jax.checkpoints", "restyle_jax.train", "restyle_jax.optimise"),
    *("restyle_jax.viz", "restyle_jax.plot"),
)
# What each part may import of ours; a part may always import itself.
ARROWS = {
    "restyle_jax.ops": (),
    "restyle_jax.augment": ("restyle_jax.ops",),
    "restyle_jax.nets": ("restyle_jax.ops",),
    "restyle_jax.losses": ("restyle_jax.nets", "restyle_jax.ops"),
    "restyle_jax.refine": ("restyle_jax.nets", "restyle_jax.ops"),
    "restyle_jax.metrics": ("restyle_jax.losses", "restyle_jax.nets", "restyle_jax.ops"),
    "restyle_jax.model": ("restyle_jax.refine", "restyle_jax.nets", "restyle_jax.ops"),
    "restyle_jax.optimise": (
        "restyle_jax.model",
        "restyle_jax.refine",
        "restyle_jax.losses",
        "restyle_jax.nets",
        "restyle_jax.ops",
    ),
    "restyle_jax.convert": (),
    "restyle_jax.edit": (
        *("restyle_jax.nets", "restyle_jax.ops", "restyle_jax.convert", "restyle_jax.zoo"),
        "data_pipelines.npz",
    ),
    "restyle_jax.zoo": ("restyle_jax.convert",),
    "restyle_jax.checkpoints": (
        "restyle_jax.zoo",
        "restyle_jax.model",
        "restyle_jax.refine",
        "restyle_jax.nets",
        "restyle_jax.convert",
    ),
    "restyle_jax.train": (
        *(
            "restyle_jax.augment",
            "restyle_jax.checkpoints",
            "restyle_jax.convert",
            "restyle_jax.model",
            "restyle_jax.refine",
            "restyle_jax.metrics",
            "restyle_jax.losses",
        ),
        *("restyle_jax.nets", "restyle_jax.ops", "restyle_jax.viz", "restyle_jax.zoo"),
    ),
    "restyle_jax.viz": (),
    "restyle_jax.plot": (),
    "restyle_jax.jobs": PARTS,
    "restyle_jax.demo": (*PARTS, "restyle_jax.jobs"),
    "restyle_jax.commands": (*PARTS, "restyle_jax.jobs", "restyle_jax.demo"),
    "restyle_jax.cli": (*PARTS, "restyle_jax.jobs", "restyle_jax.commands"),
    "restyle_jax.__main__": ("restyle_jax.cli",),
    "data_pipelines": (),
}
FOREIGN = {"restyle_jax.convert": ("jax", "flax", "torch"), "data_pipelines": ("jax", "flax", "torch")}


def modules() -> list[tuple[str, Path]]:
    files = [*(ROOT / "restyle_jax").rglob("*.py"), *(ROOT / "data_pipelines").rglob("*.py")]
    return [(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), file) for file in files]


def imports(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def inside(name: str, parts: tuple[str, ...]) -> bool:
    return any(name == part or name.startswith(part + ".") for part in parts)


@pytest.mark.parametrize("part", ARROWS)
def test_imports_point_one_way(part: str):
    checked = 0
    for module, file in modules():
        if not inside(module, (part,)):
            continue
        checked += 1
        for name in imports(file):
            ours = inside(name, ("restyle_jax", "data_pipelines")) and "." in name
            assert not ours or inside(name, (part, *ARROWS[part])), f"{file} imports {name}"
            assert not inside(name, FOREIGN.get(part, ())), f"{file} imports {name}"
    assert checked


def test_every_part_has_its_arrows():
    parts = {".".join(module.split(".")[:2]) for module, _ in modules() if module.startswith("restyle_jax.")}
    assert parts <= {*ARROWS}


def test_torch_is_not_imported_by_the_package():
    assert not [file for _, file in modules() if inside_torch(imports(file))]


def inside_torch(names: set[str]) -> bool:
    return any(inside(name, ("torch", "tensorflow")) for name in names)


def test_ci_runs_the_second_command_of_the_readme():
    first, second = re.findall(r"^python3 -m venv .*$", (ROOT / "README.md").read_text(), re.MULTILINE)[:2]
    assert second in (ROOT / ".ci" / "run").read_text().splitlines()
    assert first.endswith(" && .venv/bin/restyle demo")


def test_every_public_name_is_there():
    code = "import restyle_jax as rs; print(*[name for name in rs.__all__ if not getattr(rs, name).__doc__])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stdout + done.stderr
    with pytest.raises(AttributeError, match="no attribute 'unknown'"):
        getattr(__import__("restyle_jax"), "unknown")  # noqa: B009


@pytest.mark.parametrize(
    ("before", "flags", "expected"),
    [
        ("", None, "--xla_cpu_experimental_ynn_fusion_type="),
        (
            "",
            "--xla_cpu_enable_fast_math=false",
            "--xla_cpu_enable_fast_math=false --xla_cpu_experimental_ynn_fusion_type=",
        ),
        ("", "--xla_cpu_experimental_ynn_fusion_type=1", "--xla_cpu_experimental_ynn_fusion_type=1"),
        ("import jax; ", None, ""),
    ],
)
def test_the_cpu_flag_is_set_once_and_never_against_the_user(before: str, flags: str | None, expected: str):
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    if flags is not None:
        environment["XLA_FLAGS"] = flags
    code = f"{before}import os, json, restyle_jax; print(json.dumps(os.environ.get('XLA_FLAGS', '')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert json.loads(done.stdout) == expected, done.stderr
