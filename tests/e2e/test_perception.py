"""Runs that see through a backbone: the graph's perception node makes what one process makes, and may be killed."""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tasks
from robot_rl.cells import open_env, with_backbone
from robot_rl.checkpoint import newest_checkpoint
from robot_rl.config import effective
from robot_rl.data.journal import read_journal
from robot_rl.data.transition import Transition
from robot_rl.graph import graph
from robot_rl.metrics import MetricsWriter, read_metrics
from robot_rl.nodes.environment import Domain, clean_shared_memory, ros_environment
from robot_rl.runs import RunFolder
from robot_rl.supervisor import Supervisor, train_graph
from tests.e2e.conftest import SMALL

torch = pytest.importorskip("torch")

MakeRun = Callable[..., RunFolder]
CLI = [sys.executable, "-m", "robot_rl.cli"]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A prepared run of `reach` from two crops of the wrist camera's features, without demonstrations."""

    def make(name: str, transport: str, steps: int, judge: Path | None = None, **learner: object) -> RunFolder:
        layer = {"demos": "0", "obs": "features", "crops": 2, "seed": 3, "steps": steps, "transport": transport}
        if judge is not None:
            layer |= {"reward": "classifier", "reward_model": judge, "reward_frames": 2}
        config = with_backbone(effective(tasks.load("reach"), layer | {"learner": SMALL | learner}))
        return RunFolder.create(dataclasses.replace(config, run=tmp_path / name))

    return make


@pytest.fixture
def judge(tmp_path: Path, make_run: MakeRun) -> Path:
    """A classifier that was taught nothing: random actions lead to a frame that it calls success once in five."""
    from robot_rl.rewards.classifier.model import Classifier, Head

    config = make_run("look", "inprocess", 1).config()
    env, rng, maps = open_env(config, seed=0), np.random.default_rng(0), []
    env.reset(seed=0)
    for _ in range(60):
        env.step(rng.uniform(-1, 1, env.action_dim))
        maps.append(env.reading.features["wrist"][0])
    env.close()
    torch.manual_seed(0)
    head = Head({"wrist": maps[0].size}, 2, 16).eval()
    facts = ("compact", config.backbone_id, "reach", 1.0)
    model = Classifier(head, ("other", "success"), {"wrist": maps[0].shape}, *facts, 0.5, {})
    threshold = float(np.quantile(model.probability({"wrist": np.stack(maps)}), 0.8))
    (tmp_path / "judge").mkdir()
    dataclasses.replace(model, threshold=threshold).save(tmp_path / "judge")
    return tmp_path / "judge"


def in_one_process(run: RunFolder) -> list[Transition]:
    """Train in a process of its own, where XLA has one thread from the start as in the graph's nodes."""
    subprocess.run([*CLI, "train", "reach", "--run", run.path, "--resume"], check=True, timeout=240)
    return list(read_journal(run.journal))


def assert_same(one: list[Transition], other: list[Transition]) -> None:
    """Bit for bit, but for the times and what an episode is named after, its run."""
    for first, second in zip(one, other, strict=True):
        for field in dataclasses.fields(Transition):
            a, b = getattr(first, field.name), getattr(second, field.name)
            if field.name in ("observation", "next_observation"):
                assert set(a) == set(b)
                for key in a:
                    assert (a[key].dtype, a[key].tobytes()) == (b[key].dtype, b[key].tobytes()), (first.sequence, key)
            elif field.name not in ("stamp", "next_stamp", "episode"):
                assert np.array_equal(a, b), (first.sequence, field.name)


def test_a_killed_perception_node_comes_back_and_nothing_is_lost_or_changed(make_run, judge):
    """Nothing is learnt, so that an actor that met another picture would act as another actor from there on.

    A classifier judges by the same features: in its own node, and in one process, and says the same.
    """
    run, whole = (make_run(transport, transport, 100, judge, start=100_000) for transport in ("ros", "inprocess"))
    events, killed = [], False
    with Domain(run.path) as domain:
        environment = ros_environment(os.environ, domain=domain.number)
        report = lambda name, event, detail: events.append((name, event, detail))  # noqa: E731
        with Supervisor(graph(run.config()), run.path, run.logs, environment, report) as nodes:
            while not nodes.poll():
                if not killed and any(record["kind"] == "episode" for record in read_metrics(run.metrics)):
                    os.kill(nodes.process_id("perception"), signal.SIGKILL)
                    killed = True
                nodes.wait()
        clean_shared_memory()
    assert [name for name, event, _ in events if event == "restarted"] == ["perception"]
    assert any(name == "perception" and event == "died" and "SIGKILL" in detail for name, event, detail in events)
    stored = list(read_journal(run.journal))
    assert [step.sequence for step in stored] == list(range(100))
    assert 0 < sum(step.success for step in stored) < 30
    assert_same(stored, in_one_process(whole))


@pytest.mark.long
def test_the_graph_and_one_process_see_and_learn_the_same_bit_for_bit(make_run):
    run, other = (make_run(transport, transport, 60) for transport in ("ros", "inprocess"))
    with MetricsWriter(run.metrics) as metrics:
        train_graph(run.config(), run, metrics)
    stored = list(read_journal(run.journal))
    assert len(stored) == 60
    assert_same(stored, in_one_process(other))
    maps = np.stack([step.observation["wrist_features"] for step in stored])
    assert maps.dtype == np.float16 and len({one.tobytes() for one in maps}) > 50
    assert (maps[:, 0] != maps[:, 1]).any()
    policies = [newest_checkpoint(folder.checkpoints).files["policy.safetensors"] for folder in (run, other)]
    assert policies[0] == policies[1]
