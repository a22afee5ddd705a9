import numpy as np
import pytest

from controllers import impedance, spatial
from controllers.models import arm_model
from tests.controllers.rig import HOME, Rig, gains

FR3 = arm_model("fr3").limits


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("clip", [0.006, 0.1])
def test_a_step_in_free_space_overshoots_less_than_a_twentieth(axis, clip):
    rig = Rig(gains(clip=clip))
    start, size = rig.position, 0.02
    path = rig.run(2.0, start + size * np.eye(3)[axis])[:, axis] - start[axis]
    assert path.max() < 1.05 * size
    assert path[-1] == pytest.approx(size, abs=2e-4)


def test_the_strongest_gains_that_are_accepted_are_stable():
    rig = Rig(gains(clip=0.01))
    goal = rig.position + np.array([0.01, 0.01, 0.01])
    strong = {"stiffness": np.repeat(FR3.stiffness, 3), "damping": np.repeat(FR3.damping, 3)}
    rig.run(2.0, goal, **strong)
    np.testing.assert_allclose(rig.position, goal, atol=1e-3)
    assert np.abs(rig.data.qvel).max() < 0.01


def test_a_wall_feels_stiffness_times_clip():
    rig = Rig(gains(clip=0.01), wall=0.0)
    rig = Rig(gains(clip=0.01), wall=rig.position[0] + 0.01 + 0.002)
    rig.run(2.0, rig.position + np.array([0.05, 0, 0]))
    assert rig.force == pytest.approx(2000.0 * 0.01, rel=0.05)


def test_a_wall_feels_the_bound_of_its_own_side():
    tight = gains(clip=0.01)
    tight.clip[0], tight.clip[6] = -0.008, 0.003
    rig = Rig(tight, frame="base")
    rig = Rig(tight, wall=rig.position[0] + 0.012, frame="base")
    rig.run(2.0, rig.position + np.array([0.05, 0, 0]))
    assert rig.force == pytest.approx(2000.0 * 0.003, rel=0.05)


def test_no_torque_drift_at_rest():
    rig = Rig(gains())
    rig.run(0.5)
    before, position = rig.tau.copy(), rig.position
    rig.run(3.0)
    np.testing.assert_allclose(rig.tau, before, atol=1e-6)
    np.testing.assert_allclose(rig.position, position, atol=1e-7)


def test_nullspace_motion_leaves_the_tool_in_place():
    rig = Rig(gains())
    rig.run(0.1)
    start, elbow = rig.position, rig.data.qpos.copy()
    path = rig.run(3.0, start, posture=HOME + np.array([0.35, 0, -0.35, 0, 0, 0, 0]))
    assert np.abs(rig.data.qpos - elbow).max() > 0.1
    assert np.linalg.norm(path - start, axis=1).max() < 1e-3


def test_the_posture_torque_does_not_accelerate_the_tool():
    rig = Rig(gains())
    work = np.zeros(1, impedance.scratch_type(7)).view(np.recarray)[0]
    law = rig.controller.arrays.law
    law.posture = HOME + 0.3
    dq = np.linspace(-1, 1, 7)
    impedance.posture_torque(law, rig.jacobian, rig.mass, HOME, dq, work)
    acceleration = rig.jacobian @ np.linalg.solve(rig.mass, work.posture)
    assert np.linalg.norm(work.posture) > 1.0
    np.testing.assert_allclose(acceleration, 0.0, atol=1e-9)


def test_posture_damping_takes_energy_from_any_motion():
    rig = Rig(gains(), posture=(0.0, 10.0))
    work = np.zeros(1, impedance.scratch_type(7)).view(np.recarray)[0]
    for dq in np.random.default_rng(0).normal(size=(50, 7)):
        impedance.posture_torque(rig.controller.arrays.law, rig.jacobian, rig.mass, HOME, dq, work)
        assert dq @ work.posture <= 1e-9


