"""The backend for arms under ROS controllers, against our own arm node in the part of crisp's controller."""

import dataclasses
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

import tasks
from controllers.arms.crisp import CrispCell, CrispConfig, leashed
from controllers.cells import fit, load_cell, open_cell
from controllers.exceptions import ArmLatched, CellTimeout, CommandRejected, ControllersError, SettingsError
from controllers.interface import Pose, PoseTarget
from tests.robot_rl.nodes.conftest import background, context, crisp_arm, domain, host  # noqa: F401  (fixtures)
from tests.robot_rl.nodes.crisp.test_client import drive  # noqa: F401  (skips this file where that is skipped)

HERE = np.zeros(3)


@pytest.fixture
def robot(crisp_arm):  # noqa: F811
    """An arm node that plays the robot: robot(task)."""
    return lambda task="reach": crisp_arm(task, "robot")


@pytest.fixture
def cell(domain):  # noqa: F811
    """Cells on that robot: cell(task, **config)."""
    made = []

    def start(task="reach", **values):
        config = CrispConfig(
            namespace="robot", domain=domain, stale_after=1.0, connect_within=60.0, wrench="external_wrench",
            gripper_command="gripper/gripper_position_controller/commands", gripper_state="gripper/joint_states",
            safety="safety", stop="arm/stop", recover="arm/recover",
        )  # fmt: skip
        spec = dataclasses.replace(tasks.load(task), period=0.05)
        made.append(CrispCell(dataclasses.replace(config, **values), spec))
        return made[-1]

    yield start
    for each in made:
        each.close()


def step(cell, offset=HERE, base=None, **fields):
    pose = base or cell.read().arm.pose
    cell.command(PoseTarget(Pose(pose.position + offset, pose.quaternion), time.time_ns(), **fields))
    return cell.wait()


def go(cell, start, away):
    """The first reading at `start` moved by `away`, or the last of 5 s."""
    end = time.monotonic() + 5.0
    reading = cell.read()
    while np.abs(reading.arm.pose.position - start.position - away).max() > 1e-3 and time.monotonic() < end:
        reading = step(cell, away, start)
    return reading


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_moves_the_arm_and_reads_it(robot, cell):
    node, arm = robot(), None
    arm = cell()
    assert node.owner == "external"  # the robot's controller is switched on
    start = arm.read().arm
    np.testing.assert_allclose(start.q, node.cell.read().arm.q, atol=1e-3)
    assert arm.joint_names == node.cell.joint_names and "fr3_joint1" in arm.robot_description
    arm.acquire("policy")
    away = np.array([0.04, 0.03, -0.02])
    reading = go(arm, start.pose, away)
    np.testing.assert_allclose(reading.arm.pose.position - start.pose.position, away, atol=2e-3)
    assert (reading.safety, reading.gripper) == ("track", None)
    assert arm.health().level == "ok" and {"rate", "jitter", "staleness"} <= set(arm.health().values)
    np.testing.assert_allclose(node._crisp.gains["stiffness"], arm.task.gains.stiffness)


def test_what_is_sent_stays_in_the_box_and_near_the_arm(robot, cell):
    node, arm = robot(), cell()
    arm.acquire("policy")
    high, clip = arm.task.workspace.high, arm.task.gains.clip
    furthest = 0.0
    for _ in range(40):
        reading = step(arm, np.array([0.0, 5.0, 0.0]))
        furthest = max(furthest, np.abs(node.cell.read().arm.reference.position - reading.arm.pose.position).max())
    assert arm.controller.clamps["box"] > 0
    assert reading.arm.pose.position[1] < high[1] + 0.003
    assert furthest < clip[6:9].max() + 0.02  # the arm goes on while a target is on its way


def test_nobody_moves_it_who_does_not_hold_it(robot, cell):
    robot()
    arm = cell()
    with pytest.raises(CommandRejected, match="while 'None' holds the arm"):
        step(arm)
    arm.acquire("teleop")
    reading = step(arm, np.array([0.1, 0.0, 0.0]), enabled=False)
    assert reading.safety == "hold"


