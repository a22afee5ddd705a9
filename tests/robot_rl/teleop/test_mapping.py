"""From a device's state to an action."""

import dataclasses

import numpy as np
import pytest

import tasks
from controllers import spatial
from controllers.exceptions import SettingsError
from robot_rl.teleop.device import DeviceState
from robot_rl.teleop.mapping import Teleop, TeleopConfig

TASK, PEG = tasks.load("pick_cube"), tasks.load("peg_insert")
"""With a gripper, and x y z rz without one."""


class Script:
    """A device that is as told."""

    name = "script"

    def __init__(self):
        self.state = DeviceState()

    def read(self):
        state = self.state
        self.state = dataclasses.replace(state, pressed=())
        return state

    def close(self):
        pass


class Hands:
    """A teleop whose device and time the test sets."""

    def __init__(self, task=TASK, **settings):
        self.device, self.now = Script(), 0.0
        config = TeleopConfig(**({"dead_zone": 0.0, "frame": "tool"} | settings))
        self.teleop = Teleop(self.device, config, task, clock=lambda: self.now)

    def do(self, *axes, held=(), pressed=(), wait=0.0):
        self.now += wait
        values = np.zeros(6, np.float32)
        values[: len(axes)] = axes
        self.device.state = DeviceState(values, frozenset(held), tuple(pressed))
        return self.teleop.read()


def test_an_action_has_the_tasks_axes_and_its_gripper():
    said = Hands().do(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    moved = ["x", "y", "z", "rx", "ry", "rz"]
    expected = [0.1 * (1 + moved.index(axis)) for axis in TASK.action.axes]
    np.testing.assert_allclose(said.action, [*expected, 0.0], rtol=1e-6)
    assert said.action.shape == (TASK.action_dim,) and said.action.dtype == np.float32
    assert Hands(PEG).do(1.0).action.shape == (PEG.action_dim,)


def test_axes_of_the_base_are_turned_into_the_tool_as_it_is_held_at_the_start():
    """A tool that points down: forward stays forward, left and up are turned round."""
    said = Hands(PEG, frame="base").do(0.0, 0.0, 0.5)
    inverse = spatial.conjugate(PEG.start.quaternion)
    np.testing.assert_allclose(said.action[:3], spatial.rotate(inverse, np.array([0, 0, 0.5])), atol=1e-6)
    assert said.action[2] == pytest.approx(-0.5)


def test_within_the_dead_zone_nothing_moves_and_beyond_it_the_rest_of_the_way_is_spread():
    hands = Hands(dead_zone=0.2)
    assert not hands.do(0.19).engaged
    for pushed, moved in ((0.2, 0.0), (0.6, 0.5), (1.0, 1.0), (-0.6, -0.5)):
        assert hands.do(pushed).action[0] == pytest.approx(moved, abs=1e-6)


def test_scales_and_swapped_and_turned_axes():
    hands = Hands(PEG, scale=(0.5, 1, 1, 1, 1, 2), axes=("-y", "x", "z", "rx", "ry", "rz"))
    action = hands.do(0.2, 0.4, 0.0, 0.0, 0.0, 0.3).action
    np.testing.assert_allclose(action, [-0.2, 0.2, 0.0, 0.6], atol=1e-6)
    assert Hands(scale=(9,) * 6).do(0.5).action[0] == 1.0  # never more than all


def test_moving_takes_over_and_letting_go_hands_back_at_once():
    hands = Hands()
    assert [hands.do(push).engaged for push in (0.0, 0.3, 0.3, 0.0)] == [False, True, True, False]


def test_after_a_release_the_arm_is_held_for_as_long_as_is_set():
    hands = Hands(release_s=0.5)
    assert hands.do(1.0).engaged
    held = hands.do(0.0, wait=0.4)
    assert held.engaged and not held.action.any()
    assert not hands.do(0.0, wait=0.2).engaged
    assert not hands.do(0.0, wait=9).engaged


def test_hold_takes_over_while_the_button_is_down_and_a_motion_alone_does_not():
    hands = Hands(engage="hold", engage_button="b")
    assert not hands.do(1.0).engaged
    assert hands.do(1.0, held="b", pressed="b").action[0] == 1.0
    still = hands.do(0.0, held="b")
    assert still.engaged and not still.action.any()
    assert not hands.do(1.0).engaged


def test_toggle_takes_over_between_two_presses_and_holding_the_button_is_one_press():
    hands = Hands(engage="toggle", engage_button="b")
    seen = [hands.do(0.0, held="b", pressed="b"), hands.do(0.0, held="b"), hands.do(0.5), hands.do(0.0, pressed="b")]
    assert [said.engaged for said in seen] == [True, True, True, False]
    assert hands.do(pressed=("b", "b")).engaged is False  # both presses between two readings count


def test_the_gripper_stays_as_it_was_told():
    hands = Hands(buttons={"c": "close", "o": "open", "g": "grip"})
    assert hands.do(0.1).action[-1] == 0.0
    closing = hands.do(pressed="c")
    assert closing.engaged and closing.action[-1] == 1.0  # telling the gripper is taking over, too
    assert hands.do(0.1).action[-1] == 1.0
    assert hands.do(pressed="o").action[-1] == -1.0
    assert hands.do(pressed=("g", "g", "g")).action[-1] == 1.0


def test_buttons_say_what_an_operator_says_in_the_order_they_were_pressed():
    hands = Hands(buttons={"a": "success", "b": "undo"})
    assert hands.do(pressed=("b", "a", "x")).commands == ("undo", "success")
    assert hands.do(held=("a", "b")).commands == ()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"dead_zone": 1.0}, "dead_zone is 1.0; it must be at least 0 and below 1"),
        ({"scale": (1.0,)}, "scale and axes have 1 and 6 parts"),
        ({"axes": ("x", "y", "z", "rx", "ry", "up")}, "axes has 'up'; choose from x, y, z, rx"),
        ({"engage": "hold"}, "engage is hold, but engage_button is empty"),
        ({"release_s": -1.0}, "release_s is -1.0"),
        ({"buttons": {"1": "sucess"}}, "buttons.1 is 'sucess'; choose from close, open, grip, success"),
    ],
)
def test_what_cannot_be_set_is_named(settings, message):
    with pytest.raises(SettingsError, match=message):
        TeleopConfig(**settings)


def test_a_press_for_the_gripper_lasts_until_an_actor_has_looked():
    hands = Hands(buttons={"g": "grip"})
    assert hands.do(pressed="g").engaged
    seen = hands.do(wait=1.5 * TASK.period)
    assert seen.engaged and seen.action[-1] == 1.0
    assert not hands.do(wait=TASK.period).engaged


def test_the_next_takeover_leaves_the_gripper_as_it_is():
    hands = Hands(buttons={"g": "grip"})
    assert hands.do(0.5, pressed="g").action[-1] == 1.0
    assert not hands.do(wait=9).engaged
    assert hands.do(0.5).action[-1] == 0.0
    assert hands.do(0.5, pressed="g").action[-1] == -1.0  # the other of what it was told last


def test_without_the_deadman_no_button_moves_the_gripper_then_or_later():
    hands = Hands(engage="hold", engage_button="b", buttons={"c": "close"})
    assert not hands.do(pressed="c").engaged
    assert hands.do(held="b", pressed="b").action[-1] == 0.0
    assert hands.do(held="b", pressed="c").action[-1] == 1.0
