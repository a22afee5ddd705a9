from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers import barriers, impedance, limits, spatial
from controllers.controller import Controller, tick
from controllers.exceptions import ArmLatched, CommandRejected
from controllers.interface import OWNERS, Pose, PoseTarget
from controllers.limits import BARRED
from controllers.models import MODELS, arm_model
from controllers.tick import STATES, arrays_type
from tasks.spec import Workspace
from tests.controllers.rig import DOWN, EVERYWHERE, Rig, gains

FR3 = arm_model("fr3").limits
BOX = Workspace(np.array([0.2, -0.1, 0.3]), np.array([0.5, 0.1, 0.7]), tilt=0.3, yaw=0.5)
WILD = np.full(6, 1e6)


@given(st.floats(0, 1), st.floats(0, 0.1), st.floats(0.1, 20))
def test_a_speed_that_is_allowed_can_be_braked_in_what_is_left(left, time, braking):
    speed = barriers.approach(left, 0.0, max(time, 1e-3), braking)
    assert speed**2 <= 2 * braking * left * (1 + 1e-9)
    assert barriers.approach(left, speed, max(time, 1e-3), braking) <= speed
    assert barriers.approach(-left, speed, max(time, 1e-3), braking) == 0.0


def arm(seed, model):
    """Arrays and a random state of an arm: its matrices are random too, as those of no arm in particular."""
    rng, limit = np.random.default_rng(seed), arm_model(model).limits
    n = len(limit.low)
    arrays = np.zeros(1, arrays_type(n)).view(np.recarray)[0]
    box = np.array([[-1.0, -1, -1], [1, 1, 1]])
    limits.fill_bounds(arrays.bounds, limit, box, DOWN, 0.3, 0.5)
    square = rng.standard_normal((n, n))
    mass = square @ square.T * rng.uniform(0.01, 1) + 0.05 * np.eye(n)
    q = rng.uniform(limit.low, limit.high)
    dq = rng.uniform(-1, 1, n) * limit.velocity
    return rng, arrays, rng.uniform(-1, 1, (6, n)), mass, q, dq


def prepared(arrays, jacobian, mass, q, dq):
    """The scratch as the law leaves it."""
    law, work = arrays.law, arrays.work
    law.damping[:] = 0.0
    impedance.task_wrench(law, jacobian, dq, DOWN, work)
    impedance.posture_torque(law, jacobian, mass, q, dq, work)
    return work


def bar(arrays, jacobian, mass, q, dq, torque, position=None, quaternion=DOWN, pace=1.0, back=True):
    work = prepared(arrays, jacobian, mass, q, dq)
    work.torque[:] = torque
    position = np.zeros(3) if position is None else position
    barred = barriers.bar(arrays.bounds, jacobian, mass, q, dq, position, quaternion, pace, back, work, arrays.counts)
    return barred, work.torque.copy()


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.sampled_from(sorted(MODELS)), st.floats(0, 1))
def test_no_joint_of_any_arm_is_driven_past_its_speed(seed, model, pace):
    rng, arrays, jacobian, mass, q, dq = arm(seed, model)
    barred, torque = bar(arrays, jacobian, mass, q, dq, rng.standard_normal(len(q)) * 300.0, pace=pace)
    acceleration = np.linalg.solve(mass, torque)
    for j in range(len(q)):
        for sign in (-1.0, 1.0):
            fastest = barriers.joint_speed(arrays.bounds, j, q[j], dq[j], sign)
            room = fastest - sign * dq[j]
            other = barriers.joint_speed(arrays.bounds, j, q[j], dq[j], -sign)
            if room > 0.0 and other + sign * dq[j] > 0.0:
                assert sign * acceleration[j] <= room / barriers.JOINT_TIME * (1 + 1e-6) + 1e-6
            elif other + sign * dq[j] > 0.0:
                assert sign * acceleration[j] <= 1e-6, "beyond its speed it is slowed"
    assert barred == (arrays.counts[BARRED] == 1)


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.sampled_from(sorted(MODELS)))
def test_what_keeps_the_bounds_passes_bit_for_bit(seed, model):
    rng, arrays, jacobian, mass, q, dq = arm(seed, model)
    low, high = arm_model(model).limits.soft
    q = rng.uniform(low, high)
    torque = mass @ rng.uniform(-0.1, 0.1, len(q))
    dq *= 0.001
    barred, after = bar(arrays, 0.1 * jacobian, mass, q, dq, torque)
    assert not barred
    np.testing.assert_array_equal(after, torque)


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.sampled_from(sorted(MODELS)), st.integers(0, 2), st.sampled_from([-1, 1]))
def test_at_the_boxs_face_nothing_drives_the_tool_out(seed, model, axis, side):
    _, arrays, jacobian, mass, q, dq = arm(seed, model)
    low, high = arm_model(model).limits.soft
    q, dq = 0.5 * (low + high), np.zeros(len(q))
    push = jacobian.T @ (np.eye(6)[axis] * side * 0.05)  # little, so that no joint has a say
    position = np.eye(3)[axis] * side * (1.0 + barriers.EDGE[0])
    _, torque = bar(arrays, jacobian, mass, q, dq, push, position)
    assert side * (jacobian @ np.linalg.solve(mass, torque))[axis] <= 1e-6


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.sampled_from(sorted(MODELS)), st.floats(1e-4, 4e-3))
def test_a_damper_takes_at_most_half_of_the_speed_in_a_tick(seed, model, dt):
    rng, arrays, jacobian, mass, q, dq = arm(seed, model)
    work = prepared(arrays, jacobian, 1e-2 * mass, q, dq)
    damping = np.diag(rng.uniform(0, 1, 6) * np.repeat(FR3.damping, 3))
    velocity = jacobian @ dq
    work.damper[:] = -damping @ velocity
    barriers.steady(dt, work)
    change = dt * jacobian @ np.linalg.solve(1e-2 * mass, jacobian.T @ work.damper)
    assert float(work.damper @ (velocity + 2.0 * change)) <= 1e-9, "after a tick twice as long it still brakes"


