import dataclasses
from pathlib import Path

import pytest
import yaml

import tasks
from robot_rl.config import (
    LearnerConfig,
    RunConfig,
    check,
    convert,
    devices_of,
    effective,
    load_config,
    read_overrides,
    save_config,
    to_yaml,
    validate,
)
from robot_rl.exceptions import ConfigError


@pytest.fixture
def task():
    return dataclasses.replace(tasks.load("reach"), steps=1234, learner={"utd": 3, "hidden": (64, 64)})


def test_saved_configuration_reads_back_the_same(tmp_path):
    learner = LearnerConfig(hidden=(32, 16), learning_rate=1e-3, layer_norm=False)
    config = RunConfig("reach", agent="sac", demos="0", steps=50, seed=7, learner=learner)
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


def test_saved_configuration_holds_every_field_but_where_the_run_lies(tmp_path):
    values = yaml.safe_load(to_yaml(RunConfig("reach", run=tmp_path, resume=True)))
    names = {item.name for item in dataclasses.fields(RunConfig)}
    assert set(values) == names - {"run", "resume"}
    assert set(values["learner"]) == {item.name for item in dataclasses.fields(LearnerConfig)}


def test_later_layers_win(task):
    file = {"seed": 5, "learner": {"utd": 8, "batch": 32}}
    config = effective(task, file, {"seed": 6, "learner": {"batch": 16}})
    assert (config.task, config.steps, config.seed) == ("reach", 1234, 6)
    assert config.learner.hidden == (64, 64)  # the task's
    assert config.learner.utd == 8  # the file's
    assert config.learner.batch == 16  # the command line's
    assert config.learner.discount == LearnerConfig().discount


def test_task_with_an_unknown_override_is_named(task):
    broken = dataclasses.replace(task, learner={"utb": 3})
    with pytest.raises(ConfigError, match=r"task reach: unknown key learner\.utb; did you mean utd\?"):
        effective(broken)


