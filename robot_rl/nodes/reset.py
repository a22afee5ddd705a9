"""The reset node: brings the cell to the start of an episode, on request.

The seed of the episode is the parameter `seed`, set before the service `reset` is called; so a reset that is
asked for twice, or by an actor that came back, draws the same scene and start.
"""

from __future__ import annotations

from pathlib import Path

from std_srvs.srv import Trigger

from controllers.exceptions import ControllersError
from robot_rl.actors import FIRST
from robot_rl.envs.reset import ScriptedReset
from robot_rl.nodes.base import ON_SCHEDULE, Host, hosting, settle_memory
from robot_rl.nodes.protocol import RESET_SERVICE, SEED


def main(run: Path, ros_args: list[str], actor: str = FIRST) -> None:
    """Run the node until interrupted."""
    with hosting("reset", run, ros_args, actor=actor, priority=ON_SCHEDULE) as host:
        host.node.declare_parameter(SEED, 0)
        serve(host)


def serve(host: Host) -> None:
    """Answer with the stamp, ns, of the first reading of the episode, or with what went wrong."""
    cell = host.cell(sim=False, cameras=False, owner="reset")
    reset = ScriptedReset(host.task)
    requests = host.listener.serve(Trigger, RESET_SERVICE)
    settle_memory()
    count = 0
    while True:
        host.listener.wait([requests], 1.0)
        taken = requests.take()
        if taken is None:
            continue
        seed = int(host.node.get_parameter(SEED).value)
        try:
            reset(cell, seed)
            answer = Trigger.Response(success=True, message=str(cell.stamp))
            count += 1
            host.status("ok", "ready", resets=count, seed=seed)
        except ControllersError as error:
            host.node.get_logger().error(str(error))
            host.status("error", str(error), resets=count, seed=seed)
            answer = Trigger.Response(success=False, message=f"{type(error).__name__}: {error}")
        requests.answer(taken[1], answer)
