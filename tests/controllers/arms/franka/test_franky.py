"""franky on an emulator in lockstep: franky's own loop sets the pace, so no command is ever late."""

import time

import numpy as np
import pytest

from controllers import spatial
from controllers.arms.franka import franky as module
from controllers.controller import Controller
from controllers.exceptions import ArmLatched, ControllersError
from controllers.models import arm_model
from tasks.peg_insert.task import RIM, SPEC, TIP
from tests.controllers.arms.franka.conftest import bench, target


@pytest.fixture(scope="module")
def robot():
    with bench(task="peg_insert", clock="lockstep", no_gripper=True) as made:
        yield made


@pytest.fixture
def cell(robot):
    made = robot.cell(clock="realtime", library="franky", priority=0, ttl=1.0)
    made.period = 0.02
    made.acquire("policy")
    yield made
    robot.mend()


def follow(cell, offset, seconds=0.5, **options):
    """Send one target again and again, as long as a wall clock says."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        cell.command(target(offset, time.time_ns(), **options))
        reading = cell.wait()
    return reading


def until(cell, done, patience=20.0):
    end = time.monotonic() + patience
    while not done(reading := cell.wait()):
        assert time.monotonic() < end, reading
    return reading


def reaches(cell, offset, tolerance=1e-3, patience=20.0):
    """Send one target until the tool is there."""
    end = time.monotonic() + patience
    goal = SPEC.start.position + np.asarray(offset)
    while True:
        reading = follow(cell, offset, 0.1)
        if np.abs(reading.arm.pose.position - goal).max() < tolerance:
            return reading
        assert time.monotonic() < end, reading


def test_franky_runs_the_whole_cycle(robot, cell):
    assert cell.abilities.law == "franky's impedance"
    assert not cell.abilities.signed_clips
    assert not cell.abilities.lockstep
    held = cell.read()
    assert held.safety == "hold"
    assert np.abs(held.arm.pose.position - SPEC.start.position).max() < 1e-3
    reaches(cell, (0.02, 0.0, -0.02))
    cell.stop("enough")
    assert cell.wait().reason == "enough"
    with pytest.raises(ArmLatched, match="enough"):
        cell.command(target())
    cell.recover()
    robot.control.fault("reflex", name="joint_reflex")
    assert until(cell, lambda r: r.safety == "latched").reason == "reflex of the robot: joint reflex"
    robot.control.fault("stop")
    with pytest.raises(ControllersError, match="user stop is pressed"):
        cell.recover()
    robot.control.fault("release")
    cell.recover()
    reaches(cell, (0.0, 0.0, 0.0))
    robot.control.fault("disconnect")
    assert "connection to the robot" in until(cell, lambda r: r.safety == "latched").reason
    cell.recover()
    reaches(cell, (0.01, 0.0, 0.0))
    assert cell.health().values["library"] == "franky"
    cell.close()
    assert robot.control.state()["mode"] == "idle"


def test_contact_is_bounded_by_the_clip_of_the_target(robot, cell):
    beside = RIM - SPEC.start.position + [0.012, 0.0, TIP + 0.005]
    reaches(cell, beside)
    cell.tare()
    clip = np.array([-0.004] * 3 + [-0.05] * 3 + [0.004] * 3 + [0.05] * 3)
    pressed = follow(cell, beside - [0.0, 0.0, 0.03], seconds=1.5, clip=clip)
    assert pressed.safety == "track"
    assert 2.0 < pressed.arm.wrench[2] < 1.6 * 0.004 * SPEC.gains.stiffness[2]


def test_without_a_hand_at_the_address_one_that_is_configured_is_refused(robot):
    with pytest.raises(ControllersError, match="hand at .* does not work: nobody answers; set gripper to none"):
        robot.cell(gripper="franka_hand")
    assert robot.control.state()["mode"] == "idle"


def test_the_leash_clips_in_the_tools_axes_per_sign():
    made = Controller(arm_model("fr3").limits, SPEC.gains, SPEC.workspace, home=SPEC.home, start=SPEC.start.quaternion)
    made.seed(SPEC.start.position, SPEC.start.quaternion)
    made.arrays.law.clip = [-0.001] * 3 + [-0.01] * 3 + [0.002] * 3 + [0.02] * 3
    made.arrays.work.error = [0.01, 0.01, 0.01, 0.0, 0.0, 0.5]  # in base; the tool's y and z point the other way
    position, quaternion = np.zeros(3), np.zeros(4)
    module.leashed(made.arrays, position, quaternion)
    assert np.allclose(position - SPEC.start.position, [0.002, 0.001, 0.001])
    turned = np.array([0.0, 0.0, np.sin(0.005), np.cos(0.005)])
    expected = np.array([turned[3], turned[2], 0.0, 0.0])  # times the start's turn by pi about x
    assert np.allclose(quaternion, expected, atol=1e-9)


def test_springs_and_feed_forward_stay_within_the_arms_caps():
    """franky's law knows neither the caps nor the barriers: what it is given keeps to them."""
    limits = arm_model("fr3").limits
    made = Controller(limits, SPEC.gains, SPEC.workspace, home=SPEC.home, start=SPEC.start.quaternion)
    made.seed(SPEC.start.position, SPEC.start.quaternion)
    made.arrays.law.clip = [-9.0] * 6 + [9.0] * 6
    made.arrays.law.stiffness = [3000.0] * 3 + [300.0] * 3
    made.arrays.work.error = [0.3, -0.2, 0.1, 0.4, 0.3, 0.0]
    made.arrays.law.twist = [2.0, 0.0, 0.0, 0.0, 0.0, 1.9]
    position, quaternion = np.zeros(3), np.zeros(4)
    module.leashed(made.arrays, position, quaternion)
    away = position - SPEC.start.position
    assert 3000.0 * np.linalg.norm(away) == pytest.approx(limits.force)
    assert np.allclose(away / np.linalg.norm(away), np.array([3.0, -2.0, 1.0]) / np.sqrt(14.0))
    turn = spatial.log(spatial.multiply(quaternion, spatial.conjugate(SPEC.start.quaternion)))
    assert 300.0 * np.linalg.norm(turn) == pytest.approx(limits.moment)
    linear, angular = module.slowed(made.arrays)
    assert np.allclose(linear, [limits.tool_speed[0], 0.0, 0.0])
    assert np.allclose(angular, [0.0, 0.0, 1.9])
