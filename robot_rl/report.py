"""A run's report: `summary.json`, `curves.png` and `eval.mp4`, made from its configuration and its metrics."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from controllers.interface import Image
from robot_rl.config import OFFLINE, RunConfig
from robot_rl.live import clock
from robot_rl.metrics import Record, read_metrics
from robot_rl.runs import RunFolder

RECENT = 20
"""Episodes that the closing success rate is taken over."""


def summarise(config: RunConfig, records: Sequence[Record]) -> dict[str, Any]:
    """What `summary.json` holds. Pure: the same metrics give the same summary.

    utd: updates per environment step, at the end, beside what was asked for. updates_refused: for bad numbers.
    weights_age_p99_s, weights_lag_p99_steps, act_p99_ms: of the worst episode.
    train_wall_s: from the first step of training to the last record, over all resumes. robot_s: of all episodes;
    reset_s: of all resets. resets_retried: those that took more than one attempt.
    intervened_shares: part of the steps that somebody else acted in, in each fifth of the run; None: no episode ended
    there. evaluations: the newest of each kind (`deterministic`, `stochastic`; and each `in drawn worlds`), as
    `robot-rl eval --json` prints it; those of policies kept on the way are left to `robot-rl compare`.
    """
    episodes = [record for record in records if record["kind"] == "episode"]
    updates = [record for record in records if record["kind"] == "update"]
    recent = [record["success"] for record in episodes if record["success"] is not None][-RECENT:]
    returns = [record["return"] for record in episodes][-RECENT:]
    steps = max((record["step"] for record in (*episodes, *updates)), default=0)
    interventions = [record.get("intervened") or 0 for record in episodes]
    return {
        "task": config.task,
        "agent": config.agent,
        "obs": config.obs,
        "transport": config.transport,
        "clock": config.clock,
        "seed": config.seed,
        "steps": steps,
        "steps_wanted": config.steps,
        "episodes": len(episodes),
        "updates": int(updates[-1]["updates"]) if updates else 0,
        "utd": updates[-1].get("utd") if updates else None,
        "utd_wanted": None if config.agent in OFFLINE else config.learner.utd,
        "updates_refused": _refused(records),
        **{key: _worst(episodes, key) for key in ("weights_age_p99_s", "weights_lag_p99_steps", "act_p99_ms")},
        "act_overruns": sum(record.get("act_overruns") or 0 for record in episodes),
        "robot_s": round(sum(record.get("robot_s") or 0.0 for record in episodes), 3),
        "reset_s": round(sum(record.get("reset_s") or 0.0 for record in episodes), 3),
        "resets_retried": sum(bool(record.get("reset_failures")) for record in episodes),
        "train_wall_s": round(sum(_wall(session) for session in sessions(records)), 3),
        "success_rate_recent": sum(recent) / len(recent) if recent else None,
        "return_recent": sum(returns) / len(returns) if returns else None,
        "intervened_steps": sum(interventions),
        "intervened_shares": intervened_shares(episodes, steps),
        "sessions": len(sessions(records)),
        "node_deaths": sum(record["kind"] == "node" and record["event"] == "died" for record in records),
        "damaged_records": sum(record["kind"] == "damaged" for record in records),
        "evaluations": _evaluations(records),
    }


def intervened_shares(episodes: Sequence[Record], steps: int, parts: int = 5) -> list[float | None]:
    """How the work of whoever takes over changes: part of the steps of each of `parts` stretches of the run."""
    made, taken = [0] * parts, [0] * parts
    for episode in episodes:
        part = min(parts - 1, parts * episode["step"] // max(1, steps))
        made[part] += episode["length"]
        taken[part] += episode.get("intervened") or 0
    return [round(one / all_, 4) if all_ else None for one, all_ in zip(taken, made, strict=True)]


def sessions(records: Sequence[Record]) -> list[list[Record]]:
    """The records between one start or resume of the run and the next."""
    found: list[list[Record]] = []
    for record in records:
        begins = record["kind"] == "run" and record["event"] in ("start", "resume")
        if begins or not found:
            found.append([])
        found[-1].append(record)
    return found


def _wall(session: Sequence[Record]) -> float:
    """Seconds that a session trained."""
    training = [record for record in session if record["kind"] in ("episode", "update")]
    marks = [record for record in session if record["kind"] == "phase" and record["name"] == "train"]
    if not training:
        return 0.0
    first = marks[0] if marks else training[0]
    return max(0.0, training[-1]["time"] - first["time"])


def _refused(records: Sequence[Record]) -> int:
    """Updates that were refused: each session counts anew."""
    counts = (
        [record.get("refused") or 0 for record in session if record["kind"] == "update"]
        for session in sessions(records)
    )
    return int(sum(max(session, default=0) for session in counts))


def _worst(episodes: Sequence[Record], key: str) -> float | None:
    """The largest of a number that episodes tell of; None where none does."""
    return max((record[key] for record in episodes if record.get(key) is not None), default=None)


def _evaluations(records: Sequence[Record]) -> dict[str, Any]:
    newest: dict[str, Any] = {}
    for record in records:
        if record["kind"] == "eval" and "step" not in record:
            name = "deterministic" if record.get("deterministic", True) else "stochastic"
            name += " in drawn worlds" if record.get("randomise") else ""
            name += f" in {record['engine']}" if record.get("engine", "mujoco") != "mujoco" else ""
            newest[name] = {key: value for key, value in record.items() if key not in ("kind", "time")}
    return newest


def write_report(run: RunFolder) -> dict[str, Any]:
    """Write `summary.json` and `curves.png` from what the run holds; returns the summary."""
    from robot_rl.curves import write_curves

    config, records = run.config(), read_metrics(run.metrics)
    summary = summarise(config, records)
    run.report.mkdir(parents=True, exist_ok=True)
    scratch = run.summary.with_name(".summary.json.tmp")
    scratch.write_text(json.dumps(summary, indent=2) + "\n")
    scratch.replace(run.summary)
    write_curves(records, run.curves, f"{config.task}, {config.agent}, seed {config.seed}")
    return summary


def write_video(frames: Iterable[Image], path: Path, fps: float) -> int:
    """Write (h, w, 3) uint8 frames of one size as H.264 that every player shows; returns their number.

    An odd size loses its last row or column, which yuv420p cannot hold. Without a frame nothing is written.
    """
    count, encoder = 0, None
    scratch = path.with_name(f".{path.stem}.tmp{path.suffix}")
    for frame in frames:
        height, width = frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2
        if encoder is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            encoder = _encoder(scratch, width, height, fps)
        assert encoder.stdin is not None
        encoder.stdin.write(frame[:height, :width].tobytes())
        count += 1
    if encoder is not None:
        said = encoder.communicate()[1]
        if encoder.returncode:
            raise OSError(f"{path} could not be written: {said.decode(errors='replace').strip()}")
        scratch.replace(path)
    return count


def _encoder(path: Path, width: int, height: int, fps: float) -> subprocess.Popen[bytes]:
    """FFmpeg, reading raw RGB frames; in a process group of its own, so that Ctrl-C does not cut the file."""
    import imageio_ffmpeg

    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-"]
    target = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "23", "-preset", "veryfast"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *source, *target]
    command += ["-movflags", "+faststart", str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)


def _outcome(name: str, result: Record) -> tuple[str, str]:
    """An evaluation's row: its successes, or its mean return where the environment does not tell of any."""
    if result["ci95"] is None:
        low, high = result["return_ci95"]
        text = f"[bold]{result['mean_return']:.1f}[/] over {result['episodes']} episodes"
        return f"return, {name}", f"{text}  (95 % interval {low:.1f} to {high:.1f})"
    low, high = result["ci95"]
    share = f"{result['successes']} of {result['episodes']}"
    return f"success, {name}", f"[bold]{share}[/]  (95 % interval {100 * low:.0f} to {100 * high:.0f} %)"


