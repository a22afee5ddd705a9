"""IQL on tasks that nobody here wrote, from data of three qualities that our own agents made, beside d3rlpy's IQL.

On Hopper-v5 SAC learns for 40,000 steps; its untrained policy, the kept one nearest to a third of the best return, and
the best make 10,000 steps each, acting with their own noise. From each: our IQL, the same with a constant reward,
behaviour cloning, and d3rlpy's IQL, with the same data, networks, batch and settings and as many gradient steps; the
last policy is evaluated by us, on the same episodes. Goes on where it stopped, seed by seed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import BUILD, ROOT, Figure, Partial, at_least, main, peer_environment, peer_python, progress
from benchmarks.runs import learn, robot_rl
from robot_rl.data.formats.experience import open_experience
from robot_rl.envs.gym import open_gym
from robot_rl.evaluate import evaluate

NAME, TASK = "offline", "gym:Hopper-v5"
PEER = ("d3rlpy==2.8.1", "torch==2.13.0", "onnx")
QUALITIES = ("random", "medium", "expert")
SEEDS, UPDATES, EPISODES = 3, 50_000, 20
TEACHER, EVERY, MADE = 40_000, 2_000, 10_000
SIZE = ("--learner.hidden", "256,256", "--learner.critics", "2", "--learner.layer-norm", "false")
METHODS = ("IQL", "constant", "BC", "d3rlpy")


def teach(quick: bool, name: str = NAME) -> dict[str, Any]:
    """SAC of our own; what its kept policies reach."""
    folder = BUILD / "runs" / f"{name}-teacher{'-quick' if quick else ''}"
    steps, every = (2_000, 500) if quick else (TEACHER, EVERY)
    options = ("--steps", str(steps), "--learner.hidden", "128,128", "--learner.utd", "2")
    result = learn(folder, TASK, *options, keep_every=every, episodes=5, whole=True)
    return {"kept": result["kept"], "path": str(folder)}


def made(quality: str, teacher: dict[str, Any], quick: bool) -> str:
    """The run whose journal is the data: a policy of that quality acts, and nothing is learnt."""
    folder = BUILD / "runs" / f"{NAME}-{quality}{'-quick' if quick else ''}"
    shutil.rmtree(folder, ignore_errors=True)
    progress(f"making {quality} data")
    steps = "600" if quick else str(MADE)
    options = ["--run", str(folder), "--steps", steps, "--seed", "5", "--learner.start", "10000000"]
    if quality == "random":
        options += ["--learner.random-steps", steps]
    else:
        best = max(one["mean_return"] for one in teacher["kept"])
        wanted = best if quality == "expert" else best / 3
        step = min(teacher["kept"], key=lambda one: abs(one["mean_return"] - wanted))["step"]
        options += ["--agent", "sac", "--intervener", "disagreement,cosine=1,patience=1,length=1000000"]
        options += ["--expert", f"{teacher['path']}@{step}"]
    robot_rl("train", TASK, *options)
    return str(folder)


def ours(method: str, data: str, seed: int, quick: bool) -> dict[str, Any]:
    """IQL, the same without a reward, or cloning."""
    run = BUILD / "runs" / f"{NAME}-{method}-{Path(data).name}-{seed}"
    shutil.rmtree(run, ignore_errors=True)
    progress(f"{method} on {Path(data).name}, seed {seed}")
    steps = str(500 if quick else UPDATES)
    same = ("--run", str(run), "--seed", str(seed), *SIZE, "--learner.discount", "0.99")
    began = time.monotonic()
    if method == "BC":
        robot_rl("offline", data, "--agent", "bc", "--learner.bc-steps", steps, "--episodes", "0", *same)
    else:
        reward = "task" if method == "IQL" else "constant"
        learns = ("--agent", "iql", "--reward", reward, "--demos", data, "--learner.offline-steps", steps)
        robot_rl("train", TASK, *learns, *same)
    wall = time.monotonic() - began
    episodes = str(2 if quick else EPISODES)
    printed = robot_rl("eval", str(run), "--episodes", episodes, "--seed", "1000", "--json")
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines() if line]
    rates = [record["updates_per_s"] for record in records if record["kind"] == "update"]
    return {"mean_return": json.loads(printed)["mean_return"], "wall_s": wall, "updates_per_s": float(np.median(rates))}


def peer(data: str, seed: int, quick: bool) -> dict[str, Any]:
    """d3rlpy's IQL, trained by its own Python, evaluated by ours."""
    python, script = peer_python("d3rlpy", *PEER), ROOT / "benchmarks" / "peer_d3rlpy.py"
    folder = BUILD / "runs" / f"{NAME}-d3rlpy-{Path(data).name}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    np.savez(folder / "data.npz", **arrays(data))
    progress(f"d3rlpy on {Path(data).name}, seed {seed}")
    steps = 500 if quick else UPDATES
    files = [str(folder / name) for name in ("data.npz", "policy.pt", "result.json")]
    command = [str(python), str(script), files[0], str(steps), str(seed), *files[1:]]
    subprocess.run(command, check=True, env=peer_environment(), stdout=sys.stderr, cwd=folder)
    wall = json.loads((folder / "result.json").read_text())["wall_s"]
    returns = returns_of(folder / "policy.pt", 2 if quick else EPISODES)
    return {"mean_return": float(np.mean(returns)), "wall_s": wall, "updates_per_s": steps / wall}


