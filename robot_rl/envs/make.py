"""Building an environment from a task's name."""

from __future__ import annotations

import tasks
from robot_rl.envs.observation import Observer
from robot_rl.envs.robot_env import RobotEnv
from robot_rl.exceptions import ConfigError
from robot_rl.resets.both import scripted_reset
from robot_rl.resets.scripted import FreshReset
from tasks.spec import TaskSpec

ROBOTS = ("twin",)
OBSERVATIONS = ("state", "pixels", "features")


def make(
    name: str, *, obs: str = "state", robot: str = "twin", seed: int = 0, render_mode: str | None = None
) -> RobotEnv:
    """`make("peg_insert", obs="state", robot="twin")`: a task as a Gymnasium environment in this process.

    Raises `ConfigError` for an unknown task, observation or robot, naming the choices.
    """
    try:
        task = tasks.load(name)
    except tasks.UnknownTask as error:
        raise ConfigError(str(error)) from error
    if robot not in ROBOTS:
        raise ConfigError(f"there is no robot {robot!r}; choose one of {', '.join(ROBOTS)}")
    if obs not in OBSERVATIONS:
        raise ConfigError(f"there is no observation {obs!r}; choose one of {', '.join(OBSERVATIONS)}")
    env = make_env(task, obs=obs, seed=seed, fresh=True)
    env.render_mode = render_mode
    return env


def make_env(task: TaskSpec, *, obs: str = "state", seed: int = 0, fresh: bool = False) -> RobotEnv:
    """The environment of `task` on a twin of its own.

    fresh: an episode depends on its seed alone, as Gymnasium wants it; else the arm moves from where it is to the
    next start, as on a robot.
    """
    from controllers.twin import TwinCell

    perception, backbone_id = None, ""
    if obs == "features":
        from robot_rl.perception.encoder import Perception

        perception = Perception(seed=seed)
        backbone_id = perception.fingerprint
    cell = TwinCell(task, seed=seed, cameras=task.cameras if obs != "state" else ())
    scripted = scripted_reset(task)
    reset = FreshReset(scripted) if fresh else scripted
    observer = Observer(task, obs, backbone_id=backbone_id)
    return RobotEnv(task, cell, reset=reset, observer=observer, perception=perception)
