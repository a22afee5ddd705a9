"""A cell in one file: the arm and its driver, gripper, cameras, calibration, box, payload and limits.

`load_cell("twin_fr3")` reads `cells/twin_fr3.yaml` and, beside it, the places that were taught there
(`cells/twin_fr3/TASK.yaml`); `open_cell` connects to what it describes. With `robot: twin` the same file runs in
simulation. Nothing here imports a driver until a cell is opened.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import yaml

from controllers.arms.crisp_config import CrispConfig
from controllers.arms.franka.config import FrankaConfig
from controllers.cameras.config import CameraConfig
from controllers.exceptions import SettingsError
from controllers.places import Box, Place
from controllers.settings import build, option, plain, read_yaml, required, suggest

if TYPE_CHECKING:
    from controllers.interface import Backend
    from controllers.limits import ArmLimits
    from controllers.twin import TwinCell
    from tasks.spec import CameraSpec, TaskSpec

Robot = Literal["twin", "franka", "ros2_control"]


@dataclass(frozen=True)
class Payload:
    """What the flange carries beyond the gripper. Raises `SettingsError` for a mass or inertia that cannot be."""

    mass: float = option(0.0, "kg")
    centre: tuple[float, float, float] = option((0.0, 0.0, 0.0), "centre of mass in the flange's frame, m")
    inertia: tuple[float, float, float] = option((0.0, 0.0, 0.0), "about the centre, along the flange's axes, kg m2")

    def __post_init__(self) -> None:
        if not 0 <= self.mass < math.inf:
            raise SettingsError(f"mass is {self.mass} kg, but must be at least 0.")
        for name in ("centre", "inertia"):
            if not all(map(math.isfinite, getattr(self, name))):
                raise SettingsError(f"{name} is {getattr(self, name)}, but must be finite.")
        if min(self.inertia) < 0 or 2 * max(self.inertia) > sum(self.inertia):
            raise SettingsError(
                f"inertia is {self.inertia}, which no body has: none below 0, none above the others' sum."
            )


@dataclass(frozen=True)
class Limits:
    """What this cell allows of what the maker allows; what is left out is the arm's own (`controllers.models`)."""

    force: float | None = option(None, "most that the law drives the tool with, N")
    moment: float | None = option(None, "most that the law turns the tool with, Nm")
    power: float | None = option(None, "most that the law drives the tool with, W")
    tool_speed: tuple[float, float] | None = option(None, "most that the law drives the tool at, m/s and rad/s")
    speed: tuple[float, float] | None = option(None, "of the reference, m/s and rad/s")
    stiffness: tuple[float, float] | None = option(None, "highest that a task may ask for, N/m and Nm/rad")
    damping: tuple[float, float] | None = option(None, "highest that a task may ask for, N s/m and Nm s/rad")
    velocity: tuple[float, ...] | None = option(None, "of each joint, rad/s")
    torque: tuple[float, ...] | None = option(None, "of each joint, Nm")
    torque_rate: float | None = option(None, "of every joint, Nm/s")
    low: tuple[float, ...] | None = option(None, "lowest angle of each joint, rad")
    high: tuple[float, ...] | None = option(None, "highest angle of each joint, rad")


