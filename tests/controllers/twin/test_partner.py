import dataclasses

import numpy as np
import pytest

import tasks
from controllers.exceptions import ArmLatched
from controllers.interface import Pose, PoseTarget, partner_of
from controllers.twin import TwinCell

HANDOVER = tasks.load("dual_arm_handover")


@pytest.fixture
def cell():
    cell = TwinCell(HANDOVER)
    yield cell
    cell.close()


def go(cell, by, ticks):
    """One arm so far in its own base, m; the other holds."""
    cell.acquire("policy")
    place = cell.read().arm.pose.position + by
    for _ in range(ticks):
        reading = cell.read()
        cell.command(PoseTarget(Pose(place, reading.arm.pose.quaternion), reading.tick))
        cell.wait()


def test_each_arm_goes_where_it_is_sent_in_its_own_base_and_the_other_holds(cell):
    before = cell.read()
    go(cell, [0.0, 0.04, 0.0], 15)
    after = cell.read()
    assert after.arm.pose.position[1] - before.arm.pose.position[1] == pytest.approx(0.04, abs=0.003)
    np.testing.assert_allclose(after.partner.arm.pose.position, before.partner.arm.pose.position, atol=1e-3)
    go(partner_of(cell), [0.0, 0.04, 0.0], 15)
    last = cell.read()
    assert last.partner.arm.pose.position[1] - before.partner.arm.pose.position[1] == pytest.approx(0.04, abs=0.003)
    np.testing.assert_allclose(last.arm.pose.position, after.arm.pose.position, atol=1e-3)
    tools = [cell.data.site(name).xpos[1] for name in ("tool", "partner_tool")]
    assert tools[0] > 0.03, "the first arm's y is the world's"
    assert tools[1] < -0.03, "the partner looks the other way"


def test_both_are_read_at_the_same_tick(cell):
    reading = cell.wait()
    assert reading.tick == reading.partner.tick == 1
    assert partner_of(cell).wait().tick == 2
    assert cell.read().tick == 2


@pytest.mark.parametrize("first", [True, False])
def test_where_one_latches_the_other_does_and_both_recover(cell, first):
    partner = partner_of(cell)
    one, other = (cell, partner) if first else (partner, cell)
    other.acquire("policy")
    one.controller.stop("tried")
    reading = cell.wait()
    assert reading.safety == reading.partner.safety == "latched"
    assert other.read().reason == "the other arm latched: tried"
    with pytest.raises(ArmLatched, match="the other arm latched: tried"):
        other.command(PoseTarget(other.read().arm.pose, other.read().tick))
    cell.recover()
    reading = cell.wait()
    assert "latched" not in (reading.safety, reading.partner.safety)


def test_the_largest_force_is_of_the_last_tick_for_both_arms(cell):
    partner = partner_of(cell)
    partner.arm.push(np.array([0.0, 0.0, 5.0, 0.0, 0.0, 0.0]))
    assert cell.wait().partner.sim["peak_force"][0] > 4
    partner.arm.push(np.zeros(6))
    assert cell.wait().partner.sim["peak_force"][0] == 0


def test_stop_is_of_both(cell):
    cell.stop("enough")
    assert cell.read().reason == cell.read().partner.reason == "enough"


def test_the_same_seed_and_calls_give_the_same_readings_of_both():
    found = []
    for _ in range(2):
        cell = TwinCell(HANDOVER, seed=3)
        go(cell, [0.0, 0.0, -0.05], 5)
        reading = cell.read()
        found.append(np.concatenate([reading.arm.q, reading.partner.arm.q, reading.sim["bar_position"]]))
        cell.close()
    np.testing.assert_array_equal(*found)


def test_a_kept_scene_comes_back_with_both_arms(cell):
    kept, before = cell.state_vector(), cell.read()
    go(cell, [0.0, 0.04, 0.0], 5)
    go(partner_of(cell), [0.0, 0.04, 0.0], 5)
    cell.set_state_vector(kept)
    after = cell.read()
    np.testing.assert_array_equal(after.arm.q, before.arm.q)
    np.testing.assert_array_equal(after.partner.arm.q, before.partner.arm.q)
    assert after.partner.safety != "latched"


def test_arms_that_meet_push_each_other():
    """Links touch: an arm that is sent through the other one is stopped by it."""
    place = dataclasses.replace(HANDOVER.workspace, high=np.array([0.8, 0.3, 0.5]))
    cell = TwinCell(dataclasses.replace(HANDOVER, workspace=place))
    go(cell, [0.0, 0.0, 0.18], 25)
    go(cell, [0.3, 0.0, 0.0], 40)
    after = cell.read()
    assert after.arm.pose.position[0] < 0.7, "it went through the other arm"
    assert np.linalg.norm(after.arm.wrench[:3]) > 3
    cell.close()


def test_a_cell_of_one_arm_has_no_partner():
    with pytest.raises(TypeError, match="TwinCell has one arm, and two are to move"):
        partner_of(TwinCell(tasks.load("reach")))
