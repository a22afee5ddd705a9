import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from controllers import spatial
from controllers.arms.franka import cell as cell_module
from controllers.arms.franka.process import Child
from controllers.exceptions import ArmLatched, CommandRejected, ControllersError, SettingsError
from controllers.interface import Pose, PoseTarget
from controllers.models import arm_model
from controllers.twin import TwinCell
from tasks.peg_insert.task import RIM, SPEC, TIP
from tests.controllers.arms.franka.conftest import bench, drive, target


@pytest.fixture
def cell(lockstep):
    """A cell that the policy holds; whatever a test did to it and its robot is mended afterwards."""
    made = lockstep.cell()
    made.acquire("policy")
    yield made
    lockstep.mend()


def ticking(cell, ticks=3):
    for _ in range(ticks):
        reading = cell.wait()
    return reading


# Moving


def test_it_comes_up_holding_with_the_tool_where_the_twin_has_it(lockstep, cell):
    reading, twin = cell.read(), TwinCell(SPEC)
    pose = twin.read().arm.pose  # of the same joint angles: the task's home
    assert np.abs(reading.arm.q - twin.read().arm.q).max() < 1e-6
    assert np.abs(reading.arm.pose.position - pose.position).max() < 1e-6
    turn = spatial.log(spatial.multiply(reading.arm.pose.quaternion, spatial.conjugate(pose.quaternion)))
    assert np.abs(turn).max() < 1e-6
    assert np.abs(reading.arm.wrench).max() < 0.1
    assert lockstep.control.state()["mode"] == "move"


def test_it_moves_where_it_is_told_and_time_passes_in_wait_alone(lockstep, cell):
    before = drive(cell)
    began = lockstep.control.state()["time"]
    reading = drive(cell, (0.02, -0.01, -0.02), ticks=10)
    assert np.abs(reading.arm.pose.position - SPEC.start.position - [0.02, -0.01, -0.02]).max() < 1e-3
    assert reading.safety == "track"
    assert reading.tick - before.tick == 10
    assert reading.stamp - before.stamp == pytest.approx(1.0)
    assert lockstep.control.state()["time"] - began == pytest.approx(1.0)
    time.sleep(0.05)
    assert lockstep.control.state()["time"] - began == pytest.approx(1.0)


def test_twist_is_that_of_the_tool(cell):
    drive(cell, ticks=5)
    cell.command(target((0.0, 0.0, -0.03), cell.read().tick))
    first = cell.wait()
    assert first.arm.twist[2] < -0.02
    assert np.abs(first.arm.twist[:2]).max() < 0.01


def test_pressing_is_felt_as_the_surroundings_force_on_the_tool(cell):
    beside = RIM - SPEC.start.position + [0.012, 0.0, TIP + 0.01]
    drive(cell, beside, ticks=10)
    cell.tare()
    reading = drive(cell, beside - [0.0, 0.0, 0.016], ticks=10)
    assert 3.0 < reading.arm.wrench[2] < 20.0
    drive(cell, beside, ticks=5)


def test_an_emulator_tells_its_scene_and_draws_it_by_seed(cell):
    cell.reset_scene(1)
    first = cell.wait().sim["socket_position"]
    cell.reset_scene(2)
    assert np.abs(cell.wait().sim["socket_position"] - first).max() > 1e-5
    cell.reset_scene(1)
    assert (cell.wait().sim["socket_position"] == first).all()
    assert cell.abilities.scene
    assert cell.abilities.lockstep


def test_a_target_that_stays_away_freezes_and_ramps_without_latching(cell):
    drive(cell, (0.0, 0.0, -0.01), ticks=1)
    assert [cell.wait().safety for _ in range(25)][2::11] == ["frozen", "ramp", "hold"]


