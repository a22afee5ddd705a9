"""A child that does not outlive the process that started it, however that one ends."""

from __future__ import annotations

import ctypes
import os
import signal

PARENT = "ROBOT_RL_PARENT"
"""Environment variable with the parent's process id; children without it live on their own."""

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies; exit at once where that has happened already."""
    parent = os.environ.get(PARENT)
    if parent is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        os._exit(1)
