"""Kill -9 in a run: it goes on by itself, and no stored transition is lost or doubled."""

import os
import signal

import numpy as np
import pytest

from robot_rl.checkpoint import newest_checkpoint
from robot_rl.data.journal import read_journal
from robot_rl.graph import graph
from robot_rl.metrics import MetricsWriter, read_metrics
from robot_rl.nodes.environment import Domain, clean_shared_memory, ros_environment
from robot_rl.runs import RunFolder
from robot_rl.supervisor import Supervisor
from robot_rl.training import make_learner

STEPS = 200


def steps_made(run: RunFolder) -> int:
    """Steps of finished episodes, as the actor reports them."""
    return max((r["step"] for r in read_metrics(run.metrics) if r["kind"] == "episode"), default=0)


@pytest.mark.parametrize("victim", ["learner", "actor", "reward"])
def test_a_killed_node_comes_back_and_nothing_is_lost_or_doubled(make_run, victim):
    run = make_run(victim, steps=STEPS)
    events = []
    with Domain(run.path) as domain:
        environment = ros_environment(os.environ, domain=domain.number)
        report = lambda name, event, detail: events.append((name, event, detail))  # noqa: E731
        killed = False
        with Supervisor(graph(run.config()), run.path, run.logs, environment, report) as nodes:
            while not nodes.poll():
                if not killed and steps_made(run) >= 80:
                    os.kill(nodes.process_id(victim), signal.SIGKILL)
                    killed = True
                nodes.wait()
        clean_shared_memory()

    assert killed
    assert [name for name, event, _ in events if event == "restarted"] == [victim]
    assert any(name == victim and event == "died" and "SIGKILL" in detail for name, event, detail in events)

    stored = list(read_journal(run.journal))
    assert [transition.sequence for transition in stored] == list(range(STEPS))
    keys = [(transition.episode, transition.step) for transition in stored]
    assert len(set(keys)) == STEPS
    checkpoint = newest_checkpoint(run.checkpoints)
    assert checkpoint is not None
    assert checkpoint.state["next_sequence"] == {"actor0": STEPS}
    with MetricsWriter(run.metrics) as metrics:
        learner = make_learner(run.config(), run, metrics)
    held = learner.experience.online.gather(np.arange(STEPS))
    np.testing.assert_array_equal(held.action, [transition.action for transition in stored])
    for side in ("observation", "next_observation"):
        for name, values in getattr(held, side).items():
            np.testing.assert_array_equal(values, [np.atleast_1d(getattr(t, side)[name]) for t in stored])
    learner.close()
