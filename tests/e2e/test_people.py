"""People and rules in whole graphs."""

import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from robot_rl.checkpoint import newest_checkpoint
from robot_rl.data.journal import JournalReader, read_journal
from robot_rl.metrics import MetricsWriter, read_metrics
from robot_rl.nodes.environment import Domain, ros_environment
from robot_rl.supervisor import train_graph
from robot_rl.training import train_inprocess
from tests.e2e.test_training import wait_until


@pytest.mark.long
def test_with_somebody_who_takes_over_the_graph_and_one_process_make_the_same_run(make_run):
    runs = []
    for name, train in (("graph", train_graph), ("inprocess", train_inprocess)):
        run = make_run(name, steps=120, intervener="random50", reward="intervention")
        with MetricsWriter(run.metrics) as metrics:
            train(run.config(), run, metrics)
        runs.append(run)
    pairs = list(zip(*(read_journal(run.journal) for run in runs), strict=True))
    assert len(pairs) == 120 and 30 < sum(one.intervened for one, _ in pairs) < 110
    for one, other in pairs:
        assert one.intervened == other.intervened
        assert np.array_equal(one.action, other.action) and np.array_equal(one.policy_action, other.policy_action)
    policies = [newest_checkpoint(run.checkpoints).files["policy.safetensors"] for run in runs]
    assert policies[0] == policies[1]


def assert_layout_fits(node):
    """What the Foxglove layout shows and calls is really there; a run from state has no pictures."""
    layout = (Path(__file__).parents[2] / "docs" / "foxglove.json").read_text()
    shown = set(re.findall(r'"(?:topicPath|topicToRender)": "(/[^"]+)"', layout))
    shown |= {re.split(r"[.\[]", value)[0] for value in re.findall(r'"value": "(/[^"]+)"', layout)}
    topics = {name for name, _ in node.get_topic_names_and_types()}
    assert shown - topics == set(), shown - topics  # teleop/command is there: the actor listens to it
    services = {name for name, _ in node.get_service_names_and_types()}
    assert set(re.findall(r'"serviceName": "([^"]+)"', layout)) <= services


@pytest.fixture
def domain(tmp_path, monkeypatch):
    """A domain for the graph and for whoever speaks to it from here."""
    import os

    with Domain(tmp_path / "domain") as held:
        number = held.number
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    for name, value in ros_environment(os.environ).items():
        monkeypatch.setenv(name, value)
    return number


@pytest.fixture
def ask(domain):
    """Calls an operator's service: ask("pause") returns (done, text)."""
    import rclpy
    from rclpy.context import Context
    from std_srvs.srv import Trigger

    from controllers.arms.ros import call
    from controllers.arms.ros_io import Listener

    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("console", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    spinning.start()
    listener = Listener(node)

    def call_service(command):
        answer = call(node, listener, Trigger, f"operator/{command}", Trigger.Request(), 30.0)
        return answer.success, answer.message

    call_service.node = node
    yield call_service
    executor.shutdown(timeout_sec=2.0)
    spinning.join(timeout=5.0)
    node.destroy_node()
    context.try_shutdown()


@pytest.mark.long
def test_an_operator_pauses_judges_takes_back_and_ends_a_run_through_services(make_run, ask):
    run = make_run("run", steps=100_000, teleop="ros", clock="lockstep", learner={"start": 10**6})
    with MetricsWriter(run.metrics) as metrics:
        training = threading.Thread(target=train_graph, args=(run.config(), run, metrics))
        training.start()
        wait_until(lambda: any(record["kind"] == "episode" for record in read_metrics(run.metrics)), 120)
        assert_layout_fits(ask.node)
        done, text = ask("failure")
        assert done and "is a failure" in text
        assert ask("pause")[0]
        wait_until(lambda: any(record["kind"] == "operator" for record in read_metrics(run.metrics)))
        made = len(list(read_journal(run.journal)))
        assert ask("pause") == (False, "already paused")
        done, text = ask("undo")
        assert done and text.endswith("is discarded")
        assert len(list(read_journal(run.journal))) == made  # a label is no step, and nothing moves meanwhile
        assert ask("resume") == (True, "a new episode begins")
        wait_until(lambda: len(list(read_journal(run.journal))) > made)
        assert ask("stop")[0]
        training.join(timeout=90)
        assert not training.is_alive()
    labels = list(JournalReader(run.journal).labels())
    assert [label.kind for label in labels] == ["success", "reward", "discard"]
    steps = list(read_journal(run.journal))
    assert {label.source for label in labels} == {"human"}
    assert len(steps) < 100_000


def test_before_each_episode_a_person_is_waited_for_and_nothing_moves_until_they_resume(make_run, ask):
    run = make_run("run", steps=150, reset={"person": "always"}, learner={"start": 10**6})
    with MetricsWriter(run.metrics) as metrics:
        training = threading.Thread(target=train_graph, args=(run.config(), run, metrics))
        training.start()
        asked = 0
        while training.is_alive():
            told = [record["text"] for record in read_metrics(run.metrics) if record["kind"] == "notice"]
            told = [text for text in told if "put the scene of reach as an episode needs it; then resume" in text]
            if len(told) == asked:
                time.sleep(0.05)
                continue
            made = len(list(read_journal(run.journal)))
            time.sleep(0.5)
            assert len(list(read_journal(run.journal))) == made, "it acts while it waits"
            asked += 1
            wait_until(lambda: ask("resume")[0])
        training.join()
    episodes = {step.episode for step in read_journal(run.journal)}
    assert asked == len(episodes) >= 2


@pytest.mark.long
def test_a_joystick_behind_a_topic_records_demonstrations(tmp_path, domain):
    """Its first button would be the gripper's; its second says that the episode succeeded."""
    import subprocess
    import sys

    import rclpy
    from rclpy.context import Context
    from sensor_msgs.msg import Joy

    from controllers.arms.ros_io import TARGET

    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("joystick", context=context)
    joystick = node.create_publisher(Joy, "teleop/joy", TARGET)
    command = [sys.executable, "-m", "robot_rl.cli", "demos", "reach", "--source", "ros", "--demos", "2"]
    process = subprocess.Popen([*command, "--run", str(tmp_path / "set")], stdin=subprocess.DEVNULL)

    def push(seconds, buttons):
        for _ in range(int(20 * seconds)):
            joystick.publish(Joy(axes=[0.0, 0.0, 0.5], buttons=buttons))
            time.sleep(0.05)

    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        push(1.0, [0, 0])
        push(0.2, [0, 1])
    assert process.wait(timeout=30) == 0
    node.destroy_node()
    context.try_shutdown()
    steps = list(read_journal(tmp_path / "set"))
    assert len({step.episode for step in steps}) == 2
    assert all(step.action[2] <= 0 for step in steps) and any(step.action[2] < -0.4 for step in steps)
