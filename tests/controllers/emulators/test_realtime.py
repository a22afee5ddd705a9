"""The emulator on the wall clock. Limits are wide: other programs share the machine."""

import time

import numpy as np
import pylibfranka
import pytest

from controllers.emulators.control import Control
from controllers.emulators.fci import Emulator
from tests.controllers.emulators.clients import HOME, connect, hold, idle_torque


@pytest.fixture(scope="module")
def emulator():
    with Emulator(task="peg_insert", clock="realtime") as running:
        yield running


def test_states_come_at_the_rate_of_the_wall_clock(emulator, control, robot):
    first, start = robot.read_once().time.to_sec(), time.perf_counter()
    while time.perf_counter() - start < 1.0:
        last = robot.read_once().time.to_sec()
    assert 0.5 < (last - first) / (time.perf_counter() - start) < 1.1
    timing = control.ask("timing")
    assert timing["ticks"] > 500
    assert timing["p50"] < 1000.0


def test_torque_control_holds_the_arm(robot):
    state = hold(robot, 500)
    np.testing.assert_allclose(state.q, HOME, atol=0.01)
    assert state.control_command_success_rate > 0.5


def test_a_client_that_stops_answering_is_a_communication_violation(robot):
    motion = robot.start_torque_control()
    idle_torque(motion, 10)
    time.sleep(0.5)
    with pytest.raises(pylibfranka.ControlException, match="communication_constraints_violation"):
        idle_torque(motion, 10)


def test_a_client_that_dies_leaves_an_error_to_the_next(emulator, control):
    robot = connect(emulator.address, control)
    motion = robot.start_torque_control()
    idle_torque(motion, 5)
    control.fault("disconnect")
    del motion, robot
    limit = time.monotonic() + 10.0
    while control.state()["mode"] != "reflex":
        assert time.monotonic() < limit
        time.sleep(0.01)
    assert control.state()["errors"] == ["communication_constraints_violation"]


def test_it_ends_when_it_is_asked_to():
    with Emulator(task="reach") as emulator, Control(emulator.address) as control:
        control.ask("quit")
        limit = time.monotonic() + 10.0
        while emulator.running:
            assert time.monotonic() < limit
            time.sleep(0.01)
