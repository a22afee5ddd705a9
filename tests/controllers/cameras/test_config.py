from dataclasses import fields
from pathlib import Path

import pytest

from controllers.cameras import CameraConfig
from controllers.exceptions import SettingsError
from controllers.settings import build


def test_the_largest_centred_part_of_the_shape_of_size_is_cut_out():
    assert CameraConfig(size=(128, 128)).window == (80, 0, 480, 480)
    assert CameraConfig(size=(128, 128)).shape == (128, 128, 3)
    assert CameraConfig(size=(160, 120)).window == (0, 0, 640, 480)
    assert CameraConfig().window == (0, 0, 640, 480)
    assert CameraConfig(crop=(10, 20, 100, 50)).shape == (50, 100, 3)


@pytest.mark.parametrize(
    "values, words",
    [
        ({"rate": 0}, "rate is 0, but must be above 0"),
        ({"exposure": -1}, "exposure is -1.0, but must be at least 0"),
        ({"exposure": "nan"}, "exposure is nan"),
        ({"crop": [600, 0, 100, 100]}, "leaves the picture of 640 x 480"),
        ({"crop": [0, 0, 100]}, "four numbers"),
        ({"size": [1280, 720]}, "size is 1280 x 720, more than"),
        ({"size": [128]}, "two numbers"),
        ({"size": [64, 64], "crop": [0, 0, 640, 480]}, "of another shape"),
        ({"stale_after": 0.05}, "less than two pictures at rate 30"),
        ({"driver": "ros"}, "topic is missing"),
        ({"driver": "uvc"}, "device is missing"),
        ({"driver": "uvc", "device": "0", "depth": True}, "driver uvc has none"),
        ({"driver": "firewire"}, "not a choice"),
        ({"serail": "1"}, "did you mean serial"),
    ],
)
def test_a_mistake_is_one_sentence(values, words):
    with pytest.raises(SettingsError, match="cells/lab.yaml: .*cameras.wrist") as caught:
        build(CameraConfig, values, "cells/lab.yaml", "cameras.wrist.")
    assert words in str(caught.value)


def test_every_option_is_in_the_docs():
    text = (Path(__file__).parents[3] / "docs" / "cameras.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    missing = [item.name for item in fields(CameraConfig) if not any(f"`{item.name}`" in row for row in rows)]
    assert not missing