@dataclass(frozen=True)
class CellConfig:
    """One cell. Raises `SettingsError` for what cannot be, limits beyond the maker's among them."""

    name: str = required("what people call it")
    robot: Robot = required("the backend that moves: the twin, a Franka, or a controller of ros2_control")
    arm: Literal["fr3", "panda", "ur5e"] = option("fr3", "the arm's model")
    gripper: Literal["franka_hand", "none"] = option("franka_hand", "what is on the flange")
    clock: Literal["lockstep", "realtime"] = option("realtime", "lockstep where time can wait: twin and emulators")
    franka: FrankaConfig | None = option(None, "the driver of robot franka; arm, gripper and payload are the cell's")
    crisp: CrispConfig | None = option(None, "the driver of robot ros2_control, where its names are not crisp's own")
    cameras: Mapping[str, CameraConfig] = option(
        {}, "by the names that tasks use; none: the twin renders the task's own"
    )
    calibration: Mapping[str, Path] = option({}, "calibration files by what they are of")
    workspace: Box | None = option(None, "box that every task's box is cut to")
    payload: Payload = field(default_factory=Payload, metadata={"help": "what the flange carries beyond the gripper"})
    limits: Limits = field(default_factory=Limits, metadata={"help": "below the maker's"})
    places: Mapping[str, Place] = option({}, "taught places by task; usually files of their own beside the cell's")

    def __post_init__(self) -> None:
        if self.robot == "franka" and self.arm not in ("fr3", "panda"):
            raise SettingsError(f"arm is {self.arm}, but robot franka is an fr3 or a panda; mend the one or the other.")
        if self.robot == "franka" and self.franka is None:
            raise SettingsError("franka is missing: robot franka needs that section, with the robot's address.")
        if self.franka is not None:
            _say_once(self.franka)
        arm_limits(self)

    @property
    def driver(self) -> FrankaConfig | CrispConfig | None:
        """Settings of the robot's own driver, with the cell's arm, gripper and payload; None for the twin."""
        if self.robot == "ros2_control":
            return self.crisp or CrispConfig()
        if self.robot != "franka" or self.franka is None:
            return None
        payload = self.payload
        return dataclasses.replace(
            self.franka,
            arm="panda" if self.arm == "panda" else "fr3",
            gripper=self.gripper,
            payload_mass=payload.mass,
            payload_centre=payload.centre,
            payload_inertia=payload.inertia,
        )


def _say_once(franka: FrankaConfig) -> None:
    """What a cell says itself, its driver's section does not say too. Raises `SettingsError`."""
    defaults = FrankaConfig(franka.address)
    for key in ("arm", "gripper", "payload_mass", "payload_centre", "payload_inertia"):
        value, top = getattr(franka, key), key.replace("payload_", "payload.")
        if value != getattr(defaults, key):
            raise SettingsError(f"franka.{key} is {value}: in a cell say it once, as {top} at the top.")


def arm_limits(cell: CellConfig) -> ArmLimits | None:
    """The maker's limits of the cell's arm, lowered to the cell's own; None where the cell lowers none.

    Raises `SettingsError` naming the limit that is beyond the maker's.
    """
    given = {key: value for key, value in vars(cell.limits).items() if value is not None}
    if not given:
        return None
    from controllers.models import arm_model

    maker = arm_model(cell.arm).limits
    for key, value in given.items():
        given[key] = _lowered(key, value, getattr(maker, key), cell.arm)
    return maker.lowered(**given)


def _lowered(key: str, value: object, most: object, arm: str) -> object:
    """One limit as `ArmLimits` holds it. Raises `SettingsError` where it allows more than `most`, or nothing."""
    import numpy as np

    wanted, allowed = np.asarray(value, dtype=float), np.asarray(most, dtype=float)
    if wanted.shape != allowed.shape:
        raise SettingsError(f"limits.{key} has {wanted.size} values, but the {arm} needs {allowed.size}.")
    beyond = ~np.isfinite(wanted) | (wanted < allowed if key == "low" else wanted > allowed)
    useless = np.zeros_like(beyond) if key in ("low", "high") else ~(wanted > 0)
    for bad, mend in ((beyond, "keep it within the maker's"), (useless, "give a positive one")):
        if bad.any():
            index = int(np.argmax(bad))
            where = f" of joint {index + 1}" if allowed.size > 2 else ""
            said = f"limits.{key}{where} is {wanted.flat[index]:g}"
            raise SettingsError(f"{said}, but the {arm} allows {allowed.flat[index]:g}: {mend}.")
    return wanted if wanted.ndim and allowed.size > 2 else value


def check_gains(cell: CellConfig, task: TaskSpec) -> None:
    """Raise `SettingsError` where the task asks for more stiffness or damping than the cell allows."""
    limits = arm_limits(cell)
    if limits is None:
        return
    for name, unit in (("stiffness", "N/m and Nm/rad"), ("damping", "N s/m and Nm s/rad")):
        asked, most = getattr(task.gains, name), getattr(limits, name)
        pair = (float(max(asked[:3])), float(max(asked[3:])))
        if pair[0] > most[0] or pair[1] > most[1]:
            raise SettingsError(
                f"task {task.name} has a {name} of {pair[0]:g} and {pair[1]:g} {unit}, but limits.{name} of cell "
                f"{cell.name} is {most[0]:g} and {most[1]:g}: raise it, or choose another task."
            )


