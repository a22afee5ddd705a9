import numpy as np
import pytest

import tasks
from controllers.twin import TwinCell
from tasks.domain import Drawn
from tasks.peg_insert.task import CLEARANCE, DEPTH, RIM, TIP
from tests.tasks.pushing import deepest, push

CLEARANCES = {
    "peg_insert": CLEARANCE,
    "peg_insert_hard": CLEARANCE,
    "peg_insert_loose": 0.001,
    "peg_insert_tight": 0.0002,
    "peg_insert_square": 0.0005,
}


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


def shapes(cell: TwinCell, body: str) -> list:
    """What can touch of a body."""
    geoms = [cell.model.geom(i) for i in range(cell.model.ngeom)]
    return [geom for geom in geoms if geom.bodyid[0] == cell.model.body(body).id and geom.contype[0]]


def wall_distance(cell: TwinCell, geom, centre: np.ndarray) -> float:
    """From `centre` to the nearest face of a box whose thickness is along its own x, m."""
    placed = cell.data.geom(geom.id)
    return abs(float((placed.xpos - centre) @ placed.xmat.reshape(3, 3)[:, 0])) - float(geom.size[0])


@pytest.mark.parametrize(("name", "clearance"), CLEARANCES.items())
def test_the_hole_is_wider_than_the_peg_by_the_clearance(name, clearance):
    """Measured in the compiled model, across the flats of both: how far walls and edges are from their axes."""
    cell = TwinCell(tasks.load(name), randomise=False)
    tip, rim = cell.data.site("peg_tip"), cell.data.site("socket_rim")
    walls = [geom for geom in shapes(cell, "socket") if 0.008 < wall_distance(cell, geom, rim.xpos) < 0.009]
    across = 2 * min(wall_distance(cell, geom, rim.xpos) for geom in walls)
    turned = tip.xmat.reshape(3, 3)
    axes = [(cell.data.geom(g.id).xpos - tip.xpos) @ turned for g in shapes(cell, "grasped")]
    radius = shapes(cell, "grasped")[0].size[0]
    reach = np.abs(axes)[:, :2].max() if len(axes) == 4 else max(np.linalg.norm(axis[:2]) for axis in axes)
    assert len(walls) == (4 if len(axes) == 4 else 16)
    assert across - 2 * (reach + radius) == pytest.approx(clearance, abs=1e-9)


@pytest.mark.parametrize("name", CLEARANCES)
def test_at_full_clip_the_parts_penetrate_less_than_a_tenth_of_the_clearance(name):
    on_the_plate, on_the_rim, at_the_bottom = (0.02, 0, 0), (0.004, 0, 0), (0, 0, TIP - DEPTH - 0.01)
    for place in (on_the_plate, on_the_rim, at_the_bottom):
        cell = push(name, RIM + np.array(place))
        assert cell.read().arm.wrench[2] > 5.0, "the peg does not press"
        assert 0 < deepest(cell, "peg_edge") < CLEARANCES[name] / 10


@pytest.mark.parametrize("name", CLEARANCES)
@pytest.mark.parametrize("angle", [0.0, 0.2, 0.7, 2.0])
def test_nor_when_pushed_sideways_in_the_hole(name, angle):
    half_way = RIM + np.array([0, 0, TIP - 0.6 * DEPTH])
    sideways = half_way + 0.02 * np.array([np.cos(angle), np.sin(angle), 0])
    cell = push(name, half_way, sideways)
    assert np.linalg.norm(cell.read().arm.wrench[:2]) > 5.0, "the peg does not press"
    assert 0 < deepest(cell, "peg_edge") < CLEARANCES[name] / 10


def test_nor_where_the_domain_draws_the_softest_contact():
    half_way, aside = RIM + np.array([0, 0, TIP - 0.6 * DEPTH]), 0.02 * np.array([np.cos(0.7), np.sin(0.7), 0])
    for name in ("peg_insert", "peg_insert_hard"):
        softest = Drawn(contact=tasks.load(name).domain.contact[1])
        assert 0 < deepest(push(name, half_way, half_way + aside, drawn=softest), "peg_edge") < CLEARANCE / 10


@pytest.mark.parametrize("name", CLEARANCES)
def test_pressing_beside_the_hole_is_no_success(name):
    cell = push(name, RIM + np.array([0.02, 0, 0]))
    assert cell.task.reward(cell.read()) == (0.0, False)


@pytest.mark.parametrize("name", ["peg_insert", "peg_insert_square"])
@pytest.mark.parametrize("aside", [(0.065, 0.0), (-0.065, -0.065), (0.0, 0.065)])
def test_going_down_beside_the_socket_is_no_success(name, aside):
    cell = push(name, RIM + np.array([*aside, TIP - DEPTH]))
    reading = cell.read()
    assert TIP - (reading.arm.pose.position[2] - RIM[2]) > 0.8 * DEPTH, "the tool is not beside the socket"
    assert cell.task.reward(reading) == (0.0, False)
    assert not cell.task.verify(reading)


@pytest.mark.parametrize(("yaw", "enters"), [(0.0, True), (np.pi / 4, False), (-0.2, False)])
def test_a_square_peg_enters_only_as_the_hole_is_turned(yaw, enters):
    cell = push("peg_insert_square", RIM + np.array([0, 0, TIP - DEPTH]), yaw=yaw)
    reading = cell.read()
    assert cell.task.reward(reading) == (float(enters), enters)
    assert cell.task.verify(reading) is enters
    assert bool(reading.sim["peg_depth"][0] > 0.001) is enters


def test_a_square_socket_is_turned_within_a_degree():
    cell, turns = TwinCell(tasks.load("peg_insert_square")), []
    for seed in range(50):
        cell.reset_scene(seed)
        matrix = cell.data.site("socket_rim").xmat
        turns.append(np.degrees(np.arctan2(matrix[3], matrix[0])))
    assert 0.8 < max(turns) < 1.02
    assert -1.02 < min(turns) < -0.8


@pytest.mark.parametrize(("name", "episodes_each"), [("peg_insert", 10), ("peg_insert_tight", 3)])
def test_the_measured_success_is_a_true_one(episodes, name, episodes_each):
    for seed in range(episodes_each):
        run = episodes(name, seed)
        for reading in run.readings[:-1]:
            assert reading.sim["peg_depth"][0] < 0.85 * DEPTH
        if run.success:
            assert tasks.load(name).verify(run.readings[-1])
