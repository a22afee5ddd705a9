"""The layout shows what the graph says, and calls what it serves."""

import json
import re
from pathlib import Path

from robot_rl.operator import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_layout_has_only_topics_and_services_that_there_are():
    text = (DOCS / "ros2.md").read_text()
    rows = re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE)
    topics = {name.lstrip("/") for row in rows for name in re.findall(r"`([^`]*)`", row)}
    topics |= {name.replace("CAMERA", camera) for name in topics for camera in ("wrist", "front")}
    layout = json.loads((DOCS / "foxglove.json").read_text())
    shown = set(re.findall(r'"(?:imageTopic|topicPath|topicToRender)": "/([^"]+)"', json.dumps(layout)))
    shown |= {re.split(r"[.\[]", value)[0] for value in re.findall(r'"value": "/([^"]+)"', json.dumps(layout))}
    assert shown and shown <= topics, shown - topics
    called = {panel["serviceName"] for panel in layout["configById"].values() if "serviceName" in panel}
    assert called == {f"/operator/{command}" for command in COMMANDS} | {"/arm/stop"}


def test_every_panel_of_the_layout_has_its_place():
    layout = json.loads((DOCS / "foxglove.json").read_text())

    def panels(part):
        return [part] if isinstance(part, str) else [*panels(part["first"]), *panels(part["second"])]

    assert sorted(panels(layout["layout"])) == sorted(layout["configById"])
