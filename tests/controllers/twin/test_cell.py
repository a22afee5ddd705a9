from __future__ import annotations

import mujoco
import numpy as np
import pytest

from controllers.exceptions import ArmLatched, CommandRejected
from controllers.interface import Pose, PoseTarget
from controllers.twin import TwinCell
from tasks.spec import GripperSpec
from tests.controllers.twin.scenes import DOWN, PEG, PLATE, make_task

ABOVE = np.array([0.45, 0.0, 0.4])


def drive(cell, position, ticks, gripper=None, start=0):
    """Hold one target for some ticks; the readings."""
    readings = []
    for i in range(ticks):
        cell.command(PoseTarget(Pose(np.array(position), DOWN), start + i), gripper)
        readings.append(cell.wait())
    return readings


def scatter(model, data, rng):
    mocap = model.body("plate").mocapid[0]
    data.mocap_pos[mocap, :2] += rng.uniform(-0.02, 0.02, 2)


def test_a_tick_is_one_period_of_simulated_time(tmp_path):
    cell = TwinCell(make_task(tmp_path))
    assert (cell.read().tick, cell.read().stamp) == (0, 0.0)
    reading = cell.wait()
    assert reading.tick == 1
    assert reading.stamp == pytest.approx(0.1)
    cell.advance(7)
    assert cell.read().stamp == pytest.approx(0.107)
    assert cell.read().tick == 1


def test_the_tool_goes_where_it_is_sent(tmp_path):
    cell = TwinCell(make_task(tmp_path))
    cell.acquire("policy")
    last = drive(cell, ABOVE, 40)[-1]
    assert np.abs(last.arm.pose.position - ABOVE).max() < 5e-4
    assert abs(abs(last.arm.pose.quaternion @ DOWN) - 1) < 1e-5
    assert np.abs(last.arm.twist).max() < 1e-3
    assert np.abs(last.arm.reference.position - ABOVE).max() < 1e-9


def test_twist_is_the_poses_rate(tmp_path):
    cell = TwinCell(make_task(tmp_path))
    cell.acquire("policy")
    drive(cell, ABOVE, 3)
    before = cell.read()
    cell.advance(1)
    after = cell.read()
    rate = (after.arm.pose.position - before.arm.pose.position) / 1e-3
    assert np.linalg.norm(rate) > 0.01
    assert np.allclose(rate, 0.5 * (before.arm.twist + after.arm.twist)[:3], atol=1e-3)


def test_pressing_on_a_plate_is_felt_upwards_with_stiffness_times_clip(tmp_path):
    cell = TwinCell(make_task(tmp_path, PEG))
    cell.acquire("policy")
    free = drive(cell, [0.45, 0.0, 0.27], 40)[-1]
    assert np.abs(free.arm.wrench).max() < 0.05
    pressed = drive(cell, [0.45, 0.0, 0.2], 30, start=40)[-1]
    assert pressed.arm.wrench[2] == pytest.approx(1000 * 0.01, rel=0.05)
    assert pressed.sim["peak_force"][0] == pytest.approx(np.linalg.norm(pressed.arm.wrench[:3]), rel=0.02)


def test_the_wrench_is_what_the_contacts_do(tmp_path):
    scene = PEG.replace('fromto="0 0 -0.01 0 0 0.03"', 'fromto="0.02 0 -0.01 0.02 0 0.03"')
    cell = TwinCell(make_task(tmp_path, scene))
    cell.acquire("policy")
    drive(cell, [0.45, 0.0, 0.27], 40)
    wrench = drive(cell, [0.47, 0.01, 0.2], 40, start=40)[-1].arm.wrench
    assert cell.data.ncon == 1
    contact, local = cell.data.contact[0], np.zeros(6)
    mujoco.mj_contactForce(cell.model, cell.data, 0, local)
    on_peg = 1 if cell.model.geom("peg").id == contact.geom2 else -1
    force = on_peg * contact.frame.reshape(3, 3).T @ local[:3]
    lever = contact.pos - cell.read().arm.pose.position
    assert np.linalg.norm(force) > 5
    assert np.allclose(wrench[:3], force, atol=0.1)
    assert np.allclose(wrench[3:], np.cross(lever, force), atol=0.02)


def test_tare_makes_the_present_wrench_zero(tmp_path):
    cell = TwinCell(make_task(tmp_path, PEG))
    cell.acquire("policy")
    drive(cell, [0.45, 0.0, 0.2], 50)
    assert cell.read().arm.wrench[2] > 5
    cell.tare()
    assert np.array_equal(cell.read().arm.wrench, np.zeros(6))


