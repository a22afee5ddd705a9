"""What a run learns from: its own steps, demonstrations, imported sets; where they lie, how a checkpoint holds them."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from robot_rl.checkpoint import Checkpoint
from robot_rl.config import RunConfig
from robot_rl.data.label import Label, Record
from robot_rl.data.replay import Replay, Sampler
from robot_rl.exceptions import DataError
from robot_rl.nets.observation import ObservationSpec

ONLINE, DEMONSTRATIONS, IMPORTED = "online", "demonstrations", "imported"
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
    """

    sampler: Sampler

    def __init__(self, config: RunConfig, spec: ObservationSpec, action_dim: int, folder: Path | None = None) -> None:
        self._config, self._spec, self._action_dim = config, spec, action_dim
        self._folder = folder if spec.images or spec.features else None
        self._place: str | None = None
        self._rooms: dict[str, int] = {}
        self._replays: dict[str, Replay] = {}

    @property
    def online(self) -> Replay:
        """Steps that the run itself made."""
        return self._replays[ONLINE]

    @property
    def demonstrations(self) -> Replay:
        """Steps that were there before the run."""
        return self._replays[DEMONSTRATIONS]

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
        for name, records in ((DEMONSTRATIONS, demonstrations), (IMPORTED, imported)):
            for record in records:
                _add(self._replays[name], check(record))

    def add(self, record: Record) -> None:
        """Take in what the run itself brought: a step, or a judgement of one."""
        _add(self.online, record)

    def save(self) -> tuple[dict[str, dict[str, NDArray]], dict[str, Any]]:
        """Files and state that `restore` needs. What is memory-mapped is on disk afterwards."""
        files, states = {}, {}
        for name, replay in self._replays.items():
            files[f"{name}.safetensors"], states[name] = replay.save()
        random = self.sampler.rng.bit_generator.state
        return files, {"place": self._place, "rooms": self._rooms, "replays": states, "random": random}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on as `checkpoint` has it. DataError: it is of other observations, or its replay is gone or damaged."""
        state = checkpoint.state["experience"]
        place = state["place"]
        if (place is None) != (self._folder is None) or not (place is None or _PLACE.fullmatch(place)):
            raise DataError(f"its replay lies in {place!r}, not where this run's does")
        self._place = place
        self._open({name: int(room) for name, room in state["rooms"].items()})
        for name, replay in self._replays.items():
            replay.restore(checkpoint.arrays(f"{name}.safetensors"), state["replays"][name])
        self.sampler.rng.bit_generator.state = state["random"]

    def close(self) -> None:
        """Let another have the folder."""
        for replay in self._replays.values():
            replay.close()

    def _open(self, rooms: Mapping[str, int]) -> None:
        """rooms: records there are in each source but the run's own."""
        self._rooms = dict(rooms)
        for name, capacity in ((ONLINE, self._config.learner.capacity), *rooms.items()):
            self._replays[name] = self._replay(name, max(1, capacity))
        imported = self._config.learner.imported_share
        share = {"rlpd": self._config.learner.demo_share, "sac": 0.0, "bc": 1 - imported}[self._config.agent]
        weights = {DEMONSTRATIONS: share, IMPORTED: imported, ONLINE: max(0.0, 1 - share - imported)}
        sources = {name: (self._replays[name], weight) for name, weight in weights.items()}
        self.sampler = Sampler(sources, self._config.seed)

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


def _add(replay: Replay, record: Record) -> None:
    if isinstance(record, Label):
        replay.label(record)
    else:
        replay.add(record)
