import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from robot_rl.data.journal import read_journal
from robot_rl.disk import MENDS, disk_errors
from robot_rl.exceptions import DiskError
from robot_rl.metrics import MetricsWriter, read_metrics
from robot_rl.runs import RunFolder


@pytest.mark.parametrize("number", MENDS)
def test_a_disk_error_is_one_sentence_that_names_the_file_and_the_mend(number):
    with (
        pytest.raises(DiskError, match=rf"^the log cannot be written \(.*\); {MENDS[number]}, .* --resume"),
        disk_errors("the log"),
    ):
        raise OSError(number, os.strerror(number))
    with pytest.raises(DiskError, match="^/a/b cannot"), disk_errors("the log"):
        raise OSError(number, os.strerror(number), "/a/b")


def test_other_errors_stay_what_they_are():
    with pytest.raises(FileNotFoundError), disk_errors("the log"):
        Path("/nowhere/to/be/found").read_text()


def test_what_a_full_disk_tears_in_the_metrics_stays_one_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with MetricsWriter(path) as metrics:
        metrics.write("run", event="start")
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
            for _ in range(2):
                with pytest.raises(DiskError, match=r"metrics\.jsonl cannot be written"):
                    metrics.write("run", event="torn")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        metrics.write("run", event="resume")
    assert [record["kind"] for record in read_metrics(path)] == ["run", "damaged", "run"]


SMALL = "learner: {critics: 2, hidden: [32, 32], batch: 32, utd: 1, start: 40, block: 10, checkpoint_every: 40}\n"
MOUNT = 'mount -t tmpfs -o size=300k tmpfs $1 && shift && exec "$@"'


def in_small_disk(folder: Path) -> list[str]:
    """What runs a command with a file system of 300 kB in `folder`, which nobody else sees."""
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", str(folder)]


def can_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*in_small_disk(folder), "true"], capture_output=True).returncode == 0


FILL = """
import shutil, subprocess, sys
from robot_rl.cli import main
small, kept = sys.argv[1], sys.argv[2]
code = main(sys.argv[3:])
shutil.copytree(small + "/run", kept)
sys.exit(code)
"""


@pytest.mark.long
def test_a_run_stops_where_the_disk_is_full_and_goes_on_where_there_is_room(tmp_path):
    small, kept, config = tmp_path / "small", tmp_path / "kept", tmp_path / "small.yaml"
    small.mkdir()
    if not can_mount(small):
        pytest.skip("this machine lets nobody but root mount a small disk")
    config.write_text(SMALL)
    options = ["--transport", "inprocess", "--demos", "2", "--config", str(config)]
    train = ["train", "reach", "--steps", "20000", "--run", str(small / "run"), *options]
    full = subprocess.run(
        [*in_small_disk(small), sys.executable, "-c", FILL, str(small), str(kept), *train],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert full.returncode == 2, full.stderr
    last = full.stderr.strip().splitlines()[-1]
    assert last.startswith("robot-rl: ")
    assert "No space left on device" in last
    assert "--resume" in last
    assert "Traceback" not in full.stderr
    made = list(read_journal(kept / "journal"))
    assert 40 < len(made) < 3000
    episodes = [record for record in read_metrics(kept / "metrics.jsonl") if record["kind"] == "episode"]
    assert all(record["success"] is not None for record in episodes[:-1])
    again = ["train", "reach", "--resume", "--run", str(kept), "--steps", str(len(made) + 20)]
    subprocess.run([sys.executable, "-m", "robot_rl.cli", *again], check=True, timeout=300, capture_output=True)
    more = list(read_journal(RunFolder(kept).journal))
    assert len(more) == len(made) + 20
    assert [step.episode for step in more[: len(made)]] == [step.episode for step in made]
    assert more[len(made)].step == 0  # the episode that was cut off is not gone on with
    assert json.loads((kept / "report" / "summary.json").read_text())
