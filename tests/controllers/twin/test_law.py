"""The control law with known answers, on the twin, with the gains that the tasks run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import tasks
from controllers import spatial
from controllers.impedance import posture_torque
from controllers.interface import Array, Pose, PoseTarget
from controllers.twin import TwinCell
from tasks.spec import Gains, Workspace
from tests.controllers.twin.scenes import make_task

TIP_AND_WALLS = """
<mujoco>
  <worldbody>
    <body name="plate" pos="0.45 0 0.2"><geom type="box" size="0.2 0.2 0.01" solref="0.004 1" friction="0 0 0"/></body>
    <body name="wall" pos="0.57 0 0.35"><geom type="box" size="0.01 0.2 0.03" solref="0.004 1" friction="0 0 0"/></body>
    <body name="grasped">
      <geom type="sphere" size="0.01" pos="0 0 0.03" mass="0.1" solref="0.004 1" friction="0 0 0" condim="1"/>
    </body>
  </worldbody>
</mujoco>
"""
TURNING = Workspace(np.array([0.2, -0.4, 0.0]), np.array([0.7, 0.4, 0.8]), tilt=np.pi, yaw=np.pi)


def go(cell: TwinCell, goal: Pose, seconds: float, posture: Array | None = None) -> Iterator[Pose]:
    """Send one goal every period; the pose after each 5 ms."""
    for _ in range(round(seconds / cell.period)):
        cell.command(PoseTarget(goal, round(cell.time * 1e3), posture=posture))
        for _ in range(round(cell.period / 0.005)):
            cell.advance(5)
            yield cell.read().arm.pose


def settled(cell: TwinCell, goal: Pose) -> Pose:
    cell.acquire("policy")
    return list(go(cell, goal, 2.5))[-1]


def between(start: Pose, end: Pose) -> Array:
    """Motion (6,) from one pose to another in base, m and rad."""
    turn = spatial.log(spatial.multiply(end.quaternion, spatial.conjugate(start.quaternion)))
    return np.concatenate([end.position - start.position, turn])


OF_ITS_OWN = {id(tasks.load(name).gains): name for name in reversed(tasks.names())}
"""One task for each gains there are: variants share theirs."""


@pytest.fixture(params=sorted(OF_ITS_OWN.values()))
def name(request) -> str:
    return request.param


@pytest.mark.parametrize(("corner", "axis"), [*((0.0, axis) for axis in range(6)), (0.9, 0)])
def test_a_step_in_free_space_overshoots_less_than_a_twentieth(name, corner, axis):
    """From the nominal start, and from the corner of the starts where the arm's inertia is largest."""
    task = tasks.load(name)
    cell = TwinCell(task, randomise=False)
    place = task.start.position + corner * task.start_noise[:3] * np.array([-1, 1, 1])
    sent = Pose(place, task.start.quaternion)
    start = settled(cell, sent)  # a load that the hand carries may have lowered it
    step = np.zeros(6)
    step[axis] = 0.005 if axis < 3 else 0.05
    goal = Pose(sent.position + step[:3], spatial.multiply(spatial.exp(step[3:]), sent.quaternion))
    path = np.array([between(start, pose)[axis] for pose in go(cell, goal, 1.5)]) / step[axis]
    assert path.max() < 1.05
    assert path[-1] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("axis", "into"), [(0, [0.66, 0.0, 0.4]), (2, [0.45, 0.0, 0.15])])
def test_a_wall_feels_stiffness_times_clip(tmp_path, name, axis, into):
    gains: Gains = tasks.load(name).gains
    cell = TwinCell(make_task(tmp_path, TIP_AND_WALLS, gains=gains))
    free = settled(cell, cell.task.start)
    assert np.abs(cell.read().arm.wrench).max() < 0.05
    cell.acquire("policy")
    *_, _ = go(cell, Pose(np.array(into), free.quaternion), 4.0)
    force = abs(cell.read().arm.wrench[axis])
    assert force == pytest.approx(gains.stiffness[axis] * gains.clip[6 + axis], rel=0.05)


def test_the_peg_presses_with_stiffness_times_clip():
    task = tasks.load("peg_insert")
    cell = TwinCell(task, randomise=False)
    plate = task.anchor.position + np.array([0.025, 0.0, 0.0])
    settled(cell, Pose(plate + np.array([0, 0, 0.04]), task.anchor.quaternion))
    *_, _ = go(cell, Pose(plate, task.anchor.quaternion), 4.0)
    assert cell.read().arm.wrench[2] == pytest.approx(task.gains.stiffness[2] * task.gains.clip[8], rel=0.05)


def test_at_rest_no_torque_drifts(name):
    task = tasks.load(name)
    cell = TwinCell(task, randomise=False)
    settled(cell, task.start)
    before = cell.read().arm
    *_, _ = go(cell, task.start, 3.0)
    after = cell.read().arm
    np.testing.assert_allclose(after.tau, before.tau, atol=1e-4)
    np.testing.assert_allclose(after.pose.position, before.pose.position, atol=1e-6)