def test_gravity_compensated_payload_does_not_lift_the_arm(tmp_path):
    scene = PEG.replace('<body name="grasped">', '<body name="grasped" gravcomp="1">')
    cell = TwinCell(make_task(tmp_path, scene))
    cell.acquire("policy")
    assert np.abs(drive(cell, ABOVE, 50)[-1].arm.pose.position - ABOVE).max() < 1e-4


def test_silence_freezes_then_ramps_then_holds(tmp_path):
    cell = TwinCell(make_task(tmp_path))
    cell.acquire("policy")
    drive(cell, ABOVE, 1)
    states = [cell.wait().safety for _ in range(25)]
    assert states[:2] == ["track", "track"]
    assert "frozen" in states
    assert states[-1] == "hold"


def test_stop_latches_until_recover(tmp_path):
    cell = TwinCell(make_task(tmp_path))
    cell.acquire("policy")
    drive(cell, ABOVE, 3)
    cell.stop("door opened")
    reading = cell.wait()
    assert (reading.safety, reading.reason) == ("latched", "door opened")
    with pytest.raises(ArmLatched, match="door opened"):
        cell.command(PoseTarget(Pose(ABOVE, DOWN), 9))
    cell.recover()
    cell.acquire("policy")
    cell.command(PoseTarget(Pose(ABOVE, DOWN), 9))
    assert cell.wait().safety == "track"


def test_a_broken_simulation_latches_and_a_fresh_start_mends_it(tmp_path):
    cell = TwinCell(make_task(tmp_path, PLATE))
    cell.acquire("policy")
    drive(cell, ABOVE, 2)
    cell.data.qvel[0] = np.nan
    cell.set_state_vector(cell.state_vector())
    reading = cell.wait()
    assert reading.safety == "latched"
    assert "state" in reading.reason
    cell.teleport_home()
    cell.reset_scene(0)
    cell.recover()
    cell.acquire("policy")
    assert drive(cell, ABOVE, 40, start=2)[-1].safety == "track"
    assert np.abs(cell.read().arm.pose.position - ABOVE).max() < 5e-4


def test_a_command_without_an_owner_is_refused(tmp_path):
    cell = TwinCell(make_task(tmp_path))
    with pytest.raises(CommandRejected, match="acquire"):
        cell.command(PoseTarget(Pose(ABOVE, DOWN), 0))


@pytest.mark.parametrize("width", [np.nan, np.inf])
def test_a_width_that_is_no_number_is_refused_and_moves_nothing(tmp_path, width):
    cell = TwinCell(make_task(tmp_path, gripper=GripperSpec()))
    cell.acquire("policy")
    drive(cell, ABOVE, 3, 0.06)
    with pytest.raises(CommandRejected, match="width"):
        cell.command(PoseTarget(Pose(ABOVE + 0.1, DOWN), 3), width)
    reading = drive(cell, ABOVE, 5, start=3)[-1]
    assert reading.gripper.width == pytest.approx(0.06, abs=1e-3)
    assert cell.controller.rejections == {"finite": 1}


def flatten(reading):
    arm = reading.arm
    arrays = [
        arm.q,
        arm.dq,
        arm.tau,
        arm.pose.position,
        arm.pose.quaternion,
        arm.twist,
        arm.wrench,
        *reading.sim.values(),
    ]
    return np.concatenate(arrays).tobytes()


def test_same_seed_and_commands_give_the_same_bits(tmp_path):
    task = make_task(tmp_path, PLATE, randomise=scatter)

    def episode(seed):
        cell = TwinCell(task, seed=seed)
        cell.acquire("policy")
        readings = drive(cell, [0.45, 0.0, 0.2], 20)
        cell.reset_scene(seed + 1)
        readings += drive(cell, ABOVE, 5, start=20)
        return [flatten(reading) for reading in readings], cell.state_vector().tobytes()

    assert episode(3) == episode(3)
    assert episode(3) != episode(4)


def test_reset_scene_draws_by_seed_and_leaves_the_arm(tmp_path):
    cell = TwinCell(make_task(tmp_path, PLATE, randomise=scatter), seed=0)
    cell.acquire("policy")
    drive(cell, ABOVE, 5)
    before, first = cell.read().arm, cell.data.mocap_pos.copy()
    cell.data.joint(7).qpos[2] = 1.0
    cell.reset_scene(1)
    assert not np.allclose(cell.data.mocap_pos, first)
    assert cell.data.joint(7).qpos[2] == pytest.approx(0.02)
    assert np.array_equal(cell.read().arm.q, before.q)
    cell.reset_scene(0)
    assert np.array_equal(cell.data.mocap_pos, first)


