"""The driver process: one robot, one controller, one cycle per state that the robot sends.

It serves the requests of its cell between two cycles. In lockstep it holds back its next command until the cell asks
for time to advance. Whatever ends the motion, it stays alive and latched, and says why, until a person recovers the
arm; it ends only with its cell.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from controllers.arms.franka import shared
from controllers.arms.franka.plan import STEP, Plan
from controllers.arms.franka.robot import ConnectionLost, Franka, RobotStopped
from controllers.arms.franka.scheduling import become_realtime, settle_memory
from controllers.arms.franka.shared import CONTROLLING, IDLE, LOST, Memory, text_of
from controllers.controller import tick
from controllers.exceptions import ArmLatched, CommandRejected, ControllersError
from controllers.interface import Pose, PoseTarget

STILL = 0.01
"""rad/s: below this in every joint, a motion may be ended."""
PATIENCE = 0.5
"""How long the arm may take to come to rest before its motion is ended all the same, s of robot time."""
FADE = 100
"""Cycles over which the torques fade out at the end of a motion: from the most that the filter lets through (70 Nm),
at a lower rate than it does."""
NAP = 0.1
"""Longest sleep, s, before the driver looks whether its cell still lives."""
WINDOW = 200
"""Cycles after which the robot's success rate, over its last hundred commands, tells of the link alone."""
RULES_EVERY = 500
"""Cycles between two copies of the filter's counters for diagnostics."""


def _robot(plan: Plan) -> Any:
    if plan.config.library == "franky":
        from controllers.arms.franka.franky import Franky

        return Franky(plan.config, plan.gains.clip, plan.home)
    return Franka(plan.config)


