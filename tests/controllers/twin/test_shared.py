"""Two arms of different kinds in one world, under one clock."""

from __future__ import annotations

import numpy as np
import pinocchio
import pytest

from controllers.exceptions import ArmLatched, SceneError
from controllers.interface import Pose, PoseTarget
from controllers.twin.compose import Mount, Scene
from controllers.twin.shared import TwinWorld
from tasks.spec import CameraSpec, GripperSpec, Workspace
from tests.controllers.twin.scenes import DOWN, EMPTY, make_task

BETWEEN = Workspace(np.array([0.2, -0.6, 0.05]), np.array([0.7, 0.6, 0.8]), tilt=3.0)
HELD = """
<mujoco>
  <worldbody>
    <body name="right_grasped">
      <geom name="rod" type="capsule" size="0.008" fromto="0 0 -0.01 0 0 0.03" mass="0.3"/>
    </body>
    <body name="ball" pos="0.5 0.0 0.02"><freejoint/><geom name="ball" type="sphere" size="0.02" mass="0.1"/></body>
  </worldbody>
</mujoco>
"""


def make_world(folder, scene=EMPTY, right="ur5e", **options):
    """An arm at y = 0.35 m that grips, and one at -0.35 m that does not and is turned a little."""
    task = make_task(folder, scene, workspace=BETWEEN)
    left = Mount(make_task(folder, scene, workspace=BETWEEN, gripper=GripperSpec()), "left_", (0.0, 0.35, 0.0))
    return TwinWorld(
        Scene("pair", task.scene), (left, Mount(task.on(right), "right_", (0.0, -0.35, 0.0), 0.2)), **options
    )


def send(cell, position, quaternion=DOWN):
    cell.command(PoseTarget(Pose(np.array(position), quaternion), round(cell.time * 1e3)))


def drive(world, goals, ticks):
    """Send each arm that is named to its goal in its own base; the readings of the last tick."""
    for _ in range(ticks):
        for name, goal in goals.items():
            send(world.cells[name], goal)
        readings = world.wait()
    return readings


def in_world(mount, position):
    x, y, z = position
    cos, sin = np.cos(mount.yaw), np.sin(mount.yaw)
    return np.array([cos * x - sin * y, sin * x + cos * y, z]) + mount.position


@pytest.mark.parametrize("right", ["ur5e", "fr3"])
def test_both_arms_go_where_they_are_sent_each_in_its_own_base(tmp_path, right):
    world = make_world(tmp_path, right=right)
    assert world.cells["left"].joint_names[0] == "left_fr3_joint1"
    assert world.cells["right"].joint_names[0].startswith(f"right_{right}_")
    for cell in world.cells.values():
        cell.acquire("policy")
    goals = {"left": [0.45, 0.05, 0.3], "right": [0.5, -0.05, 0.35]}
    readings = drive(world, goals, 40)
    assert {reading.tick for reading in readings.values()} == {40}
    for name, goal in goals.items():
        arm = readings[name].arm
        np.testing.assert_allclose(arm.pose.position, goal, atol=5e-4)
        assert abs(arm.pose.quaternion @ DOWN) == pytest.approx(1.0, abs=1e-5)
        np.testing.assert_allclose(arm.wrench, 0.0, atol=0.05)
        site = world.data.site(f"{name}_tool").xpos
        np.testing.assert_allclose(site, in_world(world.cells[name].arm.mount, arm.pose.position), atol=1e-9)


def test_twist_and_jacobian_are_the_bases(tmp_path):
    world = make_world(tmp_path)
    cell = world.cells["right"]
    cell.acquire("policy")
    drive(world, {"right": [0.5, 0.1, 0.4]}, 2)
    before = cell.read()
    world.advance(1)
    after = cell.read()
    rate = (after.arm.pose.position - before.arm.pose.position) / 1e-3
    assert np.linalg.norm(rate) > 0.01
    np.testing.assert_allclose(rate, 0.5 * (before.arm.twist + after.arm.twist)[:3], atol=1e-3)


def test_arms_that_meet_feel_each_other_and_neither_passes(tmp_path):
    """Hand against hand, between the bases: what one feels the other feels the other way."""
    world = make_world(tmp_path)
    for cell in world.cells.values():
        cell.acquire("policy")
    drive(world, {"left": [0.5, -0.2, 0.3], "right": [0.5, 0.1, 0.3]}, 40)
    readings = drive(world, {"left": [0.5, -0.45, 0.3], "right": [0.5, 0.4, 0.3]}, 40)
    geoms = {world.model.geom(i).bodyid[0] for contact in world.data.contact for i in contact.geom}
    touching = {world.model.body(i).name for i in geoms}
    assert any(name.startswith("left_") for name in touching)
    assert any(name.startswith("right_") for name in touching)
    left, right = readings["left"].arm.wrench[:3], readings["right"].arm.wrench[:3]
    yaw = world.cells["right"].arm.mount.yaw
    turned = in_world(Mount(world.cells["right"].task, yaw=yaw), right)
    assert left[1] > 3.0
    np.testing.assert_allclose(left, -turned, atol=0.15 * np.linalg.norm(left))


