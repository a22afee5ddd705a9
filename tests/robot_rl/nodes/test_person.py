"""People, as the actor's node hears them."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import Joy
from std_srvs.srv import Trigger

from controllers.arms.ros import call
from controllers.arms.ros_io import LATCHED, TARGET
from robot_rl.nodes.person import FRESH, RosOperator, RosSource
from robot_rl.operator import Answer, OperatorState


@pytest.fixture
def device(host):
    """Says what a device would: device(axes, buttons), once somebody hears it."""
    node = host("device").node
    publishers = []

    def say(axes, buttons=(1, 0), other=False):
        if not publishers or other:
            publishers.append(node.create_publisher(Joy, "teleop/command", TARGET))
        publisher = publishers[-1]
        while publisher.get_subscription_count() == 0:
            time.sleep(0.01)
        publisher.publish(Joy(axes=axes, buttons=list(buttons)))

    yield say
    for publisher in publishers:
        node.destroy_publisher(publisher)


def until(read, wanted):
    """What is read once it is as wanted."""
    end = time.monotonic() + 20
    while not wanted(said := read()):
        assert time.monotonic() < end, said
        time.sleep(0.01)
    return said


def test_nobody_takes_over_before_a_device_was_heard(host):
    said = RosSource(host("actor")).read()
    assert not said.engaged and not said.gone and said.commands == ()


def test_the_newest_word_of_a_device_holds_until_it_falls_silent(host, device):
    now = [0.0]
    source = RosSource(host("actor"), clock=lambda: now[0])
    dim = host("actor").task.action_dim
    device([0.5] * dim)
    device([-0.25] * dim)
    said = until(source.read, lambda said: said.engaged and said.action[0] == -0.25)
    np.testing.assert_array_equal(said.action, np.full(dim, -0.25, np.float32))
    now[0] += FRESH
    assert source.read().engaged
    now[0] += 0.01
    assert source.read().gone and not source.read().engaged
    device([0.0] * dim, (0, 0))
    until(source.read, lambda said: not said.gone and not said.engaged)
    device([0.0] * dim, (1, 1))
    until(source.read, lambda said: said.gone)


@pytest.mark.parametrize("axes, buttons", [([0.5], (1, 0)), ([float("nan")] * 3, (1, 0)), ([0.5] * 3, (1,))])
def test_what_is_no_action_takes_nothing_over(host, device, axes, buttons):
    actor = host("actor")
    assert actor.task.action_dim == 3
    source = RosSource(actor)
    device(axes, buttons)
    device([0.125] * 3, (0, 0))
    said = until(source.read, lambda said: said.action[0] == 0.125)
    assert not said.engaged


def test_of_two_publishers_none_takes_over(host, device):
    source = RosSource(host("actor"))
    device([0.5] * 3)
    until(source.read, lambda said: said.engaged)
    device([0.5] * 3, other=True)
    until(source.read, lambda said: said.gone)
    assert not source.read().engaged


def test_each_command_is_a_service_whose_answer_says_what_was_done(host):
    operator, caller = RosOperator(host("actor")), host("console")
    answers = {}

    def ask():
        for command in ("pause", "undo"):
            answers[command] = call(
                caller.node, caller.listener, Trigger, f"operator/{command}", Trigger.Request(), 20.0
            )

    thread = threading.Thread(target=ask)
    thread.start()
    for wanted, answer in (("pause", Answer(True, "paused: ...")), ("undo", Answer(False, "nothing is left"))):
        assert until(operator.take, bool) == [wanted]
        operator.answer(answer)
    thread.join()
    assert (answers["pause"].success, answers["pause"].message) == (True, "paused: ...")
    assert (answers["undo"].success, answers["undo"].message) == (False, "nothing is left")


def test_who_comes_later_still_sees_how_things_are(host):
    operator, console = RosOperator(host("actor")), host("console")
    operator.show(OperatorState(3, running=True))
    operator.show(OperatorState(3, paused=True, intervened=0.25))
    feed = console.listener.subscribe(DiagnosticStatus, "operator/state", LATCHED)
    status = until(feed.newest, bool)
    assert status.message == "paused"
    values = {pair.key: pair.value for pair in status.values}
    assert values == {"episode": "3", "running": "False", "paused": "True", "stopping": "False", "intervened": "0.25"}
