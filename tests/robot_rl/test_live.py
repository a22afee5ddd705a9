import io

import pytest
from rich.console import Console

from robot_rl.live import LiveView, Progress, clock, line, percent, view
from robot_rl.metrics import MetricsFollower, MetricsWriter


def progress():
    state = Progress()
    state.add({"kind": "run", "time": 0.0, "event": "start", "steps": 1000})
    state.add({"kind": "phase", "time": 0.0, "name": "train"})
    for k in range(10):
        state.add({"kind": "update", "time": 10.0 + k, "step": 100 + 20 * k, "updates": 50 * k, "version": k})
    for k in range(25):
        state.add({"kind": "episode", "time": 19.0, "step": 280, "success": k >= 20, "robot_s": 6.0})
    return state


def test_numbers_come_from_the_records():
    state = progress()
    assert (state.step, state.total, state.updates, state.version, state.episodes) == (280, 1000, 450, 9, 25)
    assert state.success_rate == 5 / 20
    assert state.robot_s == 150.0
    assert state.steps_per_s == pytest.approx(20.0)
    assert state.updates_per_s == pytest.approx(50.0)
    assert state.eta_s == pytest.approx(720 / 20)


def test_an_episode_that_the_runs_end_cut_has_no_outcome():
    state = progress()
    state.add({"kind": "episode", "time": 20.0, "step": 285, "success": None, "robot_s": 6.0})
    assert (state.success_rate, state.step) == (5 / 20, 285)


def test_nothing_is_known_at_first():
    state = Progress()
    assert (state.success_rate, state.eta_s, state.updates_per_s) == (None, None, 0.0)
    assert line(state) == "starting"


def test_speed_forgets_what_is_long_ago_and_a_pause():
    state = Progress(total=1000)
    state.add({"kind": "update", "time": 0.0, "step": 0, "updates": 0})
    state.add({"kind": "update", "time": 100.0, "step": 100, "updates": 1})
    state.add({"kind": "update", "time": 110.0, "step": 200, "updates": 2})
    assert state.steps_per_s == pytest.approx(10.0)
    state.add({"kind": "run", "time": 5000.0, "event": "resume", "steps": 2000})
    assert (state.steps_per_s, state.total, state.step) == (0.0, 2000, 200)


def test_plain_line():
    assert line(progress()) == "step 280/1,000  success 25 %  robot 2.5 min  50 updates/s  ETA 0:36"


def test_phase_before_training():
    state = Progress()
    state.add({"kind": "phase", "time": 0.0, "name": "demos", "done": 3, "total": 20})
    assert line(state) == "recording demonstrations 3/20"


def test_a_node_that_died_is_named_with_its_last_words():
    state = progress()
    state.add({"kind": "node", "time": 20.0, "name": "learner", "event": "died", "detail": "killed by signal 9"})
    assert state.nodes == {"learner": "died"}
    state.add({"kind": "node", "time": 20.0, "name": "learner", "event": "restarted", "detail": ""})
    assert state.messages == ["node learner died: killed by signal 9", "node learner restarted"]


@pytest.mark.parametrize("state", [Progress(), progress()])
def test_view_is_drawn(state):
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(view(state, "reach", 65.0))
    text = console.export_text()
    for part in ("1:05", "success, last 20", "robot time", "updates/s", "ETA", "Ctrl-C stops"):
        assert part in text
    assert ("280 of 1,000 steps" in text) == (state.total == 1000)


def test_plain_mode_prints_lines_and_feeds_sinks(tmp_path):
    path, seen, out = tmp_path / "metrics.jsonl", [], io.StringIO()
    with MetricsWriter(path) as metrics:
        metrics.write("run", event="start", steps=50)
        metrics.write("episode", step=10, success=True, robot_s=3.0)
        console = Console(file=out, width=200)
        with LiveView(MetricsFollower(path), "reach", console=console, sinks=[seen.append], every=0.01):
            metrics.write("update", step=20, updates=5, version=1)
            metrics.write("node", name="reward", event="died", detail="boom")
    text = out.getvalue()
    assert "step 20/50" in text
    assert text.count("node reward died: boom") == 1
    assert "\x1b" not in text
    assert [record["kind"] for record in seen] == ["update", "node"]  # what was there before is not logged twice


def test_terminal_mode_draws_one_view(tmp_path):
    path, out = tmp_path / "metrics.jsonl", io.StringIO()
    with MetricsWriter(path) as metrics:
        console = Console(file=out, force_terminal=True, width=100)
        with LiveView(MetricsFollower(path), "reach", console=console, every=0.01):
            metrics.write("run", event="start", steps=50)
            metrics.write("episode", step=10, success=True, robot_s=3.0)
    assert "10 of 50 steps" in out.getvalue()


def test_clock_and_percent():
    assert (clock(None), clock(59.6), clock(3725)) == ("-", "1:00", "1:02:05")
    assert (percent(None), percent(0.256)) == ("-", "26 %")


def test_a_notice_is_shown_as_it_is():
    state = progress()
    state.add({"kind": "notice", "time": 20.0, "text": "checkpoint 3 is damaged; going on from 2"})
    assert state.messages == ["checkpoint 3 is damaged; going on from 2"]


def test_the_achieved_ratio_and_the_weights_age_are_shown():
    state = progress()
    state.add({"kind": "update", "time": 20.0, "step": 281, "updates": 460, "utd": 3.84})
    state.add({"kind": "episode", "time": 20.0, "step": 282, "success": True, "weights_age_s": 0.52})
    state.add({"kind": "episode", "time": 20.0, "step": 283, "success": True})
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(view(state, "reach", 65.0))
    assert "3.8 updates per step, weights that act 0.5 s old" in console.export_text()


def test_an_operators_keys_are_always_shown_and_what_was_asked_for():
    progress = Progress()
    progress.add({"kind": "phase", "time": 0.0, "name": "train"})

    def shown():
        console = Console(width=120, record=True, file=io.StringIO())
        console.print(view(progress, "run", 1.0, keys="1 success  0 stop"))
        return console.export_text()

    assert "running   1 success  0 stop" in shown()
    progress.add({"kind": "operator", "time": 1.0, "paused": True, "stopping": False, "text": "paused"})
    assert "paused   1 success  0 stop" in shown() and not progress.stopped
    progress.add({"kind": "operator", "time": 2.0, "paused": False, "stopping": False, "text": "episode 3"})
    assert "running   1 success" in shown()
    progress.add({"kind": "operator", "time": 3.0, "paused": False, "stopping": True, "text": "stopping"})
    assert "stopping   1 success" in shown() and progress.stopped
    progress.add({"kind": "run", "time": 4.0, "event": "resume", "steps": 5})
    assert not progress.stopped