def test_a_stop_latches_here_and_there_and_so_does_recover(robot, cell):
    node, arm = robot(), cell()
    arm.acquire("policy")
    step(arm, np.array([0.02, 0.0, 0.0]))
    arm.stop("a person pressed stop")
    assert (arm.read().safety, arm.read().reason) == ("latched", "a person pressed stop")
    until(lambda: node.cell.read().safety == "latched" and arm._now.latched)
    time.sleep(0.1)  # several periods: what the robot tells of its latch does not replace the person's reason
    with pytest.raises(ArmLatched, match="a person pressed stop"):
        step(arm)
    arm.recover()
    assert arm.read().safety == "hold" and node.cell.read().safety != "latched"
    assert step(arm).safety == "track"


def test_a_robot_that_latches_itself_is_mirrored_until_recover(robot, cell):
    node, arm = robot(), cell()
    arm.acquire("policy")
    with node.lock:
        node.cell.stop("cartesian_reflex")
    until(lambda: arm.read().safety == "latched")
    assert arm.read().reason == "the robot is latched: cartesian_reflex"
    with node.lock:
        node.cell.recover()
    until(lambda: not arm._now.latched)
    assert arm.read().safety == "latched" and arm.health().level == "error"
    arm.recover()
    assert step(arm).safety == "track"


def test_a_controller_that_dies_latches_until_recover(robot, cell, background):  # noqa: F811
    node, arm = robot(), cell(stale_after=0.3)
    arm.acquire("policy")
    node.host.listener.interrupted.set()
    until(lambda: arm.controller.state == "latched")
    with pytest.raises(CellTimeout, match=r"no message on /robot/\w+ for more than 0\.3 s: is the robot's controller"):
        arm.wait()
    assert "no message on /robot/" in arm.health().message
    with pytest.raises(CellTimeout):
        arm.recover()
    node.host.listener.interrupted.clear()
    background(node.host, node.run_realtime)
    until(lambda: not arm._trouble)
    assert arm.read().safety == "latched"
    arm.recover()
    assert arm.read().safety == "hold"


def test_a_second_sender_of_targets_latches(robot, cell, host):  # noqa: F811
    from geometry_msgs.msg import PoseStamped

    robot()
    arm = cell()
    other = host("other")
    rival = other.node.create_publisher(PoseStamped, "/robot/target_pose", 10)
    until(lambda: arm.read().safety == "latched")
    assert arm.read().reason.startswith("two publishers on /robot/target_pose")
    other.node.destroy_publisher(rival)
    until(lambda: not arm._trouble)
    arm.recover()
    assert arm.read().safety == "hold"


def test_the_gripper_opens_and_closes(robot, cell):
    robot("pick_cube")
    arm = cell("pick_cube")
    arm.acquire("policy")
    until(lambda: arm.read().gripper is not None)
    for width in (0.02, 0.07):
        pose = arm.read().arm.pose
        arm.command(PoseTarget(pose, time.time_ns()), width)
        until(lambda width=width: abs(arm.read().gripper.width - width) < 2e-3)


def test_the_arm_node_hosts_it_and_the_proxy_drives_it(robot, cell, host, background):  # noqa: F811
    from robot_rl.nodes.arm import ArmNode

    robot()
    served = host("arm", clock="realtime")
    node = ArmNode(served, cell())
    background(served, node.run_realtime)
    proxy = host("client", clock="realtime").cell(sim=False, cameras=False)
    proxy.acquire("policy")
    start = proxy.read().arm.pose
    away = np.array([0.0, 0.03, 0.0])
    np.testing.assert_allclose(go(proxy, start, away).arm.pose.position - start.position, away, atol=2e-3)
    until(lambda: "staleness" in served.report[2])
    node.close()


@pytest.mark.parametrize(
    "values, said",
    [
        (
            {"namespace": "elsewhere", "connect_within": 0.3},
            "nothing on /elsewhere/current_pose, /elsewhere/current_tw",
        ),
        ({"joint_prefix": "left_", "connect_within": 6.0}, "nothing on /robot/joint_states .*left_fr3_joint1"),
        ({"base_frame": "world"}, "/robot/current_pose is in frame 'base', the cell says 'world'"),
        (
            {"controller": "gravity_compensation"},
            "has no controller 'gravity_compensation'; it has cartesian_impedance",
        ),
        ({"parameters": "nobody"}, "no service nobody/set_parameters"),
    ],
)
def test_a_robot_that_is_not_as_described_is_named(robot, cell, values, said, monkeypatch):
    monkeypatch.setattr("controllers.arms.crisp_link.PATIENCE", 0.3 if "parameters" in values else 5.0)
    robot()
    with pytest.raises(ControllersError, match=said):
        cell(**values)


