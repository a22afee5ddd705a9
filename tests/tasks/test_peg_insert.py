import numpy as np
import pytest

import tasks
from controllers.interface import Pose, PoseTarget
from controllers.twin import TwinCell
from robot_rl.resets.scripted import ScriptedReset
from tasks.domain import NOMINAL, Drawn
from tasks.peg_insert.task import CLEARANCE, DEPTH, DOWN, RIM, TIP, verify


def offsets(name: str) -> np.ndarray:
    cell = TwinCell(tasks.load(name))
    found = []
    for seed in range(200):
        cell.reset_scene(seed)
        site = cell.data.site("socket_rim")
        tilt = np.degrees(np.arccos(np.clip(site.xmat[8], -1, 1)))
        found.append([*(np.abs(site.xpos[:2] - RIM[:2]) * 1e3), tilt])
    return np.array(found).max(axis=0)


def test_the_socket_hides_within_a_millimetre_and_a_degree():
    x, y, tilt = offsets("peg_insert")
    assert 0.9 < x <= 1.0
    assert 0.9 < y <= 1.0
    assert 0.8 < tilt <= 1.0


def test_the_hard_socket_hides_within_two():
    x, y, tilt = offsets("peg_insert_hard")
    assert 1.8 < x <= 2.0
    assert 1.8 < y <= 2.0
    assert 1.6 < tilt <= 2.0


def test_the_hard_peg_has_a_flat_tip_of_the_same_width():
    for name, radius in (("peg_insert", 0.001), ("peg_insert_hard", 0.0003)):
        model = TwinCell(tasks.load(name)).model
        edges = [model.geom(i) for i in range(model.ngeom) if model.geom(i).name.startswith("peg_edge")]
        assert len(edges) == 8
        for edge in edges:
            assert edge.size[0] == pytest.approx(radius)
            assert np.linalg.norm(edge.pos[:2]) + radius == pytest.approx(0.008)
            assert edge.pos[2] + edge.size[1] + radius == pytest.approx(TIP)


def push(name: str, *goals: np.ndarray, drawn: Drawn = NOMINAL) -> TwinCell:
    """Push the tool to above the first goal, then to each for 2.5 s, at full clip where it cannot get there."""
    cell = TwinCell(tasks.load(name), randomise=False)
    cell.vary(drawn)
    reading = ScriptedReset(cell.task)(cell, 0)
    above = np.array([goals[0][0], goals[0][1], RIM[2] + TIP + 0.005])
    for aim in (above, *goals):
        for _ in range(25):
            cell.command(PoseTarget(Pose(aim, DOWN), reading.tick))
            reading = cell.wait()
    return cell


def deepest(cell: TwinCell) -> float:
    """The deepest contact of the peg, m."""
    contacts = cell.data.contact
    touching = [c.dist for c in contacts if "peg_edge" in cell.model.geom(c.geom1).name + cell.model.geom(c.geom2).name]
    return float(-min(touching))


@pytest.mark.parametrize("name", ["peg_insert", "peg_insert_hard"])
def test_at_full_clip_the_parts_penetrate_less_than_a_tenth_of_the_clearance(name):
    on_the_plate, on_the_rim, at_the_bottom = (0.02, 0, 0), (0.004, 0, 0), (0, 0, TIP - DEPTH - 0.01)
    for place in (on_the_plate, on_the_rim, at_the_bottom):
        cell = push(name, RIM + np.array(place))
        assert cell.read().arm.wrench[2] > 5.0, "the peg does not press"
        assert 0 < deepest(cell) < CLEARANCE / 10


@pytest.mark.parametrize("name", ["peg_insert", "peg_insert_hard"])
@pytest.mark.parametrize("angle", [0.0, 0.2, 0.7, 2.0])
def test_nor_when_pushed_sideways_in_the_hole(name, angle):
    half_way = RIM + np.array([0, 0, TIP - 0.6 * DEPTH])
    sideways = half_way + 0.02 * np.array([np.cos(angle), np.sin(angle), 0])
    cell = push(name, half_way, sideways)
    assert np.linalg.norm(cell.read().arm.wrench[:2]) > 5.0, "the peg does not press"
    assert 0 < deepest(cell) < CLEARANCE / 10


def test_nor_where_the_domain_draws_the_softest_contact():
    half_way, aside = RIM + np.array([0, 0, TIP - 0.6 * DEPTH]), 0.02 * np.array([np.cos(0.7), np.sin(0.7), 0])
    for name in ("peg_insert", "peg_insert_hard"):
        softest = Drawn(contact=tasks.load(name).domain.contact[1])
        assert 0 < deepest(push(name, half_way, half_way + aside, drawn=softest)) < CLEARANCE / 10


def test_pressing_beside_the_hole_is_no_success():
    cell = push("peg_insert", RIM + np.array([0.02, 0, 0]))
    assert cell.task.reward(cell.read()) == (0.0, False)


@pytest.mark.parametrize("aside", [(0.065, 0.0), (-0.065, -0.065), (0.0, 0.065)])
def test_going_down_beside_the_socket_is_no_success(aside):
    cell = push("peg_insert", RIM + np.array([*aside, TIP - DEPTH]))
    reading = cell.read()
    assert TIP - (reading.arm.pose.position[2] - RIM[2]) > 0.8 * DEPTH, "the tool is not beside the socket"
    assert cell.task.reward(reading) == (0.0, False)
    assert not cell.task.verify(reading)


def test_the_measured_success_is_a_true_one(episodes):
    for seed in range(10):
        run = episodes("peg_insert", seed)
        for reading in run.readings[:-1]:
            assert reading.sim["peg_depth"][0] < 0.85 * DEPTH
        if run.success:
            assert verify(run.readings[-1])
