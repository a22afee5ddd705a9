from pathlib import Path

import numpy as np
import pytest

from controllers.cameras import Frame

VIDEO = {"width": 160, "height": 120, "rate": 50}


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One and a half seconds of a RealSense in software."""
    pytest.importorskip("pyrealsense2")
    from tests.controllers.cameras.recording import record

    path = tmp_path_factory.mktemp("realsense") / "camera.db3"
    record(path, 1.5)
    return path


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures (see VIDEO): the left half red, the right half brighter with each."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path_factory.mktemp("video") / "camera.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 50.0, (160, 120))
    for number in range(10):
        image = np.full((120, 160, 3), 20 * number, np.uint8)
        image[:, :80] = (0, 0, 255)  # BGR
        writer.write(image)
    writer.release()
    return path


@pytest.fixture
def frames():
    """A factory of good pictures of a still scene: frames(count, noise=..., **changes)."""
    rng = np.random.default_rng(0)
    scene = np.kron(rng.uniform(60, 190, (16, 16)), np.ones((8, 8)))[..., None] + np.zeros(3)

    def make(count=30, rate=30.0, latency=0.05, noise=2.0, scale=1.0, scene=scene):
        def one(number):
            factor = scale(number) if callable(scale) else scale
            image = np.clip(factor * scene + rng.normal(0, noise, scene.shape), 0, 255).astype(np.uint8)
            stamp = 10.0 + number / rate
            return Frame(image, None, number, stamp, stamp + latency, stamp)

        return [one(number) for number in range(count)]

    return make
