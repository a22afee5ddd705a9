"""Demonstrations by a person: an actor whose policy holds still, and a person who acts in its place.

What is recorded goes into a journal beside the set, step by step, discarded and failed episodes included; a half-done
recording goes on where it was. The set is made of the episodes that succeeded and were not discarded, once there are
enough of them.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robot_rl.actor import Actor, Episode, ExperienceSink
from robot_rl.agents import Policy, make_agent
from robot_rl.config import LearnerConfig
from robot_rl.data.formats.whole import Written, write_set
from robot_rl.data.journal import Journal
from robot_rl.data.label import Label, Labels, Record
from robot_rl.data.transition import Observation, Transition
from robot_rl.envs.environment import Environment
from robot_rl.envs.robot_env import RobotEnv
from robot_rl.person import Person

ENDLESS = 10**9
POLL = 0.02
"""How often a person who has not begun to move is looked at, s."""


def recording_of(folder: Path) -> Path:
    """Where the recording lies that the set `folder` is made of."""
    return folder.with_name(folder.name + "-recording")


class Recording:
    """The journal of a recording, as an actor's sink, and which of its episodes count so far."""

    def __init__(self, journal: Journal) -> None:
        self.journal, self._labels = journal, Labels()
        self._last: dict[str, Transition] = {}  # step of each episode, in the order of their beginning
        for record in journal.records():
            self._note(record)

    @property
    def steps(self) -> int:
        """As `ExperienceSink.steps`."""
        return self.journal.steps

    @property
    def next_sequence(self) -> int:
        """As `ExperienceSink.next_sequence`."""
        return self.journal.next_sequence

    def send(self, record: Record) -> None:
        """As `ExperienceSink.send`."""
        self.journal.append(record)
        self._note(record)

    @property
    def kept(self) -> list[str]:
        """Names of the episodes that succeeded, by the environment's word or the person's, and were not discarded."""
        return [
            name
            for name, last in self._last.items()
            if (last.terminated or last.truncated)
            and self._labels.success(name, last.step, last.success)
            and not self._labels.discarded(name, last.step)
        ]

    def shown(self) -> Iterator[Record]:
        """The records of what is kept, as a demonstrator's: what was done is what was proposed."""
        names = set(self.kept)
        for record in self.journal.records():
            if record.episode not in names:
                continue
            if isinstance(record, Label):
                yield record
            else:
                yield dataclasses.replace(record, policy_action=record.action, intervened=False)

    def _note(self, record: Record) -> None:
        if isinstance(record, Label):
            self._labels.add(record)
        else:
            self._last[record.episode] = record


class Leading:
    """An `Intervener`: the person alone acts, and the arm holds where they rest. Waits for their first motion.

    enough: whether enough is kept; then the first motion confirms that, in place of beginning an episode. over: whether
    the recording ends. ready: called with each episode that waits, and whether enough is kept.
    """

    def __init__(
        self,
        person: Person,
        enough: Callable[[], bool],
        stop: Callable[[], bool],
        ready: Callable[[bool], None],
        rest: Callable[[float], None],
    ) -> None:
        self._person, self._enough, self._stop, self._ready, self._rest = person, enough, stop, ready, rest
        self._confirmed = False

    def over(self) -> bool:
        """Whether nothing more is recorded: somebody stopped it, or confirmed that it is enough."""
        return self._stop() or (self._confirmed and self._enough())

    def wait(self) -> None:
        """Until the person moves or says something, so that the first observation is not an old one."""
        self._ready(self._enough())
        while not self._person.moves() and not self._person.waiting and not self._stop():
            self._rest(POLL)
        self._confirmed = self._enough() and not self._person.waiting

    def begin(self, episode: int) -> None:
        """As `Intervener.begin`."""
        self._person.begin(episode)

    def __call__(self, env: Environment, observation: Observation, proposed: NDArray) -> NDArray:
        """What the person does; nothing moves where they do nothing."""
        action = self._person(env, observation, proposed)
        return np.zeros_like(proposed) if action is None else action


class _Still:
    """A `WeightSource` of a policy that nobody asks what to do."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def get(self, version: int) -> tuple[Policy, int]:
        return self._policy, version


def record_by_hand(
    env: RobotEnv,
    person: Person,
    recording: Recording,
    count: int,
    seed: int,
    *,
    on_episode: Callable[[Episode, int], None] = lambda episode, kept: None,
    on_ready: Callable[[bool], None] = lambda enough: None,
    stop: Callable[[], bool] = lambda: False,
    rest: Callable[[float], None] = time.sleep,
    sink: ExperienceSink | None = None,
) -> int:
    """Until `count` episodes are kept and the person confirms that by a motion, `stop()`, or they end it.

    Returns how many are kept. sink: through which steps go into the recording, where somebody looks on. on_episode:
    hears of each episode and how many are kept now; on_ready: when a motion is waited for, and whether enough is kept.
    Raises `ArmFault` where the arm latches.
    """
    settings = LearnerConfig(hidden=(1,))
    policy = make_agent("bc", settings, env.observation_space.sample(), env.action_dim, 0).policy()

    leading = Leading(person, lambda: len(recording.kept) >= count, stop, on_ready, rest)
    env.settle = leading.wait
    actor = Actor(
        env,
        _Still(policy),
        sink or recording,
        settings,
        seed=seed,
        name="person",
        first_episode=recording.journal.episodes(),
        intervener=leading,
        operator=person,
        rest=rest,
    )

    def told(episode: Episode) -> None:
        if episode.steps:
            on_episode(episode, len(recording.kept))

    try:
        actor.run(ENDLESS, on_episode=told, stop=leading.over)
    finally:
        env.settle = None
    return len(recording.kept)


def make_set(folder: Path, recording: Recording) -> Written:
    """Write the set of what is kept. Raises `DataError` where there is something already."""
    return write_set(folder, recording.journal.schema, recording.shown())
