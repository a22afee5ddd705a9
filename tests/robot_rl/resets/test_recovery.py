import dataclasses

import mujoco
import numpy as np
import pytest

import tasks
from controllers import spatial
from controllers.exceptions import ArmLatched, ResetFailed
from controllers.interface import Pose, PoseTarget
from controllers.twin import TwinCell
from robot_rl.envs import RobotEnv
from robot_rl.resets.configuration import ResetConfig
from robot_rl.resets.recovery import RecoveringReset
from robot_rl.resets.scripted import ScriptedReset

REACH = tasks.load("reach")


def walled(height: float, x: float = 0.455) -> TwinCell:
    """`reach` with a wall across the workspace, between the arm's home and the start."""

    def build(world: mujoco.MjSpec) -> None:
        size, middle = [0.01, 0.5, height / 2], [x, 0.0, height / 2]
        world.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=size, pos=middle)

    task = dataclasses.replace(
        REACH, edit=build, start=Pose(np.array([0.4, 0.0, 0.15]), REACH.start.quaternion), start_noise=np.zeros(4)
    )
    return TwinCell(task)


def bring(cell: TwinCell, place: tuple[float, float, float]) -> None:
    """As a policy that ended its episode there, by way of the top."""
    cell.acquire("policy")
    for goal in ((place[0], place[1], 0.38), place):
        for _ in range(25):
            reading = cell.read()
            cell.command(PoseTarget(Pose(np.array(goal), REACH.start.quaternion), reading.tick))
            cell.wait()


def test_what_goes_well_is_the_scripted_reset_bit_for_bit():
    plain, tree = TwinCell(REACH), TwinCell(REACH)
    scripted, recovering = ScriptedReset(REACH), RecoveringReset(REACH)
    for seed in range(3):
        left, right = scripted(plain, seed), recovering(tree, seed)
        assert left.tick == right.tick
        np.testing.assert_array_equal(left.arm.q, right.arm.q)
        assert recovering.outcome.failures == ()
        assert recovering.outcome.seconds > 0


def test_a_wall_in_the_way_is_gone_around_by_the_top():
    cell = walled(0.18)
    bring(cell, (0.6, 0.0, 0.12))
    assert cell.read().arm.pose.position[0] > 0.55, "the arm is not behind the wall"
    reset = RecoveringReset(cell.task, patience=40)
    reading = reset(cell, 0)
    np.testing.assert_allclose(reading.arm.pose.position, cell.task.start.position, atol=0.004)
    assert len(reset.outcome.failures) == 1
    assert "mm from its goal after 40 ticks" in reset.outcome.failures[0]
    assert not reset.outcome.homed


def test_what_cannot_be_reached_parks_the_arm_at_the_top_and_says_so():
    cell = walled(0.6)
    bring(cell, (0.6, 0.0, 0.12))
    reset = RecoveringReset(cell.task, patience=25)
    with pytest.raises(ResetFailed, match=r"failed 3 times \(from here: .*; from above: .*; from home: .*top of its"):
        reset(cell, 0)
    assert len(reset.outcome.failures) == 3
    parked = cell.read()
    assert parked.arm.pose.position[2] > cell.task.workspace.high[2] - 0.02
    assert parked.safety != "latched"
    assert np.linalg.norm(parked.arm.twist[:3]) < 0.02


def test_a_latch_ends_it_at_once():
    cell = walled(0.6)
    bring(cell, (0.6, 0.0, 0.12))
    advance, ticks = cell.wait, []

    def pressed():
        ticks.append(1)
        if len(ticks) == 5:
            cell.stop("somebody pressed stop")
        return advance()

    cell.wait = pressed
    with pytest.raises(ArmLatched, match="recover"):
        RecoveringReset(cell.task, patience=25)(cell, 0)
    assert len(ticks) == 5, "nothing was tried after the latch"


def test_the_joints_go_home_every_n_episodes():
    cell, config = TwinCell(REACH), ResetConfig(rehome_every=2)
    reset, homed = RecoveringReset(REACH, config), []
    for seed in range(5):
        reset(cell, seed)
        homed.append(reset.outcome.homed)
    assert homed == [True, False, True, False, True]


def test_home_is_a_matter_of_joints_not_of_the_tool_alone():
    cell = TwinCell(REACH)
    cell.data.qpos[:7] += [0.35, 0.1, -0.3, 0.1, 0.3, 0.2, 0.1]  # as after an hour of pushes
    cell.set_state_vector(cell.state_vector())
    assert np.abs(cell.read().arm.q - REACH.home).max() > 0.3
    motion = ScriptedReset(REACH)
    cell.acquire("reset")
    for _ in motion.home(cell):
        pass
    assert np.abs(cell.read().arm.q - REACH.home).max() < 0.1


def test_an_undrawn_scene_stays():
    task = tasks.load("pick_cube")
    cell = TwinCell(task, seed=3)
    before = cell.read().sim["cube_position"]
    RecoveringReset(task, ResetConfig(draw=False))(cell, 9)
    np.testing.assert_allclose(cell.read().sim["cube_position"], before, atol=1e-3)
    RecoveringReset(task)(cell, 9)
    assert np.abs(cell.read().sim["cube_position"] - before).max() > 5e-3


def test_the_environment_tells_how_the_reset_went():
    env = RobotEnv(REACH, TwinCell(REACH), reset=RecoveringReset(REACH, ResetConfig(rehome_every=1)))
    _, info = env.reset(seed=0)
    assert info["reset"].homed and info["reset"].seconds > 0


@pytest.mark.parametrize("drawn", [True, False])
def test_what_is_lost_is_put_back_or_asked_for(drawn, monkeypatch):
    task = tasks.load("relocate")
    cell = TwinCell(task)
    place = int(cell.model.joint("object_free").qposadr[0])
    reset = RecoveringReset(task, ResetConfig(draw=False))
    reset(cell, 0)
    assert not reset.outcome.put_back
    cell.data.qpos[place : place + 3] = 0.55, 0.24, 0.02
    cell.set_state_vector(cell.state_vector())
    assert task.lost(cell.read())
    if drawn:
        assert not task.lost(reset(cell, 1))
        assert reset.outcome.put_back
        reset(cell, 2)
        assert not reset.outcome.put_back
    else:
        monkeypatch.setattr(cell, "reset_scene", lambda seed: None)  # a draw that does not bring it back
        with pytest.raises(ResetFailed, match="what relocate is about is out of reach: put it back"):
            reset(cell, 1)


def test_going_up_lets_go_of_what_a_twist_wedges():
    """Pins twisted in their holes hold as long as the arm holds its turn: pulling alone does not free them."""
    task = tasks.load("pcb_insert")
    env, expert = RobotEnv(task, TwinCell(task)), task.expert(task)
    env.reset(seed=0)
    expert.reset(np.random.default_rng(0))
    while env.reading.sim["plug_depth"][0] < 0.0017:
        env.step(expert.act(env.reading))
    cell, held = env.cell, env.reading.arm.pose
    twisted = Pose(held.position, spatial.multiply(held.quaternion, spatial.exp(np.array([0.0, 0.0, 0.06]))))
    for _ in range(15):
        cell.command(PoseTarget(twisted, cell.read().tick))
        cell.wait()
    assert cell.read().arm.wrench[5] > 0.4, "nothing twists the pins"
    for _ in ScriptedReset(task).up(cell):
        pass
    assert cell.read().arm.pose.position[2] > task.workspace.high[2] - 0.004
