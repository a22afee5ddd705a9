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
from robot_rl.config import RunConfig
from robot_rl.live import clock
from robot_rl.metrics import Record, read_metrics
from robot_rl.runs import RunFolder

RECENT = 20
"""Episodes that the closing success rate is taken over."""


def summarise(config: RunConfig, records: Sequence[Record]) -> dict[str, Any]:
    """What `summary.json` holds. Pure: the same metrics give the same summary.

    train_wall_s: from the first step of training to the last record, over all resumes. robot_s: of all episodes.
    evaluations: the newest of each kind (`deterministic` or `stochastic`), as `robot-rl eval --json` prints it.
    """
    episodes = [record for record in records if record["kind"] == "episode"]
    updates = [record for record in records if record["kind"] == "update"]
    recent = [record["success"] for record in episodes if record["success"] is not None][-RECENT:]
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
        "robot_s": round(sum(record.get("robot_s") or 0.0 for record in episodes), 3),
        "train_wall_s": round(sum(_wall(session) for session in sessions(records)), 3),
        "success_rate_recent": sum(recent) / len(recent) if recent else None,
        "intervened_steps": sum(interventions),
        "sessions": len(sessions(records)),
        "node_deaths": sum(record["kind"] == "node" and record["event"] == "died" for record in records),
        "damaged_records": sum(record["kind"] == "damaged" for record in records),
        "evaluations": _evaluations(records),
    }


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


def _evaluations(records: Sequence[Record]) -> dict[str, Any]:
    newest: dict[str, Any] = {}
    for record in records:
        if record["kind"] == "eval":
            name = "deterministic" if record.get("deterministic", True) else "stochastic"
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


def print_report(run: RunFolder, summary: dict[str, Any], console: Console) -> None:
    """The closing table: what was reached, and where everything lies."""
    table = Table(show_header=False, title=f"{summary['task']}, seed {summary['seed']}", title_justify="left")
    table.add_column(style="dim")
    table.add_column()
    for name, result in summary["evaluations"].items():
        low, high = result["ci95"]
        share = f"{result['successes']} of {result['episodes']}"
        table.add_row(f"success, {name}", f"[bold]{share}[/]  (95 % interval {100 * low:.0f} to {100 * high:.0f} %)")
        if result.get("mean_cycle_s") is not None:
            table.add_row(f"cycle, {name}", f"{result['mean_cycle_s']:.1f} s of robot time")
    recent = summary["success_rate_recent"]
    if recent is not None:
        table.add_row(f"success, last {RECENT} of training", f"{100 * recent:.0f} %")
    robot = f"{summary['steps']:,} steps, {summary['robot_s'] / 60:.1f} min of robot time"
    table.add_row("trained", f"{robot}, {clock(summary['train_wall_s'])} min of wall time")
    table.add_row("updates", f"{summary['updates']:,}")
    for path in (run.summary, run.curves, run.video):
        if path.exists():
            table.add_row(path.suffix[1:], str(path))
    console.print(table)
