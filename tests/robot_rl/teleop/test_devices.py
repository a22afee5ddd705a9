"""Keyboard, SpaceMouse, gamepad and leader arm, each against what its kernel, terminal or driver would say."""

import os
import pty
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tasks
from controllers.kinematics import Kinematics
from controllers.models import arm_model
from robot_rl.exceptions import DeviceGone
from robot_rl.teleop import gamepad, spacemouse
from robot_rl.teleop.gamepad import Gamepad
from robot_rl.teleop.keyboard import HELD, TAP, Keyboard
from robot_rl.teleop.leader import Leader
from robot_rl.teleop.spacemouse import SpaceMouse


class Typist:
    """A terminal, and a keyboard that reads it at the test's own time."""

    def __init__(self, **options):
        self.ours, self.theirs = pty.openpty()
        self.now = 100.0
        self.keyboard = Keyboard(self.theirs, clock=lambda: self.now, **options)

    def type(self, keys="", wait=0.0):
        self.now += wait
        if keys:
            os.write(self.ours, keys.encode())
        return self.keyboard.read()

    def close(self):
        self.keyboard.close()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def typist():
    made = Typist()
    yield made
    made.close()


def test_a_key_moves_its_axis_and_is_let_go_by_itself(typist):
    assert typist.type("w").axes.tolist() == [1, 0, 0, 0, 0, 0]
    assert typist.type(wait=0.9 * TAP).axes[0] == 1
    assert not typist.type(wait=0.2 * TAP).axes.any()
    assert typist.type("fal").axes.tolist() == [0, 1, -1, 0, 0, -1]
    assert not typist.type("ws", wait=9).axes.any()  # both ways at once


def test_a_key_that_repeats_itself_is_held_and_is_one_press(typist):
    presses = [typist.type(" ", wait=wait).pressed for wait in (9, 0.5, 0.03, 0.03, 0.03)]
    assert presses == [("space",), (), (), (), ()]
    assert "space" in typist.type(wait=0.9 * HELD).held
    assert "space" not in typist.type(wait=0.2 * HELD).held
    assert typist.type(" ", wait=1.0).pressed == ("space",)


def test_escape_sequences_move_nothing(typist):
    state = typist.type("\x1b[A")
    assert not state.axes.any() and state.pressed == ()
    assert typist.type("\t").pressed == ("tab",)
    assert typist.type("w\x1b[3~").pressed == ("w",)  # Delete is no 3
    assert typist.type("\x1b[15~1", wait=9).pressed == ("1",)  # F5 is neither 1 nor 5
    assert typist.type("\x1b[", wait=9).pressed == ()  # the rest comes later
    assert typist.type("3~2").pressed == ("2",)


def test_a_terminal_that_has_ended_is_a_device_that_is_gone():
    reads, writes = os.pipe()
    keyboard = Keyboard(reads)
    os.write(writes, b"5")
    assert keyboard.read().pressed == ("5",)
    os.close(writes)
    with pytest.raises(DeviceGone, match="the terminal has ended"):
        keyboard.read()
    keyboard.close()
    os.close(reads)


def test_an_operators_keyboard_moves_nothing():
    typist = Typist(motion=False)
    state = typist.type("w1")
    assert not state.axes.any() and state.pressed == ("w", "1")
    typist.close()


class Reports:
    """A `hid.device` that has these reports; None: it is unplugged then."""

    def __init__(self, *reports):
        self.reports, self.closed = list(reports), False

    def read(self, length):
        if not self.reports:
            return []
        report = self.reports.pop(0)
        if report is None:
            raise OSError("read error")
        return list(report[:length])

    def close(self):
        self.closed = True


def report(kind, *values):
    return bytes([kind]) + struct.pack(f"<{len(values)}h", *values)


def test_a_spacemouse_of_two_reports_and_one_of_one_say_the_same():
    pushed = (35, -350, 70, 0, 175, -350)
    old = SpaceMouse(Reports(report(1, *pushed[:3]), report(2, *pushed[3:])))
    new = SpaceMouse(Reports(report(1, *pushed)))
    expected = [1.0, -0.1, -0.2, -0.5, 0.0, 1.0]  # forward, left, up, and the turns about them
    np.testing.assert_allclose(old.read().axes, expected, atol=1e-6)
    np.testing.assert_allclose(new.read().axes, expected, atol=1e-6)
    assert np.abs(SpaceMouse(Reports(report(1, 400, 0, 0))).read().axes).max() == 1.0


def test_every_press_of_a_spacemouse_counts_also_one_that_was_short():
    mouse = SpaceMouse(Reports(b"\x03\x01\x00", b"\x03\x00\x00", b"\x03\x02\x00"))
    state = mouse.read()
    assert state.pressed == ("0", "1") and state.held == {"1"}
    assert mouse.read().pressed == () and mouse.read().held == {"1"}


def test_a_spacemouse_that_is_unplugged_is_gone():
    mouse = SpaceMouse(Reports(report(1, 350, 0, 0), None))
    with pytest.raises(DeviceGone, match=r"the SpaceMouse is gone \(read error\); plug it in"):
        mouse.read()


def test_an_unknown_report_says_nothing():
    assert not SpaceMouse(Reports(b"\x17\x55\x00")).read().axes.any()


def test_where_there_is_no_spacemouse_that_is_said(monkeypatch):
    hid = spacemouse._library()
    mouse = {"usage_page": 1, "usage": 2, "path": b"", "product_string": "a mouse"}
    monkeypatch.setattr(hid, "enumerate", lambda vendor: [mouse])  # of the same maker, and no SpaceMouse
    with pytest.raises(DeviceGone, match="there is no SpaceMouse; plug it in"):
        SpaceMouse()
    monkeypatch.setattr(hid, "enumerate", lambda vendor: [mouse | {"usage": 8, "path": b"nowhere"}])
    with pytest.raises(DeviceGone, match="does not open"):
        spacemouse.open_hid()


