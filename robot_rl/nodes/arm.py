"""The arm node: owns the cell, and stands between it and everybody who wants to move it.

In lockstep it publishes the state of a tick and advances by one period when the holder's target for the next
tick has arrived; silent for half a second, it says the state again, so that a node that comes late, or back,
finds it. In real time it publishes at `RATE`, whatever arrives, what the cell measured last. Neither torch nor JAX
is loaded here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from controllers import spatial
from controllers.arms import ros_messages as messages
from controllers.arms.ros import COMPLIANCE
from controllers.arms.ros_io import LATCHED, STATE, time_message
from controllers.exceptions import ArmLatched, CellTimeout, CommandRejected
from controllers.interface import Array, Backend, Pose, PoseTarget, Reading
from robot_rl import cells
from robot_rl.actors import FIRST
from robot_rl.nodes.arm_services import offer_services
from robot_rl.nodes.base import OWNS_ARM, Host, hosting, settle_memory
from robot_rl.nodes.crisp import CrispServer, CrispServices
from robot_rl.nodes.deadman import Deadman
from robot_rl.nodes.targets import Request, Targets
from robot_rl.nodes.timing import Pace

RATE = 100
"""State messages a second in real time."""
REPEAT = 0.5
"""Silence, s, after which lockstep says its state again."""
CLOSE, TURNED, STILL = 0.003, 0.02, 0.01
"""Distance, m, turn, rad, and speed, m/s, at which the arm counts as home."""
HOMING = 30.0
"""Time, s, after which a way home that something blocks is given up."""


class ArmNode:
    """The cell, its mux and its services. `lock` guards the cell and all that follows: services run in another thread.

    owner: who holds the arm, "" for nobody. compliance: of the holder, None for the task's.
    """

    def __init__(self, host: Host, cell: Backend) -> None:
        self.host, self.cell = host, cell
        self.lock = threading.Lock()
        self.owner = ""
        self.compliance: dict[str, Array | None] = dict.fromkeys(COMPLIANCE)
        self.targets = Targets(host.listener, gripper=host.task.gripper is not None)
        self._deadman = Deadman(host.listener)
        self._pace = Pace(None if host.lockstep else cell.period)
        self._period = round(cell.period * 1e9)
        self._tick, self._revision, self._stamp = 0, 0, 0
        self._state_vector: Callable[[], Array] | None = getattr(cell, "state_vector", None)  # a twin's alone
        self._homing: Pose | None = None
        self._home_left = 0
        self._moving = False
        self._trouble = self._rivals = ""
        self._said_safety: str | None = None
        node = host.node
        self._publishers: dict[str, Any] = {}
        self._safety = node.create_publisher(String, "safety_state", LATCHED)
        self._clock = node.create_publisher(Clock, "/clock", STATE) if host.lockstep else None
        self._tf = _tf_publisher(host)
        description = node.create_publisher(String, "robot_description", LATCHED)
        description.publish(String(data=cell.robot_description))
        offer_services(self)
        self._crisp = None if host.lockstep else CrispServer(self)
        self._crisp_services = None if self._crisp is None else _serve_crisp(self, self._crisp)
        node.create_timer(0.5, self._watch)

    def run_lockstep(self) -> None:
        """Serve until interrupted."""
        self._publish(self.cell.read())
        said = time.monotonic()
        while True:
            if self._homing is None:
                self.targets.wait(REPEAT)
            with self.lock:
                self._collect()
                request = self.targets.take(self.owner, (self._tick + 1) * self._period)
                if request is not None or self._homing is not None:
                    self._command(request)
                    self.cell.wait()
                    self._tick, self._revision = self._tick + 1, 0
                    self._pace.beat()
                elif time.monotonic() - said < REPEAT:
                    continue
                self._publish(self.cell.read())
            said = time.monotonic()

    def run_realtime(self) -> None:
        """Serve until interrupted, on multiples of the period; missed ones are skipped, not made up for."""
        due = -(-time.time_ns() // self._period) * self._period
        while True:
            self.host.listener.sleep((due - time.time_ns()) / 1e9)
            with self.lock:
                self._collect()
                self._stamp = due
                try:
                    self._command(self.targets.take(self.owner))
                    # simulated time passes here; elsewhere it passes by itself
                    self._publish(self.cell.wait() if self.cell.abilities.lockstep else self.cell.read())
                    self._trouble = ""
                except CellTimeout as error:
                    self._trouble = str(error)  # said on /diagnostics; without a measurement nothing is published
            self._pace.beat()
            due = max(due + self._period, time.time_ns() // self._period * self._period)

    def close(self) -> None:
        """End what serves others; the cell is its owner's to close."""
        if self._crisp_services is not None:
            self._crisp_services.close()

    # Who may move the arm

    def acquire(self, owner: str) -> None:
        """Hand the arm to `owner`, with the task's compliance."""
        self._homing = None
        self._moving = False
        self.cell.acquire(owner)
        self.owner = owner
        self.targets.forget()
        self.compliance = dict.fromkeys(COMPLIANCE)
        if self._crisp is not None:
            self._crisp.handed_over()

    def refuse(self, what: str, error: Exception) -> None:
        """A message that says nothing sensible: counted for diagnostics, and told."""
        self.targets.refused[what] += 1
        self.host.node.get_logger().warning(str(error), throttle_duration_sec=1.0)

    def go_home(self) -> None:
        """To the task's start pose, within clip and speed limits; `reset` holds the arm meanwhile.

        Raises `ArmLatched`.
        """
        reading = self.cell.read()
        if reading.safety == "latched":
            raise ArmLatched(f"the arm is latched: {reading.reason}; recover it first.")
        self.acquire("reset")
        self._homing, self._home_left = self.host.task.start, round(HOMING / self.cell.period)

    def stop(self, reason: str) -> None:
        """Latch, and give up what the arm was doing."""
        self._give_up(f"the arm was stopped: {reason}")
        self.cell.stop(reason)

    def recover(self) -> None:
        """Clear the latch. What was said before is not carried out: it was meant for another moment."""
        self.cell.recover()
        self._collect()
        self.targets.forget()
        self._deadman.release()
        self._give_up("the arm was recovered")

    def _give_up(self, why: str) -> None:
        self._homing = None
        if self._crisp is not None:
            self._crisp.forget(why)

    def changed(self) -> int:
        """Something changed between two ticks: say so with a stamp (ns) of its own, which is returned."""
        if not self.host.lockstep:
            return time.time_ns()
        self._revision += 1
        self._publish(self.cell.read())
        return self._stamp

    def _collect(self) -> None:
        """What has arrived; the deadman last, so that one sent before a target is not missed."""
        self.targets.collect(self.owner)
        if self._crisp is not None:
            self._crisp.collect()
        if self._crisp_services is not None and self._crisp_services.gripper is not None:
            self._crisp_services.gripper.collect()
        self._deadman.collect()

    def _command(self, request: Request | None) -> None:
        """Hand a target to the filter. Refused or latched: time passes all the same, the reference stays."""
        try:
            if self._homing is not None:
                self._step_home(self._homing)
            elif self.owner == "teleop" and not self._deadman.held:
                self._let_go(request)
            elif self.owner == "external" and self._crisp is not None:
                wanted = self._crisp.target(request, self.cell.read())
                if wanted is not None:
                    self.cell.command(*wanted)
            elif request is not None:
                self.cell.command(self._target(request), request.width)
                self._moving = True
        except CommandRejected as error:
            self.refuse("filter", error)
        except ArmLatched:
            self._homing = None
            self.targets.refused["latched"] += 1

    def _let_go(self, request: Request | None) -> None:
        """Nobody holds the deadman: the arm holds where it is, at once and once, whatever `teleop` sends."""
        if request is not None:
            self.targets.refused["no deadman"] += 1
        if self._moving:
            self._moving = False
            self.cell.command(PoseTarget(self.cell.read().arm.pose, 0, enabled=False))

    def _target(self, request: Request) -> PoseTarget:
        return PoseTarget(
            messages.pose_from(request.pose.pose),
            request.stamp or time.time_ns(),
            frame=request.pose.header.frame_id,
            stiffness=self.compliance["stiffness"],
            damping=self.compliance["damping"],
            clip=self.compliance["clip"],
        )

    def _step_home(self, goal: Pose) -> None:
        arm = self.cell.read().arm
        away = float(np.linalg.norm(arm.pose.position - goal.position))
        turn = float(
            np.linalg.norm(spatial.log(spatial.multiply(spatial.conjugate(arm.pose.quaternion), goal.quaternion)))
        )
        self._home_left -= 1
        if away < CLOSE and turn < TURNED and np.linalg.norm(arm.twist[:3]) < STILL:
            self._homing = None
        elif self._home_left <= 0:
            self._homing = None
            self.host.node.get_logger().warning(
                f"after {HOMING:g} s the arm is still {1e3 * away:.1f} mm and {np.degrees(turn):.1f} degrees from "
                "home, so it stays where it is; clear what blocks it, then call home again."
            )
        self.cell.command(PoseTarget(goal, time.time_ns()))

    # Publishing

    def _publish(self, reading: Reading) -> None:
        if self.host.lockstep:
            self._stamp = self._tick * self._period + self._revision
        outgoing = messages.arm_messages(reading, self._stamp, self.cell.joint_names)
        if self._state_vector is not None:
            outgoing[messages.STATE_TOPIC] = messages.vector_message(self._state_vector(), self._stamp)
        for topic, message in outgoing.items():
            if topic not in self._publishers:
                self._publishers[topic] = self.host.node.create_publisher(type(message), topic, STATE)
            self._publishers[topic].publish(message)
        if self._crisp_services is not None and self._crisp_services.gripper is not None:
            self._crisp_services.gripper.publish(reading, self._stamp)
        if self._clock is not None:
            self._clock.publish(Clock(clock=time_message(self._stamp)))
        if self._tf is not None:
            self._tf(reading, outgoing["current_pose"])
        self._say_safety(reading)

    def _say_safety(self, reading: Reading) -> None:
        """Latched, and on change only: for people and monitors; `safety` is for every tick."""
        said = f"{reading.safety}: {reading.reason}" if reading.reason else reading.safety
        if said != self._said_safety:
            self._said_safety = said
            self._safety.publish(String(data=said))

    def _watch(self) -> None:
        """Twice a second: rivals on a target topic, and what diagnostics say."""
        rivals = self._look_for_rivals()
        if rivals and rivals != self._rivals:
            self.host.node.get_logger().error(rivals)
        self._rivals = rivals
        with self.lock:
            health, trouble = self.cell.health(), self._trouble or rivals
            values = {"owner": self.owner or "nobody", **self._pace.report(), **health.values}
            values |= {f"refused: {rule}": count for rule, count in self.targets.refused.items()}
        self.host.status("error" if trouble else health.level, trouble or health.message, **values)

    def _look_for_rivals(self) -> str:
        """Which topics have two publishers; an empty text for none."""
        where = [f"the target topic of {owner}" for owner in sorted(self.targets.look_for_rivals())]
        if self._deadman.look_for_rivals():
            where.append("the deadman")
        if self._crisp is not None:
            where += sorted(self._crisp.look_for_rivals())
        if not where:
            return ""
        return f"two publishers on {', '.join(where)}: both are refused until one is gone; end one of the nodes."