def print_report(run: RunFolder, summary: dict[str, Any], console: Console) -> None:
    """The closing table: what was reached, and where everything lies."""
    table = Table(show_header=False, title=f"{summary['task']}, seed {summary['seed']}", title_justify="left")
    table.add_column(style="dim")
    table.add_column()
    for name, result in summary["evaluations"].items():
        table.add_row(*_outcome(name, result))
        if result.get("mean_cycle_s") is not None:
            table.add_row(f"cycle, {name}", f"{result['mean_cycle_s']:.1f} s of robot time")
    recent = summary["success_rate_recent"]
    if recent is not None:
        table.add_row(f"success, last {RECENT} of training", f"{100 * recent:.0f} %")
    elif summary["return_recent"] is not None:
        table.add_row(f"return, last {RECENT} of training", f"{summary['return_recent']:.1f}")
    robot = f"{summary['steps']:,} steps, {summary['robot_s'] / 60:.1f} min of robot time"
    table.add_row("trained", f"{robot}, {clock(summary['train_wall_s'])} min of wall time")
    if summary["resets_retried"]:
        table.add_row("resets", f"{summary['resets_retried']:,} took more than one attempt (metrics.jsonl says why)")
    if summary["intervened_steps"]:
        shares = [share for share in summary["intervened_shares"] if share is not None]
        text = f"{100 * shares[0]:.0f} % of the steps at first, {100 * shares[-1]:.0f} % at the end"
        table.add_row("taken over", f"{summary['intervened_steps']:,} steps: {text}")
    refused = f", {summary['updates_refused']:,} refused" if summary["updates_refused"] else ""
    ratio = f", {summary['utd']:.2f} a step of {summary['utd_wanted']} asked" if summary["utd"] is not None else ""
    table.add_row("updates", f"{summary['updates']:,}{ratio}{refused}")
    if summary["weights_age_p99_s"] is not None:
        age = f"{summary['weights_age_p99_s']:.1f} s, {summary['weights_lag_p99_steps']:.0f} steps behind"
        table.add_row("weights' age, p99 of the worst episode", age)
        overruns = f", above budget at {summary['act_overruns']:,} steps" if summary["act_overruns"] else ""
        table.add_row("acting, p99 of the worst episode", f"{summary['act_p99_ms']:.1f} ms{overruns}")
    for path in (run.summary, run.curves, run.video):
        if path.exists():
            table.add_row(path.suffix[1:], str(path))
    console.print(table)
