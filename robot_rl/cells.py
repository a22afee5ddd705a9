"""What a run's configuration says of its cell: the task as it is there, and the cell itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import yaml

import tasks
from controllers.cells import CellConfig, check_gains, fit, need_cameras, open_cell
from controllers.interface import ArmState, GripperState, Reading
from controllers.settings import build, plain
from robot_rl.config import LEARNT, SLOW, RunConfig, devices_of
from robot_rl.exceptions import ConfigError
from tasks.domain import Domain
from tasks.spec import CameraSpec, TaskSpec

if TYPE_CHECKING:
    from controllers.interface import Backend
    from robot_rl.envs import RobotEnv
    from robot_rl.envs.observation import Observer
    from robot_rl.perception import Encoder
    from robot_rl.rewards import RewardModel

TWIN = CellConfig("twin", "twin", clock="lockstep")
"""The cell of a run that names none: the twin, with all that the task wants."""


def task_of(config: RunConfig) -> TaskSpec:
    """The run's task, at its taught place and with the cameras of the run's cell.

    Raises `ConfigError` or `SettingsError` where the task needs what the cell has not.
    """
    if config.cell is None:
        return tasks.load(config.task)
    return _task_in(config.task, config.obs, config.reward, yaml.safe_dump(plain(config.cell)))


@lru_cache(maxsize=8)
def _task_in(name: str, obs: str, reward: str, text: str) -> TaskSpec:
    """text: of the cell. Kept, since finding an arm's joint angles takes a second."""
    cell, task = build(CellConfig, yaml.safe_load(text), "cell"), tasks.load(name)
    if obs != "state":
        need_cameras(cell, [camera.name for camera in task.cameras])
    task = fit(cell, task)
    if cell.robot != "twin":
        _refuse_simulated(obs, reward, cell, task)
    return task


def reward_of(config: RunConfig) -> RewardModel:
    """Who judges each step of the run while it trains.

    Where interventions are the reward, the task says only when it is done; what no robot can measure, nobody says.
    """
    from robot_rl.rewards import HumanReward, TaskReward

    task = task_of(config)
    if config.reward in LEARNT:
        return HumanReward()
    if config.reward == "classifier" and config.reward_model is not None:
        from robot_rl.rewards.classifier.reward import open_classifier

        return open_classifier(config.reward_model, task.name, config.backbone_id)
    if config.reward == "progress":
        return open_progress_reward(config)
    measured = config.robot == "twin" or not needs_simulator(task.reward, task)
    return TaskReward(task) if measured and config.reward != "human" else HumanReward()


def open_progress_reward(config: RunConfig) -> RewardModel:
    """A vision-language model's word; its answers lie in the run's folder."""
    from robot_rl.rewards.preference.configuration import check_shown
    from robot_rl.rewards.progress.model import open_progress
    from robot_rl.rewards.progress.reward import ProgressReward
    from robot_rl.runs import RunFolder

    assert config.run is not None, "a run that acts has a folder"
    check_shown(config.progress, [camera.name for camera in task_of(config).cameras])
    return ProgressReward(open_progress(config.progress, RunFolder(config.run).feedback), config.progress)


def enough_of(config: RunConfig, model: RewardModel) -> RewardModel:
    """What whoever acts makes of a model that judges single moments: it alone knows where an episode begins."""
    if config.reward_frames == 1:
        return model
    from robot_rl.rewards.compose import InARow

    return InARow(model, config.reward_frames)


def open_backend(
    config: RunConfig,
    task: TaskSpec,
    *,
    seed: int | None = None,
    cameras: tuple[CameraSpec, ...] = (),
    period: float | None = None,
) -> Backend:
    """The run's cell, opened in this process. cameras: in each reading. period: of a tick, s, if not the task's."""
    cell = config.cell or TWIN
    seed = config.seed if seed is None else seed
    return open_cell(
        cell,
        task,
        seed=seed,
        clock=config.clock,
        period=period,
        cameras=cameras,
        randomise=config.randomise,
        engine=config.engine,
    )


def open_env(
    config: RunConfig,
    *,
    seed: int | None = None,
    training: bool = False,
    patience: int = 1,
    backend: Backend | None = None,
) -> RobotEnv:
    """The run's task as an environment in this process; judged by the task, or as in `training`.

    patience: how many times as long as the task's horizon an episode may last. backend: the cell, opened unless given.
    """
    from robot_rl.envs import RobotEnv
    from robot_rl.resets.both import recovering_reset

    task = task_of(config)
    if task.partner is not None:
        check_partner(config)
    perception = open_perception(config)
    backend = backend or open_backend(config, task, seed=seed, cameras=cameras_of(config))
    reward = enough_of(config, reward_of(config)) if training else None
    if reward is not None and config.reward in SLOW and config.clock == "realtime":
        from robot_rl.rewards.late import Beside

        reward = Beside(reward)
    task = dataclasses.replace(task, horizon=patience * task.horizon)
    reset = recovering_reset(task, config.reset)
    return RobotEnv(task, backend, reward, reset, observer=observer_of(config), perception=perception)


