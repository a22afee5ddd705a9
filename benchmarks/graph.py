"""The ROS 2 graph, all of it over real DDS: speed in lockstep, jitter in real time, and the same run twice."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.common import Figure, Partial, at_least, at_most, main, progress
from robot_rl.data.journal import read_journal
from robot_rl.data.transition import Transition
from robot_rl.metrics import read_metrics
from robot_rl.nodes.environment import Domain, ros_environment
from robot_rl.runs import RunFolder
from robot_rl.training import newest_policy

TASK = "peg_insert"
NEVER = "1000000000"
"""Environment steps before the first update, for runs in which the learner only listens."""
PERIOD = 0.1
SILENCE = 0.95
"""Longest gap between targets, s, that lies within an episode; a reset takes longer."""


def train(run: Path, *options: str, domain: int | None = None) -> subprocess.Popen[bytes]:
    """Begin `robot-rl train` into a new folder."""
    words = [sys.executable, "-m", "robot_rl.cli", "train", TASK, "--run", str(run), *options]
    environment = os.environ | {"TERM": "dumb"}
    if domain is not None:
        environment = ros_environment(environment, domain=domain)
    return subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a run. Raises CalledProcessError where it failed."""
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, process.args)


def steps_per_second(run: Path) -> float:
    """Policy steps per wall second between the first episode's end and the last's, resets included."""
    ends = [(r["time"], r["step"]) for r in read_metrics(run / "metrics.jsonl") if r["kind"] == "episode"]
    (began, first), (ended, last) = ends[0], ends[-1]
    return float((last - first) / (ended - began))


def lockstep(folder: Path, steps: int) -> dict[str, float]:
    """Steps per second: one process, the graph with a learner that listens, the graph while it trains."""
    rates = {}
    for name, options in {
        "one process, no updates": ("--transport", "inprocess", "--learner.start", NEVER),
        "graph, no updates": ("--learner.start", NEVER),
        "graph while training": (),
    }.items():
        progress(f"lockstep: {name}")
        run = folder / name.replace(", ", "-").replace(" ", "-")
        finish(train(run, "--steps", str(steps), *options))
        rates[name] = steps_per_second(run)
    return rates


def realtime(folder: Path, steps: int) -> dict[str, float]:
    """Gaps between the actor's targets, as they are stamped when sent, while the learner trains."""
    progress("real time at 10 Hz while the learner trains")
    run = folder / "realtime"
    domain = Domain(run)
    number = domain.number
    domain.close()
    os.environ.update(ros_environment(os.environ, domain=number))
    stamps = listen(train(run, "--clock", "realtime", "--steps", str(steps), domain=number))
    began = next(r["time"] for r in read_metrics(run / "metrics.jsonl") if r["kind"] == "update")
    gaps = np.diff(stamps[stamps > began])
    gaps = gaps[gaps < SILENCE]
    late = np.abs(gaps - PERIOD) * 1e3
    return {
        "p50": float(np.percentile(late, 50)),
        "p99": float(np.percentile(late, 99)),
        "max": float(late.max()),
        "missed": float((gaps > 1.5 * PERIOD).sum()),
        "gaps": float(len(gaps)),
    }


def listen(process: subprocess.Popen[bytes]) -> np.ndarray:
    """The stamps, s, of all targets of the policy until `process` ends."""
    import rclpy
    from geometry_msgs.msg import PoseStamped

    stamps: list[float] = []
    rclpy.init()
    node = rclpy.create_node("graph_benchmark")
    node.create_subscription(
        PoseStamped,
        "policy/target_pose",
        lambda message: stamps.append(message.header.stamp.sec + message.header.stamp.nanosec * 1e-9),
        50,
    )
    while process.poll() is None:
        rclpy.spin_once(node, timeout_sec=0.5)
    node.destroy_node()
    rclpy.shutdown()
    finish(process)
    return np.array(stamps)


def fingerprint(run: Path) -> dict[str, Any]:
    """Digests of a run's transitions and of its final weights."""
    steps, digest = 0, hashlib.sha256()
    for transition in read_journal(run / "journal"):
        steps += 1
        for part in content(transition):
            digest.update(part)
    weights = hashlib.sha256()
    for leaf in jax.tree.leaves(newest_policy(RunFolder.open(run))):
        weights.update(np.asarray(leaf).tobytes())
    return {"steps": steps, "transitions": digest.hexdigest(), "weights": weights.hexdigest()}


def content(transition: Transition) -> list[bytes]:
    """All of a transition, as bytes."""
    seen = [value for side in (transition.observation, transition.next_observation) for value in side.values()]
    arrays = [np.ascontiguousarray(value).tobytes() for value in (*seen, transition.policy_action, transition.action)]
    facts = (
        transition.episode,
        transition.step,
        round(transition.stamp, 6),  # one process adds milliseconds up, the graph counts ticks
        round(transition.next_stamp, 6),
        transition.reward,
        transition.terminated,
        transition.truncated,
        transition.policy_version,
    )
    return [*arrays, repr(facts).encode()]


def twice(folder: Path, steps: int) -> dict[str, Any]:
    """The same run twice over the graph, and once in one process."""
    prints = []
    for name, transport in (("first", "ros"), ("second", "ros"), ("alone", "inprocess")):
        progress(f"the same run again: {name}")
        run = folder / name
        finish(train(run, "--steps", str(steps), "--seed", "7", "--transport", transport))
        prints.append(fingerprint(run))
    first, second, alone = prints
    return {"steps": first["steps"], "same": first == second, "same_alone": first == alone}


def measure(quick: bool) -> list[Figure]:
    """All figures of the graph."""
    partial = Partial("graph", quick)
    rates = partial.once("lockstep", lambda: lockstep(partial.folder, 600 if quick else 2000))
    jitter = partial.once("realtime", lambda: realtime(partial.folder, 600 if quick else 1500))
    same = partial.once("twice", lambda: twice(partial.folder, 600 if quick else 2000))
    alone, graph = rates["one process, no updates"], rates["graph, no updates"]
    peer = {"peer": "one process", "peer_value": alone, "ratio": graph / alone}
    return [
        at_least("lockstep over DDS, resets included", graph, "policy steps/s", 60.0, **peer),
        Figure("the same while the learner trains", rates["graph while training"], "policy steps/s"),
        Figure("actor period off 100 ms, p50", jitter["p50"], "ms"),
        at_most("actor period off 100 ms, p99", jitter["p99"], "ms", 2.0),
        Figure("actor period off 100 ms, max", jitter["max"], "ms"),
        at_most(f"missed of {jitter['gaps']:.0f} ticks", jitter["missed"], "", 0),
        at_least(f"two runs of {same['steps']} steps: the same transitions and weights", float(same["same"]), "", 1),
        Figure("the graph's run is that of one process", float(same["same_alone"]), ""),
    ]


if __name__ == "__main__":
    main("graph", measure)
