"""A run from its configuration: demonstrations, then training in one process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from robot_rl import actors
from robot_rl.actor import Actor, Episode, take_turns
from robot_rl.actors import journal_folder, own_config
from robot_rl.agents import Policy, policy_from_bytes
from robot_rl.cells import open_env, refuse_simulated_expert, task_of
from robot_rl.checkpoint import (
    AGENT_FILE,
    POLICY_FILE,
    Checkpoint,
    best_checkpoint,
    checkpoint_names,
    newest_checkpoint,
    read_checkpoint,
)
from robot_rl.config import GYM, LEARNT, OFFLINE, RunConfig, devices_of
from robot_rl.data.demos import Demonstrations, Joined
from robot_rl.data.formats.experience import open_experience
from robot_rl.data.formats.whole import write_set
from robot_rl.data.journal import Journal, JournalReader
from robot_rl.data.schema import Schema
from robot_rl.data.worth import Worth
from robot_rl.demonstrate import record_demos
from robot_rl.disk import disk_errors
from robot_rl.envs.environment import Environment
from robot_rl.exceptions import DataError
from robot_rl.experience import Records
from robot_rl.interveners import make_intervener
from robot_rl.learner import Learner
from robot_rl.local import LocalLink, catch_up
from robot_rl.metrics import MetricsWriter
from robot_rl.person import Person, watched
from robot_rl.problem import problem_of
from robot_rl.resets.base import Outcome
from robot_rl.resets.help import Help
from robot_rl.resume import resume
from robot_rl.rewards.making import make_learnt
from robot_rl.runs import RunFolder
from robot_rl.view import viewed


def schema_of(config: RunConfig) -> Schema:
    """The schema of a run's records."""
    return problem_of(config).schema


def learnt_from(config: RunConfig) -> Schema:
    """The part of the schema that the run learns from: kept pictures are for others."""
    problem = problem_of(config)
    fields = tuple(item for item in problem.schema.observation if item.name in problem.example)
    return dataclasses.replace(problem.schema, observation=fields)


def demos_folder(config: RunConfig, run: RunFolder) -> Path:
    """Where the run's demonstrations lie: what `config.demos` names, or the run's own."""
    return run.path / "demos" if config.demos.isdigit() else Path(config.demos)


def prepare_demos(config: RunConfig, run: RunFolder, metrics: MetricsWriter) -> None:
    """Record the run's demonstrations unless they are there, or none are wanted."""
    folder = demos_folder(config, run)
    if not config.demos.isdigit() or int(config.demos) == 0 or any(folder.glob("*.mcap")):
        return
    count = int(config.demos)
    refuse_simulated_expert(config, task_of(config))
    env = open_env(config)
    try:
        episodes = record_demos(
            env,
            count,
            config.seed,
            on_episode=lambda kept, success: metrics.write("phase", name="demos", done=kept, total=count),
        )
    finally:
        env.close()
    write_set(folder, schema_of(config), (step for episode in episodes for step in episode))


def read_demos(config: RunConfig, run: RunFolder) -> Records:
    """The run's demonstrations, or none."""
    if config.demos == "0":
        return ()
    folder = demos_folder(config, run)
    if config.agent not in OFFLINE:
        return Demonstrations(folder, learnt_from(config))
    return Worth(open_experience(folder), config.reward, config.learner, learnt_from(config))


def read_imported(config: RunConfig) -> Records:
    """What the run imports, one set after the other."""
    schema = learnt_from(config)
    return Joined([Demonstrations(Path(folder), schema, "imported steps") for folder in config.imported])


def make_learner(
    config: RunConfig, run: RunFolder, metrics: MetricsWriter, stop: Callable[[], bool] = lambda: False
) -> Learner:
    """A learner for the run: from its newest usable checkpoint where there is one, else new, with the demonstrations.

    A checkpoint that cannot be used is told of in a `notice` record, which the live view shows.
    stop: whether the run is to end, asked by what takes long.
    """
    problem = problem_of(config)

    def tell(text: str) -> None:
        metrics.write("notice", text=text)

    def make(demos: Records | None) -> Learner:
        imported = () if demos is None else read_imported(config)
        judge = make_learnt(config, run, learnt_from(config), lambda: read_demos(config, run), tell, stop)
        return Learner(
            config, problem.example, problem.action_dim, demos, imported=imported, gripper=problem.gripper,
            replay=run.replay, refused=run.refused, judge=judge,
        )  # fmt: skip

    return resume(run.checkpoints, make, lambda: read_demos(config, run), tell=tell)