class Pad:
    """An `evdev.InputDevice` that has these events; None: it is unplugged then."""

    def __init__(self, *batches):
        self.batches = list(batches)

    def read(self):
        if not self.batches:
            raise BlockingIOError
        batch = self.batches.pop(0)
        if batch is None:
            raise OSError(19, "No such device")
        return [SimpleNamespace(type=kind, code=code, value=value) for kind, code, value in batch]

    def close(self):
        self.closed = True


RANGES = {0: (-32768, 32767), 1: (0, 255), 2: (0, 255), 3: (-32768, 32767), 5: (0, 1023), 16: (-1, 1)}


def test_sticks_and_triggers_of_any_range():
    pad = Gamepad(Pad([(3, 0, -32768), (3, 1, 0), (3, 5, 1023)], [(3, 2, 51), (3, 16, 1)]), RANGES)
    np.testing.assert_allclose(pad.read().axes, [1, 1, 1, 0, 0, 0], atol=1e-4)
    np.testing.assert_allclose(pad.read().axes, [1, 1, 0.8, 1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(pad.read().axes, [1, 1, 0.8, 1, 0, 0], atol=1e-4)  # nothing new


def test_presses_of_a_gamepad_and_what_is_held():
    pad = Gamepad(Pad([(1, 0x130, 1), (1, 0x130, 0), (1, 0x137, 1), (1, 0x137, 2), (1, 0x999, 1)]), RANGES)
    state = pad.read()
    assert state.pressed == ("south", "right_shoulder") and state.held == {"right_shoulder"}


def test_buttons_are_called_by_their_place_whatever_the_driver_calls_them(tmp_path):
    events = [(1, 0x133, 1), (1, 0x134, 1)]
    assert Gamepad(Pad(events), RANGES, "playstation").read().pressed == ("north", "west")
    assert Gamepad(Pad(events), RANGES, "xpad").read().pressed == ("west", "north")
    (tmp_path / "drivers" / "xpad").mkdir(parents=True)
    place = tmp_path / "event7" / "device" / "device"
    place.mkdir(parents=True)
    (place / "driver").symlink_to(tmp_path / "drivers" / "xpad")
    assert gamepad.driver_of(Path("/dev/input/event7"), tmp_path) == "xpad"
    assert gamepad.driver_of(Path("/dev/input/event8"), tmp_path) == ""


def test_where_events_were_lost_nothing_counts_as_held():
    pad = Gamepad(Pad([(1, 0x137, 1), (3, 1, 0)], [(0, 3, 0)]), RANGES)
    assert pad.read().held == {"right_shoulder"} and pad._axes().any()
    state = pad.read()
    assert state.held == frozenset() and not state.axes.any()


def test_a_gamepad_that_is_unplugged_is_gone():
    with pytest.raises(DeviceGone, match=r"the gamepad is gone \(\[Errno 19\] No such device\)"):
        Gamepad(Pad(None), RANGES).read()


def test_where_there_is_no_gamepad_that_is_said(monkeypatch):
    evdev = pytest.importorskip("evdev")
    monkeypatch.setattr(evdev, "list_devices", list)
    with pytest.raises(DeviceGone, match="there is no gamepad that may be read"):
        gamepad.open_pad()


class Led:
    """A leader arm that the test leads: `at` sets its joints."""

    def __init__(self):
        self.task = tasks.load("reach")
        self.kinematics = Kinematics(arm_model("fr3"))
        self.now, self.new = 0.0, None
        self.device = Leader(self.kinematics, 7, self._take, self.task, clock=lambda: self.now)

    def _take(self):
        new, self.new = self.new, None
        return new

    def at(self, q, wait=0.01):
        self.now += wait
        self.new = q
        return self.device.read()


def test_a_leader_moves_the_follower_as_it_is_moved_itself():
    led = Led()
    home = led.task.home
    assert not led.at(home).axes.any()
    turn = np.zeros(7)
    turn[0] = 0.001
    for step in range(1, 21):  # 0.02 rad about the base in 0.2 s
        state = led.at(home + step * turn)
    moved = led.kinematics.pose(home + 20 * turn).position - led.kinematics.pose(home + 10 * turn).position
    np.testing.assert_allclose(state.axes[:3], moved / led.task.action.translation, atol=0.01)
    assert state.axes[5] == pytest.approx(0.01 / led.task.action.rotation, rel=0.02)
    for _ in range(30):
        state = led.at(home + 20 * turn)
    np.testing.assert_allclose(state.axes, 0, atol=1e-12)


def test_a_leaders_gripper_closes_and_opens_the_followers():
    led = Led()
    home = led.task.home
    pressed = [led.at(np.append(home, grip)).pressed for grip in (0.0, 0.4, 0.6, 0.9, 0.2)]
    assert pressed == [(), (), ("close",), (), ("open",)]


def test_a_leader_that_falls_silent_or_is_another_arm_is_gone():
    led = Led()
    led.at(led.task.home)
    led.at(None, wait=0.4)
    with pytest.raises(DeviceGone, match=r"silent for 0.5 s"):
        led.at(None, wait=0.2)
    with pytest.raises(DeviceGone, match="the leader says 6 joints where its arm has 7"):
        Led().at(np.zeros(6))
    with pytest.raises(DeviceGone, match="not finite"):
        Led().at(np.full(7, np.nan))