@pytest.mark.parametrize(
    "values, said",
    [
        ({"rate": 0.0}, "rate is 0.0, but must be above 0"),
        ({"speed": (0.5, 0.0)}, "speed is .* but must be above 0"),
        ({"speed": (0.5, float("nan"))}, "speed is .* but must be above 0"),
        ({"stale_after": 60.0}, "stale_after is 60.0 s, but must be at most 2.0"),
        ({"stale_after": float("inf")}, "stale_after is inf, but must be above 0 and finite"),
        ({"domain": 233}, "domain is 233, but must be from 0 to 232"),
        ({"gripper_values": (1.0, 1.0)}, "give one for closed and another for open"),
        ({"current_twist": ""}, "must each name a topic"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, said):
    with pytest.raises(SettingsError, match=said):
        CrispConfig(**values)


def test_a_cell_file_opens_it(robot, domain, tmp_path):  # noqa: F811
    robot()
    file = tmp_path / "lab.yaml"
    file.write_text(
        f"robot: ros2_control\ncrisp: {{namespace: robot, domain: {domain}, stale_after: 1, connect_within: 60}}\n"
    )
    described = load_cell(str(file))
    opened = open_cell(described, fit(described, tasks.load("reach")))
    assert isinstance(opened, CrispCell) and opened.read().safety == "hold"
    opened.close()


def test_a_clock_that_waits_is_refused(domain):  # noqa: F811
    with pytest.raises(ControllersError, match="clock is lockstep, but the time of a controller in ROS does not wait"):
        CrispCell(CrispConfig(domain=domain), tasks.load("reach"), clock="lockstep")


def test_what_the_controller_cannot_do_is_refused(robot, cell):
    robot()
    arm = cell()
    arm.acquire("policy")
    clip = np.array([-0.01] * 6 + [0.02] * 6)
    for fields, said in (
        ({"clip": clip}, "give a symmetric one"),
        ({"stiffness": np.full(6, 10.0)}, "stiffness of this arm's controller is set when"),
        ({"twist": np.ones(6)}, "no feed-forward twist"),
    ):
        with pytest.raises(CommandRejected, match=said):
            step(arm, **fields)


def test_the_leash_is_along_the_axes_of_the_tool():
    quarter = np.array([0.0, 0.0, np.sin(np.pi / 4), np.cos(np.pi / 4)])  # tool x is base y
    clip = np.array([-0.01, -0.02, -0.03, -0.1, -0.1, -0.1, 0.01, 0.02, 0.03, 0.1, 0.1, 0.1])
    kept = leashed(Pose(np.ones(3), quarter), Pose(np.zeros(3), quarter), clip)
    np.testing.assert_allclose(kept.position, [0.02, 0.01, 0.03])
    near = Pose(np.array([0.005, 0.0, 0.0]), quarter)
    np.testing.assert_allclose(leashed(near, Pose(np.zeros(3), quarter), clip).position, near.position)
    turned = leashed(Pose(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0])), Pose(np.zeros(3), quarter), clip)
    assert 2 * np.arccos(turned.quaternion @ quarter) == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["gripper_state", "safety", "joint_states"])
def test_a_message_that_says_nothing_is_no_state(name):
    """It must not end the thread that keeps the reference."""
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
    from sensor_msgs.msg import JointState

    from controllers.arms.crisp_link import CrispLink, Measured

    link = CrispLink.__new__(CrispLink)
    link._config, link._joints = CrispConfig(), ("fr3_joint1",)
    now = Measured(HERE, HERE, HERE, Pose(HERE, np.array([0.0, 0.0, 0.0, 1.0])), np.zeros(6), np.zeros(6), 0.0)
    assert link._take(name, DiagnosticArray() if name == "safety" else JointState(), now) is None
    latched = DiagnosticArray(status=[DiagnosticStatus(message="latched")])
    assert link._take("safety", latched, now).latched == "it does not say why"
