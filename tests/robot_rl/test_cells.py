import dataclasses

import numpy as np
import pytest
import yaml

import tasks
from controllers.cells import load_cell, save_place
from controllers.exceptions import SettingsError
from controllers.places import Frame, Place
from robot_rl.cells import needs_simulator, open_backend, open_env, refuse_simulated_expert, task_of
from robot_rl.cli import main
from robot_rl.config import RunConfig, effective, in_cell, load_config, read_overrides, save_config
from robot_rl.exceptions import ConfigError
from robot_rl.graph import graph
from robot_rl.problem import problem_of

FRONT = {"cameras": {"front": {"driver": "twin", "size": [64, 64]}}}


def cell(folder, **values):
    path = folder / "lab.yaml"
    path.write_text(yaml.safe_dump({"robot": "twin", **values}))
    return load_cell(str(path))


def franka(folder, **values):
    return cell(folder, robot="franka", franka={"address": "127.0.0.1"}, **values)


def test_without_a_cell_nothing_changes():
    config = effective(tasks.load("reach"))
    assert (config.cell, config.robot, config.clock) == (None, "twin", "lockstep")
    assert task_of(config) is tasks.load("reach")


def test_the_cell_says_robot_and_clock_unless_a_layer_does(tmp_path):
    lab, task = franka(tmp_path), tasks.load("reach")
    config = effective(task, {"cell": lab})
    assert (config.cell, config.robot, config.clock) == (lab, "franka", "realtime")
    config = effective(task, {"cell": lab}, {"robot": "twin", "clock": "lockstep"})
    assert config.cell == dataclasses.replace(lab, robot="twin")
    assert (config.robot, config.clock) == ("twin", "lockstep")


def test_a_robot_that_the_cell_has_not_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="robot is franka, but cell lab has twin; leave --robot out"):
        effective(tasks.load("reach"), {"cell": cell(tmp_path), "robot": "franka"})
    with pytest.raises(ConfigError, match="robot is franka, but no cell says where it is; name one with --cell"):
        effective(tasks.load("reach"), {"robot": "franka"})


def test_a_run_s_folder_keeps_the_whole_cell(tmp_path):
    lab = cell(tmp_path, limits={"force": 30}, calibration={"hand_eye": "hand_eye.yaml"}, **FRONT)
    place = Place(Frame((0.45, 0.1, 0.2), (1.0, 0.0, 0.0, 0.0)), home=(0.0, 0.1, 0.0, -2.3, 0.0, 2.4, 0.8))
    save_place(tmp_path / "lab.yaml", "reach", place)
    config = effective(tasks.load("reach"), {"cell": load_cell(str(tmp_path / "lab.yaml"))})
    save_config(config, tmp_path / "config.yaml")
    for file in (tmp_path / "lab.yaml", tmp_path / "lab" / "reach.yaml"):
        file.unlink()
    again = load_config(tmp_path / "config.yaml")
    assert again == config
    np.testing.assert_allclose(task_of(again).anchor.position, [0.45, 0.1, 0.2])
    assert again.cell.limits.force == 30
    assert lab.limits.force == 30


def test_a_file_of_options_may_name_the_cell(tmp_path):
    (tmp_path / "mine.yaml").write_text("cell: twin_fr3\nseed: 3")
    config = effective(tasks.load("reach"), read_overrides(tmp_path / "mine.yaml"))
    assert config.cell == load_cell("twin_fr3")
    (tmp_path / "mine.yaml").write_text("cell: twin_fr4")
    with pytest.raises(ConfigError, match=r"no cell 'twin_fr4' in cells/; did you mean twin_fr3"):
        read_overrides(tmp_path / "mine.yaml")


def test_a_run_may_be_looked_at_in_another_cell(tmp_path):
    config = effective(tasks.load("reach"))
    there = in_cell(config, {"cell": franka(tmp_path)})
    assert (there.robot, there.clock, there.seed) == ("franka", "realtime", config.seed)
    back = in_cell(there, {"cell": there.cell, "robot": "twin", "clock": "lockstep"})
    assert (back.robot, back.cell.robot, back.clock) == ("twin", "twin", "lockstep")


