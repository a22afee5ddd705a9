"""What learning from cameras costs: `python -m benchmarks.pixels [--quick] [--json]`.

Two cameras. From features: maps that a frozen backbone made once for each frame, here random ones, go through the
learner, its replay and the policy as they are, while another process acts at 10 Hz; once more with that process looking
at two pictures itself, through our own backbone, before each action. From pixels: 128x128 images through
the learnt encoder, whose gradient is compared in the same run with XLA's own convolutions in the same loop.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, pairwise
from multiprocessing.connection import Connection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import Figure, at_least, at_most, main, progress
from robot_rl.agents import policy_from_bytes
from robot_rl.config import LearnerConfig, RunConfig
from robot_rl.data.transition import Observation, Transition
from robot_rl.learner import Learner
from robot_rl.nets.compile import use_one_thread
from robot_rl.nets.encoder import LAYERS, convolve, init_convolutions
from robot_rl.nets.observation import ObservationSpec

ACTIONS, CAMERAS, MAP, SIZE = 6, ("front", "wrist"), (4, 4, 64), 128
PERIOD = 0.1
BATCH, CRITICS = 128, 2
PLAIN = 4
"""Images in a batch where XLA's own convolutions are timed, which take a second for a few."""


def features_of(crops: int) -> ObservationSpec:
    """What the policy sees with a frozen backbone: measurements and maps."""
    return ObservationSpec((("state", 27),), (), tuple((f"{name}_features", (crops, *MAP)) for name in CAMERAS))


PIXELS = ObservationSpec((("state", 27),), tuple((name, (SIZE, SIZE, 3)) for name in CAMERAS))


def observation(spec: ObservationSpec, rng: np.random.Generator) -> Observation:
    """Random numbers of the right form."""
    return {
        name: rng.integers(0, 256, shape, np.uint8) if dtype == np.uint8 else rng.normal(size=shape).astype(dtype)
        for name, (shape, dtype) in spec.arrays.items()
    }


def transitions(spec: ObservationSpec, count: int) -> Iterator[Transition]:
    """One long episode."""
    rng = np.random.default_rng(0)
    before = observation(spec, rng)
    for i in range(count):
        after, action = observation(spec, rng), rng.uniform(-1, 1, ACTIONS).astype(np.float32)
        reward = float(rng.random() < 0.1)
        yield Transition("a", i, "e", i, 0, 0, before, after, action, action, False, reward, False, False, False, 0)
        before = after


def make_learner(spec: ObservationSpec, steps: int, utd: int, block: int) -> Learner:
    """With `steps` received, compiled, and the first block done; the others are due."""
    config = LearnerConfig(critics=CRITICS, batch=BATCH, utd=utd, start=100, block=block, demo_share=0.0)
    learner = Learner(RunConfig("benchmark", clock="realtime", learner=config), spec.example(), ACTIONS, ())
    learner.warm_up()
    given = transitions(spec, steps)
    learner.receive(islice(given, config.start))
    learner.update_block()
    learner.receive(given)
    return learner


@contextmanager
def acting(message: bytes, crops: int = 0) -> Iterator[Callable[[], list[float]]]:
    """A process that acts at 10 Hz with a policy; what it yields ends it and returns ms from observation to action.

    crops: makes so many maps of each camera's picture first; 0: the maps are there.
    """
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_act, args=(message, there, crops), daemon=True)
    process.start()
    here.recv()

    def finish() -> list[float]:
        here.send(None)
        times: list[float] = here.recv()
        return times

    try:
        yield finish
    finally:
        process.terminate()
        process.join()


def _act(message: bytes, connection: Connection, crops: int) -> None:
    use_one_thread()
    policy, _ = policy_from_bytes(message)
    rng, key, times = np.random.default_rng(1), jax.random.PRNGKey(0), []
    look = looking(crops) if crops else lambda images: {}
    seen, images = observation(policy.spec, rng), pictures(rng)
    policy.act({**seen, **look(images)}, key)
    connection.send(None)
    due = time.perf_counter()
    while not connection.poll(max(0.0, due - time.perf_counter())):
        seen, images = observation(policy.spec, rng), pictures(rng)
        started = time.perf_counter()
        policy.act({**seen, **look(images)}, key)
        times.append(1e3 * (time.perf_counter() - started))
        due += PERIOD
    connection.send(times)


def pictures(rng: np.random.Generator) -> dict[str, NDArray]:
    """What the cameras might see."""
    return {name: rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for name in CAMERAS}


def looking(crops: int) -> Callable[[dict[str, NDArray]], dict[str, NDArray]]:
    """A function from pictures (h, w, 3), by camera, to the maps that the policy sees of them, by our own backbone."""
    from robot_rl.perception.encoder import Perception  # torch, which the learner's process does without

    perception = Perception("compact", crops=crops)

    def look(images: dict[str, NDArray]) -> dict[str, NDArray]:
        return {f"{name}_features": maps for name, maps in perception.encode(images, 0).items()}

    look(pictures(np.random.default_rng(0)))
    return look


