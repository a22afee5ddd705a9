"""What a run learns from: its own steps, demonstrations, imported sets; where they lie, how a checkpoint holds them."""

from __future__ import annotations

import dataclasses
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from robot_rl.checkpoint import Checkpoint
from robot_rl.config import LEARNT, OFFLINE, RunConfig, takes_over
from robot_rl.data.label import Label, Record
from robot_rl.data.replay import Replay, Sampler
from robot_rl.data.transition import Observation, endless
from robot_rl.exceptions import DataError
from robot_rl.nets.observation import ObservationSpec
from robot_rl.rewards import intervention
from robot_rl.rewards.learnt import LearntReward

ONLINE, DEMONSTRATIONS, IMPORTED = "online", "demonstrations", "imported"
JUDGE, REWARD_FILE = "judge", "reward.safetensors"
"""Of a learnt reward: the name of its state in a checkpoint, and its file."""
ENOUGH = 10_000
"""Steps, spread evenly, that say how large the numbers of a set are."""
SMALLEST = 1e-3
"""Added to a deviation, as IQL's authors do: a number that never changed is not blown up."""
_PLACE = re.compile("[0-9a-f]{32}")


class Records(Protocol):
    """A number of records that can be gone through, again if need be; they need not fit into memory."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Record]: ...


def _as_it_is(record: Record) -> Record:
    return record


class Experience:
    """The replays of a run and the sampler over them. Empty until `begin` or `restore`.

    folder: where the replays of observations with cameras lie, memory-mapped, each beginning in a folder of a new
    name that its checkpoints hold: what another beginning left is never taken for its own. None: in memory.
    expert: what it would have done at each step counts among the demonstrations (DAgger).
    judge: says what steps are worth, and learns to meanwhile (`judge_anew`).
    """

    sampler: Sampler

    def __init__(
        self,
        config: RunConfig,
        spec: ObservationSpec,
        action_dim: int,
        folder: Path | None = None,
        expert: Callable[[Observation], NDArray] | None = None,
        judge: LearntReward | None = None,
    ) -> None:
        self._expert, self._judge = expert, judge
        self._judged: dict[str, int] = {}  # of each replay, the row up to which the newest judgement goes
        self._config, self._spec, self._action_dim = config, spec, action_dim
        self._folder = folder if spec.images or spec.features else None
        self._place: str | None = None
        self._rooms: dict[str, int] = {}
        self._shared = False  # whether interveners' steps lie among the demonstrations
        self._replays: dict[str, Replay] = {}

    @property
    def online(self) -> Replay:
        """Steps that the run itself made."""
        return self._replays[ONLINE]

    @property
    def demonstrations(self) -> Replay:
        """Steps that were there before the run."""
        return self._replays[DEMONSTRATIONS]

    @property
    def judged(self) -> bool:
        """Whether the reward is learnt, and not what was recorded."""
        return self._judge is not None

    def begin(
        self, demonstrations: Records, imported: Records = (), check: Callable[[Record], Record] = _as_it_is
    ) -> None:
        """Start anew, from what was there before the run alone; `check` sees each record first.

        Memory-mapped replays of before are removed: the journal has what they held.
        """
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._place = uuid.uuid4().hex
        self._open({DEMONSTRATIONS: len(demonstrations), IMPORTED: len(imported)})
        rewards = {"intervention": intervention.of_demonstration} | dict.fromkeys(LEARNT, _endless)
        worth = rewards.get(self._config.reward, _unchanged)
        for name, records in ((DEMONSTRATIONS, demonstrations), (IMPORTED, imported)):
            for record in records:
                self._saw(record, shown=True)
                _add(self._replays[name], worth(check(record)))

    def add(self, record: Record) -> None:
        """Take in what the run itself brought: a step, or a judgement of one.

        With `interventions: both`, a step that an intervener made counts among the demonstrations, too (HIL-SERL, Luo
        et al., 2024), each as it was: a turn of theirs is no episode, so its last step leads to a value of the next.
        """
        self._saw(record, shown=False)
        rlif = self._config.reward == "intervention"
        worth = intervention.relabelled(record, self.online.newest(record.actor)) if rlif else [record]
        _add(self.online, worth)
        if self._config.interventions == "both" and worth:
            record = worth[-1]  # what may come before it judges a step of the policy's
            self._demonstrate(record)

    def judge_anew(self) -> dict[str, float]:
        """Where the reward is learnt: learn, and judge what was not judged yet, or all if it judges otherwise now."""
        if self._judge is None:
            return {}
        otherwise, metrics = self._judge.learn(self.online)
        for name, replay in self._replays.items():
            self._judged[name] = replay.rejudge(self._judge.reward, 0 if otherwise else self._judged.get(name, 0))
        return metrics

    def _saw(self, record: Record, *, shown: bool) -> None:
        if self._judge is not None and not isinstance(record, Label):
            self._judge.saw(record, shown)

    def _demonstrate(self, record: Record) -> None:
        """Count what somebody showed among the demonstrations."""
        if isinstance(record, Label):
            self.demonstrations.label(record)
        elif self._expert is not None:
            self.demonstrations.add(dataclasses.replace(record, action=self._expert(record.observation)))
        elif record.intervened:
            self.demonstrations.add(record, self.online.before(record.actor))

    def scales(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and deviation (vector_size,) of the numbers observed in the demonstrations, or in a part of them."""
        count = len(self.demonstrations)
        drawn = self.demonstrations.gather(np.unique(np.linspace(0, count - 1, ENOUGH).astype(np.int64)))
        vectors = np.concatenate([drawn.observation[name] for name, _ in self.demonstrations.seen.vectors], axis=-1)
        return vectors.mean(0), vectors.std(0) + SMALLEST

    def save(self) -> tuple[dict[str, dict[str, NDArray]], dict[str, Any]]:
        """Files and state that `restore` needs. What is memory-mapped is on disk afterwards."""
        files, states = {}, {}
        for name, replay in self._replays.items():
            files[f"{name}.safetensors"], states[name] = replay.save()
        random = self.sampler.rng.bit_generator.state
        places = {"place": self._place, "rooms": self._rooms, "shared": self._shared}
        if self._judge is not None:
            files[REWARD_FILE], states[JUDGE] = self._judge.save()
        return files, places | {"replays": states, "random": random}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on as `checkpoint` has it. DataError: it is of other observations, or its replay is gone or damaged."""
        state = checkpoint.state["experience"]
        place = state["place"]
        if (place is None) != (self._folder is None) or not (place is None or _PLACE.fullmatch(place)):
            raise DataError(f"its replay lies in {place!r}, not where this run's does")
        self._place = place
        self._shared = bool(state.get("shared", False))  # none in a checkpoint of an earlier release
        self._open({name: int(room) for name, room in state["rooms"].items()})
        for name, replay in self._replays.items():
            replay.restore(checkpoint.arrays(f"{name}.safetensors"), state["replays"][name])
        if self._judge is not None:
            self._judge.restore(checkpoint.arrays(REWARD_FILE), state["replays"][JUDGE])
        self.sampler.rng.bit_generator.state = state["random"]

    def close(self) -> None:
        """Let another have the folder."""
        for replay in self._replays.values():
            replay.close()
        if self._judge is not None:
            self._judge.close()

    def _open(self, rooms: Mapping[str, int]) -> None:
        """rooms: records there are in each source but the run's own; what interveners do has room beside them.

        Where nobody may take over any more, what somebody did before still needs it.
        """
        self._rooms = dict(rooms)
        own = self._config.learner.capacity
        shown = self._expert is not None or takes_over(self._config)
        self._shared |= self._config.interventions == "both" and shown
        shared = own if self._shared else 0
        for name, capacity in ((ONLINE, own), *rooms.items()):
            more = shared if name == DEMONSTRATIONS else 0
            self._replays[name] = self._replay(name, max(1, capacity + more))
        imported = self._config.learner.imported_share
        share = {"rlpd": self._config.learner.demo_share, "sac": 0.0}.get(self._config.agent, 1 - imported)
        weights = {DEMONSTRATIONS: share, IMPORTED: imported, ONLINE: max(0.0, 1 - share - imported)}
        sources = {name: (self._replays[name], weight) for name, weight in weights.items()}
        offline = self._config.agent in OFFLINE
        temperature = self._config.learner.return_temperature if offline else 0.0
        self.sampler = Sampler(sources, self._config.seed, temperature)

    def _replay(self, name: str, capacity: int) -> Replay:
        folder = None if self._folder is None or self._place is None else self._folder / self._place / name
        settings = self._config.learner
        return Replay(
            self._spec,
            self._action_dim,
            capacity,
            folder=folder,
            stack=settings.stack,
            n_step=settings.n_step,
            discount=settings.discount,
        )


def _endless(record: Record) -> list[Record]:
    if isinstance(record, Label):
        return [] if record.kind == "success" else [record]  # a step that succeeded would be the last of its value
    return [endless(record)]


def _unchanged(record: Record) -> list[Record]:
    return [record]


def _add(replay: Replay, records: Iterable[Record]) -> None:
    for record in records:
        if isinstance(record, Label):
            replay.label(record)
        else:
            replay.add(record)
