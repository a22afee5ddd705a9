"""Comparing runs: seeds of the same configuration together, a table, and their learning curves with bands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from robot_rl.aggregate import Estimate, band, estimate, on_grid, probability_of_improvement
from robot_rl.config import to_dict
from robot_rl.curves import STYLE, WINDOW, rolling
from robot_rl.exceptions import DataError
from robot_rl.metrics import Record, read_metrics
from robot_rl.runs import RunFolder

COLOURS = ("#1f5f99", "#d1782b", "#3a8a5f", "#a3465a", "#6c5ba7", "#7a7f87", "#b59f2f", "#2f9fb5")
SAME = ("seed", "log", "here", "peers", "transport", "sync")
"""Settings that do not make another group."""


@dataclass(frozen=True)
class Curve:
    """How one run learnt: steps (n,) and values (n,), and `score`, what it came to."""

    steps: NDArray
    values: NDArray
    score: float


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone. measure: what the values are."""

    label: str
    measure: str
    curves: tuple[Curve, ...]

    @property
    def scores(self) -> NDArray:
        """(runs, 1)."""
        return np.array([[curve.score] for curve in self.curves])


def measure_of(records: Sequence[Record]) -> str:
    """`success` where the environment tells of it, else `return`."""
    told = any(record.get("success") is not None for record in records if record["kind"] == "episode")
    return "success" if told else "return"


def _elsewhere(record: Record) -> bool:
    """Whether an evaluation was in other worlds than a run trains in."""
    return bool(record.get("randomise")) or record.get("engine", "mujoco") != "mujoco"


def curve_of(records: Sequence[Record], measure: str, where: str) -> Curve:
    """A run's curve: of its kept policies' evaluations where there are two or more, else of its training episodes.

    The score is that of the newest deterministic evaluation, else the curve's end. Raises `DataError` without any.
    """
    key = {"success": "success_rate", "return": "mean_return"}[measure]
    nominal = [record for record in records if record["kind"] == "eval" and not _elsewhere(record)]
    evals = [record for record in nominal if record.get("deterministic", True)]
    kept = {record["step"]: record[key] for record in evals if "step" in record}
    final = [record[key] for record in evals if "step" not in record]
    if len(kept) > 1:
        steps = np.array(sorted(kept), dtype=float)
        values = np.array([kept[step] for step in sorted(kept)], dtype=float)
    else:
        rows = [record for record in records if record["kind"] == "episode" and record[measure] is not None]
        if not rows:
            raise DataError(f"the run {where} has no whole episode yet; train it first")
        steps = np.array([record["step"] for record in rows], dtype=float)
        values = rolling(np.array([float(record[measure]) for record in rows]), WINDOW)
    return Curve(steps, values, float(final[-1] if final else values[-1]))


def group_runs(runs: Sequence[RunFolder]) -> list[Group]:
    """The runs by configuration, seeds apart, labelled by what differs. Raises `DataError`."""
    settings = {run.path: _flat(to_dict(run.config())) for run in runs}
    differ = [key for key in next(iter(settings.values())) if len({_get(s, key) for s in settings.values()}) > 1]
    by_label: dict[str, list[RunFolder]] = {}
    for run in runs:
        label = ", ".join(f"{key.removeprefix('learner.')} {_get(settings[run.path], key)}" for key in differ)
        by_label.setdefault(label or str(settings[run.path]["task"]), []).append(run)
    groups = []
    for label, members in by_label.items():
        metrics = [read_metrics(run.metrics) for run in members]
        measure = measure_of([record for records in metrics for record in records])
        curves = (curve_of(records, measure, str(run.path)) for run, records in zip(members, metrics, strict=True))
        groups.append(Group(label, measure, tuple(curves)))
    if len({group.measure for group in groups}) > 1:
        raise DataError("some of these runs tell of success and others do not; compare them apart")
    return groups


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        elif prefix or key not in SAME:
            found[prefix + key] = value
    return found


def _get(settings: Mapping[str, Any], key: str) -> str:
    value = settings.get(key)
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def summarise(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """A row for each group: interquartile mean of its scores, and how probably it is better than the first group."""
    rows = []
    for group in groups:
        row: dict[str, Any] = {"label": group.label, "measure": group.measure, "runs": len(group.curves)}
        row["interquartile_mean"] = asdict(estimate(group.scores))
        if group is not groups[0]:
            better = probability_of_improvement(group.scores, groups[0].scores)
            row["probability_of_improvement"] = asdict(better)
        rows.append(row)
    return rows


def print_rows(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """The table of `summarise`."""
    table = Table(title="95 % intervals by stratified bootstrap", title_justify="left")
    for name in ("configuration", "seeds", f"{rows[0]['measure']}, interquartile mean", "P(better than the first)"):
        table.add_column(name)
    for row in rows:
        better = row.get("probability_of_improvement")
        cells = (_interval(row["interquartile_mean"]), _interval(better) if better else "")
        table.add_row(row["label"], str(row["runs"]), *cells)
    console.print(table)


def _interval(values: Mapping[str, float]) -> str:
    found = Estimate(**values)
    return f"{found.value:.4g}  ({found.low:.4g} to {found.high:.4g})"


def plot(
    groups: Sequence[Group], path: Path, title: str, unit: float = 1.0, axis_name: str = "environment steps"
) -> None:
    """Learning curves with bands, as a PNG. unit: what a step is worth on the horizontal axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context(STYLE):
        figure, axis = pyplot.subplots(figsize=(7, 4), layout="constrained")
        for group, colour in zip(groups, (*COLOURS, *COLOURS), strict=False):
            steps, values = on_grid([(curve.steps, curve.values) for curve in group.curves])
            middle, low, high = band(values)
            label = f"{group.label} ({len(group.curves)} seed{'s' if len(group.curves) > 1 else ''})"
            axis.plot(steps * unit, middle, color=colour, linewidth=1.8, label=label)
            axis.fill_between(steps * unit, low, high, color=colour, alpha=0.18, linewidth=0)
        axis.set_xlim(left=0)
        axis.set_xlabel(axis_name)
        axis.set_title(title, loc="left")
        axis.grid(axis="y", color="#e6e9ed", linewidth=0.8)
        axis.set_axisbelow(True)
        if groups[0].measure == "success":
            axis.set_ylim(-0.03, 1.03)
            axis.yaxis.set_major_formatter(lambda value, position: f"{100 * value:.0f} %")
        axis.legend(frameon=False, fontsize=8)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}")
        figure.savefig(scratch, dpi=130, format="png")
        pyplot.close(figure)
    scratch.replace(path)


def compare(paths: Sequence[str], out: Path, *, as_json: bool) -> int:
    """`robot-rl compare RUN...`: the table on standard output, the plot in `out`."""
    groups = group_runs([RunFolder.open(Path(path)) for path in paths])
    rows = summarise(groups)
    plot(groups, out, f"{groups[0].measure}: interquartile mean, 95 % interval")
    if as_json:
        print(json.dumps({"measure": groups[0].measure, "groups": rows, "plot": str(out)}))
    else:
        print_rows(rows, Console())
        print(f"plot: {out}")
    return 0
