"""The last transitions of a run, from which any may be drawn at any time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robot_rl.data.label import EPISODE, Label, Labels
from robot_rl.data.replay.awaited import Awaited
from robot_rl.data.replay.batch import Batch, empty_batch
from robot_rl.data.replay.moments import Moments
from robot_rl.data.replay.store import reserve
from robot_rl.data.transition import Observation, Transition
from robot_rl.exceptions import DataError
from robot_rl.nets.observation import ObservationSpec

_log = logging.getLogger(__name__)

PIECE = 1024
"""Steps that are judged anew at once."""


class Tail(NamedTuple):
    """An actor's newest step: what its next one may follow. moments: slots of the step, oldest first."""

    episode: str
    step: int
    row: int
    intervened: bool
    ended: bool
    moments: tuple[int, ...]


@dataclass
class _Episode:
    """serial: what rows know it by; its rows have numbers from `first` to `last`, others' rows among them."""

    serial: int
    first: int
    last: int


class Replay:
    """The last `capacity` transitions. Each is a row, numbered from 0 for ever; row k lies at k modulo capacity.

    What was observed at one moment is stored once, in a slot of `Moments`, however many rows show it: as what a step
    started from, ended in, or (`stack` above 1) had seen before. So a row alone says what it shows, whatever has
    become of its neighbours. A row's `ahead` is how many rows further the very next step of its episode lies, 0 where
    none is held or where n-step returns must not go on: behind an end, and where a person takes over or lets go.

    labels_dropped: labels that were forgotten since no step of their episode came, or none is held any more.
    """

    def __init__(
        self,
        spec: ObservationSpec,
        action_dim: int,
        capacity: int,
        *,
        folder: Path | None = None,
        stack: int = 1,
        n_step: int = 1,
        discount: float = 0.97,
    ) -> None:
        """folder: where moments lie on disk, one replay in each; without it they lie in memory.

        stack: how many successive observations make what is seen. n_step: rewards summed at most. discount: of a step.
        """
        self.spec, self.action_dim, self.capacity = spec, action_dim, capacity
        self.stack, self.n_step = stack, n_step
        self.seen = spec.stacked(stack)
        self.moments = Moments(spec, 2 * capacity + 64 * (stack + 1), folder)
        columns: dict[str, tuple[tuple[int, ...], Any]] = {
            "action": ((action_dim,), np.float32),
            "recorded": ((), np.float32),
            "reward": ((), np.float32),
            "ended": ((), np.bool_),
            "terminated": ((), np.float32),
            "live": ((), np.bool_),
            "moments": ((stack + 1,), np.int32),
            "ahead": ((), np.int32),
            "episode": ((), np.int32),
            "step": ((), np.int32),
        }
        self._columns = {name: reserve(capacity, shape, dtype) for name, (shape, dtype) in columns.items()}
        self._discounts = np.float32(discount) ** np.arange(n_step + 1, dtype=np.float32)
        self._first = self._written = 0
        self._discarded = 0
        self._live: NDArray[np.int64] | None = None  # positions of the rows that count, where some do not
        self._tails: dict[str, Tail] = {}
        self._episodes: dict[str, _Episode] = {}
        self._names: dict[int, str] = {}
        self._serial = 0
        self._labels: dict[str, Labels] = {}  # of the episodes that are held
        self._awaited = Awaited()
        self.labels_dropped = 0

    def __len__(self) -> int:
        """How many transitions may be drawn: those held, without the discarded."""
        return self._written - self._first - self._discarded

    @property
    def nbytes(self) -> int:
        """Bytes that what is held takes, in memory or on disk."""
        row = sum(column[:1].nbytes for column in self._columns.values())
        return (self._written - self._first) * row + self.moments.nbytes

    @property
    def needs_checkpoint(self) -> bool:
        """Whether much of the disk waits for the next `save` to be free again."""
        return self.moments.waiting > max(1024, self.capacity // 8)

    def add(self, transition: Transition, before: Sequence[Observation] = ()) -> None:
        """Store a transition, which `spec.check` must have passed, in place of the oldest when full.

        before: what was seen before it, oldest first, for a step whose predecessor this replay does not hold.
        Raises `DiskError` where the disk is full; then nothing was added.
        """
        tail = self._tails.get(transition.actor)
        if tail is not None and not self._follows(transition, tail):
            tail = None
        while self._written - self._first >= self.capacity or not self.moments.fits(2 + len(before)):
            self._forget_oldest()
        if tail is None:
            seen = self.moments.add(*before, transition.observation, transition.next_observation)[-self.stack - 1 :]
            moments = (seen[0],) * (self.stack + 1 - len(seen)) + seen
        else:
            moments = (*tail.moments[1:], *self.moments.add(transition.next_observation))
        self._append(transition, moments, tail)

    def before(self, actor: str) -> list[Observation]:
        """What the actor's newest step shows from before it began, oldest first: `stack` - 1 observations."""
        tail = self._tails[actor]
        return [self.moments.observation(slot) for slot in tail.moments[: self.stack - 1]]

    def newest(self, actor: str) -> Tail | None:
        """The actor's newest step; None before its first."""
        return self._tails.get(actor)

    def label(self, label: Label) -> None:
        """Take a judgement in: rows held change their reward or drop out; steps yet to come will have it.

        Of episodes that have not come yet, the newest are kept (`Awaited`).
        """
        episode = self._episodes.get(label.episode)
        if episode is None:
            self._drop_labels(self._awaited.add(label))
            return
        if not self._labels.setdefault(label.episode, Labels()).add(label):
            return
        c = self._columns
        at = np.arange(max(episode.first, self._first), episode.last + 1) % self.capacity
        mine = c["episode"][at] == episode.serial
        if label.step != EPISODE:
            mine &= c["step"][at] == label.step
        for position in at[mine]:
            self._judge(int(position), label.episode)

    def returns(self) -> NDArray[np.float32]:
        """Of each transition that may be drawn, by age: the sum of the rewards of its episode that are held."""
        at = self._positions(np.arange(len(self)))
        episode, reward = self._columns["episode"][at], self._columns["reward"][at]
        _, place = np.unique(episode, return_inverse=True)
        totals: NDArray[np.float32] = np.bincount(place, reward).astype(np.float32)
        return totals[place]

    def rejudge(self, worth: Callable[[dict[str, NDArray]], NDArray[np.float32]], since: int = 0) -> int:
        """Ask `worth` what each step from row `since` on is worth, by what it led to, in place of what was recorded.

        Labels stand above it. Returns the number of the row that comes next.
        """
        c = self._columns
        for first in range(max(since, self._first), self._written, PIECE):
            at = np.arange(first, min(first + PIECE, self._written)) % self.capacity
            seen = {name: np.empty((len(at), *shape), dtype) for name, (shape, dtype) in self.seen.arrays.items()}
            self.moments.fill(seen, c["moments"][at, 1:])
            c["recorded"][at] = c["reward"][at] = worth(seen)
        labelled = [self._episodes[name].serial for name in self._labels if name in self._episodes]
        held = np.arange(max(since, self._first), self._written) % self.capacity
        for at in held[np.isin(c["episode"][held], labelled)]:
            self._judge(int(at), self._names[int(c["episode"][at])])
        return self._written

    def gather(self, index: NDArray[np.int64]) -> Batch:
        """Transitions by age, 0 the oldest that may be drawn; index may have any shape."""
        index = np.asarray(index)
        batch = empty_batch(self.seen, self.action_dim, (index.size,))
        self.fill(batch, index.reshape(-1))
        return batch.map(lambda array: array.reshape((*index.shape, *array.shape[1:])))

    def fill(self, out: Batch, index: NDArray[np.int64]) -> None:
        """Write the transitions of `gather(index)`, index (n,), into arrays of one leading axis n."""
        at = self._positions(index)
        last = self._sum_rewards(at, out)
        c = self._columns
        np.take(c["action"], at, axis=0, out=out.action, mode="clip")
        np.take(c["terminated"], last, out=out.terminated, mode="clip")
        moments = c["moments"]
        self.moments.fill(out.observation, moments[at, :-1])
        self.moments.fill(out.next_observation, moments[last, 1:])

    def _positions(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        if not self._discarded:
            return (self._first + index) % self.capacity
        if self._live is None:
            held = np.arange(self._first, self._written) % self.capacity
            self._live = held[self._columns["live"][held]]
        return self._live[index]

    def _sum_rewards(self, at: NDArray[np.int64], out: Batch) -> NDArray[np.int64]:
        """Write reward and discount of the rows at `at`; return where the last step of each sum lies."""
        c = self._columns
        reward, ahead, live, ended = c["reward"], c["ahead"], c["live"], c["terminated"]
        np.take(reward, at, out=out.reward, mode="clip")
        out.discount[:] = self._discounts[1]
        last, goes_on = at, np.ones(len(at), np.bool_)
        for k in range(1, self.n_step):
            further = ahead[last]
            following = (last + further) % self.capacity
            goes_on &= (further > 0) & live[following] & (ended[last] == 0)
            out.reward[goes_on] += self._discounts[k] * reward[following[goes_on]]
            out.discount[goes_on] = self._discounts[k + 1]
            last = np.where(goes_on, following, last)
        return last

    def _follows(self, transition: Transition, tail: Tail) -> bool:
        """Whether the transition starts at the very moment that the actor's last one ended in."""
        return (
            transition.episode == tail.episode
            and transition.step == tail.step + 1
            and not tail.ended
            and self.moments.same(tail.moments[-1], transition.observation)
        )

    def _append(self, transition: Transition, moments: tuple[int, ...], before: Tail | None) -> None:
        """Write the row; `before`: the step that it follows."""
        c, row = self._columns, self._written
        at = row % self.capacity
        name = transition.episode
        episode = self._episodes.get(name)
        if episode is None:
            episode = self._episodes[name] = _Episode(self._serial, row, row)
            self._names[episode.serial] = name
            self._serial += 1
            if (labels := self._awaited.pop(name)) is not None:
                self._labels[name] = labels
        episode.last = row
        c["action"][at] = transition.action
        c["recorded"][at] = c["reward"][at] = transition.reward
        c["ended"][at] = c["terminated"][at] = transition.terminated
        c["moments"][at] = moments
        c["episode"][at], c["step"][at] = episode.serial, transition.step
        c["ahead"][at], c["live"][at] = 0, True
        if before is not None and before.row >= self._first and before.intervened == transition.intervened:
            c["ahead"][before.row % self.capacity] = row - before.row
        self.moments.hold(moments)
        self._written += 1
        self._live = None
        self._judge(at, name)
        ended = transition.terminated or transition.truncated
        self._set_tail(transition.actor, Tail(name, transition.step, row, transition.intervened, ended, moments))

    def _set_tail(self, actor: str, tail: Tail) -> None:
        """The actor's newest step; its moments stay, since the next step may show them."""
        self.moments.hold(tail.moments)
        old = self._tails.get(actor)
        self._tails[actor] = tail
        if old is not None:
            self.moments.drop(old.moments)
            self._forget_episode(old.episode)

    def _judge(self, at: int, episode: str) -> None:
        """Let the labels decide on the row at `at`."""
        labels, c = self._labels.get(episode), self._columns
        if labels is None:
            return
        step = int(c["step"][at])
        c["reward"][at] = labels.reward(episode, step, float(c["recorded"][at]))
        c["terminated"][at] = c["ended"][at] or labels.ends(episode, step)
        live = not labels.discarded(episode, step)
        self._discarded += int(c["live"][at]) - int(live)
        c["live"][at] = live
        self._live = None

    def _forget_oldest(self) -> None:
        c, at = self._columns, self._first % self.capacity
        self._discarded -= int(not c["live"][at])
        self._live = None
        self._first += 1
        self.moments.drop(c["moments"][at].tolist())
        self._forget_episode(self._names[int(c["episode"][at])])

    def _forget_episode(self, name: str) -> None:
        """Drop what is known of an episode that no row is of and no actor is in."""
        episode = self._episodes[name]
        if episode.last < self._first and all(tail.episode != name for tail in self._tails.values()):
            del self._episodes[name], self._names[episode.serial]
            self._labels.pop(name, None)

    def _drop_labels(self, count: int) -> None:
        if count and not self.labels_dropped:
            _log.warning("%d labels of episodes that did not come are forgotten; more are counted alone", count)
        self.labels_dropped += count

    def save(self) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Arrays and counters to restore from. On disk, moments are synced and stay there; the arrays are small."""
        held = np.arange(self._first, self._written) % self.capacity
        arrays = {f"rows/{name}": column[held] for name, column in self._columns.items()}
        rows = arrays["rows/moments"].size
        tails = [slot for tail in self._tails.values() for slot in tail.moments]
        shown = np.concatenate([arrays["rows/moments"].ravel(), np.array(tails, np.int32)])
        (stored, slots), shown = self.moments.save(shown)
        arrays["rows/moments"] = shown[:rows].reshape(-1, self.stack + 1)
        arrays["tails"] = shown[rows:].reshape(-1, self.stack + 1)
        known = (*self._labels.values(), *self._awaited)
        labels = [list(asdict(label).values()) for labels in known for label in labels]
        state = {
            "first": self._first,
            "serial": self._serial,
            "tails": [[actor, *tail[:-1]] for actor, tail in self._tails.items()],
            "episodes": {name: list(asdict(episode).values()) for name, episode in self._episodes.items()},
            "labels": labels,
            "labels_dropped": self.labels_dropped,
            "slots": slots,
        }
        return arrays | stored, state

    def restore(self, arrays: Mapping[str, NDArray], state: Mapping[str, Any]) -> None:
        """Take back what `save` gave, into an empty replay.

        DataError: it was made for other observations, actions or stacks; on disk, moments were overwritten since.
        """
        rows = {name.removeprefix("rows/"): values for name, values in arrays.items() if name.startswith("rows/")}
        if "terminated" in rows:  # a checkpoint of an earlier release has one of the two
            rows.setdefault("ended", rows["terminated"].astype(np.bool_))
        kinds = {name: (values.shape[1:], values.dtype) for name, values in rows.items()}
        counts = {len(values) for values in rows.values()}
        if kinds != {name: (column.shape[1:], column.dtype) for name, column in self._columns.items()}:
            raise DataError(f"the saved replay has rows of {kinds}; this one is for other actions or another stack")
        if len(counts) != 1 or max(counts) > self.capacity:
            raise DataError(f"the saved replay has {counts} rows; this one has room for {self.capacity}")
        self.moments.restore(arrays, state["slots"], np.concatenate([rows["moments"].ravel(), arrays["tails"].ravel()]))
        self._first = int(state["first"])
        self._written = self._first + max(counts)
        held = np.arange(self._first, self._written) % self.capacity
        for name, values in rows.items():
            self._columns[name][held] = values
        self._discarded = int((~rows["live"]).sum())
        self._live = None
        self._serial = int(state["serial"])
        self._tails = {
            actor: Tail(*facts, tuple(slots))  # type: ignore[call-arg]
            for (actor, *facts), slots in zip(state["tails"], arrays["tails"].tolist(), strict=True)
        }
        self._episodes = {name: _Episode(*values) for name, values in state["episodes"].items()}
        self._names = {episode.serial: name for name, episode in self._episodes.items()}
        self.labels_dropped = int(state.get("labels_dropped", 0))
        for label in (Label(*values) for values in state["labels"]):
            if label.episode in self._episodes:
                self._labels.setdefault(label.episode, Labels()).add(label)
            else:
                self._drop_labels(self._awaited.add(label))

    def close(self) -> None:
        """Let another process have the folder; nothing may be added any more."""
        self.moments.close()
