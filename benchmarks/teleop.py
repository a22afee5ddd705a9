"""From a person's hand to the arm: how long it takes until the arm's reference follows a key or a stick.

A whole run of `reach` over the graph, in real time at 10 Hz, with a keyboard (a pseudo-terminal) or, where the machine
lets us make one (`/dev/uinput`), a gamepad. Each event comes at a random moment while the policy acts. Measured: until
the device's node says so (`teleop/command`), and until the arm's accepted reference (`reference_pose`, 100 Hz) changes
after the target of the first step that is recorded as taken over. A step's action is chosen once a control period, so
half of one is waited for on average and a whole one at worst, whatever the software does.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Figure, Partial, main, progress
from robot_rl.data.journal import read_journal
from robot_rl.nodes.environment import Domain, ros_environment

TASK, PERIOD = "reach", 0.1
NEVER = "1000000000"
UINPUT = Path("/dev/uinput")
GAP = (1.2, 2.2)
"""Between two events, s: a turn has ended by then."""


class Watch:
    """What is heard on the graph, with the wall time at which it came."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from geometry_msgs.msg import PoseStamped
        from rclpy.context import Context
        from sensor_msgs.msg import Joy

        from controllers.arms.ros_io import STATE, TARGET

        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node("stopwatch", context=self._context)
        self.engaged: list[float] = []
        self.references: list[tuple[float, Any]] = []
        self.targets: list[float] = []
        self._node.create_subscription(Joy, "teleop/command", self._command, TARGET)
        self._node.create_subscription(PoseStamped, "policy/target_pose", self._target, TARGET)
        self._node.create_subscription(PoseStamped, "reference_pose", self._reference, STATE)
        self._executor = rclpy.executors.SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def _command(self, message: Any) -> None:
        if message.buttons[0]:
            self.engaged.append(time.time())

    def _target(self, message: Any) -> None:
        self.targets.append(time.time())

    def _reference(self, message: Any) -> None:
        position = message.pose.position
        self.references.append((time.time(), (position.x, position.y, position.z)))

    def close(self) -> None:
        """Hear nothing more."""
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(timeout=5.0)
        self._node.destroy_node()
        self._context.try_shutdown()


@contextmanager
def keyboard() -> Iterator[tuple[int, Callable[[], None]]]:
    """A terminal for a run, and what presses a key there."""
    ours, theirs = pty.openpty()
    drain = threading.Thread(target=_drain, args=(ours,), daemon=True)
    drain.start()
    try:
        yield theirs, lambda: (os.write(ours, b"r"), None)[1]
    finally:
        os.close(theirs)
        os.close(ours)


def _drain(terminal: int) -> None:
    """Somebody looks at the screen: else the run would wait for it."""
    while True:
        try:
            os.read(terminal, 65536)
        except OSError:
            return


@contextmanager
def gamepad() -> Iterator[tuple[int, Callable[[], None]]]:
    """A virtual gamepad, and what holds its shoulder and pushes its stick for a moment."""
    import evdev
    from evdev import AbsInfo, ecodes

    stick = AbsInfo(0, -32768, 32767, 0, 0, 0)
    can = {
        ecodes.EV_KEY: [ecodes.BTN_SOUTH, ecodes.BTN_TR],
        ecodes.EV_ABS: [(ecodes.ABS_X, stick), (ecodes.ABS_Y, stick)],
    }
    pad = evdev.UInput(can, name="a gamepad of robot_rl's benchmark")

    def turn(value: int) -> None:
        pad.write(ecodes.EV_KEY, ecodes.BTN_TR, value)
        pad.write(ecodes.EV_ABS, ecodes.ABS_Y, -32768 * value)
        pad.syn()

    def push() -> None:
        turn(1)
        threading.Timer(0.3, turn, (0,)).start()

    try:
        yield os.open(os.devnull, os.O_RDONLY), push
    finally:
        pad.close()


def take_over(device: str, made: Any, events: int) -> dict[str, list[float]]:
    """Events while a run goes: ms until the device's node says so, and until the arm's reference follows."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch, made() as (stdin, push):
        run = Path(scratch) / "run"
        with Domain(run) as held:
            number = held.number
        words = [
            sys.executable, "-m", "robot_rl.cli", "train", TASK, "--run", str(run), "--teleop", device,
            "--steps", NEVER, "--learner.start", NEVER, "--demos", "0",
        ]  # fmt: skip
        environment = ros_environment(os.environ | {"ROS_DOMAIN_ID": str(number)}, domain=number)
        os.environ.update(environment)
        process = subprocess.Popen(
            words, env=environment, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        watch = Watch(number)
        try:
            wait_for(lambda: len(watch.targets) > 20, process)
            pressed = []
            for _ in range(events):
                time.sleep(rng.uniform(*GAP))
                pressed.append(time.time())
                push()
            time.sleep(GAP[1])
        finally:
            process.terminate()
            process.wait(60)
            watch.close()
        steps = list(read_journal(run / "journal"))
    return judge(pressed, steps, watch)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 120.0) -> None:
    """Until it is so. Raises `RuntimeError` where the run ends first, or it takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the run did not begin to act (exit code {process.poll()})")
        time.sleep(0.1)


def judge(pressed: list[float], steps: list[Any], watch: Watch) -> dict[str, list[float]]:
    """Where an event fell into a reset, between two episodes, it is left out."""
    found: dict[str, list[float]] = {"said": [], "moved": []}
    engaged, targets = np.array(watch.engaged), np.array(watch.targets)
    began = np.array([step.stamp for i, step in enumerate(steps) if step.intervened and not steps[i - 1].intervened])
    for at in pressed:
        said = engaged[engaged > at]
        onset = began[(began > at - PERIOD) & (began < at + 2 * PERIOD)]
        if not len(said) or not len(onset):
            continue
        target = targets[targets > onset[0]][0]
        before = [place for when, place in watch.references if when <= target]
        after = [when for when, place in watch.references if when > target and place != before[-1]]
        found["said"].append(1e3 * (said[0] - at))
        found["moved"].append(1e3 * (after[0] - at))
    return found


def measure(quick: bool) -> list[Figure]:
    """Both devices, where there can be."""
    partial, figures = Partial("teleop", quick), []
    devices: dict[str, Any] = {"keyboard": keyboard}
    if os.access(UINPUT, os.W_OK):
        devices["gamepad"] = gamepad
    else:
        progress(f"no gamepad: {UINPUT} cannot be written here")
    for device, made in devices.items():
        events = 30 if quick else 200
        found = partial.once(device, lambda: take_over(device, made, events))  # noqa: B023
        figures.append(Figure(f"{device}: events measured of {events}", len(found["moved"]), ""))
        for name, key in (("until its node says so", "said"), ("until the arm's reference follows", "moved")):
            for share in (50, 99):
                figures.append(Figure(f"{device}: {name}, p{share}", float(np.percentile(found[key], share)), "ms"))
    return figures


if __name__ == "__main__":
    main("teleop", measure)
