"""The reset node: brings the cell to the start of an episode, on request.

The seed of the episode is the parameter `seed`, set before the service `reset` is called; so a reset that is
asked for twice, or by an actor that came back, draws the same scene and start.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from std_srvs.srv import Trigger

from controllers.exceptions import ControllersError
from robot_rl.actors import FIRST
from robot_rl.nodes.base import ON_SCHEDULE, Host, hosting, settle_memory
from robot_rl.nodes.protocol import RESET_SERVICE, SEED
from robot_rl.resets.recovery import RecoveringReset


def main(run: Path, ros_args: list[str], actor: str = FIRST) -> None:
    """Run the node until interrupted."""
    with hosting("reset", run, ros_args, actor=actor, priority=ON_SCHEDULE) as host:
        host.node.declare_parameter(SEED, 0)
        serve(host)


def serve(host: Host) -> None:
    """Answer with the stamp, ns, of the episode's first reading and how it went, as JSON; or with what is wrong."""
    settings = host.config.reset
    if settings.reverse:
        settings = dataclasses.replace(settings, draw=False)  # each task begins with what the other has done
    kept = host.config.robot == "twin" and not settings.draw  # then somebody has to see what is lost
    cell = host.cell(sim=kept and host.task.lost is not None, cameras=False, owner="reset")
    reset = RecoveringReset(host.task, settings)
    requests = host.listener.serve(Trigger, RESET_SERVICE)
    settle_memory()
    count = tried = 0
    while True:
        host.listener.wait([requests], 1.0)
        taken = requests.take()
        if taken is None:
            continue
        seed = int(host.node.get_parameter(SEED).value)
        try:
            reset(cell, seed)
            told = json.dumps({"stamp": cell.stamp, **dataclasses.asdict(reset.outcome)})
            answer = Trigger.Response(success=True, message=told)
            count, tried = count + 1, tried + len(reset.outcome.failures)
            host.status("ok", "ready", resets=count, seed=seed, **{"failed attempts": tried})
        except ControllersError as error:
            host.node.get_logger().error(str(error))
            tried += len(reset.outcome.failures)
            host.status("error", str(error), resets=count, seed=seed, **{"failed attempts": tried})
            answer = Trigger.Response(success=False, message=f"{type(error).__name__}: {error}")
        requests.answer(taken[1], answer)
