import os
import signal

import numpy as np
import pytest

from controllers.exceptions import ArmLatched, CommandRejected
from controllers.interface import Pose, PoseTarget
from tasks.pick_cube.task import SPEC
from tests.controllers.arms.franka.conftest import bench, target


@pytest.fixture(scope="module")
def picking():
    with bench(task="pick_cube", clock="lockstep") as made:
        yield made


@pytest.fixture
def cell(picking):
    made = picking.cell(SPEC, gripper="franka_hand")
    made.acquire("policy")
    yield made
    picking.mend()


def hold(cell, width, until, patience=60):
    """Ask for an opening again and again until the reading is as wanted."""
    for _ in range(patience):
        cell.command(target(sequence=cell.read().tick, task=SPEC), width)
        reading = cell.wait()
        if until(reading.gripper):
            return reading
    raise AssertionError(reading.gripper)


def test_the_hand_opens_closes_and_holds_without_stopping_the_arm(cell):
    assert cell.read().gripper.width > 0.0
    hold(cell, 0.08, lambda hand: hand.width > 0.079)
    hold(cell, 0.02, lambda hand: abs(hand.width - 0.02) < 0.001)
    reading = hold(cell, 0.0, lambda hand: hand.width < 0.002)
    assert not reading.gripper.grasped  # closed on nothing
    hold(cell, 0.08, lambda hand: hand.width > 0.079)
    assert cell.health().level == "ok"
    # A hand whose process is gone is told, and the arm goes on.
    os.kill(cell._hand.pid, signal.SIGKILL)
    assert cell.wait().safety in ("hold", "track", "frozen")
    assert cell.health().level == "warn"
    assert "the hand's process was ended by SIGKILL" in cell.health().message
    sequence = cell.read().tick
    with pytest.raises(CommandRejected, match="takes no openings .*SIGKILL.*: open the cell anew"):
        cell.command(target((0.0, 0.0, 0.01), sequence, SPEC), 0.05)
    assert cell.wait().safety == "track"


def test_the_hand_grasps_what_is_between_its_fingers(cell):
    cube = cell.wait().sim["cube_position"] if "cube_position" in cell.read().sim else None
    assert cube is not None, sorted(cell.read().sim)
    hold(cell, 0.08, lambda hand: hand.width > 0.079)
    above = np.array([cube[0], cube[1], SPEC.start.position[2]])
    for height in [*np.linspace(above[2], cube[2], 25), *[cube[2]] * 15]:
        cell.command(PoseTarget(Pose(np.array([*above[:2], height]), SPEC.start.quaternion), cell.read().tick))
        cell.wait()
    for _ in range(60):
        cell.command(PoseTarget(Pose(np.array([*above[:2], cube[2]]), SPEC.start.quaternion), cell.read().tick), 0.0)
        reading = cell.wait()
        if reading.gripper.grasped:
            break
    assert reading.gripper.grasped
    assert 0.01 < reading.gripper.width < 0.07


def test_a_latched_arm_takes_no_openings(cell):
    cell.stop("enough")
    width = cell.wait().gripper.width
    with pytest.raises(ArmLatched):
        cell.command(target(task=SPEC), 0.0)
    assert cell.wait().gripper.width == pytest.approx(width, abs=1e-3)
