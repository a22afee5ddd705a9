"""Evaluation under perturbations: the same episodes, each disturbed once, counted as they went."""

import dataclasses

import numpy as np
import pytest

import tasks
from controllers.twin import TwinCell
from robot_rl.actor import Episode
from robot_rl.envs import RobotEnv
from robot_rl.evaluate import Evaluation, evaluate
from robot_rl.exceptions import ConfigError
from robot_rl.perturb import KINDS, Perturbation, Perturbed, Trial, evaluate_perturbed, perturbations

STILL = np.zeros(4, np.float32)


@pytest.fixture
def trial():
    """trial(task, kind): an environment, and a trial in it that begins after one step."""
    made = []

    def make(name, kind, cameras=()):
        task = tasks.load(name)
        made.append(RobotEnv(task, TwinCell(task, seed=0, cameras=cameras)))
        return made[-1], Trial(KINDS[kind], made[-1], np.random.default_rng(0), 2)

    yield make
    for env in made:
        env.close()


def test_names_and_what_is_none():
    assert [kind.name for kind in perturbations("all")] == ["moved", "pushed", "lights", "camera"]
    assert [kind.name for kind in perturbations("pushed,moved,pushed")] == ["pushed", "moved"]
    with pytest.raises(ConfigError, match="--perturb has 'pushd', which is none; did you mean pushed"):
        perturbations("moved,pushd")


def test_what_can_change_nothing_says_so():
    reach, peg = tasks.load("reach"), tasks.load("peg_insert")
    assert KINDS["moved"].why_not(reach, "state") == "task reach names no body as its goal"
    assert (
        KINDS["lights"].why_not(peg, "state") == KINDS["camera"].why_not(peg, "state") == "the policy sees no pictures"
    )
    assert not any(kind.why_not(peg, "features") for kind in KINDS.values())


def run(env, trial, steps, action=STILL):
    env.reset(seed=0)
    readings = [env.reading]
    trial(0, env.reading)
    for _ in range(steps):
        env.step(action[: env.action_dim])
        readings.append(env.reading)
        trial(0, env.reading)
    return readings


def test_the_socket_moves_once_by_five_millimetres_after_its_step(trial):
    env, moved = trial("peg_insert", "moved")
    assert moved.at == 1
    places = [reading.sim["socket_position"] for reading in run(env, moved, 4)]
    away = np.linalg.norm(np.array(places) - places[0], axis=1)
    assert np.allclose(away, [0, 0, 0.005, 0.005, 0.005], atol=1e-9) and moved.happened


def test_the_tool_is_pushed_for_two_steps_and_nobody_latches(trial):
    env, pushed = trial("reach", "pushed")
    readings = run(env, pushed, 6)
    forces = [np.linalg.norm(reading.arm.wrench[:3]) for reading in readings]
    assert np.allclose(forces[2:4], 20, atol=0.1) and max(forces[:2] + forces[4:]) < 0.1
    assert np.linalg.norm(readings[3].arm.pose.position - readings[1].arm.pose.position) > 0.005
    assert {reading.safety for reading in readings[1:]} == {"track"}


@pytest.mark.egl
@pytest.mark.parametrize("kind", ["lights", "camera"])
def test_what_is_seen_is_perturbed_from_the_first_picture_on_and_comes_back(trial, kind):
    env, seen = trial("reach", kind, cameras=tasks.load("reach").cameras)
    plain = RobotEnv(env.task, TwinCell(env.task, seed=0, cameras=env.task.cameras))
    for each in (env, plain):
        each.reset(seed=0)
    for name, image in env.reading.images.items():
        assert np.abs(image.astype(int) - plain.reading.images[name]).mean() > 0.5
    seen.end(Episode(0, 1, 0.0, False, 0.1, 0))
    env.cell.set_state_vector(plain.cell.state_vector())
    for camera in env.task.cameras:
        assert np.array_equal(env.cell.render(camera), plain.cell.render(camera))
    plain.close()


class Bumped(Perturbation):
    """Ends in a latch, as a fault would, in the first episode that it meets."""

    name = "bumped"

    def begin(self, cell, rng):
        cell.stop("bumped")


def opener(task, **changes):
    return lambda: RobotEnv(dataclasses.replace(task, **changes), TwinCell(task, seed=2))


def expert_of(task):
    expert = task.expert(task)
    expert.reset(np.random.default_rng(0))
    return lambda observation, reading, step: expert.act(reading)


def test_an_expert_that_sees_recovers_and_its_recovery_is_told():
    task = tasks.load("peg_insert")
    env, act = opener(task)(), expert_of(task)
    nominal = evaluate(env, act, 3, 2)
    env.close()
    for name in ("moved", "pushed"):
        told = evaluate_perturbed(KINDS[name], opener(task), act, nominal).summary()
        assert (told["perturbation"], told["perturbed"], told["latched"]) == (name, 3, {})
        assert told["recovered"] == told["successes"] == 3 and abs(told["extra_s"]) < 5


def test_what_became_of_the_perturbed_episodes_is_told():
    def episodes(*rows):
        made = [Episode(i, 10, 0.0, won, time, 0, fault) for i, (won, time, fault) in enumerate(rows)]
        return Evaluation("reach", 0, made)

    nominal = episodes((True, 1.0, ""), (True, 2.0, ""), (False, 5.0, ""), (True, 1.0, ""), (True, 1.0, ""))
    perturbed = episodes((True, 1.5, ""), (True, 4.0, ""), (True, 3.0, ""), (False, 0.5, "bumped"), (True, 9.0, ""))
    told = Perturbed("pushed", perturbed, nominal, [True] * 4 + [False]).summary()
    assert (told["successes"], told["episodes"], told["perturbed"], told["recovered"]) == (4, 5, 4, 3)
    assert told["extra_s"] == pytest.approx((0.5 + 2.0) / 2) and told["latched"] == {"bumped": 1}


def test_a_moved_goal_is_judged_where_it_is():
    """The reward of peg_insert measures against the nominal place: here it never sees the success."""
    task = tasks.load("peg_insert")
    blind = {"reward": lambda reading: (0.0, False)}
    env, act = opener(task)(), expert_of(task)
    nominal = evaluate(env, act, 2, 2)
    env.close()
    assert evaluate_perturbed(KINDS["moved"], opener(task, **blind), act, nominal).evaluation.successes == 2
    assert evaluate_perturbed(KINDS["pushed"], opener(task, **blind), act, nominal).evaluation.successes == 0


def test_an_episode_that_latches_has_failed_with_its_reason_and_the_others_go_on():
    task = tasks.load("reach")
    env, act = opener(task)(), expert_of(task)
    nominal = evaluate(env, act, 3, 0)
    env.close()
    told = evaluate_perturbed(Bumped(), opener(task), act, nominal).summary()
    assert (told["episodes"], told["successes"], told["latched"]) == (3, 0, {"bumped": 3})