class Driver:
    """The loop of one robot. bell: rung by the cell with each request; answered: rung with each answer."""

    def __init__(self, plan: Plan, memory: Memory, bell: int, answered: int, parent: int) -> None:
        self._plan, self._memory = plan, memory
        self._bell, self._answered, self._parent = bell, answered, parent
        self.controller = plan.controller()
        self._arrays = self.controller.arrays
        self._sent = self._arrays["sent"]
        self._reference = self._arrays["reference_position"], self._arrays["reference_quaternion"]
        self._tau = np.zeros(shared.JOINTS)
        self._phase = shared.STARTING
        self._served = self._credit = 0
        self._before = self._looks = self._motion_cycles = 0
        self._ending = False
        self.robot = _robot(plan)
        self._row: Any = self.robot.measured.record[0]
        self._counters: Any = memory.counters[0]
        self._said_reason = ""
        self._warm_up()

    def run(self) -> None:
        """Serve until the cell ends it, or is gone."""
        try:
            while not self._ending:
                self._serve()
                if self._credit > 0 or not self._plan.lockstep:
                    self._step()
                    self._advanced()
            self._ramp_down()
        except Exception as error:
            self._fail(f"{type(error).__name__}: {error}", LOST)  # the robot stops by itself; the cell says why
            raise

    def end(self) -> None:
        """End after this cycle."""
        self._ending = True

    # Cycles

    def _step(self) -> None:
        """One control period, as far as the robot plays along."""
        try:
            if self._phase == CONTROLLING:
                self._cycle()
            elif self._phase == IDLE:
                self.robot.look()
            else:
                time.sleep(5e-3)
        except RobotStopped as error:
            self._fail(str(error), IDLE)
            self.robot.abandon()
        except ConnectionLost as error:
            self._fail(str(error), LOST)
        row = self._row
        if self._phase == CONTROLLING:
            row["cycles"] += self.robot.measured.steps
        if self._phase in (CONTROLLING, IDLE):  # else no state has come
            row["stamp"] = row["cycles"] * STEP if self._plan.lockstep else time.monotonic()
        self._publish()

    def _cycle(self) -> None:
        """Torques for the newest state, then wait for the next one."""
        measured = self.robot.measured
        if self._plan.lockstep:
            measured.arrived = time.monotonic_ns() - measured.took  # how long time stood still says nothing of the loop
        self._before = measured.arrived
        self._sent[:] = measured.tau
        self._arrays.since_target += measured.missed  # time passed, though no cycle did
        for _ in range(measured.steps):
            tick(
                self._arrays, measured.jacobian, measured.mass, measured.q, measured.dq, measured.bias,
                measured.position, measured.quaternion, self._tau,
            )  # fmt: skip
        self.robot.drive(self._tau, self._arrays)
        self._count_duration()
        self.robot.read()
        self._count_period(measured.missed)

    def _count_duration(self) -> None:
        """From the state's arrival to the command's departure."""
        counters, spent = self._counters, time.monotonic_ns() - self._before
        counters["duration"][min(spent // shared.BIN, shared.BINS - 1)] += 1
        if spent > counters["longest_duration"]:
            counters["longest_duration"] = spent

    def _count_period(self, missed: int) -> None:
        """From one state's arrival to the next; a gap is counted in the robot's own time."""
        counters, period = self._counters, self.robot.measured.arrived - self._before
        self._motion_cycles += 1
        counters["cycles"] += 1
        counters["period"][min(period // shared.BIN, shared.BINS - 1)] += 1
        if period > counters["longest_period"]:
            counters["longest_period"] = period
        if missed and not self._plan.lockstep:
            counters["missed"] += missed
            counters["longest_gap"] = max(missed, int(counters["longest_gap"]))
        if self._motion_cycles > WINDOW and self._row["success_rate"] < counters["least_success"]:
            counters["least_success"] = self._row["success_rate"]
        if counters["cycles"] % RULES_EVERY == 0:
            self._tell_rules()

    def _tell_rules(self) -> None:
        rules = {f"refused: {rule}": count for rule, count in self.controller.rejections.items()}
        rules |= {f"clamped: {rule}": count for rule, count in self.controller.clamps.items()}
        self._counters["rules"] = json.dumps(rules).encode()

    def _publish(self) -> None:
        row = self._row
        row["safety"], row["phase"] = self._arrays.state, self._phase
        row["reference_position"], row["reference_quaternion"] = self._reference
        row["reason"] = shared.bytes_of(self.controller.reason)
        row["told"] = time.monotonic()
        self._memory.state.write(self.robot.measured.record)

    # Faults

    def _fail(self, reason: str, phase: int) -> None:
        """The motion is over by itself: latch, and say so before anything else is done with the robot."""
        self._phase = phase
        self.controller.fault(reason)
        self._publish()

    def _start(self) -> None:
        """Begin a motion that holds the arm where it is."""
        measured = self.robot.measured
        self.robot.start()
        self.robot.read()
        self.controller.seed(measured.position, measured.quaternion)
        self._arrays.started = 1  # the torque to start from is known: what the robot says it has
        self._sent[:] = measured.tau
        self._motion_cycles = 0
        self._phase = CONTROLLING

    def _reach(self) -> None:
        """Connect, with the priority that was asked for: libfranka gives whoever connects the highest there is."""
        self.robot.connect()
        refused = become_realtime(0 if self._plan.lockstep else self._plan.config.priority, self._plan.config.cores)
        self._counters["scheduling"] = "; ".join(refused).encode()[:511]
        self._phase = IDLE

    def _connect(self) -> None:
        """Connect and hold; an arm in a fault is left alone, latched. Raises `ControllersError`."""
        self._reach()
        trouble = self.robot.trouble()
        if trouble:
            self.controller.fault(f"{trouble}: clear the cause, then recover the arm")
            return
        try:
            self.robot.configure()
            self._start()
        except ConnectionLost as error:
            self._fail(str(error), LOST)
            raise

    def _recover(self) -> None:
        """A person recovers: reconnect, clear errors, hold. Raises `ControllersError` while the cause persists."""
        if self._phase == CONTROLLING:
            self.controller.recover()
            return
        if self._phase == LOST:
            self._reach()
        try:
            self.robot.look()
            self.robot.look()  # what was first in the socket may be old
            self.robot.clear_errors()
            self.robot.configure()
            self.controller.recover()
            self._start()
        except RobotStopped as error:
            self._fail(str(error), IDLE)
            raise ControllersError(
                f"the motion does not start ({error}): remove the cause, then recover again"
            ) from error
        except ConnectionLost as error:
            self._fail(str(error), LOST)
            raise
        except ControllersError as error:
            self.controller.fault(str(error))
            raise

    def _ramp_down(self) -> None:
        """Hold until the arm is at rest, fade the torques out, end the motion."""
        self.controller.stop("the driver ends")
        try:
            for cycle in range(round(PATIENCE / STEP)):
                if self._phase != CONTROLLING or (cycle and np.abs(self.robot.measured.dq).max() < STILL):
                    break
                self._step()
            if self._phase == CONTROLLING:
                last = self._tau.copy()
                for cycle in range(FADE):
                    self.robot.drive(last * (1 - (cycle + 1) / FADE), self._arrays)
                    self.robot.read()
                self.robot.finish(np.zeros(shared.JOINTS))
                self._phase = IDLE
        except RobotStopped as error:
            self._fail(str(error), IDLE)
        except ConnectionLost as error:
            self._fail(str(error), LOST)
        self._tell_rules()
        self._publish()

    # Requests

    def _serve(self) -> None:
        """Take a waiting request; in lockstep sleep until time may pass."""
        while not self._ending:
            request = self._memory.request[0]
            if request["number"] != self._served:
                self._served = int(request["number"])
                self._handle(request.copy())
            if not self._plan.lockstep or self._credit > 0 or self._ending:
                break
            if select.select([self._bell], [], [], NAP)[0]:
                os.eventfd_read(self._bell)
            self._look_for_parent()
        self._looks += 1
        if self._looks % 100 == 0:
            self._look_for_parent()

    def _look_for_parent(self) -> None:
        if os.getppid() != self._parent:
            self.controller.stop("the cell's process is gone")
            self._ending = True

    def _handle(self, request: Any) -> None:
        """Do what is asked; the answer carries the error's sentence."""
        kind = int(request["kind"])
        if kind == shared.ADVANCE:
            self._credit = int(request["count"])
            return
        actions: dict[int, Callable[[], None]] = {
            shared.START: self._connect,
            shared.ACQUIRE: lambda: self.controller.acquire(text_of(request["text"])),
            shared.SUBMIT: lambda: self.controller.submit(self.controller.owner or "", target_of(request)),
            shared.STOP: lambda: self.controller.stop(text_of(request["text"])),
            shared.RECOVER: self._recover,
            shared.END: self.end,
        }
        status, text = shared.DONE, ""
        try:
            actions[kind]()
        except CommandRejected as error:
            status, text = shared.REJECTED, str(error)
        except ArmLatched as error:
            status, text = shared.IS_LATCHED, str(error)
        except ControllersError as error:
            status, text = shared.REFUSED, str(error)
        if kind != shared.END:  # its answer is the end
            self._publish()
        self._answer(status, text)

    def _advanced(self) -> None:
        """One period of an `ADVANCE` has passed; answered when all have, or when there is no motion to advance."""
        if self._credit > 0:
            self._credit = self._credit - 1 if self._phase == CONTROLLING else 0
            if self._credit == 0:
                self._answer(shared.DONE, "")

    def _answer(self, status: int, text: str) -> None:
        answer = self._memory.answer
        answer["status"], answer["text"] = status, shared.bytes_of(text, 511)
        answer["number"] = self._served
        os.eventfd_write(self._answered, 1)

    def _warm_up(self) -> None:
        """Compile all that a cycle or a request may run, before the robot waits for it."""
        spare, measured = self._plan.controller(), self.robot.measured
        still = np.zeros(shared.JOINTS)
        spare.seed(measured.position, measured.quaternion)
        spare.acquire("policy")
        spare.submit("policy", PoseTarget(Pose(measured.position, self._plan.start), 0))
        for _ in range(2):
            tick(
                spare.arrays, measured.jacobian, measured.mass, self._plan.home, still, still,
                measured.position, measured.quaternion, still.copy(),
            )  # fmt: skip
            spare.stop()
            spare.recover()
        self.robot.warm_up(spare.arrays)


def target_of(request: Any) -> PoseTarget:
    """The pose target in a request."""
    optional = {name: request[name] if request[f"has_{name}"] else None for name in shared.OPTIONAL}
    return PoseTarget(
        Pose(request["position"], request["quaternion"]),
        int(request["sequence"]),
        frame=text_of(request["frame"]),
        enabled=bool(request["enabled"]),
        **optional,
    )


def main(arguments: list[str]) -> None:
    """Arguments: descriptors of the memory, the bell and the answers, and the cell's process id; the plan on stdin."""
    fd, bell, answered, parent = (int(argument) for argument in arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the cell, which ends its driver properly
    driver = Driver(Plan.from_json(sys.stdin.read()), Memory(fd), bell, answered, parent)
    signal.signal(signal.SIGTERM, lambda *_: driver.end())
    settle_memory()
    driver.run()
    sys.stdout.flush()
    os._exit(0)  # without the library's destructors, which may still talk to a robot that is gone


if __name__ == "__main__":
    main(sys.argv[1:])
