"""The Franka driver on the emulator against the twin: one motion through both, and a policy that was trained in one.

Figures of `benchmarks.emulators`. Both run in lockstep, so they say what the driver and the maker's client change, and
nothing of timing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.common import Figure, Partial, at_least, at_most, progress
from benchmarks.demo import train
from controllers import spatial
from controllers.arms.franka.cell import FrankaCell
from controllers.arms.franka.config import FrankaConfig
from controllers.emulators.control import Control
from controllers.emulators.fci import Emulator
from controllers.interface import ArmState, Cell, Pose, PoseTarget
from controllers.twin import TwinCell
from robot_rl.envs.robot_env import RobotEnv
from robot_rl.evaluate import evaluate, policy_act
from robot_rl.runs import RunFolder
from robot_rl.training import newest_policy
from tasks.peg_insert.task import RIM, SPEC, TIP

TICKS = 200
"""20 s."""
EPISODES, QUICK_EPISODES = 100, 10
SEED = 0


def config_of(address: str) -> FrankaConfig:
    """The driver's settings for an emulator, with the payload that its task puts into the hand."""
    with Control(address) as control:
        load = control.about["payload"]
    inertia = np.diag(np.reshape(load["inertia"], (3, 3)))
    return FrankaConfig(
        address,
        gripper="none",
        payload_mass=load["mass"],
        payload_centre=tuple(load["centre"]),
        payload_inertia=tuple(inertia.tolist()),
    )


def targets() -> Iterator[PoseTarget]:
    """In the air for 8 s, down beside the hole and sliding under pressure for 6 s, in the air again for 6 s."""
    for tick in range(TICKS):
        phase = 2.0 * np.pi * tick / TICKS
        offset = np.array([0.03 * np.sin(3.0 * phase), 0.03 * np.sin(2.0 * phase), 0.05 + 0.02 * np.cos(4.0 * phase)])
        if 80 <= tick < 140:
            offset = np.array([0.012, 0.008 * np.sin(0.2 * tick), max(0.04 - 0.004 * (tick - 80), -0.006)])
        turn = spatial.exp(np.array([0.05 * np.sin(phase), 0.05 * np.sin(2.0 * phase), 0.4 * np.sin(3.0 * phase)]))
        place = RIM + np.array([0.0, 0.0, TIP]) + offset
        yield PoseTarget(Pose(place, spatial.multiply(turn, SPEC.start.quaternion)), tick)


def motion(cell: Cell) -> list[ArmState]:
    """The arm at the end of each tick."""
    cell.acquire("policy")
    cell.tare()
    states = []
    for target in targets():
        cell.command(target)
        reading = cell.wait()
        if reading.safety != "track":
            raise RuntimeError(f"the motion ended in {reading.safety}: {reading.reason}")
        states.append(reading.arm)
    return states


def tracking() -> list[Figure]:
    """How far the arm through the driver is from the arm in the twin."""
    progress("one motion through the twin, and through pylibfranka on the emulator")
    expected = motion(TwinCell(SPEC, seed=SEED))
    with Emulator(task=SPEC.name, clock="lockstep") as emulator:
        cell = FrankaCell(config_of(emulator.address), SPEC, clock="lockstep", seed=SEED)
        try:
            found = motion(cell)
        finally:
            cell.close()
    pairs = list(zip(found, expected, strict=True))
    away = [float(np.linalg.norm(ours.pose.position - theirs.pose.position)) for ours, theirs in pairs]
    turns = [_angle(ours.pose.quaternion, theirs.pose.quaternion) for ours, theirs in pairs]
    force = max(float(np.linalg.norm(theirs.wrench[:3])) for theirs in expected)
    return [
        at_most("twin against pylibfranka, 20 s with contact, largest distance", 1e3 * max(away), "mm", 2.0),
        at_most("twin against pylibfranka, largest angle", float(np.degrees(max(turns))), "deg", 0.5),
        at_least("largest force in that motion", force, "N", 5.0),
    ]


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.linalg.norm(spatial.log(spatial.multiply(first, spatial.conjugate(second)))))


def transfer(quick: bool) -> list[Figure]:
    """Successes through the emulator of a policy that was trained in the twin, beside those in the twin."""
    episodes = QUICK_EPISODES if quick else EPISODES
    partial = Partial("driver", quick)
    run = partial.folder / f"{SPEC.name}-{SEED}"
    partial.once("train", lambda: train(run, SPEC.name, "--seed", str(SEED), "--transport", "inprocess"))
    wins = {"twin": _successes(run, TwinCell(SPEC, seed=SEED), episodes)}
    progress(f"{episodes} episodes through pylibfranka on the emulator")
    with Emulator(task=SPEC.name, clock="lockstep") as emulator:
        cell = FrankaCell(config_of(emulator.address), SPEC, clock="lockstep", seed=SEED)
        wins["emulator"] = _successes(run, cell, episodes)
    return [
        at_least(
            f"{SPEC.name} trained in the twin, successes of {episodes} through the emulator",
            wins["emulator"],
            "",
            0.95 * episodes,
            peer="the twin",
            peer_value=float(wins["twin"]),
            ratio=wins["emulator"] / max(wins["twin"], 1),
        )
    ]


def _successes(run: Path, cell: Cell, episodes: int) -> int:
    env = RobotEnv(SPEC, cell)
    try:
        policy = newest_policy(RunFolder(run))
        return evaluate(env, policy_act(policy, SEED), episodes, 1000 + SEED).successes or 0
    finally:
        env.close()
