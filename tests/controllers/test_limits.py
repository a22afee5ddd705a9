import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controllers import limits, spatial
from controllers.exceptions import ControllersError
from controllers.models import arm_model
from tests.controllers.rig import DOWN, EVERYWHERE, HOME, MODEL, Rig, gains
from tests.controllers.test_spatial import quaternions

FR3 = arm_model("fr3").limits

NAN = float("nan")


def bounds(tilt=0.3, yaw=0.5, start=DOWN):
    record = np.zeros(1, limits.bounds_type(7)).view(np.recarray)[0]
    limits.fill_bounds(record, FR3, np.array([[0.3, -0.2, 0.0], [0.7, 0.2, 0.5]]), start, tilt, yaw)
    return record


def counts():
    return np.zeros(len(limits.COUNTED), dtype=np.int64)


def test_fr3_is_what_its_maker_says():
    joints = yaml.safe_load((MODEL.parent / "fr3" / "joint_limits.yaml").read_text())
    vendor = [joints[f"joint{i}"]["limit"] for i in range(1, 8)]
    for name, values in (("lower", FR3.low), ("upper", FR3.high), ("velocity", FR3.velocity), ("effort", FR3.torque)):
        np.testing.assert_allclose(values, [limit[name] for limit in vendor])


def test_a_cell_may_only_lower_limits_and_what_latches_stays_the_makers():
    lower = FR3.lowered(velocity=0.5 * FR3.velocity, force=40.0, high=FR3.high - 0.5)
    assert lower.maker is FR3 and lower.lowered(force=30.0).maker is FR3
    record, dq = np.zeros(1, limits.bounds_type(7)).view(np.recarray)[0], np.zeros(7)
    limits.fill_bounds(record, lower, np.array([[0.3, -0.2, 0.0], [0.7, 0.2, 0.5]]), DOWN, 0.3, 0.5)
    assert record.force == 40.0
    dq[0] = 0.8 * FR3.velocity[0]
    assert limits.fault(record, HOME, dq)[0] == limits.NO_FAULT
    assert limits.fault(record, FR3.high - 0.1, np.zeros(7))[0] == limits.NO_FAULT


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"force": 101.0}, "force.*beyond"),
        ({"velocity": FR3.velocity + 0.1}, "velocity.*beyond"),
        ({"low": FR3.low - 0.1}, "low.*beyond"),
        ({"torque": [1.0, 2.0]}, "torque.*7 numbers"),
        ({"speed": (NAN, 1.0)}, "speed"),
        ({"power": -1.0}, "power.*above 0"),
        ({"high": FR3.low}, "no range"),
        ({"maker": None}, "no limit 'maker'"),
    ],
)
def test_limits_beyond_the_makers_are_refused_in_a_sentence(changes, words):
    with pytest.raises(ControllersError, match=words):
        FR3.lowered(**changes)


def test_the_soft_range_is_four_fifths_and_holds_the_home_pose():
    low, high = FR3.soft
    np.testing.assert_allclose(high - low, 0.8 * (FR3.high - FR3.low))
    assert ((low < HOME) & (high > HOME)).all()


def test_the_box_moves_only_what_is_outside():
    position = np.array([0.9, 0.1, -0.1])
    assert limits.clamp_position(bounds(), position)
    np.testing.assert_array_equal(position, [0.7, 0.1, 0.0])
    assert not limits.clamp_position(bounds(), position)


def test_tilt_and_yaw_are_told_apart():
    swing, twist = spatial.exp(np.array([0.2, 0.1, 0.0])), spatial.exp(np.array([0.0, 0.0, -0.4]))
    rotation = spatial.multiply(DOWN, spatial.multiply(swing, twist))
    tilt, x, y, yaw = limits.swing_twist(bounds(), rotation)
    assert (tilt, yaw) == pytest.approx((np.hypot(0.2, 0.1), -0.4))
    np.testing.assert_allclose([x, y], np.array([0.2, 0.1]) / np.hypot(0.2, 0.1))


