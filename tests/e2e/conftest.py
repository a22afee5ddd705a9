"""Whole graphs as processes: shared memory alone, a ROS domain of their own."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import tasks
from robot_rl.config import effective
from robot_rl.data.formats.whole import write_set
from robot_rl.data.journal import read_journal
from robot_rl.metrics import MetricsWriter
from robot_rl.nodes.environment import PROFILE_SHM_ONLY
from robot_rl.runs import RunFolder
from robot_rl.training import prepare_demos, schema_of

pytest.importorskip("rclpy")

MakeRun = Callable[..., RunFolder]
SMALL = {"critics": 2, "hidden": (32, 32), "batch": 32, "utd": 1, "start": 40, "block": 10, "checkpoint_every": 50}
SMALL["n_step"] = 1  # a row of a replay is then one step of a journal


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in str(item.path):
            item.add_marker(pytest.mark.ros)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket is opened, and no setting of the user's is inherited."""
    for name in [name for name in os.environ if name.startswith(("ROS_DOMAIN", "ROS_AUTOMATIC", "FASTRTPS"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(PROFILE_SHM_ONLY))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SYSTEM_DEFAULT")


@pytest.fixture(scope="session")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two demonstrations of `reach`."""
    folder = tmp_path_factory.mktemp("demos")
    config = effective(tasks.load("reach"), {"demos": "2"})
    run = RunFolder.create(dataclasses.replace(config, run=folder / "run"))
    with MetricsWriter(run.metrics) as metrics:
        prepare_demos(config, run, metrics)
    write_set(folder / "demos", schema_of(config), read_journal(run.path / "demos"))
    return folder / "demos"


@pytest.fixture
def make_run(tmp_path: Path, demos: Path) -> MakeRun:
    """A prepared run of `reach` with a small learner: make_run("name", steps=.., learner={..}, ..)."""

    def make(name: str, learner: dict[str, object] | None = None, **values: object) -> RunFolder:
        layer = {"demos": str(demos), "learner": {**SMALL, **(learner or {})}, **values}
        config = dataclasses.replace(effective(tasks.load("reach"), layer), run=tmp_path / name)
        return RunFolder.create(config)

    return make
