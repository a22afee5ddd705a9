"""`python -m robot_rl.nodes NAME --run DIR [--ros-args ...]`: one node in this process."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path

from controllers.exceptions import ControllersError
from robot_rl.disk import disk_errors
from robot_rl.exceptions import NetworkGone, RobotRLError
from robot_rl.lifeline import die_with_parent
from robot_rl.nodes import run_node

USER_ERROR = 2
START_AGAIN = 3


def main() -> int:
    """Exit code 0: done or interrupted. 2: a person has to mend something, said in one sentence. 3: start again."""
    die_with_parent()
    parser = argparse.ArgumentParser(prog="python -m robot_rl.nodes")
    parser.add_argument("name")
    parser.add_argument("--run", type=Path, required=True)
    options, ros_args = parser.parse_known_args()
    try:
        with disk_errors("a file of the run"):
            run_node(options.name, options.run, ros_args)
    except NetworkGone as error:
        print(error, file=sys.stderr)
        return START_AGAIN
    except (RobotRLError, ControllersError) as error:
        with suppress(OSError):  # the log may lie on the disk that is full
            print(error, file=sys.stderr)
        return USER_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
