"""What a replay must hold, worked out from everything that ever happened, one transition at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from robot_rl.data.label import Label, Labels, Record
from robot_rl.data.replay import Replay
from robot_rl.data.transition import Transition
from robot_rl.nets.observation import ObservationSpec
from tests.robot_rl.learning import transition as make_transition

SPEC = ObservationSpec(
    (("pose", 2), ("sim/goal", 1)),
    (("front", (2, 2, 1)), ("wrist", (1, 2, 3))),
    (("wrist_features", (2, 1, 2, 3)),),
)
ACTIONS = 2
DISCOUNT = 0.9


def moment(number: int) -> dict[str, np.ndarray]:
    """What is seen at moment `number`: unlike at any other."""
    rng = np.random.default_rng(number)
    return {
        "pose": np.array([number, rng.normal()], np.float32),
        "sim/goal": rng.normal(size=1).astype(np.float32),
        "front": rng.integers(0, 255, (2, 2, 1), np.uint8),
        "wrist": rng.integers(0, 255, (1, 2, 3), np.uint8),
        "wrist_features": rng.normal(size=(2, 1, 2, 3)).astype(np.float16),
    }


EVENTS = ("go on", "intervene", "terminate", "truncate", "restart", "gap", "undead")
_EVENT_SHARES = (0.5, 0.25, 0.05, 0.05, 0.05, 0.05, 0.05)
_KIND_SHARES = {"reward": 0.35, "success": 0.1, "discard": 0.35, "undo": 0.2}


@dataclass
class World:
    """Makes the transitions that actors send: each has its own episodes, which end, are cut off, or have gaps."""

    moments: int = 0
    now: dict[str, tuple[str, int, dict]] = field(default_factory=dict)
    episodes: dict[str, int] = field(default_factory=dict)

    def look(self) -> dict[str, np.ndarray]:
        self.moments += 1
        return moment(self.moments)

    def step(self, actor: str, event: str) -> Transition:
        """event: one of EVENTS; "restart": a new episode at once; "undead": an end that the episode goes on behind."""
        if actor not in self.now or event == "restart":
            number = self.episodes[actor] = self.episodes.get(actor, -1) + 1
            self.now[actor] = (f"{actor}/{number}", 0, self.look())
        episode, step, seen = self.now.pop(actor)
        if event == "gap":
            seen = self.look()
        following = self.look()
        if event not in ("terminate", "truncate"):
            self.now[actor] = (episode, step + 1, following)
        return make_transition(
            self.moments,
            actor=actor,
            episode=episode,
            step=step,
            observation=seen,
            following=following,
            intervened=event == "intervene",
            terminated=event in ("terminate", "undead"),
            truncated=event == "truncate",
            reward=float(np.float32(np.random.default_rng(self.moments).normal())),
        )

    def any_step(self, rng: np.random.Generator) -> Transition:
        """The next step of one of three actors."""
        actor = str(rng.choice(["actor0", "actor1", "expert"], p=[0.6, 0.3, 0.1]))
        return self.step(actor, str(rng.choice(EVENTS, p=_EVENT_SHARES)))

    def any_label(self, rng: np.random.Generator, number: int) -> Label:
        """A judgement of a step that was, is yet to come, or never will be; now and then of a whole episode."""
        actor = str(rng.choice(["actor0", "actor1", "expert"], p=[0.6, 0.3, 0.1]))
        episode = max(0, self.episodes.get(actor, 0) + 1 - int(rng.choice(4, p=[0.1, 0.6, 0.2, 0.1])))
        kind = str(rng.choice(list(_KIND_SHARES), p=list(_KIND_SHARES.values())))
        value = {"reward": 10.0 + number, "undo": 0.0}.get(kind, float(rng.random() < 0.8))
        step, version = int(rng.integers(-1, 12)), int(rng.integers(4))
        source = str(rng.choice(["human", "classifier"]))
        return Label("reviewer", number, float(number), f"{actor}/{episode}", step, source, version, kind, value)


def successors(transitions: list[Transition]) -> dict[int, int]:
    """For each transition that the same actor truly went on from, where it went on."""
    of_actor: dict[str, list[int]] = {}
    for index, transition in enumerate(transitions):
        of_actor.setdefault(transition.actor, []).append(index)
    following = {}
    for indices in of_actor.values():
        for i, j in pairwise(indices):
            one, two = transitions[i], transitions[j]
            goes_on = one.episode == two.episode and one.step + 1 == two.step
            unbroken = all(np.array_equal(one.next_observation[n], two.observation[n]) for n in one.observation)
            if goes_on and unbroken and not one.terminated and not one.truncated:
                following[i] = j
    return following


@dataclass
class Truth:
    """Everything that a replay was given, in order."""

    capacity: int
    stack: int = 1
    n_step: int = 1
    records: list[Record] = field(default_factory=list)

    def expected(self, only: Callable[[Transition], bool] = lambda transition: True) -> list[dict]:
        """For each transition that may be drawn, oldest first, what is to be drawn; `only` those."""
        transitions = [record for record in self.records if isinstance(record, Transition)]
        labels = Labels()
        for record in self.records:
            if isinstance(record, Label):
                labels.add(record)
        following = successors(transitions)
        before = {j: i for i, j in following.items()}
        held = range(max(0, len(transitions) - self.capacity), len(transitions))
        live = [i for i in held if not labels.discarded(transitions[i].episode, transitions[i].step)]
        reward = [np.float32(labels.reward(t.episode, t.step, t.reward)) for t in transitions]
        ends = {i for i, t in enumerate(transitions) if t.terminated or labels.ends(t.episode, t.step)}
        known = (transitions, following, before, set(live), reward, ends)
        return [self._row(i, *known) for i in live if only(transitions[i])]

    def _row(self, first, transitions, following, before, live, reward, ends) -> dict:
        last, total, discount = first, reward[first], np.float32(DISCOUNT)
        for _ in range(self.n_step - 1):
            after = following.get(last)
            if last in ends or after not in live or transitions[after].intervened != transitions[last].intervened:
                break
            total = np.float32(total + discount * reward[after])
            discount, last = np.float32(discount * np.float32(DISCOUNT)), after
        ending = transitions[last]
        seen = [transitions[i].observation for i in self._history(first, before)]
        seen_next = [*(transitions[i].observation for i in self._history(last, before)), ending.next_observation]
        return {
            "observation": joined(seen),
            "next_observation": joined(seen_next[1:]),
            "action": transitions[first].action,
            "reward": total,
            "terminated": last in ends,
            "discount": discount,
        }

    def _history(self, index: int, before: dict[int, int]) -> list[int]:
        """The transitions whose observations are stacked: the first is repeated at the start."""
        history = [index]
        while len(history) < self.stack:
            history.insert(0, before.get(history[0], history[0]))
        return history


def joined(observations: list[dict]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([o[name] for o in observations], axis=-1) for name in observations[0]}


def assert_holds(replay: Replay, truth: Truth) -> None:
    """The replay holds what the truth says and nothing else."""
    assert_rows(replay, truth.expected())


def assert_rows(replay: Replay, expected: list[dict]) -> None:
    """The replay holds these rows and nothing else."""
    assert len(replay) == len(expected)
    batch = replay.gather(np.arange(len(expected)))
    for i, row in enumerate(expected):
        for where in ("observation", "next_observation"):
            drawn = getattr(batch, where)
            assert drawn.keys() == row[where].keys()
            for name, value in row[where].items():
                np.testing.assert_array_equal(drawn[name][i], value)
                assert drawn[name].dtype == value.dtype
        np.testing.assert_array_equal(batch.action[i], row["action"])
        assert batch.terminated[i] == row["terminated"]
        np.testing.assert_allclose(batch.reward[i], row["reward"], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batch.discount[i], row["discount"], rtol=1e-6)


def give(replay: Replay, record: Record) -> None:
    if isinstance(record, Label):
        replay.label(record)
    else:
        replay.add(record)


def through_json(state):
    """As a checkpoint keeps it."""
    return json.loads(json.dumps(state, sort_keys=True))
