"""What the commands of `robot-rl` do, once their options are checked."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from controllers.exceptions import RenderingError
from robot_rl.config import OFFLINE, RunConfig, devices_of, save_config
from robot_rl.exceptions import GraphError
from robot_rl.graph import LEARNER
from robot_rl.live import LiveView
from robot_rl.metrics import MetricsFollower, MetricsWriter, Record
from robot_rl.report import print_report, write_report, write_video
from robot_rl.runs import RunFolder
from robot_rl.sinks import open_sink
from robot_rl.view import SPAWN, View
from tasks.spec import TaskSpec

if TYPE_CHECKING:
    from robot_rl.actor import Episode
    from robot_rl.envs.environment import Environment, Look
    from robot_rl.evaluate import Act, Evaluation
    from robot_rl.perturb import Perturbation

INTERRUPTED = 130
FILMED = 5
"""Episodes of an evaluation that the video shows."""
LONGEST_FILM = 1000
"""Pictures in it."""


def run_training(config: RunConfig, run: RunFolder, *, quiet: bool = False) -> int:
    """Begin the run, or go on with it; the exit code is 130 where a person stopped it. quiet: no report of it."""
    if config.resume:
        save_config(config, run.config_file)
    else:
        run = RunFolder.create(dataclasses.replace(config, run=run.path))
    config = dataclasses.replace(config, run=run.path)
    title = f"{config.task}  {run.path}"
    with run.lock(), MetricsWriter(run.metrics) as metrics, interruptible() as stopped:
        sinks = (*open_sink(config, run), *open_view(config, run))
        keys = operator_keys() if devices_of(config) else ""
        with LiveView(MetricsFollower(run.metrics), title, sinks=sinks, stopping=stopped.is_set, keys=keys) as view:
            total = _total(config)
            metrics.write("run", event="resume" if config.resume else "start", steps=total)
            try:
                _train(config, run, metrics, stopped)
            except BaseException:
                metrics.write("run", event="failed", steps=total)
                raise
            view.refresh()
            ended = stopped.is_set() or view.progress.stopped
            metrics.write("run", event="stop" if ended else "complete", steps=total)
    summary = write_report(run)
    if not quiet:
        print_report(run, summary, Console())
    if ended:
        Console(stderr=True).print(f"stopped; go on with: robot-rl train {config.task} --run {run.path} --resume")
        return INTERRUPTED
    return 0


def _total(config: RunConfig) -> int | None:
    """How many steps it takes, of the environment or, where nothing acts, of the gradient; None: that shows later."""
    settings = config.learner
    if config.reset.reverse:
        return None
    return {"bc": settings.bc_steps, "iql": settings.offline_steps}.get(config.agent, config.steps)


def open_view(config: RunConfig, run: RunFolder) -> tuple[Callable[[Record], None], ...]:
    """What shows the run's metrics in the Rerun viewer, where the run wants that."""
    if config.rerun == "none":
        return ()
    return (View(config.rerun, run.identity).metric,)


def operator_keys() -> str:
    """What an operator may press, in a line."""
    from robot_rl.teleop.keyboard import OPERATOR

    return "  ".join(f"{key} {command}" for key, command in OPERATOR.items())


def _train(config: RunConfig, run: RunFolder, metrics: MetricsWriter, stopped: threading.Event) -> None:
    from robot_rl.nets.compile import enable_compile_cache, take_memory_as_needed, use_one_thread
    from robot_rl.training import prepare_demos, relearn, train_inprocess, train_offline

    learns_here = LEARNER in (config.here or (LEARNER,))
    if learns_here:
        prepare_demos(config, run, metrics)
    if stopped.is_set():
        return
    metrics.write("phase", name="train")
    use_one_thread()
    take_memory_as_needed()
    enable_compile_cache()
    if config.resume and learns_here:
        relearn(config, run, metrics, stop=stopped.is_set)
    if stopped.is_set():
        return
    if config.transport == "inprocess" and config.agent in OFFLINE:
        train_offline(config, run, metrics, stop=stopped.is_set)
    elif config.transport == "inprocess" and config.reset.reverse:
        from robot_rl.pair import train_pair

        train_pair(config, run, metrics, stop=stopped.is_set)
    elif config.transport == "inprocess":
        train_inprocess(config, run, metrics, stop=stopped.is_set)
    else:
        from robot_rl.supervisor import train_graph

        if config.reset.reverse:
            from robot_rl.pair import prepare_reverse

            prepare_reverse(config, stop=stopped.is_set)
        # the live view tells of nodes that die: it reads the same metrics
        train_graph(config, run, metrics, stop=stopped.is_set, report=lambda name, event, detail: None)


