"""`python -m benchmarks`: every benchmark, one after the other, each in a process of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HELPERS = {
    "__init__",
    "__main__",
    "adversary",
    "cable",
    "chat_service",
    "client_franky",
    "common",
    "driver",
    "eyes",
    "reflexes",
    "runs",
    "serl_baseline",
    "stand_in",
    "stops",
}


def names() -> list[str]:
    """The benchmarks: every module of this package that is no helper and no `peer_*`."""
    found = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return sorted(name for name in found if name not in HELPERS and not name.startswith("peer_"))


def main() -> int:
    """Run them all; the exit code is 1 where one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of tables")
    parser.add_argument("--quick", action="store_true", help="a shorter measurement of each")
    parser.add_argument("--fresh", action="store_true", help="forget partial results of an earlier run")
    options = parser.parse_args()
    flags = [f"--{flag}" for flag, given in vars(options).items() if given]
    failed = []
    for name in names():
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *flags], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
