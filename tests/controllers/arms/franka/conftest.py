"""Emulators that whole modules share: one start each. A test leaves the arm well and without faults."""

import contextlib

import numpy as np
import pytest

from controllers.arms.franka.cell import FrankaCell
from controllers.arms.franka.config import FrankaConfig
from controllers.emulators.control import Control
from controllers.emulators.fci import Emulator
from controllers.interface import Pose, PoseTarget
from tasks.peg_insert.task import SPEC


class Bench:
    """An emulator, its service port, and cells on it that are closed with it."""

    def __init__(self, emulator):
        self.emulator, self.control = emulator, Control(emulator.address)
        self.address = emulator.address
        self._cells = []

    def config(self, **options):
        load = self.control.about["payload"]
        known = {
            "address": self.address,
            "gripper": "none",
            "payload_mass": load["mass"],
            "payload_centre": tuple(load["centre"]),
            "payload_inertia": tuple(np.diag(np.reshape(load["inertia"], (3, 3)))),
        }
        return FrankaConfig(**known | options)

    def cell(self, task=SPEC, *, clock="lockstep", limits=None, **options):
        cell = FrankaCell(self.config(**options), task, clock=clock, limits=limits)
        self._cells.append(cell)
        return cell

    def mend(self):
        """No fault any more, and nobody connected."""
        self.control.fault("clear")
        self.control.fault("release")
        for cell in self._cells:
            cell.close()
        self._cells.clear()
        self.control.teleport_home()

    def close(self):
        self.mend()
        self.control.close()


@contextlib.contextmanager
def bench(**options):
    with Emulator(**options) as emulator:
        made = Bench(emulator)
        yield made
        made.close()


@pytest.fixture(scope="module")
def lockstep():
    with bench(task="peg_insert", clock="lockstep") as made:
        yield made


def target(offset=(0.0, 0.0, 0.0), sequence=0, task=SPEC, **options):
    """A target `offset` m from the task's start."""
    pose = Pose(task.start.position + np.asarray(offset), task.start.quaternion)
    return PoseTarget(pose, sequence, **options)


def drive(cell, offset=(0.0, 0.0, 0.0), ticks=5, **options):
    """Send the same target for `ticks` ticks; the last reading."""
    for _ in range(ticks):
        cell.command(target(offset, cell.read().tick, **options))
        reading = cell.wait()
    return reading
