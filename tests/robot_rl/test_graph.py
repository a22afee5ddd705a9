import ast
import dataclasses
import importlib.util
import runpy
import sys
import types
from pathlib import Path

import pytest

import robot_rl.nodes
import tasks
from robot_rl.config import effective
from robot_rl.exceptions import ConfigError
from robot_rl.graph import graph, whole_graph
from robot_rl.nodes import run_node
from robot_rl.runs import RunFolder

LAUNCH = Path(__file__).parents[2] / "launch" / "train.launch.py"


def nodes(**values):
    return {node.name: node for node in graph(effective(tasks.load("reach"), values))}


def test_the_graph_names_the_nodes_and_which_of_them_may_be_restarted():
    found = nodes()
    assert list(found) == ["arm", "reward", "reset", "learner", "actor"]
    assert [name for name, node in found.items() if not node.restart] == ["arm"]
    assert [name for name, node in found.items() if node.finishes] == ["actor"]


def test_pixels_need_a_camera_node_each():
    found = nodes(obs="pixels")
    assert found["camera_wrist"].parameters == {"camera": "wrist"}
    assert found["camera_front"].module == "camera"


def test_features_need_a_node_that_looks_behind_the_cameras():
    found = nodes(obs="features", actors=2)
    assert list(found)[:4] == ["arm", "camera_wrist", "camera_front", "perception"]
    assert found["perception"].module == "perception" and found["perception"].restart
    assert found["actor1_perception"].parameters == {"actor": "actor1"}


def test_a_task_and_its_reverse_share_an_arm_and_an_actor_and_have_a_judge_and_a_learner_each():
    task = tasks.load("relocate")
    found = {node.name: node for node in graph(effective(task, {"reset": {"reverse": True}}))}
    assert list(found) == ["arm", "reward", "reset", "learner", "reverse_reward", "reverse_learner", "actor"]
    learner = found["reverse_learner"]
    assert (learner.module, learner.folder, learner.restart) == ("learner", "reverse", True)
    rules = learner.ros_args[2::2]
    assert rules[0] == "__node:=reverse_learner"
    assert "learner/weights:=reverse/learner/weights" in rules and "label:=reverse/label" in rules
    assert not any("target_pose" in rule or "current_pose" in rule for rule in rules), "the arm is the same"


def test_each_further_actor_has_nodes_of_its_own_in_a_namespace():
    found = nodes(obs="pixels", actors=2)
    assert list(found) == [
        *("arm", "camera_wrist", "camera_front", "reward", "reset"),
        *("actor1_arm", "actor1_camera_wrist", "actor1_camera_front", "actor1_reward", "actor1_reset"),
        *("learner", "actor", "actor1"),
    ]
    assert [name for name, node in found.items() if not node.restart] == ["arm", "actor1_arm"]
    assert [name for name, node in found.items() if node.finishes] == ["actor", "actor1"]
    assert found["actor"].ros_args == []
    assert found["actor1_camera_wrist"].parameters == {"camera": "wrist", "actor": "actor1"}
    rules = found["actor1"].ros_args[2::2]
    assert rules[:2] == ["__ns:=/actor1", "/clock:=/actor1/clock"]
    assert "experience:=/experience" in rules


def test_a_machine_starts_its_parts_alone():
    assert list(nodes(here=("learner",))) == ["learner"]
    assert list(nodes(here=("actor0",))) == ["arm", "reward", "reset", "actor"]
    assert list(nodes(actors=3, here=("actor2", "learner")))[-2:] == ["learner", "actor2"]
    config = effective(tasks.load("reach"), {"here": ("learner",)})
    assert [node.name for node in whole_graph(config)] == ["arm", "reward", "reset", "learner", "actor"]


def test_every_module_exists_and_the_graph_itself_needs_no_ros():
    for node in nodes(obs="features").values():
        spec = importlib.util.find_spec(f"robot_rl.nodes.{node.module}")
        assert spec is not None
        tree = ast.parse(Path(spec.origin).read_text())
        assert "main" in [item.name for item in tree.body if isinstance(item, ast.FunctionDef)]
    source = Path(sys.modules["robot_rl.graph"].__file__).read_text()
    assert "rclpy" not in source


@pytest.fixture
def run(tmp_path):
    config = effective(tasks.load("reach"), {"demos": "0"})
    return RunFolder.create(dataclasses.replace(config, run=tmp_path / "run"))


def test_an_unknown_node_is_refused_with_the_choices(run):
    with pytest.raises(ConfigError, match=r"no node 'leaner'.*arm, reward, reset, learner, actor"):
        run_node("leaner", run.path)


class Recorded:
    """Stands in for any class of `launch`."""

    def __init__(self, *args, **values):
        self.args, self.values = args, values

    def perform(self, context):
        return context.get(self.args[0], "")


@pytest.fixture
def fake_launch(monkeypatch):
    names = {
        "launch": ["LaunchDescription"],
        "launch.actions": [
            "DeclareLaunchArgument",
            "EmitEvent",
            "ExecuteProcess",
            "OpaqueFunction",
            "RegisterEventHandler",
        ],
        "launch.event_handlers": ["OnProcessExit"],
        "launch.events": ["Shutdown"],
        "launch.substitutions": ["LaunchConfiguration"],
    }
    for module, classes in names.items():
        fake = types.ModuleType(module)
        for name in classes:
            setattr(fake, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module, fake)


