"""Images over ROS: in the twin those that the cell itself would have rendered, else what the driver captured."""

import os
import signal
import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

from controllers.cameras import CameraConfig
from controllers.cells import CellConfig
from controllers.exceptions import CameraError, CellTimeout, ControllersError, RenderingError
from controllers.interface import Pose, PoseTarget
from controllers.twin import TwinCell
from robot_rl.exceptions import ConfigError
from tests.controllers.cameras.conftest import recording  # noqa: F401 - a fixture


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


@pytest.mark.egl
def test_a_drawn_world_is_the_same_in_the_graph(host, background):
    from robot_rl.nodes.arm import ArmNode, open_backend
    from robot_rl.nodes.camera import CameraNode

    served, client = host("arm", randomise=True), host("client")
    background(served, ArmNode(served, open_backend(served)).run_lockstep)
    for spec in client.task.cameras:
        seen = host(f"camera_{spec.name}", randomise=True)
        background(seen, lambda seen=seen, spec=spec: CameraNode(seen, spec.name).run())
    cell = TwinCell(client.task, seed=0, cameras=client.task.cameras, domain=client.task.domain)
    proxy = client.cell(sim=False, cameras=True)
    pictures = []
    for seed in (3, 4):
        for each in (proxy, cell):
            each.acquire("policy")
            each.reset_scene(seed)
            reading = each.read()
            each.command(PoseTarget(reading.arm.pose, reading.tick))
            pictures.append(each.wait())
        graph, here = pictures[-2:]
        assert np.array_equal(graph.images["front"], here.images["front"])
        assert np.array_equal(graph.arm.wrench, here.arm.wrench) and here.arm.wrench.any()
    assert np.abs(pictures[0].images["front"].astype(int) - pictures[2].images["front"]).mean() > 3
    cell.close()


def test_a_camera_that_the_task_lacks_is_refused(host):
    from robot_rl.nodes.camera import CameraNode

    with pytest.raises(ConfigError, match="no camera 'side'; it has wrist, front"):
        CameraNode(host("camera"), "side")


# Cameras of a cell, through their drivers


@pytest.fixture
def served(host, recording):  # noqa: F811
    """A host whose cell has a wrist camera, with changes of its settings: served(restarts=2)."""

    def make(**changes):
        values = {"device": str(recording), "width": 160, "height": 120, "size": (80, 60), "depth": True, **changes}
        cell = CellConfig("lab", "twin", cameras={"wrist": CameraConfig(**values)})
        return host("camera_wrist", cell=cell, robot="ros2_control", clock="realtime")

    return make


def gather(client, feeds, count):
    """At least `count` messages of each feed."""
    got = [[] for _ in feeds]
    end = time.monotonic() + 30
    while any(len(each) < count for each in got):
        assert time.monotonic() < end, f"{[len(each) for each in got]} messages"
        client.listener.wait(feeds, 0.1)
        for feed, each in zip(feeds, got, strict=True):
            while (message := feed.take()) is not None:
                each.append(message)
    return got


def test_a_cell_s_camera_is_published_with_the_time_at_which_it_saw(served, host, background):
    from sensor_msgs.msg import CameraInfo, Image

    from controllers.arms.ros_io import STATE, nanoseconds
    from controllers.arms.ros_messages import image_from
    from robot_rl.nodes.camera import DriverNode, make_node

    server, client = served(), host("client")
    node = make_node(server, "wrist")
    assert isinstance(node, DriverNode)
    topics = {"wrist/image_raw": Image, "wrist/camera_info": CameraInfo, "wrist/depth/image_raw": Image}
    feeds = [client.listener.subscribe(kind, topic, STATE) for topic, kind in topics.items()]
    background(server, node.run)
    images, infos, depths = gather(client, feeds, 5)
    stamps = [nanoseconds(image.header.stamp) for image in images]
    assert stamps == sorted(set(stamps)) and 0 <= time.time_ns() - stamps[-1] < 2e9
    np.testing.assert_allclose(image_from(images[-1])[0, :, 1], np.arange(80) * 2 + 0.5, atol=0.5)
    assert infos[-1].header == images[len(infos) - 1].header and infos[-1].header.frame_id == "wrist_optical_frame"
    assert (infos[-1].width, infos[-1].height, infos[-1].k[0]) == (80, 60, 60.0)
    depth = np.frombuffer(depths[-1].data, np.float32).reshape(60, 80)
    assert depths[-1].encoding == "32FC1" and depth[45, 40] == pytest.approx(2.0)
    level, message, values = server.report
    assert (level, message, values["restarts"]) == ("ok", "capturing", 0) or "delivers" in message
    assert set(values) >= {"rate", "jitter", "latency", "missed", "staleness", "restarts"}


