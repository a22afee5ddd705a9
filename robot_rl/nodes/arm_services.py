"""The arm node's services and parameters: who holds the arm, stop, recover, home, tare, compliance, scene."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from controllers.arms.ros import COMPLIANCE
from controllers.exceptions import ControllersError
from controllers.interface import OWNERS

if TYPE_CHECKING:
    from robot_rl.nodes.arm import ArmNode


def offer_services(arm: ArmNode) -> None:
    """Declare `arm`'s services and parameters on its node."""
    services = _Services(arm)
    for owner in OWNERS:
        services.offer(f"acquire/{owner}", functools.partial(arm.acquire, owner))
    services.offer("stop", services.stop)
    services.offer("recover", arm.recover)
    services.offer("tare", arm.cell.tare)
    services.offer("home", arm.go_home)
    services.declare_parameters()


class _Services:
    def __init__(self, arm: ArmNode) -> None:
        self._arm = arm
        self._stop_reason = "stop requested"

    def offer(self, name: str, act: Callable[[], None]) -> None:
        """A Trigger service `~/NAME`; its answer is the stamp, ns, from which its effect is to be seen."""

        def serve(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            with self._arm.lock:
                try:
                    act()
                except ControllersError as error:
                    response.success, response.message = False, str(error)
                    return response
                response.success, response.message = True, str(self._arm.changed())
            return response

        self._arm.host.node.create_service(Trigger, f"~/{name}", serve)

    def stop(self) -> None:
        """Latch, for the reason that the parameter `stop_reason` gives."""
        self._arm.stop(self._stop_reason)

    def declare_parameters(self) -> None:
        """`scene_seed`, `stop_reason`, and each owner's `OWNER.stiffness`, `OWNER.damping` and `OWNER.clip`.

        A parameter service does not say who calls it; so the name says for whom, like a target's topic, and only the
        holder's are taken.
        """
        node = self._arm.host.node
        node.declare_parameter("scene_seed", -1)
        node.declare_parameter("stop_reason", self._stop_reason)
        for owner in OWNERS:
            for name in COMPLIANCE:
                node.declare_parameter(f"{owner}.{name}", Parameter.Type.DOUBLE_ARRAY)
        node.add_on_set_parameters_callback(self._set)

    def _set(self, parameters: list[Parameter]) -> SetParametersResult:
        """`reason` of a success is the stamp from which a new scene is to be seen."""
        for parameter in parameters:
            owner, _, name = parameter.name.partition(".")
            if parameter.name == "scene_seed":
                return self._draw_scene(parameter)
            if parameter.name == "stop_reason":
                self._stop_reason = str(parameter.value)
            if name in COMPLIANCE:
                with self._arm.lock:
                    if owner != self._arm.owner:
                        holder = self._arm.owner or "nobody"
                        return SetParametersResult(
                            successful=False, reason=f"{owner} does not hold the arm, {holder} does: acquire it first"
                        )
                    self._arm.compliance[name] = np.array(parameter.value) if parameter.value else None
        return SetParametersResult(successful=True)

    def _draw_scene(self, parameter: Parameter) -> SetParametersResult:
        """Draw the twin's scene anew. Elsewhere a person does, and nothing changes."""
        seed = int(parameter.value)
        if seed < 0:
            return SetParametersResult(successful=False, reason=f"scene_seed is {seed}, but must be at least 0")
        with self._arm.lock:
            try:
                self._arm.cell.reset_scene(seed)
                return SetParametersResult(successful=True, reason=str(self._arm.changed()))
            except ControllersError as error:
                return SetParametersResult(successful=False, reason=str(error))
