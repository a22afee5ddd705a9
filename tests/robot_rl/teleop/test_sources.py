"""Several devices: which one acts, which is refused, and what happens when one is unplugged."""

import os

import numpy as np
import pytest

import tasks
from robot_rl.exceptions import ConfigError, DeviceGone
from robot_rl.teleop import Sources, TeleopConfig, read_configs
from robot_rl.teleop.device import DeviceState
from robot_rl.teleop.sources import DEFAULTS, LOST, RETRY, OperatorKeys

TASK = tasks.load("reach")


class Fake:
    """A device; `pushed` along x, `gone` where it is unplugged."""

    def __init__(self, name):
        self.name, self.pushed, self.gone, self.pressed, self.closed = name, 0.0, False, (), 0
        self.heard = True

    def read(self):
        if self.gone:
            raise DeviceGone(f"{self.name} is unplugged; plug it in.")
        axes = np.zeros(6, np.float32)
        axes[0] = self.pushed
        pressed, self.pressed = self.pressed, ()
        return DeviceState(axes, frozenset(), pressed, self.heard)

    def close(self):
        self.closed += 1


class Desk:
    """Two devices, a and b, of which a has priority."""

    def __init__(self):
        self.a, self.b, self.now, self.told = Fake("a"), Fake("b"), 0.0, []
        openers = {"a": lambda: self._open(self.a), "b": lambda: self._open(self.b)}
        config = TeleopConfig(dead_zone=0.0, frame="tool", buttons={"s": "success", "u": "undo"})
        self.sources = Sources(openers, {"a": config, "b": config}, TASK, self.told.append, clock=lambda: self.now)

    def _open(self, device):
        if device.gone:
            raise DeviceGone(f"there is no {device.name}")
        return device

    def read(self, wait=0.0):
        self.now += wait
        return self.sources.read()


@pytest.fixture
def desk():
    made = Desk()
    yield made
    made.sources.close()


def test_the_first_device_wins_and_the_other_is_told_of_as_refused(desk):
    desk.a.pushed, desk.b.pushed = 0.5, -0.5
    said = desk.read()
    assert said.engaged and said.action[0] == 0.5
    desk.read()
    assert desk.told == ["b is refused while a takes over"]
    desk.a.pushed = 0.0
    assert desk.read().action[0] == -0.5
    desk.a.pushed = 0.5
    assert desk.read().action[0] == 0.5 and len(desk.told) == 2


def test_commands_of_every_device_count(desk):
    desk.a.pressed, desk.b.pressed = ("s",), ("u",)
    assert desk.read().commands == ("success", "undo")
    assert desk.read().commands == ()


def test_a_device_that_is_unplugged_while_it_acts_is_gone_for_long_enough_to_be_seen(desk):
    desk.a.pushed = desk.b.pushed = 0.5
    assert desk.read().engaged
    desk.a.gone = True
    said = desk.read()
    assert said.gone and not said.engaged
    assert desk.told[-1] == "a: a is unplugged; plug it in."
    assert desk.read(wait=0.9 * LOST).gone
    said = desk.read(wait=0.2 * LOST)  # then the other one may
    assert said.engaged and not said.gone
    assert desk.a.closed == 1


def test_a_device_that_is_unplugged_at_rest_leaves_the_other_alone(desk):
    desk.a.gone, desk.b.pushed = True, 0.5
    said = desk.read()
    assert said.engaged and not said.gone and desk.told == ["a: a is unplugged; plug it in."]


def test_what_is_plugged_in_again_is_found(desk):
    desk.a.gone = desk.b.gone = True
    assert desk.read().gone
    assert not desk.read(wait=0.5 * RETRY).engaged
    desk.b.gone, desk.b.pushed = False, 0.5
    assert desk.read(wait=0.6 * RETRY).engaged
    assert desk.told[-1] == "b is back"


def test_one_behind_a_topic_is_back_once_it_speaks(desk):
    desk.a.gone = desk.b.gone = True
    desk.read()
    desk.b.gone, desk.b.heard = False, False
    assert desk.read(wait=1.1 * RETRY).gone and "back" not in desk.told[-1]
    desk.b.gone = True
    told = len(desk.told)
    assert desk.read().gone and len(desk.told) == told  # it was told of
    desk.b.gone, desk.b.heard, desk.b.pushed = False, True, 0.5
    assert desk.read(wait=1.1 * RETRY).engaged and desk.told[-1] == "b is back"


def test_what_is_not_there_at_the_start_is_said_and_nothing_is_held():
    device = Fake("a")

    def none():
        raise DeviceGone("there is no b")

    openers = {"a": lambda: device, "b": none}
    with pytest.raises(DeviceGone, match="there is no b"):
        Sources(openers, {"a": TeleopConfig(), "b": TeleopConfig()}, TASK, lambda text: None)
    assert device.closed == 1


def test_an_operators_keys_are_heard_beside_other_devices(monkeypatch):
    reads, writes = os.pipe()
    keys = OperatorKeys(reads)
    os.write(writes, b"15w")
    assert keys.read() == ("success", "pause")
    os.close(writes)
    assert keys.read() == ()  # nobody types any more
    assert keys.read() == ()
    os.close(reads)


def test_where_nobody_types_no_key_is_waited_for(tmp_path):
    descriptor = os.open(os.devnull, os.O_RDONLY)
    assert OperatorKeys(descriptor).read() == ()
    os.close(descriptor)


def test_a_file_changes_some_of_a_devices_settings(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("spacemouse: {dead_zone: 0.2, buttons: {'0': close, '1': ''}}\ngamepad: {frame: tool}\n")
    found = read_configs(("spacemouse", "keyboard"), path)
    assert found["spacemouse"].dead_zone == 0.2 and found["spacemouse"].buttons == {"0": "close"}
    assert found["spacemouse"].axes == DEFAULTS["spacemouse"].axes
    assert found["keyboard"] == DEFAULTS["keyboard"] and set(found) == {"spacemouse", "keyboard"}


@pytest.mark.parametrize(
    "text, message",
    [
        ("spacmouse: {}", r"has 'spacmouse'; did you mean spacemouse\?"),
        ("spacemouse: {dead_zon: 1}", r"unknown key dead_zon; did you mean dead_zone\?"),
        ("spacemouse: {dead_zone: 2}", "dead_zone is 2"),
        ("[1, 2]", "holds no mapping"),
        ("spacemouse: 5", "it and its buttons must be mappings"),
        ("spacemouse: {buttons: [1]}", "it and its buttons must be mappings"),
        ("a: [", "cannot be read"),
        ("spacemouse: {buttons: {left: grip}}", "it has no button 'left'; give a number, as 0"),
        ("spacemouse: {engage: hold, engage_button: south}", "it has no button 'south'"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_configs(("spacemouse",), path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_configs(("spacemouse",), tmp_path / "none.yaml")
