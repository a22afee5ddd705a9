"""`robot-rl pretrain`: rebuild our own backbone from the twin."""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from robot_rl.exceptions import ConfigError
from robot_rl.options import Parser

FRAMES, BATCH, LEAST = 28_000, 32, 32
HELD_OUT, PLAIN = 20, 900
"""Batches of randomised pictures, and plain pictures of each task, that errors are measured on, at most."""


def add_pretrain(part: Parser) -> None:
    """Give `robot-rl pretrain` its options."""
    part.set_defaults(command=run)
    part.add_argument("--out", type=Path, required=True, metavar="FILE", help="safetensors file to write")
    part.add_argument("--frames", default=str(FRAMES), metavar="N", help=f"pictures to train on ({FRAMES:,})")
    part.add_argument("--tasks", default="all", metavar="A,B", help="tasks whose scenes are rendered (all)")
    part.add_argument("--seed", default="0", metavar="N", help="seed of pictures and weights (0)")
    part.add_argument("--threads", default="1", metavar="N", help="of torch; one more process renders (1)")


def run(options: argparse.Namespace) -> int:
    """Train, measure, write. What was trained before an interruption is gone on with."""
    out: Path = options.out
    _check_target(out)
    names = _tasks(options.tasks)
    frames, seed, threads = (
        _whole(getattr(options, name), f"--{name}", least)
        for name, least in (("frames", LEAST), ("seed", 0), ("threads", 1))
    )
    os.environ.setdefault("MUJOCO_GL", "egl")
    import torch

    from robot_rl.perception.pretrain import Plan

    torch.set_num_threads(threads)
    return _run(Plan(names, seed, frames, min(BATCH, frames // 2)), out)


def _run(plan: Any, out: Path) -> int:
    import tasks
    from robot_rl.data.progress import bar
    from robot_rl.perception.pretrain import pretrain
    from robot_rl.perception.scenes import Crew

    crew = Crew([tasks.load(name) for name in plan.tasks], plan.seed)
    state, last = out.with_name(out.name + ".training"), dict[str, float]()
    if state.exists():
        print(f"going on from {state}")
    began = time.monotonic()
    try:
        with bar("pretraining", plan.steps) as show:

            def tell(step: int, terms: dict[str, float]) -> None:
                last.update(terms)
                show(step)

            trainer = pretrain(plan, len(crew.landmarks), len(crew.cameras), state, tell)
        seconds = time.monotonic() - began
        losses = ", ".join(f"{name} {value:.3f}" for name, value in last.items())
        print(f"{plan.steps * plan.batch:,} pictures in {seconds:.0f} s; last losses: {losses}")
        about = _finish(trainer, crew, plan, out)
    finally:
        crew.close()
    _show(about)
    state.unlink(missing_ok=True)
    print(f"{out}: {out.stat().st_size:,} bytes")
    return 0


def _finish(trainer: Any, crew: Any, plan: Any, out: Path) -> dict[str, Any]:
    """Measure on pictures that were not trained on, and write."""
    from robot_rl.perception import held_out
    from robot_rl.perception.compact import CompactNet, save_compact
    from robot_rl.perception.scenes import Frames

    count = max(1, min(HELD_OUT, plan.steps // 20))
    fresh = [crew.batch(plan.steps + i, plan.batch) for i in range(count)]
    plain = Frames.join([crew.plain(i, min(PLAIN, max(32, plan.frames // 100))) for i in range(len(plan.tasks))])
    about: dict[str, Any] = {
        "randomised": [asdict(e) for e in held_out.errors(trainer.network, trainer.heads, Frames.join(fresh), crew)],
        "plain": [asdict(e) for e in held_out.errors(trainer.network, trainer.heads, plain, crew)],
        "grasped": held_out.grasp_accuracy(trainer, plain),
    }
    network = trainer.finish(iter(fresh))
    about["probe"] = held_out.probe(network, plain, crew)
    random = type(trainer)(plan, len(crew.landmarks), len(crew.cameras))
    random.network.train()
    random.network.look(_pictures(fresh[0]))  # batch norms need to have seen something
    about["probe_random"] = held_out.probe(random.finish(iter(fresh)), plain, crew)
    command = f"robot-rl pretrain --frames {plan.frames} --tasks {','.join(plan.tasks)} --seed {plan.seed}"
    header = {"command": command, "seed": str(plan.seed), "frames": str(plan.steps * plan.batch)}
    assert isinstance(network, CompactNet)
    save_compact(network, out, header | {"errors": json.dumps(about)})
    return about


def _pictures(frames: Any) -> Any:
    import torch

    return torch.from_numpy(frames.images)


def _show(about: dict[str, Any]) -> None:
    print("\nmedian error, mm, of places in the camera's frame and in the tool's; pictures not trained on")
    print(f"{'camera':<8}{'what':<14}{'randomised':>18}{'plain':>18}")
    plain = {(e["camera"], e["landmark"]): e for e in about["plain"]}
    for e in about["randomised"]:
        other = plain.get((e["camera"], e["landmark"]))
        right = f"{other['place']:>9.1f}{other['offset']:>9.1f}" if other else f"{'-':>18}"
        print(f"{e['camera']:<8}{e['landmark']:<14}{e['place']:>9.1f}{e['offset']:>9.1f}{right}")
    if about["grasped"] is not None:
        print(f"grasped or not, plain pictures: {100 * about['grasped']:.1f} % right")
    print(
        "\nridge regression from frozen features to the lateral offset from the tool, plain pictures, median error, mm"
    )
    print(f"{'camera':<8}{'what':<14}{'taught with':>12}{'trained':>10}{'random':>10}{'guess':>10}")
    for own, random in zip(about["probe"], about["probe_random"], strict=True):
        numbers = f"{own['taught']:>12}{own['error']:>10.2f}{random['error']:>10.2f}{own['guess']:>10.2f}"
        print(f"{own['camera']:<8}{own['landmark']:<14}{numbers}")


def _check_target(out: Path) -> None:
    if out.exists():
        raise ConfigError(f"--out {out} exists already: name another file, or remove it")
    if not out.parent.is_dir():
        raise ConfigError(f"--out {out} is in a folder that does not exist: make {out.parent} first")


def _tasks(text: str) -> tuple[str, ...]:
    import tasks

    chosen = tuple(tasks.names()) if text == "all" else tuple(dict.fromkeys(text.split(",")))
    try:
        for name in chosen:
            tasks.load(name)
    except tasks.UnknownTask as error:
        raise ConfigError(f"--tasks {text}: {error}") from error
    return chosen


def _whole(text: str, name: str, least: int) -> int:
    if not text.isdigit() or not least <= int(text) < 2**32:
        raise ConfigError(f"{name} is {text!r}, but must be a whole number of at least {least}.")
    return int(text)
