"""A person at the terminal of a run, as a person is: keys go into a pseudo-terminal."""

import os
import pty
import subprocess
import sys
import termios
import threading
import time

import pytest

from robot_rl.data.journal import JournalReader, read_journal
from robot_rl.metrics import read_metrics

CLI = [sys.executable, "-m", "robot_rl.cli"]


class Terminal:
    """A run's terminal: `press` types, `screen` is all that was shown."""

    def __init__(self, command):
        self.ours, theirs = pty.openpty()
        self.theirs, self.screen = theirs, b""
        self.before = termios.tcgetattr(theirs)
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                self.screen += os.read(self.ours, 65536)
            except OSError:
                return

    def press(self, keys):
        os.write(self.ours, keys.encode())

    def until(self, condition, seconds=90.0, keys=""):
        """Wait for it, pressing `keys` again and again."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.screen[-3000:].decode(errors="replace")
            assert self.process.poll() is None, self.screen[-3000:].decode(errors="replace")
            self.press(keys)
            time.sleep(0.05)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.theirs)
        os.close(self.ours)


@pytest.mark.parametrize("transport", ["inprocess", pytest.param("ros", marks=pytest.mark.long)])
def test_a_person_takes_over_judges_pauses_and_ends_a_run_by_keys(tmp_path, demos, transport):
    run = tmp_path / "run"
    options = ["--teleop", "keyboard", "--demos", str(demos), "--steps", "5000", "--transport", transport]
    terminal = Terminal([*CLI, "train", "reach", "--run", str(run), *options, "--learner.start", "5000"])

    def steps():
        return list(read_journal(run / "journal")) if any((run / "journal").glob("*.mcap")) else []

    def told(text):
        return any(text in record.get("text", "") for record in read_metrics(run / "metrics.jsonl"))

    try:
        terminal.until(lambda: len(steps()) > 3)
        terminal.until(lambda: sum(step.intervened for step in steps()) >= 5, keys="r")
        terminal.press("1")
        terminal.until(lambda: told("is a success"))
        terminal.until(lambda: told("paused"), keys="5")
        made = len(steps())
        time.sleep(0.5)
        assert len(steps()) == made
        terminal.press("6")
        terminal.until(lambda: len(steps()) > made)
        terminal.press("0")
        assert terminal.process.wait(timeout=60) == 130
        assert termios.tcgetattr(terminal.theirs)[3] == terminal.before[3]  # echo and lines are back
        assert b"--resume" in terminal.screen
    finally:
        terminal.close()
    made = list(steps())
    taken = [step for step in made if step.intervened]
    assert all((step.action != step.policy_action).any() for step in taken)
    lifted = [step for step in taken if step.action.any()]
    assert lifted and all(step.action[2] == -0.5 for step in lifted)  # up, for a tool that points down
    labels = list(JournalReader(run / "journal").labels())
    assert [label.kind for label in labels] == ["success", "reward"]


def succeed(terminal):
    """Move up for a while, and call that a success."""
    for _ in range(10):
        terminal.press("r")
        time.sleep(0.1)
    terminal.press("1")


def test_a_person_records_demonstrations_by_keys_and_goes_on_with_a_half_done_set(tmp_path):
    """Each episode is moved a little and called a success: what counts is the person's word."""
    folder = tmp_path / "set"
    command = [*CLI, "demos", "reach", "--source", "keyboard", "--demos", "2", "--run", str(folder)]
    terminal = Terminal(command)
    try:
        terminal.until(lambda: b"0/2 kept" in terminal.screen and b"begins when you move" in terminal.screen)
        succeed(terminal)
        terminal.until(lambda: b"1/2 kept" in terminal.screen)
        terminal.press("0")
        assert terminal.process.wait(timeout=60) == 130
        assert b"1 of 2 are kept" in terminal.screen and not folder.exists()
    finally:
        terminal.close()
    terminal = Terminal([*command, "--lerobot", str(tmp_path / "lerobot")])
    try:
        terminal.until(lambda: b"1/2 kept" in terminal.screen and b"begins when you move" in terminal.screen)
        succeed(terminal)
        terminal.until(lambda: b"enough: move to end" in terminal.screen)
        time.sleep(1.0)
        terminal.press("r")
        assert terminal.process.wait(timeout=60) == 0, terminal.screen[-2000:]
    finally:
        terminal.close()
    steps = list(read_journal(folder))
    assert len({step.episode for step in steps}) == 2 and not any(step.intervened for step in steps)
    labels = list(JournalReader(folder).labels())
    assert sum(label.kind == "success" for label in labels) == 2
    assert (tmp_path / "lerobot" / "meta" / "info.json").exists()
