from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from controllers.exceptions import RenderingError
from controllers.twin import TwinCell
from tasks.spec import CameraSpec
from tests.controllers.twin.scenes import PLATE, make_task

CAMERAS = (CameraSpec("wrist", 96, 64), CameraSpec("front"))


@pytest.fixture
def cell(tmp_path):
    cell = TwinCell(make_task(tmp_path, PLATE), cameras=CAMERAS)
    yield cell
    cell.close()


def test_readings_carry_the_cameras_pictures(cell):
    images = cell.read().images
    assert {name: image.shape for name, image in images.items()} == {"wrist": (64, 96, 3), "front": (128, 128, 3)}
    for image in images.values():
        assert image.dtype == np.uint8
        assert image.std() > 10
        assert (image.sum(axis=2) == 0).mean() < 0.2


def test_pictures_follow_the_scene_and_are_reproducible(cell):
    first = cell.read().images["front"]
    assert np.array_equal(first, cell.render(CAMERAS[1]))
    cell.data.mocap_pos[0] = [0.45, 0.2, 0.4]
    cell.reset_scene(0)
    assert np.array_equal(first, cell.read().images["front"])
    cell.data.mocap_pos[0] = [0.45, 0.2, 0.4]
    cell.set_state_vector(cell.state_vector())
    assert not np.array_equal(first, cell.read().images["front"])


def test_an_image_is_the_right_way_up(cell):
    image = cell.render(CameraSpec("front", 64, 64)).astype(int)
    sky, floor = image[:4, :4].mean(axis=(0, 1)), image[-4:, :4].mean(axis=(0, 1))
    assert sky[2] > sky[0]
    assert floor[0] > floor[2]


def test_pretty_pictures_are_larger_and_differ(cell):
    plain = cell.render(CameraSpec("overview", 320, 240))
    pretty = cell.render(CameraSpec("overview", 320, 240), pretty=True)
    assert pretty.shape == plain.shape == (240, 320, 3)
    assert not np.array_equal(pretty, plain)
    assert np.array_equal(plain, cell.render(CameraSpec("overview", 320, 240)))


def test_an_unknown_camera_is_named(cell):
    with pytest.raises(RenderingError, match="'side'.*wrist"):
        cell.render(CameraSpec("side"))


def test_an_image_beyond_the_buffer_is_refused(cell):
    with pytest.raises(RenderingError, match="4000"):
        cell.render(CameraSpec("front", 4000, 100))


RUN = """
import sys
from controllers.twin import TwinCell
from tests.controllers.twin.scenes import make_task
from tasks.spec import CameraSpec
from pathlib import Path
cell = TwinCell(make_task(Path(sys.argv[1])))
cell.wait()
assert not [name for name in sys.modules if name.startswith("OpenGL")], "state-only runs must not load OpenGL"
if sys.argv[2] == "broken":
    sys.modules["mujoco.egl"] = None
    from controllers.exceptions import RenderingError
    try:
        cell.render(CameraSpec("front"))
    except RenderingError as error:
        print(error)
"""


@pytest.mark.parametrize("egl", ["broken", "unused"])
def test_opengl_is_lazy_and_its_absence_has_a_mend(tmp_path, egl):
    unset = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}  # with it MuJoCo loads it
    command = [sys.executable, "-c", RUN, str(tmp_path), egl]
    done = subprocess.run(command, env=unset, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("apt-get install libegl1 libgl1-mesa-dri" in done.stdout) == (egl == "broken")
