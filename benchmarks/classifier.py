"""A success classifier on `peg_insert`, from the twin's pictures, and learning with it in place of the task's reward.

200 frames that show success and 600 that do not, half of these from scripted insertions and half from a policy that
knows nothing yet: accuracy and false positives on held-out episodes, and on every other frame of both sources; seconds
of training. Then a run whose reward and success are the classifier's: success by the task's own measure, and the
episodes that the classifier called a success and the simulator did not. Goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import BUILD, Figure, Partial, at_least, at_most, main, progress
from benchmarks.runs import learn, robot_rl
from robot_rl.cells import open_env
from robot_rl.data.formats.experience import open_experience
from robot_rl.evaluate import policy_act
from robot_rl.exceptions import ConfigError
from robot_rl.rewards import TaskReward
from robot_rl.rewards.classifier.configuration import ClassifierConfig
from robot_rl.rewards.classifier.data import SUCCESS, Frames, join, read_frames
from robot_rl.rewards.classifier.report import write_report
from robot_rl.rewards.classifier.training import measures, plain, train
from robot_rl.runs import RunFolder
from robot_rl.seeds import derive
from robot_rl.training import newest_policy

NAME, TASK = "classifier", "peg_insert"
POSITIVES, NEGATIVES = 200, 600
STEPS, EVERY = 9000, 1500
"""Of the run that is judged by the classifier, and between two evaluations."""


def record(quick: bool) -> tuple[Path, Path]:
    """Scripted insertions, and the steps of a policy that has learnt nothing."""
    root = BUILD / "runs"
    demos, naive = (root / f"{NAME}-{name}{'-quick' if quick else ''}" for name in ("demos", "naive"))
    for folder in (demos, naive):
        shutil.rmtree(folder, ignore_errors=True)
    progress("recording scripted insertions, and a policy that knows nothing")
    count, steps = ("30", "200") if quick else (str(POSITIVES), "1500")
    robot_rl("demos", TASK, "--obs", "features", "--demos", count, "--run", str(demos))
    robot_rl(
        "train", TASK, "--obs", "features", "--run", str(naive), "--transport", "inprocess", "--demos", "0",
        "--agent", "sac", "--steps", steps, "--learner.start", "100000",
    )  # fmt: skip
    return demos, naive


def chosen(frames: Frames, naive: Frames, rng: np.random.Generator, positives: int, negatives: int) -> Frames:
    """So many of each, the negatives by halves from both."""
    good = rng.permutation(np.flatnonzero(frames.label == SUCCESS))[:positives]
    other = rng.permutation(np.flatnonzero(frames.label != SUCCESS))[: negatives // 2]
    lost = rng.permutation(np.flatnonzero(naive.label != SUCCESS))[: negatives - negatives // 2]
    return join([frames.take(np.sort(np.concatenate([good, other]))), naive.take(np.sort(lost))])


def fit(quick: bool) -> dict[str, Any]:
    """Train on the chosen frames; measure on held-out episodes and on all frames that were not chosen."""
    demos, naive = record(quick)
    config = ClassifierConfig()
    shown, lost = (read_frames(open_experience(path), config) for path in (demos, naive))
    positives, negatives = (25, 75) if quick else (POSITIVES, NEGATIVES)
    few = chosen(shown, lost, np.random.default_rng(0), positives, negatives)
    began = time.monotonic()
    trained = train(few, ("other", "success"), config, TASK, lambda step: None)
    seconds = time.monotonic() - began
    folder = BUILD / "runs" / f"{NAME}-model{'-quick' if quick else ''}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    trained.classifier.save(folder)
    write_report(trained, folder)
    used = set(few.place)
    rest = join([shown, lost])
    rest = rest.take(np.array([i for i, place in enumerate(rest.place) if place not in used]))
    said = trained.classifier.probability(plain(rest))
    others = measures(said, rest.label == SUCCESS, trained.classifier.threshold)
    return {"seconds": seconds, "held_out": dict(trained.classifier.about), "others": others, "folder": str(folder)}


def judged_run(folder: str, seed: int, quick: bool) -> dict[str, Any]:
    """Learn with the classifier as the reward; evaluate by the task, and count what the classifier was wrong about."""
    run = BUILD / "runs" / f"{NAME}-rl-{seed}{'-quick' if quick else ''}"
    steps, every, episodes = (600, 300, 5) if quick else (STEPS, EVERY, 100)
    options = ("--transport", "inprocess", "--obs", "features", "--seed", str(seed), "--steps", str(steps))
    judged = ("--reward", "classifier", "--reward-model", folder)
    result = learn(run, TASK, *options, *judged, keep_every=every, episodes=episodes, whole=True)
    return result | hacks(RunFolder.open(run), episodes)


def hacks(run: RunFolder, episodes: int) -> dict[str, Any]:
    """Of episodes that the classifier ends: how many it called a success, and how many of those were none."""
    config = dataclasses.replace(run.config(), seed=0)
    act, env = policy_act(newest_policy(run), 0), open_env(config, seed=0, training=True)
    truth, called, wrong = TaskReward(env.task), 0, 0
    try:
        for index in range(episodes):
            observation, info = env.reset(seed=derive(7, "hacks", index))
            over = False
            while not over:
                observation, _, terminated, truncated, info = env.step(act(observation, env.reading, 0))
                over = terminated or truncated
            called += info["success"]
            wrong += info["success"] and not truth(env.reading).success
    finally:
        env.close()
    return {"called": called, "wrong": wrong, "judged": episodes}


def measure(quick: bool) -> list[Figure]:
    """The figures."""
    partial = Partial(NAME, quick)
    made = partial.once("fit", lambda: fit(quick))
    if not Path(made["folder"]).is_dir():
        raise ConfigError(f"{made['folder']} is gone; measure anew with --fresh")
    for seed in range(1 if quick else 3):
        partial.once(f"rl-{seed}", lambda seed=seed: judged_run(made["folder"], seed, quick))  # type: ignore[misc]
    return so_far(quick)


def so_far(quick: bool) -> list[Figure]:
    """Of what there is."""
    partial, figures = Partial(NAME, quick), []
    if (made := partial.get("fit")) is not None:
        held, others = made["held_out"], made["others"]
        figures += [
            at_least("accuracy, held-out episodes", held["accuracy"], "", 0.99),
            at_most("false positives at the threshold, held-out episodes", held["false_positive_rate"], "", 0.005),
            Figure("frames reported on", held["reported_on"], ""),
            Figure("accuracy, all frames not chosen", others["accuracy"], ""),
            at_most("false positives, all frames not chosen", others["false_positive_rate"], "", 0.005),
            Figure("frames not chosen", others["reported_on"], ""),
            at_most("training", made["seconds"], "s", 60.0),
        ]
    for seed in range(3):
        if (result := partial.get(f"rl-{seed}")) is not None:
            name = f"seed {seed}, judged by the classifier"
            figures += [
                at_least(f"{name}: success by the task", result["kept"][-1]["success_rate"], "", 0.95),
                Figure(f"{name}: wrongly called successes, of {result['called']}", result["wrong"], ""),
                Figure(f"{name}: wall", result["wall_s"] / 60, "min"),
            ]
    return figures


if __name__ == "__main__":
    main(NAME, measure, so_far)