def motion(cell, ticks=40):
    """Down beside the hole, onto the socket, and up again."""
    readings = []
    for i in range(ticks):
        depth = max(0.03 - 0.003 * i, -0.005) if i < 25 else 0.02
        turn = spatial.exp(np.array([0.0, 0.0, 0.2 * np.sin(0.2 * i)]))
        place = RIM + np.array([0.012, 0.01 * np.sin(0.3 * i), TIP + depth])
        pose = Pose(place, spatial.multiply(turn, SPEC.start.quaternion))
        cell.command(PoseTarget(pose, cell.read().tick))
        readings.append(cell.wait().arm)
    return readings


def test_the_same_targets_give_the_twins_motion_and_the_same_one_each_time():
    runs = []
    for _ in range(2):
        with bench(task="peg_insert", clock="lockstep") as fresh:
            made = fresh.cell()
            made.acquire("policy")
            runs.append(motion(made))
    twin = TwinCell(SPEC)
    twin.acquire("policy")
    expected = motion(twin)
    assert max(arm.wrench[2] for arm in expected) > 5.0
    for ours, again, theirs in zip(*runs, expected, strict=True):
        assert ours.pose.position.tobytes() == again.pose.position.tobytes()
        assert ours.wrench.tobytes() == again.wrench.tobytes()
        assert np.linalg.norm(ours.pose.position - theirs.pose.position) < 0.5e-3
        turn = spatial.log(spatial.multiply(ours.pose.quaternion, spatial.conjugate(theirs.pose.quaternion)))
        assert np.linalg.norm(turn) < np.radians(0.2)


# Latching and recovery


def test_stop_latches_softly_until_a_person_recovers(lockstep, cell):
    cell.stop("a person said so")
    reading = ticking(cell)
    assert (reading.safety, reading.reason) == ("latched", "a person said so")
    assert lockstep.control.state()["mode"] == "move"  # it still holds, by the law
    with pytest.raises(ArmLatched, match="a person said so"):
        cell.command(target(sequence=10**6))
    cell.recover()
    assert drive(cell).safety == "track"


@pytest.mark.parametrize("name", ["cartesian_reflex", "joint_velocity_violation", "power_limit_violation"])
def test_a_reflex_of_the_robot_latches_and_only_a_person_clears_it(lockstep, cell, name):
    driver = cell.driver_pid
    lockstep.control.fault("reflex", name=name)
    reading = ticking(cell)
    assert reading.safety == "latched"
    assert name.replace("_", " ") in reading.reason
    assert ticking(cell, 5).safety == "latched"
    assert lockstep.control.state()["mode"] == "reflex"
    with pytest.raises(ArmLatched, match="reflex of the robot"):
        cell.command(target(sequence=10**6))
    assert cell.health().level == "error"
    cell.recover()
    assert drive(cell).safety == "track"
    assert cell.driver_pid == driver


def test_a_collision_beyond_the_thresholds_is_the_robots_reflex(lockstep):
    timid = lockstep.cell(force_thresholds=(4.0,) * 6)
    timid.acquire("policy")
    beside = RIM - SPEC.start.position + [0.012, 0.0, TIP + 0.01]
    drive(timid, beside, ticks=10)
    with pytest.raises(ArmLatched, match="cartesian reflex"):
        drive(timid, beside - [0.0, 0.0, 0.016], ticks=20)
    timid.recover()
    assert timid.read().safety == "hold"
    lockstep.mend()


def test_the_user_stop_must_be_released_before_recovery(lockstep, cell):
    lockstep.control.fault("stop")
    reading = ticking(cell)
    assert (reading.safety, reading.reason) == ("latched", "the robot's user stop was pressed")
    with pytest.raises(ControllersError, match="user stop is pressed: release it"):
        cell.recover()
    assert ticking(cell).safety == "latched"
    lockstep.control.fault("release")
    assert ticking(cell).safety == "latched"
    cell.recover()
    assert drive(cell).safety == "track"


def test_a_lost_connection_latches_and_recovery_connects_again(lockstep, cell):
    lockstep.control.fault("disconnect")
    reading = ticking(cell)
    assert reading.safety == "latched"
    assert "connection to the robot at" in reading.reason
    cell.recover()
    assert drive(cell).safety == "track"
    assert os.sched_getscheduler(cell.driver_pid) == os.SCHED_OTHER, "libfranka's own priority was kept"