def test_a_motion_of_the_elbow_moves_the_tool_less_than_a_millimetre(name):
    task = tasks.load(name)
    cell = TwinCell(task, randomise=False)
    start = settled(cell, task.start)
    elbow = cell.read().arm.q
    posture = task.home + 0.35 * np.array([1, 0, -1, 0, 0, 0, 0])
    path = [between(start, pose) for pose in go(cell, task.start, 3.0, posture)]
    assert np.abs(cell.read().arm.q - elbow).max() > 0.1
    assert np.linalg.norm(np.array(path)[:, :3], axis=1).max() < 1e-3


@pytest.mark.parametrize("degrees", [100.0, 170.0, 190.0])
def test_a_turn_beyond_a_quarter_is_made_whole_and_one_beyond_a_half_the_other_way(tmp_path, name, degrees):
    cell = TwinCell(make_task(tmp_path, gains=tasks.load(name).gains, workspace=TURNING))
    cell.data.qpos[6] = -np.radians(min(degrees, 170.0) / 2)  # the last joint turns the tool about its own axis
    cell.set_state_vector(cell.state_vector())
    start, turn = cell.read().arm.pose, np.radians(degrees)
    goal = Pose(start.position, spatial.multiply(start.quaternion, spatial.exp(np.array([0.0, 0.0, turn]))))
    cell.acquire("policy")
    path = [spatial.multiply(spatial.conjugate(start.quaternion), pose.quaternion) for pose in go(cell, goal, 0.5)]
    along = spatial.log(path[-1])[2]
    if degrees > 180:
        assert along < -0.1, "the shorter way is the other one"
        return
    assert along > 0.1
    *_, end = go(cell, goal, 8.0)
    motion = between(goal, end)
    assert np.linalg.norm(motion[:3]) < 1e-3
    assert np.linalg.norm(motion[3:]) < np.radians(1)


@pytest.mark.parametrize("axis", range(6))
@pytest.mark.parametrize("arm", ["panda", "ur5e"])
def test_other_arms_overshoot_as_little(arm, axis):
    task = tasks.load("peg_insert").on(arm)
    cell = TwinCell(task, randomise=False)
    start, step = settled(cell, task.start), np.zeros(6)
    step[axis] = 0.005 if axis < 3 else 0.05
    goal = Pose(start.position + step[:3], spatial.multiply(spatial.exp(step[3:]), start.quaternion))
    path = np.array([between(start, pose)[axis] for pose in go(cell, goal, 1.5)]) / step[axis]
    assert path.max() < 1.05
    assert path[-1] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("arm", ["panda", "ur5e"])
def test_other_arms_press_as_hard(arm):
    task = tasks.load("peg_insert").on(arm)
    cell = TwinCell(task, randomise=False)
    plate = task.anchor.position + np.array([0.025, 0.0, 0.0])
    settled(cell, Pose(plate + np.array([0, 0, 0.04]), task.anchor.quaternion))
    *_, _ = go(cell, Pose(plate, task.anchor.quaternion), 4.0)
    assert cell.read().arm.wrench[2] == pytest.approx(task.gains.stiffness[2] * task.gains.clip[8], rel=0.05)


def test_six_joints_leave_no_posture_to_seek():
    """Where the pose fixes every joint, the posture's torque is nothing, however far its home is."""
    cell = TwinCell(tasks.load("peg_insert").on("ur5e"), randomise=False)
    settled(cell, cell.task.start)
    law, work, view = cell.controller.arrays.law, cell.controller.arrays.work, cell.plant.views
    law.posture[:] = cell.task.home + 0.5
    posture_torque(law, view.arm_jacobian, view.arm_mass, view.q, view.dq, work)
    assert np.abs(work.posture).max() < 1e-6 * law.posture_stiffness * 0.5


def elsewhere() -> TwinCell:
    """A cell whose arm rests with its elbow far from where the task wants it."""
    cell = TwinCell(tasks.load("reach"), randomise=False)
    cell.data.qpos[:7] += [0.9, 0.2, -0.9, 0.3, 0.5, 0.3, 0.0]
    cell.set_state_vector(cell.state_vector())
    cell.controller.seed(cell.arm.views.position.copy(), cell.arm.views.quaternion.copy())
    cell.acquire("policy")
    return cell


@pytest.mark.parametrize("stopped", [False, True])
def test_an_arm_at_rest_keeps_its_elbow_where_it_is_held_or_stopped(stopped):
    cell = elsewhere()
    before = cell.read().arm.q.copy()
    if stopped:
        cell.stop()
    for _ in range(20):
        cell.advance(100)
        assert np.abs(cell.read().arm.q - before).max() < 1e-3


def test_a_moving_elbow_stops_with_the_arm():
    cell = elsewhere()
    *_, _ = go(cell, cell.read().arm.pose, 0.7)
    assert np.abs(cell.read().arm.dq).max() > 0.1
    cell.stop()
    cell.advance(400)
    where = cell.read().arm.q.copy()
    cell.advance(1000)
    assert np.abs(cell.read().arm.q - where).max() < 0.01


def test_a_target_takes_the_elbow_home_at_a_walk():
    cell, fastest = elsewhere(), 0.0
    home, start = cell.task.home, cell.read().arm.q.copy()
    for _ in go(cell, cell.read().arm.pose, 5.0):
        fastest = max(fastest, float(np.abs(cell.read().arm.dq).max()))
    assert fastest < 1.3
    assert np.linalg.norm(cell.read().arm.q - home) < 0.8 * np.linalg.norm(start - home)
