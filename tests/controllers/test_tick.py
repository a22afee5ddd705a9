from dataclasses import replace

import numpy as np
import pytest

from controllers.controller import Controller, tick
from controllers.exceptions import ArmLatched, CommandRejected
from controllers.interface import Pose, PoseTarget
from controllers.models import arm_model
from controllers.tick import follow
from tasks.spec import Workspace
from tests.controllers.rig import DOWN, EVERYWHERE, HOME, Rig, gains
from tests.controllers.test_controller import BOX, NAN, target

FR3 = arm_model("fr3").limits

# Staleness.


def test_a_stale_target_freezes_then_ramps_then_holds_and_a_fresh_one_resumes():
    rig = Rig(gains(filter_time=0.2), ttl=0.3, freeze=1.0, ramp=0.5, wall=0.0)
    rig = Rig(gains(filter_time=0.2), ttl=0.3, freeze=1.0, ramp=0.5, wall=rig.position[0] + 0.011)
    goal = rig.position + np.array([0.1, 0, 0])
    rig.send(goal)
    rig.run(0.3)
    assert rig.controller.state == "track"
    moving = rig.controller.reference.position[0]
    rig.run(0.001)
    assert rig.controller.state == "frozen"
    frozen = rig.controller.reference.position
    assert moving <= frozen[0] < goal[0]
    rig.run(0.999)
    assert rig.controller.state == "frozen"
    np.testing.assert_array_equal(rig.controller.reference.position, frozen)
    assert rig.force == pytest.approx(20.0, rel=0.05)
    rig.run(0.25)
    assert rig.controller.state == "ramp"
    assert rig.position[0] < rig.controller.reference.position[0] < frozen[0]
    rig.run(0.5)
    assert rig.controller.state == "hold"
    np.testing.assert_allclose(rig.controller.reference.position, rig.position, atol=1e-3)
    assert rig.force < 3.0
    rig.send(goal)
    rig.run(0.3)
    assert rig.controller.state == "track"
    assert rig.controller.reference.position[0] > frozen[0] - 0.05
    assert rig.controller.reason == ""


def test_each_target_starts_the_clock_anew():
    rig = Rig(gains())
    for _ in range(10):
        rig.send()
        rig.run(0.25)
        assert rig.controller.state == "track"


@pytest.mark.parametrize("speed", [0.1, 0.5, 2.0])
def test_feed_forward_does_not_carry_the_tool_out_of_the_box(speed):
    rig = Rig(gains(clip=0.006), Workspace(np.array([0.2, -0.1, 0.1]), np.array([0.5, 0.1, 0.8])))
    start, twist = rig.position, np.array([0, speed, 0, 0, 0, 0])
    path = rig.run(2.0, np.array([start[0], 0.1, start[2]]), twist=twist)
    assert 0.095 < path[:, 1].max() < 0.103
    assert rig.controller.state == "track"


@pytest.mark.parametrize(("axis", "bound"), [(3, 0.3), (5, 0.5)])
def test_feed_forward_does_not_turn_the_tool_out_of_the_workspace(axis, bound):
    rig = Rig(gains(), replace(EVERYWHERE, tilt=0.3, yaw=0.5))
    start = rig.quaternion
    rig.run(2.0, quaternion=start, twist=1.5 * np.eye(6)[axis])
    assert 0.1 < rig.turn_to(start) < bound


def test_feed_forward_ends_with_the_target():
    rig = Rig(gains())
    rig.send(twist=np.array([0, 0.05, 0, 0, 0, 0]))
    rig.run(0.5)
    assert rig.controller.state == "frozen"
    np.testing.assert_array_equal(rig.controller.arrays.law.twist, 0.0)


# The deadman.


@pytest.mark.parametrize("late", [1, 3])
def test_a_released_deadman_holds_the_arm_where_it_is_at_once(late):
    rig = Rig(gains())
    rig.run(0.3, rig.position + np.array([0, 0.1, 0]))
    nonsense = PoseTarget(Pose(np.full(3, NAN), np.zeros(4)), late, frame="moon", enabled=False)
    rig.controller.submit("policy", nonsense)
    assert rig.controller.state == "hold" and rig.controller.reason == ""
    held = rig.controller.reference.position
    np.testing.assert_array_equal(held, rig.controller.arrays.position)
    assert np.linalg.norm(rig.run(1.0) - held, axis=1).max() < 0.01
    rig.send(held)
    assert rig.controller.state == "track"


