"""The twin as a camera on a cable, alone and before an emulator."""

import numpy as np
import pytest

import tasks
from controllers.cameras import CameraConfig, SupervisedCamera
from controllers.cameras.twin import TwinCamera
from controllers.emulators.control import Control
from controllers.emulators.fci import Emulator
from controllers.exceptions import CameraError, ControllersError, RenderingError
from controllers.twin.plant import Plant
from tasks.spec import CameraSpec

CONFIG = {"driver": "twin", "width": 96, "height": 72, "rate": 30, "stale_after": 2.0}


@pytest.fixture
def plant():
    """What `TwinCamera` has to show."""
    made = Plant(tasks.load("reach"), randomise=False)
    try:
        made.render(CameraSpec("front", 96, 72))
    except RenderingError as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture
def opened():
    """A factory of open cameras: opened(name, **settings)."""
    cameras = []

    def start(name="front", task="reach", **settings):
        cameras.append(TwinCamera(name, CameraConfig(**CONFIG | settings), task))
        cameras[-1].open()
        return cameras[-1]

    yield start
    for camera in cameras:
        camera.close()


def test_the_scene_of_the_task_at_the_rate_asked_for(plant, opened):
    camera = opened()
    frames = [camera.read() for _ in range(7)]
    np.testing.assert_array_equal(frames[0].image, plant.render(CameraSpec("front", 96, 72)))
    assert frames[-1].arrival - frames[0].arrival > 0.9 * 6 / 30
    assert np.isnan(frames[0].device_stamp)


def test_the_pinhole_is_the_camera_s(plant, opened):
    pinhole = opened(size=(72, 72)).facts.intrinsics
    opening = np.deg2rad(plant.model.camera("front").fovy[0])
    assert (pinhole.width, pinhole.height) == (72, 72)
    assert 2 * np.arctan(36 / pinhole.fy) == pytest.approx(opening) and pinhole.fx == pinhole.fy
    assert (pinhole.cx, pinhole.cy) == (35.5, 35.5)


@pytest.mark.egl
def test_what_an_emulator_does_is_seen_through_a_process(opened):
    view = CameraSpec("front", 96, 72)
    plant = Plant(tasks.load("pick_cube"), randomise=False)
    try:
        before = plant.render(view)
    except RenderingError as error:
        pytest.skip(str(error))
    with Emulator(task="pick_cube", clock="lockstep") as emulator:
        camera = SupervisedCamera("front", CameraConfig(**CONFIG, device=emulator.address), task="pick_cube")
        control = Control(emulator.address)
        try:
            camera.open()
            control.reset_scene(7)
            plant.set_state_vector(control.state()["state_vector"])
            wanted = plant.render(view)
            assert (wanted != before).any()
            camera.read()  # may have been on its way
            frame = camera.read()
            np.testing.assert_array_equal(frame.image, wanted)
            assert frame.device_stamp >= 0 and frame.stamp <= frame.arrival
            with pytest.raises(CameraError, match="simulates task pick_cube, not reach; start it with --task reach"):
                opened(device=emulator.address)
        finally:
            camera.close()
            control.close()
            plant.close()


def test_what_cannot_be_is_one_sentence(opened):
    with pytest.raises(CameraError, match="exposure cannot be set; leave it out"):
        opened(exposure=0.01)
    with pytest.raises(CameraError, match="camera front of the twin: there is no task 'raech' .did you mean 'reach'"):
        opened(task="raech")
    with pytest.raises(ControllersError, match=r"no emulator answers at 127\.0\.0\.250"):
        opened(device="127.0.0.250")
