import dataclasses

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from controllers.cameras.quality import inspect, sharpness

SCENE = np.kron(np.random.default_rng(0).uniform(60, 190, (16, 16)), np.ones((8, 8)))[..., None] * np.ones(3)


def levels(frames, rate=30.0):
    return {finding.check: finding.level for finding in inspect(frames, rate)}


def test_a_good_camera_is_green_and_needs_no_mend(frames):
    findings = inspect(frames(), 30.0)
    assert {finding.level for finding in findings} == {"green"}
    assert not any(finding.mend for finding in findings)
    assert len({finding.check for finding in findings}) == len(findings) == 7


@pytest.mark.parametrize("blur, level", [(0.0, "green"), (1.5, "yellow"), (2.5, "red")])
def test_blur_in_pixels_of_128(frames, blur, level):
    scene = gaussian_filter(SCENE, (blur, blur, 0))
    assert levels(frames(scene=scene, noise=0.5))["sharpness"] == level


def test_sharpness_depends_neither_on_contrast_nor_on_the_picture_s_size():
    small = sharpness(SCENE.astype(np.uint8))
    assert sharpness((0.3 * SCENE).astype(np.uint8)) == pytest.approx(small, rel=0.02)
    assert sharpness(np.kron(SCENE, np.ones((3, 3, 1))).astype(np.uint8)) == pytest.approx(small, rel=0.02)


def test_the_twin_s_pictures_are_sharp_and_a_blurred_one_is_not():
    import tasks
    from controllers.exceptions import RenderingError
    from controllers.twin.plant import Plant
    from tasks.spec import CameraSpec

    plant = Plant(tasks.load("peg_insert"))
    try:
        images = [plant.render(CameraSpec(name, 256, 256)) for name in ("wrist", "front")]
    except RenderingError as error:
        pytest.skip(str(error))
    for image in images:
        assert sharpness(image) > 0.1
        assert sharpness(gaussian_filter(image, (4, 4, 0))) < 0.05
    plant.close()


def test_a_wall_gives_nothing_to_focus_on(frames):
    (found, *_) = inspect(frames(scene=np.full((64, 64, 3), 120.0), noise=1.0), 30.0)
    assert (found.check, found.level) == ("sharpness", "yellow") and "point the camera" in found.mend


@pytest.mark.parametrize("scale, check", [(3.0, "overexposed"), (0.01, "underexposed")])
def test_clipped_pixels(frames, scale, check):
    found = levels(frames(scale=scale))
    assert found[check] == "red"


def test_a_lamp_that_flickers(frames):
    assert levels(frames(scale=lambda n: 1 + 0.06 * (n % 2)))["flicker"] == "yellow"
    assert levels(frames(scale=lambda n: 1 + 0.25 * (n % 2)))["flicker"] == "red"


def test_rate_and_latency(frames):
    assert levels(frames(rate=27.0))["rate"] == "yellow"
    assert levels(frames(rate=15.0))["rate"] == "red"
    assert levels(frames(latency=0.15))["latency"] == "yellow"
    assert levels(frames(latency=0.3))["latency"] == "red"


def test_stamps_that_stand_still_and_a_frozen_picture(frames):
    good = frames()
    assert levels([dataclasses.replace(frame, stamp=1.0) for frame in good])["stamps"] == "red"
    assert levels([dataclasses.replace(frame, image=good[0].image) for frame in good])["stamps"] == "yellow"


def test_two_pictures_are_too_few(frames):
    with pytest.raises(ValueError, match="at least 3"):
        inspect(frames(2), 30.0)