def relearn(
    config: RunConfig, run: RunFolder, metrics: MetricsWriter, *, stop: Callable[[], bool] = lambda: False
) -> None:
    """Where a run has steps, and no checkpoint has what was learnt from them: learn it again, until `stop()`.

    This goes before anything acts. What lies in journals on other machines, their actors bring later.
    """
    folders = {name: journal_folder(run, name) for name in actors.names(config)}
    journals = {name: JournalReader(folder) for name, folder in folders.items() if any(folder.glob("*.mcap"))}
    steps = sum(journal.steps for journal in journals.values())
    if steps < config.learner.start or _has_agent(run):
        return
    learner = make_learner(config, run, metrics, stop)
    metrics.write("notice", text=f"learning again from the {steps:,} steps in the journals of {run.path}")
    report = BlockReport(config, run, metrics, learner)
    try:
        catch_up(learner, journals, report, stop)
        report.save(learner)
    finally:
        learner.close()


def _has_agent(run: RunFolder) -> bool:
    for name in reversed(checkpoint_names(run.checkpoints)):
        try:
            read_checkpoint(run.checkpoints / name, only=(AGENT_FILE,))
        except DataError:
            continue  # `make_learner` names it
        return True
    return False


def first_episode(journal: Journal) -> int:
    """How many episodes the journal has begun: a resumed actor goes on with the next."""
    return journal.episodes()


def record_episode(
    config: RunConfig, metrics: MetricsWriter, episode: Episode, step: int, version: int, journal: Journal
) -> None:
    """One `episode` record; journal: that the episode is in. Where the reward is learnt, nobody tells of success."""
    told = episode.complete and config.reward not in LEARNT
    metrics.write(
        "episode",
        step=step,
        length=episode.steps,
        success=episode.success if told else None,
        intervened=episode.interventions,
        version=version,
        robot_s=episode.cycle,
        **_reset_numbers(episode.reset),
        sync_p99_ms=round(1e3 * journal.sync_p99, 3),
        **episode.timing,
        **{"return": episode.total},
    )


def _reset_numbers(reset: Outcome | None) -> dict[str, Any]:
    """Of how the reset before an episode went; nothing where nobody tells."""
    if reset is None:
        return {}
    told = {"reset_s": reset.seconds, "reset_failures": list(reset.failures)}
    return told | {"homed": reset.homed, "put_back": reset.put_back}


