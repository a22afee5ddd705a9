"""The arm node and its proxy, over real DDS, in one process."""

import dataclasses
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

from std_msgs.msg import Header

from controllers import spatial
from controllers.arms import ros_messages as messages
from controllers.exceptions import ArmLatched, CellTimeout, CommandRejected
from controllers.interface import Pose, PoseTarget
from controllers.twin import TwinCell
from robot_rl.config import effective
from tasks import load
from tests.robot_rl.nodes.steps import moved, wait_until

HERE = np.zeros(3)


def same(one, other):
    for name in ("q", "dq", "tau", "twist", "wrench"):
        np.testing.assert_array_equal(getattr(one.arm, name), getattr(other.arm, name))
    np.testing.assert_array_equal(one.arm.reference.position, other.arm.reference.position)
    np.testing.assert_array_equal(one.arm.reference.quaternion, other.arm.reference.quaternion)
    assert one.gripper == other.gripper
    assert (one.tick, one.safety, one.reason) == (other.tick, other.safety, other.reason)
    assert set(one.sim) == set(other.sim)
    for name, value in one.sim.items():
        np.testing.assert_array_equal(value, other.sim[name])


@pytest.mark.parametrize("task", ["reach", "pick_cube"])
def test_the_proxy_reads_what_the_cell_would_read_bit_for_bit(arm, host, task):
    arm(task)
    client = host("client", task)
    proxy, cell = client.cell(sim=True, cameras=False), TwinCell(client.task, seed=0)
    for each in (proxy, cell):
        each.acquire("policy")
        each.reset_scene(7)
    same(proxy.read(), cell.read())
    width = 0.05 if task == "pick_cube" else None
    for offset in ([0.01, 0, 0], [0, 0.01, -0.01], [0, 0, 0.02]):
        readings = []
        for each in (proxy, cell):
            each.command(moved(each.read(), np.array(offset)), width)
            readings.append(each.wait())
        same(*readings)
    for each in (proxy, cell):
        each.tare()
        each.acquire("reset")
    same(proxy.read(), cell.read())


def test_compliance_travels_with_the_target_and_ends_with_the_hand_over(arm, host):
    arm()
    client = host("client")
    proxy, cell = client.cell(sim=True, cameras=False), TwinCell(client.task, seed=0)
    bound = np.array([0.001] * 3 + [0.01] * 3)
    for each in (proxy, cell):
        each.acquire("reset")
    for clip in (np.concatenate([-bound, bound]), None):
        readings = []
        for each in (proxy, cell):
            target = moved(each.read(), np.array([0.02, 0.0, 0.0]))
            each.command(PoseTarget(target.pose, target.sequence, clip=clip))
            readings.append(each.wait())
        same(*readings)


def test_only_the_holder_of_the_arm_moves_it(arm, host):
    node = arm()
    client = host("client")
    holder = client.cell(sim=False, cameras=False)
    other = client.cell(sim=False, cameras=False, owner="teleop")
    other._timeout = 1.0
    holder.acquire("policy")
    other.command(moved(other.read(), np.array([0.05, 0.0, 0.0])))
    with pytest.raises(CellTimeout, match=r"current_pose.*within 1 s"):
        other.wait()
    assert node.targets.refused["teleop does not hold the arm"] >= 1
    holder.command(moved(holder.read(), np.zeros(3)))
    assert holder.wait().tick == 1


def test_a_target_that_the_filter_refuses_costs_a_tick_and_moves_nothing(arm, host):
    node = arm()
    proxy = host("client").cell(sim=False, cameras=False)
    proxy.acquire("policy")
    before = proxy.read()
    proxy.command(PoseTarget(Pose(np.full(3, np.nan), before.arm.pose.quaternion), 0))
    after = proxy.wait()
    assert after.tick == before.tick + 1
    np.testing.assert_array_equal(after.arm.reference.position, before.arm.reference.position)
    assert node.targets.refused["filter"] == 1


def test_a_target_said_twice_is_carried_out_once(arm, host):
    arm()
    proxy = host("client").cell(sim=False, cameras=False)
    proxy.acquire("policy")
    proxy.command(moved(proxy.read(), np.zeros(3)))
    for _ in range(5):
        proxy._send()
    assert proxy.wait().tick == 1
    time.sleep(0.3)
    assert proxy.read().tick == 1


