import pytest

from controllers.emulators.control import Control
from controllers.emulators.fci import Emulator
from tests.controllers.emulators.clients import connect


@pytest.fixture(scope="module")
def emulator():
    with Emulator(task="peg_insert", clock="lockstep") as running:
        yield running


@pytest.fixture
def control(emulator):
    with Control(emulator.address) as control:
        control.fault("disconnect")  # a failed test may have left its client behind
        control.fault("release")
        control.fault("clear")
        control.teleport_home()
        control.reset_scene(0)
        yield control


@pytest.fixture
def robot(emulator, control):
    robot = connect(emulator.address, control)
    yield robot
    robot.stop()
