"""`robot-rl offline DATASET`: learn from what is recorded, and say beside it what no reward at all would have given."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot_rl.config import GYM, OFFLINE, RECORDED, Learnable, RunConfig, effective
from robot_rl.data.worth import CONSTANT, Worth
from robot_rl.data.worth import RECORDED as OF_THE_SET
from robot_rl.exceptions import ConfigError
from robot_rl.options import Parser, add_run_options, given
from robot_rl.runs import RunFolder, default_path, refuse_existing
from robot_rl.sinks import check_sink

if TYPE_CHECKING:
    from robot_rl.data.formats.experience import Experience

DATASET = "dataset"
"""As `--reward`: what the set holds."""
EVALUATED_BY = 1
"""Seed of the episodes of an evaluation, as `robot-rl eval` has it."""


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What is learnt from where its environment is not here."""

    name: str
    steps: int = 0
    learner: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def add_offline(part: Parser) -> None:
    """The options of `robot-rl offline`."""
    part.set_defaults(command=offline)
    part.add_argument("dataset", type=Path, metavar="DATASET", help="a run, a journal, or what `data import` wrote")
    part.add_argument("--task", metavar="TASK", help="in which the policy is evaluated (what the set says)")
    part.add_argument("--episodes", type=int, default=100, metavar="N", help="of each evaluation; 0: none (100)")
    part.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    part.add_argument("--dry-run", action="store_true", help="check everything, say what would be done, and stop")
    add_run_options(part, ("agent", "reward", "obs", "backbone", "seed", "run", "resume", "log"), learner=True)


def offline(options: argparse.Namespace) -> int:
    """`robot-rl offline DATASET`: the run, and for IQL the same with a constant reward; both evaluated."""
    from robot_rl.data.formats.experience import open_experience
    from robot_rl.nets.observation import ObservationSpec
    from robot_rl.problem import problem_of

    experience = open_experience(options.dataset)
    if options.episodes < 0:
        raise ConfigError(f"--episodes is {options.episodes}, but must be at least 0.")
    config = _configured(options, experience)
    run = config.run or default_path(config)
    problem = problem_of(config)
    ObservationSpec.of(problem.example)  # refuses what no network can see
    Worth(experience, config.reward, config.learner, problem.schema)  # refuses what the set does not have
    runs = {_shown(config.reward): dataclasses.replace(config, run=run)}
    if config.agent == "iql" and config.reward != CONSTANT:
        beside = run.with_name(f"{run.name}-{CONSTANT}")
        runs[CONSTANT] = dataclasses.replace(config, reward=CONSTANT, run=beside)
    check_sink(config.log)
    if not config.resume:
        for one in runs.values():
            refuse_existing(one.run or run)
    if options.dry_run:
        for name, one in runs.items():
            print(
                f"{one.agent} with the reward of {name}, {experience.records:,} records of {options.dataset}: {one.run}"
            )
        print("nothing was started or written: this is a dry run")
        return 0
    return _learn_all(runs, options)


def _configured(options: argparse.Namespace, experience: Experience) -> RunConfig:
    """The effective configuration; where a run goes on, its own. Raises `ConfigError`."""
    asked = given(options)
    if asked.get("resume"):
        if "run" not in asked:
            raise ConfigError("--resume needs --run DIR, the run to go on with.")
        if asked.get("reward") == DATASET:
            asked["reward"] = OF_THE_SET
        return RunFolder.open(asked["run"]).resumed({"demos": str(options.dataset)} | asked)
    agent = asked.setdefault("agent", "iql")
    if agent not in OFFLINE:
        raise ConfigError(f"--agent is {agent}, but only {' and '.join(OFFLINE)} learn offline; `robot-rl train` acts.")
    asked["reward"] = OF_THE_SET if asked.get("reward", DATASET) == DATASET else asked["reward"]
    if agent == "bc" and asked["reward"] != OF_THE_SET:
        raise ConfigError(f"--reward is {asked['reward']}, but agent bc looks at no reward; leave it out.")
    task = _task_of(options.task or experience.schema.task)
    return effective(task, {"transport": "inprocess", "demos": str(options.dataset)}, asked)


def _task_of(name: str) -> Learnable:
    """The task that is named; without an environment here, as it was recorded."""
    if name.startswith(GYM):
        from robot_rl.envs import gym

        return gym.load(name)
    import tasks

    return tasks.load(name) if name in tasks.names() else Recorded(RECORDED + name.removeprefix(RECORDED))


def _shown(reward: str) -> str:
    return DATASET if reward == OF_THE_SET else reward


def _learn_all(runs: Mapping[str, RunConfig], options: argparse.Namespace) -> int:
    """Train what is not there yet, evaluate, and put it side by side."""
    from robot_rl.commands import evaluate_run, run_training
    from robot_rl.report import write_report

    results: dict[str, dict[str, Any]] = {}
    for name, config in runs.items():
        folder = RunFolder(config.run or Path())
        resume = config.resume and folder.config_file.is_file()
        code = run_training(dataclasses.replace(config, resume=resume), folder, quiet=True)
        if code:
            return code
        results[name] = {"run": str(folder.path)}
        if options.episodes and not config.task.startswith(RECORDED):
            results[name] |= evaluate_run(folder, config, options.episodes, EVALUATED_BY)[0]
            write_report(folder)
    _show(results, as_json=options.json)
    return 0


def _show(results: Mapping[str, Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(results))
        return
    for name, result in results.items():
        told = "not evaluated: its environment is not here"
        if "mean_return" in result:
            low, high = result["return_ci95"]
            told = f"mean return {result['mean_return']:.4g} ({low:.4g} to {high:.4g})"
            if result["successes"] is not None:
                told = f"{result['successes']} of {result['episodes']} succeeded, " + told
        print(f"reward {name:<12} {told}   {result['run']}")
    if CONSTANT in results:
        print(f"What '{CONSTANT}' reaches is owed to the recorded actions and not to any reward.")
