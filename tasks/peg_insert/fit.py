"""`peg_insert` with another fit: a hole that leaves the peg more or less room, or both of them square.

Peg and socket are those of `peg_insert/scene.xml`; the hole is made to measure around the peg before the scene
compiles, and what asks for the clearance is given the same number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tasks.insertion import hide_socket
from tasks.peg_insert.task import CLEARANCE, RIM, SPEC, inside
from tasks.spec import TaskSpec

if TYPE_CHECKING:
    import mujoco

RADIUS = 0.008
"""Of the peg, m; half the width of a square one."""
FILLET = 0.001
"""Radius of the peg's edges, m."""
WALL, BLOCK = 0.01875, 0.045
"""How far the round hole's walls and the whole socket reach from the hole's axis, m."""


def fitted(name: str, summary: str, clearance: float, *, square: bool = False) -> TaskSpec:
    """`peg_insert` with a hole that is `clearance` m wider than the peg; a square one is hidden in yaw, too."""
    cut = (cut_square if square else cut_round)(RADIUS + clearance / 2)
    one_degree = np.radians(1)

    def edit(spec: mujoco.MjSpec) -> None:
        cut(spec)
        _harden(spec, clearance)

    return replace(
        SPEC,
        name=name,
        summary=summary,
        edit=edit,
        verify=inside(clearance),
        randomise=hide_socket(RIM, offset=0.001, tilt=one_degree, turn=one_degree if square else 0.0),
    )


def cut_round(half: float) -> Callable[[mujoco.MjSpec], None]:
    """A hole whose walls stand `half` m from its axis."""

    def edit(spec: mujoco.MjSpec) -> None:
        for wall in named(spec, "wall"):
            wall.pos[0], wall.size[0] = (WALL + half) / 2, (WALL - half) / 2
        for plate in named(spec, "seen_plate"):
            _leave_square(plate, half)

    return edit


def cut_square(half: float) -> Callable[[mujoco.MjSpec], None]:
    """A square hole of 2 `half` m between four plates, and a square peg, which touches with its four edges."""

    def edit(spec: mujoco.MjSpec) -> None:
        import mujoco

        for geom in [*named(spec, "wall"), *named(spec, "seen_rim")]:
            spec.delete(geom)
        for plate in [*named(spec, "plate"), *named(spec, "seen_plate")]:
            _leave_square(plate, half)
        edges = named(spec, "peg_edge")
        on_the_faces, at_the_corners = edges[::2], edges[1::2]
        for edge in on_the_faces:
            spec.delete(edge)
        for edge in at_the_corners:
            edge.fromto[[0, 3]] = np.sqrt(2) * (RADIUS - FILLET)
        for skin in [*named(spec, "seen_peg"), *named(spec, "seen_peg_tip")]:
            skin.type, skin.size = mujoco.mjtGeom.mjGEOM_BOX, skin.size[[0, 0, 1]]

    return edit


def named(spec: mujoco.MjSpec, name: str) -> list[mujoco.MjsGeom]:
    """The shapes called `name`, and its copies: `replicate` numbers them."""
    return [geom for geom in spec.geoms if geom.name.rstrip("0123456789") == name]


def _harden(spec: mujoco.MjSpec, clearance: float) -> None:
    """Where there is less room than in `peg_insert`, parts that are pressed must penetrate less in proportion."""
    softness = min(1.0, clearance / CLEARANCE)
    for geom in [*spec.body("socket").geoms, *spec.body("grasped").geoms]:
        geom.solimp[0] = 1.0 - softness * (1.0 - geom.solimp[0])


def _leave_square(plate: mujoco.MjsGeom, half: float) -> None:
    """Four plates, each turned by 90 degrees from the last, leave a square of 2 `half` m between them."""
    plate.pos[:2] = (BLOCK + half) / 2, (BLOCK - half) / 2
    plate.size[:2] = (BLOCK - half) / 2, (BLOCK + half) / 2
