"""`peg_insert` with a flat tip and a socket hidden within 2 mm and 2 degrees."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tasks.insertion import hide_socket
from tasks.peg_insert.fit import RADIUS, named
from tasks.peg_insert.task import RIM, TIP
from tasks.peg_insert.task import SPEC as PEG_INSERT

if TYPE_CHECKING:
    import mujoco

EDGE = 0.0003
"""Radius of the peg's edge at the tip, m."""


def flatten_tip(spec: mujoco.MjSpec) -> None:
    """Give the peg's edges a radius of `EDGE` in place of the fillet, at the same outer radius."""
    for edge in named(spec, "peg_edge"):
        outward = edge.fromto[:2] / np.linalg.norm(edge.fromto[:2])
        foot = outward * (RADIUS - EDGE)
        edge.size[0] = EDGE
        edge.fromto = [*foot, edge.fromto[2], *foot, TIP - EDGE]


SPEC = replace(
    PEG_INSERT,
    name="peg_insert_hard",
    summary="insert a round peg with a flat tip into a socket hidden within 2 mm and 2 degrees",
    edit=flatten_tip,
    randomise=hide_socket(RIM, offset=0.002, tilt=np.radians(2)),
    steps=9000,
)