def test_what_was_sent_before_the_deadman_was_released_is_refused_after():
    rig = Rig(gains())
    rig.send(enabled=False)
    with pytest.raises(CommandRejected, match="sequence"):
        rig.controller.submit("policy", PoseTarget(rig.controller.reference, rig.sequence))


def test_only_the_holders_deadman_counts():
    rig = Rig(gains())
    rig.send()
    with pytest.raises(CommandRejected, match="teleop"):
        rig.controller.submit("teleop", PoseTarget(rig.controller.reference, 1, enabled=False))
    assert rig.controller.state == "track"


def test_a_person_who_falls_silent_has_let_go():
    rig = Rig(gains())
    rig.controller.acquire("teleop")
    pose = Pose(rig.position + np.array([0, 0.1, 0]), rig.quaternion)
    for i in range(3):
        rig.controller.submit("teleop", PoseTarget(pose, i))
        rig.run(0.15)
        assert rig.controller.state == "track"
    rig.run(0.001)
    assert rig.controller.state == "hold"
    np.testing.assert_allclose(rig.controller.reference.position, rig.position, atol=1e-3)
    rig.controller.acquire("policy")
    rig.send()
    rig.run(0.2)
    assert rig.controller.state == "track", "a policy has no deadman"


# Latch and recover.


def test_a_fault_that_the_robot_reports_latches_until_a_person_recovers_the_arm():
    rig = Rig(gains())
    rig.controller.stop("stop requested")
    rig.controller.fault("cartesian_reflex")
    rig.controller.fault("communication_constraints_violation")
    assert rig.controller.reason == "cartesian_reflex", "the first fault, not the stop and not what followed"
    rig.run(0.5)
    with pytest.raises(ArmLatched, match="cartesian_reflex"):
        rig.send()
    rig.controller.recover()
    assert rig.controller.state == "hold" and rig.controller.reason == ""
    rig.controller.fault("joint_reflex")
    assert rig.controller.state == "latched" and rig.controller.reason == "joint_reflex"


def test_a_stop_latches_where_the_arm_is_until_recover():
    rig = Rig(gains())
    start = rig.position
    rig.run(0.2, start + np.array([0, 0.1, 0]))
    rig.controller.stop("hand in the cell")
    rig.controller.stop("again")
    assert rig.controller.state == "latched" and rig.controller.reason == "hand in the cell"
    held = rig.controller.reference.position
    np.testing.assert_array_equal(held, rig.controller.arrays.position)
    with pytest.raises(ArmLatched, match="hand in the cell"):
        rig.send(start)
    rig.controller.acquire("teleop")
    with pytest.raises(ArmLatched):
        rig.controller.submit("teleop", target())
    assert rig.controller.rejections["latched"] == 2
    path = rig.run(2.0)
    assert np.linalg.norm(path - held, axis=1).max() < 0.003, "heavy damping stops 76 mm/s at once"
    np.testing.assert_allclose(path[-1], held, atol=2e-3)
    rig.controller.recover()
    assert rig.controller.state == "hold" and rig.controller.reason == ""
    np.testing.assert_array_equal(rig.controller.reference.position, rig.controller.arrays.position)
    assert rig.controller.arrays.law.stiffness[0] == 2000.0
    rig.controller.acquire("policy")
    rig.send(start)
    rig.run(0.2)
    assert rig.controller.state == "track"


def test_a_latched_arm_yields_to_a_push_without_swinging():
    rig = Rig(gains())
    rig.run(0.1)
    rig.controller.stop()
    start = rig.position
    rig.data.xfrc_applied[rig.model.site_bodyid[rig.site], 1] = 12.0
    pushed = rig.run(4.0)[:, 1] - start[1]
    assert 0.02 < pushed[-1] < 0.06
    assert pushed.max() < 1.05 * pushed[-1]
    rig.data.xfrc_applied[:] = 0.0
    back = rig.run(4.0)[:, 1] - start[1]
    assert back.min() > -0.02 * pushed[-1] and back[-1] < 0.5 * pushed[-1]


