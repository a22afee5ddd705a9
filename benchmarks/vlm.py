"""Rewards from a vision-language model's comparisons, with a stand-in for the model: online, and from unlabelled sets.

No model hub is at hand, so the one who compares is a service on loopback. It knows what the pictures show, and says the
wrong thing of 15 % of the pairs and that it cannot tell of another 15 %.

Offline: `reach`, sets that a random, a half-trained and the scripted policy made, their rewards put away; from each,
IQL with the reward that comparisons of pictures taught, with the true one (how far the tool is, at every step), with
none, and behaviour cloning, all from the state. Online: `pick_cube` from frozen features with comparisons of what the
run itself reached, beside the task's own reward and a likeness to the goal's pictures (a stand-in for CLIP's score).
There the service measures what it is sent (`benchmarks.eyes`). Goes on where it stopped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.chat_service import Manners, Service
from benchmarks.common import BUILD, Figure, Partial, at_least, main, progress
from benchmarks.eyes import Eyes
from benchmarks.runs import learn, robot_rl, success_figures
from robot_rl.data.beside import Judgement, write_labels
from robot_rl.data.formats.experience import open_experience

NAME = "vlm"
MANNERS = Manners(wrong=0.15, unsure=0.15)
QUALITIES = ("random", "medium", "expert")
METHODS = ("true", "vlm", "constant", "bc")
SEEDS = 3
STEPS, GRADIENTS, PAIRS = 6_000, 5_000, 1_000
"""Of a set: environment steps; gradient steps of IQL; comparisons."""
ONLINE = ("task", "preference", "likeness")
ONLINE_STEPS, KEPT = 6_000, 1_500


def recorded(quality: str, teacher: str, quick: bool) -> str:
    """A set of `reach` with pictures, made by a policy of that quality."""
    folder = BUILD / "runs" / f"{NAME}-{quality}{'-quick' if quick else ''}"
    shutil.rmtree(folder, ignore_errors=True)
    progress(f"recording {quality} data")
    steps = 300 if quick else STEPS
    options = ["--obs", "pixels", "--run", str(folder), "--steps", str(steps), "--seed", "5", "--demos", "0"]
    options += ["--transport", "inprocess", "--agent", "sac", "--learner.start", "10000000"]
    if quality == "random":
        options += ["--learner.random-steps", str(steps)]
    else:
        options += ["--intervener", "disagreement,cosine=1,patience=1,length=1000000"]
        options += ["--expert", "scripted" if quality == "expert" else teacher]
    robot_rl("train", "reach", *options)
    return str(folder)


def teach(quick: bool) -> dict[str, Any]:
    """A run of `reach` whose kept policies are of every quality; the one that succeeds in about half."""
    folder = BUILD / "runs" / f"{NAME}-teacher{'-quick' if quick else ''}"
    options = ("--transport", "inprocess", "--steps", "400" if quick else "1000")
    kept = learn(folder, "reach", *options, keep_every=50, episodes=5 if quick else 20, whole=True)["kept"]
    medium = min(kept, key=lambda one: abs(one["success_rate"] - 0.5))
    return {"expert": f"{folder}@{medium['step']}", "success": medium["success_rate"]}


def distances(data: Path) -> tuple[list[Judgement], dict[bytes, float]]:
    """What each step led to is truly worth, falling with the tool's distance; and the same by the picture of it."""
    steps = list(open_experience(data).steps())
    away = np.array([np.linalg.norm(step.next_observation["tool_position"]) for step in steps])
    worth = np.clip(1 - away / np.percentile(away, 95), -1, 1)
    judged = [Judgement(step.episode, step.step, float(value)) for step, value in zip(steps, worth, strict=True)]
    shown = [np.concatenate([step.next_observation[name] for name in ("front", "wrist")]) for step in steps]
    return judged, {picture.tobytes(): 10 - float(far) for picture, far in zip(shown, away, strict=True)}


def labelled(data: str, quick: bool) -> dict[str, Any]:
    """Lay the true reward beside the set; compare its pictures, learn a reward from that, and judge the set by it."""
    labels, model = Path(f"{data}-labels"), Path(f"{data}-reward")
    for folder in (labels, model):
        shutil.rmtree(folder, ignore_errors=True)
    judged, known = distances(Path(data))
    write_labels(open_experience(Path(data)), "true", judged)
    progress(f"comparing pictures of {Path(data).name}")
    with Service(MANNERS, lambda picture: known[picture.tobytes()]) as service:
        robot_rl(
            "preferences", "label", data, "--out", str(labels), "--task", "the fingers are at the green ball",
            "--model", "looker", "--endpoint", service.url, "--pairs", "60" if quick else str(PAIRS),
        )  # fmt: skip
    robot_rl("preferences", "fit", data, "--labels", str(labels), "--out", str(model))
    robot_rl("data", "relabel", data, "--reward", "preference", "--model", str(model))
    report: dict[str, Any] = json.loads((model / "report.json").read_text())
    return report


