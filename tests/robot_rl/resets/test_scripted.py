from dataclasses import replace

import numpy as np
import pytest

import tasks
from controllers import spatial
from controllers.exceptions import ArmLatched, CellTimeout, SettingsError
from controllers.interface import Pose, PoseTarget
from controllers.twin import TwinCell
from robot_rl.resets.scripted import FreshReset, ScriptedReset

PEG = tasks.load("peg_insert")


@pytest.mark.parametrize("name", tasks.names())
def test_it_reaches_a_start_within_the_noise_and_hands_over(name):
    task = tasks.load(name)
    cell = TwinCell(task)
    reset, starts = ScriptedReset(task), []
    for seed in range(8):
        reading = reset(cell, seed)
        starts.append(reading.arm.pose.position - task.start.position)
        assert np.linalg.norm(reading.arm.twist[:3]) < 0.02
        np.testing.assert_allclose(reading.arm.wrench, 0, atol=1e-9)
        cell.command(PoseTarget(reading.arm.pose, reading.tick))  # the policy's: `reset` holds the arm no more
    starts = np.abs(starts)
    assert (starts.max(axis=0) < task.start_noise[:3] + 0.004).all()
    assert starts.max() > 0.02, "the starts vary"


def test_the_inserted_peg_is_lifted_out_straight():
    cell = TwinCell(PEG, randomise=False)
    reset = ScriptedReset(PEG)
    reading = reset(cell, 0)
    for height in (0.005, -0.022):
        goal = Pose(PEG.anchor.position + np.array([0, 0, 0.025 + height]), PEG.anchor.quaternion)
        for _ in range(30):
            cell.command(PoseTarget(goal, reading.tick))
            reading = cell.wait()
    assert reading.sim["peg_depth"][0] > 0.015
    watched = []
    advance = cell.wait

    def watch():
        watched.append(advance())
        return watched[-1]

    cell.wait = watch
    reset(cell, 1)
    inside = [r for r in watched if r.sim["peg_depth"][0] > 0.002]
    assert inside
    assert max(np.abs(r.arm.pose.position[:2] - inside[0].arm.pose.position[:2]).max() for r in inside) < 0.003
    assert max(float(r.sim["peak_force"][0]) for r in watched) < 45.0


def test_a_tool_that_was_pushed_out_of_the_box_comes_back():
    tight = replace(PEG.workspace, low=PEG.workspace.low + np.array([0.06, 0.0, 0.0]))
    task = replace(PEG, workspace=tight, start_noise=np.array([0.005, 0.03, 0.03, 0.1]))
    cell = TwinCell(task)
    cell.data.qpos[0] += 0.25  # the whole arm turned, as by a person's push
    cell.set_state_vector(cell.state_vector())
    outside = cell.read().arm.pose.position
    assert (outside < tight.low).any() or (outside > tight.high).any()
    reading = ScriptedReset(task)(cell, 0)
    assert (reading.arm.pose.position > tight.low - 0.003).all()


def test_an_arm_that_cannot_get_there_is_reported():
    with pytest.raises(CellTimeout, match=r"reset of peg_insert is still .* mm from its goal after 3 ticks"):
        ScriptedReset(PEG, patience=3)(TwinCell(PEG), 0)


def test_a_latched_arm_is_not_reset():
    cell = TwinCell(PEG)
    cell.stop("somebody pressed stop")
    for reset in (ScriptedReset(PEG), FreshReset(ScriptedReset(PEG))):
        with pytest.raises(ArmLatched, match="recover"):
            reset(cell, 0)


def test_the_start_tells_nothing_of_what_the_scene_hides():
    cell, reset, starts, hidden = TwinCell(PEG), ScriptedReset(PEG), [], []
    for seed in range(300):
        start = reset.start(seed)
        turn = spatial.log(spatial.multiply(start.quaternion, spatial.conjugate(PEG.start.quaternion)))
        starts.append([*start.position, turn[2]])
        cell.reset_scene(seed)
        hidden.append([*cell.data.mocap_pos[0, :2], *cell.data.mocap_quat[0, 1:3]])
    between = np.corrcoef(np.transpose(starts), np.transpose(hidden))[:4, 4:]
    assert np.abs(between).max() < 0.2


def test_the_turn_is_drawn_too():
    cell = TwinCell(PEG)
    turns = []
    for seed in range(6):
        pose = ScriptedReset(PEG)(cell, seed).arm.pose
        turns.append(
            np.degrees(spatial.log(spatial.multiply(spatial.conjugate(PEG.start.quaternion), pose.quaternion))[2])
        )
    assert 8 < np.abs(turns).max() < 31


def test_a_start_outside_the_box_is_refused_with_the_mend():
    high = replace(PEG, start_noise=np.array([0.05, 0.05, 0.2, 0.5]))
    sentence = r"starts of peg_insert lie up to \d+ mm outside its workspace along z: move `start`, lower `start_noise`"
    with pytest.raises(SettingsError, match=sentence):
        ScriptedReset(high)
