"""How a Franka is reached and how its driver runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from controllers.exceptions import SettingsError
from controllers.settings import option, required

if TYPE_CHECKING:
    from controllers.limits import ArmLimits

HIGHEST_THRESHOLD = 100.0
"""N and Nm: above this a collision would not be noticed before the law's own caps."""
LEAST_ROTOR = 0.05
"""kg m2: with less, commands that drive the arm hard take it 0.1 m (0.02) to 1 m (none) out of its box in the twin."""


@dataclass(frozen=True)
class FrankaConfig:
    """One Franka: an FR3, or a Panda where the client library is one for it. Raises `SettingsError` for what cannot be.

    Thresholds are the robot's own reflexes: beyond one it stops, and the driver latches.
    """

    address: str = required("IP address or host name of the robot's control unit")
    arm: Literal["fr3", "panda"] = option("fr3", "the arm's model; what answers at the address is checked against it")
    library: Literal["pylibfranka", "franky"] = option(
        "pylibfranka", "pylibfranka runs this project's law at 1 kHz; franky its own, and follows references"
    )
    gripper: Literal["franka_hand", "none"] = option("franka_hand", "what is on the flange")
    grip_force: float = option(20.0, "force of a closing hand, N")
    grip_speed: float = option(0.1, "speed of the hand's fingers, m/s")
    payload_mass: float = option(0.0, "mass on the flange beyond the hand, kg")
    payload_centre: tuple[float, float, float] = option((0.0, 0.0, 0.0), "its centre of mass in the flange's frame, m")
    payload_inertia: tuple[float, float, float] = option((0.0, 0.0, 0.0), "about the centre, along the axes, kg m2")
    rotor_inertia: tuple[float, ...] = option(
        (0.1,) * 7, "of each motor seen through its gear, which libfranka's mass leaves out (an estimate), kg m2"
    )
    torque_thresholds: tuple[float, ...] = option(
        (60.0, 60.0, 50.0, 50.0, 20.0, 20.0, 20.0), "external torque at each joint that counts as a collision, Nm"
    )
    force_thresholds: tuple[float, ...] = option(
        (60.0, 60.0, 60.0, 20.0, 20.0, 20.0), "external wrench on the tool that counts as a collision, N and Nm"
    )
    priority: int = option(80, "real-time priority of the 1 kHz loop (SCHED_FIFO, 1 to 98); 0: an ordinary process")
    cores: tuple[int, ...] = option((), "processor cores that the loop is pinned to; none: all")
    ttl: float = option(0.3, "age at which a target is stale and the reference freezes, s")

    def __post_init__(self) -> None:
        if not self.address.strip():
            raise SettingsError("address is empty: give the IP address of the robot's control unit.")
        _check("grip_force", self.grip_force, 1.0, 70.0, "N")
        _check("grip_speed", self.grip_speed, 0.01, 0.2, "m/s")
        _check("payload_mass", self.payload_mass, 0.0, 3.0, "kg")
        _check("priority", self.priority, 0, 98, "")
        _check("ttl", self.ttl, 0.01, 1.0, "s")
        _check_vector("payload_centre", self.payload_centre, 3, 1.0, "m")
        _check_vector("payload_inertia", self.payload_inertia, 3, 1.0, "kg m2", least=0.0)
        _check_vector("rotor_inertia", self.rotor_inertia, 7, 1.0, "kg m2", least=LEAST_ROTOR)
        _check_vector("torque_thresholds", self.torque_thresholds, 7, HIGHEST_THRESHOLD, "Nm", least=1.0)
        _check_vector("force_thresholds", self.force_thresholds, 6, HIGHEST_THRESHOLD, "N or Nm", least=1.0)


def _check(name: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:
        raise SettingsError(f"{name} is {value} {unit}".rstrip() + f": give {low:g} to {high:g}.")


def _check_vector(
    name: str, values: tuple[float, ...], size: int, most: float, unit: str, least: float = -math.inf
) -> None:
    if len(values) != size:
        raise SettingsError(f"{name} has {len(values)} values: give {size}.")
    for value in values:
        _check(name, value, max(least, -most), most, unit)


def allowed_limits(arm: str, limits: ArmLimits | None) -> ArmLimits:
    """`limits`, or the maker's where there are none. Raises `SettingsError` for one that is beyond the maker's."""
    from controllers.models import arm_model  # compiles; a command line that only reads a cell's file need not

    maker = arm_model(arm).limits
    if limits is None:
        return maker
    names = [name for name in vars(maker) if name != "maker"]  # a set's order would be another in each process
    values = {name: (np.asarray(getattr(limits, name)), np.asarray(getattr(maker, name))) for name in names}
    for name, (ours, theirs) in values.items():
        if ours.shape != theirs.shape:
            raise SettingsError(f"{name} has {ours.size} values, but the {arm} needs {theirs.size}.")
    for name, (ours, theirs) in values.items():
        lower_is_safer = name not in ("low", "velocity_offset", "manipulability")
        beyond = ours > theirs if lower_is_safer else ours < theirs
        if beyond.any() or not np.isfinite(ours).all():
            index = int(np.argmax(beyond))
            raise SettingsError(
                f"{name} is {ours.flat[index]:g}, but the {arm} allows {theirs.flat[index]:g}: keep within the maker's."
            )
    return limits