def test_a_stop_latches_until_recover(arm, host):
    arm()
    client = host("client")
    proxy = client.cell(sim=False, cameras=False)
    proxy.acquire("policy")
    proxy.stop("a person pressed stop")
    reading = proxy.read()
    assert (reading.safety, reading.reason) == ("latched", "a person pressed stop")
    with pytest.raises(ArmLatched, match=r"a person pressed stop.*recover"):
        proxy.command(moved(reading, np.zeros(3)))
    proxy.recover()
    assert proxy.read().safety != "latched"
    proxy.command(moved(proxy.read(), np.zeros(3)))
    assert proxy.wait().tick == reading.tick + 1


def test_two_publishers_on_one_target_topic_are_refused_until_one_is_gone(arm, host):
    from geometry_msgs.msg import PoseStamped

    from controllers.arms.ros_io import TARGET

    node = arm()
    proxy = host("client").cell(sim=False, cameras=False)
    proxy._timeout = 1.0
    proxy.acquire("policy")
    proxy.command(moved(proxy.read(), np.zeros(3)))
    assert proxy.wait().tick == 1
    intruder = host("intruder")
    rival = intruder.node.create_publisher(PoseStamped, "policy/target_pose", TARGET)
    wait_until(lambda: "policy" in node.targets.contested)
    proxy.command(moved(proxy.read(), np.zeros(3)))
    with pytest.raises(CellTimeout):
        proxy.wait()
    assert node.targets.refused["two publishers on policy/target_pose"] >= 1
    assert node.host.report[0] == "error"
    intruder.node.destroy_publisher(rival)
    wait_until(lambda: not node.targets.contested)
    assert proxy.wait().tick == 2


def test_home_brings_the_arm_to_the_start_pose(arm, host):
    arm()
    client = host("client")
    proxy = client.cell(sim=False, cameras=False)
    proxy.acquire("policy")
    for _ in range(5):
        proxy.command(moved(proxy.read(), np.array([0.0, 0.02, 0.02])))
        proxy.wait()
    proxy._trigger("home")
    goal = client.task.start.position
    wait_until(lambda: np.linalg.norm(proxy.read().arm.pose.position - goal) < 0.004, 20.0)


def test_home_turns_the_arm_back_though_its_tool_is_in_place(arm, host):
    arm()
    client = host("client")
    proxy = client.cell(sim=False, cameras=False)
    proxy.acquire("policy")
    start = client.task.start
    turned = spatial.multiply(start.quaternion, spatial.exp(np.array([0.0, 0.0, 0.6])))
    for _ in range(30):
        proxy.command(PoseTarget(Pose(start.position, turned), proxy.read().tick))
        proxy.wait()
    proxy._trigger("home")
    wait_until(lambda: abs(proxy.read().arm.pose.quaternion @ start.quaternion) > np.cos(0.5 * 0.02), 20.0)


def test_a_way_home_that_is_blocked_is_given_up(arm, host, monkeypatch):
    monkeypatch.setattr("robot_rl.nodes.arm.HOMING", 0.2)
    node = arm()
    proxy = host("client").cell(sim=False, cameras=False)
    proxy.acquire("policy")
    for _ in range(5):
        proxy.command(moved(proxy.read(), np.array([0.0, 0.02, 0.02])))
        proxy.wait()
    tick = proxy.read().tick
    proxy._trigger("home")
    wait_until(lambda: node._homing is None)
    wait_until(lambda: proxy.read().tick == tick + 2)
    time.sleep(0.3)
    assert proxy.read().tick == tick + 2


def test_a_latched_arm_does_not_go_home(arm, host):
    node = arm()
    proxy = host("client").cell(sim=False, cameras=False)
    proxy.stop("a person pressed stop")
    with pytest.raises(ArmLatched, match="a person pressed stop"):
        proxy._trigger("home")
    assert node._homing is None


def test_what_was_said_before_a_recovery_or_a_hand_over_is_not_carried_out(arm, host):
    """The arm node is away from its loop for as long as a recovery takes; what has queued up meanwhile is old."""
    from std_msgs.msg import Bool

    from controllers.arms.ros import ENABLE_TOPIC
    from controllers.arms.ros_io import TARGET

    node = arm()
    client = host("client")
    proxy = client.cell(sim=False, cameras=False)
    proxy.acquire("teleop")
    pedal = client.node.create_publisher(Bool, ENABLE_TOPIC, TARGET)
    wait_until(pedal.get_subscription_count)
    pedal.publish(Bool(data=True))
    with node.lock:
        node.cell.stop()
        node.targets._poses["teleop"] = messages.pose_message(moved(node.cell.read(), HERE).pose, Header())
        time.sleep(0.2)
        node.recover()
        assert not node._deadman.held and node.targets.take("teleop") is None
        node.targets._poses["teleop"] = messages.pose_message(moved(node.cell.read(), HERE).pose, Header())
        node.acquire("teleop")
        assert node.targets.take("teleop") is None


