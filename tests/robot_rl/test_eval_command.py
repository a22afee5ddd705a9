"""`robot-rl eval`: what it refuses, prints and keeps, with a policy that has learnt nothing."""

import json

import pytest

import tasks
from controllers.exceptions import ResetFailed
from robot_rl.agents import make_agent
from robot_rl.checkpoint import POLICY_FILE, save_checkpoint
from robot_rl.cli import main
from robot_rl.compare import curve_of
from robot_rl.config import effective
from robot_rl.metrics import read_metrics
from robot_rl.problem import problem_of
from robot_rl.runs import RunFolder

KEYS = {"perturbation", "perturbed", "recovered", "extra_s", "latched"}


@pytest.fixture
def run(tmp_path):
    layer = {"transport": "inprocess", "demos": "0", "run": tmp_path / "run", "learner": {"hidden": [16, 16]}}
    config = effective(tasks.load("reach"), layer, {"randomise": True})
    folder = RunFolder.create(config)
    problem = problem_of(config)
    agent = make_agent("sac", config.learner, problem.example, problem.action_dim, 0)
    save_checkpoint(folder.checkpoints, "step-1", {POLICY_FILE: agent.policy().to_bytes(1)}, {})
    return folder


def printed(capsys, run, *options):
    assert main(["eval", str(run.path), "--episodes", "2", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_beside_perturbations_the_nominal_is_what_it_is_without(run, capsys):
    plain = printed(capsys, run)
    both = printed(capsys, run, "--perturb", "all")
    perturbed = both.pop("perturbed")
    assert both == plain
    assert "names no body" in perturbed["moved"]["not_applicable"]
    assert perturbed["lights"] == perturbed["camera"] == {"not_applicable": "the policy sees no pictures"}
    assert perturbed["pushed"].keys() == plain.keys() - {"engine"} | KEYS and perturbed["pushed"]["episodes"] == 2
    records = read_metrics(run.metrics)
    assert [record["perturbation"] for record in records if record["kind"] == "perturbed"] == ["pushed"]
    newest = [record for record in records if record["kind"] == "eval"][-1]
    summary = json.loads(run.summary.read_text())["evaluations"]["deterministic"]
    assert summary["successes"] == newest["successes"] and "perturbation" not in summary
    assert curve_of([*records, {"kind": "episode", "step": 1, "success": True}], "success", "").score == 0.0


def test_a_world_is_drawn_where_it_is_asked_for_alone(run, capsys, monkeypatch):
    from robot_rl import cells

    asked = []
    monkeypatch.setattr(cells, "open_cell", lambda *a, open_=cells.open_cell, **k: asked.append(k) or open_(*a, **k))
    printed(capsys, run)
    printed(capsys, run, "--randomise")
    assert [how["randomise"] for how in asked] == [False, True]
    told = json.loads(run.summary.read_text())["evaluations"]
    assert [told[name]["randomise"] for name in ("deterministic", "deterministic in drawn worlds")] == [False, True]


def test_a_table_for_people(run, capsys):
    assert main(["eval", str(run.path), "--episodes", "2", "--perturb", "moved,pushed"]) == 0
    out = capsys.readouterr().out
    assert "0 of 2" in out and "pushed" in out and "moved: not applicable, task reach names no body as its goal" in out


def keep(run, *steps):
    """Policies as if kept on the way."""
    problem, config = problem_of(run.config()), run.config()
    agent = make_agent("sac", config.learner, problem.example, problem.action_dim, 0)
    run.policies.mkdir(exist_ok=True)
    for step in steps:
        (run.policies / f"step-{step}.safetensors").write_bytes(agent.policy().to_bytes(1))


def test_policies_kept_on_the_way_are_a_table_for_people(run, capsys):
    keep(run, 100, 2000)
    assert main(["eval", str(run.path), "--episodes", "2", "--kept"]) == 0
    out = capsys.readouterr().out
    assert "100 steps" in out and "2,000 steps" in out and out.count("0 of 2") >= 2


@pytest.mark.parametrize("as_json", [True, False])
def test_what_was_evaluated_before_a_reset_gave_up_is_printed(run, capsys, monkeypatch, as_json):
    from robot_rl import commands

    original, done = commands._evaluate, []

    def once_only(*arguments, **options):
        if done:
            raise ResetFailed("the reset of reach failed 3 times; clear what blocks it")
        done.append(True)
        return original(*arguments, **options)

    monkeypatch.setattr(commands, "_evaluate", once_only)
    keep(run, 100, 2000)
    assert main(["eval", str(run.path), "--episodes", "2", "--kept", *(["--json"] if as_json else [])]) == 2
    out, err = capsys.readouterr()
    assert "the reset of reach failed 3 times" in err
    if as_json:
        assert [one["step"] for one in json.loads(out)["kept"]] == [100]
    else:
        assert "100 steps" in out and "2,000 steps" not in out


@pytest.mark.parametrize(
    "options, said",
    [
        (["--perturb", "shaken"], "--perturb has 'shaken', which is none; choices: moved, pushed, lights, camera, all"),
        (["--perturb", "all", "--kept"], "--perturb is of one policy and --kept of all"),
        (["--perturb", "all", "--cell", "emulated_fr3"], "disturbs the twin's world, and this is robot franka"),
        (["--randomise", "--cell", "emulated_fr3"], "randomise is on, but robot is franka, whose world nobody draws"),
    ],
)
def test_what_cannot_be_is_one_sentence(run, capsys, options, said):
    assert main(["eval", str(run.path), *options]) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")
