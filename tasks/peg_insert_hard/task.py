"""`peg_insert` with a flat tip and a socket hidden within 2 mm and 2 degrees."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tasks.peg_insert.task import SPEC as PEG_INSERT
from tasks.peg_insert.task import TIP, hide_socket

if TYPE_CHECKING:
    import mujoco

RADIUS, EDGE = 0.008, 0.0003
"""Of the peg, and of its edge at the tip, m."""


def flatten_tip(spec: mujoco.MjSpec) -> None:
    """Give the peg's edges a radius of `EDGE` in place of the fillet, at the same outer radius."""
    for geom in spec.geoms:
        if geom.name.startswith("peg_edge"):
            outward = geom.fromto[:2] / np.linalg.norm(geom.fromto[:2])
            foot = outward * (RADIUS - EDGE)
            geom.size[0] = EDGE
            geom.fromto = [*foot, geom.fromto[2], *foot, TIP - EDGE]


SPEC = replace(
    PEG_INSERT,
    name="peg_insert_hard",
    summary="insert a round peg with a flat tip into a socket hidden within 2 mm and 2 degrees",
    edit=flatten_tip,
    randomise=hide_socket(offset=0.002, tilt=np.radians(2)),
    steps=9000,
)