def test_one_is_latched_while_the_other_goes_on(tmp_path):
    world = make_world(tmp_path)
    left, right = world.cells["left"], world.cells["right"]
    for cell in world.cells.values():
        cell.acquire("policy")
    drive(world, {"left": [0.45, 0.0, 0.4], "right": [0.5, 0.0, 0.4]}, 30)
    left.stop("a person in the way")
    held = left.read().arm.pose.position
    readings = drive(world, {"right": [0.5, 0.1, 0.3]}, 40)
    assert (readings["left"].safety, readings["left"].reason) == ("latched", "a person in the way")
    with pytest.raises(ArmLatched, match="a person in the way"):
        send(left, [0.5, 0.0, 0.3])
    np.testing.assert_allclose(readings["left"].arm.pose.position, held, atol=2e-3)
    assert readings["right"].safety == "track"
    np.testing.assert_allclose(readings["right"].arm.pose.position, [0.5, 0.1, 0.3], atol=5e-4)
    assert right.health().level == "ok"
    assert left.health().level == "error"
    left.recover()
    left.acquire("policy")
    assert drive(world, {"left": [0.45, 0.0, 0.3]}, 30)["left"].safety == "track"


def test_a_long_time_passes_in_one_call(tmp_path):
    world = make_world(tmp_path)
    world.advance(20_000)
    assert world.time == pytest.approx(20.0)
    for cell in world.cells.values():
        np.testing.assert_allclose(cell.read().arm.q, cell.task.home, atol=1e-3)


def test_one_arm_that_waits_moves_the_clock_of_all(tmp_path):
    world = make_world(tmp_path)
    world.cells["left"].wait()
    assert world.cells["right"].read().tick == 1


def test_each_hand_is_its_own_and_holds_its_own(tmp_path):
    world = make_world(tmp_path, HELD)
    left, right = world.cells["left"], world.cells["right"]
    left.move_gripper(0.02)
    for _ in range(20):
        readings = world.wait()
    assert readings["left"].gripper.width == pytest.approx(0.02, abs=1e-3)
    assert readings["right"].gripper is None
    np.testing.assert_allclose(world.data.body("right_grasped").xpos, world.data.site("right_tool").xpos, atol=1e-9)
    np.testing.assert_allclose(right.arm.gravity, world.data.qfrc_bias[right.arm.dofs], atol=0.05)


def test_same_seed_and_commands_give_the_same_bits_and_a_scene_is_drawn_for_all(tmp_path):
    def scatter(model, data, rng):
        data.joint("ball").qpos[:2] = rng.uniform(0.4, 0.6, 2)

    scene = HELD.replace("<freejoint/>", '<freejoint name="ball"/>')

    def episode(seed):
        world = make_world(tmp_path, scene)
        world = TwinWorld(Scene("pair", world.scene.file, randomise=scatter), world.mounts, seed=seed)
        for cell in world.cells.values():
            cell.acquire("policy")
        drive(world, {"left": [0.45, 0.0, 0.3], "right": [0.5, 0.0, 0.3]}, 5)
        before = world.cells["left"].read().arm.q
        world.cells["right"].reset_scene(seed)
        np.testing.assert_array_equal(world.cells["left"].read().arm.q, before)
        return world.state_vector().tobytes()

    assert episode(3) == episode(3)
    assert episode(3) != episode(4)


def test_a_restart_puts_all_arms_home_with_their_controllers(tmp_path):
    world = make_world(tmp_path)
    for cell in world.cells.values():
        cell.acquire("policy")
    drive(world, {"left": [0.45, 0.0, 0.3], "right": [0.5, 0.0, 0.3]}, 10)
    world.restart()
    for cell in world.cells.values():
        np.testing.assert_array_equal(cell.read().arm.q, cell.task.home)
        np.testing.assert_array_equal(cell.controller.reference.position, cell.read().arm.pose.position)
    world.wait()
    for cell in world.cells.values():
        np.testing.assert_allclose(cell.read().arm.q, cell.task.home, atol=1e-3)


def test_each_arm_has_a_description_of_its_own(tmp_path):
    for name, cell in make_world(tmp_path).cells.items():
        reference = pinocchio.buildModelFromXML(cell.robot_description)
        assert tuple(reference.names)[1 : 1 + len(cell.joint_names)] == cell.joint_names
        assert reference.existFrame(f"{name}_{cell.task.arm}_tool")


def test_a_wrist_camera_is_the_arms_own_and_the_front_one_is_shared(tmp_path):
    world = make_world(tmp_path, cameras=(CameraSpec("wrist", 48, 32), CameraSpec("front", 48, 32)))
    left, right = (world.cells[name].read().images for name in ("left", "right"))
    assert left["wrist"].shape == (32, 48, 3)
    assert not np.array_equal(left["wrist"], right["wrist"])
    np.testing.assert_array_equal(left["front"], right["front"])
    world.close()


def test_mounts_that_cannot_share_a_world_are_refused(tmp_path):
    task = make_task(tmp_path)
    with pytest.raises(SceneError, match=r"prefixes \['a_', 'a_'\]"):
        TwinWorld(Scene("pair", task.scene), (Mount(task, "a_"), Mount(task, "a_", (0.0, 1.0, 0.0))))
    other = make_task(tmp_path, period=0.05)
    with pytest.raises(SceneError, match=r"periods \[0.05, 0.1\] s"):
        TwinWorld(Scene("pair", task.scene), (Mount(task, "a_"), Mount(other, "b_", (0.0, 1.0, 0.0))))
