"""The emulator's service port: one JSON object a line asks, one answers. What only an emulator can do.

    {"do": "state"}  ->  {"ok": true, "sim": {...}, "state_vector": [...], ...}
    {"do": "fault", "kind": "drop", "share": 0.1}  ->  {"ok": true}

A mistake gets {"ok": false, "error": "one sentence"}.
"""

from __future__ import annotations

import difflib
import json
import socket
from functools import partial
from typing import Any

import numpy as np

from controllers.emulators import memory, wire
from controllers.emulators.faults import KINDS
from controllers.emulators.robot import FLANGE
from controllers.emulators.server import CONTROL_PORT, PERIOD, Server
from controllers.exceptions import ControllersError
from controllers.interface import Array

NAME = "robot_rl fci emulator"
PLANNED = {"reflex": "name", "drop": "count", "disconnect": None, "stop": None, "release": None}
"""Faults that can be planned, and what stands after their colon."""
PLANNED_WORDS = ("reflex:NAME", "drop:COUNT", "disconnect", "stop", "release")


class Control:
    """A client of the service port at `address`. Raises `ControllersError` where no emulator answers, or it refuses.

    about: `arm`, `task`, `clock`, and `payload`, what the hand truly holds: `mass`, `centre` (3), `inertia` (9).
    """

    def __init__(self, address: str, timeout: float = 30.0) -> None:
        try:
            self._socket = socket.create_connection((address, CONTROL_PORT), timeout=min(timeout, 2.0))
        except OSError as error:
            raise ControllersError(f"no emulator answers at {address}:{CONTROL_PORT} ({error})") from error
        self._socket.settimeout(timeout)
        self._lines = self._socket.makefile("rb")
        self.address = address
        self.about = self.ask("about")
        if self.about.get("emulator") != NAME:
            raise ControllersError(f"what answers at {address}:{CONTROL_PORT} is not the emulator")

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """One request; its answer."""
        try:
            self._socket.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
            line = self._lines.readline()
        except OSError as error:
            raise ControllersError(f"the emulator at {self.address} does not answer ({error})") from error
        if not line:
            raise ControllersError(f"the emulator at {self.address} has ended")
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise ControllersError(f"what answers at {self.address}:{CONTROL_PORT} is not the emulator") from error
        if not answer.get("ok"):
            raise ControllersError(f"the emulator at {self.address} refuses {do!r}: {answer.get('error')}")
        return answer

    def fault(self, kind: str, **arguments: Any) -> None:
        """Make something go wrong; the kinds and their arguments: `controllers.emulators.faults.KINDS`."""
        self.ask("fault", kind=kind, **arguments)

    def reset_scene(self, seed: int) -> None:
        """Draw the task's scene anew."""
        self.ask("reset_scene", seed=seed)

    def teleport_home(self) -> None:
        """Put the arm at the task's home, at rest; a running motion is aborted."""
        self.ask("teleport_home")

    def state(self, *, clear_peak: bool = False) -> dict[str, Any]:
        """`sim` (name to array), `state_vector` (array), `time` (s), `mode`, `errors` (names), `counts`.

        clear_peak: the largest force `sim["peak_force"]` starts anew after this.
        """
        answer = self.ask("state", clear_peak=clear_peak)
        answer["sim"] = {name: np.array(values) for name, values in answer["sim"].items()}
        answer["state_vector"] = np.array(answer["state_vector"])
        return answer

    def set_state_vector(self, state: Array) -> None:
        """Put the whole scene, arm included, into a state of an equal plant; a running motion is aborted."""
        self.ask("set_state_vector", state=[float(value) for value in state])

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Service:
    """Answers the lines for one server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def plan(self, seconds: float, words: str) -> None:
        """Let a fault come at a second of the robot's time: `reflex:joint_reflex`, `drop:20`, `stop`, `disconnect`.

        Raises `ControllersError` for a fault that there is not.
        """
        kind, _, argument = words.partition(":")
        if kind not in PLANNED or bool(argument) != (PLANNED[kind] is not None):
            raise ControllersError(f"there is no fault {words!r} to plan; choose one of {', '.join(PLANNED_WORDS)}")
        request: dict[str, Any] = {"kind": kind}
        if kind == "reflex":
            error_index(argument)
        elif kind == "drop" and not argument.isdigit():
            raise ControllersError(f"{words!r} drops {argument} commands: give a whole number")
        if PLANNED[kind] is not None:
            request[str(PLANNED[kind])] = argument
        cycle = round(seconds / PERIOD)
        self._server.events = sorted(
            [*self._server.events, (cycle, partial(self._fault, request))], key=lambda event: event[0]
        )

    def __call__(self, line: bytes) -> bytes:
        try:
            request = json.loads(line)
            answer = self._answer(str(request.pop("do")), request)
            self._server.tell()
        except (ControllersError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            return json.dumps({"ok": False, "error": f"{type(error).__name__}: {error}"}).encode()
        return json.dumps({"ok": True, **answer}).encode()

    def _answer(self, do: str, request: dict[str, Any]) -> dict[str, Any]:
        server, robot = self._server, self._server.robot
        if do == "about":
            return self._about()
        if do == "state":
            return self._state(bool(request.get("clear_peak", False)))
        if do == "fault":
            return self._fault(request)
        if do == "reset_scene":
            robot.plant.reset_scene(int(request["seed"]))
            robot.moved()
        elif do == "teleport_home":
            robot.plant.teleport_home()
            robot.reset()
        elif do == "set_state_vector":
            robot.plant.set_state_vector(np.array(request["state"], dtype=float))
            robot.reset()
        elif do == "timing":
            return server.timing()
        elif do == "quit":
            server.running = False
        else:
            raise ControllersError(f"there is no request {do!r}")
        return {}

    def _about(self) -> dict[str, Any]:
        plant = self._server.robot.plant
        mass, centre, inertia = memory.payload(plant.model, FLANGE)
        load = {"mass": mass, "centre": centre.tolist(), "inertia": inertia.ravel().tolist()}
        return {
            "emulator": NAME,
            "arm": plant.arm.name,
            "task": plant.task.name,
            "clock": self._server.clock,
            "payload": load,
        }

    def _state(self, clear_peak: bool) -> dict[str, Any]:
        robot = self._server.robot
        values = {**robot.plant.sim(), "peak_force": robot.views.peak}
        sim = {name: np.asarray(value).tolist() for name, value in values.items()}
        if clear_peak:
            robot.views.peak[0] = 0.0
        return {
            "sim": sim,
            "state_vector": robot.plant.state_vector().tolist(),
            "time": robot.plant.time,
            "mode": robot.mode.name.lower(),
            "errors": [wire.ERRORS[i] for i in np.flatnonzero(robot.packer.flags["errors"])],
            "counts": dict(robot.counts),
        }

    def _fault(self, request: dict[str, Any]) -> dict[str, Any]:
        server, robot, link, kind = self._server, self._server.robot, self._server.link, request.get("kind")
        if kind == "drop":
            link.set(drop=float(request.get("share", link.drop)), burst=int(request.get("count", 0)))
        elif kind == "delay":
            link.set(delay=int(request["cycles"]))
        elif kind == "reorder":
            link.set(reorder=float(request["share"]))
        elif kind == "reflex":
            robot.reflex(error_index(str(request["name"])))
        elif kind == "disconnect":
            server.disconnect()
        elif kind in ("stop", "release"):
            robot.user_stop(kind == "stop")
        elif kind == "clear":
            link.set(drop=0.0, burst=0, delay=0, reorder=0.0)
        else:
            raise ControllersError(f"there is no fault {kind!r}; choose one of {', '.join(KINDS)}")
        return {}


def error_index(name: str) -> int:
    """Bit of an error by its name. Raises `ControllersError` with the likely name."""
    if name not in wire.ERRORS:
        near = difflib.get_close_matches(name, wire.ERRORS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ControllersError(f"there is no error {name!r} of a Franka{hint}; docs/emulator.md lists them")
    return wire.ERRORS.index(name)