def test_lost_commands_are_the_robots_reflex(lockstep, cell):
    drive(cell, ticks=1)
    lockstep.control.fault("drop", share=1.0)
    assert "communication constraints violation" in ticking(cell).reason
    lockstep.control.fault("clear")
    cell.recover()
    assert drive(cell).safety == "track"


def test_a_killed_driver_leaves_the_arm_stopped_and_recovery_starts_another(lockstep, cell):
    drive(cell, (0.0, 0.0, -0.01))
    os.kill(cell.driver_pid, signal.SIGKILL)
    reading = ticking(cell)
    assert (reading.safety, reading.reason) == ("latched", "the driver process was ended by SIGKILL")
    assert lockstep.control.state()["mode"] == "reflex"
    with pytest.raises(ArmLatched, match="SIGKILL"):
        cell.command(target(sequence=10**6))
    with pytest.raises(ArmLatched, match="SIGKILL"):
        cell.acquire("teleop")
    cell.stop("no error of its own")
    assert cell.health().level == "error"
    cell.recover()
    assert drive(cell).safety == "track"  # the policy still holds the arm
    assert cell.health().level == "ok"


def test_a_driver_that_hangs_is_ended_and_the_arm_latched(lockstep, cell, monkeypatch):
    monkeypatch.setattr(cell_module, "ANSWER", 0.3)
    os.kill(cell.driver_pid, signal.SIGSTOP)
    with pytest.raises(ArmLatched, match="hung and was ended"):
        cell.acquire("teleop")
    assert cell.read().safety == "latched"
    monkeypatch.setattr(cell_module, "ANSWER", 10.0)
    cell.recover()
    assert drive(cell).safety == "track"


def test_a_new_driver_does_not_take_up_what_the_last_one_left_unanswered(lockstep, cell, monkeypatch):
    os.kill(cell.driver_pid, signal.SIGKILL)
    ticking(cell)
    seen = []
    monkeypatch.setattr(cell_module, "Child", lambda *_: seen.append(cell._memory.request["number"][0]) or Child(*_))
    cell.recover()
    assert seen == [0]
    assert drive(cell).safety == "track"


def test_a_closed_cell_starts_nothing_again(lockstep, cell):
    driver = cell.driver_pid
    cell.close()
    with pytest.raises(ControllersError, match="closed: open it anew"):
        cell.recover()
    assert cell.driver_pid == driver
    assert not psutil.pid_exists(driver)
    assert cell.read().safety == "latched"
    with pytest.raises(OSError):
        os.fstat(cell._memory.fd)


def test_a_driver_that_died_while_it_wrote_is_told_as_latched(lockstep, cell):
    drive(cell, ticks=1)
    os.kill(cell.driver_pid, signal.SIGKILL)
    cell._memory.state._lock[0] += 1
    reading = cell.read()
    assert (reading.safety, reading.reason) == ("latched", "the driver process was ended by SIGKILL")
    cell.recover()
    assert drive(cell).safety == "track"


PARENT = """
import sys, time
from controllers.arms.franka.cell import FrankaCell
from controllers.arms.franka.config import FrankaConfig
from tasks.peg_insert.task import SPEC
cell = FrankaCell(FrankaConfig(sys.argv[1], gripper="none"), SPEC, clock="lockstep")
print(cell.driver_pid, flush=True)
time.sleep(100)
"""


def test_a_killed_cell_takes_its_driver_along_and_the_motion_ends_cleanly(lockstep):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, lockstep.address], stdout=subprocess.PIPE, text=True)
    driver = psutil.Process(int(parent.stdout.readline()))
    assert lockstep.control.state()["mode"] == "move"
    parent.kill()
    parent.communicate()
    driver.wait(20)
    state = lockstep.control.state()
    assert (state["mode"], state["errors"]) == ("idle", [])
    lockstep.mend()