def cameras_of(config: RunConfig) -> tuple[CameraSpec, ...]:
    """Whose pictures are in each reading."""
    return task_of(config).cameras if config.obs != "state" else ()


def observer_of(config: RunConfig) -> Observer:
    """What the run's policy sees."""
    from robot_rl.envs.observation import Observer

    return Observer(
        task_of(config), config.obs, crops=config.crops, backbone_id=config.backbone_id,
        keep_pictures=config.keep_pictures,
    )  # fmt: skip


def open_perception(config: RunConfig) -> Encoder | None:
    """What looks at the run's pictures; None where nothing does.

    Raises `ConfigError` where its weights are not those that the run began with.
    """
    if config.obs != "features":
        return None
    from robot_rl.perception.encoder import Perception

    perception = Perception(config.backbone, config.crops, seed=config.seed)
    if config.backbone_id not in ("", perception.fingerprint):
        raise ConfigError(
            f"backbone {config.backbone} now has the weights {perception.fingerprint}, and the run began with "
            f"{config.backbone_id}; bring those back, or begin a new run."
        )
    return perception


def with_backbone(config: RunConfig) -> RunConfig:
    """The configuration with the weights of its backbone named, where it has one. Raises `ConfigError`."""
    if config.obs != "features" or config.backbone_id:
        return config
    from robot_rl.perception.backbone import fingerprint, open_backbone

    return dataclasses.replace(config, backbone_id=fingerprint(open_backbone(config.backbone)))


def _refuse_simulated(obs: str, reward: str, cell: CellConfig, task: TaskSpec) -> None:
    """On a robot, nobody knows what only a simulator knows."""
    privileged = ", ".join(f"sim/{name}" for name in task.observation.privileged)
    if privileged and obs == "state":
        raise ConfigError(
            f"task {task.name} shows the policy {privileged}, which cell {cell.name} ({cell.robot}) cannot measure; "
            "use --obs features or pixels, or --robot twin."
        )
    if reward == "task" and needs_simulator(task.reward, task):
        raise ConfigError(
            f"the reward of task {task.name} reads sim/*, which cell {cell.name} ({cell.robot}) cannot measure; "
            "use --robot twin, or train with --reward human or intervention."
        )


def check_cell(config: RunConfig) -> None:
    """Before anything is written: whether the cell can do what the run needs. Raises what `task_of` does."""
    task = task_of(config)
    if config.cell is not None:
        check_gains(config.cell, task)
    if config.randomise and task.domain == Domain():
        raise ConfigError(f"randomise is on, but task {task.name} describes no domain; leave it out, or describe one.")
    if config.demos.isdigit() and int(config.demos) > 0:
        refuse_simulated_expert(config, task)


def check_partner(config: RunConfig) -> None:
    """Raise `ConfigError` for what has one arm so far, where the run's task moves two."""
    if config.cell is not None:
        raise ConfigError(f"task {config.task} moves two arms, and cell {config.cell.name} has one; leave --cell out.")
    devices = devices_of(config)
    if devices:
        raise ConfigError(f"task {config.task} moves two arms, and {devices[0]} moves one; leave it out.")
    if config.engine != "mujoco":
        raise ConfigError(f"task {config.task} moves two arms, and engine {config.engine} has one; use mujoco.")


def refuse_simulated_expert(config: RunConfig, task: TaskSpec) -> None:
    """Raise `ConfigError` where the task's expert would have to demonstrate without what it reads."""
    cell = config.cell
    if cell is None or cell.robot == "twin":
        return
    expert = task.expert(task)
    expert.reset(np.random.default_rng(0))
    if needs_simulator(expert.act, task):
        raise ConfigError(
            f"the expert of task {task.name} reads sim/*, which cell {cell.name} ({cell.robot}) cannot measure; "
            "record the demonstrations with --robot twin and name their folder with --demos, or give --demos 0."
        )


def needs_simulator(function: Callable[[Reading], object], task: TaskSpec) -> bool:
    """Whether `function` asks for a `sim/*` value: tried on a reading of the arm at the goal, holding something."""
    zeros, pose = np.zeros(6), task.anchor
    arm = ArmState(task.home, 0 * task.home, 0 * task.home, pose, zeros, zeros, pose, 0.0)
    reading = Reading(0, 0.0, arm, None if task.gripper is None else GripperState(0.02, True))
    try:
        function(dataclasses.replace(reading, sim={}))
    except KeyError:
        return True
    return False
