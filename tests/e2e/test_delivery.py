"""Experience on its way between processes, and between machines where namespaces are allowed."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from benchmarks.cable import ADDRESSES, Cable, Weather
from benchmarks.common import ROOT
from benchmarks.faults import interrupt, storm
from benchmarks.stand_in import ARRIVALS, audit, command, prepare
from robot_rl.actors import journal_folder, own_config
from robot_rl.checkpoint import newest_checkpoint
from robot_rl.data.journal import read_journal
from robot_rl.lifeline import PARENT
from robot_rl.metrics import MetricsWriter
from robot_rl.nodes.environment import Domain, clean_shared_memory, network_environment, ros_environment
from robot_rl.supervisor import train_graph
from robot_rl.training import make_learner
from tests.e2e.test_training import wait_until


def test_two_actors_each_in_a_twin_of_its_own_train_one_learner(make_run):
    run = make_run("two", steps=121, actors=2)
    with MetricsWriter(run.metrics) as metrics:
        train_graph(run.config(), run, metrics)
        learner = make_learner(run.config(), run, metrics)
    stored = {name: list(read_journal(journal_folder(run, name))) for name in ("actor0", "actor1")}
    assert [len(steps) for steps in stored.values()] == [61, 60]
    for name, steps in stored.items():
        assert {step.actor for step in steps} == {name}
        assert len({(step.episode, step.step) for step in steps}) == len(steps)
    first, second = (steps[0].observation["tool_position"].tolist() for steps in stored.values())
    assert first != second
    assert own_config(run.config(), "actor1").seed != run.config().seed
    assert learner.version >= 8
    assert learner.received >= 40 + 10 * 7
    learner.close()


@pytest.fixture
def processes():
    """Starts processes, and leaves none."""
    started = []

    def start(words, environment, **values):
        environment = {**environment, PARENT: str(os.getpid())}
        started.append(subprocess.Popen(words, env=environment, cwd=ROOT, text=True, **values))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
    clean_shared_memory()


def test_a_lost_journal_ends_its_actor_with_a_sentence_and_the_others_go_on(tmp_path, processes):
    run = prepare(tmp_path / "run", actors=2)
    with Domain(run.path) as domain:
        environment = ros_environment(os.environ, domain=domain.number)

        def act(name, steps):
            words = command(name, run, "--rate", "0", "--steps", str(steps))
            return processes(words, environment, stderr=subprocess.PIPE)

        learner = processes(command("learner", run), environment)
        assert [actor.wait(60.0) for actor in (act("actor0", 30), act("actor1", 30))] == [0, 0]
        journal_folder(run, "actor1").rename(tmp_path / "mislaid")
        refused, going_on = act("actor1", 60), act("actor0", 60)
        assert refused.wait(60.0) == 2
        said = refused.stderr.read()
        assert "the learner has 30 records of 'actor1' from journal" in said
        assert "bring the other one back from a copy, or begin a new run" in said
        assert "Traceback" not in said
        assert going_on.wait(60.0) == 0
        interrupt(learner)
    (tmp_path / "mislaid").rename(tmp_path / "run" / "found")
    for file in journal_folder(run, "actor1").iterdir():
        file.unlink()
    journal_folder(run, "actor1").rmdir()
    (tmp_path / "run" / "found").rename(journal_folder(run, "actor1"))
    result = audit(run)
    assert (result.kept, result.faults) == (90, 0)


@pytest.fixture
def cable(monkeypatch):
    if obstacle := Cable.possible():
        pytest.skip(f"no network namespaces: {obstacle}")
    for name in [name for name in os.environ if name.startswith(("ROS_", "FASTRTPS"))]:
        monkeypatch.delenv(name)
    with Cable(f"test{os.getpid()}") as made:
        yield made


def test_a_lossy_line_between_two_machines_loses_nothing(tmp_path, processes, cable):
    cable.weather = Weather(delay=0.02, jitter=0.02, loss=0.05, doubled=0.05)
    run = prepare(tmp_path / "run", obs="pixels", peers=ADDRESSES)
    environment = network_environment(os.environ, ADDRESSES, run.identity)
    learner = processes(cable.command(1, command("learner", run)), environment)
    actor = processes(cable.command(0, command("actor0", run, "--rate", "20", "--steps", "60")), environment)
    assert actor.wait(120.0) == 0
    interrupt(learner)
    assert cable.lost > 50
    result = audit(run)
    assert (result.kept, result.faults) == (60, 0)


@pytest.mark.long
def test_a_cut_cable_stops_nobody_and_everything_comes_when_it_is_mended(tmp_path, processes, cable):
    run = prepare(tmp_path / "run", obs="pixels", peers=ADDRESSES)
    environment = network_environment(os.environ, ADDRESSES, run.identity)
    learner = processes(cable.command(1, command("learner", run, "--note")), environment)
    actor = processes(cable.command(0, command("actor0", run, "--rate", "10", "--steps", "200")), environment)
    wait_until((run.path / ARRIVALS).exists)
    cable.cut()
    wait_until(lambda: sum(1 for _ in read_journal(run.journal)) > 120)  # longer than the lease: each side forgets
    arrived = len((run.path / ARRIVALS).read_text().splitlines())
    learner.send_signal(signal.SIGKILL)
    learner = processes(cable.command(1, command("learner", run)), environment)
    cable.mend()
    assert arrived < 60
    assert actor.wait(120.0) == 0
    interrupt(learner)
    result = audit(run)
    assert (result.kept, result.faults) == (200, 0)


@pytest.mark.long
def test_the_command_line_trains_on_two_machines(tmp_path, processes, cable):
    robot, learner = tmp_path / "robot", tmp_path / "learner"
    train = [sys.executable, "-m", "robot_rl.cli", "train", "reach", "--peers", ",".join(ADDRESSES)]
    settings = {"critics": "2", "hidden": "32,32", "utd": "1", "start": "40"}
    small = [word for name, value in settings.items() for word in (f"--learner.{name}", value)]
    begin = [
        *train,
        "--run",
        str(robot),
        "--here",
        "actor0",
        "--steps",
        "150",
        "--demos",
        "2",
        "--clock",
        "realtime",
        *small,
    ]
    acting = processes(cable.command(0, begin), {**os.environ, "TERM": "dumb"})
    wait_until((robot / "identity").exists)
    learner.mkdir()
    for name in ("config.yaml", "identity"):
        shutil.copy(robot / name, learner)
    (tmp_path / "tmp").mkdir()  # where locks lie: each machine has its own
    follow = cable.command(1, [*train, "--run", str(learner), "--here", "learner", "--resume"])
    learning = processes(follow, {**os.environ, "TERM": "dumb", "TMPDIR": str(tmp_path / "tmp")})
    assert acting.wait(200.0) == 0
    learning.send_signal(signal.SIGINT)
    assert learning.wait(100.0) == 130
    assert sorted(path.stem for path in (robot / "logs").iterdir()) == ["actor", "arm", "reset", "reward"]
    assert [path.stem for path in (learner / "logs").iterdir()] == ["learner"]
    assert not (learner / "journal").exists()
    assert newest_checkpoint(learner / "checkpoints").state["next_sequence"] == {"actor0": 150}


@pytest.mark.long
def test_a_small_storm_leaves_nothing_lost_doubled_or_wrong(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("ROS_", "FASTRTPS"))]:
        monkeypatch.delenv(name)
    result = storm(tmp_path / "run", 6, seed=1)
    assert sum(result["faults"].values()) == 6
    assert result["kept"] > 0
    assert (result["lost"], result["doubled"], result["wrong"], result["strange"]) == (0, 0, 0, 0)