def test_closing_a_moving_arm_brings_it_to_rest_and_ends_the_motion(lockstep, cell):
    cell.command(target((0.05, 0.0, 0.0), 1))
    cell.wait()
    driver = psutil.Process(cell.driver_pid)
    assert np.linalg.norm(cell.read().arm.twist[:3]) > 0.02
    cell.close()
    assert not driver.is_running()
    state = lockstep.control.state()
    assert (state["mode"], state["errors"]) == ("idle", [])


# Mistakes


def test_malformed_targets_are_refused_and_change_nothing(cell):
    before = drive(cell)
    good = target(sequence=10**6)
    bad = {
        "position": dataclasses.replace(good, pose=Pose(np.array([np.nan, 0.0, 0.0]), good.pose.quaternion)),
        "Quaternion": dataclasses.replace(good, pose=Pose(good.pose.position, np.array([1.0, 1.0, 0.0, 0.0]))),
        "shape": dataclasses.replace(good, pose=Pose(good.pose.position[:2], good.pose.quaternion)),
        "no array": dataclasses.replace(good, twist=["fast"] * 6),
        "frame": dataclasses.replace(good, frame="tool"),
        "Stiffness": dataclasses.replace(good, stiffness=np.full(6, 1e6)),
        "sequence": dataclasses.replace(good, sequence=-1),
        "64 bits": dataclasses.replace(good, sequence=2**80),
        "posture": dataclasses.replace(good, posture=np.zeros(3)),
    }
    for said, wrong in bad.items():
        with pytest.raises(CommandRejected, match=said):
            cell.command(wrong)
    with pytest.raises(CommandRejected, match="width is nan"):
        cell.command(good, float("nan"))
    with pytest.raises(CommandRejected, match="Owner 'nobody' is unknown"):
        cell.acquire("nobody")
    after = cell.wait()
    assert np.abs(after.arm.pose.position - before.arm.pose.position).max() < 1e-4


def test_an_arm_in_a_fault_comes_up_latched_with_the_mend(lockstep):
    lockstep.control.fault("reflex", name="joint_reflex")
    made = lockstep.cell()
    reading = made.read()
    assert reading.safety == "latched"
    assert "in a fault (joint reflex): clear the cause, then recover" in reading.reason
    made.acquire("policy")
    with pytest.raises(ArmLatched, match="joint reflex"):
        made.command(target())
    made.recover()
    assert drive(made).safety == "track"
    lockstep.mend()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"address": "127.0.0.254"}, "refuses port 1337: switch FCI on"),
        ({"arm": "panda"}, "is no panda: .* set arm to fr3"),
        ({"library": "franky"}, "franky's loop does not wait"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(lockstep, options, said):
    with pytest.raises(ControllersError, match=said) as error:
        lockstep.cell(**options)
    assert "\n" not in str(error.value)
    assert lockstep.control.state()["mode"] == "idle"


def test_limits_and_gains_beyond_the_makers_are_refused_before_anything_connects(lockstep):
    maker = arm_model("fr3").limits
    with pytest.raises(SettingsError, match="velocity is .*, but the fr3 allows"):
        lockstep.cell(limits=dataclasses.replace(maker, velocity=2.0 * maker.velocity))
    wild = dataclasses.replace(SPEC, gains=dataclasses.replace(SPEC.gains, stiffness=np.full(6, 1e5)))
    with pytest.raises(ControllersError, match="gains are refused"):
        lockstep.cell(wild)


def test_lower_limits_are_applied(lockstep):
    slow = arm_model("fr3").limits.lowered(speed=(0.05, 0.5))
    made = lockstep.cell(limits=slow)
    made.acquire("policy")
    made.command(target((0.05, 0.0, 0.0), 1))
    ahead = made.wait().arm.reference.position[0] - SPEC.start.position[0]
    assert 0.002 < ahead <= 0.1 * 0.8 * 0.05 + 1e-4
    lockstep.mend()
