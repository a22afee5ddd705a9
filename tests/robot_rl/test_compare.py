import json

import numpy as np
import pytest

from robot_rl.cli import main
from robot_rl.compare import curve_of, group_runs
from robot_rl.config import LearnerConfig, RunConfig
from robot_rl.exceptions import DataError
from robot_rl.metrics import MetricsWriter, read_metrics
from robot_rl.runs import RunFolder


def make_run(path, utd, seed, success=None):
    learner = LearnerConfig(utd=utd)
    run = RunFolder.create(RunConfig("gym:X-v0", run=path, seed=seed, demos="0", learner=learner))
    with MetricsWriter(run.metrics) as metrics:
        for k in range(1, 31):
            metrics.write("episode", step=10 * k, length=10, success=success, **{"return": float(utd * k + seed)})
    return run


@pytest.fixture
def runs(tmp_path):
    return [make_run(tmp_path / f"{utd}-{seed}", utd, seed) for utd in (1, 8) for seed in range(3)]


def test_runs_are_grouped_by_what_differs_but_for_their_seed(runs):
    groups = group_runs(runs)
    assert [group.label for group in groups] == ["utd 1", "utd 8"]
    assert [len(group.curves) for group in groups] == [3, 3]
    assert groups[0].measure == "return"
    last = np.mean([1 * k + 2 for k in range(11, 31)])
    assert groups[0].curves[2].score == pytest.approx(last)


def test_kept_policies_are_the_curve_and_an_evaluation_is_the_score(tmp_path):
    run = make_run(tmp_path / "run", 4, 0, success=True)
    with MetricsWriter(run.metrics) as metrics:
        for step, rate in ((100, 0.2), (200, 0.7), (100, 0.3)):
            metrics.write("eval", step=step, success_rate=rate, mean_return=0.0, deterministic=True)
        metrics.write("eval", success_rate=0.9, mean_return=0.0, deterministic=True)
        metrics.write("eval", success_rate=0.1, mean_return=0.0, deterministic=False)
    curve = curve_of(read_metrics(run.metrics), "success", "run")
    assert (curve.steps.tolist(), curve.values.tolist(), curve.score) == ([100, 200], [0.3, 0.7], 0.9)


def test_the_command_prints_a_table_and_draws(runs, tmp_path, capsys):
    out = tmp_path / "plots" / "compare.png"
    assert main(["compare", *(str(run.path) for run in runs), "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["groups"][1]["probability_of_improvement"]["value"] == 1
    assert found["groups"][1]["interquartile_mean"]["value"] > found["groups"][0]["interquartile_mean"]["high"]
    assert out.read_bytes()[:4] == b"\x89PNG"
    assert main(["compare", str(runs[0].path), "--out", str(out)]) == 0
    assert "by stratified bootstrap" in capsys.readouterr().out


def test_a_run_without_an_episode_and_unlike_measures_are_told(tmp_path):
    empty = RunFolder.create(RunConfig("reach", run=tmp_path / "empty"))
    empty.metrics.touch()
    with pytest.raises(DataError, match="has no whole episode yet"):
        group_runs([empty])
    runs = [make_run(tmp_path / "a", 1, 0), make_run(tmp_path / "b", 2, 0, success=True)]
    with pytest.raises(DataError, match="compare them apart"):
        group_runs(runs)
