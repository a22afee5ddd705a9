"""Processes that deliver and take in as a run's do, without an arm and without learning.

`python -m benchmarks.stand_in learner|actorN --run DIR [--rate HZ] [--steps N]`: the real nodes' journal, transport,
inbox, replay and checkpoints. A stand-in for an actor makes up its steps, each of which says whose it is and which;
a stand-in for the learner makes a new version of its weights every block and leaves them as they are.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tasks
from robot_rl.actors import journal_folder, names
from robot_rl.cells import observer_of, task_of
from robot_rl.config import RunConfig, effective
from robot_rl.data.journal import Journal, JournalReader
from robot_rl.data.label import Record
from robot_rl.data.replay import Batch
from robot_rl.data.schema import Schema
from robot_rl.data.transition import Observation, Transition
from robot_rl.exceptions import NetworkGone, RobotRLError
from robot_rl.experience import Records
from robot_rl.graph import whole_graph
from robot_rl.learner import Learner
from robot_rl.lifeline import die_with_parent
from robot_rl.metrics import MetricsWriter
from robot_rl.nets.compile import enable_compile_cache
from robot_rl.nodes.__main__ import START_AGAIN, USER_ERROR
from robot_rl.nodes.environment import network_environment
from robot_rl.resume import resume
from robot_rl.runs import RunFolder
from robot_rl.seeds import derive, episode_id
from robot_rl.training import BlockReport, schema_of

LENGTH = 37
"""Steps of an episode; every other one ends by itself, the rest at a time limit."""
PATCH = 16
"""Pixels of a frame's corner that differ at each moment, a side; the rest is the twin's first view."""
ARRIVALS = "arrivals.csv"
"""What a stand-in for the learner notes of each step: actor, sequence, ms since it was made, and when that was, s."""


class Script:
    """What an actor observes and does at each of its steps: a function of its name and the step's number alone."""

    def __init__(self, schema: Schema, actor: str, run: str) -> None:
        self._schema, self._actor, self._run = schema, actor, run
        self._scene = {field.name: scene(field.shape) for field in schema.images}

    def transition(self, number: int) -> Transition:
        """Step `number` of the actor, which is the record of that sequence."""
        episode, step = divmod(number, LENGTH)
        last, odd = step == LENGTH - 1, episode % 2 == 1
        return Transition(
            actor=self._actor,
            sequence=number,
            episode=episode_id(self._run, self._actor, episode),
            step=step,
            stamp=0.1 * number,
            next_stamp=0.1 * number + 0.1,
            observation=self.moment(number + episode),
            next_observation=self.moment(number + episode + 1),
            policy_action=np.zeros(len(self._schema.actions), np.float32),
            action=mark(self._actor, number, len(self._schema.actions)),
            intervened=False,
            reward=float(number % 7),
            terminated=last and odd,
            truncated=last and not odd,
            success=last and odd,
            policy_version=0,
        )

    def moment(self, number: int) -> Observation:
        """What is observed at moment `number`: each episode has one more than steps."""
        rng = np.random.default_rng(derive(number, self._actor))
        arrays = {f.name: rng.normal(size=f.shape).astype(f.dtype) for f in self._schema.arrays}
        for name, picture in self._scene.items():
            arrays[name] = picture.copy()
            arrays[name][:PATCH, :PATCH] = rng.integers(0, 256, arrays[name][:PATCH, :PATCH].shape, dtype=np.uint8)
        return arrays


