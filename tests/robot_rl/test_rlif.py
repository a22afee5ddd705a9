"""RLIF's rewards in what a run learns from, against everything that ever happened."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.checkpoint import read_checkpoint, save_checkpoint
from robot_rl.data.label import FAULT, HUMAN, Label, Labels
from robot_rl.experience import Experience
from robot_rl.rewards.intervention import of_demonstration, relabelled
from tests.robot_rl.data.replay.truth import ACTIONS, DISCOUNT, SPEC, Truth, World, assert_rows
from tests.robot_rl.learning import SMALL, run_config, transition


def rlif(n_step=1, **changes):
    learner = dataclasses.replace(SMALL, n_step=n_step, capacity=1000, discount=DISCOUNT)
    config = run_config(learner=learner)
    changes = {"interventions": "online", "reward": "intervention", "intervener": "random50"} | changes
    return Experience(dataclasses.replace(config, **changes), SPEC, ACTIONS)


def expected(records):
    """As the paper says it: -1 where the very next step of the episode is somebody else's and this one is not."""
    steps = [record for record in records if not isinstance(record, Label)]
    labels = Labels()
    for record in records:
        if isinstance(record, Label) and (record.kind != "reward" or record.source in (HUMAN, FAULT)):
            labels.add(record)
    worth = []
    for step in steps:
        later = [
            other
            for other in steps
            if (other.actor, other.episode, other.step) == (step.actor, step.episode, step.step + 1)
        ]
        onset = any(other.intervened for other in later) and not step.intervened
        reward = labels.reward(step.episode, step.step, -1.0 if onset else 0.0)
        worth.append(dataclasses.replace(step, reward=reward))
    return [*worth, *(label for label in records if isinstance(label, Label) and label.kind != "reward")]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["go on", "intervene", "terminate", "truncate", "restart"]), max_size=40),
       st.integers(1, 3), st.integers(0, 2**16))  # fmt: skip
def test_the_last_step_before_each_takeover_is_blamed_and_no_other(events, n_step, seed):
    target, world, rng = rlif(n_step), World(), np.random.default_rng(seed)
    target.begin([])
    everything = []
    for number, event in enumerate(events):
        everything.append(world.step(f"actor{rng.integers(2)}", event))
        target.add(everything[-1])
        if rng.random() < 0.2:
            everything.append(world.any_label(rng, number))
            target.add(everything[-1])
    assert_rows(target.online, Truth(10**6, 1, n_step, expected(everything)).expected())


def test_a_takeover_in_a_resumed_run_blames_the_step_before_the_stop(tmp_path):
    world = World()
    steps = [world.step("actor0", event) for event in ("go on", "go on", "intervene", "go on", "intervene")]
    for cut in range(len(steps) + 1):
        target = rlif()
        target.begin([])
        for step in steps[:cut]:
            target.add(step)
        files, state = target.save()
        again = rlif()
        again.restore(read_checkpoint(save_checkpoint(tmp_path, f"cut-{cut}", files, {"experience": state})))
        for step in steps[cut:]:
            again.add(step)
        assert again.online.gather(np.arange(5)).reward.tolist() == [0, -1, 0, -1, 0]


@pytest.mark.parametrize("interventions, held", [("online", 3), ("both", 4)])
def test_demonstrations_are_worth_nothing_and_takeovers_lie_where_they_are_wanted(interventions, held):
    target = rlif(interventions=interventions)
    world = World()
    shown = [dataclasses.replace(world.step("expert", "go on"), reward=5.0) for _ in range(3)]
    label = Label("expert", 3, 0.0, shown[1].episode, 1, HUMAN, 1, "reward", 9.0)
    target.begin([*shown, label])
    target.add(world.step("actor0", "go on"))
    target.add(dataclasses.replace(world.step("actor0", "intervene"), reward=7.0))
    assert target.demonstrations.gather(np.arange(held)).reward.tolist() == [0.0] * held
    assert len(target.demonstrations) == held
    assert target.online.gather(np.arange(2)).reward.tolist() == [-1.0, 0.0]


def test_what_a_person_or_the_arms_latch_says_still_counts():
    for source, kept in ((HUMAN, 1), (FAULT, 1), ("classifier", 0)):
        label = Label("a", 0, 0.0, "e", 1, source, 1, "reward", 2.0)
        assert len(relabelled(label, None)) == kept
    discard = Label("a", 0, 0.0, "e", 1, "classifier", 1, "discard", 1.0)
    assert relabelled(discard, None) == of_demonstration(discard) == [discard]


def test_nobody_is_blamed_for_a_takeover_at_an_episodes_first_step():
    before = transition(4, step=4, episode="one")
    first = transition(5, step=0, episode="two", intervened=True, reward=3.0)
    (only,) = relabelled(first, before)
    assert only.reward == 0.0