@pytest.mark.parametrize("field", ["qpos", "qvel"])
def test_a_vendor_limit_latches_and_names_the_joint(field):
    rig = Rig(gains())
    rig.run(0.05)
    getattr(rig.data, field)[3] = 0.0 if field == "qpos" else 3.0
    rig._measure()
    rig.step()
    assert rig.controller.state == "latched"
    assert "joint 4" in rig.controller.reason
    rig.controller.recover()
    if field == "qpos":
        rig.step()
        assert rig.controller.state == "latched", "the joint is still beyond its limit"


def test_a_state_with_nan_latches_and_leaves_gravity_compensated():
    rig = Rig(gains())
    rig.run(0.5)
    bias = rig.data.qfrc_bias.copy()
    nans = np.full(7, NAN)
    for _ in range(100):
        tick(rig.controller.arrays, rig.jacobian, rig.mass, nans, nans, bias, rig.position, rig.quaternion, rig.tau)
    assert rig.controller.state == "latched" and rig.controller.reason == "invalid state"
    np.testing.assert_allclose(rig.tau, bias, atol=0.01)


def test_a_fault_in_the_torque_that_the_arm_reports_does_not_spread():
    rig = Rig(gains())
    rig.run(0.05)
    rig.controller.arrays.sent[2] = NAN
    rig.step()
    assert np.isfinite(rig.tau).all() and rig.controller.state == "latched"


def test_handing_over_puts_the_reference_at_the_measured_pose():
    rig = Rig(gains())
    rig.run(0.2, rig.position + np.array([0, 0, 0.1]), stiffness=np.full(6, 50.0))
    rig.controller.acquire("teleop")
    assert rig.controller.state == "hold" and rig.controller.owner == "teleop"
    np.testing.assert_array_equal(rig.controller.reference.position, rig.controller.arrays.position)
    assert rig.controller.arrays.law.stiffness[0] == 2000.0


def test_the_first_tick_starts_from_the_arm_as_it_is():
    rig = Rig(gains())
    fresh = Controller(FR3, gains(), BOX, home=HOME, start=DOWN)
    tick(
        fresh.arrays, rig.jacobian, rig.mass, HOME, np.zeros(7), rig.data.qfrc_bias, rig.position, rig.quaternion,
        rig.tau,
    )  # fmt: skip
    np.testing.assert_allclose(fresh.reference.position, rig.position)
    np.testing.assert_allclose(rig.tau, rig.data.qfrc_bias, atol=1e-9)


def test_an_arm_outside_its_box_is_not_thrown_back_into_it():
    rig = Rig(gains(filter_time=0.05), Workspace(np.array([0.1, -0.2, 0.1]), np.array([0.27, 0.2, 0.7])))
    start = rig.position
    assert start[0] > 0.3
    rig.run(0.1)
    np.testing.assert_allclose(rig.controller.reference.position, start)
    rig.run(1.5, start)
    assert rig.position[0] == pytest.approx(0.27, abs=2e-3)


# The reference alone, where the law is another's.


def test_the_reference_alone_ages_moves_and_latches_as_under_the_law():
    rig = Rig(gains(filter_time=0.2), ttl=0.1, freeze=0.1, ramp=0.1)
    alone = Controller(
        FR3, gains(filter_time=0.2), EVERYWHERE, home=HOME, start=rig.quaternion, ttl=0.1, freeze=0.1, ramp=0.1
    )
    alone.seed(rig.position, rig.quaternion)
    alone.acquire("policy")
    goal = PoseTarget(Pose(rig.position + np.array([0.1, 0.05, 0.0]), rig.quaternion), 1)
    for controller in (rig.controller, alone):
        controller.submit("policy", goal)
    states = set()
    for _ in range(400):
        follow(alone.arrays, rig.jacobian, rig.data.qpos, rig.data.qvel, rig.position, rig.quaternion)
        rig.step()
        assert alone.state == rig.controller.state
        np.testing.assert_array_equal(alone.reference.position, rig.controller.reference.position)
        np.testing.assert_array_equal(alone.reference.quaternion, rig.controller.reference.quaternion)
        states.add(alone.state)
    assert states == {"track", "frozen", "ramp", "hold"}
    follow(alone.arrays, rig.jacobian, np.full(7, NAN), rig.data.qvel, rig.position, rig.quaternion)
    assert (alone.state, alone.reason) == ("latched", "invalid state")
