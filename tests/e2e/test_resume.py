"""Kill -9 of everything at once, at random moments: the run goes on as if it had never been killed."""

import dataclasses
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import psutil
import pytest

import tasks
from controllers.cells import load_cell
from robot_rl.config import effective
from robot_rl.data.journal import JournalReader
from robot_rl.data.label import Record
from robot_rl.learner import Learner
from robot_rl.metrics import MetricsWriter, read_metrics
from robot_rl.runs import RunFolder
from robot_rl.training import make_learner, read_demos

CLI = [sys.executable, "-m", "robot_rl.cli"]


def go_on(run: RunFolder) -> subprocess.Popen[bytes]:
    command = [*CLI, "train", "reach", "--run", str(run.path), "--resume"]
    return subprocess.Popen(command, env=os.environ | {"TERM": "dumb"}, stderr=subprocess.DEVNULL)


def steps_made(run: RunFolder) -> int:
    """As far as the run's processes have told."""
    return max((r["step"] for r in read_metrics(run.metrics) if r["kind"] in ("episode", "update")), default=0)


def kill_everything(process: subprocess.Popen[bytes]) -> None:
    everybody = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in everybody:
        if one.is_running():
            one.send_signal(signal.SIGKILL)
    process.wait()
    psutil.wait_procs(everybody, timeout=30)


def kill_at(run: RunFolder, moments: list[int], rng: random.Random) -> None:
    """Let the run make about so many steps, kill it, and so on; then let it end."""
    for moment in moments:
        process = go_on(run)
        wait_until(lambda wanted=moment: steps_made(run) >= wanted, process)
        time.sleep(rng.random() * 0.3)
        assert process.poll() is None
        kill_everything(process)
    assert go_on(run).wait(timeout=240) == 0


def check_whole(run: RunFolder, steps: int) -> None:
    """Each step once, in the journal and in the replay, to the bit; and learnt from as without any kill."""
    config = run.config()
    stored: list[Record] = list(JournalReader(run.journal).records())
    assert [step.sequence for step in stored] == list(range(steps))
    assert len({(step.episode, step.step) for step in stored}) == steps
    for before, after in itertools.pairwise(stored):
        assert after.step == (before.step + 1 if after.episode == before.episode else 0)
    with MetricsWriter(run.metrics) as metrics:
        learner = make_learner(config, run, metrics)
    assert (learner.received, learner.next_sequence("actor0")) == (steps, steps)
    online = learner.experience.online
    held = online.gather(np.arange(len(online)))
    np.testing.assert_array_equal(held.action, [step.action for step in stored])
    np.testing.assert_array_equal(held.reward, np.float32([step.reward for step in stored]))
    np.testing.assert_array_equal(held.terminated, np.float32([step.terminated for step in stored]))
    for name in held.observation:
        np.testing.assert_array_equal(held.observation[name], [step.observation[name] for step in stored])
        np.testing.assert_array_equal(held.next_observation[name], [step.next_observation[name] for step in stored])
    assert not [record for record in read_metrics(run.metrics) if record["kind"] == "notice"]
    if config.clock == "lockstep":
        straight = Learner(config, stored[0].observation, learner.action_dim, read_demos(config, run))
        while straight.next_sequence("actor0") < steps or straight.ready():
            straight.receive(stored[straight.next_sequence("actor0") :])
            if straight.ready():
                straight.update_block()
        assert learner.version == straight.version == 1 + (steps - config.learner.start) // config.learner.block
        assert learner.policy_bytes() == straight.policy_bytes()
    learner.close()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2, 3))])
def test_a_run_in_one_process_killed_at_random_moments(make_run, seed):
    rng = random.Random(seed)
    run = make_run("killed", steps=300, transport="inprocess", learner={"checkpoint_every": 20})
    kill_at(run, sorted(rng.sample(range(1, 280), 1 + seed)), rng)
    check_whole(run, 300)


@pytest.mark.long
def test_a_run_with_images_killed_at_random_moments(make_run):
    """What the replay maps is changed in place, by a process that dies at any moment."""
    rng = random.Random(2)
    shipped = load_cell("twin_fr3")
    cameras = {name: dataclasses.replace(camera, size=(32, 32)) for name, camera in shipped.cameras.items()}
    run = make_run(
        "images", steps=150, transport="inprocess", obs="pixels", demos="0",
        cell=dataclasses.replace(shipped, cameras=cameras),
        learner={"checkpoint_every": 20, "batch": 4, "critics": 2, "capacity": 1000},
    )  # fmt: skip
    kill_at(run, sorted(rng.sample(range(50, 140), 2)), rng)
    check_whole(run, 150)


@pytest.mark.parametrize(
    "clock, kills", [("lockstep", 1), *(pytest.param(c, 3, marks=pytest.mark.long) for c in ("lockstep", "realtime"))]
)
def test_a_whole_graph_killed_at_random_moments(make_run, clock, kills):
    rng = random.Random(3)
    steps = 200 if clock == "lockstep" else 120
    run = make_run("graph", steps=steps, clock=clock, learner={"checkpoint_every": 20})
    kill_at(run, sorted(rng.sample(range(10, steps - 20), kills)), rng)
    check_whole(run, steps)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_return_after_a_crash_is_not_below_the_return_before(tmp_path):
    """Of the policy at the newest checkpoint before, and at the end; and of the episodes on either side."""
    config = effective(tasks.load("reach"), {"transport": "inprocess", "steps": 1500, "seed": 1})
    run = RunFolder.create(dataclasses.replace(config, run=tmp_path / "run"))
    process = go_on(run)
    wait_until(lambda: steps_made(run) >= 1200, process)
    kill_everything(process)
    before = evaluated(run)
    assert go_on(run).wait(timeout=600) == 0
    assert evaluated(run) >= before >= 15
    ends = [
        r
        for r in read_metrics(run.metrics)
        if r["kind"] == "run" or (r["kind"] == "episode" and r["success"] is not None)
    ]
    crash = max(i for i, record in enumerate(ends) if record["kind"] == "run" and record["event"] == "resume")
    last, first = (
        [record["return"] for record in part if record["kind"] == "episode"]
        for part in (ends[:crash][-20:], ends[crash:][:21])
    )
    assert len(last) == len(first) == 20
    assert np.mean(first) >= np.mean(last) - 2 * np.std(last) / np.sqrt(20)


def evaluated(run: RunFolder) -> int:
    """Successes of 20 episodes."""
    command = [*CLI, "eval", str(run.path), "--episodes", "20", "--seed", "1", "--json"]
    done = subprocess.run(command, check=True, timeout=300, stdout=subprocess.PIPE, text=True)
    return int(json.loads(done.stdout)["successes"])


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
