"""The emulated robot without its network: modes, motions, reflexes and recovery around the compiled cycle."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from controllers.emulators import cycle, generators, memory, wire
from controllers.emulators.wire import ERRORS, Answered, Command, Controller, Generator, Mode, Moved
from controllers.interface import Array
from controllers.twin.plant import Plant

FLANGE = "fr3_flange"
LOST = memory.LOST
COMMUNICATION = ERRORS.index("communication_constraints_violation")
STIFFNESS_RANGES = (0.0, 14250.0), (10.0, 3000.0), (1.0, 300.0)
"""Of a joint (Nm/rad), of the hand (N/m, Nm/rad), as the maker accepts them."""
PATIENCE = 500
"""Cycles that a motion waits for its first command."""
WINDOW = 100
"""Commands that the success rate is taken over."""


@dataclass
class Robot:
    """One FR3 with its hand. `plant` is its world; `cycle` is one millisecond of it.

    mode, errors and reason (41,) as the state shows them. replies: (id, status) of Move commands that have ended.
    lost: commands missed in a row. moves: id of the running Move. counts: what happened, by name.
    """

    plant: Plant
    mode: Mode = Mode.IDLE
    replies: list[tuple[int, Moved]] = field(default_factory=list)
    lost: int = 0
    move_id: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {"cycles": 0, "lost": 0, "reflexes": 0, "moves": 0})

    def __post_init__(self) -> None:
        self.views = self.plant.views
        self.memory = memory.new_robot(self.plant.model, FLANGE, float(self.views.share[0]))
        self.packer = wire.Packer(np.asarray(self.memory.state).reshape(1))
        self._received: deque[bool] = deque(maxlen=WINDOW)
        self.reset()

    def reset(self) -> None:
        """The arm was put somewhere by hand: it rests there."""
        self.abort(Moved.ABORTED)
        self.memory.state.tau_ext_hat_filtered = 0.0
        self.views.constraint[:] = 0.0  # of where the arm was; the next cycle finds the new ones
        self.memory.state.tau_J_d = 0.0
        cycle.refresh(self.views, self.memory)
        self.memory.state.dq_d, self.memory.holding = 0.0, 1
        self._show()

    def moved(self) -> None:
        """The scene was changed by hand, the arm was not: what is measured anew."""
        cycle.measure(self.views, self.memory)
        cycle.weigh(self.views, self.memory)

    def warm_up(self) -> None:
        """Compile everything that a client may call for, then be as new."""
        state = self.plant.state_vector()
        for controller, generator in ((2, 4), (0, 0), (1, 2)):
            self.move(0, controller, generator, False)
            command = np.zeros(1, wire.COMMAND)[0]
            command["q_c"], command["O_T_EE_c"] = self.memory.state.q_d, self.memory.state.O_T_EE_c
            self.cycle(command)
            self.abort(Moved.ABORTED)
        self.plant.set_state_vector(state)
        self.reset()
        self.recover()
        self.replies.clear()
        self.counts = dict.fromkeys(self.counts, 0)

    @property
    def moving(self) -> bool:
        """Whether a motion runs, or waits for its first command."""
        return self.mode == Mode.MOVE

    @property
    def settled(self) -> bool:
        """Whether nothing would change without a command: the arm holds still."""
        still = bool(np.abs(self.memory.state.dq).max() < 1e-3)
        return not self.moving and bool(self.memory.holding) and still

    # Motions.

    def move(self, command_id: int, controller: int, generator: int, asynchronous: bool) -> Moved:
        """Start a motion; the status of the first reply."""
        if asynchronous or controller > Controller.EXTERNAL or generator > Generator.CARTESIAN_VELOCITY:
            return Moved.INVALID_ARGUMENT
        if self.mode != Mode.IDLE:
            return Moved.NOT_POSSIBLE
        if generator == Generator.NONE - 1 and controller != Controller.EXTERNAL:
            return Moved.INVALID_ARGUMENT
        robot = self.memory
        robot.generator, robot.controller = generator + 1, controller
        robot.started, robot.finished = 0, 0
        self.move_id, self.lost, self.mode = command_id, 0, Mode.MOVE
        self._received.clear()
        self.packer.flags["reflex_reason"] = 0
        self.counts["moves"] += 1
        self._show()
        return Moved.STARTED

    def end(self, status: Moved, mode: Mode = Mode.IDLE) -> None:
        """The running motion ends with `status`; the arm brakes."""
        self.replies.append((self.move_id, status))
        self.mode = mode
        self.memory.moving = 0
        self._show()

    def abort(self, status: Moved) -> None:
        """End the motion if one runs."""
        if self.mode == Mode.MOVE:
            self.memory.holding = 0
            self.end(status)

    def cycle(self, command: np.void | None) -> None:
        """One millisecond, with the client's command if one came."""
        robot = self.memory
        robot.fresh = 0
        if self.moving:
            self._take(command)
        ran = bool(robot.moving)
        cycle.run(self.views, robot)
        self.counts["cycles"] += 1
        if ran and not robot.moving:
            self.reflex(*np.flatnonzero(robot.errors))
        elif ran and robot.finished:
            robot.holding = int(robot.generator != Generator.NONE)
            self.end(Moved.SUCCESS)

    def _take(self, command: np.void | None) -> None:
        """A command, or one more that is missing. Until the first the arm holds still."""
        robot = self.memory
        if command is not None:
            np.asarray(robot)["command"] = command
            robot.fresh, robot.moving, self.lost = 1, 1, 0
            robot.finished = int(command["motion_finished"]) | int(command["torque_finished"])
        else:
            self.lost += 1
        if robot.moving:
            self.counts["lost"] += command is None
            self._received.append(command is not None)
            self.packer.flags["control_command_success_rate"] = sum(self._received) / len(self._received)
        if self.lost >= (LOST if robot.moving else PATIENCE):
            self.reflex(COMMUNICATION)

    def reflex(self, *errors: int) -> None:
        """Stop because of `errors` (indices of `wire.ERRORS`); a motion is over. Stays until recovery."""
        for error in errors:
            self.packer.flags["errors"][error] = 1
        self.counts["reflexes"] += 1
        self.memory.moving, self.memory.holding = 0, 0
        if self.mode == Mode.MOVE:
            self.packer.flags["reflex_reason"] = self.packer.flags["errors"]
            self.end(Moved.REFLEX, Mode.REFLEX)
        elif self.mode != Mode.USER_STOPPED:
            self.mode = Mode.REFLEX
            self._show()

    def user_stop(self, pressed: bool) -> None:
        """The person's stop: brakes the arm and refuses motion until it is released."""
        if pressed and self.mode == Mode.MOVE:
            self.memory.holding = 0
            self.end(Moved.EMERGENCY)
        if pressed:
            self.mode = Mode.USER_STOPPED
        elif self.mode == Mode.USER_STOPPED:
            self.mode = Mode.REFLEX if self.packer.flags["errors"].any() else Mode.IDLE
        self._show()

    def recover(self) -> int:
        """Automatic error recovery; the status of its reply."""
        if self.mode == Mode.USER_STOPPED:
            return wire.RECOVERY_EMERGENCY
        if self.mode == Mode.MOVE:
            return Answered.NOT_POSSIBLE
        self.packer.flags["errors"] = 0
        self.memory.state.joint_collision, self.memory.state.cartesian_collision = 0.0, 0.0
        self.mode = Mode.IDLE
        self._show()
        return Answered.SUCCESS

    def _show(self) -> None:
        flags, robot = self.packer.flags, self.memory
        flags["robot_mode"] = self.mode
        moves = self.mode == Mode.MOVE
        flags["motion_generator_mode"] = robot.generator if moves else Generator.IDLE
        flags["controller_mode"] = robot.controller if moves else Controller.OTHER
        if not moves:
            flags["control_command_success_rate"] = 0.0

    # Settings.

    def configure(self, command: Command, values: Array) -> Answered:
        """One of the setting commands with its doubles; the status of its reply."""
        if self.mode == Mode.MOVE:
            return Answered.NOT_POSSIBLE
        if not np.isfinite(values).all() or not self._acceptable(command, values):
            return Answered.INVALID_ARGUMENT
        robot, state = self.memory, self.memory.state
        if command == Command.SET_COLLISION_BEHAVIOR:
            self._set_thresholds(values)
        elif command == Command.SET_JOINT_IMPEDANCE:
            robot.joint_stiffness = values
        elif command == Command.SET_CARTESIAN_IMPEDANCE:
            robot.cartesian_stiffness = values
        elif command == Command.SET_EE_TO_K:
            state.EE_T_K = values
        elif command == Command.SET_NE_TO_EE:
            state.NE_T_EE = values
            frame = state.F_T_NE.reshape(4, 4).T @ values.reshape(4, 4).T
            state.F_T_EE = frame.T.ravel()
        else:
            state.m_load, state.F_x_Cload, state.I_load = values[0], values[1:4], values[4:]
        cycle.measure(self.views, robot)
        cycle.weigh(self.views, robot)
        generators.command_desired(robot)
        return Answered.SUCCESS

    def _acceptable(self, command: Command, values: Array) -> bool:
        if command == Command.SET_COLLISION_BEHAVIOR:
            return bool((values >= 0.0).all())
        if command == Command.SET_JOINT_IMPEDANCE:
            return _within(values, STIFFNESS_RANGES[0])
        if command == Command.SET_CARTESIAN_IMPEDANCE:
            return _within(values[:3], STIFFNESS_RANGES[1]) and _within(values[3:], STIFFNESS_RANGES[2])
        if command == Command.SET_LOAD:
            return bool(values[0] >= 0.0)
        return bool(generators.homogeneous(values))

    def _set_thresholds(self, values: Array) -> None:
        start = 0
        for name in memory.WIRE_THRESHOLDS:
            field_ = self.memory.thresholds[name]
            field_[:] = values[start : start + len(field_)]
            start += len(field_)


def _within(values: Array, bounds: tuple[float, float]) -> bool:
    return bool((values >= bounds[0]).all() and (values <= bounds[1]).all())