def test_the_graph_has_a_node_for_each_camera_of_the_cell(tmp_path):
    config = effective(tasks.load("reach"), {"obs": "pixels", "cell": load_cell("twin_fr3")})
    assert [node.name for node in graph(config)][:3] == ["arm", "camera_wrist", "camera_front"]
    with pytest.raises(SettingsError, match="cell lab has no camera 'wrist'; choices: front"):
        graph(effective(tasks.load("reach"), {"obs": "pixels", "cell": cell(tmp_path, **FRONT)}))


def test_what_only_a_simulator_knows_is_refused_on_a_robot(tmp_path):
    lab = franka(tmp_path, cameras={name: {} for name in ("wrist", "front")})
    with pytest.raises(ConfigError, match=r"task pick_cube shows the policy sim/cube_from_tool, which cell lab"):
        task_of(effective(tasks.load("pick_cube"), {"cell": lab}))
    with pytest.raises(ConfigError, match=r"the reward of task pick_cube reads sim/\*"):
        task_of(effective(tasks.load("pick_cube"), {"cell": lab, "obs": "pixels"}))
    config = effective(tasks.load("peg_insert"), {"cell": lab})
    with pytest.raises(ConfigError, match=r"the expert of task peg_insert reads sim/\*.*or give --demos 0"):
        refuse_simulated_expert(config, task_of(config))
    reach = effective(tasks.load("reach"), {"cell": lab})
    refuse_simulated_expert(reach, task_of(reach))


def test_needs_simulator():
    task = tasks.load("pick_cube")
    assert needs_simulator(task.reward, task)
    assert not needs_simulator(tasks.load("peg_insert").reward, tasks.load("peg_insert"))


def test_the_default_cell_is_bit_for_bit_the_twin():
    """With no cell, with the shipped one, and made by hand: the same readings."""
    from controllers.twin import TwinCell

    task = tasks.load("reach")
    cells = [
        TwinCell(task, seed=3),
        open_backend(RunConfig("reach", seed=3), task),
        open_backend(effective(task, {"cell": load_cell("twin_fr3"), "seed": 3}), task),
    ]
    readings = [[opened.wait() for _ in range(3)][-1] for opened in cells]
    for reading in readings[1:]:
        np.testing.assert_array_equal(reading.arm.q, readings[0].arm.q)


def test_limits_of_the_cell_reach_the_filter(tmp_path):
    config = effective(tasks.load("reach"), {"cell": cell(tmp_path, limits={"force": 12.0}, clock="lockstep")})
    backend = open_backend(config, task_of(config))
    assert backend.controller.arrays.bounds.force == 12.0


def test_an_environment_in_a_cell_runs_the_task():
    env = open_env(effective(tasks.load("reach"), {"cell": load_cell("twin_fr3")}))
    env.reset(seed=1)
    assert not env.step(np.zeros(3))[2]
    env.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "which one ROS 2 graph does not yet; give --transport inprocess"),
        ({"transport": "inprocess", "teleop": "keyboard"}, "and keyboard moves one; leave it out"),
        ({"transport": "inprocess", "engine": "bullet"}, "and engine bullet has one; use mujoco"),
    ],
)
def test_two_arms_are_refused_where_only_one_can_be_moved(options, said):
    config = effective(tasks.load("dual_arm_handover"), options)
    with pytest.raises(ConfigError, match=said):
        problem_of(config).check(config)


def test_an_evaluation_in_what_has_one_arm_is_refused_too(tmp_path):
    config = effective(tasks.load("dual_arm_handover"), {"transport": "inprocess"})
    with pytest.raises(ConfigError, match="and cell lab has one; leave --cell out"):
        open_env(dataclasses.replace(config, cell=cell(tmp_path)))
    with pytest.raises(ConfigError, match="and engine bullet has one; use mujoco"):
        open_env(dataclasses.replace(config, engine="bullet"))


def test_a_task_with_two_arms_is_refused_before_a_graph_is_started(capsys):
    assert main(["train", "dual_arm_handover", "--dry-run"]) == 2
    assert "dual_arm_handover moves two arms" in capsys.readouterr().err
