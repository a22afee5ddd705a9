"""The configuration of a run: typed, one YAML per run, written in full before anything starts.

Layers, the later wins: the defaults below, the task's own (`TaskSpec.learner`, `TaskSpec.steps`), the cell's robot
and clock, `--config FILE`, the command line. What a run used is its folder's `config.yaml`, which holds every value.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import yaml

from controllers import settings
from controllers.cells import CellConfig, Robot, load_cell
from controllers.exceptions import SettingsError
from controllers.settings import option
from robot_rl.exceptions import ConfigError
from robot_rl.learner_config import LearnerConfig as LearnerConfig
from robot_rl.learner_config import check_range, validate_learner
from robot_rl.rewards.preference.configuration import FeedbackConfig, validate_feedback
from robot_rl.rewards.vice.configuration import ViceConfig, validate_vice

DEVICES = ("keyboard", "spacemouse", "gamepad", "ros", "leader")
"""What a person may take over with (`robot_rl.teleop`)."""
OVER_ROS = ("ros", "leader")
"""Those of them whose movements come as messages."""


@dataclass(frozen=True)
class RunConfig:
    """One run: what is trained, on what, how, and for how long."""

    task: str
    cell: CellConfig | None = option(None, "the cell: a name in cells/, or a file; none: the task's twin")
    robot: Robot = option("twin", "what moves; a cell says its own, and twin runs any cell in simulation")
    transport: Literal["ros", "inprocess"] = option(
        "ros", "the ROS 2 graph, or one process without ROS (gym: unless given)"
    )
    clock: Literal["lockstep", "realtime"] = option(
        "lockstep", "lockstep: reproducible, as fast as the machine; realtime: wall clock"
    )
    agent: Literal["rlpd", "sac", "bc", "dagger", "hg_dagger", "iql"] = option("rlpd", "the learning algorithm")
    obs: Literal["state", "pixels", "features"] = option(
        "state", "what the policy sees; features: pictures through a frozen backbone"
    )
    backbone: str = option("compact", "for features: compact (ours), a file of robot-rl pretrain, timm:NAME or hf:NAME")
    crops: int = option(4, "for features: how many variations of each frame are kept, the frame itself first")
    keep_pictures: bool = option(False, "for features: the pictures too are recorded, to be shown to somebody")
    backbone_id: str = option("", "for features: which weights; found when a run begins, and checked from then on")
    reward: str = option(
        "task",
        "task, intervention (RLIF, -1 for a takeover), human, classifier, vice, preference; offline more",
    )
    reward_model: Path | None = option(None, "for --reward classifier: the folder of `robot-rl classifier train`")
    reward_frames: int = option(1, "frames in a row that must show success before it counts")
    teleop: str = option("none", "what a person takes over with: " + "|".join(DEVICES) + "; several: the first wins")
    teleop_file: Path | None = option(None, "the device's settings: axes, scales, buttons; its own unless given")
    intervener: str = option("none", "a rule that takes over in a person's stead, for studies in simulation")
    expert: str = option("scripted", "who acts when the rule has taken over: scripted, or a run's folder")
    interventions: Literal["online", "both"] = option(
        "both", "where an intervener's steps go: among the run's own, or among the demonstrations too"
    )
    initial: Path | None = option(None, "a run whose policy, and critics if it has any, this one begins with")
    demos: str = option("20", "demonstrations: how many the task's expert records, or a recorded set's path")
    imported: tuple[str, ...] = option((), "folders of recorded sets, drawn from beside the demonstrations")
    steps: int | None = option(None, "environment steps to train; unless given the task's own number, none for bc")
    seed: int = option(0, "seed of everything random")
    run: Path | None = option(None, "run folder; runs/TASK-DATE-seedN unless given")
    actors: int = option(1, "actors that act at the same time, each in a twin or environment of its own")
    here: tuple[str, ...] = option((), "parts that this machine runs, of learner,actor0,actor1,...; unless given all")
    peers: tuple[str, ...] = option((), "addresses of the run's other machines")
    resume: bool = option(False, "go on with the run in the folder that --run names")
    sync: Literal["step", "checkpoint"] = option(
        "step", "the journal is on the disk after each step, or (gym, unless given) before each checkpoint"
    )
    log: Literal["tensorboard", "wandb", "none"] = option("none", "where metrics go besides metrics.jsonl")
    rerun: str = option("none", "stream to the Rerun viewer: spawn (here), its address, or into a file .rrd")
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    vice: ViceConfig = field(default_factory=ViceConfig)
    feedback: FeedbackConfig = field(default_factory=FeedbackConfig)


GROUPS: dict[str, type] = {"learner": LearnerConfig, "vice": ViceConfig, "feedback": FeedbackConfig}
"""Fields that hold settings of their own, as `--learner.batch N`."""

CLONING = ("dagger", "hg_dagger")
"""Agents that go on cloning while the run goes: of them all that somebody shows counts among the demonstrations."""

OFFLINE = ("bc", "iql")
"""Agents that learn from what was recorded before, and from nothing else."""
LEARNT = ("vice", "preference")
"""Rewards that are learnt while the run goes (`robot_rl.rewards.learnt`): nothing is worth anything while it acts."""
REWARDS = ("task", "intervention", "human", "classifier", *LEARNT)
"""Rewards of runs that act. Those that learn offline may have `constant`, and any source of labels beside the set."""

NOT_SAVED = ("run", "resume")
"""Fields that say where a run lies, not what it is; a run's folder can be moved."""