def arrays(data: str) -> dict[str, Any]:
    """The steps of a run, as d3rlpy takes them."""
    steps = list(open_experience(Path(data)).steps())
    (name,) = steps[0].observation
    return {
        "observations": np.stack([step.observation[name] for step in steps]),
        "actions": np.stack([step.action for step in steps]),
        "rewards": np.array([step.reward for step in steps], np.float32),
        "terminals": np.array([step.terminated for step in steps], np.float32),
        "timeouts": np.array([step.truncated or i == len(steps) - 1 for i, step in enumerate(steps)], np.float32),
    }


def returns_of(policy: Path, episodes: int) -> list[float]:
    """Of a TorchScript policy, on the episodes that `robot-rl eval --seed 1000` has."""
    import torch

    network = torch.jit.load(str(policy))
    env = open_gym(TASK)

    def act(observation: Any, reading: Any, step: int) -> Any:
        (seen,) = observation.values()
        with torch.inference_mode():
            return network(torch.from_numpy(seen[None]))[0].numpy().clip(-1, 1)

    try:
        return [episode.total for episode in evaluate(env, act, episodes, 1000).episodes]
    finally:
        env.close()


def measure(quick: bool) -> list[Figure]:
    """The figures."""
    partial = Partial(NAME, quick)
    teacher = partial.once("teacher", lambda: teach(quick))
    for quality in QUALITIES:
        partial.once(f"data-{quality}", lambda q=quality: {"path": made(q, teacher, quick)})  # type: ignore[misc]
    for seed in range(1 if quick else SEEDS):
        for quality in QUALITIES:
            data = partial.once(f"data-{quality}", dict)["path"]
            for method in METHODS:
                train = (lambda d=data, s=seed: peer(d, s, quick)) if method == "d3rlpy" else (
                    lambda m=method, d=data, s=seed: ours(m, d, s, quick)
                )  # fmt: skip
                partial.once(f"{quality}-{method}-{seed}", train)
    return so_far(quick)


def so_far(quick: bool) -> list[Figure]:
    """Of what there is."""
    partial, figures = Partial(NAME, quick), []
    ratios = []
    for quality in QUALITIES:
        for method in METHODS:
            found = [partial.get(f"{quality}-{method}-{seed}") for seed in range(SEEDS)]
            results = [result for result in found if result is not None]
            if results:
                returns = [result["mean_return"] for result in results]
                figures.append(Figure(f"{quality} data, {method}: return, mean of {len(returns)} seeds",
                                      float(np.mean(returns)), ""))  # fmt: skip
                figures.append(Figure(f"{quality} data, {method}: the least", float(min(returns)), ""))
        for seed in range(SEEDS):
            mine, theirs = (partial.get(f"{quality}-{method}-{seed}") for method in ("IQL", "d3rlpy"))
            if mine and theirs:
                ratios.append(mine["updates_per_s"] / theirs["updates_per_s"])
    if ratios:
        figures.append(at_least("gradient steps per second, times d3rlpy's, median", float(np.median(ratios)), "", 3.0))
    return figures


if __name__ == "__main__":
    main(NAME, measure, so_far)
