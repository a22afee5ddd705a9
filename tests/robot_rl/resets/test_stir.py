import numpy as np
import pytest

import tasks
from controllers.exceptions import SettingsError
from controllers.twin import TwinCell
from robot_rl.resets.both import recovering_reset
from robot_rl.resets.configuration import ResetConfig
from robot_rl.resets.recovery import RecoveringReset
from robot_rl.resets.scripted import ScriptedReset
from robot_rl.resets.stir import HEIGHT, Stir

PICK = tasks.load("pick_cube")


def cube(cell: TwinCell) -> np.ndarray:
    return np.array(cell.data.body("cube").xpos)


def test_a_stroke_across_the_cube_moves_it(monkeypatch):
    cell = TwinCell(PICK)
    ScriptedReset(PICK)(cell, 0)
    before = cube(cell)
    across = before + np.array([[0.0, -0.07, 0.0], [0.0, 0.02, 0.0]])
    across[:, 2] = PICK.workspace.low[2] + HEIGHT
    monkeypatch.setattr(Stir, "stroke", lambda self, seed: across)
    cell.acquire("reset")
    lowest = np.inf
    for _ in Stir(PICK).ticks(cell, 0):
        lowest = min(lowest, cell.read().arm.pose.position[2])
    assert cube(cell)[1] > before[1] + 0.01
    assert lowest == pytest.approx(across[0, 2], abs=0.01)
    assert cell.read().arm.pose.position[2] > PICK.workspace.high[2] - 0.01
    assert cell.read().safety != "latched"


def test_strokes_lie_in_the_workspace_and_differ_from_seed_to_seed():
    stir = Stir(PICK)
    places = np.array([stir.stroke(seed) for seed in range(20)])
    assert (places >= PICK.workspace.low).all()
    assert (places <= PICK.workspace.high).all()
    assert places[:, :, :2].std(axis=0).min() > 0.02
    np.testing.assert_array_equal(stir.stroke(3), places[3])


def test_every_third_episode_is_stirred_before_and_still_begins_at_its_start():
    cell, plain = TwinCell(PICK), TwinCell(PICK)
    stirred = RecoveringReset(PICK, ResetConfig(stir_every=3, draw=False))
    quiet = RecoveringReset(PICK, ResetConfig(draw=False))
    longer = []
    for seed in range(5):
        reading = stirred(cell, seed)
        quiet(plain, seed)
        longer.append(stirred.outcome.seconds > quiet.outcome.seconds + 1.0)
        assert stirred.outcome.failures == ()
        place = reading.arm.pose.position - PICK.start.position
        assert (np.abs(place) < PICK.start_noise[:3] + 0.004).all()
    assert longer == [True, False, False, True, False]


def test_a_hand_that_holds_something_is_not_drawn_through_the_scene():
    with pytest.raises(SettingsError, match=r"stir_every is above 0, but peg_insert has no gripper to close: leave"):
        recovering_reset(tasks.load("peg_insert"), ResetConfig(stir_every=2))
