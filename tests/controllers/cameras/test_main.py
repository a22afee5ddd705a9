import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from controllers.cameras.__main__ import grey


def run(*arguments, cwd):
    command = [sys.executable, "-m", "controllers.cameras", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_show_saves_a_picture_and_judges_it(recording, tmp_path):
    done = run(
        "show", "wrist.png", f"device={recording}", "width=160", "height=120", "depth=true", "size=80,60", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    image = (255 * imread(tmp_path / "wrist.png")).round()[..., :3]
    assert image.shape == (60, 80, 3)
    np.testing.assert_allclose(image[:, :, 1], np.tile(np.arange(80) * 2 + 0.5, (60, 1)), atol=0.5)
    assert imread(tmp_path / "wrist_depth.png").shape[:2] == (60, 80)
    for said in (
        "Software D435, serial 0123456789",
        "sharpness",
        "overexposed",
        "flicker",
        "rate",
        "latency",
        "stamps",
    ):
        assert said in done.stdout


@pytest.mark.parametrize(
    "pair, words",
    [
        ("serial", "'serial' is not KEY=VALUE; keys: driver, serial"),
        ("serail=1", "unknown key serail; did you mean serial?"),
        ("driver=twin", "the scene has no camera 'wrong': choose one of front, overview, wrist"),
    ],
)
def test_a_mistake_is_one_sentence(pair, words, tmp_path):
    done = run("show", "wrong.png", pair, cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


def test_list_says_what_is_connected_or_that_nothing_is(tmp_path):
    done = run("list", cwd=tmp_path)
    assert done.returncode == 0
    assert all(line.startswith(("realsense", "uvc", " ")) for line in done.stdout.splitlines())
    assert "realsense" in done.stdout and "uvc" in done.stdout


def test_depth_as_a_picture():
    depth = np.array([[0.5, 1.0, np.nan]], np.float32)
    assert grey(depth)[0, :, 0].tolist() == [255, 55, 0]
    assert not grey(np.full((2, 2), np.nan, np.float32)).any()
