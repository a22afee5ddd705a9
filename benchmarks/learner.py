"""What learning and acting cost on one thread: `python -m benchmarks.learner [--json]`.

Targets are the lower ends of what a first study of the same algorithm needed on two cores.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.common import Figure, at_most, main, progress
from robot_rl.agents import policy_from_bytes
from robot_rl.config import LearnerConfig, RunConfig
from robot_rl.data.transition import Observation, Transition
from robot_rl.learner import Learner
from robot_rl.nets.compile import use_one_thread

ACTIONS = 6
SIZES = {"error": 6, "pose": 9, "twist": 6, "wrench": 6}
STUDY = {(2, 128): 22.0, (4, 128): 42.0, (10, 128): 104.0, (10, 256): 220.0}
"""ms for four updates of (critics, batch)."""


def observation(rng: np.random.Generator) -> Observation:
    return {name: rng.normal(size=size).astype(np.float32) for name, size in SIZES.items()}


def transitions(count: int) -> list[Transition]:
    rng = np.random.default_rng(0)

    def draw(i: int) -> Transition:
        action = rng.uniform(-1, 1, ACTIONS).astype(np.float32)
        seen, following, reward = observation(rng), observation(rng), float(rng.random() < 0.1)
        return Transition("a", i, "e", i, 0, 0, seen, following, action, action, False, reward, False, False, False, 0)

    return [draw(i) for i in range(count)]


def median_ms(call: Callable[[], Any], repeats: int) -> float:
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1e3 * statistics.median(times)


def make_learner(critics: int, batch: int, steps: list[Transition]) -> Learner:
    config = LearnerConfig(critics=critics, batch=batch, start=100, block=10)
    learner = Learner(
        RunConfig("benchmark", clock="realtime", learner=config), steps[0].observation, ACTIONS, steps[:500]
    )
    learner.warm_up()
    learner.receive(steps)
    return learner


def update_figures(steps: list[Transition], repeats: int) -> list[Figure]:
    """One environment step's worth of learning, sampling included, at four updates a step."""
    figures = []
    for (critics, batch), target in STUDY.items():
        progress(f"{critics} critics, batch {batch}")
        learner = make_learner(critics, batch, steps)
        block = median_ms(learner.update_block, repeats)
        name = f"update_{critics}_critics_batch_{batch}_utd_4"
        figures.append(at_most(name, block / learner.config.learner.block, "ms", target))
    return figures


def other_figures(steps: list[Transition], repeats: int) -> list[Figure]:
    """Acting, also beside a learner that works, and handing over weights."""
    progress("acting and handing over")
    learner = make_learner(2, 128, steps)
    seen, key = steps[0].observation, jax.random.PRNGKey(0)
    policy, _ = policy_from_bytes(learner.policy_bytes())
    message = learner.policy_bytes()
    act = median_ms(lambda: policy.act(seen, key), 50 * repeats)
    encode = median_ms(lambda: learner.agent.policy().to_bytes(1), 5 * repeats)
    decode = median_ms(lambda: policy_from_bytes(message), 5 * repeats)
    with tempfile.TemporaryDirectory() as folder:
        save = median_ms(lambda: learner.save(Path(folder)), repeats)
    done = threading.Event()

    def learn() -> None:
        while not done.is_set() and learner.ready():
            learner.update_block()

    thread = threading.Thread(target=learn)
    thread.start()
    beside = median_ms(lambda: policy.act(seen, key), 20 * repeats)
    done.set()
    thread.join()
    return [
        at_most("act", act, "ms", 0.3),
        at_most("act_beside_a_working_learner_thread", beside, "ms", 0.3),
        Figure("policy_to_bytes", encode, "ms"),
        Figure("policy_from_bytes", decode, "ms"),
        Figure(f"checkpoint_of_{len(steps)}_steps", save, "ms"),
    ]


def measure(quick: bool) -> list[Figure]:
    repeats = 10 if quick else 40
    use_one_thread()
    figures = update_figures(transitions(1000), repeats)
    return figures + other_figures(transitions(5000), repeats)


if __name__ == "__main__":
    main("learner", measure)
