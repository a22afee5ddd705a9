from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as matrices
from numba import njit
from numba.core.runtime import _nrt_python as _nrt
from numba.core.runtime import rtsys

from controllers import limits, spatial
from controllers.controller import Controller, tick
from controllers.exceptions import ArmLatched, CommandRejected
from controllers.interface import OWNERS, Pose, PoseTarget
from controllers.models import arm_model
from tasks.spec import Workspace
from tests.controllers.rig import DOWN, HOME, Rig, gains

FR3 = arm_model("fr3").limits

BOX = Workspace(np.array([0.3, -0.2, 0.1]), np.array([0.7, 0.2, 0.6]), tilt=0.3, yaw=0.8)
NAN, INF = float("nan"), float("inf")


@pytest.fixture
def controller():
    made = Controller(FR3, gains(), BOX, home=HOME, start=DOWN)
    made.seed(np.array([0.5, 0.0, 0.3]), DOWN)
    made.acquire("policy")
    return made


def target(sequence=1, position=(0.5, 0.0, 0.3), quaternion=DOWN, **fields):
    return PoseTarget(Pose(np.array(position), np.array(quaternion)), sequence, **fields)


# What is refused.

REFUSED = {
    "position with NaN": ("finite", target(position=(0.5, NAN, 0.3))),
    "position with inf": ("finite", target(position=(0.5, INF, 0.3))),
    "quaternion with NaN": ("finite", target(quaternion=(1.0, 0.0, 0.0, NAN))),
    "long quaternion": ("quaternion", target(quaternion=(1.002, 0.0, 0.0, 0.0))),
    "zero quaternion": ("quaternion", target(quaternion=(0.0, 0.0, 0.0, 0.0))),
    "wrong frame": ("frame", target(frame="tool")),
    "two coordinates": ("shape", target(position=(0.5, 0.0))),
    "words": ("shape", target(position=("here", "and", "there"))),
    "three stiffnesses": ("shape", target(stiffness=np.ones(3))),
    "negative stiffness": ("gains", target(stiffness=np.array([1.0, 1, 1, 1, 1, -1]))),
    "infinite stiffness": ("finite", target(stiffness=np.full(6, INF))),
    "stiffness beyond the arm's": ("gains", target(stiffness=np.full(6, 3001.0))),
    "damping beyond what is stable": ("gains", target(damping=np.full(6, 51.0))),
    "negative damping": ("gains", target(damping=np.full(6, -0.1))),
    "clip of six": ("shape", target(clip=np.ones(6))),
    "clip upside down": ("gains", target(clip=np.concatenate([np.ones(6), -np.ones(6)]))),
    "twist with NaN": ("finite", target(twist=np.full(6, NAN))),
    "posture of six joints": ("shape", target(posture=np.zeros(6))),
    "posture with inf": ("finite", target(posture=np.full(7, INF))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_target_is_counted_and_changes_nothing(controller, name):
    rule, bad = REFUSED[name]
    before = controller.arrays.tobytes()
    with pytest.raises(CommandRejected):
        controller.submit("policy", bad)
    assert controller.rejections == {rule: 1}
    assert controller.arrays.tobytes() == before
    controller.submit("policy", target())
    assert controller.state == "track"


def test_only_the_holder_is_heard(controller):
    for owner in [*OWNERS[1:], "nobody"]:
        with pytest.raises(CommandRejected, match=owner):
            controller.submit(owner, target())
    assert controller.rejections["owner"] == len(OWNERS)
    with pytest.raises(CommandRejected, match="nobody"):
        controller.acquire("nobody")
    controller.acquire("teleop")
    controller.submit("teleop", target())
    with pytest.raises(CommandRejected, match="teleop"):
        controller.submit("policy", target(2))


def test_nobody_holds_the_arm_at_first():
    fresh = Controller(FR3, gains(), BOX, home=HOME, start=DOWN)
    fresh.seed(np.array([0.5, 0.0, 0.3]), DOWN)
    with pytest.raises(CommandRejected):
        fresh.submit("policy", target())


def test_an_arm_that_was_never_measured_takes_no_target():
    fresh = Controller(FR3, gains(), BOX, home=HOME, start=DOWN)
    fresh.acquire("policy")
    with pytest.raises(CommandRejected, match="measured"):
        fresh.submit("policy", target())
    assert fresh.rejections == {"seed": 1}


def test_sequence_numbers_rise_per_holder(controller):
    controller.submit("policy", target(5))
    for late in (5, 4, -1):
        with pytest.raises(CommandRejected, match="sequence"):
            controller.submit("policy", target(late))
    assert controller.rejections["sequence"] == 3
    controller.submit("policy", target(6))
    controller.acquire("reset")
    controller.submit("reset", target(0))


def test_a_nearly_unit_quaternion_is_normalised(controller):
    controller.submit("policy", target(quaternion=(1.0009, 0.0, 0.0, 0.0)))
    np.testing.assert_array_equal(controller.arrays.target_quaternion, DOWN)


@pytest.mark.parametrize(
    "options",
    [{"frame": "world"}, {"posture": (1.0, 0.0)}, {"ttl": 0.0}, {"ttl": 5.0}, {"freeze": 0.0}, {"start": np.zeros(4)}],
)
def test_settings_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError):
        Controller(FR3, gains(), BOX, home=HOME, **({"start": DOWN} | options))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("stiffness", np.full(6, 3001.0), "above the arm's"),
        ("damping", np.full(6, -1.0), "negative"),
        ("clip", np.full(12, NAN), "finite"),
        ("clip", np.full(6, 0.01), "shape"),
        ("filter_time", -0.1, "filter"),
    ],
)
def test_gains_of_a_task_that_the_arm_does_not_allow_are_refused(field, value, words):
    with pytest.raises(ValueError, match=words):
        Controller(FR3, replace(gains(), **{field: value}), BOX, home=HOME, start=DOWN)


