import dataclasses
import os
import pty
import select
import termios
import threading
import time

import numpy as np
import pytest
from rich.console import Console

import tasks
from controllers.cells import Limits, load_cell
from robot_rl.commission.keyboard import Keyboard
from robot_rl.commission.session import LEASH, REDUCED, SHARE, opened
from robot_rl.commission.teleop import Wishes, teleop
from robot_rl.exceptions import CommissionError

CELL = load_cell("twin_fr3")


@pytest.fixture
def session():
    with opened(CELL, tasks.load("reach")) as session:
        yield session


@pytest.fixture
def console():
    return Console(record=True, width=200, quiet=True)


def by_name(findings):
    return {finding.name: finding for finding in findings}


def test_the_steps_in_order(session, console):
    asked = []
    wishes = Wishes(jogs=[("x", 0.02), ("rz", -0.1), ("z", -0.03)], seconds=0.1)
    found = by_name(teleop(session, wishes, lambda question: asked.append(question) or True, console))
    assert list(found) == ["read", "hold", "jog", "stop"]
    assert [finding.level for finding in found.values()] == ["green"] * 4
    assert len(asked) == 4
    assert "x +20.0 mm, moved +20" in found["jog"].detail
    assert "rz -5.7 deg, moved -5." in found["jog"].detail
    assert session.cell.read().safety != "latched"  # the test clears its own latch, as it was allowed to


def test_what_is_refused_is_not_done_and_neither_is_what_builds_on_it(session, console):
    wishes = Wishes(jogs=[("x", 0.02)], seconds=0.05)
    before = session.read().arm.pose.position
    findings = teleop(session, wishes, lambda question: "jog" not in question, console)
    assert [finding.name for finding in findings] == ["read", "hold"]
    np.testing.assert_allclose(session.read().arm.pose.position, before, atol=1e-4)


def test_reading_moves_nothing_and_takes_nothing(session, console):
    teleop(session, Wishes(only=["read"], seconds=0.1), lambda _: True, console)
    assert session.cell.controller.owner is None
    assert session.read().safety == "hold"


def test_a_jog_is_as_slow_as_it_says(session):
    session.take()
    speeds = []
    session.watch = lambda reading: speeds.append(np.linalg.norm(reading.arm.twist[:3]))
    session.jog("y", 0.03)
    assert 0.8 * SHARE * REDUCED[0] < max(speeds) < 1.3 * SHARE * REDUCED[0]


def test_a_jog_against_something_pushes_no_harder_than_the_leash_allows():
    """Onto the cube: the reference stays within the leash of the tool, which bounds the force."""
    with opened(CELL, tasks.load("pick_cube")) as session:
        session.take()
        forces, leads = [], []

        def watch(reading):
            forces.append(np.linalg.norm(reading.arm.wrench[:3]))
            leads.append(np.linalg.norm(reading.arm.reference.position - reading.arm.pose.position))

        session.watch = watch
        session.jog("z", -0.30)
        assert 0.03 < session.read().arm.pose.position[2] < 0.06  # it did get there, and no further
        assert max(leads) < LEASH[0] + 1e-3
        assert 5.0 < max(forces) < 1.2 * 1000.0 * LEASH[0]


def test_an_arm_that_sags_is_told_to_set_its_payload(session, console):
    class Heavy:
        """A cell whose tool sinks by 6 mm when it is held."""

        def __init__(self, cell):
            self._cell, self._sunk = cell, 0.0

        def __getattr__(self, name):
            return getattr(self._cell, name)

        def read(self):
            reading = self._cell.read()
            pose = dataclasses.replace(reading.arm.pose, position=reading.arm.pose.position - [0, 0, self._sunk])
            return dataclasses.replace(reading, arm=dataclasses.replace(reading.arm, pose=pose))

        def wait(self):
            self._cell.wait()
            self._sunk = 0.006
            return self.read()

    session.cell = Heavy(session.cell)
    (found,) = teleop(session, Wishes(only=["hold"]), lambda _: True, console)
    assert (found.level, found.mend) == ("yellow", "set `payload` to what the flange carries, and tare")


