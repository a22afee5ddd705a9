"""A reset that gives up late and safely: three attempts, each from further away, as a small behaviour tree.

    selector  "bring the cell to a start"
        from here       lift, draw the scene, go to the start
        from above      up to the top of the workspace, then the same
        from home       to the home joint angles, then the same
        park            up to the top of the workspace, and stay there; the reset has failed

One tick of the tree is one tick of the cell. An arm that latches ends it at once: nothing here recovers an arm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from py_trees.behaviour import Behaviour
from py_trees.common import Status
from py_trees.composites import Selector

from controllers.exceptions import CellTimeout, ResetFailed
from controllers.interface import Cell, Reading
from robot_rl.resets.base import Outcome
from robot_rl.resets.configuration import ResetConfig
from robot_rl.resets.scripted import ScriptedReset
from robot_rl.resets.stir import Stir
from tasks.spec import TaskSpec

Ticks = Callable[[], Iterator[None]]


class Attempt(Behaviour):
    """Goes on by one tick of the cell at each of its own; fails where the cell does not get there.

    failure: why it did, a sentence; the tree forgets its state, this stays.
    """

    def __init__(self, name: str, ticks: Ticks) -> None:
        super().__init__(name)
        self.failure = ""
        self._ticks = ticks
        self._going: Iterator[None] = iter(())

    def initialise(self) -> None:
        """Begin."""
        self._going = self._ticks()

    def update(self) -> Status:
        """One tick further."""
        try:
            next(self._going)
        except StopIteration:
            return Status.SUCCESS
        except CellTimeout as error:
            self.failure = self.feedback_message = str(error)
            return Status.FAILURE
        return Status.RUNNING


class Park(Attempt):
    """The last resort: what brings the arm out of the way. It never succeeds in what the tree is for."""

    def update(self) -> Status:
        """One tick further; failed at the end, also where the arm could not get out of the way."""
        status = super().update()
        return Status.FAILURE if status == Status.SUCCESS else status


class RecoveringReset:
    """What runs train and are used with. Counts its episodes, for what is due only every so many of them."""

    def __init__(self, task: TaskSpec, config: ResetConfig | None = None, *, patience: int = 100) -> None:
        """patience: ticks of each motion. Raises `SettingsError` for what the task has no hand for."""
        config = config or ResetConfig()
        self._scripted = ScriptedReset(task, speed=config.speed, patience=patience, draw=config.draw)
        self._stir = Stir(task, speed=config.speed / 2, patience=patience) if config.stir_every else None
        self._config, self._episodes = config, 0
        self.outcome = Outcome()

    def __call__(self, cell: Cell, seed: int) -> Reading:
        """Run it. Raises `ArmLatched`, and `ResetFailed` with the arm parked where all attempts failed."""
        due = self._due(self._config.rehome_every)
        stir = self._stir if self._due(self._config.stir_every) else None
        self._episodes += 1
        self.outcome = Outcome()  # of a reset that a latch ends there is nothing to tell
        began, lost = cell.read().stamp, self._lost(cell)
        attempts, park = self._attempts(cell, seed, due, stir, draw=lost), Park("park", lambda: self._park(cell))
        tree = Selector("bring the cell to a start", memory=True, children=[*attempts, park])
        tree.tick_once()
        while tree.status == Status.RUNNING:
            tree.tick_once()
        failures = tuple(one.failure for one in attempts if one.failure)
        reading = cell.read()
        homed = due or len(failures) >= len(attempts) - 1
        self.outcome = Outcome(failures, reading.stamp - began, homed, lost)
        name = self._scripted.task.name
        if tree.status == Status.FAILURE:
            raise ResetFailed(_failed(attempts, park, name))
        if lost and self._lost(cell):
            raise ResetFailed(f"what {name} is about is out of reach: put it back, then go on with --resume")
        return reading

    def _lost(self, cell: Cell) -> bool:
        """Whether something is where no policy gets it back, as far as a simulator tells."""
        reading, task = cell.read(), self._scripted.task
        return bool(not self._scripted.draw and task.lost is not None and reading.sim and task.lost(reading))

    def _due(self, every: int) -> bool:
        return bool(every) and self._episodes % every == 0

    def _attempts(self, cell: Cell, seed: int, due: bool, stir: Stir | None, *, draw: bool) -> Sequence[Attempt]:
        """due: the first one goes by home, too. stir: before. draw: the scene is drawn also where it was to stay."""
        motion = replace(self._scripted, draw=True) if draw else self._scripted

        def to_the_start(*first: Callable[[Cell], Iterator[None]]) -> Ticks:
            return lambda: chain(*(_as_reset(cell, way) for way in first), motion.ticks(cell, seed))

        stirred = () if stir is None else (lambda cell: stir.ticks(cell, seed),)
        return (
            Attempt("from here", to_the_start(*stirred, *((motion.home,) if due else ()))),
            Attempt("from above", to_the_start(motion.up)),
            Attempt("from home", to_the_start(motion.home)),
        )

    def _park(self, cell: Cell) -> Iterator[None]:
        return _as_reset(cell, self._scripted.up)


def _as_reset(cell: Cell, motion: Callable[[Cell], Iterator[None]]) -> Iterator[None]:
    cell.acquire("reset")
    yield from motion(cell)


def _failed(attempts: Sequence[Attempt], park: Park, task: str) -> str:
    tried = "; ".join(f"{one.name}: {one.failure.split(';')[0]}" for one in attempts)
    where = "stays where it is" if park.failure else "stands at the top of its workspace"
    return (
        f"the reset of {task} failed {len(attempts)} times ({tried}); the arm {where}: "
        "clear what blocks it, then go on with --resume"
    )
