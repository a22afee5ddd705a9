"""The reward node: judges each tick's reading and publishes one label for it, under the same stamp."""

from __future__ import annotations

from pathlib import Path

from sensor_msgs.msg import JointState

from controllers.arms.ros_io import STATE
from controllers.arms.ros_messages import named_message
from controllers.exceptions import CellTimeout
from robot_rl.actors import FIRST
from robot_rl.cells import reward_of
from robot_rl.nodes.base import ON_SCHEDULE, hosting, settle_memory
from robot_rl.nodes.protocol import LABEL_TOPIC


def main(run: Path, ros_args: list[str], actor: str = FIRST) -> None:
    """Run the node until interrupted."""
    with hosting("reward", run, ros_args, actor=actor, priority=ON_SCHEDULE) as host:
        reward = host.config.reward
        cell = host.cell(sim=True, cameras=reward == "progress", features=reward == "classifier")
        model = reward_of(host.config)
        labels = host.node.create_publisher(JointState, LABEL_TOPIC, STATE)
        settle_memory()
        count = 0
        while True:
            try:
                reading = cell.follow()
            except CellTimeout as error:
                host.status("warn", str(error), labels=count)
                continue
            result = model(reading)
            values = {"reward": result.value, "success": float(result.success)}
            labels.publish(named_message(values, cell.stamp))
            count += 1
            host.status("ok", "labelling", labels=count, source=model.source)
