"""`robot-rl`: the command line. Heavy imports are inside the commands, so that help is instant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import robot_rl
from controllers.emulators.fci import add_options as add_emulator_options
from controllers.exceptions import ControllersError
from robot_rl.config import (
    CHANGEABLE,
    DEVICES,
    GYM,
    Learnable,
    RunConfig,
    devices_of,
    effective,
    read_overrides,
    save_config,
    to_yaml,
)
from robot_rl.data.commands import add_data
from robot_rl.disk import disk_errors
from robot_rl.eval_command import add_eval
from robot_rl.exceptions import ConfigError, RobotRLError
from robot_rl.offline import add_offline
from robot_rl.options import Parser, add_run_options, given, parse
from robot_rl.perception.command import add_pretrain
from robot_rl.rewards.classifier.command import add_classifier
from robot_rl.rewards.preference.command import add_preferences
from robot_rl.runs import RunFolder, default_path, refuse_existing
from robot_rl.sinks import check_sink
from robot_rl.terminal import check_terminal
from robot_rl.view import check_view
from tasks.spec import TaskSpec

DEMOS_OPTIONS = (
    "cell", "robot", "randomise", "clock", "obs", "keep_pictures", "reward", "demos", "seed", "run", "teleop_file",
    "rerun",
)  # fmt: skip
"""What recording demonstrations takes of a run's options."""
INTERRUPTED = 130
USER_ERROR = 2


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code; a mistake of the user is one sentence and code 2."""
    try:
        options = _parse(sys.argv[1:] if arguments is None else arguments)
        with disk_errors("a file of the run"):
            return int(options.command(options))
    except (RobotRLError, ControllersError) as error:
        text = " ".join(str(error).split())
        print(f"robot-rl: {text if text[-1:] in ('.', '?') else text + '.'}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("robot-rl: interrupted.", file=sys.stderr)
        return INTERRUPTED


def _parse(arguments: list[str]) -> Any:
    parser = Parser(prog="robot-rl", description="Reinforcement learning on robots, and on their twin.")
    parser.add_argument("--version", action="version", version=robot_rl.__version__)
    parser.set_defaults(command=lambda options: _help(parser))
    commands = parser.add_subparsers(metavar="COMMAND")
    parts = {}

    def command(name: str, operand: str, function: Any, text: str) -> Parser:
        usage = f"robot-rl {name} {operand} [options]".replace("  ", " ")
        parts[name] = commands.add_parser(name, usage=usage, help=text, description=text[0].upper() + text[1:] + ".")
        parts[name].set_defaults(command=function)
        return parts[name]

    _add_learning(command)
    _add_commissioning(command)
    return parse(parser, parts, arguments)


def _add_learning(command: Callable[[str, str, Any, str], Parser]) -> None:
    part = command("train", "TASK", train, "train a task")
    part.add_argument("task", metavar="TASK", help="`robot-rl tasks` lists them; gym:ID is any Gymnasium environment")
    part.add_argument("--config", metavar="FILE", help="YAML of options, beneath those given here")
    part.add_argument("--print-config", action="store_true", help="print the effective configuration and stop")
    part.add_argument("--dry-run", action="store_true", help="check everything, say what would be done, and stop")
    add_run_options(part)

    what = "learn from what was recorded, by IQL or behaviour cloning, and evaluate it"
    add_offline(command("offline", "DATASET", lambda options: 0, what))

    add_eval(command("eval", "RUN", lambda options: 0, "evaluate the newest policy of a run on fresh episodes"))

    part = command("compare", "RUN...", compare, "compare runs, the seeds of a configuration together, with intervals")
    part.add_argument("runs", metavar="RUN", nargs="+", help="run folders")
    part.add_argument("--out", metavar="FILE", default="compare.png", help="the plot (compare.png)")
    part.add_argument("--json", action="store_true", help="print one JSON object")

    part = command("demos", "TASK", demos, "record demonstrations, by a task's scripted expert or by hand")
    part.add_argument("task", metavar="TASK", help="`robot-rl tasks` lists them")
    sources = "|".join(("scripted", *DEVICES))
    part.add_argument("--source", default="scripted", metavar=sources, help="who demonstrates (scripted)")
    part.add_argument("--lerobot", type=Path, metavar="DIR", help="write the set as a LeRobotDataset, too")
    add_run_options(part, DEMOS_OPTIONS)

    what = "look into recorded experience, verify, export, import, merge and trim it"
    add_data(command("data", "COMMAND", lambda options: 0, what))

    what = "train a success classifier on pictures, and look at what it is least sure of"
    add_classifier(command("classifier", "COMMAND", lambda options: 0, what))

    what = "compare moments, or have them compared, and learn a reward from that"
    add_preferences(command("preferences", "COMMAND", lambda options: 0, what))

    add_pretrain(command("pretrain", "--out FILE", lambda options: 0, "train our own image backbone on the twin"))

    part = command("tasks", "", list_tasks, "list the tasks")
    part.add_argument("--json", action="store_true", help="print one JSON object")

    part = command("new-task", "NAME", new_task, "make a folder for a task of your own, which trains as it is")
    part.add_argument("name", metavar="NAME", help="small letters, digits and _")

    part = command("node", "NAME --run DIR", node, "run one node of a run's graph in this process")
    part.add_argument("name", metavar="NAME", help="which node")
    part.add_argument("--run", metavar="DIR", help="run folder that holds its config.yaml")
    part.add_argument("--task", metavar="TASK", help="with --cell, in place of --run: begin a run of this task")
    add_run_options(part, ("cell", "robot", "clock", "obs"))
    part.add_argument("--ros-args", nargs=argparse.REMAINDER, default=[], help="arguments of ROS 2, up to the end")


def _add_commissioning(command: Callable[[str, str, Any, str], Parser]) -> None:
    part = command("doctor", "", doctor, "check this machine, or a cell, with the mend of what is missing")
    _commissioning(part, "what is looked at")
    part.add_argument("--json", action="store_true", help="with --cell: print one JSON object on standard output")

    part = command("teleop", "--cell CELL", teleop, "bring a cell's arm into motion, step by step")
    _commissioning(part, "steps")
    part.add_argument("--jog", nargs=2, action="append", metavar=("AXIS", "D"), help="move by D m or rad, no keys")
    part.add_argument("--seconds", type=float, default=2.0, metavar="X", help="how long the state is watched (2)")
    part.add_argument("--stop-axis", default="z", metavar="AXIS", help="along which the stop is tested (z)")
    part.add_argument("--recover", action="store_true", help="clear a latch that the arm comes up with")

    part = command("teach", "CELL TASK", teach, "teach a task's goal, start and box in a cell")
    part.add_argument("cell", metavar="CELL", help="a name in cells/, or a file")
    part.add_argument("task", metavar="TASK", help="`robot-rl tasks` lists them")
    part.add_argument("--do", action="append", metavar="WORDS", help="say this in place of a person: 'jog x 0.02'")
    part.add_argument("--recover", action="store_true", help="clear a latch that the arm comes up with")
    part.add_argument("--yes", action="store_true", help="answer every question with yes")
    add_run_options(part, ("robot",))

    part = command("emulate", "ROBOT", emulate, "emulate a robot's network interface, for any program made for it")
    part.add_argument("emulated", metavar="ROBOT", choices=("fci",), help="fci: a Franka Research 3 with its hand")
    add_emulator_options(part)


def _commissioning(part: Parser, what: str) -> None:
    """Options that the commands of commissioning share."""
    part.add_argument("--cell", metavar="CELL", help="a name in cells/, or a file")
    part.add_argument("--task", metavar="TASK", help="whose place and box count (reach)")
    part.add_argument("--only", metavar="A,B", help=f"{what}, of those that the documents name (all)")
    part.add_argument("--yes", action="store_true", help="answer every question with yes")
    add_run_options(part, ("robot",))


def _help(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return 0


def _task(name: str) -> TaskSpec:
    import tasks

    try:
        return tasks.load(name)
    except tasks.UnknownTask as error:
        raise ConfigError(str(error)) from error


def prepare(arguments: list[str]) -> RunFolder:
    """The run that `robot-rl train ARGUMENTS` would begin or go on with, demonstrations included, not started.

    For other launchers. Raises what the command line reports.
    """
    options = _parse(["train", *arguments])
    run, config = _configure(options)
    config = _with_backbone(config)
    _check(config, run)
    if config.resume:
        save_config(config, run.config_file)
    else:
        run = RunFolder.create(replace(config, run=run.path))
    from robot_rl.metrics import MetricsWriter
    from robot_rl.training import prepare_demos

    with MetricsWriter(run.metrics) as metrics:
        prepare_demos(config, run, metrics)
    if config.reset.reverse:
        from robot_rl.pair import prepare_reverse

        prepare_reverse(config)
    return run


def _configure(options: argparse.Namespace) -> tuple[RunFolder, RunConfig]:
    """The run folder, which need not exist, and the effective configuration."""
    overrides = given(options)
    if overrides.get("resume"):
        return _resume(options, overrides)
    layers = _file_layer(options), overrides
    config = effective(*_learnable(options.task, layers), *layers)
    return RunFolder(config.run or default_path(config)), config


def train(options: argparse.Namespace) -> int:
    """`robot-rl train TASK`."""
    run, config = _configure(options)
    if options.print_config:
        print(to_yaml(config), end="")
        return 0
    from robot_rl.commands import check_transport, describe, run_training

    config = _with_backbone(config)
    _check(config, run)
    check_transport(config)
    if options.dry_run:
        describe(config, run)
        return 0
    if "keyboard" in devices_of(config):
        check_terminal()
    return run_training(config, run)


def _with_backbone(config: RunConfig) -> RunConfig:
    """The configuration with the weights of its backbone named."""
    if config.obs != "features":
        return config
    from robot_rl.cells import with_backbone

    return with_backbone(config)


def _check(config: RunConfig, run: RunFolder) -> None:
    """What can be refused before anything is written."""
    check_sink(config.log)
    check_view(config.rerun)
    if not config.resume:
        refuse_existing(run.path)
    heavy = config.cell is not None or config.randomise or config.reset.reverse or config.task.startswith(GYM)
    if heavy or _task(config.task).partner is not None:  # else nothing heavy is imported
        from robot_rl.problem import problem_of

        problem_of(config).check(config)


def _learnable(name: str, layers: Sequence[Mapping[str, Any]]) -> tuple[Learnable, dict[str, Any]]:
    """What is to be learnt, and the layer of a run's configuration that comes with it."""
    if not name.startswith(GYM):
        return _task(name), {}
    from robot_rl.envs import gym

    task = gym.load(name)
    return task, task.defaults(layers)


