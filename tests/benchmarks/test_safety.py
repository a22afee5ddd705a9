import numpy as np
import pytest

from benchmarks import safety
from benchmarks.adversary import Adversary
from benchmarks.stops import standstill
from controllers.twin import TwinCell


@pytest.mark.parametrize("name", ["peg_insert", "wide", pytest.param("wide_ur5e", marks=pytest.mark.long)])
def test_an_adversary_breaks_no_limit_of_any_arm(name):
    first = safety.block(name, 0, commands=60)
    assert first.broken == {} and first.latched == 0
    worst = dict(zip(safety.WATCHED, first.worst, strict=True))
    assert 0.1 < worst["velocity"] < 1.0 and 0.3 < worst["torque"] <= 0.8 + 1e-9
    assert worst["torque rate"] == pytest.approx(0.8), "the commands are hard enough to reach it"
    assert worst["box"] < 1e-3 * safety.MARGIN
    assert sum(first.kinds.values()) == 60 and first.refused > 0


def test_a_block_of_commands_is_reproducible():
    assert safety.block("reach", 3, commands=20) == safety.block("reach", 3, commands=20)


def test_the_plant_is_believed_not_the_filter():
    """An arm thrown beyond its limits counts as broken, and so does a NaN."""
    cell = TwinCell(safety.scene("reach"))
    cell.acquire("policy")
    cell.data.qvel[3] = 3.0
    cell.set_state_vector(cell.state_vector())
    seen, sent = np.full(len(safety.WATCHED), -np.inf), cell.controller.arrays.sent.copy()
    safety.watch(cell.arm.views, cell.controller.arrays, 1, 1000.0, sent, seen)
    assert safety._broken(seen) == ["velocity"]
    assert safety._broken(np.full(len(safety.WATCHED), np.nan)) == list(safety.WATCHED)
    fine = np.array([0.9, 0.9, 0.8, 0.8, 2.0, 2.0, 1e-3 * safety.MARGIN, 1.0, 1.0])
    assert safety._broken(fine) == []
    assert safety._broken(fine + np.eye(9)[6] * 1e-4) == ["box"]


def test_the_adversary_sends_every_kind_of_command():
    cell = TwinCell(safety.scene("reach"))
    adversary = Adversary(cell, np.random.default_rng(0))
    adversary.start()
    for _ in range(400):
        adversary.command()
        cell.advance(1)
    assert set(adversary.sent) == set(adversary._kinds)
    assert {"finite", "quaternion", "sequence", "owner", "latched"} <= set(cell.controller.rejections)


def test_standstill_is_the_last_time_that_the_tool_moved():
    times = np.linspace(0.0, 1.0, 11)
    path = np.zeros((11, 3))
    path[:, 0] = np.minimum(times, 0.4)
    assert standstill(times, path) == pytest.approx((0.4, 0.4))
    assert standstill(times, np.zeros((11, 3))) == (0.0, 0.0)