# Files


SHIPPED = Path(__file__).parents[1] / "cells"
"""Where the cells that come with the project lie, here and as installed."""


def cell_names() -> list[str]:
    """The cells that a name finds: those in `cells/` of the working folder, and those shipped."""
    return sorted({path.stem for folder in (Path("cells"), SHIPPED) for path in folder.glob("*.yaml")})


def find_cell(name: str) -> Path:
    """The file of a cell from its name or path. Raises `SettingsError` naming the choices."""
    if name.endswith((".yaml", ".yml")) or "/" in name:
        if not Path(name).is_file():
            raise SettingsError(f"there is no cell file {name}; give a path that exists, or one of: {_choices()}.")
        return Path(name)
    for folder in (Path("cells"), SHIPPED):
        path = folder / f"{name}.yaml"
        if path.is_file():
            return path
    raise SettingsError(f"there is no cell {name!r} in cells/; {suggest(name, cell_names())}.")


def _choices() -> str:
    return ", ".join(cell_names()) or "none"


def load_cell(name: str) -> CellConfig:
    """The cell called `name`, or in the file `name`, with its taught places. Raises `SettingsError`."""
    path = find_cell(str(name))
    values = read_yaml(path, "cell file", "write one like those in cells/")
    cell = build(CellConfig, {"name": path.stem, **values} if isinstance(values, dict) else values, str(path))
    places = dict(cell.places)
    for file in sorted(places_folder(path).glob("*.yaml")):
        places[file.stem] = build(Place, read_yaml(file, "taught place", "teach it again"), str(file))
    return dataclasses.replace(cell, places=places)


def places_folder(path: Path) -> Path:
    """Where the places taught in the cell of the file `path` lie."""
    return path.with_suffix("")


def save_place(path: Path, task: str, place: Place) -> Path:
    """Write a place taught in the cell of the file `path`; a crash leaves no half file."""
    file = places_folder(path) / f"{task}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.tmp")
    scratch.write_text(yaml.safe_dump(plain(place), sort_keys=False, default_flow_style=None))
    scratch.replace(file)
    return file


# A task in a cell


def fit(cell: CellConfig, task: TaskSpec) -> TaskSpec:
    """`task` as it is in this cell: at its taught place, within the box, with the cell's cameras.

    Raises `SettingsError` naming what the task needs and the cell has not.
    """
    from controllers.kinematics import Kinematics
    from controllers.models import arm_model
    from tasks.place import placed

    place, task = cell.places.get(task.name), task.on(cell.arm)
    if place is not None:
        task = placed(task, place, scene=cell.robot == "twin")
        if not place.home:
            task = dataclasses.replace(task, home=Kinematics(arm_model(cell.arm)).solve(task.start))
    if task.gripper is not None and cell.gripper == "none":
        raise SettingsError(f"task {task.name} needs a gripper, but cell {cell.name} has none; name it in its file.")
    if cell.workspace is not None:
        task = _cut(cell, task, cell.workspace)
    return _see(cell, task) if cell.cameras else task


def _cut(cell: CellConfig, task: TaskSpec, box: Box) -> TaskSpec:
    """The task's box cut to the cell's."""
    import numpy as np

    for what, pose in (("goal", task.anchor), ("start", task.start)):
        if pose.position not in box:
            at = np.round(pose.position, 3).tolist()
            raise SettingsError(
                f"the {what} of task {task.name} is at {at} m, outside the workspace of cell {cell.name} "
                f"({list(box.low)} to {list(box.high)}); teach the task there, or mend the box."
            )
    own = task.workspace
    cut = dataclasses.replace(own, low=np.maximum(own.low, box.low), high=np.minimum(own.high, box.high))
    return dataclasses.replace(task, workspace=cut)


def _see(cell: CellConfig, task: TaskSpec) -> TaskSpec:
    """The task's cameras that the cell has, in the sizes that the cell delivers; `need_cameras` asks for the rest."""
    cameras = [
        dataclasses.replace(spec, width=cell.cameras[spec.name].shape[1], height=cell.cameras[spec.name].shape[0])
        for spec in task.cameras
        if spec.name in cell.cameras
    ]
    return dataclasses.replace(task, cameras=tuple(cameras))


