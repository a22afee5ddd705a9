"""What a 1 kHz loop asks of the operating system, and what it was refused."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

MCL_CURRENT, MCL_FUTURE = 1, 2


def become_realtime(priority: int, cores: tuple[int, ...]) -> list[str]:
    """Ask for SCHED_FIFO at `priority` (0: ordinary scheduling), `cores` alone, and memory that is never paged out.

    Returns what was not allowed, in words; nothing of it is an error.
    """
    refused = []
    policy = os.SCHED_FIFO if priority else os.SCHED_OTHER
    try:
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except OSError:
        refused.append(f"no real-time priority {priority}: raise the user's rtprio limit")
    if cores:
        try:
            os.sched_setaffinity(0, cores)
        except OSError:
            refused.append(f"cannot run on cores {list(cores)} alone: choose from {sorted(os.sched_getaffinity(0))}")
    if priority and ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE) != 0:
        refused.append("memory may be paged out: raise the user's memlock limit")
    if priority and not realtime_kernel():
        refused.append("the kernel is not a real-time one (PREEMPT_RT)")
    return refused


def settle_memory() -> None:
    """No garbage collection from here on: a loop that makes no cycles needs none, and a pause costs cycles."""
    gc.collect()
    gc.freeze()
    gc.disable()


def realtime_kernel() -> bool:
    """Whether the kernel says that it is fully preemptible."""
    flag = Path("/sys/kernel/realtime")
    return flag.exists() and flag.read_text().strip() == "1"
