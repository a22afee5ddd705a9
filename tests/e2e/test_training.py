"""Whole runs over the real graph."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from robot_rl.checkpoint import newest_checkpoint
from robot_rl.data.journal import read_journal
from robot_rl.metrics import MetricsWriter, read_metrics
from robot_rl.supervisor import train_graph
from robot_rl.training import train_inprocess
from tests.e2e.alike import assert_same_steps

CLI = [sys.executable, "-m", "robot_rl.cli"]


@pytest.mark.usefixtures("compiled_as_in_production")
def test_reach_is_learnt_over_the_graph(tmp_path):
    run = tmp_path / "run"
    subprocess.run([*CLI, "train", "reach", "--run", run, "--steps", "1200"], check=True, timeout=280)
    done = subprocess.run(
        [*CLI, "eval", run, "--episodes", "20", "--seed", "1", "--json"],
        check=True,
        timeout=120,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert json.loads(done.stdout)["successes"] >= 18


def test_the_graph_and_one_process_make_the_same_run_bit_for_bit(make_run):
    runs = []
    for name, train in (("graph", train_graph), ("inprocess", train_inprocess)):
        run = make_run(name, steps=120)
        with MetricsWriter(run.metrics) as metrics:
            train(run.config(), run, metrics)
        runs.append(run)
    assert_same_steps(*(run.journal for run in runs), count=120)
    policies = [newest_checkpoint(run.checkpoints).files["policy.safetensors"] for run in runs]
    assert policies[0] == policies[1]


def test_ctrl_c_ends_a_run_cleanly_and_it_can_go_on(make_run, demos, tmp_path):
    run = tmp_path / "run"
    command = [*CLI, "train", "reach", "--run", str(run), "--steps", "300", "--demos", str(demos)]
    process = subprocess.Popen([*command, "--learner.start", "100000"])
    wait_until(lambda: any(record["kind"] == "episode" for record in read_metrics(run / "metrics.jsonl")))
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 5
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    made = len(list(read_journal(run / "journal")))
    assert 0 < made < 300

    subprocess.run([*CLI, "train", "reach", "--run", run, "--resume"], check=True, timeout=120)
    stored = list(read_journal(run / "journal"))
    assert [transition.sequence for transition in stored] == list(range(300))
    assert len({(transition.episode, transition.step) for transition in stored}) == 300


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_domain_in_use_is_refused_with_its_mend(make_run, monkeypatch):
    from robot_rl.exceptions import GraphError
    from robot_rl.nodes.environment import Domain

    run = make_run("second", steps=10)
    with Domain(run.path.with_name("first")) as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain.number))
        with MetricsWriter(run.metrics) as metrics, pytest.raises(GraphError, match="is in use by run .*first"):
            train_graph(run.config(), run, metrics)
    assert os.environ["ROS_DOMAIN_ID"] == str(domain.number)
