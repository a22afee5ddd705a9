import numpy as np
import pytest

import tasks
from controllers import spatial
from controllers.interface import Pose, PoseTarget
from controllers.twin import TwinCell
from robot_rl.envs.reset import ScriptedReset
from tasks.object_flip.task import PLACE, START

FLAT = np.array([0.02, 0.0, 0.0125])
"""Centre of a block that lies in the pan, from the pan, m."""


@pytest.fixture(scope="module")
def cell():
    cell = TwinCell(tasks.load("object_flip"))
    yield cell
    cell.close()


def judged(cell, reading):
    return cell.task.reward(reading)[1], cell.task.verify(reading)


def put(cell, place, pitch, seconds=0.3, velocity=(0.0, 0.0, 0.0)):
    """The block's centre at `place` from the pan, its top leant away from the hand by `pitch` degrees; then time."""
    held = ScriptedReset(cell.task)(cell, 0).arm.pose
    pan, joint = cell.data.site("pan"), cell.data.joint("block_free")
    turn = spatial.multiply(
        spatial.exp(np.array([0.0, 0.0, np.arctan2(pan.xmat[3], pan.xmat[0])])),
        spatial.exp(np.array([0.0, np.radians(pitch), 0.0])),
    )
    joint.qpos[:3], joint.qpos[3:] = pan.xpos + pan.xmat.reshape(3, 3) @ np.asarray(place), turn[[3, 0, 1, 2]]
    joint.qvel[:3], joint.qvel[3:] = velocity, 0.0
    cell.advance(1)
    for _ in range(round(seconds / cell.period)):
        cell.command(PoseTarget(held, cell.wait().tick))
    return cell.read()


def test_the_block_rides_to_the_start_standing(cell):
    """Also when the pan was leaning and on the move as the episode before ended."""
    places, ahead = [], np.array([0.09, 0.0, 0.02])
    for seed in range(12):
        cell.acquire("policy")
        reading = cell.read()
        for step in range(6):
            lean = spatial.exp(np.array([0.0, 0.1 * (-1) ** seed, 0.0]))
            pose = reading.arm.pose
            goal = Pose(pose.position + ahead * (-1) ** (step // 4), spatial.multiply(pose.quaternion, lean))
            cell.command(PoseTarget(goal, reading.tick))
            reading = cell.wait()
        reading = ScriptedReset(cell.task)(cell, seed)
        places.append(reading.sim["block_in_pan"] - PLACE)
        assert reading.sim["red_axis"][0] < -0.99
        assert judged(cell, reading) == (False, False)
    assert np.abs(places)[:, 2].max() < 0.002
    assert 0.005 < np.abs(places)[:, :2].max() < 0.02, "it was drawn, and slid little"


def test_a_block_that_lies_with_the_red_face_on_top_counts_and_on_its_back_does_not(cell):
    assert judged(cell, put(cell, FLAT, 90)) == (True, True)
    assert judged(cell, put(cell, FLAT, -90)) == (False, False)
    assert judged(cell, put(cell, PLACE, 0)) == (False, False)


def test_a_block_in_flight_and_one_that_leans_on_the_rim_are_no_success(cell):
    flying = put(cell, FLAT * [1, 1, 1.4], 90, seconds=0.0, velocity=(0.2, 0.0, 0.1))
    assert flying.sim["red_axis"][2] > 0.99
    assert judged(cell, flying) == (False, False)
    leaning = put(cell, (0.062, 0.0, 0.025), 75)
    assert 0.9 < leaning.sim["red_axis"][2] < 0.994, "it leans"
    assert leaning.sim["block_speed"][0] < 0.02
    assert judged(cell, leaning) == (False, False)


def test_a_block_that_fell_off_is_no_success_even_with_the_red_face_on_top(cell):
    height = ScriptedReset(cell.task)(cell, 0).arm.pose.position[2] - 0.02
    reading = put(cell, (0.17, 0.0, 0.014 - height), 90)
    assert reading.sim["red_axis"][2] > 0.99
    assert reading.sim["block_speed"][0] < 0.02
    assert judged(cell, reading) == (False, False)


def test_moving_gently_or_tilting_as_far_as_the_workspace_lets_it_tips_nothing(cell):
    """Whatever is asked, the pan does not lean enough: only speed tips the block."""
    reading = ScriptedReset(cell.task)(cell, 3)
    for pitch in (0.5, -0.5):
        leant = spatial.multiply(cell.task.start.quaternion, spatial.exp(np.array([0.0, pitch, 0.0])))
        for step in range(60):
            share = np.sin(np.pi * step / 60)
            goal = START + np.array([0.08 * share, 0.0, 0.0])
            cell.command(PoseTarget(Pose(goal, spatial.multiply(leant, np.array([0.0, 0, 0, 1]))), reading.tick))
            reading = cell.wait()
            assert not judged(cell, reading)[0]
    assert abs(reading.sim["red_axis"][2]) < 0.2, "it stands"


def test_the_flick_stays_inside_of_the_limits(episodes, environments):
    """No joint comes near the vendor's speed, nothing latches, and the tool keeps to what the law may drive it at."""
    env = environments("object_flip")
    run = episodes("object_flip", 0)
    limits = env.cell.arm.mount.arm.limits
    assert run.success
    for reading in run.readings:
        assert reading.safety == "track"
        assert (np.abs(reading.arm.dq) < 0.8 * limits.velocity).all()
        assert np.linalg.norm(reading.arm.twist[:3]) < limits.tool_speed[0] * 1.05
    assert max(np.linalg.norm(reading.arm.twist[:3]) for reading in run.readings) > 0.2, "it is fast"