def test_a_hung_driver_is_replaced_and_a_dead_one_ends_the_node(served, recording, tmp_path):  # noqa: F811
    from robot_rl.nodes.camera import DriverNode

    copy = tmp_path / "camera.db3"
    copy.write_bytes(recording.read_bytes())
    server = served(device=str(copy), restarts=2)
    node = DriverNode(server, "wrist", server.config.cell.cameras["wrist"])
    node.camera._backoff = 0.05
    failures = []

    def run():
        try:
            node.run()
        except CameraError as error:
            failures.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_for(lambda: server.report[1] == "capturing")
        os.kill(node.camera.pid, signal.SIGSTOP)
        wait_for(lambda: server.report[2]["restarts"] == 1 and server.report[1] == "capturing")
        copy.unlink()
        os.kill(node.camera.pid, signal.SIGSTOP)
        wait_for(lambda: failures)
    finally:
        server.listener.interrupted.set()
        thread.join()
    assert failures[0].startswith("camera wrist is dead after 2 failures in a row; the last: ")


def test_a_cell_does_not_act_on_a_picture_that_has_grown_old(served, host, live, background):
    from controllers.arms.ros import RosCell
    from controllers.cameras.base import PICTURE_AGE
    from robot_rl.nodes.camera import DriverNode

    server, client = served(stale_after=60.0, latency=0.066, depth=False), host("client", clock="realtime")
    live("reach")
    node = DriverNode(server, "wrist", server.config.cell.cameras["wrist"])
    background(server, node.run)
    cell = RosCell(client.node, client.listener, period=0.05, clock="realtime", cameras=["wrist"], timeout=30.0)
    cell.acquire("policy")
    for _ in range(20):
        reading = cell.wait()
        cell.command(PoseTarget(reading.arm.pose, reading.tick))
        assert reading.images["wrist"].shape == (60, 80, 3)
    os.kill(node.camera.pid, signal.SIGSTOP)
    cell._timeout, stopped = 1.0, time.monotonic()
    with pytest.raises(CellTimeout, match="no message of /wrist/image_raw for the tick at"):
        wait_for(lambda: cell.wait() is None)
    assert time.monotonic() - stopped < PICTURE_AGE + 0.5 + cell._timeout
    os.kill(node.camera.pid, signal.SIGCONT)
    assert cell.wait().images["wrist"].any()


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def test_the_twin_and_lockstep_see_through_the_twin_s_cameras(served, host):
    from robot_rl.nodes.camera import CameraNode, make_node

    cell = served().config.cell
    for config in ({"robot": "twin", "clock": "realtime"}, {"robot": "ros2_control", "clock": "lockstep"}):
        assert isinstance(make_node(host("camera_wrist", cell=cell, **config), "wrist"), CameraNode)


def test_a_camera_that_the_cell_lacks_is_refused(served):
    from robot_rl.nodes.camera import make_node

    with pytest.raises(ControllersError, match="cell lab has no camera 'front'"):
        make_node(served(), "front")


def test_a_camera_that_would_hear_itself_is_refused(served):
    from robot_rl.nodes.camera import make_node

    with pytest.raises(ConfigError, match="would publish on the topic wrist/image_raw that it listens to"):
        make_node(served(driver="ros", topic="wrist/image_raw", depth=False), "wrist")


def test_a_camera_without_calibration_says_so(served):
    from std_msgs.msg import Header

    from robot_rl.nodes.camera import pinhole_message

    info = pinhole_message(None, 80, 60, Header())
    assert not np.any(info.k) and (info.width, info.height) == (80, 60)
