"""`curves.png`: how a run learnt, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from robot_rl.metrics import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WINDOW = 20
"""Episodes, or records of updates, that a bold line averages over."""
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titleweight": "bold",
}
BLUE, GREY = "#1f5f99", "#9aa5b1"


def write_curves(records: Sequence[Record], path: Path, title: str) -> None:
    """Draw success, return, episode length, critic loss and updates, and interventions where there are some."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = _panels(records)
    rows = max(1, (len(panels) + 1) // 2)
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(rows, 2, figsize=(9, 2.6 * rows), layout="constrained", squeeze=False)
        for axis, panel in zip(axes.flat, panels, strict=False):
            _draw(axis, *panel)
        for axis in axes.flat[len(panels) :]:
            axis.set_axis_off()
        last = max((record["step"] for record in records if record["kind"] in ("episode", "update")), default=1)
        for axis in axes.flat[: len(panels)]:
            axis.set_xlim(0, max(1, last))
            axis.set_xlabel("environment steps")
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        scratch = path.with_name(f".{path.name}")
        figure.savefig(scratch, dpi=130, format="png")
        pyplot.close(figure)
    scratch.replace(path)


Panel = tuple[str, NDArray, NDArray, bool]
"""Title, environment steps (n,), values (n,), whether the raw values are drawn too."""


def _panels(records: Sequence[Record]) -> list[Panel]:
    episodes = [record for record in records if record["kind"] == "episode"]
    updates = [record for record in records if record["kind"] == "update"]
    found = [
        _series(f"success rate (last {WINDOW} episodes)", episodes, "success", raw=False),
        _series("return", episodes, "return"),
        _series("episode length (steps)", episodes, "length"),
        _series("critic loss", updates, "critic_loss"),
        _series("critic updates", updates, "updates", raw=False),
    ]
    shares = [
        {**episode, "share": episode["intervened"] / max(1, episode["length"])}
        for episode in episodes
        if episode.get("intervened") is not None
    ]
    if any(episode["share"] for episode in shares):
        found.append(_series("share of steps a person made", shares, "share"))
    else:
        found.append(_series("temperature", updates, "temperature"))
    return [panel for panel in found if len(panel[1])]


def _series(title: str, records: Sequence[Record], key: str, raw: bool = True) -> Panel:
    points = [(record["step"], float(record[key])) for record in records if record.get(key) is not None]
    table = np.array(points, dtype=float).reshape(-1, 2)
    return title, table[:, 0], table[:, 1], raw


def rolling(values: NDArray, window: int) -> NDArray:
    """Mean over the last `window` values at each point, fewer at the beginning; shape kept."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    begin = np.maximum(0, end - window)
    return (total[end] - total[begin]) / (end - begin)


def _draw(axis: Axes, title: str, steps: NDArray, values: NDArray, raw: bool) -> None:
    if raw:
        axis.plot(steps, values, ".", color=GREY, markersize=3, markeredgewidth=0, alpha=0.8)
    counter = "updates" in title
    axis.plot(steps, values if counter else rolling(values, WINDOW), color=BLUE, linewidth=1.8)
    axis.set_title(title, loc="left", fontsize=9)
    axis.grid(axis="y", color="#e6e9ed", linewidth=0.8)
    axis.set_axisbelow(True)
    if title.startswith(("success", "share")):
        axis.set_ylim(-0.03, 1.03)
        axis.yaxis.set_major_formatter(lambda value, position: f"{100 * value:.0f} %")
    if title == "critic loss" and np.all(values > 0):
        axis.set_yscale("log")
