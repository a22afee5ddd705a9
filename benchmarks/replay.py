"""What experience takes in memory and on disk, and how fast a learner is fed from it.

`python -m benchmarks.replay [--quick] [--json]`. Sampling is measured at batch 256 and four updates a call, half from
each of two replays, beside what the learner consumes in the same run. Pictures are the twin's. The whole measurement
needs 4 GB of memory and as much disk.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

import tasks
from benchmarks.common import BUILD, Figure, at_least, at_most, main, progress
from robot_rl.agents import make_agent
from robot_rl.cells import open_env
from robot_rl.config import LearnerConfig, RunConfig, effective
from robot_rl.data.journal import Journal
from robot_rl.data.replay import Replay, Sampler
from robot_rl.data.transition import Observation, Transition
from robot_rl.nets.compile import enable_compile_cache
from robot_rl.nets.observation import ObservationSpec
from robot_rl.training import schema_of

EPISODE = 100
BATCH, UTD = 256, 4
CAMERA = 128 * 128 * 3
CAMERAS = 2
FLOAT32 = 4 * CAMERA * CAMERAS
"""Bytes of a transition's pictures as float32, each stored once: 19.7 GB per camera and 100,000 steps."""
SLOW = (1, 16)
"""From pixels on a CPU: updates and batch of a call that ends in seconds, not minutes. Its rate is much the same."""
TURN = 0.3
"""Seconds in which one sampler is called again and again, before it is another's turn."""
FEATURES = 512
"""Numbers per camera that a frozen backbone would give."""
LEARNER = LearnerConfig(critics=2, batch=BATCH, utd=UTD)
"""As most tasks have it: with more critics the learner consumes less."""
TIMES = {"state": 10.0, "features": 10.0, "pixels": 2.0}
"""How many times the learner's consumption is asked for."""
ROWS = {"state": 100_000, "features": 50_000, "pixels": 16_000}


def episode(config: RunConfig, noise: float = 0.0) -> list[Transition]:
    """One episode of random actions in the twin, with its cameras; noise: of a sensor, in grey levels."""
    env = open_env(config)
    rng = np.random.default_rng(0)

    def look(observation: Observation) -> Observation:
        images = {name: value for name, value in observation.items() if value.dtype == np.uint8}
        noisy = {name: np.clip(value + rng.normal(0, noise, value.shape), 0, 255) for name, value in images.items()}
        return {**observation, **{name: value.astype(np.uint8) for name, value in noisy.items()}}

    steps = []
    try:
        seen = look(env.reset(seed=0)[0])
        for step in range(EPISODE):
            action = rng.uniform(-0.3, 0.3, env.action_space.shape).astype(np.float32)
            after, reward, *_, info = env.step(action)
            following = look(after)
            head = ("actor0", step, "", step, 0.1 * step, 0.1 * step + 0.1, seen, following, action, action)
            steps.append(Transition(*head, False, reward, False, False, False, 0, info["clamped"]))
            seen = following
    finally:
        env.close()
    return steps


def stream(steps: list[Transition], count: int) -> Iterator[Transition]:
    """The episode again and again."""
    for sequence, step in zip(range(count), itertools.cycle(steps), strict=False):
        name = f"{sequence // len(steps):08d}-0000-4000-8000-000000000000"
        yield dataclasses.replace(step, sequence=sequence, episode=name)


def kinds(pixels: list[Transition]) -> dict[str, list[Transition]]:
    """The same episode as each kind of observation."""
    rng = np.random.default_rng(0)

    def state(observation: Observation) -> Observation:
        return {name: value for name, value in observation.items() if value.dtype != np.uint8}

    def features(observation: Observation) -> Observation:
        named = {f"camera{n}": rng.normal(size=FEATURES).astype(np.float32) for n in range(CAMERAS)}
        return {**state(observation), **named}

    def changed(view: Callable[[Observation], Observation]) -> list[Transition]:
        moments = [view(step.observation) for step in pixels] + [view(pixels[-1].next_observation)]
        pairs = zip(pixels, itertools.pairwise(moments), strict=True)
        return [dataclasses.replace(s, observation=now, next_observation=then) for s, (now, then) in pairs]

    return {"state": changed(state), "features": changed(features), "pixels": pixels}


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def filled(steps: list[Transition], count: int, folder: Path | None = None) -> Replay:
    """A replay of `count` transitions."""
    replay = Replay(ObservationSpec.of(steps[0].observation), len(steps[0].action), count, folder=folder)
    for transition in stream(steps, count):
        replay.add(transition)
    return replay


def beside_float32(size: float) -> dict[str, Any]:
    return {"peer": "float32", "peer_value": FLOAT32, "ratio": size / FLOAT32}


def memory_figures(steps: list[Transition], count: int) -> list[Figure]:
    """Bytes of a transition in memory, by the process's own size."""
    progress(f"{count:,} transitions in memory")
    before = resident()
    replay = filled(steps, count)
    taken = (resident() - before) / count
    frames = (count + count / EPISODE) * CAMERA * CAMERAS
    return [
        at_most("bytes_in_memory", taken, "B", 0.26 * FLOAT32, **beside_float32(taken)),
        at_most("bytes_in_memory_beside_its_frames", (replay.nbytes - frames) / count, "B", 1024),
    ]