def test_ros2_launch_starts_the_same_processes(fake_launch, run):
    module = runpy.run_path(str(LAUNCH))
    *declared, started = module["generate_launch_description"]().args[0]
    assert [argument.args for argument in declared] == [("task",), ("cell",), ("run",), ("options",)]
    actions = started.values["function"]({"run": str(run.path)})
    processes = [action for action in actions if type(action).__name__ == "ExecuteProcess"]
    expected = graph(run.config())
    assert [process.values["cmd"] for process in processes] == [node.command(run.path) for node in expected]
    respawned = {process.values["name"] for process in processes if process.values["respawn"]}
    assert respawned == {"reward", "reset", "learner"}
    assert processes[0].values["additional_env"]["RMW_IMPLEMENTATION"] == "rmw_fastrtps_cpp"
    handlers = [action for action in actions if type(action).__name__ == "RegisterEventHandler"]
    assert [handler.args[0].values["target_action"].values["name"] for handler in handlers] == ["arm", "actor"]


def test_ros2_launch_leaves_the_keyboard_to_a_terminal_of_its_own(fake_launch, tmp_path, capsys):
    started = {}
    for teleop in ("keyboard", "spacemouse"):
        config = effective(tasks.load("reach"), {"demos": "0", "teleop": teleop})
        run = RunFolder.create(dataclasses.replace(config, run=tmp_path / teleop))
        *_, begin = runpy.run_path(str(LAUNCH))["generate_launch_description"]().args[0]
        actions = begin.values["function"]({"run": str(run.path)})
        started[teleop] = [action.values["name"] for action in actions if type(action).__name__ == "ExecuteProcess"]
    assert "teleop" in started["spacemouse"] and "teleop" not in started["keyboard"]
    assert capsys.readouterr().out == (
        f"the keyboard needs a terminal of its own: robot-rl node teleop --run {tmp_path / 'keyboard'}\n"
    )


def test_ros2_launch_ends_when_every_actor_has(fake_launch, tmp_path):
    config = effective(tasks.load("reach"), {"demos": "0", "actors": 2})
    run = RunFolder.create(dataclasses.replace(config, run=tmp_path / "two"))
    *_, started = runpy.run_path(str(LAUNCH))["generate_launch_description"]().args[0]
    actions = started.values["function"]({"run": str(run.path)})
    ends = {
        action.args[0].values["target_action"].values["name"]: action.args[0].values["on_exit"][0]
        for action in actions
        if type(action).__name__ == "RegisterEventHandler"
    }
    assert list(ends) == ["arm", "actor1_arm", "actor", "actor1"]
    assert ends["actor1"].values["function"](None) == []
    [shutdown] = ends["actor"].values["function"](None)
    assert shutdown.values["event"].values["reason"] == "every actor has made its steps"


def test_ros2_launch_begins_a_run_of_a_task(fake_launch, tmp_path):
    module = runpy.run_path(str(LAUNCH))
    folder = tmp_path / "new"
    begun = module["find_run"]("reach", str(folder), "--demos 2 --seed 3")
    assert begun.path == folder
    assert begun.config().seed == 3
    assert list((folder / "demos").glob("*.mcap"))
    assert module["find_run"]("", str(folder), "") == begun
    there = module["find_run"]("reach", str(tmp_path / "there"), "--demos 0", "twin_ur5e")
    assert (there.config().cell.name, there.config().cell.arm) == ("twin_ur5e", "ur5e")
    assert module["find_run"]("reach", str(tmp_path / "there"), "--steps 9", "twin_ur5e").config().steps == 9
    with pytest.raises(ConfigError, match="cell is twin_ur5e in the run .* and cannot become twin_fr3"):
        module["find_run"]("", str(tmp_path / "there"), "", "twin_fr3")
    with pytest.raises(ConfigError, match="is of task reach, not peg_insert"):
        module["find_run"]("peg_insert", str(tmp_path / "there"), "")
    with pytest.raises(ConfigError, match="task pick_cube shows the policy sim/cube_from_tool"):
        module["find_run"]("pick_cube", str(tmp_path / "never"), "--demos 0", "emulated_fr3")
    assert not (tmp_path / "never").exists()
    with pytest.raises(ConfigError, match="no task '\\(none\\)'; choose one of"):
        module["find_run"]("", "", "")


def test_the_package_that_holds_the_nodes_imports_without_ros():
    tree = ast.parse(Path(robot_rl.nodes.__file__).read_text())
    imported = {name.name for item in ast.walk(tree) if isinstance(item, ast.Import) for name in item.names} | {
        item.module for item in ast.walk(tree) if isinstance(item, ast.ImportFrom)
    }
    assert not any(name.startswith("rclpy") for name in imported)


def test_who_may_take_over_has_a_node_which_hears_the_keys_of_the_runs_terminal():
    found = nodes(teleop="spacemouse,keyboard")
    assert list(found) == ["arm", "reward", "reset", "teleop", "learner", "actor"]
    assert found["teleop"].keys and found["teleop"].restart