class BlockReport:
    """Called after each block of updates: writes an `update` record, a checkpoint now and then, and policies to keep.

    before_save: called before each checkpoint; what it counts on must be on the disk.
    """

    def __init__(
        self,
        config: RunConfig,
        run: RunFolder,
        metrics: MetricsWriter,
        learner: Learner,
        before_save: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings, self._policies, self._before_save = config.learner, run.policies, before_save
        self._every, self._folder, self._metrics = config.learner.checkpoint_every, run.checkpoints, metrics
        self._saved, self._told = learner.progress, ""
        self._newest: tuple[int, int] | None = None  # version and transitions of the last checkpoint from here

    def __call__(self, learner: Learner, values: dict[str, Any]) -> None:
        self._metrics.write("update", step=learner.progress, **values)
        if learner.refusals.notice != self._told:
            self._told = learner.refusals.notice
            self._metrics.write("notice", text=self._told)
        self._keep(learner)
        if learner.progress - self._saved >= self._every or learner.needs_checkpoint:
            self.save(learner)

    def save(self, learner: Learner) -> None:
        """Write a checkpoint now."""
        self._before_save()
        learner.save(self._folder)
        self._saved = learner.progress
        self._newest = learner.version, learner.received

    def _keep(self, learner: Learner) -> None:
        """Keep the first policy that has learnt from a multiple of `keep_every` steps; gradient steps, offline."""
        every, (learnt, before) = self._settings.keep_every, learner.learnt
        if not every or learnt // every == before // every:
            return
        path = self._policies / f"step-{learnt // every * every}.safetensors"
        with disk_errors(path):
            self._policies.mkdir(exist_ok=True)
            path.write_bytes(learner.policy_bytes())

    def finish(self, learner: Learner) -> None:
        """Write a last checkpoint, unless the one before has everything."""
        if self._newest != (learner.version, learner.received):
            self.save(learner)


def train_inprocess(
    config: RunConfig, run: RunFolder, metrics: MetricsWriter, *, stop: Callable[[], bool] = lambda: False
) -> None:
    """Train to `config.steps` with actor, twin and learner in this process; `stop()` ends it cleanly, resumable."""
    problem = problem_of(config)
    with ExitStack() as stack:
        person = open_person(config, metrics, stack)

        def open_own(own: RunConfig) -> Environment:
            return stack.enter_context(closing(problem.open_env(own, training=True)))

        take_turns(begin(config, run, metrics, stack, open_own, person=person, stop=stop))


def begin(
    config: RunConfig,
    run: RunFolder,
    metrics: MetricsWriter,
    stack: ExitStack,
    open_own: Callable[[RunConfig], Environment],
    *,
    person: Person | None,
    stop: Callable[[], bool],
    on_step: Callable[[int], None] = lambda steps: None,
    on_episode: Callable[[Episode], None] = lambda episode: None,
) -> list[Iterator[None]]:
    """The turns of the run's actors, each in an environment by `open_own`; `stack` ends their learner.

    on_step, on_episode: as `Actor.run`.
    """
    learner = make_learner(config, run, metrics, stop)
    stack.callback(learner.close)
    schema = problem_of(config).schema
    journals = {
        name: Journal(journal_folder(run, name), schema, sync=config.sync == "step") for name in actors.names(config)
    }

    def flush() -> None:
        for journal in journals.values():
            journal.flush()

    report = BlockReport(config, run, metrics, learner, flush)
    lockstep = config.clock == "lockstep"
    link = LocalLink(learner, journals, config.learner, lockstep=lockstep, after_block=report)
    stack.callback(_end, link, report, learner)
    turns = []
    for name, journal in journals.items():
        own = dataclasses.replace(own_config(config, name), run=run.path)
        env = open_own(own)
        turns.append(_turns(own, run, metrics, env, link, journal, name, stop, person, on_step, on_episode))
    return turns


def train_offline(
    config: RunConfig, run: RunFolder, metrics: MetricsWriter, *, stop: Callable[[], bool] = lambda: False
) -> None:
    """Learn from what is recorded alone, in this process; `stop()` ends it cleanly, resumable."""
    learner = make_learner(config, run, metrics)
    try:
        report = BlockReport(config, run, metrics, learner)
        while learner.ready() and not stop():
            report(learner, learner.update_block())
        report.finish(learner)
    finally:
        learner.close()


def open_person(config: RunConfig, metrics: MetricsWriter, stack: ExitStack) -> Person | None:
    """Whoever may take over in this process, until `stack` ends. Raises `ConfigError`, `DeviceGone`."""
    if not devices_of(config):
        return None
    from robot_rl.teleop import opened

    task = task_of(config)
    devices = stack.enter_context(opened(config, task, lambda text: metrics.write("notice", text=text)))
    return watched(devices, metrics, period=task.period if config.clock == "realtime" else 0.0)


def _end(link: LocalLink, report: BlockReport, learner: Learner) -> None:
    """Learn from all that was made, and keep it; what failed is not kept."""
    link.close()
    report.finish(learner)


def _turns(
    config: RunConfig,
    run: RunFolder,
    metrics: MetricsWriter,
    env: Environment,
    link: LocalLink,
    journal: Journal,
    name: str,
    stop: Callable[[], bool],
    person: Person | None,
    on_step: Callable[[int], None],
    on_episode: Callable[[Episode], None],
) -> Iterator[None]:
    """The steps of the actor `name`, whose own configuration is `config`; `person`: who may take over."""
    assert config.steps is not None, "the effective configuration names the steps"
    port, first = link.port(name), first_episode(journal)
    actor = Actor(
        env,
        port,
        viewed(port, config, run, name, env),
        config.learner,
        seed=config.seed,
        name=name,
        run=run.identity,
        first_episode=first,
        tell=lambda text: _told_late(config, metrics, text),
        all_steps=lambda: link.steps,
        intervener=make_intervener(config) or person,
        operator=person,
        penalise=config.reward == "intervention" and not config.task.startswith(GYM),
        help=Help(config.reset, env.name, lambda text: metrics.write("notice", text=text)),
    )

    def ended(episode: Episode) -> None:
        record_episode(config, metrics, episode, link.steps, link.version, journal)
        on_episode(episode)

    return actor.turns(config.steps, on_step=on_step, on_episode=ended, stop=stop)


def _told_late(config: RunConfig, metrics: MetricsWriter, text: str) -> None:
    """Tell of acting that took too long, where somebody waits for it."""
    if config.clock == "realtime":
        metrics.write("notice", text=text)


def newest_policy(run: RunFolder) -> Policy:
    """The policy of the run's newest sound checkpoint. Raises `DataError` where there is none."""
    return _policy(run, newest_checkpoint(run.checkpoints, only=(POLICY_FILE,)))


def best_policy(run: RunFolder) -> Policy:
    """The policy of the checkpoint whose last episodes had the highest mean return; the newest where none has any."""
    best = best_checkpoint(run.checkpoints, only=(POLICY_FILE,))
    return newest_policy(run) if best is None else _policy(run, best)


def kept_policies(run: RunFolder) -> dict[int | None, Policy]:
    """The policies kept on the way, by the environment steps learnt from. Raises `DataError` where there is none."""
    files = {int(path.stem.removeprefix("step-")): path for path in run.policies.glob("step-*.safetensors")}
    if not files:
        raise DataError(f"the run {run.path} kept no policies on the way; train with --learner.keep-every N")
    return {step: policy_from_bytes(files[step].read_bytes())[0] for step in sorted(files)}


def _policy(run: RunFolder, checkpoint: Checkpoint | None) -> Policy:
    if checkpoint is None:
        raise DataError(f"the run {run.path} has no checkpoint yet; train it first")
    return policy_from_bytes(checkpoint.files[POLICY_FILE])[0]