def test_a_latched_arm_is_shown_and_not_moved(session, console):
    session.cell.stop("somebody pressed stop")
    (found,) = teleop(session, Wishes(jogs=[("x", 0.01)], seconds=0.05), lambda _: True, console)
    assert (found.name, found.level) == ("read", "red")
    assert "somebody pressed stop" in found.detail
    with pytest.raises(CommissionError, match=r"the arm is latched \(somebody pressed stop\)"):
        session.take()


def test_an_axis_that_there_is_not(session):
    session.take()
    with pytest.raises(CommissionError, match="there is no axis 'w'; choose one of x, y, z, rx, ry, rz"):
        session.jog("w", 0.01)


def test_the_hand_guides_where_the_arm_gives_way(session):
    """A push of 15 N moves the arm while it is guided, and it stays where it was left."""
    session.take()
    before = session.read().arm.pose.position
    data, body = session.cell.data, session.cell.model.body("fr3_hand").id
    data.xfrc_applied[body, :3] = [0.0, 15.0, 0.0]
    for _ in range(50):
        session.follow_hand()
    data.xfrc_applied[body, :3] = 0.0
    left = session.settle().arm.pose.position
    assert left[1] - before[1] > 0.02
    np.testing.assert_allclose(session.hold(0.5).arm.pose.position, left, atol=2e-3)


def press(ours, theirs, keys):
    """Press keys on a terminal one by one, each when the one before was taken."""
    while termios.tcgetattr(theirs)[3] & termios.ICANON:
        time.sleep(0.02)
    for key in keys:
        os.write(ours, bytes([key]))
        while select.select([theirs], [], [], 0)[0]:
            time.sleep(0.02)


def test_keys_jog_in_a_terminal(session, console, monkeypatch):
    """Through a terminal of the test's own: two presses of a, one of an unknown key, then q."""
    ours, theirs = pty.openpty()
    before = session.read().arm.pose.position
    try:
        with open(theirs, closefd=False) as terminal:
            monkeypatch.setattr("sys.stdin", terminal)
            threading.Thread(target=press, args=(ours, theirs, b"aa?q"), daemon=True).start()
            (found,) = teleop(session, Wishes(only=["jog"]), lambda _: True, console)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (found.level, found.detail) == ("green", "2 steps by hand")
    assert session.settle().arm.pose.position[1] - before[1] == pytest.approx(0.004, abs=1e-3)


def test_space_stops_and_latches(session, console, monkeypatch):
    ours, theirs = pty.openpty()
    try:
        with open(theirs, closefd=False) as terminal:
            monkeypatch.setattr("sys.stdin", terminal)
            threading.Thread(target=press, args=(ours, theirs, b" "), daemon=True).start()
            (found,) = teleop(session, Wishes(only=["jog"]), lambda _: True, console)
    finally:
        os.close(ours)
        os.close(theirs)
    assert found.level == "red"
    assert session.read().safety == "latched"


def test_the_stop_test_clears_no_other_latch(session, console):
    """A reflex of the robot in the middle of the test: it is a person's to clear."""
    stop = session.cell.stop

    def with_a_reflex(reason):
        session.cell.controller.fault("joint reflex")
        stop(reason)

    session.cell.stop = with_a_reflex
    (found,) = teleop(session, Wishes(only=["stop"]), lambda _: True, console)
    assert (found.level, found.detail) == ("red", "the arm is latched: joint reflex")
    assert session.read().safety == "latched"


@pytest.mark.parametrize(
    "typed, heard", [(b"ww ", " "), (b"\x1b[A ", " "), (b"wwq", "q"), (b"wws", "w"), (b"\x1b[A", "\x1b")]
)
def test_the_stop_is_heard_behind_keys_that_piled_up(typed, heard):
    ours, theirs = os.pipe()
    try:
        os.write(theirs, typed)
        assert Keyboard(ours).key() == heard
        os.close(theirs)
        assert Keyboard(ours).key() == "q"  # the terminal is gone
    finally:
        os.close(ours)


def test_a_cell_that_allows_little_stiffness_can_be_commissioned():
    cell = dataclasses.replace(CELL, limits=Limits(stiffness=(300.0, 10.0)))
    with opened(cell, tasks.load("reach")) as session:
        session.take()
        assert session.hold(0.1).safety == "track"
