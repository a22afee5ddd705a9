"""The actor node: the environment over its proxies, the policy, and the journal of every step."""

from __future__ import annotations

from pathlib import Path

from robot_rl.actor import Actor, Episode, version_due
from robot_rl.actors import FIRST, journal_folder
from robot_rl.cells import enough_of, observer_of
from robot_rl.data.journal import Journal
from robot_rl.envs import RobotEnv
from robot_rl.interveners import make_intervener
from robot_rl.metrics import MetricsWriter
from robot_rl.nets.compile import enable_compile_cache
from robot_rl.nets.observation import ObservationSpec
from robot_rl.nodes.base import ON_SCHEDULE, Host, hosting, settle_memory
from robot_rl.nodes.person import RosOperator, RosSource
from robot_rl.nodes.proxies import RosReset, open_reward
from robot_rl.nodes.transport import Downlink, Uplink
from robot_rl.person import NoDevice, watched
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
    with hosting("actor", run, ros_args, actor=actor, priority=ON_SCHEDULE) as host:
        folder = journal_folder(host.run, actor)
        with Journal(folder, schema_of(host.config)) as journal, MetricsWriter(host.run.metrics) as metrics:
            uplink = Uplink(host, journal, actor)
            try:
                act(host, uplink, journal, metrics, actor)
            finally:
                uplink.close()


def act(host: Host, uplink: Uplink, journal: Journal, metrics: MetricsWriter, name: str) -> None:
    """Run the actor `name` over its uplink."""
    config = host.config
    assert config.steps is not None, "the effective configuration names the steps"
    began = first_episode(journal)
    cell = host.cell(
        sim=bool(host.task.observation.privileged) or config.intervener != "none",  # whose expert may look there
        cameras=config.obs == "pixels" or config.keep_pictures,
        features=config.obs == "features",
    )
    reward = enough_of(config, open_reward(host, cell))
    env = RobotEnv(host.task, cell, reward, RosReset(host, cell), observer=observer_of(config))
    example = observer_of(config).example()
    owed = (lambda: version_due(uplink.received, config.learner)) if config.actors > 1 else None
    seen = ObservationSpec.of(example).stacked(config.learner.stack)
    weights = Downlink(host, uplink, seen, host.task.action_dim, owed=owed)
    uplink.meet(PATIENCE)  # before the robot moves: what it makes is taken

    def on_episode(episode: Episode) -> None:
        steps = uplink.steps if config.actors == 1 else uplink.received  # of all actors
        record_episode(host.config, metrics, episode, steps, weights.version, journal)
        diagnose(host, uplink, weights, journal, episode)

    def tell(text: str) -> None:
        host.node.get_logger().warning(text)
        if not host.lockstep:  # there nobody waits for the clock
            metrics.write("notice", text=text)

    device = NoDevice() if config.teleop == "none" else RosSource(host)
    person = watched(device, metrics, RosOperator(host))
    actor = Actor(
        env,
        weights,
        viewed(uplink, config, host.run, name, env),
        config.learner,
        seed=config.seed,
        name=name,
        run=host.run.identity,
        first_episode=began,
        tell=tell,
        all_steps=None if config.actors == 1 else lambda: uplink.received,
        intervener=make_intervener(config) or person,
        operator=person,
        penalise=config.reward == "intervention",
        help=Help(config.reset, env.name, lambda text: metrics.write("notice", text=text)),
    )
    actor.warm_up()
    settle_memory()
    actor.run(config.steps, on_episode=on_episode)
    uplink.flush(FLUSH)
    if not uplink.settle(SETTLE):
        metrics.write(
            "notice",
            text=f"the learner has all that {name} made, but no checkpoint with it: keep {journal.folder}",
        )


def diagnose(host: Host, uplink: Uplink, weights: Downlink, journal: Journal, episode: Episode) -> None:
    """What diagnostics say after an episode: how the actor keeps up, and what was refused."""
    refused = sum(weights.refused.values()) + uplink.courier.refused
    host.status(
        "warn" if refused else "ok",
        "acting",
        steps=uplink.steps,
        episodes=episode.index + 1,
        pending=uplink.pending,
        sync_p99_ms=round(1e3 * journal.sync_p99, 3),
        **episode.timing,
        **{"refused: answers": uplink.courier.refused},
        **{f"refused: weights, {reason}": count for reason, count in weights.refused.items()},
    )
