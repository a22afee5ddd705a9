import os
import pty
import termios
import time
from pathlib import Path

import pytest

from robot_rl.exceptions import ConfigError
from robot_rl.terminal import check_terminal, forwarded, single_keys


@pytest.fixture
def terminal():
    """(the person's side, the program's side)."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def line_mode(descriptor):
    return bool(termios.tcgetattr(descriptor)[3] & termios.ICANON)


def test_keys_come_one_by_one_and_the_terminal_is_put_back_whatever_happens(terminal):
    ours, theirs = terminal
    assert line_mode(theirs)

    def read_one():
        with single_keys(theirs):
            assert not line_mode(theirs)
            os.write(ours, b"w")  # and no Enter
            assert os.read(theirs, 10) == b"w"
            raise RuntimeError("meanwhile")

    with pytest.raises(RuntimeError, match="meanwhile"):
        read_one()
    assert line_mode(theirs)


def test_every_key_is_forwarded_while_it_lasts(terminal):
    ours, theirs = terminal
    pressed = []
    with forwarded(pressed.append, theirs):
        os.write(ours, b"ab")
        end = time.monotonic() + 10
        while b"".join(pressed) != b"ab":
            assert time.monotonic() < end, pressed
            time.sleep(0.01)
    os.write(ours, b"c\n")
    time.sleep(0.3)
    assert b"".join(pressed) == b"ab"
    assert line_mode(theirs)


def test_a_pipe_is_read_as_it_is():
    reads, writes = os.pipe()
    with single_keys(reads):
        os.write(writes, b"x")
        assert os.read(reads, 10) == b"x"
    os.close(reads)
    os.close(writes)


def test_where_nobody_can_type_the_keyboard_is_refused(monkeypatch):
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(ConfigError, match="no terminal.*leave keyboard out of --teleop"):
            check_terminal()