def _serve_crisp(arm: ArmNode, crisp: CrispServer) -> CrispServices | None:
    """The services that crisp's client calls, where their message packages are installed."""
    try:
        return CrispServices(arm, crisp)
    except ImportError as error:
        arm.host.node.get_logger().info(
            f"crisp_py cannot switch controllers here ({error}); python tools/genmsg.py interfaces/* makes the packages"
        )
        return None


def _tf_publisher(host: Host) -> Callable[[Reading, Any], None] | None:
    """Publishes base -> tool on /tf, where tf2_msgs is installed (it is not on PyPI).

    In a namespace the frames bear its name (`left/base`), so that two arms are not one.
    """
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        return None
    from geometry_msgs.msg import TransformStamped

    publisher = host.node.create_publisher(TFMessage, "/tf", STATE)
    namespace = host.node.get_namespace().strip("/")
    prefix = f"{namespace}/" if namespace else ""

    def publish(_: Reading, pose: Any) -> None:
        transform = TransformStamped(child_frame_id=f"{prefix}tool")
        transform.header.stamp, transform.header.frame_id = pose.header.stamp, f"{prefix}{pose.header.frame_id}"
        point = pose.pose.position
        origin = transform.transform.translation
        origin.x, origin.y, origin.z = point.x, point.y, point.z
        transform.transform.rotation = pose.pose.orientation
        publisher.publish(TFMessage(transforms=[transform]))

    return publish


def open_backend(host: Host) -> Backend:
    """The run's cell; in real time it is read at `RATE`."""
    return cells.open_backend(host.config, host.task, period=None if host.lockstep else 1.0 / RATE)


def main(run: Path, ros_args: list[str], actor: str = FIRST) -> None:
    """Run the node until interrupted."""
    with hosting("arm", run, ros_args, actor=actor, priority=OWNS_ARM) as host:
        cell = open_backend(host)
        try:
            node = ArmNode(host, cell)
            settle_memory()
            try:
                node.run_lockstep() if host.lockstep else node.run_realtime()
            finally:
                node.close()
        finally:
            cell.close()
