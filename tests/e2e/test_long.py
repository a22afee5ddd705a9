"""What takes minutes: the main job as a person runs it. `make test-long`."""

import json
import subprocess
import sys

import pytest

CLI = [sys.executable, "-m", "robot_rl.cli"]


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_peg_insert_is_learnt_over_the_graph_and_beats_cloning(tmp_path):
    run, cloned = tmp_path / "run", tmp_path / "cloned"
    train(run, "--seed", "0")
    train(cloned, "--seed", "0", "--agent", "bc", "--demos", str(run / "demos"), "--transport", "inprocess")
    learnt, copied = evaluate(run), evaluate(cloned)
    assert learnt["successes"] >= 95
    assert learnt["false_successes"] == 0
    assert copied["successes"] <= learnt["successes"] - 10


def train(run, *options):
    subprocess.run([*CLI, "train", "peg_insert", "--run", run, *options], check=True, timeout=900)


def evaluate(run):
    command = [*CLI, "eval", run, "--episodes", "100", "--seed", "1000", "--json"]
    done = subprocess.run(command, check=True, timeout=300, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)
