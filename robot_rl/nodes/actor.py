"""The actor node: the environment over its proxies, the policy, and the journal of every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from controllers.arms.ros import RosCell
from robot_rl.actor import Actor, Episode, version_due
from robot_rl.actors import FIRST, journal_folder
from robot_rl.cells import enough_of, observer_of
from robot_rl.data.journal import Journal
from robot_rl.envs import RobotEnv
from robot_rl.graph import REVERSE, renaming
from robot_rl.interveners import make_intervener
from robot_rl.metrics import MetricsWriter
from robot_rl.nets.compile import enable_compile_cache
from robot_rl.nets.observation import ObservationSpec
from robot_rl.nodes.base import ON_SCHEDULE, Host, hosting, settle_memory
from robot_rl.nodes.person import RosOperator, RosSource
from robot_rl.nodes.protocol import REVERSED
from robot_rl.nodes.proxies import RosReset, open_reward
from robot_rl.nodes.transport import Downlink, Uplink
from robot_rl.pair import Direction, hand_over, total_of
from robot_rl.person import NoDevice, Person, watched
from robot_rl.resets.help import Help
from robot_rl.training import first_episode, record_episode, schema_of
from robot_rl.view import viewed

PATIENCE = 300.0
"""With the learner at the start, s: it may compile first."""
FLUSH = 120.0
"""Patience, s, with the learner at the end of a run."""
SETTLE = 60.0
"""The same, s, for a checkpoint that has everything."""


def main(run: Path, ros_args: list[str], actor: str = FIRST) -> None:
    """Act until the actor's steps are made and the learner has them all, in a checkpoint."""
    enable_compile_cache()
    with ExitStack() as stack:
        host = stack.enter_context(hosting("actor", run, ros_args, actor=actor, priority=ON_SCHEDULE))
        metrics = stack.enter_context(MetricsWriter(host.run.metrics))
        around = Surroundings.open(host, metrics)
        own = Acting(host, around, metrics, actor, stack)
        if host.config.reset.reverse:
            act_in_turns(own, around, ros_args, stack)
        else:
            act(own)


@dataclass(frozen=True)
class Surroundings:
    """Where it acts, and who looks on. cell: of the arm. reset: brings it to starts. person: who may take over."""

    cell: RosCell
    reset: RosReset
    person: Person

    @classmethod
    def open(cls, host: Host, metrics: MetricsWriter) -> Surroundings:
        """Of an actor's node."""
        config = host.config
        cell = host.cell(
            sim=bool(host.task.observation.privileged) or config.intervener != "none",  # whose expert may look there
            cameras=config.obs == "pixels" or config.keep_pictures,
            features=config.obs == "features",
        )
        device = NoDevice() if config.teleop == "none" else RosSource(host)
        return cls(cell, RosReset(host, cell), watched(device, metrics, RosOperator(host)))


class Acting:
    """A run's actor: its policy, its reward and its journal. `stack` ends what it opens."""

    def __init__(self, host: Host, around: Surroundings, metrics: MetricsWriter, name: str, stack: ExitStack) -> None:
        config = host.config
        self.host, self._metrics, self._name = host, metrics, name
        self._journal = stack.enter_context(Journal(journal_folder(host.run, name), schema_of(config)))
        self.uplink = uplink = stack.enter_context(closing(Uplink(host, self._journal, name)))
        reward = enough_of(config, open_reward(host, around.cell))
        env = RobotEnv(host.task, around.cell, reward, around.reset, observer=observer_of(config))
        owed = (lambda: version_due(uplink.received, config.learner)) if config.actors > 1 else None
        seen = ObservationSpec.of(observer_of(config).example()).stacked(config.learner.stack)
        self._weights = Downlink(host, uplink, seen, host.task.action_dim, owed=owed)
        self._actor = Actor(
            env,
            self._weights,
            viewed(uplink, config, host.run, name, env),
            config.learner,
            seed=config.seed,
            name=name,
            run=host.run.identity,
            first_episode=first_episode(self._journal),
            tell=self._tell,
            all_steps=None if config.actors == 1 else lambda: uplink.received,
            intervener=make_intervener(config) or around.person,
            operator=around.person,
            penalise=config.reward == "intervention",
            help=Help(config.reset, env.name, lambda text: metrics.write("notice", text=text)),
        )

    def ready(self) -> None:
        """Wait for the learner before the robot moves, so that what is made is taken; compile."""
        self.uplink.meet(PATIENCE)
        self._actor.warm_up()

    def turns(
        self,
        steps: int,
        *,
        stop: Callable[[], bool] = lambda: False,
        on_step: Callable[[int], None] = lambda steps: None,
        on_episode: Callable[[Episode], None] = lambda episode: None,
    ) -> Iterator[None]:
        """As `Actor.turns`."""

        def ended(episode: Episode) -> None:
            self._record(episode)
            on_episode(episode)

        return self._actor.turns(steps, on_step=on_step, on_episode=ended, stop=stop)

    def finish(self) -> None:
        """Wait until the learner has everything, in a checkpoint."""
        self.uplink.flush(FLUSH)
        if not self.uplink.settle(SETTLE):
            self._metrics.write(
                "notice",
                text=f"the learner has all that {self._name} made, but no checkpoint with it: "
                f"keep {self._journal.folder}",
            )

    def _tell(self, text: str) -> None:
        self.host.node.get_logger().warning(text)
        if not self.host.lockstep:  # there nobody waits for the clock
            self._metrics.write("notice", text=text)

    def _record(self, episode: Episode) -> None:
        """What metrics and diagnostics say after an episode: how the actor keeps up, and what was refused."""
        uplink, weights = self.uplink, self._weights
        steps = uplink.steps if self.host.config.actors == 1 else uplink.received  # of all actors
        record_episode(self.host.config, self._metrics, episode, steps, weights.version, self._journal)
        refused = sum(weights.refused.values()) + uplink.courier.refused
        self.host.status(
            "warn" if refused else "ok",
            "acting",
            steps=uplink.steps,
            episodes=episode.index + 1,
            pending=uplink.pending,
            sync_p99_ms=round(1e3 * self._journal.sync_p99, 3),
            **episode.timing,
            **{"refused: answers": uplink.courier.refused},
            **{f"refused: weights, {reason}": count for reason, count in weights.refused.items()},
        )


def act(own: Acting) -> None:
    """Until the actor's steps are made."""
    steps = own.host.config.steps
    assert steps is not None, "the effective configuration names the steps"
    own.ready()
    settle_memory()
    for _ in own.turns(steps):
        pass
    own.finish()


def act_in_turns(own: Acting, around: Surroundings, ros_args: list[str], stack: ExitStack) -> None:
    """With the task that undoes the run's, at one arm: success hands over, until both together have their steps."""
    renamed = [*ros_args, *renaming(f"{REVERSE}_actor", REVERSE, REVERSED)]
    run = own.host.run.path / REVERSE
    host = stack.enter_context(hosting("actor", run, renamed, actor=FIRST, beside=own.host))
    metrics = stack.enter_context(MetricsWriter(host.run.metrics))
    both = (own, Acting(host, around, metrics, FIRST, stack))
    directions = [Direction(acting.uplink.steps) for acting in both]
    total = total_of(own.host.config)

    def enough() -> bool:
        return sum(direction.steps for direction in directions) >= total

    for acting, direction in zip(both, directions, strict=True):
        acting.ready()
        direction.turns = acting.turns(total, stop=enough, on_step=direction.count, on_episode=direction.note)
    settle_memory()
    hand_over(directions)
    for acting in both:
        acting.finish()
