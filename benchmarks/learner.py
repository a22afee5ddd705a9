"""What learning and acting cost: `python -m benchmarks.learner [--json]`.

Updates per second stand beside an update written out as SERL's code makes it, and beside plain products of 256 x 256
matrices with as many floating-point operations, all in turns in one run, since machines are shared. Targets in ms are
the lower ends of what a first study of the same algorithm needed on two cores.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import serl_baseline
from benchmarks.common import Figure, at_least, at_most, main, progress
from robot_rl.agents import policy_from_bytes
from robot_rl.agents.policy import Policy
from robot_rl.agents.sac import SAC, _update_actor, _update_critic
from robot_rl.config import LearnerConfig, RunConfig
from robot_rl.data.replay import Batch
from robot_rl.data.transition import Observation, Transition
from robot_rl.learner import Learner
from robot_rl.nets.compile import use_one_thread
from robot_rl.nets.observation import ObservationSpec

ACTIONS = 6
SIZES = {"error": 6, "pose": 9, "twist": 6, "wrench": 6}
STUDY = {(2, 128): 22.0, (4, 128): 42.0, (10, 128): 104.0, (10, 256): 220.0}
"""ms for four updates of (critics, batch)."""
UTD = 8
SIZES_OF_UPDATES = ((10, 256), (2, 256), (2, 128))
"""(critics, batch); the first is the one with targets."""
WIDTH = 256
BASELINES: dict[str, dict[str, bool]] = {
    "serl": {"everything": True, "whole": True},
    "serl from pixels": {"everything": True, "whole": False},
    "lean": {"everything": False, "whole": False},
}
"""Ways of `serl_baseline.update`: as SERL's from state, with the actor's step that it has from pixels, and with each
optimiser over its own network besides, which has as many operations as ours but for the target networks."""


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


def speed_figures(repeats: int) -> list[Figure]:
    """Critic updates a second of the processor, at UTD 8 and without sampling, beside SERL's and matrix products."""
    figures = []
    for critics, size in SIZES_OF_UPDATES:
        progress(f"{critics} critics, batch {size}, beside the written-out baseline and matrix products")
        batch = jax.device_put(draw_batch(size))
        agent = make_sac(critics, size)
        flops = flops_by_hand(critics, size)
        times = in_turns(contestants(agent, critics, size, batch, flops), repeats)
        ours, serl, pixels, lean, products = (UTD / times[name] for name in ("ours", *BASELINES, "products"))
        asked = (critics, size) == SIZES_OF_UPDATES[0]
        name = f"{critics}_critics_batch_{size}_utd_{UTD}"
        beside: dict[str, Any] = {"peer": "SERL's update, written out", "peer_value": serl}
        figures += [
            Figure(f"critic_updates_{name}", ours, "1/s", ratio=ours / serl, **beside),
            ratio(f"speed_over_serl_{name}", ours / serl, 4.0 if asked else None),
            ratio(f"speed_over_serl_with_an_actor_step_on_one_slice_{name}", ours / pixels, None),
            ratio(f"speed_over_serl_with_that_and_one_adam_each_{name}", ours / lean, None),
            ratio(f"speed_of_bfloat16_over_float32_{name}", times["ours"] / times["bfloat16"], None),
            ratio(f"speed_over_matrix_products_{name}", ours / products, 0.5 if asked else None),
            Figure(f"flops_by_hand_{name}", flops / UTD / 1e9, "GFLOP/update"),
            Figure(f"flops_by_xla_{name}", flops_by_xla(make_sac(critics, size), batch) / UTD / 1e9, "GFLOP/update"),
            Figure(f"rate_{name}", flops / UTD * ours / 1e9, "GFLOP/s"),
        ]
    return figures


def ratio(name: str, value: float, target: float | None) -> Figure:
    return Figure(name, value, "times") if target is None else at_least(name, value, "times", target)


def make_sac(critics: int, size: int, precision: Literal["float32", "bfloat16"] = "float32") -> SAC:
    spec = ObservationSpec.of(observation(np.random.default_rng(0)))
    return SAC.create(LearnerConfig(critics=critics, batch=size, precision=precision), spec, ACTIONS, 0)