@given(quaternions, quaternions, st.floats(0, np.pi), st.floats(0, np.pi))
def test_a_clamped_rotation_is_within_tilt_and_yaw(rotation, start, tilt, yaw):
    record = bounds(tilt, yaw, start)
    clamped = rotation.copy()
    moved = limits.clamp_rotation(record, clamped)
    got_tilt, _, _, got_yaw = limits.swing_twist(record, clamped)
    assert got_tilt <= tilt + 1e-7 and abs(got_yaw) <= yaw + 1e-7
    assert abs(np.linalg.norm(clamped) - 1.0) < 1e-9
    assert moved or (clamped == rotation).all()


def test_only_what_exceeds_is_clamped():
    record, rotation = bounds(), spatial.exp(np.array([0.0, 0.0, 0.9]))
    both = spatial.multiply(DOWN, spatial.multiply(spatial.exp(np.array([0.2, 0.0, 0.0])), rotation))
    limits.clamp_rotation(record, both)
    tilt, x, _, yaw = limits.swing_twist(record, both)
    assert (tilt * x, yaw) == pytest.approx((0.2, 0.5))


def test_joint_speed_falls_towards_the_end_it_moves_to():
    record = bounds()
    near = FR3.high[0] - 0.1
    assert limits.speed_limit(record, 0, 0.0, 1.0) == FR3.velocity[0]
    assert limits.speed_limit(record, 0, near, 1.0) == pytest.approx(np.sqrt(2 * 6.0 * 0.1) - 0.3)
    assert limits.speed_limit(record, 0, near, -1.0) == FR3.velocity[0]
    assert limits.speed_limit(record, 0, FR3.high[0], 1.0) == 0.0


@pytest.mark.parametrize("joint", range(7))
def test_the_vendors_limits_are_faults_and_the_soft_ones_are_not(joint):
    record, still = bounds(), np.zeros(7)
    q, dq = HOME.copy(), np.zeros(7)
    q[joint] = FR3.high[joint] - 1e-3
    assert limits.fault(record, q, still)[0] == limits.NO_FAULT
    q[joint] = FR3.high[joint] + 1e-3
    assert limits.fault(record, q, still) == (limits.BEYOND_POSITION, joint)
    dq[joint] = -1.01 * FR3.velocity[joint]
    assert limits.fault(record, HOME, dq) == (limits.BEYOND_VELOCITY, joint)


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("side", [-1, 1])
def test_no_task_force_drives_a_joint_to_its_end(joint, side):
    """The strongest push that the caps allow, for as long as it takes."""
    q, span = HOME.copy(), FR3.soft[1] - FR3.soft[0]
    q[joint] = FR3.soft[0][joint] + 0.1 if side < 0 else FR3.soft[1][joint] - 0.1
    rig = Rig(gains(clip=0.05, turn=0.5), q=q)
    arrays = rig.controller.arrays
    for i in range(2000):
        if i % 100 == 0:
            push = np.zeros(7)
            push[joint] = side
            # the wrench that loads this joint most, as a target beyond the caps of force and moment
            direction = rig.jacobian @ push
            position = rig.position + 0.05 * direction[:3] / max(np.linalg.norm(direction[:3]), 1e-3)
            turn = 0.5 * direction[3:] / max(np.linalg.norm(direction[3:]), 1e-3)
            rig.send(position, spatial.multiply(spatial.exp(turn), rig.quaternion))
        rig.step()
        assert (rig.data.qpos > FR3.low).all() and (rig.data.qpos < FR3.high).all()
    assert arrays.counts[limits.POSITION] > 0
    beyond = np.maximum(rig.data.qpos - FR3.soft[1], FR3.soft[0] - rig.data.qpos)
    assert (beyond < 0.06 * span).all()
    assert rig.controller.state == "track"


def test_pushes_towards_an_end_fade_and_others_do_not():
    record, mass = bounds(), np.eye(7)
    q = HOME.copy()
    q[0] = 0.5 * (FR3.high[0] + FR3.soft[1][0])
    torque, tally = np.full(7, 50.0), counts()
    limits.guard_joints(record, mass, q, np.zeros(7), 1e-3, torque, tally)
    assert torque[0] == pytest.approx(-0.8 * 87.0)
    np.testing.assert_array_equal(torque[1:], 50.0)
    torque = np.full(7, -50.0)
    limits.guard_joints(record, mass, q, np.zeros(7), 1e-3, torque, tally)
    assert torque[0] == pytest.approx(-50.0 - 0.8 * 87.0)
    assert tally[limits.POSITION] == 2