def test_a_workspace_that_is_upside_down_is_refused():
    with pytest.raises(ValueError, match="workspace"):
        Controller(FR3, gains(), replace(BOX, low=BOX.high, high=BOX.low), home=HOME, start=DOWN)


def test_seeds_that_are_no_pose_are_refused(controller):
    with pytest.raises(ValueError):
        controller.seed(np.array([0.5, NAN, 0.3]), DOWN)
    with pytest.raises(ValueError):
        controller.seed(np.zeros(3), np.zeros(4))


# What is clamped.


def test_targets_are_clamped_to_the_box_and_to_the_turn(controller):
    turned = spatial.multiply(DOWN, spatial.exp(np.array([0.0, 0.0, 1.2])))
    controller.submit("policy", target(position=(0.9, 0.0, 0.0), quaternion=turned, twist=np.full(6, 9.0)))
    arrays = controller.arrays
    np.testing.assert_array_equal(arrays.target_position, [0.7, 0.0, 0.1])
    assert limits.swing_twist(arrays.bounds, arrays.target_quaternion)[3] == pytest.approx(0.8)
    np.testing.assert_allclose(arrays.law.twist, [2.4] * 3 + [2.0] * 3)
    assert controller.clamps == {"box": 1, "turn": 1, "twist": 1}


def test_a_posture_is_kept_within_the_soft_range_and_ends_with_the_hand_over(controller):
    wanted = HOME + np.array([0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0])
    controller.submit("policy", target(posture=wanted))
    np.testing.assert_allclose(controller.arrays.posture, [*wanted[:6], FR3.soft[1][6]])
    controller.submit("policy", target(sequence=2))
    np.testing.assert_array_equal(controller.arrays.posture, HOME)
    controller.submit("policy", target(sequence=3, posture=wanted))
    controller.acquire("reset")
    np.testing.assert_array_equal(controller.arrays.posture, HOME)


def test_between_two_corners_of_the_turn_the_reference_does_not_cut_outside(controller):
    def corner(axis, yaw, tilt=0.3):
        lean = spatial.exp(tilt * np.array([np.cos(axis), np.sin(axis), 0.0]))
        return spatial.multiply(DOWN, spatial.multiply(lean, spatial.exp(np.array([0.0, 0.0, yaw]))))

    bounds = controller.arrays.bounds
    here, there = corner(3.49, -0.8), corner(4.29, 0.8)
    middle = limits.swing_twist(bounds, spatial.slerp(here, there, 0.5))
    assert middle[0] > 0.32, "the shortest arc between the two would leave the cone"
    controller.seed(np.array([0.5, 0.0, 0.3]), corner(3.49, -0.7999, 0.2999))
    rig, tau, zeros = still(), np.zeros(7), np.zeros(7)
    for i in range(1200):
        if i % 100 == 0:
            controller.submit("policy", target(i, quaternion=there))
        position, quaternion = np.array([0.5, 0.0, 0.3]), here
        tick(controller.arrays, rig.jacobian, rig.mass, HOME, zeros, zeros, position, quaternion, tau)
        tilt, _, _, yaw = limits.swing_twist(bounds, controller.reference.quaternion)
        assert tilt <= 0.3 + 1e-9 and abs(yaw) <= 0.8 + 1e-9
    assert yaw == pytest.approx(0.8, abs=1e-3)