def _file_layer(options: argparse.Namespace) -> dict[str, Any]:
    if options.config is None:
        return {}
    layer = read_overrides(Path(options.config))
    if layer.get("task", options.task) != options.task:
        raise ConfigError(f"{options.config} is for task {layer['task']}, not {options.task}; name that task instead.")
    return layer


def _resume(options: argparse.Namespace, overrides: dict[str, Any]) -> tuple[RunFolder, RunConfig]:
    if "run" not in overrides:
        raise ConfigError("--resume needs --run DIR, the run to go on with.")
    if options.config is not None:
        raise ConfigError(
            "--config cannot change a run that goes on: its own config.yaml counts; "
            f"leave --config out, or change one of --{', --'.join(CHANGEABLE)}."
        )
    run = RunFolder.open(overrides["run"])
    config = run.resumed(overrides)
    if config.task != options.task:
        raise ConfigError(f"the run {run.path} is of task {config.task}, not {options.task}; name that task instead.")
    return run, config


def compare(options: argparse.Namespace) -> int:
    """`robot-rl compare RUN...`."""
    from robot_rl.compare import compare as run_comparison

    return run_comparison(options.runs, Path(options.out), as_json=options.json)


def demos(options: argparse.Namespace) -> int:
    """`robot-rl demos TASK`."""
    from robot_rl.demos_command import check_demos, run_demos, source_of

    task = _task(options.task)
    config = effective(task, source_of(options.source), given(options))
    check_demos(config, options.lerobot)
    from robot_rl.cells import task_of

    return run_demos(_with_backbone(config), task_of(config), options.lerobot)