def test_a_seed_that_cannot_be_is_refused_and_the_arm_can_still_be_stopped(arm, host):
    arm()
    proxy = host("client").cell(sim=False, cameras=False)
    with pytest.raises(CommandRejected, match="scene_seed is -5, but must be at least 0"):
        proxy.reset_scene(-5)
    proxy.stop("a person pressed stop")
    assert proxy.read().safety == "latched"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_in_a_service_ends_the_node(tmp_path, domain, monkeypatch):
    """An arm that goes on though nobody can stop it any more is worse than one that ends."""
    from robot_rl.nodes.base import hosting
    from robot_rl.runs import RunFolder

    run = RunFolder.create(dataclasses.replace(effective(load("reach"), {"demos": "0"}), run=tmp_path / "run"))

    def fail():
        raise ZeroDivisionError("a mistake of the program")

    def serve():
        with hosting("arm", run.path) as host:
            host.node.create_timer(0.01, fail)
            host.listener.sleep(20.0)

    monkeypatch.setattr("signal.signal", lambda *_: None)  # they stay pytest's
    with pytest.raises(RuntimeError, match="a service, timer or thread of the node arm failed"):
        serve()


def test_a_loop_that_never_sleeps_is_interrupted_too(host):
    listener = host("late").listener
    listener.interrupted.set()
    with pytest.raises(KeyboardInterrupt):
        listener.sleep(-1.0)


def test_without_an_arm_the_missing_topics_are_named(host):
    proxy = host("client").cell(sim=False, cameras=False)
    proxy._timeout = 0.3
    with pytest.raises(CellTimeout, match=r"no message of .*current_pose.*is the node that publishes it alive"):
        proxy.read()


def test_feed_forward_is_refused(arm, host):
    arm()
    proxy = host("client").cell(sim=False, cameras=False)
    target = moved(proxy.read(), np.zeros(3))
    with pytest.raises(CommandRejected, match="feed-forward"):
        proxy.command(PoseTarget(target.pose, 0, twist=np.ones(6)))


def test_without_the_deadman_a_target_of_teleop_moves_nothing(arm, host):
    node = arm()
    proxy = host("client").cell(sim=False, cameras=False)
    proxy.acquire("teleop")
    before = proxy.read()
    target = moved(before, np.array([0.02, 0.0, 0.0]))
    proxy.command(dataclasses.replace(target, enabled=False))
    after = proxy.wait()
    assert (after.tick, after.safety) == (before.tick + 1, "hold")
    np.testing.assert_allclose(after.arm.reference.position, before.arm.reference.position, atol=1e-4)
    assert node.targets.refused["no deadman"] == 1
    proxy.command(target)
    moving = proxy.wait()
    assert moving.safety == "track"
    assert moving.arm.reference.position[0] > before.arm.reference.position[0] + 0.015
    proxy.command(dataclasses.replace(moved(moving, np.array([0.05, 0.0, 0.0])), enabled=False))
    held = proxy.wait()
    assert held.safety == "hold"
    assert np.linalg.norm(held.arm.reference.position - moving.arm.pose.position) < 0.005


def test_compliance_is_set_by_the_holder_alone(arm, host):
    arm()
    client = host("client")
    holder = client.cell(sim=False, cameras=False)
    other = client.cell(sim=False, cameras=False, owner="teleop")
    holder.acquire("policy")
    soft = np.array([100.0] * 3 + [10.0] * 3)
    with pytest.raises(CommandRejected, match=r"teleop\.stiffness: teleop does not hold the arm, policy does"):
        other.command(dataclasses.replace(moved(other.read(), np.zeros(3)), stiffness=soft))
    holder.command(dataclasses.replace(moved(holder.read(), np.zeros(3)), stiffness=soft))
    assert holder.wait().tick == 1


def test_a_late_reader_finds_description_and_safety_latched(arm, host):
    from std_msgs.msg import String

    from controllers.arms.ros_io import LATCHED

    arm()
    listener = host("late").listener
    feeds = {topic: listener.subscribe(String, topic, LATCHED) for topic in ("robot_description", "safety_state")}
    found = {}
    end = time.monotonic() + 10
    while len(found) < 2 and time.monotonic() < end:
        listener.wait(list(feeds.values()), 0.5)
        found |= {topic: message.data for topic, feed in feeds.items() if (message := feed.newest())}
    assert found["robot_description"].startswith("<")
    assert found["safety_state"] == "hold"


def test_the_arm_process_loads_no_learning_framework():
    code = "import sys, robot_rl.nodes.arm; print(sorted({'torch', 'jax', 'optax'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
