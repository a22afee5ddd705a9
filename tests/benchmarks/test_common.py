import json
import subprocess
import sys

import pytest

from benchmarks import __main__ as every
from benchmarks import common
from benchmarks.common import Figure, Partial, at_least, at_most, main


def test_targets_are_compared_the_right_way_round():
    assert at_least("a", 5, "Hz", 5).met is True
    assert at_least("a", 4.9, "Hz", 5).met is False
    assert at_most("a", 5, "us", 5).met is True
    assert at_most("a", 5.1, "us", 5, peer="p", peer_value=10.2, ratio=0.5).met is False
    assert Figure("a", 1, "Hz").met is None


def test_json_is_one_object_of_the_promised_form(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "--json", "--quick"])
    seen = []
    main("thing", lambda quick: seen.append(quick) or [at_least("speed", 70.0, "1/s", 60.0, peer="p", peer_value=7.0)])
    (line,) = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert seen == [True]
    assert result["benchmark"] == "thing"
    assert set(result["machine"]) == {"cpu", "cores", "os", "python"}
    assert result["figures"] == [
        {
            "name": "speed",
            "value": 70.0,
            "unit": "1/s",
            "target": 60.0,
            "met": True,
            "peer": "p",
            "peer_value": 7.0,
            "ratio": None,
        }
    ]


def test_table_shows_what_was_missed(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.setenv("COLUMNS", "120")
    main("thing", lambda quick: [at_most("delay", 12345.6, "us", 50.0), Figure("share", 0.25, "")])
    out = capsys.readouterr().out
    for text in ("delay", "12,346", "no", "share", "0.25"):
        assert text in out


def test_partial_results_are_measured_once(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "BUILD", tmp_path)
    count = []
    partial = Partial("demo", quick=False)
    for _ in range(2):
        assert partial.once("seed0", lambda: count.append(1) or {"rate": 0.9}) == {"rate": 0.9}
    assert len(count) == 1
    assert Partial("demo", quick=True).get("seed0") is None


def test_partial_results_of_other_code_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "BUILD", tmp_path)
    Partial("demo", quick=False).put("seed0", 1)
    monkeypatch.setattr(common, "source_fingerprint", lambda: "another")
    assert Partial("demo", quick=False).get("seed0") is None


def test_fresh_forgets(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(common, "BUILD", tmp_path)
    Partial("thing", quick=False).put("seed0", 1)
    monkeypatch.setattr(sys, "argv", ["x", "--fresh"])
    main("thing", lambda quick: [Figure("kept", float(Partial("thing", quick).get("seed0") is not None), "")])
    assert Partial("thing", quick=False).get("seed0") is None


def test_every_benchmark_is_found_and_has_a_command_line():
    names = every.names()
    assert {"common", "__main__"}.isdisjoint(names)
    assert names
    for name in names:
        command = [sys.executable, "-m", f"benchmarks.{name}", "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "--quick" in done.stdout


def test_a_benchmark_that_fails_fails_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", "--quick"])
    monkeypatch.setattr(every, "names", lambda: ["no_such_benchmark"])
    assert every.main() == 1
    assert "failed: no_such_benchmark" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["_ROS_WHEELS_BOOTSTRAP_COMPLETE", "PYTHONPATH"])
def test_a_peer_starts_without_our_environment(monkeypatch, name):
    monkeypatch.setenv(name, "x")
    assert name not in common.peer_environment()