def test_a_drive_beyond_one_joints_limit_shrinks_as_a_whole():
    record, tally, bias = bounds(), counts(), np.zeros(7)
    bias[5] = 2.0
    drive = np.array([0.0, -30.0, 0.0, 25.0, 0.0, 10.0, -1.0])
    torque = drive + np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    limits.fit_drive(record, drive, bias, torque, tally)
    assert torque[5] + bias[5] == pytest.approx(0.8 * 12.0)
    np.testing.assert_allclose(torque[[1, 3, 6]], 0.66 * drive[[1, 3, 6]])
    within = torque.copy()
    limits.fit_drive(record, drive, bias, within, tally)
    np.testing.assert_array_equal(within, torque)
    assert tally[limits.FITTED] == 1


def test_what_a_drive_does_not_cause_it_does_not_pay_for():
    record, drive, torque = bounds(), np.full(7, -1.0), np.full(7, 100.0)
    limits.fit_drive(record, drive, np.zeros(7), torque, counts())
    np.testing.assert_array_equal(torque, 100.0)


def test_torque_and_its_rate_stay_at_four_fifths():
    record, tally = bounds(), counts()
    sent, torque = np.zeros(7), np.full(7, 500.0)
    limits.limit_torque(record, sent, 1e-3, torque, tally)
    np.testing.assert_allclose(torque, [0.8] * 4 + [0.8 * 12 / 87] * 3, err_msg="a jump is made in proportion")
    torque = np.array([2.0, -2.0, 0.5, 0.0, 6.0, -6.0, 0.8])
    limits.limit_torque(record, sent, 1e-3, torque, counts())
    np.testing.assert_allclose(torque, [0.8, -0.8, 0.5, 0.0, 0.8, -0.8, 0.8], err_msg="a small change joint by joint")
    torque = np.full(7, 500.0)
    limits.limit_torque(record, 0.8 * FR3.torque, 1e-3, torque, tally)
    np.testing.assert_allclose(torque, 0.8 * FR3.torque)
    assert tally[limits.TORQUE] == 14 and tally[limits.TORQUE_RATE] == 7


def test_force_moment_and_power_are_capped():
    record, tally = bounds(), counts()
    drive = np.array([300.0, 400.0, 0.0, 0.0, 0.0, 50.0])
    limits.cap_wrench(record, drive, np.zeros(6), tally)
    np.testing.assert_allclose(drive, [60.0, 80.0, 0, 0, 0, 20.0])
    limits.cap_wrench(record, drive, np.array([0, 4.0, 0, 0, 0, 0]), tally)
    assert drive[1] * 4.0 == pytest.approx(FR3.power)
    assert (tally[limits.FORCE], tally[limits.POWER]) == (2, 1)


def test_the_reference_slows_near_a_singularity_and_near_a_speed_limit():
    rig, tally, still, square = Rig(gains()), counts(), np.zeros(7), np.zeros((6, 6))
    record = rig.controller.arrays.bounds
    good = limits.manipulability(rig.jacobian, square)
    assert good == pytest.approx(np.sqrt(np.linalg.det(rig.jacobian @ rig.jacobian.T)))
    assert limits.pace(record, good, HOME, still, tally) == 1.0
    fast = np.array([0, 0, 0, 0.88 * FR3.velocity[3], 0, 0, 0])
    assert limits.pace(record, good, HOME, fast, tally) == pytest.approx(0.2, abs=0.01)
    stretched = Rig(gains(), EVERYWHERE, q=np.array([0, -0.3, 0, -0.6, 0, 1.571, 0]))
    assert limits.pace(record, limits.manipulability(stretched.jacobian, square), HOME, still, tally) < 1.0
    assert tally[limits.SLOWED] == 2