@pytest.mark.parametrize(
    "text, message",
    [
        ("stepz: 5", r"unknown key stepz; did you mean steps\?"),
        ("learner: {utdd: 5}", r"unknown key learner\.utdd; did you mean utd\?"),
        ("agent: ppo", r"agent: 'ppo' is not a choice; choices: rlpd, sac, bc, dagger, hg_dagger"),
        ("steps: many", r"steps: 'many' is not a whole number"),
        ("seed: true", r"seed: True is not a whole number"),
        ("learner: 5", r"learner must be a mapping"),
        ("[1, 2]", r"the file must be a mapping"),
        ("a: [", r"is not YAML"),
    ],
)
def test_bad_file_names_itself_and_the_key(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_overrides(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file():
    with pytest.raises(ConfigError, match="there is no configuration file nowhere.yaml"):
        read_overrides(Path("nowhere.yaml"))


def test_binary_file(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_overrides(tmp_path / "c.yaml")


def test_configuration_without_a_task(tmp_path):
    (tmp_path / "c.yaml").write_text("seed: 1")
    with pytest.raises(ConfigError, match="names no task"):
        load_config(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    "value, hint, expected",
    [
        ("3", int, 3),
        (3.0, int, 3),
        ("3e-4", float, 3e-4),
        ("True", bool, True),
        ("none", int | None, None),
        ("4", int | None, 4),
        ("256,128", tuple[int, ...], (256, 128)),
        ([1, 2], tuple[int, ...], (1, 2)),
        (20, str, "20"),
    ],
)
def test_convert(value, hint, expected):
    result = convert(value, hint, "x")
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    "value, hint", [("3.5", int), (3.5, int), ("x", float), (1, bool), (True, int), ([1], int), (5, tuple[int, ...])]
)
def test_convert_refuses(value, hint):
    with pytest.raises(ConfigError, match="^x: "):
        convert(value, hint, "x")


@pytest.mark.parametrize(
    "overrides, name",
    [
        ({"seed": -1}, "seed"),
        ({"steps": -5}, "steps"),
        ({"demos": "no/such/set"}, "demos"),
        ({"imported": ["/"]}, "imported"),
        ({"learner": {"imported_share": 0.1}}, "imported"),
        ({"imported": ["/"], "learner": {"imported_share": 0.6}}, "learner.demo_share"),
        ({"learner": {"discount": 1.5}}, "learner.discount"),
        ({"learner": {"discount": float("nan")}}, "learner.discount"),
        ({"learner": {"block": 0}}, "learner.block"),
        ({"learner": {"critics": 2, "critic_subset": 3}}, "learner.critic_subset"),
    ],
)
def test_values_that_no_run_can_use(task, overrides, name):
    with pytest.raises(ConfigError, match=f"^{name} is "):
        effective(task, check(overrides, "test"))


def test_sets_to_import_must_be_where_the_learner_is(task):
    layer = check({"imported": ["no/such/set"], "learner": {"imported_share": 0.2}}, "test")
    with pytest.raises(ConfigError, match="imported has 'no/such/set', which does not exist; name folders"):
        effective(task, layer)
    assert effective(task, layer, {"here": ("actor0",)}).imported == ("no/such/set",)


def test_cloning_makes_no_steps(task):
    assert effective(task, {"agent": "bc"}).steps == 0
    assert effective(task, {"agent": "sac"}).steps == 1234
    with pytest.raises(ConfigError, match="steps is 50, but agent bc"):
        effective(task, {"agent": "bc"}, {"steps": 50})


@pytest.mark.parametrize(
    "layer, message",
    [
        ({"teleop": "mouse"}, r"teleop is 'mouse', which is no device; did you mean spacemouse\?"),
        ({"teleop": "ros", "transport": "inprocess"}, "teleop is ros, which needs the ROS 2 graph"),
        ({"teleop": "keyboard", "intervener": "random30"}, "give one of them"),
        ({"teleop": "keyboard", "actors": 2}, "one person cannot look after 2 actors"),
        ({"reward": "intervention"}, "reward is intervention, but nobody takes over; give --teleop"),
        ({"agent": "hg_dagger"}, "agent is hg_dagger, but nobody takes over"),
        ({"reward": "human", "transport": "inprocess"}, "nobody can say how it went"),
        ({"agent": "hg_dagger", "intervener": "random30", "interventions": "online"}, "agent hg_dagger clones them"),
        ({"agent": "bc", "intervener": "random30"}, "agent is bc, which never acts"),
        ({"agent": "dagger", "intervener": "random30"}, "with agent dagger the policy always acts"),
        ({"agent": "dagger"}, "expert is scripted, but agent dagger asks a policy what it would do; name a run"),
        ({"agent": "dagger", "expert": "runs/x", "learner": {"stack": 2}}, "learner.stack is 2"),
    ],
)
def test_takeovers_that_cannot_come_are_refused(task, layer, message):
    with pytest.raises(ConfigError, match=message):
        effective(task, layer)


def test_anybodys_environment_has_no_scripted_expert():
    config = RunConfig("gym:Hopper-v5", transport="inprocess", demos="0", intervener="random30")
    with pytest.raises(ConfigError, match="expert is scripted, but gym:Hopper-v5 has no scripted one; name a run"):
        validate(config)
    validate(dataclasses.replace(config, expert="runs/teacher"))


def test_with_rlif_interventions_stay_among_the_runs_own_steps(task):
    assert effective(task, {"teleop": "keyboard"}).interventions == "both"
    rlif = {"reward": "intervention", "teleop": "keyboard"}
    assert effective(task, rlif).interventions == "online"
    assert effective(task, rlif | {"interventions": "both"}).interventions == "both"


def test_a_tasks_returns_are_of_several_steps_but_for_iql_and_rlif(task):
    ahead = dataclasses.replace(task, learner={"critics": 2, "n_step": 3})
    assert effective(ahead).learner.n_step == 3
    assert effective(ahead, {"agent": "bc"}).learner.n_step == 1
    assert effective(ahead, {"agent": "iql"}).learner.critics == 2
    rlif = {"reward": "intervention", "teleop": "keyboard"}
    assert effective(ahead, rlif).learner.n_step == 1
    assert effective(ahead, {"reward": "likeness", "obs": "features"}).learner.n_step == 1
    assert effective(ahead, rlif, {"learner": {"n_step": 2}}).learner.n_step == 2


def test_the_first_device_has_priority(task):
    assert devices_of(effective(task, {"teleop": "gamepad,keyboard"})) == ("gamepad", "keyboard")
    assert devices_of(effective(task)) == ()


def test_with_a_person_time_is_real_unless_another_clock_is_given(task):
    assert effective(task, {"teleop": "keyboard"}).clock == "realtime"
    assert effective(task, {"teleop": "keyboard", "clock": "lockstep"}).clock == "lockstep"
    assert effective(task, {"teleop": "none"}).clock == "lockstep"
