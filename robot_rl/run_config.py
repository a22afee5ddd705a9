"""What a run is: every setting, with its default and a line of help."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from controllers.cells import CellConfig, Robot
from controllers.settings import option
from robot_rl.learner_config import LearnerConfig
from robot_rl.resets.configuration import ResetConfig
from robot_rl.rewards.preference.configuration import FeedbackConfig
from robot_rl.rewards.progress.configuration import ProgressConfig
from robot_rl.rewards.vice.configuration import ViceConfig

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
    engine: Literal["mujoco", "bullet"] = option("mujoco", "what moves the twin: bullet solves its contacts otherwise")
    randomise: bool = option(False, "each episode in the twin draws the task's domain: friction, masses, lights, ...")
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
        "task, intervention (RLIF), human, classifier, progress, vice, preference, likeness; offline any labels'",
    )
    reward_model: Path | None = option(None, "for --reward classifier: the folder of `robot-rl classifier train`")
    reward_frames: int = option(1, "frames in a row that must show success before it counts")
    goals: str = option("", "for vice and likeness: a set whose successes end at the goal; the demonstrations if none")
    goal_frames: int = option(1, "for vice and likeness: last frames of an episode that succeeded that show the goal")
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
    reset: ResetConfig = field(default_factory=ResetConfig)
    vice: ViceConfig = field(default_factory=ViceConfig)
    feedback: FeedbackConfig = field(default_factory=FeedbackConfig)
    progress: ProgressConfig = field(default_factory=ProgressConfig)


GROUPS: dict[str, type] = {
    "learner": LearnerConfig,
    "reset": ResetConfig,
    "vice": ViceConfig,
    "feedback": FeedbackConfig,
    "progress": ProgressConfig,
}
"""Fields that hold settings of their own, as `--learner.batch N`."""

CLONING = ("dagger", "hg_dagger")
"""Agents that go on cloning while the run goes: of them all that somebody shows counts among the demonstrations."""

OFFLINE = ("bc", "iql")
"""Agents that learn from what was recorded before, and from nothing else."""
LEARNT = ("vice", "preference", "likeness")
"""Rewards that are learnt while the run goes (`robot_rl.rewards.learnt`): nothing is worth anything while it acts."""
SLOW = ("progress",)
"""Rewards that take longer than a step: in real time nobody waits for them (`robot_rl.rewards.late`)."""
REWARDS = ("task", "intervention", "human", "classifier", "progress", *LEARNT)
"""Rewards of runs that act. Those that learn offline may have `constant`, and any source of labels beside the set."""

NOT_SAVED = ("run", "resume")
"""Fields that say where a run lies, not what it is; a run's folder can be moved."""

GYM = "gym:"
"""What a run's `task` begins with where it is anybody's Gymnasium environment."""

RECORDED = "recorded:"
"""The same where there are records of it alone, and nothing to act in."""

CHANGEABLE = ("steps", "log", "transport", "clock", "here", "peers", "teleop", "teleop_file", "rerun")
"""Fields that may differ when a run goes on; the others make it another run."""
_SERVICE = ("endpoint", "key_variable", "timeout", "retries", "per_minute", "budget", "price_in", "price_out")
CHANGEABLE_IN = {"feedback": _SERVICE, "progress": _SERVICE}
"""The same of their groups: how a service is reached, and what it may cost."""


def takes_over(config: RunConfig) -> bool:
    """Whether anybody may act in the policy's place: a person, or a rule."""
    return config.teleop != "none" or config.intervener != "none"


def devices_of(config: RunConfig) -> tuple[str, ...]:
    """What a person may take over with, the first with priority; none: nobody does."""
    return () if config.teleop == "none" else tuple(config.teleop.split(","))
