import numpy as np
import pytest

import tasks
from controllers.twin import TwinCell
from tasks.pcb_insert.task import CLEARANCE, DEPTH, PITCH, RIM, TIP, verify
from tests.tasks.pushing import deepest, push

BOTTOM = RIM + np.array([0.0, 0.0, TIP - DEPTH])
DEEPER = BOTTOM - np.array([0.0, 0.0, 0.009])


def test_holes_and_pins_are_as_far_apart_and_as_wide_as_the_description_says():
    cell = TwinCell(tasks.load("pcb_insert"), randomise=False)
    rim, tip = cell.data.site("socket_rim").xpos, cell.data.site("plug_tip").xpos
    pins = [cell.model.geom(i) for i in range(cell.model.ngeom) if cell.model.geom(i).name.startswith("pin")]
    assert len(pins) == 4
    placed = np.abs([cell.data.geom(pin.id).xpos - tip for pin in pins])
    np.testing.assert_allclose(placed[:, 0], 2 * PITCH, atol=1e-2 * CLEARANCE)
    np.testing.assert_allclose(placed[:, 1], PITCH / 2, atol=1e-2 * CLEARANCE)

    def face(name: str, axis: int) -> float:
        geom = cell.model.geom(name)
        return abs(cell.data.geom(geom.id).xpos[axis] - rim[axis]) - float(geom.size[axis])

    between = float(cell.model.geom("ridge_between_foot").size[1])
    ridge = cell.data.geom("ridge_foot0").xpos[0] - rim[0] - cell.model.geom("ridge_foot0").size[0]
    for outer, inner in ((face("end0", 0), -ridge), (face("side0", 1), between)):
        assert outer - inner - 2 * pins[0].size[0] == pytest.approx(CLEARANCE, abs=1e-6)


def test_pins_in_their_holes_are_a_success_and_penetrate_little():
    cell = push("pcb_insert", DEEPER)
    assert cell.task.reward(cell.read()) == (1.0, True)
    assert verify(cell.read())
    assert 0 < deepest(cell, "pin") < CLEARANCE / 10


@pytest.mark.parametrize("angle", [0.0, 0.7, 1.6])
def test_nor_when_pushed_sideways_in_the_holes(angle):
    half_way = BOTTOM + np.array([0, 0, 0.4 * DEPTH])
    cell = push("pcb_insert", BOTTOM, half_way, half_way + 0.02 * np.array([np.cos(angle), np.sin(angle), 0]))
    assert np.linalg.norm(cell.read().arm.wrench[:2]) > 5.0, "the pins do not press"
    assert 0 < deepest(cell, "pin") < CLEARANCE / 10


@pytest.mark.parametrize(
    ("aside", "yaw"),
    [
        ((PITCH, 0.0), 0.0),
        ((0.0, PITCH), 0.0),
        ((-PITCH, PITCH), 0.0),
        ((2 * PITCH, 0.0), 0.0),
        ((-4 * PITCH, 0.0), 0.0),
        ((0.0, 0.0), 0.2),
        ((0.02, 0.0), 0.0),
        ((0.0, -0.008), 0.0),
    ],
    ids=["next hole", "next row", "both", "two on", "four back", "turned", "beside", "on the housing's side"],
)
def test_pins_that_are_not_all_in_their_holes_are_no_success(aside, yaw):
    cell = push("pcb_insert", DEEPER + np.array([*aside, 0.0]), yaw=yaw)
    reading = cell.read()
    assert cell.task.reward(reading) == (0.0, False)
    assert not verify(reading)


def test_the_measured_success_is_a_true_one(episodes):
    for seed in range(5):
        run = episodes("pcb_insert", seed)
        if run.success:
            assert verify(run.readings[-1])
