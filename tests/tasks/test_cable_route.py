import dataclasses

import numpy as np
import pytest

import tasks
from controllers.interface import Pose, PoseTarget, Reading
from controllers.twin import TwinCell
from robot_rl.resets.scripted import ScriptedReset
from tasks.cable_route.cable import HELD, LENGTH, LINK, LINKS, RADIUS, crossing
from tasks.cable_route.task import CLIP, DOWN, HALF, RELIEF, SEATED, over_the_clip, reward, verify

TAUT, LOW = np.array([-0.1, 0.0, 0.03]), np.array([-0.125, 0.0, -0.05])


@pytest.fixture
def cell():
    return TwinCell(tasks.load("cable_route"), randomise=False)


def pull(cell: TwinCell, *goals: np.ndarray, seconds: float = 1.0) -> Reading:
    """Reset, then the tool to each goal from the clip, m, at full clip where it cannot get there."""
    reading = ScriptedReset(cell.task)(cell, 0)
    for goal in goals:
        for _ in range(round(seconds / cell.period)):
            cell.command(PoseTarget(Pose(CLIP + goal, DOWN), reading.tick))
            reading = cell.wait()
    return reading


def gap(cell: TwinCell) -> float:
    """From the cable's end to where it is held, m."""
    return float(np.linalg.norm(cell.data.site("relief").xpos - cell.data.site("cable_end").xpos))


def test_a_cable_drawn_down_over_the_mouth_snaps_in_and_counts(cell):
    reading = pull(cell, TAUT, LOW)
    assert reading.sim["cable_in_clip"][2] < -SEATED
    assert reward(reading) == (1.0, True)
    assert verify(reading)
    assert np.linalg.norm(reading.arm.wrench[:3]) > 10.0, "the cable is not taut"
    assert gap(cell) < 0.0005, "it stretches"
    half_way = {**reading.sim, "cable_in_clip": np.array([0.0, 0.0, -0.004])}
    assert not verify(dataclasses.replace(reading, sim=half_way)), "it is between the jaws"


@pytest.mark.parametrize("aside", [-0.022, -0.014, 0.014, 0.022])
@pytest.mark.parametrize("height", [-0.05, -0.02])
def test_a_cable_drawn_down_beside_the_mouth_does_not(cell, aside, height):
    across = np.array([0.0, aside, 0.0])
    reading = pull(cell, TAUT + across, np.array([LOW[0], aside, height]))
    assert reading.sim["cable_in_clip"][2] > 0.0, "the cable is in the slot, or through the bracket"
    assert np.linalg.norm(reading.arm.wrench[:3]) > 10.0, "the cable is not taut"
    assert reward(reading) == (0.0, False)
    assert not verify(reading)


def test_nor_does_a_slack_one_or_one_drawn_taut_in_the_air(cell):
    for goal in (np.array([-0.05, 0.0, -0.03]), np.array([-0.125, 0.0, 0.03])):
        reading = pull(cell, goal)
        assert reward(reading) == (0.0, False)
        assert not verify(reading)


def test_a_reset_draws_it_out_of_the_jaws_at_the_first_attempt(cell):
    assert verify(pull(cell, TAUT, LOW))
    reading = ScriptedReset(cell.task, draw=False)(cell, 1)
    assert reading.sim["cable_in_clip"][2] > RADIUS


def test_the_way_over_the_clip_is_the_shortest_there_is():
    tool, top = CLIP + np.array([-0.09, 0.02, -0.03]), CLIP[2] + RADIUS
    edges = np.linspace(-0.03, 0.03, 301)
    near = np.stack([np.full(301, CLIP[0] - HALF), edges, np.full(301, top)], 1)
    far = near + np.array([2 * HALF, 0.0, 0.0])
    across = np.linalg.norm(near[:, None] - far[None], axis=-1)
    ways = np.linalg.norm(near - tool, axis=1)[:, None] + across + np.linalg.norm(far - RELIEF, axis=1)[None]
    assert over_the_clip(tool) == pytest.approx(ways.min(), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_cable_is_laid_in_a_bow_that_touches_nothing_yet(seed):
    cell = TwinCell(tasks.load("cable_route"))
    ScriptedReset(cell.task)(cell, seed)
    cell.reset_scene(seed)
    assert gap(cell) < 2e-5
    touching = {cell.model.geom(geom).name for c in cell.data.contact if c.dist < 0 for geom in (c.geom1, c.geom2)}
    assert not any(name.startswith("cable") for name in touching)
    points = np.array([cell.data.body(f"cable{i}").xpos for i in range(LINKS)])
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
    assert steps == pytest.approx(LENGTH - HELD - LINK, abs=1e-9)


def test_the_cable_of_a_new_cell_hangs_in_a_bow_from_the_hand_at_home(cell):
    assert gap(cell) < 2e-5
    heights = np.array([cell.data.body(f"cable{i}").xpos[2] for i in range(LINKS)])
    straight = np.linspace(heights[0], RELIEF[2], LINKS + 1)[:-1]
    assert (heights[1:] > straight[1:]).all()


def test_where_the_cable_crosses_a_plane(cell):
    hand, end = cell.data.site("tool").xpos, cell.data.site("cable_end").xpos
    middle = (hand + end) / 2
    assert abs(crossing(cell.data, middle, np.eye(3))[0]) < 1e-12
    beyond = crossing(cell.data, end + np.array([0.1, 0.0, 0.0]), np.eye(3))
    np.testing.assert_allclose(beyond, [-0.1, 0.0, 0.0], atol=1e-9)


def test_the_expert_routes_it_and_the_measured_success_is_a_true_one(episodes):
    runs = [episodes("cable_route", seed) for seed in range(8)]
    assert all(run.success for run in runs)
    for run in runs:
        assert verify(run.readings[-1])


def test_random_actions_never_earn_anything(episodes):
    rng = np.random.default_rng(0)
    for seed in range(3):
        run = episodes("cable_route", seed, lambda env: rng.uniform(-1, 1, env.action_space.shape))
        assert not run.success