GYM = "gym:"
"""What a run's `task` begins with where it is anybody's Gymnasium environment."""

RECORDED = "recorded:"
"""The same where there are records of it alone, and nothing to act in."""

CHANGEABLE = ("steps", "log", "transport", "clock", "here", "peers", "teleop", "teleop_file", "rerun")
"""Fields that may differ when a run goes on; the others make it another run."""


class Learnable(Protocol):
    """What a run's configuration needs of what it learns on: a `TaskSpec`, for one."""

    @property
    def name(self) -> str: ...

    @property
    def steps(self) -> int: ...

    @property
    def learner(self) -> Mapping[str, Any]: ...


def effective(task: Learnable, *layers: Mapping[str, Any]) -> RunConfig:
    """The configuration of a run of `task`, from nested override layers that `check` has passed."""
    run: dict[str, Any] = {"task": task.name, "steps": task.steps}
    groups: dict[str, dict[str, Any]] = {name: {} for name in GROUPS}
    groups |= check({"learner": dict(task.learner)}, f"task {task.name}")
    for layer in layers:
        run |= {key: value for key, value in layer.items() if key not in (*GROUPS, "task")}
        groups = {name: {**values, **layer.get(name, {})} for name, values in groups.items()}
    if run.get("teleop", "none") != "none":
        run.setdefault("clock", "realtime")  # a person is not as fast as the machine
    run |= _with_cell(run)
    if run.get("agent") in OFFLINE and not any("steps" in layer for layer in layers):
        run["steps"] = 0
    if run.get("reward") == "intervention" and run.get("agent") not in CLONING:
        run.setdefault("interventions", "online")  # as in RLIF, whose demonstrations were there before
    if run.get("reward") == "preference" and run.get("agent") not in OFFLINE:
        run.setdefault("keep_pictures", True)  # for whoever compares
    config = RunConfig(**run, **{name: cls(**groups[name]) for name, cls in GROUPS.items()})
    validate(config)
    return config


def _with_cell(run: Mapping[str, Any]) -> dict[str, Any]:
    """The cell, and what follows from it where no layer says it: the robot, and the clock."""
    cell = as_cell(run.get("cell"))
    if cell is None:
        if run.get("robot", "twin") != "twin":
            raise ConfigError(f"robot is {run['robot']}, but no cell says where it is; name one with --cell.")
        return {"cell": None}
    robot = run.get("robot", cell.robot)
    if robot not in ("twin", cell.robot):
        raise ConfigError(f"robot is {robot}, but cell {cell.name} has {cell.robot}; leave --robot out, or give twin.")
    cell = dataclasses.replace(cell, robot=robot)
    return {"cell": cell, "robot": robot, "clock": run.get("clock", cell.clock)}


def in_cell(config: RunConfig, given: Mapping[str, Any]) -> RunConfig:
    """`config` with another `cell`, `robot` or `clock`; the rest follows from the cell. Raises `ConfigError`."""
    return dataclasses.replace(config, **({"robot": "twin"} | _with_cell(given)))


def as_cell(value: CellConfig | Mapping[str, Any] | None) -> CellConfig | None:
    """A cell from what a layer holds: the cell itself, or the values of its file. Raises `ConfigError`."""
    if value is None or isinstance(value, CellConfig):
        return value
    with _as_config_error():
        return settings.build(CellConfig, value, "cell")