@pytest.mark.parametrize("degrees", [-170, -100, 100, 170])
def test_the_tool_turns_by_more_than_a_quarter(degrees):
    rig = Rig(gains(turn=0.5), q=np.append(HOME[:6], 0.0))  # about base z: joint 7 does most of it
    goal = spatial.multiply(spatial.exp(np.radians([0, 0, degrees / 2])), rig.quaternion)
    first = spatial.multiply(spatial.exp(np.radians([0, 0, -degrees / 2])), rig.quaternion)
    rig.run(3.0, quaternion=first)
    assert rig.turn_to(goal) == pytest.approx(np.radians(abs(degrees)), abs=0.1)
    rig.run(4.0, quaternion=goal)
    assert rig.turn_to(goal) < np.radians(1)


def error_of(turn):
    """Rotational error (3,) of the law for a reference turned by a rotation vector from the tool."""
    work = np.zeros(1, impedance.scratch_type(7)).view(np.recarray)[0]
    tool = spatial.exp(np.array([0.3, -0.2, 0.9]))
    reference = spatial.multiply(spatial.exp(np.asarray(turn, dtype=float)), tool)
    impedance.pose_error(np.zeros(3), tool, np.zeros(3), reference, work)
    return work.error[3:].copy()


@pytest.mark.parametrize("degrees", [91, 135, 179, 180])
def test_errors_beyond_a_quarter_turn_keep_size_and_axis(degrees):
    axis = np.array([0.0, 0.6, 0.8])
    error = error_of(np.radians(degrees) * axis)
    assert np.linalg.norm(error) == pytest.approx(np.radians(degrees))
    assert abs(error @ axis) == pytest.approx(np.radians(degrees))


def test_through_half_a_turn_the_error_takes_the_shorter_way():
    axis = np.array([0.0, 0.6, 0.8])
    np.testing.assert_allclose(error_of(np.radians(190) * axis), -np.radians(170) * axis, atol=1e-9)
    np.testing.assert_allclose(error_of(np.radians(360 + 20) * axis), np.radians(20) * axis, atol=1e-9)


def test_gains_hold_in_the_compliance_frame():
    soft = gains(clip=0.1)
    soft.stiffness[:3] = [2000.0, 500.0, 500.0]
    yawed = spatial.exp(np.array([0.0, 0.0, np.pi / 2]))
    for frame, expected in (("tool", 500.0), ("base", 2000.0)):
        law = Rig(soft, frame=frame).controller.arrays.law
        work = np.zeros(1, impedance.scratch_type(7)).view(np.recarray)[0]
        work.error[0] = 0.01
        impedance.task_wrench(law, np.zeros((6, 7)), np.zeros(7), yawed, work)
        np.testing.assert_allclose(work.drive[:3], [expected * 0.01, 0, 0], atol=1e-12)


def test_feed_forward_carries_the_tool_along():
    rig = Rig(gains(clip=0.005))
    start = rig.position
    for i in range(500):
        if i % 10 == 0:
            rig.send(start + np.array([0, 1e-4 * i, 0]), twist=np.array([0, 0.1, 0, 0, 0, 0]))
        rig.step()
    lag = np.array([0, 1e-4 * 490, 0]) + start - rig.position
    assert abs(lag[1]) < 0.002


def test_gains_of_a_target_hold_until_the_next():
    rig = Rig(gains())
    rig.send(stiffness=np.full(6, 30.0))
    assert rig.controller.arrays.law.stiffness[0] == 30.0
    rig.send()
    assert rig.controller.arrays.law.stiffness[0] == 2000.0


def test_cholesky_solves_and_survives_singularity():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(6, 6))
    matrix, x = root @ root.T, rng.normal(size=6)
    factor, y = np.zeros((6, 6)), matrix @ x
    product = impedance.cholesky(matrix, factor)
    assert product == pytest.approx(np.sqrt(np.linalg.det(matrix)))
    impedance.solve_lower(factor, y)
    impedance.solve_upper(factor, y)
    np.testing.assert_allclose(y, x, rtol=1e-6)
    impedance.cholesky(np.zeros((6, 6)), factor)
    assert np.isfinite(factor).all() and (np.diag(factor) > 0).all()