def updates_per_s(learner: Learner, seconds: float) -> float:
    """Critic updates of whole blocks, sampling, transfer and the actor's steps included."""
    started, before = time.perf_counter(), learner.updates
    while time.perf_counter() - started < seconds and learner.ready():
        learner.update_block()
    return (learner.updates - before) / (time.perf_counter() - started)


def feature_figures(seconds: float) -> list[Figure]:
    """The learner alone with one crop, then with four while a process acts."""
    progress("frozen features, one crop")
    one = updates_per_s(make_learner(features_of(1), 1600, 4, 10), seconds)
    progress("frozen features, four crops, while acting at 10 Hz")
    alone = updates_per_s(make_learner(features_of(4), 1600, 4, 10), seconds)
    learner = make_learner(features_of(4), 1600, 4, 10)
    with acting(learner.policy_bytes()) as finish:
        beside = updates_per_s(learner, seconds)
        times = finish()
    progress("the same, with the acting process looking at two pictures itself")
    learner = make_learner(features_of(4), 1600, 4, 10)
    with acting(learner.policy_bytes(), crops=4) as finish:
        looked_beside = updates_per_s(learner, seconds)
        looked = finish()
    return [
        at_least("critic_updates_per_s_features_while_acting", beside, "1/s", 40.0),
        Figure("the_same_alone", alone, "1/s", peer="one crop instead of four", peer_value=one, ratio=alone / one),
        Figure("act_from_features_beside_the_learner_p99", float(np.percentile(times, 99)), "ms"),
        Figure("act_from_two_images_beside_the_learner_p50", float(np.percentile(looked, 50)), "ms"),
        at_most("act_from_two_images_beside_the_learner_p99", float(np.percentile(looked, 99)), "ms", 40.0),
        Figure("critic_updates_per_s_features_while_looking_and_acting", looked_beside, "1/s"),
    ]


def plain_convolve(convolutions: Any, images: jax.Array) -> jax.Array:
    """Four convolutions of 3 x 3 and stride 2 by XLA: what an encoder usually is, and what ours was."""
    x = images.astype(jnp.float32) / 255 - 0.5
    for kernel in convolutions:
        x = jax.lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu(x)
    return x


def gradient_ms(encode: Callable[[Any, Any], jax.Array], weights: Any, images: Any, repeats: int) -> float:
    """Of a gradient in the loop of an update, ms an image."""

    def step(w: Any, seen: Any) -> tuple[Any, Any]:
        return w, jax.grad(lambda inner: jnp.square(encode(inner, seen)).mean())(w)

    call = jax.jit(lambda w, seen: jax.lax.scan(step, w, jax.tree.map(lambda leaf: leaf[None], seen))[1])
    jax.block_until_ready(call(weights, images))
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        jax.block_until_ready(call(weights, images))
        times.append(time.perf_counter() - started)
    return 1e3 * min(times) / len(jax.tree.leaves(images)[0])


def pixel_figures(seconds: float) -> list[Figure]:
    """The learnt encoder alone, and within the update."""
    progress("the learnt encoder")
    rng, key = np.random.default_rng(0), jax.random.PRNGKey(0)
    spec = dataclasses.replace(PIXELS, vectors=(), images=PIXELS.images[:1])
    images = {n: rng.integers(0, 256, (BATCH, SIZE, SIZE, 3), np.uint8) for n, _ in spec.images}
    front = images[CAMERAS[0]]
    encode = lambda weights, seen: convolve(weights, seen)[CAMERAS[0]]  # noqa: E731
    ours = gradient_ms(encode, init_convolutions(key, spec), images, 3)
    sizes = (3, *(channels for *_, channels in LAYERS))
    plain = [0.05 * jax.random.normal(key, (3, 3, before, after)) for before, after in pairwise(sizes)]
    peer = gradient_ms(plain_convolve, plain, front[:PLAIN], 1)
    progress("updates from pixels")
    updates = updates_per_s(make_learner(PIXELS, 200, 1, 1), seconds)
    name = "XLA's convolutions, 3x3, stride 2"
    return [
        at_least("encoder_gradients_per_s", 1e3 / ours, "images/s", 20e3 / peer, peer=name, peer_value=1e3 / peer,
                 ratio=peer / ours),
        Figure("critic_updates_per_s_pixels_batch_128", updates, "1/s"),
    ]  # fmt: skip


def measure(quick: bool) -> list[Figure]:
    use_one_thread()
    seconds = 5.0 if quick else 30.0
    return feature_figures(seconds) + pixel_figures(seconds)


if __name__ == "__main__":
    main("pixels", measure)