pose_numbers = st.floats(-3, 3) | st.floats()
commands = st.tuples(
    matrices(float, 3, elements=pose_numbers),
    matrices(float, 4, elements=st.floats(-1, 1)),
    st.booleans(),
    st.sampled_from(OWNERS),
    st.sampled_from(["base", "base", "base", "tool"]),
    st.integers(0, 30),
    st.none() | matrices(float, 6, elements=st.floats(-100, 4000)),
    st.none() | matrices(float, 6, elements=st.floats()),
)


def shove(controller, command):
    position, quaternion, unit, owner, frame, sequence, stiffness, twist = command
    if unit and np.linalg.norm(quaternion) > 0.01:
        quaternion = quaternion / np.linalg.norm(quaternion)
    try:
        controller.submit(
            owner, PoseTarget(Pose(position, quaternion), sequence, frame=frame, stiffness=stiffness, twist=twist)
        )
    except (CommandRejected, ArmLatched):
        return


@settings(max_examples=60)
@given(st.lists(commands, max_size=12), st.integers(1, 60))
def test_no_command_moves_the_reference_out_of_the_workspace(pushes, ticks):
    rig = still()
    controller = Controller(FR3, gains(), BOX, home=HOME, start=rig.quaternion)
    controller.seed(rig.position, rig.quaternion)
    controller.acquire("policy")
    bounds, tau, still_joints = controller.arrays.bounds, np.zeros(7), np.zeros(7)
    for push in pushes:
        shove(controller, push)
        for _ in range(ticks):
            before = controller.arrays.sent.copy()
            tick(
                controller.arrays, rig.jacobian, rig.mass, HOME, still_joints, np.zeros(7),
                rig.position, rig.quaternion, tau,
            )  # fmt: skip
            reference = controller.reference
            assert (reference.position >= BOX.low).all() and (reference.position <= BOX.high).all()
            tilt, _, _, yaw = limits.swing_twist(bounds, reference.quaternion)
            assert tilt <= BOX.tilt + 1e-6 and abs(yaw) <= BOX.yaw + 1e-6
            assert (np.abs(tau) <= 0.8 * FR3.torque).all()
            assert (np.abs(tau - before) <= 0.8 + 1e-9).all()
            np.testing.assert_array_equal(tau, controller.arrays.sent)


anything = st.floats()


@settings(max_examples=150)
@given(
    matrices(float, (6, 7), elements=anything), matrices(float, (7, 7), elements=anything),
    matrices(float, 7, elements=anything), matrices(float, 7, elements=anything), matrices(float, 7, elements=anything),
    matrices(float, 3, elements=anything), matrices(float, 4, elements=anything) | st.just(DOWN),
)  # fmt: skip
def test_whatever_is_measured_torques_are_finite_and_within_limits(jacobian, mass, q, dq, bias, position, quaternion):
    controller = Controller(FR3, gains(), BOX, home=HOME, start=DOWN)
    controller.seed(np.array([0.5, 0.0, 0.3]), DOWN)
    tau = np.full(7, NAN)
    for _ in range(3):
        tick(controller.arrays, jacobian, mass, q, dq, bias, position, quaternion, tau)
        assert np.isfinite(tau).all() and (np.abs(tau) <= 0.8 * FR3.torque).all()
    if not all(np.isfinite(x).all() for x in (jacobian, mass, q, dq, bias, position, quaternion)):
        assert controller.state == "latched" and controller.reason == "invalid state"


RIGS: list[Rig] = []


def still() -> Rig:
    """One arm at home that never moves, for its matrices."""
    if not RIGS:
        RIGS.append(Rig(gains()))
    return RIGS[0]


@njit
def ticks(arrays, jacobian, mass, q, dq, bias, position, quaternion, tau, count):
    for _ in range(count):
        tick(arrays, jacobian, mass, q, dq, bias, position, quaternion, tau)


def test_a_tick_allocates_nothing(controller):
    controller.submit("policy", target(position=(0.6, 0.1, 0.4)))
    rig, tau, zeros = still(), np.zeros(7), np.zeros(7)
    arguments = (controller.arrays, rig.jacobian, rig.mass, HOME, zeros, zeros, rig.position, rig.quaternion, tau)
    ticks(*arguments, 1)
    _nrt.memsys_enable_stats()
    made = []
    for count in (1, 2500):
        before = rtsys.get_allocation_stats().alloc
        ticks(*arguments, count)
        made.append(rtsys.get_allocation_stats().alloc - before)
    _nrt.memsys_disable_stats()
    assert controller.state == "hold", "the loop went through every state of a stale target"
    assert made[0] == made[1]
