import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from robot_rl.cli import main
from robot_rl.config import RunConfig, load_config
from robot_rl.runs import RunFolder

COMMANDS = ["train", "eval", "demos", "data", "tasks", "node", "doctor"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def said(capsys, *arguments):
    """Exit code, standard output, standard error."""
    try:
        code = main(list(arguments))
    except SystemExit as end:  # argparse's --help and --version
        code = end.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_names_every_command(capsys):
    code, out, _ = said(capsys, "--help")
    assert code == 0
    for name in COMMANDS:
        assert f"    {name} " in out
    assert said(capsys)[1] == out  # so does no argument at all


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(capsys, name):
    code, out, _ = said(capsys, name, "--help")
    assert code == 0
    assert out.startswith(f"usage: robot-rl {name} ")


def test_train_has_the_options_that_scripts_rely_on(capsys):
    options = "robot transport clock agent obs reward demos steps seed run resume config log print-config dry-run"
    out = said(capsys, "train", "--help")[1]
    for option in options.split():
        assert f"  --{option} " in out


def test_help_is_quick_and_loads_nothing_heavy():
    code = "import sys; from robot_rl.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([name for name in ('jax', 'mujoco', 'rclpy', 'matplotlib') if name in sys.modules])"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert time.monotonic() - began < 5  # 0.2 s on an idle machine


BAD = [
    (
        ["trian"],
        "unknown command 'trian'; did you mean train? Choices: train, offline, eval, compare, demos, data, classifier, "
        "preferences, pretrain, tasks, new-task, node, doctor",
    ),
    (["train"], "`robot-rl train` needs TASK"),
    (["eval", "runs/a", "--best", "--kept"], "--best is of one policy and --kept of all that were kept"),
    (["train", "peg_inser"], "peg_inser"),
    (["train", "reach", "--stepz", "5"], "unknown option --stepz; did you mean --steps? Choices: "),
    (["train", "reach", "--learner.utdd=5"], "unknown option --learner.utdd; did you mean --learner.utd? Choices: "),
    (["train", "reach", "extra"], "unexpected argument 'extra'"),
    (
        ["train", "reach", "--agent", "ppo"],
        "--agent: 'ppo' is not a choice; choices: rlpd, sac, bc, dagger, hg_dagger, iql.",
    ),
    (["train", "reach", "--agent", "rldp"], "did you mean rlpd?"),
    (["train", "reach", "--transport", "zeromq"], "choices: ros, inprocess"),
    (["train", "reach", "--robot", "toaster"], "choices: twin"),
    (["train", "reach", "--steps", "many"], "--steps: 'many' is not a whole number."),
    (["train", "reach", "--steps"], "--steps needs a value"),
    (["train", "reach", "--seed", "-1"], "seed is -1, but must be from 0 to 4294967295."),
    (["train", "reach", "--demos", "no/such"], "demos is 'no/such', which is neither a number nor a path"),
    (["train", "reach", "--learner.discount", "2"], "learner.discount is 2.0, but must be from 0 to 1."),
    (["train", "reach", "--config", "no.yaml"], "there is no configuration file no.yaml"),
    (["train", "reach", "--resume"], "--resume needs --run DIR"),
    (["train", "reach", "--resume", "--run", "nope"], "there is no run folder nope"),
    (["eval"], "`robot-rl eval` needs RUN"),
    (["eval", "nope"], "there is no run folder nope"),
    (["eval", "nope", "--episodes", "0"], "--episodes is '0'"),
    (["eval", "nope", "--seed", "x"], "--seed is 'x'"),
    (["demos", "reach", "--demos", "0"], "--demos is '0'"),
    (["demos", "nothing"], "nothing"),
    (["node", "arm"], "needs --run"),
    (["tasks", "--yaml"], "unknown option --yaml"),
    (["--verbose"], "unknown option --verbose"),
]


@pytest.mark.parametrize("arguments, sentence", BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_a_mistake_is_one_sentence_and_code_2(capsys, arguments, sentence):
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.startswith("robot-rl: ")
    assert err.endswith(".\n")
    assert err.count("\n") == 1


def test_an_unknown_task_names_the_tasks(capsys):
    err = said(capsys, "train", "peg_inser")[2]
    for name in ("peg_insert", "pick_cube", "reach"):
        assert name in err


def test_print_config_shows_what_would_be_used_and_writes_nothing(capsys):
    Path("mine.yaml").write_text("seed: 4\nlearner: {utd: 7}\n")
    code, out, _ = said(
        capsys, "train", "reach", "--config", "mine.yaml", "--seed", "5", "--learner.hidden", "64,32", "--print-config"
    )
    values = yaml.safe_load(out)
    assert code == 0
    assert (values["task"], values["seed"], values["learner"]["utd"]) == ("reach", 5, 7)
    assert values["learner"]["hidden"] == [64, 32]
    assert [path.name for path in Path.cwd().iterdir()] == ["mine.yaml"]


def test_printed_configuration_is_a_file_for_config(capsys):
    out = said(capsys, "train", "reach", "--learner.utd", "7", "--print-config")[1]
    Path("mine.yaml").write_text(out)
    assert said(capsys, "train", "reach", "--config", "mine.yaml", "--print-config")[1] == out


def test_configuration_of_another_task_is_refused(capsys):
    Path("mine.yaml").write_text("task: pick_cube\n")
    code, _, err = said(capsys, "train", "reach", "--config", "mine.yaml", "--print-config")
    assert code == 2
    assert "mine.yaml is for task pick_cube, not reach" in err


def test_options_may_be_written_with_underscores(capsys):
    out = said(capsys, "train", "reach", "--learner.critic_subset=1", "--print_config")[1]
    assert yaml.safe_load(out)["learner"]["critic_subset"] == 1


def test_dry_run_says_what_it_would_do_and_does_nothing(capsys):
    code, out, _ = said(capsys, "train", "reach", "--steps", "77", "--run", "mine", "--dry-run")
    assert code == 0
    for text in ("reach", "77 steps", "arm", "learner", "actor", "mine", "nothing was started"):
        assert text in out
    assert not Path("mine").exists()


@pytest.mark.parametrize("flag", ["--dry-run", "--seed=3"])
def test_a_run_folder_that_exists_is_refused(capsys, flag):
    RunFolder.create(RunConfig("reach", run=Path("mine")))
    code, _, err = said(capsys, "train", "reach", "--run", "mine", flag)
    assert code == 2
    assert "the run folder mine exists; go on with --resume, or name another --run." in err


def test_resume_keeps_to_the_runs_own_configuration(capsys):
    run = RunFolder.create(RunConfig("reach", steps=50, run=Path("mine")))
    resume = ["--run", "mine", "--resume"]
    assert "is of task reach, not pick_cube" in said(capsys, "train", "pick_cube", *resume)[2]
    assert "agent is rlpd in the run mine" in said(capsys, "train", "reach", "--agent", "sac", *resume)[2]
    assert "--config cannot change a run" in said(capsys, "train", "reach", "--config", "x.yaml", *resume)[2]
    out = said(capsys, "train", "reach", "--steps", "60", *resume, "--print-config")[1]
    assert yaml.safe_load(out)["steps"] == 60
    assert load_config(run.config_file).steps == 50


def test_tasks_are_listed(capsys):
    code, out, _ = said(capsys, "tasks")
    assert code == 0
    assert "peg_insert" in out
    listed = json.loads(said(capsys, "tasks", "--json")[1])["tasks"]
    assert {"reach", "peg_insert", "peg_insert_hard", "pick_cube"} <= {task["name"] for task in listed}


def test_unknown_node_names_the_nodes(capsys):
    RunFolder.create(RunConfig("reach", run=Path("mine")))
    code, _, err = said(capsys, "node", "lerner", "--run", "mine")
    assert code == 2
    assert "lerner" in err
    assert "learner" in err
    assert err.count("\n") == 1


def test_evaluating_an_untrained_run_says_so(capsys):
    RunFolder.create(RunConfig("reach", run=Path("mine")))
    code, _, err = said(capsys, "eval", "mine")
    assert code == 2
    assert "no checkpoint" in err


def test_missing_extra_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    for name in ("wandb", "tensorboard"):
        code, _, err = said(capsys, "train", "reach", "--transport", "inprocess", "--run", name, "--log", name)
        assert code == 2
        assert f"pip install 'robot_rl[{name}]'" in err
        assert not Path(name).exists()


@pytest.mark.parametrize("flags", [["--dry-run"], []])
def test_a_graph_that_cannot_start_leaves_nothing_behind(capsys, monkeypatch, flags):
    monkeypatch.setenv("ROS_DOMAIN_ID", "lounge")
    code, _, err = said(capsys, "train", "reach", "--run", "mine", *flags)
    assert (code, Path("mine").exists()) == (2, False)
    assert "ROS_DOMAIN_ID is 'lounge'" in err


def test_missing_ros_is_said_with_its_mend(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = said(capsys, "train", "reach", "--run", "mine")
    assert (code, Path("mine").exists()) == (2, False)
    assert "--transport inprocess" in err
