"""Everything that must hold before a change lands: formatting, lint, types, tests. Stops at the first failure."""

import subprocess
import sys
from pathlib import Path

from tests.browser import chromium

CHECKS = (
    ["ruff", "format", "--check", "--quiet", "."],
    ["ruff", "check", "--quiet", "."],
    ["basedpyright", "--pythonpath", sys.executable],
    ["pytest", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"],
)


def main() -> int:
    root = Path(__file__).parents[1]
    *others, tests = CHECKS
    if not chromium.installed():
        print(f"No {' or '.join(chromium.NAMES)} on the PATH: tests/browser, which need one, are left out.", flush=True)
        tests = [*tests, "--ignore=tests/browser"]
    for check in (*others, tests):
        print("$", *check, flush=True)
        code = subprocess.run([sys.executable, "-m", *check], cwd=root).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
