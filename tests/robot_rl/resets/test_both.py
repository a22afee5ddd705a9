import numpy as np
import pytest

import tasks
from controllers.exceptions import ArmLatched
from controllers.interface import partner_of
from controllers.twin import TwinCell
from robot_rl.resets.both import recovering_reset, scripted_reset
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


def test_what_the_partner_s_reset_fails_at_is_said_to_be_its():
    cell = TwinCell(HANDOVER)
    reset = scripted_reset(HANDOVER)
    reset(cell, 0)
    partner_of(cell).controller.stop("tried")
    cell.wait()
    with pytest.raises(ArmLatched):
        reset(cell, 1)
    assert reset.outcome.failures == ()


def test_one_arm_has_the_reset_it_had():
    reach = tasks.load("reach")
    assert isinstance(scripted_reset(reach), ScriptedReset)
    assert isinstance(recovering_reset(reach, ResetConfig()), RecoveringReset)