def journal_figures(config: RunConfig, name: str, steps: list[Transition], target: float | None) -> list[Figure]:
    """Bytes of a transition in the journal."""
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        with Journal(Path(folder), schema_of(config), sync=False) as journal:
            for transition in stream(steps, 2 * EPISODE):
                journal.append(transition)
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / (2 * EPISODE)
    peer = beside_float32(size)
    return [Figure(name, size, "B", **peer) if target is None else at_most(name, size, "B", target, **peer)]


def consumption(steps: list[Transition], utd: int, batch: int, repeats: int) -> float:
    """Transitions/s that the learner trains on, in calls of `utd` updates."""
    spec = ObservationSpec.of(steps[0].observation)
    agent = make_agent("rlpd", LEARNER, spec.example(), len(steps[0].action), 0)
    sampler = Sampler({"one": (filled(steps, 2 * EPISODE), 1.0)}, 0)
    times = []
    for _ in range(repeats + 1):
        drawn = jax.block_until_ready(jax.device_put(sampler.sample(utd, batch)))
        began = time.perf_counter()
        agent, metrics = agent.update(drawn)
        jax.block_until_ready((agent, metrics))
        times.append(time.perf_counter() - began)
    return utd * batch / statistics.median(times[1:])


def rates(samplers: dict[str, Sampler], seconds: float) -> dict[str, float]:
    """Transitions/s of each, by the median of calls, in short turns so that all see the same machine."""
    times: dict[str, list[float]] = {name: [] for name in samplers}
    until = time.perf_counter() + seconds * len(samplers)
    for sampler in samplers.values():
        sampler.sample(UTD, BATCH)
    while time.perf_counter() < until or not times[next(iter(times))]:
        for name, sampler in samplers.items():
            turn = time.perf_counter() + TURN
            while (start := time.perf_counter()) < turn:
                sampler.sample(UTD, BATCH)
                times[name].append(time.perf_counter() - start)
    return {name: UTD * BATCH / statistics.median(spent) for name, spent in times.items()}


def half_and_half(one: Replay, two: Replay) -> Sampler:
    return Sampler({"demonstrations": (one, 0.5), "online": (two, 0.5)}, 0)


def sampling_figures(kind: str, steps: list[Transition], count: int, quick: bool) -> list[Figure]:
    """Samples/s of one kind of observation, in memory and memory-mapped, beside what the learner consumes."""
    progress(f"{kind}: what the learner consumes")
    shape = SLOW if kind == "pixels" and jax.default_backend() == "cpu" else (UTD, BATCH)
    consumed = consumption(steps, *shape, 3 if quick else 10)
    progress(f"{kind}: sampling from {count:,} transitions")
    with tempfile.TemporaryDirectory(dir=BUILD) as root:
        folders = [Path(root) / "demonstrations", Path(root) / "online"]
        memory = [filled(steps, count // 2) for _ in folders]
        mapped = [filled(steps, count // 2, folder) for folder in folders]
        found = rates({"memory": half_and_half(*memory), "mapped": half_and_half(*mapped)}, 3 if quick else 20)
        figures = [
            at_least(
                f"{kind}_samples_from_{where}", rate, "1/s", TIMES[kind] * consumed,
                peer="the learner consumes", peer_value=consumed, ratio=rate / consumed,
            )
            for where, rate in found.items()
        ]  # fmt: skip
        figures.append(at_least(f"{kind}_mapped_over_memory", found["mapped"] / found["memory"], "", 0.7))
        if kind == "pixels":
            figures.append(
                Figure("pixels_samples_from_a_disk_with_nothing_cached", from_disk(mapped[1], folders[1]), "1/s")
            )
        for replay in mapped:
            replay.close()
    return figures


def from_disk(replay: Replay, folder: Path) -> float:
    """Samples/s where no page is in memory: the least that a replay much larger than memory gives."""
    saved = replay.save()
    replay.close()
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    cold = Replay(replay.spec, replay.action_dim, replay.capacity, folder=folder)
    cold.restore(*saved)
    began = time.perf_counter()
    Sampler({"cold": (cold, 1.0)}, 0).sample(1, BATCH)
    rate = BATCH / (time.perf_counter() - began)
    cold.close()
    return rate


def measure(quick: bool) -> list[Figure]:
    enable_compile_cache()
    BUILD.mkdir(parents=True, exist_ok=True)
    config = effective(tasks.load("pick_cube"), {"obs": "pixels"})
    progress("an episode in the twin")
    clean, noisy = episode(config), episode(config, noise=2.0)
    rows = {kind: count // 8 if quick else count for kind, count in ROWS.items()}
    figures = memory_figures(clean, rows["pixels"])
    figures += journal_figures(config, "bytes_in_the_journal", clean, 0.1 * FLOAT32)
    figures += journal_figures(config, "bytes_in_the_journal_with_a_sensors_noise", noisy, None)
    for kind, steps in kinds(clean).items():
        figures += sampling_figures(kind, steps, rows[kind], quick)
    return figures


if __name__ == "__main__":
    main("replay", measure)
