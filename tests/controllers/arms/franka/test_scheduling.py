import subprocess
import sys

from controllers.arms.franka import scheduling

ASK = """
import os
from controllers.arms.franka.scheduling import become_realtime
print(become_realtime({priority}, {cores}))
print(os.sched_getscheduler(0), sorted(os.sched_getaffinity(0)))
"""


def ask(priority, cores):
    """Ask for it in a process of its own; what was refused, and what is."""
    code = ASK.format(priority=priority, cores=cores)
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_an_ordinary_process_asks_for_nothing():
    assert ask(0, ()).startswith("[]\n0 ")


def test_what_is_not_allowed_is_told_in_words():
    assert "cannot run on cores [4000] alone: choose from [0" in ask(0, (4000,))
    told = ask(80, (0,))
    assert "1 [0]" in told or "no real-time priority 80" in told
    assert scheduling.realtime_kernel() or "not a real-time one (PREEMPT_RT)" in told
