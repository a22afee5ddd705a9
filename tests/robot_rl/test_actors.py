from pathlib import Path

import pytest

import tasks
from robot_rl.actors import journal_folder, names, own_config, register_file
from robot_rl.config import effective
from robot_rl.exceptions import ConfigError
from robot_rl.runs import RunFolder


def config(**values):
    return effective(tasks.load("reach"), values)


def test_the_first_actor_of_one_is_the_run_itself():
    one = config(steps=101, seed=7)
    assert names(one) == ("actor0",)
    assert own_config(one, "actor0") == one


def test_actors_share_the_steps_and_draw_apart():
    many = config(steps=101, seed=7, actors=3)
    own = [own_config(many, name) for name in names(many)]
    assert [one.steps for one in own] == [34, 34, 33]
    assert own[0].seed == 7
    assert len({one.seed for one in own}) == 3
    assert own == [own_config(many, name) for name in names(many)]


def test_each_actor_has_a_journal_of_its_own():
    run = RunFolder(Path("runs/a"))
    assert journal_folder(run, "actor0") == run.journal
    assert journal_folder(run, "actor1") == Path("runs/a/journal-actor1")
    assert register_file(run).parent == run.path


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"actors": 0}, "actors is 0, but must be from 1 to 100"),
        ({"here": ("leaner",)}, "here is 'leaner', which is no part of the run; did you mean learner?"),
        ({"here": ("actor1",)}, "here is 'actor1'"),
        ({"here": ("learner",), "transport": "inprocess"}, "transport is inprocess, which has all on one machine"),
        ({"peers": ("a b",)}, "peers has 'a b', which is no address"),
        ({"actors": 2, "cell": "example_fr3", "demos": "0"}, "one franka cannot be moved by 2 actors"),
    ],
)
def test_what_no_run_can_have_is_refused(values, text):
    from controllers.cells import load_cell

    if "cell" in values:
        values["cell"] = load_cell(values["cell"])
    with pytest.raises(ConfigError, match=text.replace("?", r"\?")):
        config(**values)


def test_one_of_several_robots_may_act_on_each_machine():
    from controllers.cells import load_cell

    cell = load_cell("example_fr3")
    assert config(actors=2, cell=cell, demos="0", here=("actor1",)).robot == "franka"
