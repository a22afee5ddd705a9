import dataclasses

import numpy as np
import pytest
from rich.console import Console

import tasks
from controllers.cells import load_cell
from controllers.exceptions import CommandRejected, SettingsError
from controllers.places import Box, Frame
from robot_rl.commission import teach
from robot_rl.commission.session import opened
from robot_rl.exceptions import CommissionError
from tasks.place import placed
from tests.tasks.test_place import THERE, run, site

CELL, QUIET = load_cell("twin_fr3"), Console(quiet=True)


def taught(task, words, cell=CELL):
    with opened(cell, task) as session:
        return teach.teach(session, task, words, QUIET)


def test_a_site_that_was_moved_and_turned_is_taught_by_jogging_and_the_task_works_there_unchanged():
    nominal = tasks.load("peg_insert")
    edit, randomise = site(nominal)
    there = dataclasses.replace(nominal, edit=edit, randomise=lambda *_: None)  # the socket as it stands
    goal = THERE.position + np.array([0.5 * np.cos(0.5), 0.5 * np.sin(0.5), nominal.anchor.position[2]])
    x, y, z = goal - nominal.start.position
    down = ["jog z -0.01"] * round(-z // 0.01) + [f"jog z {-(-z % 0.01) - 0.003}"]
    words = ["jog rz 0.5", f"jog x {x}", f"jog y {y}", *down, "goal", "jog z 0.11", "start", "done"]
    place = taught(there, words)
    np.testing.assert_allclose(place.goal.position, goal, atol=1.5e-3)
    assert place.start is not None and len(place.home) == 7
    task = placed(nominal, place)
    assert run(dataclasses.replace(task, edit=edit, randomise=randomise), 3) == (3, 3)


def test_the_box_spans_what_was_shown_and_every_start_that_a_reset_may_draw():
    task = tasks.load("reach")
    place = taught(task, ["goal", "jog z 0.05", "start", "jog x 0.03", "corner"])
    assert isinstance(place.box, Box)
    start, noise = np.array(place.start.position), task.start_noise[:3]
    assert (np.array(place.box.low) < start - noise).all()
    assert (np.array(place.box.high) > start + noise).all()
    assert place.goal.position in place.box


def test_without_a_start_only_the_goal_moves():
    place = taught(tasks.load("reach"), ["jog x -0.02", "goal"])
    assert (place.start, place.home, place.box) == (None, (), None)
    assert place.goal.position[0] == pytest.approx(0.48, abs=2e-3)


@pytest.mark.parametrize(
    "line, message",
    [
        ("jogg x 1", r"'jogg x 1' is not understood; say one of jog, hand, goal"),
        ("jog x", r"'jog x' has 1 words after jog, but it takes 2"),
        ("jog w 0.1", "there is no axis 'w'"),
        ("jog x far", r"in 'jog x far', 'far' is no number"),
        ("jog x nan", r"'nan' is no number"),
        ("", r"'' is not understood"),
        ("jog x 50", r"in 'jog x 50', 50 is more than 1: say it in smaller parts"),
    ],
)
def test_what_is_not_understood_is_one_sentence(line, message):
    with pytest.raises(CommissionError, match=message):
        teach.check(line)


def test_nothing_is_written_without_a_goal():
    with pytest.raises(CommissionError, match="no goal was taught"):
        taught(tasks.load("reach"), ["start"])


def test_a_place_outside_the_cell_s_box_is_refused():
    cell = dataclasses.replace(CELL, workspace=Box((0.3, -0.3, 0.0), (0.7, 0.3, 0.5)))
    place = dataclasses.replace(taught(tasks.load("reach"), ["goal"]), goal=Frame((0.5, 0.4, 0.2), (1.0, 0, 0, 0)))
    with pytest.raises(SettingsError, match="the goal of task reach is at .* outside the workspace"):
        teach.check_place(cell, tasks.load("reach"), place)


def test_an_arm_that_cannot_be_made_soft_says_so():
    with opened(CELL, tasks.load("reach")) as session:
        session.take()
        session.cell.abilities = dataclasses.replace(session.cell.abilities, gains=False, law="stiff")
        with pytest.raises(CommissionError, match=r"this arm's controller \(stiff\) cannot be made soft"):
            teach.guide(session, 1.0)


def test_an_arm_whose_gains_are_set_once_says_so():
    with opened(CELL, tasks.load("reach")) as session:
        session.take()

        def refuse(*_):
            raise CommandRejected("the stiffness of this arm's controller is set when the cell is opened: leave it.")

        session.cell.command = refuse
        with pytest.raises(CommissionError, match="cannot be made soft, so it cannot be guided; jog it"):
            teach.guide(session, 1.0)


def test_a_person_s_lesson_outlives_what_cannot_be_done():
    words = ["goal", "grip 1", "hand 0.1", "done"]
    said = Console(record=True, width=200, quiet=True)
    with opened(CELL, tasks.load("reach")) as session:
        session.cell.abilities = dataclasses.replace(session.cell.abilities, gains=False)
        place = teach.teach(session, tasks.load("reach"), words, said, forgiving=True)
        with pytest.raises(CommissionError, match="cannot be made soft"):
            teach.teach(session, tasks.load("reach"), words, said)
    assert place.goal.position[0] == pytest.approx(0.5, abs=2e-3)