def offline(method: str, data: str, seed: int, quick: bool) -> dict[str, Any]:
    """Learn from the set; success of the last policy."""
    run = BUILD / "runs" / f"{NAME}-{method}-{Path(data).name}-{seed}"
    shutil.rmtree(run, ignore_errors=True)
    progress(f"{method} on {Path(data).name}, seed {seed}")
    steps = "200" if quick else str(GRADIENTS)
    learns = ("--agent", "bc", "--learner.bc-steps", steps) if method == "bc" else (
        "--agent", "iql", "--learner.offline-steps", steps, "--learner.beta", "10",
        "--reward", {"true": "true", "vlm": "preference", "constant": "constant"}[method],
    )  # fmt: skip
    same = ("--transport", "inprocess", "--demos", data, "--run", str(run), "--seed", str(seed))
    robot_rl("train", "reach", *learns, *same)
    printed = robot_rl("eval", str(run), "--episodes", "5" if quick else "100", "--seed", "1000", "--json")
    return {"success_rate": json.loads(printed)["success_rate"]}


def online(reward: str, seed: int, quick: bool) -> dict[str, Any]:
    """`pick_cube` from features; success by the task's own measure, whatever taught it."""
    run = BUILD / "runs" / f"{NAME}-online-{reward}-{seed}{'-quick' if quick else ''}"
    steps, every, episodes = (600, 300, 3) if quick else (ONLINE_STEPS, KEPT, 50)
    options = ("--transport", "inprocess", "--obs", "features", "--seed", str(seed), "--steps", str(steps))
    if reward != "preference":
        return learn(run, "pick_cube", *options, "--reward", reward, keep_every=every, episodes=episodes)
    with Service(MANNERS, Eyes(), seed) as service:
        compared = (
            "--reward", reward, "--feedback.task", "the gripper holds the red cube in the air",
            "--feedback.model", "looker", "--feedback.endpoint", service.url,
            "--feedback.every", "150" if quick else "300", "--feedback.session", "20" if quick else "100",
            "--feedback.pairs", "1000", "--feedback.share", "0.3",
        )  # fmt: skip
        found = learn(run, "pick_cube", *options, *compared, keep_every=every, episodes=episodes)
    return found | {"requests": len(service.requests)}


def measure(quick: bool) -> list[Figure]:
    """The figures."""
    partial = Partial(NAME, quick)
    teacher = partial.once("teacher", lambda: teach(quick))

    def once(key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return partial.once(key, make)

    for quality in QUALITIES:
        data = once(f"data-{quality}", lambda q=quality: {"path": recorded(q, teacher["expert"], quick)})["path"]  # type: ignore[misc]
        once(f"labels-{quality}", lambda d=data: labelled(d, quick))  # type: ignore[misc]
    for seed in range(1 if quick else SEEDS):
        for quality in QUALITIES:
            data = once(f"data-{quality}", dict)["path"]
            for method in METHODS:
                once(f"{quality}-{method}-{seed}", lambda m=method, d=data, s=seed: offline(m, d, s, quick))  # type: ignore[misc]
    for seed in range(1 if quick else SEEDS):
        for reward in ONLINE:
            once(f"online-{reward}-{seed}", lambda r=reward, s=seed: online(r, s, quick))  # type: ignore[misc]
    return so_far(quick)


def so_far(quick: bool) -> list[Figure]:
    """Of what there is."""
    partial, figures = Partial(NAME, quick), []
    for quality in QUALITIES:
        if (report := partial.get(f"labels-{quality}")) is not None:
            figures.append(Figure(f"{quality} data: held-out comparisons right", report["right_held_out"], ""))
        means = {}
        for method in METHODS:
            found = [partial.get(f"{quality}-{method}-{seed}") for seed in range(SEEDS)]
            rates = [result["success_rate"] for result in found if result is not None]
            if rates:
                means[method] = float(np.mean(rates))
                figures.append(Figure(f"{quality} data, {method}: success, mean of {len(rates)}", means[method], ""))
                figures.append(Figure(f"{quality} data, {method}: the least", min(rates), ""))
        if quality == "random" and {"true", "vlm"} <= means.keys() and means["true"] > 0:
            figures.append(
                at_least("random data: vlm's share of the true reward's", means["vlm"] / means["true"], "", 0.9)
            )
    for reward in ONLINE:
        for seed in range(SEEDS):
            if (result := partial.get(f"online-{reward}-{seed}")) is not None:
                figures += success_figures(f"online, {reward}, seed {seed}", result)
    return figures


if __name__ == "__main__":
    main(NAME, measure, so_far)
