import json
import multiprocessing

import jax.numpy as jnp
import numpy as np

from robot_rl.metrics import MetricsFollower, MetricsWriter, read_metrics


def test_records_read_back(tmp_path):
    with MetricsWriter(tmp_path / "a" / "metrics.jsonl") as metrics:
        metrics.write("episode", step=3, **{"return": np.float32(0.5)}, success=np.bool_(True), values=np.arange(2))
        metrics.write("update", critic_loss=jnp.float32(2), entropy=float("nan"), nested={"a": (1, None)})
    first, second = read_metrics(tmp_path / "a" / "metrics.jsonl")
    assert first.pop("time") > 1e9
    assert first == {"kind": "episode", "step": 3, "return": 0.5, "success": True, "values": [0, 1]}
    assert (second["critic_loss"], second["entropy"], second["nested"]) == (2.0, None, {"a": [1, None]})


def test_follower_waits_for_the_end_of_a_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    follower = MetricsFollower(path)
    assert list(follower.read()) == []
    with path.open("w") as file:
        file.write('{"kind": "run", "time": 1}\n{"kind": "ep')
        file.flush()
        assert [record["kind"] for record in follower.read()] == ["run"]
        assert list(follower.read()) == []
        file.write('isode", "time": 2}\n')
    assert [record["kind"] for record in follower.read()] == ["episode"]


def test_what_a_crash_left_half_stays_one_record(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"kind": "run", "time": 1}\n{"kind": "episo')
    with MetricsWriter(path) as metrics:
        metrics.write("run", event="resume")
    assert [record["kind"] for record in read_metrics(path)] == ["run", "damaged", "run"]


def test_a_line_that_was_seen_half_written_leaves_no_record(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"kind": "run", "time": 1}\n\n{"kind": "episode", "time": 2}\n')
    assert [record["kind"] for record in read_metrics(path)] == ["run", "episode"]


def _write(path, name):
    with MetricsWriter(path) as metrics:
        for number in range(500):
            metrics.write("node", name=name, number=number, filler="x" * (number % 300))


def test_processes_share_the_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write, args=(path, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    for name in "ab":
        assert [record["number"] for record in read_metrics(path) if record["name"] == name] == list(range(500))
    assert all(json.loads(line) for line in path.read_text().splitlines() if line)
