import dataclasses

import numpy as np
import pytest

import tasks
from controllers.interface import GripperState, Pose, PoseTarget
from controllers.twin import TwinCell
from robot_rl.envs import make_env
from robot_rl.resets.scripted import ScriptedReset
from tasks.relocate.task import CLEAR, DOWN, INSIDE, LEFT, RIGHT, lies_in

UP = np.array([0.0, 0.0, 1.0])
BOTH = pytest.mark.parametrize(("name", "source", "goal"), [("relocate", LEFT, RIGHT), ("relocate_back", RIGHT, LEFT)])


@pytest.fixture(scope="module")
def cells():
    made = {name: TwinCell(tasks.load(name)) for name in ("relocate", "relocate_back")}
    yield made
    for cell in made.values():
        cell.close()


def dropped(cell: TwinCell, place: np.ndarray, speed: tuple[float, float, float] = (0, 0, 0), seconds: float = 0.0):
    """The object let go at `place` (m in base) with `speed` (m/s); the hand at the start, open; after `seconds`."""
    reading = ScriptedReset(cell.task)(cell, 0)
    joint = cell.data.joint("object_free")
    joint.qpos[:3], joint.qvel[:3] = place, speed
    cell.advance(1)
    for _ in range(round(seconds / cell.period)):
        cell.command(PoseTarget(cell.task.start, reading.tick))
        reading = cell.wait()
    return cell.read()


def judged(cell: TwinCell, reading) -> tuple[bool, bool]:
    return cell.task.reward(reading)[1], cell.task.verify(reading)


@BOTH
def test_it_begins_in_one_bin_and_ends_in_the_other(cells, episodes, name, source, goal):
    cell = cells[name]
    for seed in range(20):
        cell.reset_scene(seed)
        assert lies_in(cell.read(), source)
        assert not lies_in(cell.read(), goal)
    run = episodes(name, 3)
    assert run.success
    assert tasks.load(name).verify(run.readings[-1])
    assert not any(tasks.load(name).reward(reading)[1] for reading in run.readings[:-1])


@BOTH
def test_the_success_of_one_is_a_start_of_the_other(name, source, goal):
    task = tasks.load(name)
    back = tasks.load(task.reverse)
    env = make_env(task, seed=1)
    env.reset(seed=4)
    for doing in (task, back, task):
        expert, success = doing.expert(doing), False
        expert.reset(np.random.default_rng(0))
        for _ in range(task.horizon):
            env.step(expert.act(env.reading))
            success = doing.reward(env.reading)[1]
            if success:
                break
        assert success
        assert doing.verify(env.reading)
    env.close()


@BOTH
def test_an_object_let_go_anywhere_within_reach_slides_into_a_bin(cells, name, source, goal):
    cell = cells[name]
    low, high = cell.task.workspace.low, cell.task.workspace.high
    for x in (low[0], high[0]):
        for y in (low[1], 0.003, high[1]):
            reading = dropped(cell, np.array([x, y, 0.08]), seconds=2.0)
            assert lies_in(reading, LEFT) or lies_in(reading, RIGHT), (x, y, reading.sim["object_position"])


@BOTH
def test_lying_in_the_goal_counts_and_in_the_source_does_not(cells, name, source, goal):
    assert judged(cells[name], dropped(cells[name], goal, seconds=0.5)) == (True, True)
    assert judged(cells[name], dropped(cells[name], source, seconds=0.5)) == (False, False)


@BOTH
def test_an_object_that_flies_over_the_goal_is_none_and_one_on_the_table_neither(cells, name, source, goal):
    cell = cells[name]
    flying = dropped(cell, goal + np.array([0, 0, 0.1]))
    assert judged(cell, flying) == (False, False)
    sliding = dropped(cell, goal, speed=(0.3, 0.0, 0.0))
    assert judged(cell, sliding) == (False, False)
    beside = goal + np.array([0.14, 0.0, 0.0])
    assert judged(cell, dropped(cell, beside, seconds=0.5)) == (False, False)


@BOTH
def test_holding_it_over_or_in_the_goal_is_no_success(cells, name, source, goal):
    """The hand closes around it in the goal, holds it there, and lifts it."""
    cell = cells[name]
    reading = dropped(cell, goal, seconds=0.2)
    for height, width in ((0.1, 0.08), (0.01, 0.08), (0.01, 0.0), (0.01, 0.0), (0.12, 0.0)):
        for _ in range(15):
            cell.command(PoseTarget(Pose(goal + height * UP, DOWN), reading.tick), width)
            reading = cell.wait()
        if height < 0.05 or width == 0.0:
            assert cell.task.reward(reading) == (0.0, False)
    assert reading.gripper.grasped
    assert reading.sim["object_position"][2] > 0.1
    assert judged(cell, reading) == (False, False)


@BOTH
def test_the_reward_asks_for_an_open_hand_above_the_walls(cells, name, source, goal):
    cell = cells[name]
    good = dropped(cell, goal, seconds=0.5)
    closed = dataclasses.replace(good, gripper=GripperState(0.04, False))
    assert cell.task.reward(closed) == (0.0, False)
    low = dataclasses.replace(good.arm.pose, position=np.append(goal[:2], CLEAR - 0.01))
    low = dataclasses.replace(good, arm=dataclasses.replace(good.arm, pose=low))
    assert judged(cell, low) == (False, False)
    aside = {**good.sim, "object_position": goal + np.array([INSIDE + 0.001, 0, 0])}
    assert judged(cell, dataclasses.replace(good, sim=aside)) == (False, False)