def list_tasks(options: argparse.Namespace) -> int:
    """`robot-rl tasks`."""
    import tasks
    from robot_rl.commands import print_tasks

    return print_tasks([tasks.load(name) for name in tasks.names()], as_json=options.json)


def new_task(options: argparse.Namespace) -> int:
    """`robot-rl new-task NAME`."""
    from robot_rl.new_task import make_task

    made = make_task(options.name)
    print(f"made {made}: task.py says what it is, scene.xml what the twin shows, README.md what people read")
    print(f"try it with: robot-rl train {options.name} --transport inprocess")
    return 0


def node(options: argparse.Namespace) -> int:
    """`robot-rl node NAME`."""
    from robot_rl.commands import run_node

    if options.run is not None:
        if "cell" in given(options):
            raise ConfigError("--run has a cell of its own in its config.yaml; leave --run out, or --cell.")
        return run_node(options.name, RunFolder.open(Path(options.run)), options.ros_args)
    if options.task is None or "cell" not in given(options):
        raise ConfigError("`robot-rl node` needs --run DIR, or --cell CELL with --task TASK; `--help` shows how.")
    layer = {key: value for key, value in given(options).items() if key in ("cell", "robot", "clock", "obs")}
    config = effective(_task(options.task), {"demos": "0"}, layer)
    return run_node(options.name, RunFolder.create(config), options.ros_args)


def emulate(options: argparse.Namespace) -> int:
    """`robot-rl emulate fci`: serve an emulated robot until interrupted."""
    from controllers.emulators.fci import serve

    _task(options.task)
    return serve(options)


def doctor(options: argparse.Namespace) -> int:
    """`robot-rl doctor`, of this machine or of a cell."""
    if options.cell is not None:
        from robot_rl.commission.command import doctor as check_cell

        return check_cell(options)
    for name in ("task", "only", "json", "robot"):
        if getattr(options, name, None):
            raise ConfigError(f"--{name} is of a cell's doctor; name the cell with --cell, or leave it out.")
    from rich.console import Console

    from robot_rl.doctor import doctor as check

    return check(Console())


def teleop(options: argparse.Namespace) -> int:
    """`robot-rl teleop --cell CELL`."""
    from robot_rl.commission.command import teleop as command

    return command(options)


def teach(options: argparse.Namespace) -> int:
    """`robot-rl teach CELL TASK`."""
    from robot_rl.commission.command import teach as command

    return command(options)


if __name__ == "__main__":
    sys.exit(main())
