import io
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from robot_rl.config import RunConfig
from robot_rl.curves import rolling
from robot_rl.metrics import MetricsWriter
from robot_rl.report import intervened_shares, print_report, sessions, summarise, write_report, write_video
from robot_rl.runs import RunFolder


def episode(time, step, success, **more):
    values = {"length": 10, "return": float(success or 0), "intervened": 0, "robot_s": 4.0, "version": 1}
    return {"kind": "episode", "time": time, "step": step, "success": success, **values, **more}


RECORDS = [
    {"kind": "run", "time": 0.0, "event": "start", "steps": 100},
    {"kind": "phase", "time": 1.0, "name": "demos", "done": 1, "total": 1},
    {"kind": "phase", "time": 10.0, "name": "train"},
    episode(20.0, 10, False, intervened=4),
    {"kind": "update", "time": 22.0, "step": 20, "updates": 80, "version": 2, "critic_loss": 0.5},
    {"kind": "node", "time": 23.0, "name": "learner", "event": "died", "detail": "killed"},
    {"kind": "run", "time": 30.0, "event": "stop", "steps": 100},
    {"kind": "run", "time": 1000.0, "event": "resume", "steps": 100},
    {"kind": "phase", "time": 1005.0, "name": "train"},
    episode(1015.0, 30, True),
    {"kind": "update", "time": 1016.0, "step": 30, "updates": 120, "version": 3, "critic_loss": 0.25},
    {"kind": "eval", "time": 2000.0, "successes": 9, "episodes": 10, "ci95": [0.6, 0.98], "deterministic": True},
    {"kind": "eval", "time": 2001.0, "successes": 8, "episodes": 10, "ci95": [0.5, 0.94], "deterministic": False},
    {"kind": "eval", "time": 2002.0, "successes": 10, "episodes": 10, "ci95": [0.7, 1.0], "deterministic": True},
    {"kind": "damaged", "time": None, "text": "{"},
]


def test_summary_counts_what_happened():
    summary = summarise(RunConfig("reach", steps=100, seed=3), RECORDS)
    assert (summary["task"], summary["seed"], summary["steps_wanted"]) == ("reach", 3, 100)
    assert (summary["steps"], summary["episodes"], summary["updates"]) == (30, 2, 120)
    assert summary["robot_s"] == 8.0
    assert summary["train_wall_s"] == pytest.approx((22 - 10) + (1016 - 1005))  # neither demos nor the pause
    assert summary["success_rate_recent"] == 0.5
    assert (summary["intervened_steps"], summary["sessions"]) == (4, 2)
    assert (summary["node_deaths"], summary["damaged_records"]) == (1, 1)


def test_summary_says_how_the_learner_and_the_actor_kept_up():
    timing = {"weights_age_p99_s": 0.4, "weights_lag_p99_steps": 20, "act_p99_ms": 3.0, "act_overruns": 1}
    records = [
        episode(1.0, 10, True, **timing),
        episode(2.0, 20, True, **timing | {"weights_age_p99_s": 0.9}),
        {"kind": "update", "time": 3.0, "step": 20, "updates": 60, "refused": 2.0, "utd": 3.75},
        {"kind": "run", "time": 4.0, "event": "resume"},
        {"kind": "update", "time": 5.0, "step": 30, "updates": 90, "refused": 1.0, "utd": 3.5},
    ]
    summary = summarise(RunConfig("reach", steps=25), records)
    assert (summary["utd"], summary["utd_wanted"], summary["updates_refused"]) == (3.5, 4, 3)
    assert (summary["weights_age_p99_s"], summary["weights_lag_p99_steps"], summary["act_p99_ms"]) == (0.9, 20, 3.0)
    assert summary["act_overruns"] == 2
    console = Console(record=True, width=200, file=io.StringIO())
    print_report(RunFolder(Path("none")), summary, console)
    text = console.export_text()
    for part in ("90, 3.50 a step of 4 asked, 3 refused", "0.9 s, 20 steps behind", "3.0 ms, above budget at 2 steps"):
        assert part in text


def test_an_episode_that_the_runs_end_cut_has_no_outcome():
    records = [episode(1.0, 10, True), episode(2.0, 20, True), episode(3.0, 25, None)]
    summary = summarise(RunConfig("reach", steps=25), records)
    assert (summary["episodes"], summary["success_rate_recent"], summary["robot_s"]) == (3, 1.0, 12.0)


def test_summary_keeps_the_newest_evaluation_of_each_kind():
    evaluations = summarise(RunConfig("reach"), RECORDS)["evaluations"]
    assert evaluations["deterministic"]["successes"] == 10
    assert evaluations["stochastic"]["successes"] == 8


def test_summary_of_a_run_that_did_nothing():
    summary = summarise(RunConfig("reach"), [])
    assert (summary["steps"], summary["success_rate_recent"], summary["evaluations"]) == (0, None, {})


def test_sessions_split_at_start_and_resume():
    assert [len(session) for session in sessions(RECORDS)] == [7, 8]


@pytest.mark.parametrize("records", [[], RECORDS])
def test_report_lies_in_the_run_folder(tmp_path, records):
    run = RunFolder.create(RunConfig("reach", run=tmp_path / "run", steps=100))
    with MetricsWriter(run.metrics) as metrics:
        for record in records:
            metrics.write(record["kind"], **{key: value for key, value in record.items() if key != "kind"})
    summary = write_report(run)
    assert json.loads(run.summary.read_text()) == summary
    assert summary["steps"] == (30 if records else 0)
    assert run.curves.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    console = Console(record=True, width=200, file=io.StringIO())
    print_report(run, summary, console)
    text = console.export_text()
    assert str(run.curves) in text.replace("\n", "")
    assert ("10 of 10" in text) == bool(records)


def test_rolling_mean():
    values = np.array([1.0, 0.0, 2.0, 4.0])
    np.testing.assert_allclose(rolling(values, 2), [1.0, 0.5, 1.0, 3.0])
    np.testing.assert_allclose(rolling(values, 10), np.cumsum(values) / [1, 2, 3, 4])
    assert rolling(np.array([]), 5).shape == (0,)


def test_video_holds_the_frames(tmp_path):
    import imageio_ffmpeg

    shades = [40, 120, 200]
    frames = [np.full((65, 64, 3), shade, np.uint8) for shade in shades]
    assert write_video(iter(frames), tmp_path / "report" / "eval.mp4", fps=10) == 3
    decode = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(tmp_path / "report" / "eval.mp4")]
    decode += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(decode, capture_output=True, check=True)
    for part in (b"h264", b"yuv420p", b"64x64", b"10 fps"):
        assert part in done.stderr
    means = np.frombuffer(done.stdout, np.uint8).reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(means, shades, atol=4)


def test_video_of_nothing_is_none(tmp_path):
    assert write_video(iter([]), tmp_path / "eval.mp4", fps=10) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_report_says_how_the_work_of_whoever_takes_over_changes():
    episodes = [
        {"step": step, "length": 10, "intervened": taken}
        for step, taken in ((10, 9), (20, 7), (30, 4), (50, 1), (60, None), (100, 0))
    ]
    assert intervened_shares(episodes, 100) == [0.9, 0.55, 0.1, 0.0, 0.0]
    assert intervened_shares([], 0) == [None] * 5
