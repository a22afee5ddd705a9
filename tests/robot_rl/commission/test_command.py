"""The commands as typed, on the twin and on the emulated arm."""

import shutil
from pathlib import Path

import pytest
import yaml

from controllers.cells import load_cell
from controllers.emulators.fci import Emulator
from robot_rl.cli import main
from robot_rl.commission.keyboard import KEYS, keyboard
from robot_rl.exceptions import CommissionError
from tests.robot_rl.commission.test_checkup import franka

SHIPPED = Path(__file__).parents[3] / "cells"


@pytest.fixture
def lab(tmp_path):
    """The twin's cell as a file that may be taught."""
    return shutil.copy(SHIPPED / "twin_fr3.yaml", tmp_path / "lab.yaml")


def run(capsys, *words):
    """(exit code, standard output, standard error)."""
    code = main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_teleop_in_the_twin(capsys):
    words = ["--cell", "twin_fr3", "--yes", "--jog", "x", "0.01", "--jog", "y", "-0.01", "--seconds", "0.1"]
    code, out, _ = run(capsys, "teleop", *words)
    assert code == 0
    assert [line.split()[1] for line in out.splitlines() if line.startswith("green")] == ["read", "hold", "jog", "stop"]


@pytest.mark.parametrize(
    "words, message",
    [
        (["teleop"], "needs --cell CELL"),
        (["teleop", "--cell", "twin_fr3", "--jog", "w", "0.1"], "there is no axis 'w'; choose one of x, y, z"),
        (["teleop", "--cell", "twin_fr3", "--jog", "x", "far"], "--jog x far: give a distance of at most 1"),
        (["teleop", "--cell", "twin_fr3", "--jog", "x", "3"], "--jog x 3: give a distance of at most 1"),
        (["teleop", "--cell", "twin_fr3", "--only", "jgo"], "--only names 'jgo'; did you mean jog?"),
        (["teleop", "--cell", "twin_fr3"], "there is no terminal to take keys from; script the motion"),
        (["teleop", "--cell", "twin_fr3", "--only", "hold"], "nobody is there to answer"),
        (["teleop", "--cell", "twin_fr4"], "there is no cell 'twin_fr4' in cells/; did you mean twin_fr3?"),
        (["teleop", "--cell", "twin_fr3", "--robot", "franka"], "robot is franka, but cell twin_fr3 has twin"),
        (["teleop", "--cell", "twin_fr3", "--stop-axis", "rx"], "--stop-axis is 'rx'; choices: x, y, z"),
        (["teach", "twin_fr3"], "needs TASK"),
        (["doctor", "--json"], "--json is of a cell's doctor; name the cell with --cell"),
        (["teach", "twin_fr3", "reahc"], "there is no task 'reahc'"),
        (["teach", "twin_fr3", "reach"], "nobody is there to teach"),
        (["teach", "twin_fr3", "reach", "--do", "fly"], "'fly' is not understood"),
        (["train", "reach", "--cell", "twin_fr4"], "there is no cell 'twin_fr4'"),
        (["train", "reach", "--cell", "emulated_fr3", "--robot", "ros2_control"], "but cell emulated_fr3 has franka"),
        (["train", "pick_cube", "--cell", "emulated_fr3"], "task pick_cube shows the policy sim/cube_from_tool"),
        (["demos", "peg_insert", "--cell", "emulated_fr3"], "the expert of task peg_insert reads sim/*"),
        (["node", "arm", "--cell", "twin_fr3"], "needs --run DIR, or --cell CELL with --task TASK"),
    ],
)
def test_a_mistake_is_one_sentence_and_code_2(capsys, monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    code, _, err = run(capsys, *words)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_place_taught_in_the_twin_is_there_for_every_command(capsys, lab, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = [word for line in ("jog y 0.05", "goal", "done") for word in ("--do", line)]
    code, out, _ = run(capsys, "teach", lab, "reach", *words)
    assert code == 0
    assert "lab/reach.yaml" in out
    assert load_cell(str(lab)).places["reach"].goal.position[1] == pytest.approx(0.05, abs=2e-3)
    code, out, _ = run(capsys, "train", "reach", "--cell", lab, "--dry-run", "--transport", "inprocess")
    assert (code, "goal taught there" in out) == (0, True)
    code, out, _ = run(capsys, "demos", "reach", "--cell", lab, "--demos", "1", "--run", tmp_path / "shown")
    assert code == 0
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    code, _, err = run(capsys, "teach", lab, "reach", *words)
    assert (code, "nobody is there to answer 'reach was taught in lab before" in err) == (2, True)


def test_train_and_eval_in_a_cell(capsys, lab, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    small = ["--steps", "12", "--demos", "0", "--learner.start", "6", "--learner.block", "6", "--learner.batch", "4"]
    where = ["--transport", "inprocess", "--run", tmp_path / "run"]
    assert run(capsys, "train", "reach", "--cell", lab, *small, *where)[0] == 0
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (saved["cell"]["name"], saved["cell"]["cameras"]["wrist"]["size"]) == ("lab", [128, 128])
    code, out, _ = run(capsys, "eval", tmp_path / "run", "--episodes", "1", "--json", "--cell", "twin_fr3")
    assert (code, yaml.safe_load(out)["episodes"]) == (0, 1)
    code, _, err = run(capsys, "train", "reach", "--resume", "--cell", "twin_ur5e", "--run", tmp_path / "run")
    assert (code, "cell is lab in the run" in err) == (2, True)


@pytest.fixture(scope="module")
def emulator():
    with Emulator(task="reach", clock="lockstep") as robot:
        yield robot


def test_the_emulated_arm_is_moved_stopped_and_taught(capsys, tmp_path, emulator):
    cell = franka(tmp_path, emulator.address, clock="lockstep")
    jogs = ["--jog", "x", "0.01", "--jog", "z", "0.01", "--seconds", "0.1"]
    code, out, err = run(capsys, "teleop", "--cell", cell, "--yes", *jogs)
    assert code == 0, out + err
    assert [line.split()[0] for line in out.splitlines() if line[:3] in ("gre", "yel", "red")] == ["green"] * 4
    words = [word for line in ("jog x 0.02", "hand 0.2", "goal", "done") for word in ("--do", line)]
    code, out, err = run(capsys, "teach", cell, "reach", "--yes", *words)
    assert code == 0, out + err
    assert "reach" in load_cell(cell).places


def test_a_policy_is_evaluated_on_the_emulated_arm(capsys, tmp_path, monkeypatch, emulator):
    monkeypatch.chdir(tmp_path)
    small = ["--steps", "6", "--demos", "0", "--learner.start", "6", "--learner.block", "6", "--learner.batch", "4"]
    assert run(capsys, "train", "reach", *small, "--transport", "inprocess", "--run", tmp_path / "run")[0] == 0
    cell = franka(tmp_path, emulator.address, clock="lockstep")
    results = []
    for where in (["--cell", cell], []):
        code, out, _ = run(capsys, "eval", tmp_path / "run", "--episodes", "1", "--json", *where)
        assert code == 0
        results.append(yaml.safe_load(out)["successes"])
    assert results[0] == results[1]


def test_an_arm_in_a_fault_is_recovered_only_when_that_is_said(capsys, tmp_path):
    with Emulator(task="reach", clock="lockstep", fault="joint_reflex") as robot:
        words = ["teleop", "--cell", franka(tmp_path, robot.address, clock="lockstep"), "--yes", "--only", "read,hold"]
        code, out, _ = run(capsys, *words, "--seconds", "0.1")
        assert code == 1
        assert "joint reflex" in out
        code, out, _ = run(capsys, *words, "--seconds", "0.1", "--recover")
        assert code == 0, out


def test_keys_need_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    with pytest.raises(CommissionError, match="standard input is no terminal"), keyboard():
        pass


def test_every_axis_has_a_key_for_each_way():
    assert sorted(KEYS.values()) == sorted((axis, way) for axis in ("x", "y", "z", "rx", "ry", "rz") for way in (1, -1))
