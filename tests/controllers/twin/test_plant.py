from __future__ import annotations

import mujoco
import numpy as np
import pytest

from controllers.controller import Controller, tick
from controllers.interface import Pose, PoseTarget
from controllers.models import MODELS
from controllers.twin import TwinCell
from controllers.twin.plant import Plant
from tasks.spec import GripperSpec
from tests.controllers.twin.scenes import DOWN, PEG, PLATE, make_task

GOAL = Pose(np.array([0.45, 0.0, 0.2]), DOWN)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("scene", [PLATE, PEG, PEG.replace('name="grasped"', 'name="grasped" gravcomp="1"')])
def test_the_robot_holds_itself_and_its_load_up(tmp_path, scene, name):
    plant = Plant(make_task(tmp_path, scene).on(name))
    before = plant.pose.position
    for _ in range(500):
        plant.push(np.zeros(len(plant.arm.joints)))
    assert np.abs(plant.pose.position - before).max() < 2e-5
    assert plant.time == pytest.approx(0.5)
    np.testing.assert_allclose(plant.tau, plant.gravity, atol=1e-3)


def test_bias_is_what_motion_asks_for_and_gravity_the_rest(tmp_path):
    plant = Plant(make_task(tmp_path))
    np.testing.assert_allclose(plant.bias, 0.0, atol=1e-12)
    plant.data.qvel[:] = np.linspace(-0.5, 0.5, 7)
    plant.set_state_vector(plant.state_vector())
    assert np.abs(plant.bias).max() > 0.1
    np.testing.assert_allclose(plant.bias + plant.gravity, plant.data.qfrc_bias, atol=1e-12)


def test_torque_accelerates_as_the_mass_matrix_says(tmp_path):
    plant = Plant(make_task(tmp_path))
    torque = np.array([1.0, -1.0, 0.5, 1.0, 0.1, -0.1, 0.05])
    mass = plant.mass + plant.model.opt.timestep * np.diag(plant.model.dof_damping)  # the integrator's implicit part
    plant.push(torque)
    np.testing.assert_allclose(mass @ plant.dq / 1e-3, torque, rtol=1e-3, atol=1e-4)


def test_the_law_around_a_plant_does_what_the_cell_does(tmp_path):
    """The cell's law holds the arm up itself, a real Franka's does not: both end at the same place and force."""
    task = make_task(tmp_path, PEG)
    cell, plant = TwinCell(task), Plant(task)
    law = Controller(plant.arm.limits, task.gains, task.workspace, home=task.home, start=task.start.quaternion)
    cell.acquire("policy")
    law.acquire("policy")
    law.seed(plant.pose.position, plant.pose.quaternion)
    tau = np.zeros(7)
    for number in range(60):
        cell.command(PoseTarget(GOAL, number))
        law.submit("policy", PoseTarget(GOAL, number))
        cell.wait()
        for _ in range(100):
            pose = plant.pose
            tick(
                law.arrays,
                plant.jacobian,
                plant.mass,
                plant.q,
                plant.dq,
                plant.bias,
                pose.position,
                pose.quaternion,
                tau,
            )
            plant.push(tau)
    arm = cell.read().arm
    assert plant.wrench[2] == pytest.approx(10.0, rel=0.05)
    np.testing.assert_allclose(plant.wrench, arm.wrench, atol=0.05)
    np.testing.assert_allclose(plant.pose.position, arm.pose.position, atol=1e-5)
    np.testing.assert_allclose(plant.twist, 0.0, atol=1e-4)


def test_same_torques_give_the_same_bits_and_a_state_comes_back(tmp_path):
    def shake() -> tuple[bytes, Plant]:
        plant, rng = Plant(make_task(tmp_path, PLATE)), np.random.default_rng(0)
        for _ in range(200):
            plant.push(rng.normal(size=7))
        return plant.state_vector().tobytes(), plant

    (first, one), (second, two) = shake(), shake()
    assert first == second
    two.restart()
    assert two.time == 0.0
    two.set_state_vector(one.state_vector())
    assert two.state_vector().tobytes() == first
    with pytest.raises(ValueError, match="needs"):
        two.set_state_vector(np.zeros(2))


def test_the_fingers_go_where_they_are_sent_within_their_travel(tmp_path):
    plant = Plant(make_task(tmp_path, gripper=GripperSpec(start=0.08)))
    assert plant.gripper().width == pytest.approx(0.08)
    plant.move_gripper(-1.0)
    for _ in range(1500):
        plant.push(np.zeros(7))
    assert plant.gripper().width == pytest.approx(0.0, abs=1e-3)
    assert Plant(make_task(tmp_path)).gripper() is None


def test_a_torque_that_is_no_number_shows_in_the_state(tmp_path):
    plant = Plant(make_task(tmp_path))
    warned = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)
    try:
        plant.push(np.full(7, np.nan))
    finally:
        mujoco.set_mju_user_warning(warned)
    assert np.isnan(plant.q).all()
