"""What no run can be: settings that cannot work, alone or together, each refused in a sentence."""

from __future__ import annotations

import math
from pathlib import Path

from controllers import settings
from robot_rl.exceptions import ConfigError
from robot_rl.learner_config import check_range, validate_learner
from robot_rl.resets.configuration import validate_reset
from robot_rl.rewards.preference.configuration import validate_feedback
from robot_rl.rewards.progress.configuration import validate_progress
from robot_rl.rewards.vice.configuration import validate_vice
from robot_rl.run_config import (
    CLONING,
    DEVICES,
    GYM,
    LEARNT,
    OFFLINE,
    OVER_ROS,
    REWARDS,
    RunConfig,
    devices_of,
    takes_over,
)


def validate(config: RunConfig) -> None:
    """Refuse values that no run can use. Raises `ConfigError` naming the option, the value and the mend."""
    validate_learner(config.learner)
    validate_vice(config.vice)
    _validate_reset(config)
    check_range("steps", config.steps or 0, 0, math.inf)
    if config.agent in OFFLINE and config.steps:
        raise ConfigError(
            f"steps is {config.steps}, but agent {config.agent} learns from what is recorded alone; leave it out."
        )
    if config.agent not in OFFLINE and config.reward not in REWARDS:
        raise ConfigError(f"reward is {config.reward!r}; {settings.suggest(config.reward, REWARDS)}.")
    if config.reward == "classifier" and config.agent not in OFFLINE:
        _validate_classifier(config)
    if config.keep_pictures and config.obs != "features":
        raise ConfigError(f"keep_pictures is on, but obs is {config.obs}; it goes with --obs features.")
    if config.reward in LEARNT and config.agent not in OFFLINE:
        _validate_learnt(config)
    if config.reward == "progress" and config.agent not in OFFLINE:
        _validate_progress(config)
    if config.initial is not None and config.learner.normalise:
        raise ConfigError(
            f"initial is {config.initial}, whose networks see observations as they are, but learner.normalise is on; "
            "turn it off"
        )
    if config.initial is not None and not config.initial.is_dir():
        raise ConfigError(f"initial is {config.initial}, which is no run's folder; name one.")
    check_range("seed", config.seed, 0, 2**32 - 1)
    check_range("crops", config.crops, 1, 4)
    check_range("goal_frames", config.goal_frames, 1, 1000)
    check_range("reward_frames", config.reward_frames, 1, 100)
    _validate_actors(config)
    _validate_domain(config)
    if not config.demos.isdigit() and not Path(config.demos).exists():
        raise ConfigError(f"demos is {config.demos!r}, which is neither a number nor a path that exists.")
    _validate_imported(config)
    _validate_people(config)


def _validate_domain(config: RunConfig) -> None:
    """Refuse to draw what nobody can. Raises `ConfigError`."""
    if config.engine != "mujoco" and (config.robot != "twin" or config.task.startswith(GYM)):
        where = config.task if config.task.startswith(GYM) else f"robot {config.robot}"
        raise ConfigError(f"engine is {config.engine}, which moves the twin, and this is {where}; leave it out.")
    if config.randomise and config.engine != "mujoco":
        raise ConfigError(f"randomise is on, but engine is {config.engine}, which draws no domain; leave one out.")
    if config.randomise and config.task.startswith(GYM):
        raise ConfigError(f"randomise is on, but task {config.task} describes no domain; leave it out.")
    if config.randomise and config.robot != "twin":
        raise ConfigError(f"randomise is on, but robot is {config.robot}, whose world nobody draws; give --robot twin.")


def _validate_classifier(config: RunConfig) -> None:
    """Refuse a run whose judge would see nothing. Raises `ConfigError`."""
    if config.reward_model is None or not config.reward_model.is_dir():
        raise ConfigError(
            f"reward is classifier, but reward_model is {config.reward_model}; name one with --reward-model DIR."
        )
    if config.obs != "features":
        raise ConfigError(f"reward is classifier, but obs is {config.obs}; a classifier needs --obs features.")


def _validate_progress(config: RunConfig) -> None:
    """Refuse a run whose judge would see nothing. Raises `ConfigError`."""
    if config.obs == "state":
        raise ConfigError("reward is progress, but obs is state; pictures are judged: --obs features, or pixels.")
    if config.reward_frames != 1:
        raise ConfigError(f"reward_frames is {config.reward_frames}, but with reward progress must be 1.")
    validate_progress(config.progress)


def _validate_learnt(config: RunConfig) -> None:
    """Refuse what gives a reward nothing to learn from, or nobody anything to do with it. Raises `ConfigError`."""
    if config.agent in CLONING:
        raise ConfigError(f"reward is {config.reward}, but agent {config.agent} looks at no reward; use rlpd or sac.")
    if config.reward in ("vice", "likeness") and config.demos == "0" and not config.goals:
        raise ConfigError(f"reward is {config.reward}, but demos is 0, so nothing shows the goal; give --goals SET.")
    if config.learner.stack != 1:
        raise ConfigError(
            f"learner.stack is {config.learner.stack}, but reward {config.reward} judges single moments; it must be 1."
        )
    if config.goals and not Path(config.goals).exists():
        raise ConfigError(f"goals is {config.goals}, which does not exist; name a recorded set.")
    if config.reward == "likeness" and config.obs != "features":
        raise ConfigError(f"reward is likeness, but obs is {config.obs}; it compares features: --obs features.")
    if config.reward == "preference":
        if config.obs != "features" or not config.keep_pictures:
            raise ConfigError(
                f"reward is preference, but obs is {config.obs} and keep_pictures {str(config.keep_pictures).lower()}; "
                "comparing needs --obs features --keep-pictures."
            )
        validate_feedback(config.feedback)


