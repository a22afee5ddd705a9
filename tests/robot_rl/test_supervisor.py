"""The supervisor with tiny processes in place of nodes."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from robot_rl.exceptions import DiskError, GraphError
from robot_rl.graph import NodeSpec
from robot_rl.supervisor import Supervisor

SLEEPER = "import time; time.sleep(60)"
CLEAN = "import sys; sys.exit(0)"


class Graph:
    """A supervisor over scripts: `scripts` maps a node's name to the Python it runs."""

    def __init__(self, folder, scripts, **options):
        self.events = []
        nodes = [NodeSpec(name, name, "", restart=name != "arm", finishes=name == "actor") for name in scripts]
        self.supervisor = Supervisor(
            nodes,
            folder,
            folder / "logs",
            dict(os.environ),
            lambda *event: self.events.append(event),
            command=lambda node, run: [sys.executable, "-c", scripts[node.name]],
            **options,
        )

    def of(self, kind):
        return [(name, detail) for name, event, detail in self.events if event == kind]


def watch(graph, seconds=20.0):
    end = time.monotonic() + seconds
    graph.supervisor.watch(lambda: time.monotonic() > end)
    assert time.monotonic() < end


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_run_ends_when_the_node_that_finishes_it_ends_well_and_nothing_is_left(tmp_path):
    graph = Graph(tmp_path, {"arm": SLEEPER, "actor": CLEAN}, grace=5.0)
    with graph.supervisor:
        sleeper = graph.supervisor.process_id("arm")
        watch(graph)
    assert gone(sleeper)
    assert graph.of("died") == []
    assert {name for name, _ in graph.of("stopped")} == {"arm", "actor"}


class Actors(Graph):
    """As `Graph`, where every actor has to finish."""

    def __init__(self, folder, scripts, **options):
        super().__init__(folder, scripts, **options)
        self.supervisor._nodes = [NodeSpec(name, name, "", finishes=name.startswith("actor")) for name in scripts]


def test_a_run_ends_when_all_actors_have_finished(tmp_path):
    later = "import time; time.sleep(1.5)"
    graph = Actors(tmp_path, {"learner": SLEEPER, "actor": CLEAN, "actor1": later}, grace=5.0)
    began = time.monotonic()
    with graph.supervisor:
        watch(graph)
    assert time.monotonic() - began > 1.5
    assert graph.of("died") == []


def test_an_actor_that_has_finished_tells_again_what_a_learner_that_died_knew(tmp_path):
    count = tmp_path / "count"
    told = f"open({str(count)!r}, 'a').write('x')"
    graph = Actors(tmp_path, {"learner": SLEEPER, "actor": told, "actor1": SLEEPER}, grace=5.0)
    with graph.supervisor as nodes:
        wait_until(lambda: nodes._running["actor"].process.poll() == 0)
        assert not nodes.poll()
        assert count.read_text() == "x"
        os.kill(nodes.process_id("learner"), signal.SIGKILL)
        wait_until(lambda: not nodes.poll() and count.read_text() == "xx")
    assert graph.of("restarted") == [("learner", "")]


def test_a_dead_node_is_named_with_its_last_words_and_started_again(tmp_path):
    once = tmp_path / "once"
    script = textwrap.dedent(f"""
        import os, sys, time
        if os.path.exists({str(once)!r}): time.sleep(60)
        open({str(once)!r}, "w").close()
        print("the gear fell off", file=sys.stderr)
        sys.exit(7)
    """)
    graph = Graph(tmp_path, {"learner": script}, grace=5.0)
    with graph.supervisor:
        wait_until(lambda: graph.supervisor.poll() or graph.of("restarted"))
        assert not gone(graph.supervisor.process_id("learner"))
    [(name, detail)] = graph.of("died")
    assert name == "learner"
    assert "exit code 7" in detail
    assert "the gear fell off" in detail


def test_a_killed_node_is_reported_with_the_signal(tmp_path):
    graph = Graph(tmp_path, {"reward": SLEEPER}, grace=5.0)
    with graph.supervisor:
        os.kill(graph.supervisor.process_id("reward"), signal.SIGKILL)
        wait_until(lambda: graph.supervisor.poll() or graph.of("restarted"))
    assert "SIGKILL" in graph.of("died")[0][1]


def test_the_death_of_the_arm_ends_the_run(tmp_path):
    graph = Graph(tmp_path, {"arm": "import sys; sys.exit(1)", "learner": SLEEPER}, grace=5.0)
    with graph.supervisor:
        learner = graph.supervisor.process_id("learner")
        with pytest.raises(GraphError, match=r"node arm ended with exit code 1.*not safe.*arm\.log"):
            watch(graph)
    assert gone(learner)


