"""The actor node: the environment over its proxies, the policy, and the journal of every step."""

from __future__ import annotations

from pathlib import Path

import jax

from robot_rl.actor import Actor, Episode
from robot_rl.data.journal import Journal
from robot_rl.envs import RobotEnv
from robot_rl.envs.observation import Observer
from robot_rl.metrics import MetricsWriter
from robot_rl.nets.compile import enable_compile_cache
from robot_rl.nodes.base import ON_SCHEDULE, hosting, settle_memory
from robot_rl.nodes.proxies import RosReset, RosReward
from robot_rl.nodes.transport import Downlink, Uplink
from robot_rl.training import ACTOR, first_episode, record_episode, schema_of

FLUSH = 120.0
"""Patience, s, with the learner at the end of a run."""


def main(run: Path, ros_args: list[str]) -> None:
    """Act until the run's steps are made and the learner has them all."""
    enable_compile_cache()
    with hosting("actor", run, ros_args, priority=ON_SCHEDULE) as host:
        config = host.config
        assert config.steps is not None, "the effective configuration names the steps"
        with Journal(host.run.journal, schema_of(config)) as journal, MetricsWriter(host.run.metrics) as metrics:
            began = first_episode(journal)
            pixels = config.obs == "pixels"
            cell = host.cell(sim=bool(host.task.observation.privileged), cameras=pixels)
            env = RobotEnv(host.task, cell, RosReward(host, cell), RosReset(host, cell), obs=config.obs)
            uplink = Uplink(host, journal, ACTOR)
            weights = Downlink(host, uplink)
            uplink.pump()
            weights.any().act(
                Observer(host.task, config.obs).example(), jax.random.key(0)
            )  # compiles, ahead of the clock

            def on_episode(episode: Episode) -> None:
                record_episode(metrics, episode, uplink.next_sequence, weights.version)
                host.status("ok", "acting", steps=uplink.next_sequence, episodes=episode.index + 1)

            settle_memory()
            actor = Actor(env, weights, uplink, config.learner, seed=config.seed, name=ACTOR, first_episode=began)
            actor.run(config.steps, on_episode=on_episode)
            uplink.flush(FLUSH)