def check_transport(config: RunConfig) -> None:
    """Before anything is written: raise `GraphError` where the graph of a run could not start on this machine."""
    if config.transport == "inprocess":
        return
    from robot_rl.nodes.environment import Domain, check_peers

    check_ros()
    check_peers(config.peers)
    with Domain(config.run or Path("runs"), os.environ.get("ROS_DOMAIN_ID")):
        return


def check_ros() -> None:
    """Raise `GraphError` where ROS 2 is not there."""
    if importlib.util.find_spec("rclpy") is None:
        raise GraphError(
            "ROS 2 is not installed; source a workspace, pip install 'robot_rl[ros]', or use --transport inprocess."
        )


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """The first Ctrl-C (or SIGTERM) sets the event, so that work ends cleanly; the second interrupts."""
    stopped = threading.Event()

    def handle(number: int, frame: Any) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def node_names(config: RunConfig) -> list[str]:
    """The nodes of the run's graph."""
    from robot_rl.graph import graph

    return [node.name for node in graph(config)]


def describe(config: RunConfig, run: RunFolder) -> None:
    """What a run would do; checks what can be checked without starting it, and without touching a robot."""
    from robot_rl.problem import problem_of

    problem = problem_of(config)
    print(f"task        {problem.name}: {problem.summary}")
    print(f"agent       {config.agent} on {config.obs}, {config.steps:,} steps, seed {config.seed}")
    for name, fact in problem.facts(config).items():
        print(f"{name:<12}{fact}")
    print(f"demos       {config.demos}")
    print(f"transport   {config.transport}, {config.clock}")
    if config.transport == "ros":
        print(f"nodes       {', '.join(node_names(config))}")
    print(f"run folder  {run.path}{' (goes on)' if config.resume else ''}")
    print("nothing was started or written: this is a dry run")


