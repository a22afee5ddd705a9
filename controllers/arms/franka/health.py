"""What a Franka's driver says of itself: its state, its loop's timing, what the system or the robot did not allow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from controllers.arms.franka import shared
from controllers.arms.franka.shared import BIN, Memory, text_of
from controllers.interface import Health
from controllers.tick import LATCHED, STATES

if TYPE_CHECKING:
    from controllers.arms.franka.config import FrankaConfig
    from controllers.arms.franka.gripper import Hand

ADVISED = 0.5
"""ms: Franka's advice for the time from a state to its command."""
LOSSY = 0.95
"""Share of commands that arrive below which the link deserves a look."""
MODES = ("other", "idle", "move", "guiding", "reflex", "user stopped", "recovering")


def quantile(histogram: Any, share: float) -> float:
    """Time in ms below which `share` of a histogram's entries lie, to the width of a bin; nan without entries."""
    total = np.cumsum(histogram)
    if total[-1] == 0:
        return float("nan")
    return float((np.searchsorted(total, share * total[-1]) + 1) * BIN * 1e-6)


def timing(counters: Any) -> dict[str, float]:
    """The loop's timing: times in ms, missed cycles in the robot's own time, success rate of commands (0 to 1)."""
    values: dict[str, float] = {}
    for name in ("period", "duration"):
        values[f"{name} p50 (ms)"] = round(quantile(counters[name], 0.5), 3)
        values[f"{name} p99 (ms)"] = round(quantile(counters[name], 0.99), 3)
        values[f"{name} max (ms)"] = round(float(counters[f"longest_{name}"]) * 1e-6, 3)
    values["cycles"] = int(counters["cycles"])
    values["missed cycles"] = int(counters["missed"])
    values["longest gap (cycles)"] = int(counters["longest_gap"])
    values["least success rate of commands"] = round(float(counters["least_success"]), 3)
    return values


def report(memory: Memory, gone: str, config: FrankaConfig, *, lockstep: bool, hand: Hand | None) -> Health:
    """Health of a cell; gone: how its driver ended, empty while it lives."""
    row, counters = memory.state.read(), memory.counters[0]
    values: dict[str, object] = {
        "driver": gone or shared.PHASES[int(row["phase"])],
        "robot": MODES[int(row["mode"])] if 0 <= row["mode"] < len(MODES) else int(row["mode"]),
        "library": config.library,
        **timing(counters),
        "success rate of commands": round(float(row["success_rate"]), 3),
    }
    refused, rules = text_of(counters["scheduling"]), text_of(counters["rules"])
    if refused:
        values["not allowed"] = refused
    values |= json.loads(rules) if rules else {}
    safety, reason = STATES[int(row["safety"])], gone or text_of(row["reason"])
    if gone or row["safety"] == LATCHED:
        return Health("error", f"{STATES[LATCHED]}: {reason}", values)
    warnings = [] if lockstep else _warnings(values, refused)
    if hand is not None and hand.trouble:
        warnings.append(f"hand: {hand.trouble}")
    return Health("warn" if warnings else "ok", "; ".join([safety, *warnings]), values)


def _warnings(values: dict[str, object], refused: str) -> list[str]:
    """What deserves a person's look while the arm moves."""
    warnings = [refused] if refused else []
    if float(str(values["duration p99 (ms)"])) > ADVISED:
        warnings.append(f"a cycle takes more than {ADVISED} ms: give the loop a core of its own")
    if float(str(values["success rate of commands"])) < LOSSY:
        warnings.append("commands get lost: check the network card's power saving and the cable")
    return warnings
