import dataclasses

import numpy as np
import pytest

import tasks
from controllers.exceptions import ArmLatched, ResetFailed
from controllers.interface import partner_of
from controllers.twin import TwinCell
from robot_rl.resets.base import Outcome
from robot_rl.resets.both import BothReset, recovering_reset, scripted_reset
from robot_rl.resets.configuration import ResetConfig
from robot_rl.resets.recovery import RecoveringReset
from robot_rl.resets.scripted import ScriptedReset

HANDOVER = tasks.load("dual_arm_handover")


def test_both_arms_come_to_starts_of_their_own_and_the_scene_is_drawn_once():
    cell = TwinCell(HANDOVER, seed=0)
    bar = cell.read().sim["bar_position"]
    reset = recovering_reset(HANDOVER, ResetConfig())
    for seed in (1, 2):
        reading = reset(cell, seed)
        for own, task in ((reading, HANDOVER), (reading.partner, HANDOVER.partner.task)):
            away = np.abs(own.arm.pose.position - task.start.position)
            assert (away <= task.start_noise[:3] + 0.004).all()
            np.testing.assert_allclose(own.arm.pose.position, ScriptedReset(task).start(seed).position, atol=0.004)
        assert np.linalg.norm(reading.sim["bar_position"] - bar) > 1e-4
        assert reset.outcome.failures == ()
        assert reset.outcome.seconds > 1.0
        assert cell.controller.owner == partner_of(cell).controller.owner == "policy"
        bar = reading.sim["bar_position"]


def test_a_latch_of_the_partner_ends_it():
    cell = TwinCell(HANDOVER)
    partner_of(cell).stop("tried")
    with pytest.raises(ArmLatched, match="tried"):
        scripted_reset(HANDOVER)(cell, 1)


def test_what_the_partner_s_reset_fails_at_is_said_to_be_its():
    """The partner's box ends below its start: each attempt stops there, and the first arm is not even tried."""
    beside = HANDOVER.partner
    box = dataclasses.replace(beside.task.workspace, high=np.array([0.472, 0.08, 0.25]))
    low = dataclasses.replace(beside, task=dataclasses.replace(beside.task, workspace=box))
    cell = TwinCell(dataclasses.replace(HANDOVER, partner=low))
    reset = BothReset(RecoveringReset(beside.task, ResetConfig(draw=False), patience=20), ScriptedReset(HANDOVER))
    with pytest.raises(ResetFailed, match="dual_arm_handover's partner failed 3 times"):
        reset(cell, 0)
    assert len(reset.outcome.failures) == 3
    assert cell.controller.owner != "policy"


def test_both_parts_make_one_outcome():
    class Told:
        def __init__(self, outcome):
            self.outcome = outcome

        def __call__(self, cell, seed):
            return cell.read()

    cell = TwinCell(HANDOVER)
    reset = BothReset(Told(Outcome(("one",), 1.0, homed=True)), Told(Outcome(("two",), 2.0, put_back=True)))
    reset(cell, 0)
    assert reset.outcome == Outcome(("one", "two"), 3.0, homed=True, put_back=True)


def test_one_arm_has_the_reset_it_had():
    reach = tasks.load("reach")
    assert isinstance(scripted_reset(reach), ScriptedReset)
    assert isinstance(recovering_reset(reach, ResetConfig()), RecoveringReset)