def draw_batch(size: int) -> Batch:
    """UTD slices of random numbers."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=(UTD, size, *shape)).astype(np.float32)

    seen, following = ({name: draw(count) for name, count in SIZES.items()} for _ in range(2))
    zeros = np.zeros((UTD, size), np.float32)
    return Batch(seen, np.tanh(draw(ACTIONS)), draw(), zeros, zeros + np.float32(0.97), following)


def contestants(agent: SAC, critics: int, size: int, batch: Batch, flops: float) -> dict[str, Callable[[], Any]]:
    """What is timed in turns: each makes UTD critic updates and one of the actor, or as many operations."""
    states: dict[str, Any] = {"ours": agent, "bfloat16": make_sac(critics, size, "bfloat16")}
    states |= {
        name: serl_baseline.create(make_sac(critics, size), everything=way["everything"])
        for name, way in BASELINES.items()
    }
    count = round(flops / (2 * WIDTH**3))
    kernels = jnp.full((8, WIDTH, WIDTH), 1 / WIDTH)

    def ours(name: str) -> Any:
        states[name], _ = states[name].update(batch)
        return states[name]

    def baseline(name: str) -> Any:
        states[name] = serl_baseline.update(states[name], batch, **BASELINES[name])
        return states[name]

    @jax.jit
    def products(x: Any) -> Any:
        def eight(x: Any, _: None) -> tuple[Any, None]:
            for kernel in kernels:
                x = x @ kernel
            return x, None

        return jax.lax.scan(eight, x, None, length=max(1, round(count / 8)))[0]

    x = jnp.ones((WIDTH, WIDTH))
    return {
        "ours": partial(ours, "ours"),
        "bfloat16": partial(ours, "bfloat16"),
        **{name: partial(baseline, name) for name in BASELINES},
        "products": lambda: products(x),
    }


def in_turns(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of the processor for each, all in every turn.

    On one thread and an idle machine these are the clock's; on a shared one they leave out what others took.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 2):
        for name, call in calls.items():
            started = time.process_time()
            jax.block_until_ready(call())
            if turn >= 2:  # the first compile and warm up
                times[name].append(time.process_time() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def flops_by_hand(critics: int, size: int, subset: int = 2) -> float:
    """Of the products alone, for UTD critic updates and one of the actor. A product's backward pass is two more."""
    seen, width = sum(SIZES.values()), LearnerConfig().hidden[0]
    first, second, last = (2 * size * width * n for n in (seen + ACTIONS, width, 1))
    actor = 2 * size * width * (seen + width + 2 * ACTIONS)
    values = first + second + last
    critic_step = actor + subset * values + critics * (3 * values - first)
    actor_step = 3 * actor - 2 * size * width * seen + 2 * critics * values
    return float(UTD * critic_step + actor_step)


def flops_by_xla(agent: SAC, batch: Batch) -> float:
    """XLA's own count of the same, element-wise operations included."""
    one = jax.tree.map(lambda leaf: leaf[0], batch)
    counts = [jax.jit(step).lower(agent, one).cost_analysis() or {} for step in (_update_critic, _update_actor)]
    critic, actor = (count["flops"] for count in counts)
    return float(UTD * critic + actor)


def latency_figures(steps: list[Transition], repeats: int) -> list[Figure]:
    """Acting from state alone, beside a learner's thread, and beside a learner's process, niced as its node is."""
    progress("latency of acting")
    learner = make_learner(2, 128, steps)
    policy, _ = policy_from_bytes(learner.policy_bytes())
    calls = 50 * repeats
    figures = latencies("alone", policy, steps[0].observation, calls, None)
    done = threading.Event()
    thread = threading.Thread(target=learn, args=(learner, done))
    thread.start()
    figures += latencies("beside_a_learner_thread", policy, steps[0].observation, calls, 5.0)
    done.set()
    thread.join()
    context = multiprocessing.get_context("spawn")
    started, stop = context.Event(), context.Event()
    process = context.Process(target=learn_in_a_process, args=(started, stop))
    process.start()
    if not started.wait(300):
        raise TimeoutError("the learner's process did not start")
    figures += latencies("beside_a_learner_process", policy, steps[0].observation, calls, 5.0)
    stop.set()
    process.join()
    return figures


def learn(learner: Learner, done: Any) -> None:
    """Make updates until `done`, or until all experience has been used."""
    while not done.is_set() and learner.ready():
        learner.update_block()


def learn_in_a_process(started: Any, stop: Any) -> None:
    os.nice(10)
    use_one_thread()
    steps = transitions(500)
    learner = make_learner(10, 256, steps)
    started.set()
    while not stop.is_set():
        if not learner.ready():
            learner = make_learner(10, 256, steps)
        learner.update_block()


def latencies(where: str, policy: Policy, seen: Observation, calls: int, target: float | None) -> list[Figure]:
    """p50 and p99 of one action, drawn, at a 100 Hz rhythm in which other threads get their turn."""
    key, times = jax.random.PRNGKey(0), []
    for _ in range(calls):
        started = time.perf_counter()
        policy.act(seen, key)
        times.append(1e3 * (time.perf_counter() - started))
        time.sleep(0.01)
    p50, p99 = (float(np.percentile(times[1:], q)) for q in (50, 99))
    last = Figure(f"act_p99_{where}", p99, "ms") if target is None else at_most(f"act_p99_{where}", p99, "ms", target)
    return [Figure(f"act_p50_{where}", p50, "ms"), last]


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
    thread = threading.Thread(target=learn, args=(learner, done))
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
    figures = speed_figures(repeats) + update_figures(transitions(1000), repeats)
    return figures + other_figures(transitions(5000), repeats) + latency_figures(transitions(5000), repeats)


if __name__ == "__main__":
    main("learner", measure)
