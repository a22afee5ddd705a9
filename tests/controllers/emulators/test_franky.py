"""franky, as it comes from PyPI: its loops run in C++ and send what its own trajectory generator makes."""

import json
import subprocess
import sys

import numpy as np
import pytest


@pytest.fixture
def run(emulator, control):
    """What a scenario of the client's program comes to."""

    def run(scenario):
        command = [sys.executable, "-m", "tests.controllers.emulators.franky_client", scenario, emulator.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.mark.parametrize("scenario", ["joint", "cartesian"])
def test_motions_arrive(run, scenario):
    assert np.abs(run(scenario)["missed"]).max() < 2e-3


def test_velocity_motions_move_and_end_at_rest(run):
    seen = run("velocity")
    assert seen["rose"] > 0.005
    assert seen["turned"] > 0.02
    assert seen["speed"] < 0.01


def test_its_impedance_runs_in_torque_control_until_it_is_stopped(run):
    seen = run("impedance")
    assert np.abs(seen["missed"]).max() < 0.01
    assert "preempted" in seen["ended"]


def test_a_collision_ends_its_motion_until_it_recovers(run):
    seen = run("collision")
    assert "cartesian_reflex" in seen["ended"]
    assert seen["had"]
    assert seen["recovered"]
    assert not seen["has"]


def test_its_gripper_moves_in_the_background(run):
    assert run("hand") == {"ended": True, "moved": False, "held": True, "grasped": True}
