"""How a policy for peg_insert, from state, takes what it has not met, trained with and without its task's domain.

Each is trained for the task's own steps, then evaluated on the same 100 episodes: as they are, in worlds drawn from the
domain, and under each perturbation of `robot-rl eval --perturb all` that state can feel. Goes on where it stopped.
"""

from __future__ import annotations

import json
import shutil
from typing import Any

from benchmarks.common import BUILD, Figure, Partial, main, progress
from benchmarks.runs import robot_rl

NAME, TASK = "perturb", "peg_insert"
VARIANTS = {"plain": (), "randomised": ("--randomise",)}
SEED = "0"


def measured(variant: str, quick: bool) -> dict[str, Any]:
    """What `robot-rl eval --json` says of one variant's policy; `drawn`: in worlds of the domain."""
    run = BUILD / "runs" / f"{NAME}-{variant}{'-quick' if quick else ''}"
    shutil.rmtree(run, ignore_errors=True)
    progress(f"training {TASK}, {variant}")
    steps = ("--steps", "1200") if quick else ()
    robot_rl(
        "train", TASK, "--transport", "inprocess", "--seed", SEED, "--run", str(run), *steps, *VARIANTS[variant]
    )  # fmt: skip
    how = ("--episodes", "10" if quick else "100", "--seed", "1000", "--json")
    progress(f"evaluating {variant}")
    drawn = json.loads(robot_rl("eval", str(run), *how, "--randomise"))
    nominal = json.loads(robot_rl("eval", str(run), *how, "--perturb", "all"))
    return nominal | {"drawn": drawn}


def measure(quick: bool) -> list[Figure]:
    """The figures."""
    partial = Partial(NAME, quick)
    for variant in VARIANTS:
        partial.once(variant, lambda v=variant: measured(v, quick))  # type: ignore[misc]
    return so_far(quick)


def so_far(quick: bool) -> list[Figure]:
    """The figures of what is measured already."""
    partial, figures = Partial(NAME, quick), []
    for variant in VARIANTS:
        result = partial.get(variant)
        if result is not None:
            figures += [
                *_success(f"{variant}: nominal", result),
                *_success(f"{variant}: drawn worlds", result["drawn"]),
            ]
            for name, one in result["perturbed"].items():
                if "not_applicable" not in one:
                    figures += [*_success(f"{variant}: {name}", one), *_recovery(f"{variant}: {name}", one)]
    return figures


def _success(name: str, result: dict[str, Any]) -> list[Figure]:
    low, high = result["ci95"]
    return [
        Figure(f"{name}, success", result["success_rate"], ""),
        Figure(f"{name}, 95 % from", low, ""),
        Figure(f"{name}, 95 % to", high, ""),
    ]


def _recovery(name: str, result: dict[str, Any]) -> list[Figure]:
    figures = [
        Figure(f"{name}, it came in", result["perturbed"], "episodes"),
        Figure(f"{name}, succeeded after it", result["recovered"], "episodes"),
        Figure(f"{name}, arm latched", sum(result["latched"].values()), "episodes"),
    ]
    if result["extra_s"] is not None:
        figures.append(Figure(f"{name}, extra time to success", result["extra_s"], "s"))
    return figures


if __name__ == "__main__":
    main(NAME, measure, so_far)