commands = st.tuples(
    st.sampled_from(
        ["sane", "huge", "nan", "duplicate", "foreign", "handover", "released", "stop", "recover", "silence"]
    ),
    st.integers(0, 2**32),
    st.integers(1, 60),
)


def shove(controller, kind, rng, sequence):
    """One command as a broken or hostile program would send it."""
    far = {"huge": 1e200, "nan": np.nan}.get(kind, 1.0)
    pose = Pose(rng.standard_normal(3) * far, DOWN if kind == "sane" else spatial.exp(rng.standard_normal(3)))
    target = PoseTarget(pose, sequence - 2 * (kind == "duplicate"), enabled=kind != "released")
    if kind == "handover":
        controller.acquire(str(rng.choice(OWNERS)))
    elif kind == "stop":
        controller.stop()
    elif kind == "recover":
        controller.recover()
    elif kind != "silence":
        with suppress(CommandRejected, ArmLatched):
            controller.submit("nobody" if kind == "foreign" else controller.owner or "", target)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(sorted(MODELS)), st.lists(commands, max_size=8))
def test_whatever_is_commanded_torques_and_rates_of_any_arm_stay_at_four_fifths(seed, model, sent):
    _, _, jacobian, mass, q, _ = arm(seed, model)
    limit = arm_model(model).limits
    q, n = np.clip(q, *limit.soft), len(q)
    controller = Controller(limit, gains(), BOX, home=q, start=DOWN)
    controller.seed(np.array([0.3, 0.0, 0.5]), DOWN)
    controller.acquire("policy")
    tau, dq, place = np.zeros(n), np.zeros(n), np.array([0.3, 0.0, 0.5])
    for number, (kind, salt, ticks) in enumerate(sent):
        rng = np.random.default_rng(salt)
        shove(controller, kind, rng, number)
        for _ in range(ticks):
            dq = np.clip(dq + 0.01 * rng.standard_normal(n), -0.3, 0.3)
            before = controller.arrays.sent.copy()
            tick(controller.arrays, jacobian, mass, q, dq, np.zeros(n), place, DOWN, tau)
            assert (np.abs(tau) <= 0.8 * limit.torque + 1e-9).all()
            assert (np.abs(tau - before) <= 0.8e-3 * limit.torque_rate + 1e-9).all()
            reference = controller.reference.position
            assert (reference >= BOX.low - 1e-9).all() and (reference <= BOX.high + 1e-9).all()
    assert controller.state in STATES


def thrown(rig, direction, seconds=1.0, **fields):
    """Drives the tool at a far target with the stiffest springs and no damping; positions (steps, 3)."""
    fields = {
        "stiffness": np.repeat(FR3.stiffness, 3),
        "damping": np.zeros(6),
        "clip": np.concatenate([-WILD, WILD]),
    } | fields
    return rig.run(seconds, rig.position + 5.0 * np.asarray(direction), **fields)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [-1, 1])
