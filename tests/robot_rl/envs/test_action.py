from dataclasses import replace

import numpy as np
import pytest

import tasks
from controllers import spatial
from controllers.interface import ArmState, Pose, Reading
from robot_rl.envs.action import ActionMapper
from tasks.spec import ActionSpec, GripperSpec

REACH = tasks.load("reach")
DOWN = REACH.start.quaternion


def reading(position=(0.5, 0.0, 0.2), quaternion=DOWN, reference=None) -> Reading:
    pose = Pose(np.array(position, float), np.array(quaternion, float))
    zero = np.zeros(6)
    arm = ArmState(np.zeros(7), np.zeros(7), np.zeros(7), pose, zero, zero, reference or pose, 0.0)
    return Reading(0, 0.0, arm)


def mapper(**action) -> ActionMapper:
    return ActionMapper(replace(REACH, action=ActionSpec(**action)))


def test_an_action_moves_along_the_tools_own_axes():
    reference = mapper(translation=0.01).reference(np.array([0, 1, 1, 0, 0, 0.0]), reading())
    # the tool looks down, turned about x: its y and z are minus the base's
    np.testing.assert_allclose(reference.position, [0.5, -0.01, 0.19], atol=1e-12)


def test_a_rotation_is_applied_in_the_tool_frame():
    reference = mapper(rotation=0.1).reference(np.array([0, 0, 0, 0, 0, 1.0]), reading())
    turn = spatial.log(spatial.multiply(spatial.conjugate(DOWN), reference.quaternion))
    np.testing.assert_allclose(turn, [0, 0, 0.1], atol=1e-12)


def test_held_axes_return_to_the_start_pose():
    tilted = spatial.multiply(DOWN, spatial.exp(np.array([0.05, -0.02, 0.4])))
    reference = mapper(axes=("x", "y", "z", "rz")).reference(np.zeros(4), reading(quaternion=tilted))
    turn = spatial.log(spatial.multiply(spatial.conjugate(DOWN), reference.quaternion))
    np.testing.assert_allclose(turn[:2], 0, atol=1e-12)
    assert turn[2] == pytest.approx(0.4, abs=0.01)


def test_relative_to_the_measured_pose_nothing_winds_up():
    ahead = Pose(np.array([0.6, 0.0, 0.2]), DOWN)
    reference = mapper(translation=0.01).reference(np.array([-1, 0, 0, 0, 0, 0.0]), reading(reference=ahead))
    assert reference.position[0] == pytest.approx(0.49)


def test_an_integrating_reference_is_leashed_per_axis():
    ahead = Pose(np.array([0.519, 0.019, 0.2]), DOWN)
    integrate = mapper(translation=0.01, base="reference", leash=(0.02, 0.1))
    reference = integrate.reference(np.array([1, 0, 0, 0, 0, 0.0]), reading(reference=ahead))
    np.testing.assert_allclose(reference.position, [0.52, 0.019, 0.2], atol=1e-12)
    asked = integrate.asked(np.array([1, 0, 0, 0, 0, 0.0]), reading(reference=ahead))
    np.testing.assert_allclose(asked.position, [0.529, 0.019, 0.2], atol=1e-12)


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"base": "mesured"}, "measured, reference"), ({"axes": ("x", "yaw")}, "rz"), ({"axes": ("x", "x")}, "each once")],
)
def test_an_action_that_makes_no_sense_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        ActionSpec(**fields)


def test_the_gripper_has_hysteresis():
    grip = ActionMapper(replace(REACH, gripper=GripperSpec(closed=0.0, open=0.08, threshold=0.3, start=0.05)))
    wanted = [(0.0, 0.05), (0.29, 0.05), (0.31, 0.0), (-0.2, 0.0), (-0.31, 0.08), (0.2, 0.08)]
    for value, width in wanted:
        assert grip.gripper_width(np.array([0, 0, 0, value])) == width
    grip.reset()
    assert grip.width == 0.05
