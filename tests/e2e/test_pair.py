"""Two tasks that undo each other, over one graph."""

import dataclasses

import tasks
from robot_rl.checkpoint import newest_checkpoint
from robot_rl.config import effective
from robot_rl.graph import REVERSE
from robot_rl.metrics import MetricsWriter, read_metrics
from robot_rl.pair import prepare_reverse, train_pair
from robot_rl.runs import RunFolder
from robot_rl.supervisor import train_graph
from robot_rl.training import prepare_demos
from tests.e2e.alike import assert_same_steps

SMALL = {"critics": 2, "hidden": (8,), "batch": 8, "utd": 1, "start": 40, "block": 20}
EXPERT = "disagreement,cosine=1,patience=1,length=1000000"


def begun(folder, transport):
    """A run of both directions whose experts act."""
    layer = {"transport": transport, "demos": "1", "steps": 90, "learner": SMALL, "intervener": EXPERT}
    config = effective(tasks.load("relocate"), layer | {"reset": {"reverse": True}})
    run = RunFolder.create(dataclasses.replace(config, run=folder))
    with MetricsWriter(run.metrics) as metrics:
        prepare_demos(run.config(), run, metrics)
    return run


def test_one_graph_and_one_process_learn_both_directions_bit_for_bit(tmp_path):
    graph, process = begun(tmp_path / "graph", "ros"), begun(tmp_path / "process", "inprocess")
    prepare_reverse(graph.config())
    for run, train in ((graph, train_graph), (process, train_pair)):
        with MetricsWriter(run.metrics) as metrics:
            train(run.config(), run, metrics)
    steps = 0
    backs = [RunFolder(run.path / REVERSE) for run in (graph, process)]
    for one, other in ((graph, process), backs):
        steps += assert_same_steps(one.journal, other.journal)
        policies = [newest_checkpoint(run.checkpoints).files["policy.safetensors"] for run in (one, other)]
        assert policies[0] == policies[1]
        episodes = [record for record in read_metrics(one.metrics) if record["kind"] == "episode"]
        assert any(episode["success"] for episode in episodes), "nothing was handed over"
    assert steps == 180
    names = {record["name"] for record in read_metrics(graph.metrics) if record["kind"] == "node"}
    assert {"reverse_learner", "reverse_reward"} < names