def test_the_tool_stays_in_its_box_with_no_damping_at_all(axis, side):
    rig = Rig(gains(), BOX)
    path = thrown(rig, side * np.eye(3)[axis])
    outside = np.maximum(path - BOX.high, BOX.low - path).max()
    assert outside < 0.02
    assert rig.controller.state == "track" and rig.controller.clamps["barred"] > 0


@pytest.mark.parametrize("direction", [[1, 0, 0], [0, 1, -0.5], [-1, 0, 1]])
def test_the_tool_is_no_faster_than_the_cell_allows(direction):
    rig = Rig(gains(), EVERYWHERE)
    path = thrown(rig, direction, 0.6)
    speed = np.linalg.norm(np.diff(path, axis=0), axis=1) / 1e-3
    assert speed.max() < 1.1 * FR3.tool_speed[0]


def test_a_wild_turn_stays_within_the_makers_speed():
    rig = Rig(gains(), replace(EVERYWHERE, tilt=3.0))
    turned = np.array([0.0, 0.0, 1.0, 0.0])
    fastest = 0.0
    for i in range(800):
        if i % 100 == 0:
            rig.send(
                quaternion=turned,
                stiffness=np.repeat(FR3.stiffness, 3),
                damping=np.zeros(6),
                clip=np.concatenate([-WILD, WILD]),
            )
        rig.step()
        fastest = max(fastest, float(np.linalg.norm((rig.jacobian @ rig.data.qvel)[3:])))
    assert 0.5 < fastest < FR3.speed[1]
    assert rig.controller.state == "track"


def test_a_fast_arm_that_latches_comes_to_rest_without_swinging_back():
    rig = Rig(gains())
    rig.run(0.05)
    rig.data.qvel[:] = np.array([0.8, 0.6, -0.8, 0.6, 1.5, -1.0, 1.5])
    rig._measure()
    rig.controller.stop()
    moves = []
    for _ in range(1500):
        rig.step()
        moves.append(rig.data.qvel.copy())
    assert np.abs(moves[-1]).max() < 0.05
    energy = (np.array(moves) ** 2).sum(axis=1)
    assert energy[300:].max() < 0.1 * energy[0]


def test_near_a_singularity_the_law_is_slowed_too():
    straight = np.array([0.0, -0.2, 0.0, -0.35, 0.0, 1.571, 0.785])
    far, near = Rig(gains()), Rig(gains(), q=straight)
    speeds = []
    for rig in (far, near):
        fastest = 0.0
        for i in range(500):
            if i % 100 == 0:
                pose = Pose(rig.position - np.array([0.4, 0, 0]), rig.quaternion)
                rig.send(pose.position, stiffness=np.repeat(FR3.stiffness, 3), clip=np.concatenate([-WILD, WILD]))
            rig.step()
            fastest = max(fastest, float(np.abs(rig.data.qvel / FR3.velocity).max()))
        speeds.append(fastest)
    assert speeds[1] < speeds[0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_tool_outside_comes_back_unless_its_reference_is_outside_too(axis):
    _, arrays, jacobian, mass, _, _ = arm(1, "fr3")
    q, still = 0.5 * (FR3.low + FR3.high), np.zeros(7)
    outside = np.eye(3)[axis] * 1.02
    barred, torque = bar(arrays, jacobian, 10.0 * mass, q, still, still, outside)
    assert barred and (jacobian @ np.linalg.solve(10.0 * mass, torque))[axis] < 0.0
    barred, torque = bar(arrays, jacobian, 10.0 * mass, q, still, still, outside, back=False)
    assert not barred and not torque.any()


def test_a_tool_that_goes_on_outside_its_box_brakes_the_whole_arm():
    _, arrays, *_ = arm(0, "fr3")
    outward, inward, still = np.array([1.0, 0, 0, 0, 0, 0]), np.array([-1.0, 0, 0, 0, 0, 0]), np.zeros(6)
    inside, outside = np.zeros(3), np.array([1.02, 0.0, 0.0])
    assert barriers.astray(arrays.bounds, outside, outward) == barriers.ASTRAY[2]
    for position, velocity in ((inside, outward), (outside, inward), (outside, still)):
        assert barriers.astray(arrays.bounds, position, velocity) == 0.0
    assert barriers.astray(arrays.bounds, -outside, inward) == barriers.ASTRAY[2]
