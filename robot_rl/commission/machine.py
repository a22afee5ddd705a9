"""What a machine that drives a robot should have: a real-time kernel, priorities, room, and a clock that is right."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from robot_rl.commission.report import Finding, green, judged

GIB = 2**30
TIME_ERROR = 5
"""What adjtimex returns of a clock that nothing keeps right (Linux, adjtimex(2))."""


def findings(*, drives: bool) -> Iterator[Finding]:
    """drives: whether this machine runs the arm's 1 kHz loop."""
    yield kernel(drives)
    if drives:
        yield priority()
    yield cores()
    yield disk(Path.cwd())
    yield clock()


def kernel(drives: bool) -> Finding:
    """Whether the kernel is a real-time one."""
    named = f"{platform.system()} {platform.release()}"
    if "PREEMPT_RT" in platform.version() or _realtime():
        return green("kernel", f"{named}, real-time")
    if not drives:
        return green("kernel", f"{named}; real time is not needed here")
    mend = "install a PREEMPT_RT kernel; without it cycles are missed under load, and the robot stops by itself"
    return Finding("kernel", "yellow", f"{named}, not real-time", mend)


def _realtime() -> bool:
    flag = Path("/sys/kernel/realtime")
    return flag.is_file() and flag.read_text().strip() == "1"


def priority() -> Finding:
    """Whether this user may ask for real-time priority."""
    allowed = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    if os.geteuid() == 0 or allowed == resource.RLIM_INFINITY or allowed >= 80:
        return green("priority", "real-time priority is allowed")
    mend = "add `@realtime - rtprio 99` to /etc/security/limits.d, join that group, and log in again"
    return Finding("priority", "yellow", f"rtprio limit {allowed}", mend)


def cores() -> Finding:
    """Processor cores that this process may use."""
    count = len(os.sched_getaffinity(0))
    return judged(
        "cores", -count, -3, -1, str(count), "give it 4 or more: arm, cameras, actor and learner work at once"
    )


def disk(folder: Path) -> Finding:
    """Room for what a run writes."""
    free = shutil.disk_usage(folder).free / GIB
    return judged("disk", -free, -5, -0.5, f"{free:.0f} GiB free in {folder.name or folder}", "free some, or move")


def clock() -> Finding:
    """Whether something keeps this machine's clock right: two machines must agree on the time."""
    libc = ctypes.CDLL(None, use_errno=True)
    answer = libc.adjtimex(ctypes.create_string_buffer(512))  # struct timex, all zero: only asks
    if answer < 0:
        return Finding("clock", "yellow", "this system does not tell whether its clock is right", "run chrony on it")
    if answer == TIME_ERROR:
        return Finding("clock", "yellow", "nothing keeps the clock right", "run chrony or systemd-timesyncd")
    return green("clock", "kept right by the system")
