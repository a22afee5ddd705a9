"""The Franka Hand of the emulator: commands that take time and may be interrupted, over the plant's fingers."""

from __future__ import annotations

from controllers.emulators.wire import Gripped, GripperCommand
from controllers.twin.plant import Plant

MAX_WIDTH, MAX_SPEED = 0.08, 0.1
"""m and m/s of the Franka Hand."""
PRECISE = 0.001
"""m between wanted and reached width that still counts as reached."""
STILL = 0.002
"""m/s of the fingers that counts as standing."""
STALLED = 0.2
"""s of standing after which the fingers are held up by something."""
TEMPERATURE = 30
"""Degrees Celsius that it reports."""
LEFT_FINGER, FINGER = "fr3_left_finger", "fr3_finger_joint1"


class Gripper:
    """One hand. `step` is one millisecond; `replies` are (command, id, status) of the commands that have ended.

    Fingers that the task's scene has welded (no `gripper` in its `TaskSpec`) stand at their width: moves to another
    width end without success, as they would with the fingers blocked.
    """

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self._welded = 2.0 * float(plant.model.body(LEFT_FINGER).pos[1])
        self.replies: list[tuple[GripperCommand, int, Gripped]] = []
        self.grasped = False
        self._command: tuple[GripperCommand, int] | None = None
        self._goal, self._speed, self._force = 0.0, MAX_SPEED, 0.0
        self._bounds = (0.0, MAX_WIDTH)
        self._stalled, self._last = 0.0, self.width
        self._sent = self.width

    @property
    def width(self) -> float:
        """Opening between the fingers, m."""
        state = self.plant.gripper()
        return state.width if state is not None else self._welded

    @property
    def busy(self) -> bool:
        """Whether a command runs."""
        return self._command is not None

    def start(self, command: GripperCommand, command_id: int, values: tuple[float, ...]) -> None:
        """Begin a command with its doubles; one that runs is aborted."""
        self._end(Gripped.ABORTED)
        if command == GripperCommand.STOP:
            self._send(self.width)
            self.replies.append((command, command_id, Gripped.SUCCESS))
            return
        self._command, self._stalled, self._last, self._sent = (command, command_id), 0.0, self.width, self.width
        self.grasped, self._force, self._speed = False, 0.0, MAX_SPEED
        if command == GripperCommand.HOMING:
            self._goal = MAX_WIDTH
        elif command == GripperCommand.MOVE:
            self._goal, self._speed = values
        else:
            width, inner, outer, self._speed, self._force = values
            self._goal, self._bounds = 0.0, (width - inner, width + outer)
        self._speed = min(self._speed, MAX_SPEED)
        if not (0.0 <= self._goal <= MAX_WIDTH and self._speed > 0.0 and self._force >= 0.0):
            self._end(Gripped.FAIL)

    def step(self, dt: float) -> None:
        """Move the fingers' target on by dt (s), and see whether the command has ended."""
        width = self.width
        if self._command is None:
            self.grasped = self.grasped and self._bounds[0] < width < self._bounds[1]
            return
        step = self._speed * dt
        self._send(self._sent + min(max(self._goal - self._sent, -step), step))
        moved = abs(width - self._last) / dt
        self._last = width
        self._stalled = self._stalled + dt if moved < STILL else 0.0
        if self._command[0] == GripperCommand.GRASP:
            if self._stalled > STALLED:
                self.grasped = self._bounds[0] < width < self._bounds[1]
                self._hold(width)
                self._end(Gripped.SUCCESS if self.grasped else Gripped.UNSUCCESSFUL)
        elif abs(width - self._goal) < PRECISE and moved < STILL:
            self._end(Gripped.SUCCESS)
        elif self._stalled > STALLED and self._sent == self._goal:
            self._end(Gripped.UNSUCCESSFUL)

    def _hold(self, width: float) -> None:
        """Press on what is held with the force that was asked for, as far as the simulated fingers can."""
        if self.plant.task.gripper is not None:
            stiffness = float(self.plant.model.actuator(FINGER).gainprm[0])
            self._send(width - 2.0 * self._force / stiffness)

    def _send(self, width: float) -> None:
        self._sent = width
        self.plant.move_gripper(max(width, 0.0))

    def _end(self, status: Gripped) -> None:
        if self._command is not None:
            self.replies.append((*self._command, status))
            self._command = None
