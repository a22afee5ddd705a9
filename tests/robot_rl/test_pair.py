import dataclasses
import json
from itertools import pairwise

import numpy as np
import pytest

import tasks
from robot_rl.actor import Episode
from robot_rl.config import effective
from robot_rl.data.journal import JournalReader
from robot_rl.exceptions import ConfigError
from robot_rl.metrics import MetricsWriter
from robot_rl.pair import Direction, check_pair, hand_over, open_reverse, reverse_of, train_pair
from robot_rl.runs import RunFolder
from robot_rl.training import prepare_demos

SMALL = {"critics": 2, "hidden": (8,), "batch": 8, "utd": 1, "start": 40, "block": 20}
EXPERT = "disagreement,cosine=1,patience=1,length=1000000"


def config_of(path, **values):
    layer = {"transport": "inprocess", "demos": "1", "learner": SMALL, "reset": {"reverse": True}, **values}
    return dataclasses.replace(effective(tasks.load("relocate"), layer), run=path)


class Script:
    """A direction whose episodes, of two steps each, succeed as written."""

    def __init__(self, name, successes, log):
        self.direction = Direction(0)
        self.direction.turns = self._turns(name, successes, log)

    def _turns(self, name, successes, log):
        for index, success in enumerate(successes):
            yield
            log.append(name)
            self.direction.note(Episode(index, 2, float(success), success, 0.2, 0))
            yield


def test_success_hands_over_and_failure_does_not():
    log = []
    hand_over([Script("there", [False, True, True, False], log).direction, Script("back", [True, True], log).direction])
    assert log == ["there", "there", "back", "there", "back", "there"]


def test_it_ends_when_the_one_that_acts_has_no_turns_left():
    log = []
    hand_over([Script("there", [True], log).direction, Script("back", [True, False], log).direction])
    assert log == ["there", "back"]


def test_the_reverse_run_is_a_run_in_the_run(tmp_path):
    config = config_of(tmp_path / "run")
    RunFolder.create(config)
    reverse = open_reverse(config)
    assert reverse.path == tmp_path / "run" / "reverse"
    assert reverse.config().task == "relocate_back"
    assert open_reverse(config).identity == reverse.identity
    assert reverse.identity != RunFolder(tmp_path / "run").identity


def test_named_demonstrations_need_those_of_the_reverse_task(tmp_path):
    config = config_of(tmp_path / "run", demos=str(tmp_path))
    with pytest.raises(ConfigError, match="demonstrations of relocate_back with --reset.reverse-demos"):
        check_pair(config)
    both = dataclasses.replace(config, reset=dataclasses.replace(config.reset, reverse_demos="elsewhere"))
    check_pair(both)
    assert reverse_of(both).demos == "elsewhere"


def test_a_task_that_nothing_undoes_is_refused_with_the_choices(tmp_path):
    config = dataclasses.replace(config_of(tmp_path), task="reach")
    with pytest.raises(ConfigError, match="no task undoes reach; choose one of relocate, relocate_back"):
        check_pair(config)


@pytest.mark.parametrize(("key", "value"), [("peers", ("robot",)), ("actors", 2), ("reward", "human")])
def test_what_does_not_go_with_it_is_refused(tmp_path, key, value):
    with pytest.raises(ConfigError, match=r"reset.reverse is on"):
        check_pair(dataclasses.replace(config_of(tmp_path), **{key: value}))


def test_over_the_graph_both_have_to_begin_alike(tmp_path, monkeypatch):
    config = dataclasses.replace(config_of(tmp_path), transport="ros")
    check_pair(config)
    load, elsewhere = tasks.load, tasks.load("reach").start
    monkeypatch.setattr(tasks, "load", lambda name: dataclasses.replace(load(name), start=elsewhere)
                        if name == "relocate_back" else load(name))  # fmt: skip
    with pytest.raises(ConfigError, match="begin at different starts, and one reset node knows one; give --transport"):
        check_pair(config)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Both directions, 300 steps together, the experts acting."""
    config = config_of(tmp_path_factory.mktemp("pair") / "run", steps=150, intervener=EXPERT)
    run = RunFolder.create(config)
    with MetricsWriter(run.metrics) as metrics:
        prepare_demos(config, run, metrics)
        train_pair(config, run, metrics)
    return run


def episodes(run):
    records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [record for record in records if record["kind"] == "episode" and record["success"] is not None]


def test_each_direction_learns_in_its_own_run(trained):
    reverse = RunFolder(trained.path / "reverse")
    there, back = (JournalReader(run.journal) for run in (trained, reverse))
    assert there.steps + back.steps == 300
    assert (there.schema.task, back.schema.task) == ("relocate", "relocate_back")
    for run in (trained, reverse):
        assert any(run.checkpoints.iterdir())
        assert any(episode["success"] for episode in episodes(run))


def test_each_begins_where_the_other_ended(trained):
    """The object lies in one bin when one begins and in the other when it ends, and nobody carries it between them."""
    ran = []
    for folder, sign in ((trained, 1.0), (RunFolder(trained.path / "reverse"), -1.0)):
        steps = [record for record in JournalReader(folder.journal).records() if hasattr(record, "next_observation")]
        for step in steps:
            if step.step == 0:
                task = tasks.load(folder.config().task)
                scale, anchor = task.observation.position, task.anchor
                tool = step.observation["tool_position"] * scale * [1, -1, -1] + anchor.position
                place = tool + step.observation["sim/object_from_tool"] * scale
                ran.append((step.stamp, sign, place))
    ran.sort(key=lambda one: one[0])
    assert len(ran) >= 2
    for (_, before, there), (_, after, here) in pairwise(ran):
        if before != after:
            assert np.sign(there[1]) == before and np.sign(here[1]) == after


def test_it_goes_on_where_it_was(trained):
    config = dataclasses.replace(trained.config(), steps=160, resume=True)
    with MetricsWriter(trained.metrics) as metrics:
        train_pair(config, trained, metrics)
    found = [JournalReader(run.journal).steps for run in (trained, RunFolder(trained.path / "reverse"))]
    assert sum(found) == 320