def test_without_randomisation_the_scene_is_as_written(tmp_path):
    cell = TwinCell(make_task(tmp_path, PLATE, randomise=scatter), seed=5, randomise=False)
    assert np.array_equal(cell.data.mocap_pos, [[0.45, 0.0, 0.2]])


def test_state_vector_round_trip(tmp_path):
    task = make_task(tmp_path, PLATE, randomise=scatter)
    one, two = TwinCell(task, seed=1), TwinCell(task, seed=2)
    one.acquire("policy")
    drive(one, ABOVE, 5)
    two.set_state_vector(one.state_vector())
    assert np.array_equal(two.state_vector(), one.state_vector())
    assert np.array_equal(two.data.xpos, one.data.xpos)
    assert two.read().stamp == one.read().stamp
    with pytest.raises(ValueError, match="needs"):
        two.set_state_vector(np.zeros(3))


def test_a_thing_at_rest_wakes_when_it_is_put_elsewhere_or_loses_its_support(tmp_path):
    cell = TwinCell(make_task(tmp_path, PLATE))
    ball = cell.model.joint(7).qposadr[0]
    for _ in range(10):
        cell.wait()
    state = cell.state_vector()
    cell.data.qpos[ball : ball + 3] = [0.45, 0.05, 0.235]
    cell.set_state_vector(cell.state_vector())
    cell.wait()
    assert cell.data.body("ball").xpos[2] == pytest.approx(0.23, abs=1e-3)
    cell.data.mocap_pos[0, 2] = 0.1
    cell.set_state_vector(cell.state_vector())
    for _ in range(3):
        cell.wait()
    assert cell.data.body("ball").xpos[2] == pytest.approx(0.13, abs=5e-3)
    cell.set_state_vector(state)
    assert cell.data.body("ball").xpos[2] == pytest.approx(0.02, abs=1e-3)


def test_a_restored_arm_holds_still(tmp_path):
    task = make_task(tmp_path)
    one, two = TwinCell(task), TwinCell(task)
    one.acquire("policy")
    drive(one, ABOVE, 40)
    two.set_state_vector(one.state_vector())
    before = two.read().arm.pose.position
    two.wait()
    assert np.abs(two.read().arm.pose.position - before).max() < 1e-3


def test_teleport_home_forgets_targets_and_stands_still(tmp_path):
    task = make_task(tmp_path)
    cell = TwinCell(task)
    cell.acquire("policy")
    drive(cell, ABOVE, 20)
    cell.teleport_home()
    home = cell.read().arm.pose.position
    for _ in range(5):
        reading = cell.wait()
    assert np.abs(reading.arm.pose.position - home).max() < 1e-4
    assert np.abs(reading.arm.q - task.home).max() < 1e-3


CUBE = """
<mujoco>
  <worldbody>
    <body name="cube" pos="0.45 0 0.02">
      <freejoint/>
      <geom name="cube" type="box" size="0.02 0.02 0.02" mass="0.1" condim="4" friction="1 0.01 0.001"/>
    </body>
  </worldbody>
</mujoco>
"""


def test_fingers_hold_a_cube_by_friction(tmp_path):
    cell = TwinCell(make_task(tmp_path, CUBE, gripper=GripperSpec()))
    cell.acquire("policy")
    drive(cell, [0.45, 0.0, 0.12], 40, 0.08)
    opened = drive(cell, [0.45, 0.0, 0.025], 30, 0.08, start=40)[-1]
    assert opened.gripper.width == pytest.approx(0.08, abs=1e-3)
    assert not opened.gripper.grasped
    closed = drive(cell, [0.45, 0.0, 0.025], 10, 0.0, start=70)[-1]
    assert closed.gripper.grasped
    lifted = drive(cell, [0.45, 0.1, 0.2], 40, 0.0, start=80)[-1]
    assert lifted.gripper.width == pytest.approx(0.04, abs=2e-3)
    assert np.abs(cell.data.body("cube").xpos - lifted.arm.pose.position).max() < 0.01
    assert lifted.arm.wrench[2] == pytest.approx(-0.1 * 9.81, abs=0.1)
    released = drive(cell, [0.45, 0.1, 0.2], 10, 0.08, start=120)[-1]
    assert not released.gripper.grasped
    assert cell.data.body("cube").xpos[2] < 0.03


def test_closing_on_nothing_is_not_grasping(tmp_path):
    cell = TwinCell(make_task(tmp_path, gripper=GripperSpec()))
    cell.acquire("policy")
    drive(cell, ABOVE, 20, 0.0)
    assert cell.read().gripper.width == pytest.approx(0.0, abs=1e-3)
    assert not cell.read().gripper.grasped
