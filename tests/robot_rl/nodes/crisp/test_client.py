"""crisp_py's client, unmodified from PyPI, drives the arm node over DDS from a process of its own."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
HEADERS = Path(sysconfig.get_paths()["include"]) / "Python.h"
if shutil.which("gcc") is None or shutil.which("g++") is None or not HEADERS.exists():
    pytest.skip("message packages cannot be made without a compiler (tools/genmsg.py)", allow_module_level=True)

HERE = Path(__file__).parent / "client"
CLIENT = Path(sys.prefix) / "clients" / "crisp"


def drive(domain, *arguments):
    """What the client saw."""
    environment = os.environ | {"PYTHONPATH": f"{CLIENT}:{HERE}", "ROS_DOMAIN_ID": str(domain)}
    command = [sys.executable, str(HERE / "drive.py"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_client_homes_moves_pushes_and_switches(crisp_arm, domain):
    node = crisp_arm()
    seen = drive(domain, "", "unasked", "home", "move", "push", "joints", "refused")
    assert seen["moved unasked"] < 1e-4
    assert seen["home error"] < 0.02
    assert seen["active"][0] == "cartesian_impedance_controller" and len(seen["active"]) == 4
    assert seen["moved"] is True
    assert seen["stiffness"] == [600.0] * 3
    x, y, z = seen["pushed by 3 N at 600 N/m"]
    assert 0.003 < y < 0.007 and max(abs(x), abs(z)) < 0.002
    assert 0.007 < seen["at 300 N/m"][1] < 0.013
    assert seen["and back"] is True
    assert seen["joint error"] < 0.02
    assert seen["refused"] == "Failed to load controller gravity_compensation."
    assert node.owner == "external" and node.targets.refused["external does not hold the arm"] > 0


def test_the_client_moves_the_gripper_by_topic_and_by_action(crisp_arm, domain):
    node = crisp_arm()
    # one client after the other: each goes on asking for its last target as long as it lives
    seen = drive(domain, "", "gripper_by_topic") | drive(domain, "", "gripper_by_action")
    assert seen == {"gripper by topic": [True, True], "gripper by action": [True, True]}
    assert node.owner == "external"


def test_of_two_arms_side_by_side_only_the_clients_own_moves(crisp_arm, domain):
    left, right = crisp_arm("reach", "left"), crisp_arm("reach", "right")
    rest = right.cell.read().arm.q
    seen = drive(domain, "left", "home", "move")
    assert seen["home error"] < 0.02 and seen["moved"] is True
    assert (left.owner, right.owner) == ("external", "")
    assert abs(right.cell.read().arm.q - rest).max() < 1e-3
    assert left.host.report[0] == right.host.report[0] == "ok"
