"""The terminal of a run: its keys one by one, as they are pressed."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from robot_rl.exceptions import ConfigError

POLL = 0.1
"""How soon, s, a thread that reads keys hears that it is over."""


def check_terminal(option: str = "--teleop") -> None:
    """Raise `ConfigError` where nobody can type, as `option` wants: standard input is no terminal."""
    if not sys.stdin.isatty():
        raise ConfigError(f"standard input is no terminal, so no keys can be read; leave keyboard out of {option}.")


@contextmanager
def single_keys(descriptor: int) -> Iterator[None]:
    """Keys come without Enter and without echo; the terminal is put back at the end. A pipe stays as it is."""
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield
    finally:
        with suppress(termios.error):  # a terminal that was closed meanwhile has nothing to put back
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def forwarded(press: Callable[[bytes], None], descriptor: int | None = None) -> Iterator[None]:
    """Every key goes to `press`, called in a thread. descriptor: standard input unless given."""
    source = sys.stdin.fileno() if descriptor is None else descriptor
    over = threading.Event()

    def forward() -> None:
        while not over.is_set():
            if select.select([source], [], [], POLL)[0]:
                if not (keys := os.read(source, 1024)):
                    return  # the terminal is gone
                press(keys)

    thread = threading.Thread(target=forward, name="keys", daemon=True)
    with single_keys(source):
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
