import dataclasses

import numpy as np
import pytest

import tasks
from controllers.twin import TwinCell
from tasks.ram_insert.task import DEPTH, RIM, SEATED, TIP, reward, verify
from tests.tasks.pushing import deepest, push

CLEARANCE, SOFT, ENOUGH = 0.0004, 15.0, 20.0
DEEPER = RIM + np.array([0.0, 0.0, TIP - DEPTH - 0.015])


def test_the_slot_is_wider_than_the_module_by_its_clearance():
    cell = TwinCell(tasks.load("ram_insert"), randomise=False)
    walls = [cell.data.geom(f"wall{i}").xpos[1] for i in (0, 1)]
    across = abs(walls[0] - walls[1]) - 2 * float(cell.model.geom("wall0").size[1])
    assert across - 2 * float(cell.model.geom("edge0").size[0]) == pytest.approx(CLEARANCE, abs=1e-9)


@pytest.mark.parametrize("force", [ENOUGH, None], ids=["just enough", "full"])
def test_a_hard_push_seats_the_module_and_the_latches_close_over_it(force):
    cell = push("ram_insert", DEEPER, force=force)
    reading = cell.read()
    assert reward(reading) == (1.0, True)
    assert verify(reading)
    assert 0 < deepest(cell, "edge") < CLEARANCE / 10
    open_latch = {**reading.sim, "latches": np.array([0.0, 0.001])}
    assert not verify(dataclasses.replace(reading, sim=open_latch)), "one end is not past its latch"


def test_what_presses_more_softly_than_the_latches_is_in_the_slot_but_not_seated():
    cell = push("ram_insert", DEEPER, force=SOFT)
    reading = cell.read()
    assert reading.sim["plug_depth"][0] > 0.5 * DEPTH, "the module is not in the slot"
    assert reading.arm.wrench[2] > 0.9 * SOFT, "the module does not press"
    assert reward(reading) == (0.0, False)
    assert not verify(reading)


@pytest.mark.parametrize(
    ("aside", "yaw"),
    [((0.0, 0.006), 0.0), ((0.0, 0.03), 0.0), ((0.006, 0.0), 0.0), ((0.0, 0.0), 0.15)],
    ids=["on the wall", "beside the socket", "an end on an end", "turned"],
)
def test_a_module_that_is_not_in_its_slot_is_no_success(aside, yaw):
    cell = push("ram_insert", DEEPER + np.array([*aside, 0.0]), yaw=yaw)
    reading = cell.read()
    assert reward(reading) == (0.0, False)
    assert not verify(reading)


def test_nor_one_that_is_drawn_out_again():
    cell = push("ram_insert", DEEPER, DEEPER + np.array([0.0, 0.0, 0.04]))
    assert cell.read().sim["plug_depth"][0] < 0
    assert reward(cell.read()) == (0.0, False)


def test_the_measured_success_is_a_true_one(episodes):
    for seed in range(5):
        run = episodes("ram_insert", seed)
        for reading in run.readings[:-1]:
            assert not verify(reading) or reading.sim["plug_depth"][0] > SEATED - 0.001
        if run.success:
            assert verify(run.readings[-1])
