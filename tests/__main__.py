"""Everything that must hold before a change lands: formatting, lint, types, tests. Stops at the first failure."""

import subprocess
import sys
from pathlib import Path

CHECKS = (
    ["ruff", "format", "--check", "--quiet", "."],
    ["ruff", "check", "--quiet", "."],
    ["basedpyright", "--pythonpath", sys.executable],
    ["pytest", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"],
)


def main() -> int:
    root = Path(__file__).parents[1]
    for check in CHECKS:
        print("$", *check, flush=True)
        code = subprocess.run([sys.executable, "-m", *check], cwd=root).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
