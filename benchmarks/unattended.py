"""Eight hours of robot time without a person, in the twin: an object goes from one bin to the other and back.

`relocate` and `relocate_back` are learnt together (`--reset.reverse true`); then their policies act in turns, as in
training, with nobody who puts anything back: every scene is what the episode before left. Counts resets, attempts of
resets that failed and why, episodes that failed, and each time that a person would have been needed: an arm that
latched, a reset that gave up, an object that fell beside the bins, or that eight episodes in a row did not move. Then,
and then alone, the twin begins anew. Goes on where it stopped, hour by hour.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

import tasks
from benchmarks.common import BUILD, Figure, Partial, at_least, at_most, main, progress
from benchmarks.runs import robot_rl
from controllers.exceptions import ArmLatched, ResetFailed
from controllers.twin import TwinCell
from robot_rl.agents import Policy
from robot_rl.cells import open_env
from robot_rl.envs import RobotEnv
from robot_rl.evaluate import policy_act
from robot_rl.graph import REVERSE
from robot_rl.runs import RunFolder
from robot_rl.seeds import derive
from robot_rl.training import newest_policy

NAME, TASK = "unattended", "relocate"
HOURS, STEPS = 8, 8_000
STUCK = 8
"""Episodes in a row that failed after which a person would be called."""


def learnt(quick: bool) -> dict[str, Any]:
    """The two runs."""
    folder = BUILD / "runs" / f"{NAME}{'-quick' if quick else ''}"
    shutil.rmtree(folder, ignore_errors=True)
    progress("learning both directions")
    began = time.monotonic()
    steps = ("--steps", "600") if quick else ("--steps", str(STEPS))
    robot_rl("train", TASK, "--transport", "inprocess", "--reset.reverse", "true", "--run", str(folder), *steps)
    return {"path": str(folder), "wall_s": time.monotonic() - began}


class Shift:
    """The two policies at work on one twin. counts: of everything that happened, by its name."""

    def __init__(self, path: Path) -> None:
        runs = [RunFolder.open(folder) for folder in (path, path / REVERSE)]
        self._cell = TwinCell(tasks.load(TASK))
        kept = [
            dataclasses.replace(config, reset=dataclasses.replace(config.reset, draw=False))
            for config in (run.config() for run in runs)
        ]
        self._envs: list[RobotEnv] = [open_env(config, backend=self._cell) for config in kept]
        self._policies: list[Policy] = [newest_policy(run) for run in runs]
        self._acting = self._failed = self._episode = 0
        self.counts: Counter[str] = Counter()

    def hour(self, seconds: float) -> None:
        """Act for so much robot time."""
        spent = 0.0
        while spent < seconds:
            began = self._cell.time
            try:
                success = self._act()
            except (ArmLatched, ResetFailed) as error:
                spent += self._cell.time - began
                self._call_a_person(type(error).__name__)
                continue
            spent += self._cell.time - began
            self._failed = 0 if success else self._failed + 1
            self.counts["episodes"] += 1
            self.counts["failed episodes"] += not success
            if success:
                self._acting = 1 - self._acting
            elif self._failed == STUCK:
                self._call_a_person("stuck")

    def _act(self) -> bool:
        """One episode; a policy that has just failed acts with its own noise, or it would do the same again."""
        self._episode += 1
        env, seed = self._envs[self._acting], derive(0, NAME, self._episode)
        self.counts["resets"] += 1
        observation, info = env.reset(seed=seed)
        self.counts["failed attempts of resets"] += len(info["reset"].failures)
        self.counts["calls: lost"] += info["reset"].put_back
        act, step, over = policy_act(self._policies[self._acting], seed, stochastic=self._failed > 0), 0, False
        while not over:
            observation, _, terminated, truncated, info = env.step(act(observation, env.reading, step))
            step, over = step + 1, terminated or truncated
        if info.get("fault"):
            raise ArmLatched(info["fault"])
        return bool(info["success"]) and env.verified()

    def _call_a_person(self, why: str) -> None:
        self.counts[f"calls: {why}"] += 1
        self._cell.recover()
        self._cell.restart()
        self._cell.reset_scene(derive(0, f"{NAME} again", self._episode))
        self._acting = self._failed = 0

    @property
    def state(self) -> dict[str, Any]:
        """What `state` takes back, as JSON."""
        return {"acting": self._acting, "failed": self._failed, "episode": self._episode,
                "scene": self._cell.state_vector().tolist(), "counts": dict(self.counts)}  # fmt: skip

    @state.setter
    def state(self, kept: dict[str, Any]) -> None:
        self._acting, self._failed, self._episode = kept["acting"], kept["failed"], kept["episode"]
        self._cell.set_state_vector(np.array(kept["scene"]))
        self.counts = Counter(kept["counts"])

    def close(self) -> None:
        """Release the twin."""
        self._cell.close()


def measure(quick: bool) -> list[Figure]:
    """The figures."""
    partial = Partial(NAME, quick)
    path = Path(partial.once("learnt", lambda: learnt(quick))["path"])
    before: dict[str, Any] | None = None
    for hour in range(1 if quick else HOURS):

        def work(before: dict[str, Any] | None = before, hour: int = hour) -> dict[str, Any]:
            progress(f"hour {hour + 1}")
            with closing(Shift(path)) as shift:
                if before is not None:
                    shift.state = before
                shift.hour(300.0 if quick else 3600.0)
                return shift.state

        before = partial.once(f"hour-{hour}", work)
    return so_far(quick)


def so_far(quick: bool) -> list[Figure]:
    """Of what there is."""
    partial = Partial(NAME, quick)
    hours = [result for result in (partial.get(f"hour-{hour}") for hour in range(HOURS)) if result is not None]
    if not hours:
        return []
    counts = hours[-1]["counts"]
    calls = {name: count for name, count in counts.items() if name.startswith("calls: ")}
    figures = [
        at_least("robot time", len(hours) * (1 / 12 if quick else 1), "h", HOURS),
        at_most("times that a person was needed", sum(calls.values()), "", 0),
        *(Figure(name, count, "") for name, count in sorted(calls.items())),
    ]
    names = ("resets", "failed attempts of resets", "episodes", "failed episodes")
    return [*figures, *(Figure(name, counts.get(name, 0), "") for name in names)]


if __name__ == "__main__":
    main(NAME, measure, so_far)