def _validate_people(config: RunConfig) -> None:
    """Refuse takeovers that cannot come, or from two at once. Raises `ConfigError`."""
    devices = devices_of(config)
    for device in devices:
        if device not in DEVICES:
            raise ConfigError(f"teleop is {device!r}, which is no device; {settings.suggest(device, DEVICES)}.")
        if device in OVER_ROS and config.transport == "inprocess":
            raise ConfigError(f"teleop is {device}, which needs the ROS 2 graph; leave --transport out.")
    if devices and config.intervener != "none":
        raise ConfigError(f"teleop is {config.teleop} and intervener is {config.intervener}; give one of them.")
    parts = config.here or tuple(f"actor{index}" for index in range(config.actors))
    acting = [part for part in parts if part != "learner"]
    if devices and len(acting) > 1:
        raise ConfigError(
            f"teleop is {config.teleop}, but one person cannot look after {len(acting)} actors; "
            "name one of them with --here on each machine."
        )
    if config.intervener != "none" and config.robot != "twin":
        raise ConfigError(
            f"intervener is {config.intervener}, a rule for simulation, but robot is {config.robot}; give --teleop."
        )
    if config.intervener != "none" and config.task.startswith(GYM) and config.expert.partition(",")[0] == "scripted":
        raise ConfigError(
            f"expert is {config.expert}, but {config.task} has no scripted one; name a run with --expert."
        )
    for name, value in (("reward", config.reward), ("agent", config.agent)):
        if not takes_over(config) and value in ("intervention", "hg_dagger"):
            raise ConfigError(
                f"{name} is {value}, but nobody takes over; give --teleop DEVICE, or --intervener RULE in simulation."
            )
    if config.agent in OFFLINE and takes_over(config):
        raise ConfigError(
            f"agent is {config.agent}, which never acts while it learns, so nobody can take over; use hg_dagger."
        )
    _validate_cloning(config)
    if config.reward == "human" and not devices and config.transport == "inprocess":
        raise ConfigError("reward is human, but nobody can say how it went; give --teleop DEVICE.")


def _validate_cloning(config: RunConfig) -> None:
    """Refuse what leaves nothing to clone. Raises `ConfigError`."""
    if config.agent in CLONING and config.interventions == "online":
        raise ConfigError(f"interventions is online, but agent {config.agent} clones them; leave it out.")
    if config.agent != "dagger":
        return
    if takes_over(config):
        taker = f"teleop is {config.teleop}" if config.teleop != "none" else f"intervener is {config.intervener}"
        raise ConfigError(f"{taker}, but with agent dagger the policy always acts; leave it out, or use hg_dagger.")
    if config.expert.partition(",")[0] == "scripted" or "," in config.expert:
        raise ConfigError(f"expert is {config.expert}, but agent dagger asks a policy what it would do; name a run.")
    if config.learner.stack != 1:
        raise ConfigError(f"learner.stack is {config.learner.stack}, but agent dagger's expert sees one observation.")


def _validate_imported(config: RunConfig) -> None:
    """Refuse sets that are not there, and shares that cannot be drawn. Raises `ConfigError`."""
    share, demo_share = config.learner.imported_share, config.learner.demo_share if config.agent == "rlpd" else 0.0
    if bool(config.imported) != (share > 0):
        named = ",".join(config.imported) or "nothing"
        raise ConfigError(f"imported is {named} and learner.imported_share is {share:g}; give both, or neither.")
    if share + demo_share > 1:
        raise ConfigError(
            f"learner.demo_share is {demo_share:g} and learner.imported_share is {share:g}; "
            "together they must be 1 at most."
        )
    for path in config.imported if "learner" in (config.here or ("learner",)) else ():
        if not Path(path).exists():
            raise ConfigError(f"imported has {path!r}, which does not exist; name folders that `data import` wrote.")


def _validate_actors(config: RunConfig) -> None:
    """Refuse machines and actors that no run can have. Raises `ConfigError`."""
    check_range("actors", config.actors, 1, 100)
    parts = ["learner", *(f"actor{index}" for index in range(config.actors))]
    for part in config.here:
        if part not in parts:
            raise ConfigError(f"here is {part!r}, which is no part of the run; {settings.suggest(part, parts)}.")
    acting = [part for part in config.here or parts if part != "learner"]
    if config.robot != "twin" and len(acting) > 1:
        raise ConfigError(
            f"one {config.robot} cannot be moved by {len(acting)} actors; name one of them with --here on each machine."
        )
    if config.transport == "inprocess" and (config.here or config.peers):
        raise ConfigError("transport is inprocess, which has all on one machine; leave --transport out.")
    if config.sync == "checkpoint" and (config.transport != "inprocess" or config.robot != "twin"):
        raise ConfigError(
            "sync is checkpoint, but what a robot did cannot be simulated again; leave --sync out, which means step."
        )
    for peer in config.peers:
        if not peer or set(peer) & set(" ;,\t"):
            raise ConfigError(f"peers has {peer!r}, which is no address; give them as ADDRESS,ADDRESS.")


def _validate_reset(config: RunConfig) -> None:
    validate_reset(config.reset)
    asks = config.reset.person
    if asks != "none" and config.transport == "inprocess" and not devices_of(config):
        raise ConfigError(
            f"reset.person is {asks}, but in one process nobody can answer; name a device with --teleop, or leave "
            "--transport out."
        )