def validate(config: RunConfig) -> None:
    """Refuse values that no run can use. Raises `ConfigError` naming the option, the value and the mend."""
    validate_learner(config.learner)
    validate_vice(config.vice)
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
    if config.initial is not None and config.learner.normalise:
        raise ConfigError(
            f"initial is {config.initial}, whose networks see observations as they are, but learner.normalise is on; "
            "turn it off"
        )
    if config.initial is not None and not config.initial.is_dir():
        raise ConfigError(f"initial is {config.initial}, which is no run's folder; name one.")
    check_range("seed", config.seed, 0, 2**32 - 1)
    check_range("crops", config.crops, 1, 4)
    check_range("reward_frames", config.reward_frames, 1, 100)
    _validate_actors(config)
    if not config.demos.isdigit() and not Path(config.demos).exists():
        raise ConfigError(f"demos is {config.demos!r}, which is neither a number nor a path that exists.")
    _validate_imported(config)
    _validate_people(config)


def _validate_classifier(config: RunConfig) -> None:
    """Refuse a run whose judge would see nothing. Raises `ConfigError`."""
    if config.reward_model is None or not config.reward_model.is_dir():
        raise ConfigError(
            f"reward is classifier, but reward_model is {config.reward_model}; name one with --reward-model DIR."
        )
    if config.obs != "features":
        raise ConfigError(f"reward is classifier, but obs is {config.obs}; a classifier needs --obs features.")


def _validate_learnt(config: RunConfig) -> None:
    """Refuse what gives a reward nothing to learn from, or nobody anything to do with it. Raises `ConfigError`."""
    if config.agent in CLONING:
        raise ConfigError(f"reward is {config.reward}, but agent {config.agent} looks at no reward; use rlpd or sac.")
    if config.reward == "vice" and config.demos == "0" and not config.vice.goals:
        raise ConfigError("reward is vice, but demos is 0, so nothing shows the goal; name a set with --vice.goals.")
    if config.reward == "preference":
        if config.obs != "features" or not config.keep_pictures:
            raise ConfigError(
                f"reward is preference, but obs is {config.obs} and keep_pictures {str(config.keep_pictures).lower()}; "
                "comparing needs --obs features --keep-pictures."
            )
        if config.learner.stack != 1:
            raise ConfigError(f"learner.stack is {config.learner.stack}, but with reward preference must be 1.")
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


def takes_over(config: RunConfig) -> bool:
    """Whether anybody may act in the policy's place: a person, or a rule."""
    return config.teleop != "none" or config.intervener != "none"


def devices_of(config: RunConfig) -> tuple[str, ...]:
    """What a person may take over with, the first with priority; none: nobody does."""
    return () if config.teleop == "none" else tuple(config.teleop.split(","))


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


@contextmanager
def _as_config_error() -> Iterator[None]:
    """A mistake in a setting is one of the run's configuration."""
    try:
        yield
    except SettingsError as error:
        raise ConfigError(str(error)) from None


def check(values: Any, source: str) -> dict[str, Any]:
    """Nested overrides with every key known and every value of its field's type.

    source: where they come from, for the message. Raises `ConfigError`.
    """
    with _as_config_error():
        return settings.check(values, RunConfig, source)


def convert(value: Any, hint: Any, name: str) -> Any:
    """`value` (from YAML or a command line's text) as the type `hint`. Raises `ConfigError` naming `name`."""
    with _as_config_error():
        return settings.convert(value, hint, name)


def to_dict(config: RunConfig) -> dict[str, Any]:
    """Plain values for YAML, without the fields in `NOT_SAVED`."""
    return {key: value for key, value in settings.plain(config).items() if key not in NOT_SAVED}


def to_yaml(config: RunConfig) -> str:
    """The effective configuration as YAML text."""
    return yaml.safe_dump(to_dict(config), sort_keys=False)


def save_config(config: RunConfig, path: Path) -> None:
    """Write the effective configuration; a crash leaves no half file."""
    scratch = path.with_name(f".{path.name}.tmp")
    scratch.write_text(to_yaml(config))
    scratch.replace(path)


def read_overrides(path: Path) -> dict[str, Any]:
    """Checked overrides of a YAML file. Raises `ConfigError` naming the file and what is wrong in it."""
    with _as_config_error():
        values = settings.read_yaml(path, "configuration file", "write one with --print-config")
        if isinstance(values, dict) and isinstance(values.get("cell"), str):
            values["cell"] = settings.plain(load_cell(values["cell"]))
    return check(values, str(path))


def load_config(path: Path) -> RunConfig:
    """The configuration that a file such as a run's `config.yaml` holds, on top of the defaults alone."""
    values = read_overrides(path)
    if "task" not in values:
        raise ConfigError(f"{path} names no task; add a line such as 'task: reach'.")
    values |= {name: cls(**values.get(name, {})) for name, cls in GROUPS.items()}
    return RunConfig(**values | {"cell": as_cell(values.get("cell"))})