def test_what_a_person_must_mend_ends_the_run_with_its_sentence(tmp_path):
    script = "import sys; print('the scene of task x does not compile', file=sys.stderr); sys.exit(2)"
    graph = Graph(tmp_path, {"learner": script}, grace=5.0)
    with pytest.raises(GraphError, match="^the scene of task x does not compile$"), graph.supervisor:
        watch(graph)


def test_a_node_that_cannot_say_what_must_be_mended_ends_the_run_too(tmp_path):
    graph = Graph(tmp_path, {"actor": "import sys; sys.exit(2)"}, grace=5.0)
    with (
        pytest.raises(GraphError, match="actor needs a person, .* free space on the disk of .* --resume"),
        graph.supervisor,
    ):
        watch(graph)


def test_nothing_is_left_running_where_events_cannot_be_told(tmp_path):
    """As on a full disk: every report fails once a node has died."""
    graph = Graph(tmp_path, {"reward": SLEEPER, "reset": SLEEPER, "arm": "import time; time.sleep(0.5)"}, grace=5.0)
    tell = graph.supervisor._report

    def fail(name, event, detail):
        tell(name, event, detail)
        if event != "started":
            raise DiskError("metrics.jsonl cannot be written")

    graph.supervisor._report, pids = fail, []

    def live():
        with graph.supervisor:
            pids.extend(graph.supervisor.process_id(name) for name in ("reward", "reset"))
            watch(graph)

    with pytest.raises(DiskError):
        live()
    assert [gone(pid) for pid in pids] == [True, True]


def test_a_node_that_keeps_dying_ends_the_run(tmp_path):
    graph = Graph(tmp_path, {"learner": "import sys; sys.exit(3)"}, grace=5.0)
    with pytest.raises(GraphError, match=r"learner died 6 times"), graph.supervisor:
        watch(graph)
    assert len(graph.of("restarted")) == 5


def test_a_node_that_ignores_the_interrupt_is_killed_and_said_so(tmp_path):
    ready = tmp_path / "ready"
    script = (
        f"import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); open({str(ready)!r}, 'w');time.sleep(60)"
    )
    graph = Graph(tmp_path, {"reset": script}, grace=0.5)
    with graph.supervisor:
        pid = graph.supervisor.process_id("reset")
        wait_until(ready.exists)
    assert gone(pid)
    assert "killed" in graph.of("stopped")[0][1]


PARENT = """
import os, sys
from pathlib import Path
from robot_rl.commands import interruptible
from robot_rl.graph import NodeSpec
from robot_rl.supervisor import Supervisor

child = (
    "import sys, os, time; from robot_rl.lifeline import die_with_parent; die_with_parent();"
    "from pathlib import Path; Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(60)"
)
folder = Path(sys.argv[1])
nodes = [NodeSpec(name, name, "") for name in ("one", "two")]
command = lambda node, run: [sys.executable, "-c", child, str(folder / node.name)]
with interruptible() as stopped:
    with Supervisor(nodes, folder, folder / "logs", os.environ, lambda *e: None, command=command) as supervisor:
        supervisor.watch(stopped.is_set)
print("clean")
"""


@pytest.fixture
def family(tmp_path):
    """A parent process with two nodes of its own, and the nodes' process ids."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    files = [tmp_path / "one", tmp_path / "two"]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files), 30.0)
    yield parent, [int(file.read_text()) for file in files]
    parent.kill()
    parent.wait()


def test_ctrl_c_leaves_nothing_running(family):
    parent, children = family
    parent.send_signal(signal.SIGINT)
    assert parent.communicate(timeout=20)[0].strip() == "clean"
    assert all(gone(pid) for pid in children)


def test_nodes_do_not_outlive_a_killed_parent(family):
    parent, children = family
    parent.kill()
    parent.wait()
    wait_until(lambda: all(gone(pid) for pid in children))


def test_what_a_person_types_reaches_the_nodes_that_want_it_and_no_other(tmp_path):
    reader = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read(3) or '-')"
    nodes = [NodeSpec("teleop", "teleop", "", keys=True), NodeSpec("actor", "actor", "", finishes=True)]
    with Supervisor(
        nodes,
        tmp_path,
        tmp_path / "logs",
        dict(os.environ),
        lambda *event: None,
        command=lambda node, run: [sys.executable, "-c", reader, str(tmp_path / node.name)],
    ) as supervisor:
        supervisor.press(b"wsq")
        wait_until(lambda: (tmp_path / "teleop").exists() and (tmp_path / "actor").exists(), 20)
        wait_until(lambda: (tmp_path / "teleop").read_text() == "wsq")
        assert (tmp_path / "actor").read_text() == "-"
        wait_until(lambda: supervisor._running["teleop"].process.poll() is not None)
        supervisor.press(b"late")  # to one that is dead
    assert supervisor.press(b"nobody") is None