def scene(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A picture that packs about as well as a rendered one: shaded areas with a little noise."""
    rng = np.random.default_rng(0)
    height, width, channels = shape
    rows, columns = np.mgrid[:height, :width]
    areas = (rows // 32 * 31 + columns // 32 * 17)[..., None] % 200 + rng.integers(0, 40, channels)
    shade = (rows[..., None] + 2 * columns[..., None]) // 24
    noise = (rng.random((height, width, channels)) < 0.03) * 3
    return (areas + shade + noise).astype(np.uint8)


def mark(actor: str, number: int, size: int) -> NDArray[np.float32]:
    """An action that says whose step it is and which: both as parts of [-1, 1] that float32 holds exactly."""
    values = np.zeros(size, np.float32)
    values[:3] = int(actor.removeprefix("actor")) / 128, (number >> 10) / 2**15, (number & 1023) / 1024
    return values


def read_mark(action: NDArray[np.float32]) -> tuple[str, int]:
    """(actor, number) of a marked action."""
    index, high, low = round(float(action[0]) * 128), round(float(action[1]) * 2**15), round(float(action[2]) * 1024)
    return f"actor{index}", (high << 10) + low


class IdleLearner(Learner):
    """Takes everything in as the real one does; its blocks change nothing but the version.

    arrivals: file to which each step's way from actor to replay is noted, ms; None: not at all.
    """

    arrivals: Path | None = None

    def warm_up(self) -> None:
        """Nothing is computed, so there is nothing to compile."""

    def receive(self, records: Iterable[Record]) -> int:
        """As the learner's."""
        records = list(records)
        taken = super().receive(records)
        if self.arrivals is not None and taken:
            now = time.monotonic()
            lines = (f"{r.actor},{r.sequence},{1e3 * (now - r.stamp):.3f},{now:.6f}\n" for r in records[:taken])
            with self.arrivals.open("a") as file:
                file.writelines(lines)
        return taken

    def update_block(self) -> dict[str, float]:
        """A new version of the same weights."""
        with self.block():
            pass
        return {"version": float(self.version), "updates": 0.0}


def make_idle_learner(config: RunConfig, run: RunFolder) -> IdleLearner:
    """From the newest checkpoint that can be used, else new."""
    observer, size = observer_of(config), task_of(config).action_dim

    def make(demos: Records | None) -> Learner:
        return IdleLearner(config, observer.example(), size, demos, replay=run.replay)

    learner = resume(run.checkpoints, make, tuple, lambda text: print(text, file=sys.stderr))
    assert isinstance(learner, IdleLearner)
    return learner


@dataclass
class Audit:
    """What the learner's newest checkpoint holds, beside what lies in the journals.

    kept: steps in the journals. lost, doubled: of them, not in the replay, or in it more than once. wrong: rows whose
    observations, action, reward or end are not those of one journalled step. strange: rows of no step at all.
    """

    kept: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    strange: int = 0

    @property
    def faults(self) -> int:
        """How much is not as it should be."""
        return self.lost + self.doubled + self.wrong + self.strange


def audit(run: RunFolder) -> Audit:
    """Compare the journals with the replay, every array of every step to the bit."""
    config = run.config()
    learner = make_idle_learner(config, run)
    replay, result = learner.experience.online, Audit()
    rows: dict[tuple[str, int], list[int]] = {}
    for row in range(len(replay)):
        rows.setdefault(read_mark(replay.gather(np.array(row)).action), []).append(row)
    for actor in names(config):
        for step in JournalReader(journal_folder(run, actor)).read():
            found = rows.pop((actor, step.sequence), [])
            result.kept += 1
            result.lost += not found
            result.doubled += len(found) > 1
            result.wrong += sum(not same(replay.gather(np.array(row)), step) for row in found)
    result.strange = sum(map(len, rows.values()))
    learner.close()
    return result


def same(row: Batch, step: Transition) -> bool:
    """Whether a row of the replay is this step, to the bit."""
    sides = ((row.observation, step.observation), (row.next_observation, step.next_observation))
    return (
        all(np.array_equal(held[name], np.atleast_1d(seen[name])) for held, seen in sides for name in seen)
        and np.array_equal(row.action, step.action)
        and float(row.reward) == step.reward
        and bool(row.terminated) == step.terminated
    )


def learn(run: Path, note: bool) -> None:
    """The learner node around an idle learner, until interrupted. note: the arrivals."""
    from robot_rl.nodes.base import hosting
    from robot_rl.nodes.learner import LearnerNode, serve

    enable_compile_cache()
    with hosting("learner", run) as host, MetricsWriter(host.run.metrics) as metrics:
        learner = make_idle_learner(host.config, host.run)
        learner.arrivals = host.run.path / ARRIVALS if note else None
        report = BlockReport(host.config, host.run, metrics, learner)
        serve(LearnerNode(host, learner, report), learner, report)


def act(run: Path, name: str, rate: float, steps: int) -> None:
    """Make the actor's steps up to `steps` and deliver them. rate: Hz; 0: as fast as they can be journalled."""
    from robot_rl.nodes.base import hosting, settle_memory
    from robot_rl.nodes.transport import Uplink

    config = RunFolder.open(run).config()
    [spec] = [node for node in whole_graph(config) if node.finishes and node.parameters.get("actor", "actor0") == name]
    folder, schema = journal_folder(RunFolder.open(run), name), schema_of(config)
    with hosting("actor", run, spec.ros_args, actor=name) as host, Journal(folder, schema) as journal:
        script = Script(schema, name, host.run.identity)
        uplink = Uplink(host, journal, name)
        try:
            uplink.meet(300.0)
            settle_memory()
            due = time.monotonic()
            while uplink.next_sequence < steps:
                made = script.transition(uplink.next_sequence)
                if rate:
                    due = max(due + 1.0 / rate, time.monotonic())
                    host.listener.sleep(due - time.monotonic())
                now = time.monotonic()
                uplink.send(dataclasses.replace(made, stamp=now, next_stamp=now))
            uplink.flush(300.0)
        finally:
            uplink.close()


def prepare(folder: Path, **values: Any) -> RunFolder:
    """A run of `reach`, or of `peg_insert` with obs="pixels", for stand-ins: real time, no demonstrations."""
    settings = {"critics": 2, "hidden": (32, 32), "start": 10, "block": 50, "capacity": 20_000, "checkpoint_every": 200}
    settings["n_step"] = 1  # a row of the replay is then one step of a journal
    layer = {"demos": "0", "clock": "realtime", "agent": "sac", "steps": 1, "learner": settings}
    task = tasks.load("peg_insert" if values.get("obs") == "pixels" else "reach")
    return RunFolder.create(dataclasses.replace(effective(task, layer | values), run=folder))


def command(part: str, run: RunFolder, *options: str) -> list[str]:
    """The command line of a stand-in."""
    return [sys.executable, "-m", "benchmarks.stand_in", part, "--run", str(run.path), *options]


def main() -> int:
    """The exit code is 0 for an actor that has delivered everything."""
    die_with_parent()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stand_in")
    parser.add_argument("part")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--note", action="store_true")
    options = parser.parse_args()
    folder = RunFolder.open(options.run)
    os.environ.update(network_environment(os.environ, folder.config().peers, folder.identity))
    try:
        if options.part == "learner":
            learn(options.run, options.note)
        else:
            act(options.run, options.part, options.rate, options.steps)
    except KeyboardInterrupt:
        return 0
    except NetworkGone as error:
        print(error, file=sys.stderr)
        return START_AGAIN
    except RobotRLError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
