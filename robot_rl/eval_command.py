"""`robot-rl eval RUN`: the newest policy of a run on fresh episodes, and beside them under perturbations."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from robot_rl.config import GYM, RunConfig, in_cell, validate
from robot_rl.exceptions import ConfigError
from robot_rl.options import Parser, add_run_options, count, given, seed
from robot_rl.runs import RunFolder
from robot_rl.view import check_view

if TYPE_CHECKING:
    from robot_rl.perturb import Perturbation


def add_eval(part: Parser) -> None:
    """The options of `robot-rl eval`."""
    part.set_defaults(command=evaluate)
    part.add_argument("run", metavar="RUN", help="run folder")
    part.add_argument("--episodes", type=count, default=100, metavar="N", help="episodes to run (100)")
    part.add_argument("--seed", type=seed, default=1, metavar="N", help="seed of the episodes (1)")
    part.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    part.add_argument("--stochastic", action="store_true", help="sample actions instead of taking the mode")
    part.add_argument("--best", action="store_true", help="the policy whose training episodes had the best mean return")
    part.add_argument("--kept", action="store_true", help="each policy kept on the way (learner.keep_every), in turn")
    part.add_argument("--perturb", metavar="NAME,...", help="under each of moved,pushed,lights,camera too; or all")
    add_run_options(part, ("cell", "robot", "clock", "engine", "randomise", "rerun"))


def evaluate(options: argparse.Namespace) -> int:
    """`robot-rl eval RUN`. It randomises where it is asked to, whatever the run trained on."""
    if options.best and options.kept:
        raise ConfigError("--best is of one policy and --kept of all that were kept; leave one of them out.")
    run = RunFolder.open(Path(options.run))
    overrides = given(options)
    config = run.config()
    engine = overrides.get("engine", config.engine)
    config = dataclasses.replace(config, randomise=overrides.get("randomise", False), engine=engine)
    elsewhere = {key: value for key, value in overrides.items() if key in ("cell", "robot", "clock")}
    if elsewhere:
        config = in_cell(config, {"cell": config.cell} | elsewhere)
    if config.randomise or "engine" in overrides:
        validate(config)
    kinds = () if options.perturb is None else _kinds(options.perturb, options.kept, config)
    rerun = overrides.get("rerun", "none")
    check_view(rerun)
    from robot_rl.commands import evaluate_run
    from robot_rl.report import print_report, write_report

    results: list[dict[str, Any]] = []
    try:
        evaluate_run(
            run, config, options.episodes, options.seed, options.stochastic,
            best=options.best, kept=options.kept, rerun=rerun, perturb=kinds, results=results,
        )  # fmt: skip
    finally:  # also what came before a reset that failed, or an arm that latched
        if results and options.json:
            print(json.dumps({"kept": results} if options.kept else results[0]))
        elif results and options.kept:
            print_kept(results, Console())
    if options.json:
        write_report(run)
        return 0
    print_report(run, write_report(run), Console())
    if kinds:
        print_perturbed(results[0], Console())
    return 0


def _kinds(text: str, kept: bool, config: RunConfig) -> Sequence[Perturbation]:
    """The perturbations that are asked for. Raises `ConfigError` where nothing could be perturbed."""
    from robot_rl.perturb import perturbations

    kinds = perturbations(text)
    if kept:
        raise ConfigError("--perturb is of one policy and --kept of all that were kept; leave one of them out.")
    if config.engine != "mujoco":
        raise ConfigError(f"--perturb is of the engine mujoco, and this is {config.engine}; leave one of them out.")
    if config.task.startswith(GYM) or config.robot != "twin":
        where = config.task if config.task.startswith(GYM) else f"robot {config.robot}"
        raise ConfigError(f"--perturb disturbs the twin's world, and this is {where}; leave it out.")
    return kinds


def print_kept(results: Sequence[Mapping[str, Any]], console: Console) -> None:
    """The policies kept on the way, one below the other."""
    table = Table(title="the policies kept on the way, on the same episodes", title_justify="left")
    for name in ("after", "success", "95 % interval", "time of a success"):
        table.add_column(name, justify="right")
    for one in results:
        cycle = "" if one["mean_cycle_s"] is None else f"{one['mean_cycle_s']:.1f} s"
        table.add_row(f"{one['step']:,} steps", *_success(one), cycle)
    console.print(table)


def print_perturbed(result: Mapping[str, Any], console: Console) -> None:
    """The nominal evaluation and those under each perturbation, one below the other."""
    table = Table(title="the same episodes, perturbed", title_justify="left")
    for name in ("", "success", "95 % interval", "after it came", "extra time", "latched"):
        table.add_column(name, justify="left" if not name else "right")
    table.add_row("nominal", *_success(result), "", "", "")
    applied = {name: one for name, one in result["perturbed"].items() if "not_applicable" not in one}
    for name, one in applied.items():
        extra = "" if one["extra_s"] is None else f"{one['extra_s']:+.1f} s"
        latched = ", ".join(f"{times} ({reason})" for reason, times in one["latched"].items()) or "0"
        table.add_row(name, *_success(one), f"{one['recovered']} of {one['perturbed']}", extra, latched)
    console.print(table)
    for name, one in result["perturbed"].items():
        if name not in applied:
            console.print(f"{name}: not applicable, {one['not_applicable']}", highlight=False)


def _success(result: Mapping[str, Any]) -> tuple[str, str]:
    low, high = result["ci95"]
    return f"{result['successes']} of {result['episodes']}", f"{100 * low:.0f} to {100 * high:.0f} %"
