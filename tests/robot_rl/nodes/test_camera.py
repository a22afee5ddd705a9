"""Images over ROS are those that the cell itself would have rendered."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from controllers.exceptions import RenderingError
from controllers.interface import Pose, PoseTarget
from controllers.twin import TwinCell
from robot_rl.exceptions import ConfigError


@pytest.mark.egl
def test_images_belong_to_their_tick_bit_for_bit(arm, host, background):
    from robot_rl.nodes.camera import CameraNode

    client = host("client")
    cell = TwinCell(client.task, seed=0, cameras=client.task.cameras)
    try:
        cell.read()
    except RenderingError as error:
        pytest.skip(str(error))
    arm()
    for spec in client.task.cameras:
        served = host(f"camera_{spec.name}")
        background(served, lambda served=served, spec=spec: CameraNode(served, spec.name).run())
    proxy = client.cell(sim=False, cameras=True)
    for each in (proxy, cell):
        each.acquire("policy")
        each.reset_scene(3)
    for _ in range(3):
        readings = []
        for each in (proxy, cell):
            reading = each.read()
            pose = Pose(reading.arm.pose.position + np.array([0.0, 0.02, 0.0]), reading.arm.pose.quaternion)
            each.command(PoseTarget(pose, reading.tick))
            readings.append(each.wait())
        assert set(readings[0].images) == {"wrist", "front"}
        for name, image in readings[0].images.items():
            np.testing.assert_array_equal(image, readings[1].images[name])
    assert readings[0].images["front"].std() > 5
    cell.close()


def test_a_camera_that_the_task_lacks_is_refused(host):
    from robot_rl.nodes.camera import CameraNode

    with pytest.raises(ConfigError, match="no camera 'side'; it has wrist, front"):
        CameraNode(host("camera"), "side")
