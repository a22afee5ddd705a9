"""`python -m controllers.cameras list`, and `show CAMERA.png KEY=VALUE ...`: look through a camera before it is used.

python -m controllers.cameras show wrist.png serial=819612071234 size=128,128 exposure=0.01
python -m controllers.cameras show front.png driver=uvc device=/dev/video0 rate=30
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controllers.cameras import v4l2
from controllers.cameras.config import CameraConfig
from controllers.cameras.quality import inspect
from controllers.cameras.watchdog import SupervisedCamera
from controllers.exceptions import CameraError, ControllersError, SettingsError
from controllers.settings import build

USER_ERROR = 2
JUDGED = 2.0
"""s of pictures that the findings are of."""


def list_cameras() -> None:
    """Print the RealSense cameras and the devices of video4linux."""
    from controllers.cameras import realsense

    try:
        found = realsense.connected()
    except CameraError as error:
        print(error)
    else:
        for serial, model in found.items():
            print(f"realsense  serial {serial}  {model}")
        if not found:
            print("realsense  none connected")
    for device, model in v4l2.devices().items():
        print(f"uvc        {device}  {model}")
        for mode in v4l2.modes(device):
            print(f"           {mode}")
    if not v4l2.devices():
        print("uvc        none connected")


def show(path: Path, pairs: list[str], task: str) -> None:
    """Save the newest picture (and depth, in grey) as PNG and print what `quality.inspect` finds."""
    for pair in pairs:
        if "=" not in pair:
            raise SettingsError(f"{pair!r} is not KEY=VALUE; keys: {', '.join(_keys())}.")
    config = build(CameraConfig, dict(pair.split("=", 1) for pair in pairs), "the command line")
    camera = SupervisedCamera(path.stem, config, task=task)
    camera.open()
    try:
        frames = [camera.read() for _ in range(max(round(JUDGED * config.rate), 3))]
        print(camera.facts.name)
        for key, value in camera.facts.settings.items():
            print(f"{key:13}{value:g}")
    finally:
        camera.close()
    save(path, frames[-1].image)
    depth = frames[-1].depth
    if depth is not None:
        save(path.with_name(f"{path.stem}_depth.png"), grey(depth))
    for finding in inspect(frames, config.rate):
        mend = f": {finding.mend}" if finding.mend else ""
        print(f"{finding.level:7}{finding.check:14}{finding.message}{mend}")


def save(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a picture."""
    from matplotlib.image import imsave

    imsave(path, image, format="png")
    print(f"wrote {path}")


def grey(depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Depth as a picture: near is bright, nothing measured is black."""
    if np.isnan(depth).all():
        return np.zeros((*depth.shape, 3), np.uint8)
    low, high = np.nanpercentile(depth, (1, 99))
    bright = 255 - 200 * np.clip((depth - low) / max(high - low, 1e-6), 0, 1)
    return np.repeat(np.nan_to_num(bright).astype(np.uint8)[..., None], 3, axis=2)


def _keys() -> list[str]:
    return [item.name for item in dataclasses.fields(CameraConfig)]


def main() -> int:
    """Exit code 2: something that a person has to mend, said in one sentence."""
    parser = argparse.ArgumentParser(
        prog="python -m controllers.cameras", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what is connected, and its modes")
    shower = commands.add_parser("show", help="save a picture and judge it")
    shower.add_argument("path", type=Path, help="picture to write; its stem is the camera's name")
    shower.add_argument("settings", nargs="*", metavar="KEY=VALUE", help=", ".join(_keys()))
    shower.add_argument("--task", default="reach", help="whose scene driver=twin renders")
    options = parser.parse_args()
    try:
        if options.command == "list":
            list_cameras()
        else:
            show(options.path, options.settings, options.task)
    except ControllersError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
