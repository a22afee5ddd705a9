"""On the wall clock. This machine may be busy: what is asked for is the cycle, not its timing."""

import os
import signal
import time

import numpy as np
import pytest

from tasks.peg_insert.task import SPEC
from tests.controllers.arms.franka.conftest import bench, target


@pytest.fixture(scope="module")
def robot():
    with bench(task="peg_insert", clock="realtime", no_gripper=True) as made:
        yield made


def test_the_loop_runs_at_the_robots_rate_and_tells_its_timing(robot):
    cell = robot.cell(clock="realtime")
    try:
        cell.acquire("policy")
        began, first = time.monotonic(), cell.read()
        goal, latches = (0.01, 0.0, -0.01), 0
        for _ in range(20):
            if cell.read().safety == "latched":  # a busy machine loses commands, and the robot its patience
                assert "communication" in cell.read().reason
                latches += 1
                cell.recover()
            else:
                cell.command(target(goal, time.time_ns()))
            last = cell.wait()
        assert last.tick - first.tick >= 20
        assert time.monotonic() - began == pytest.approx(20 * cell.period, abs=1.0)
        assert 0.0 < last.stamp - first.stamp < 4.0
        told = cell.health().values
        assert told["cycles"] > 200
        assert 0.5 < told["period p50 (ms)"] < 2.0
        if not latches:
            assert np.abs(last.arm.pose.position - SPEC.start.position - goal).max() < 2e-3
    finally:
        robot.mend()


def test_a_driver_that_hangs_is_noticed_by_one_who_only_reads(robot):
    cell = robot.cell(clock="realtime")
    try:
        assert cell.wait().safety in ("hold", "latched")
        os.kill(cell.driver_pid, signal.SIGSTOP)
        end = time.monotonic() + 20.0
        while not (reading := cell.wait()).reason.startswith("the driver process hung"):
            assert time.monotonic() < end, reading
        assert reading.safety == "latched"
        assert cell.health().level == "error"
    finally:
        robot.mend()
