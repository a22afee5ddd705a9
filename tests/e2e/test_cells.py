"""Whole graphs in a cell that a file describes."""

import dataclasses

import numpy as np

from controllers.cells import CellConfig, load_cell
from controllers.emulators.fci import Emulator
from controllers.places import Frame, Place
from robot_rl.data.journal import read_journal
from robot_rl.metrics import MetricsWriter
from robot_rl.supervisor import train_graph


def journal_of(run):
    with MetricsWriter(run.metrics) as metrics:
        train_graph(run.config(), run, metrics)
    return list(read_journal(run.journal))


def test_a_run_over_the_graph_with_the_emulated_arm(make_run):
    with Emulator(task="reach", clock="lockstep") as robot:
        cell = load_cell("emulated_fr3")
        franka = dataclasses.replace(cell.franka, address=robot.address, priority=0)
        cell = dataclasses.replace(cell, franka=franka, clock="lockstep")
        run = make_run("emulated", steps=45, cell=cell)
        assert run.config().cell.franka.address == robot.address
        steps = journal_of(run)
    assert len(steps) == 45
    stamps = np.array([step.stamp for step in steps])
    assert (np.diff(stamps) > 0).all()


def test_a_run_over_the_graph_at_a_taught_place_with_the_cell_s_cameras(make_run, tmp_path):
    """The policy sees the task from its taught anchor, and the pictures in the cell's sizes."""
    place = Place(Frame((0.48, 0.08, 0.22), (1.0, 0.0, 0.0, 0.0)))
    shipped = load_cell("twin_fr3")
    cameras = {name: dataclasses.replace(camera, size=(64, 48)) for name, camera in shipped.cameras.items()}
    cell = dataclasses.replace(shipped, cameras=cameras, places={"reach": place})
    assert isinstance(cell, CellConfig)
    run = make_run("taught", steps=12, cell=cell, obs="pixels", demos="0", learner={"start": 40})
    steps = journal_of(run)
    assert steps[0].observation["front"].shape == (48, 64, 3)
    # scaled by 0.05 m: at a start within 0.1 m of the taught goal, and not of the task's own
    assert np.abs(steps[0].observation["tool_position"]).max() < 2.1