def evaluate_run(
    run: RunFolder,
    config: RunConfig,
    episodes: int,
    seed: int,
    stochastic: bool = False,
    *,
    best: bool = False,
    kept: bool = False,
    rerun: str = "none",
    perturb: Sequence[Perturbation] = (),
    results: list[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Evaluate the run's newest policy in this process, and film the first episodes.

    config: the run's, perhaps in another cell. best: the policy of the best checkpoint instead. kept: each policy
    that was kept on the way instead, on the same episodes, without a film. rerun: as `--rerun` has it.
    perturb: the same episodes are run again under each of these, and told of under `perturbed`.
    results: where what is returned is written as it comes, for whoever wants what there is where a reset gives up.
    """
    from robot_rl.evaluate import policy_act
    from robot_rl.nets.compile import enable_compile_cache
    from robot_rl.problem import problem_of
    from robot_rl.spaces import refuse_policy
    from robot_rl.training import best_policy, kept_policies, newest_policy

    enable_compile_cache()
    config = dataclasses.replace(config, reward="task")  # nobody is there to judge
    policies = kept_policies(run) if kept else {None: best_policy(run) if best else newest_policy(run)}
    problem, results = problem_of(config), [] if results is None else results
    for policy in policies.values():
        refuse_policy(policy, problem.example, problem.action_dim, config.learner.stack)
    env = problem.open_env(config, seed=seed, film=not kept)
    view = None if rerun == "none" else View(rerun, run.identity, "" if rerun == SPAWN else "eval")
    cell = config.cell.name if config.cell else config.robot
    how = {"deterministic": not stochastic, "best": best, "cell": cell, "randomise": config.randomise}
    with MetricsWriter(run.metrics) as metrics:
        try:
            for step, policy in policies.items():
                act = policy_act(policy, seed, stochastic)
                stack = config.learner.stack
                nominal, film = _evaluate(env, act, episodes, seed, run, metrics, stack, film=not kept, view=view)
                result = nominal.summary() | {"engine": config.engine} | ({} if step is None else {"step": step})
                metrics.write("eval", **result, **how)
                results.append(result)
                _film(env, film, run.video)
        finally:
            env.close()
        if perturb:
            results[0]["perturbed"] = _perturbed(config, run, metrics, perturb, act, nominal, how)
    return results


def _perturbed(
    config: RunConfig,
    run: RunFolder,
    metrics: MetricsWriter,
    kinds: Sequence[Perturbation],
    act: Act,
    nominal: Evaluation,
    how: Mapping[str, Any],
) -> dict[str, Any]:
    """Of each kind what its evaluation gave, or why there is none."""
    from robot_rl.cells import open_env, task_of
    from robot_rl.perturb import evaluate_perturbed

    task, found, total = task_of(config), {}, len(nominal.episodes)
    for kind in kinds:
        if why := kind.why_not(task, config.obs):
            found[kind.name] = {"not_applicable": why}
            continue
        with LiveView(MetricsFollower(run.metrics), f"{task.name}, {kind.name}  {run.path}"):
            result = evaluate_perturbed(
                kind,
                lambda: open_env(config, seed=nominal.seed),
                act,
                nominal,
                stack=config.learner.stack,
                on_episode=lambda one: metrics.write("phase", name="eval", done=one.index + 1, total=total),
            )
        found[kind.name] = result.summary()
        metrics.write("perturbed", **found[kind.name], **how)
    return found


def _evaluate(
    env: Environment,
    act: Act,
    episodes: int,
    seed: int,
    run: RunFolder,
    metrics: MetricsWriter,
    stack: int,
    film: bool,
    view: View | None,
) -> tuple[Evaluation, list[Look]]:
    """The evaluation, and of the first `FILMED` episodes what shows them, where that is wanted."""
    from robot_rl.evaluate import evaluate

    looks: list[Look] = []
    done = itertools.count(1)

    def tell(number: int) -> None:
        metrics.write("phase", name="eval", done=number, total=episodes)

    def on_episode(episode: Episode) -> None:
        tell(next(done))

    moments = itertools.count()

    def remember(episode: int, reading: Any) -> None:
        nonlocal film
        if view is not None:
            view.moment(next(moments), reading)
        try:
            if film and episode < FILMED and len(looks) < LONGEST_FILM and (look := env.look()) is not None:
                looks.append(look)
        except RenderingError as error:
            film = False
            Console(stderr=True).print(f"no video: {error}")

    tell(0)
    with LiveView(MetricsFollower(run.metrics), f"{env.name}  {run.path}"):
        result = evaluate(env, act, episodes, seed, stack=stack, on_episode=on_episode, on_reading=remember)
    return result, looks


def _film(env: Environment, looks: list[Look], path: Path) -> None:
    """Make the video; a machine that cannot render, and a robot without cameras, lose it, not the evaluation."""
    if not looks:
        return
    try:
        write_video(map(env.show, looks), path, fps=1 / env.period)
    except RenderingError as error:
        Console(stderr=True).print(f"no video: {error}")


def print_tasks(specs: list[TaskSpec], *, as_json: bool) -> int:
    """What there is to learn."""
    if as_json:
        rows = [{"name": spec.name, "summary": spec.summary, "steps": spec.steps} for spec in specs]
        print(json.dumps({"tasks": rows}))
        return 0
    table = Table("task", "steps", "what it is")
    for spec in specs:
        table.add_row(spec.name, f"{spec.steps:,}", spec.summary)
    Console().print(table)
    return 0


def run_node(name: str, run: RunFolder, ros_args: list[str]) -> int:
    """One node of the run's graph, until it is interrupted or done."""
    from robot_rl import nodes
    from robot_rl.lifeline import die_with_parent

    die_with_parent()
    nodes.run_node(name, run.path, ros_args)
    return 0