def need_cameras(cell: CellConfig, names: list[str]) -> None:
    """Raise `SettingsError` where the cell lacks a camera that a policy looks through."""
    for name in names:
        if name not in cell.cameras and (cell.cameras or cell.robot != "twin"):
            known = suggest(name, cell.cameras) if cell.cameras else "it has none"
            raise SettingsError(f"cell {cell.name} has no camera {name!r}; {known}; add it, or use --obs state.")


def open_cell(
    cell: CellConfig,
    task: TaskSpec,
    *,
    seed: int = 0,
    clock: str = "realtime",
    period: float | None = None,
    cameras: tuple[CameraSpec, ...] = (),
    randomise: bool = False,
    engine: str = "mujoco",
) -> Backend:
    """Connect to the cell for `task`, as `fit` gave it. period: of a tick, s, where not the task's own.

    cameras: those of the task whose pictures are in each reading; none where other processes deliver them.
    randomise: each draw of the twin's scene is one of the task's domain, too. engine: what moves the twin.

    Raises `SettingsError` for what the cell cannot do, with the reason, and what the driver raises.
    """
    check_gains(cell, task)
    if period is not None:
        task = dataclasses.replace(task, period=period)
    backend = _backend(cell, task, seed, clock, cameras, randomise, engine)
    try:
        check_abilities(cell, task, backend, clock)
    except SettingsError:
        backend.close()
        raise
    return backend


def _backend(
    cell: CellConfig,
    task: TaskSpec,
    seed: int,
    clock: str,
    cameras: tuple[CameraSpec, ...],
    randomise: bool,
    engine: str,
) -> Backend:
    if cell.robot != "twin":
        if randomise:
            raise SettingsError(f"cell {cell.name} has robot {cell.robot}, whose world nobody draws; use robot twin.")
        return _seeing(_open_robot(cell, task, seed, clock), cell, task, cameras)
    domain = task.domain if randomise else None
    return _twin(engine)(task, seed=seed, cameras=cameras, limits=arm_limits(cell), domain=domain)


def _twin(engine: str) -> type[TwinCell]:
    """The class of twins that the engine moves."""
    if engine == "bullet":
        from controllers.bullet.cell import BulletCell

        return BulletCell
    from controllers.twin import TwinCell

    return TwinCell


def _open_robot(cell: CellConfig, task: TaskSpec, seed: int, clock: str) -> Backend:
    driver, limits = cell.driver, arm_limits(cell)
    if isinstance(driver, CrispConfig):
        from controllers.arms.crisp import CrispCell

        return CrispCell(driver, task, clock=clock, limits=limits)
    from controllers.arms.franka.cell import FrankaCell

    assert driver is not None, "a cell with a robot has its section"
    lockstep: Literal["lockstep", "realtime"] = "lockstep" if clock == "lockstep" else "realtime"
    return FrankaCell(driver, task, clock=lockstep, seed=seed, limits=limits)


def _seeing(backend: Backend, cell: CellConfig, task: TaskSpec, cameras: tuple[CameraSpec, ...]) -> Backend:
    """`backend` with pictures in its readings, where they are asked for."""
    if not cameras:
        return backend
    from controllers.cameras.seeing import SeeingCell
    from controllers.cameras.watchdog import SupervisedCamera

    named = {spec.name: SupervisedCamera(spec.name, cell.cameras[spec.name], task=task.name) for spec in cameras}
    return cast("Backend", SeeingCell(backend, named))


def check_abilities(cell: CellConfig, task: TaskSpec, backend: Backend, clock: str) -> None:
    """Raise `SettingsError` with the reason where the task needs more than the backend can do."""
    abilities = backend.abilities
    low, high = task.gains.clip[:6], task.gains.clip[6:]
    needs = (
        (clock == "lockstep", abilities.lockstep, "lockstep", "its time does not wait; use --clock realtime"),
        ((low != -high).any(), abilities.signed_clips, "a clip per axis and sign", "choose another task or backend"),
        (True, abilities.gains, "stiffness and damping of its own", "set the controller's gains to the task's"),
    )
    for needed, able, what, mend in needs:
        if needed and not able:
            law = f"{cell.robot} ({abilities.law})"
            raise SettingsError(f"task {task.name} needs {what}, which {law} of cell {cell.name} has not; {mend}.")
