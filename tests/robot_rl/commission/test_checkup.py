"""`robot-rl doctor --cell`: each thing that can be wrong with a cell is one sentence with its mend."""

import json

import pytest
import yaml

from controllers.cells import load_cell
from controllers.emulators.fci import Emulator
from robot_rl.cli import main


def cell_file(folder, **values):
    path = folder / "lab.yaml"
    path.write_text(yaml.safe_dump({"robot": "twin", **values}))
    return str(path)


def franka(folder, address="127.0.0.1", **values):
    return cell_file(folder, **{"robot": "franka", "franka": {"address": address, "priority": 0}, **values})


def look(capsys, *words):
    """(exit code, findings by name) of `robot-rl doctor`."""
    code = main(["doctor", "--json", "--yes", *words])
    return code, {found["name"]: found for found in json.loads(capsys.readouterr().out)["findings"]}


@pytest.fixture(scope="module")
def emulator():
    with Emulator(task="peg_insert", clock="lockstep") as robot:
        yield robot


def test_the_twin_is_looked_at_without_a_question(capsys):
    assert main(["doctor", "--cell", "twin_fr3", "--task", "peg_insert", "--only", "file,reach,limits,box,rates"]) == 0
    said = capsys.readouterr().out
    assert "red" not in said.split()
    assert "peg_insert presses with at most 12 N" in said


def test_its_pictures_are_judged(capsys):
    code, found = look(capsys, "--cell", "twin_fr3", "--only", "cameras")
    assert code == 0
    assert {"wrist sharpness", "front overexposed", "front rate"} <= set(found)
    assert found["wrist sharpness"]["level"] == "green"


def test_an_emulated_arm_is_looked_at_from_address_to_driver(capsys, tmp_path, emulator):
    name = franka(tmp_path, emulator.address, clock="lockstep")
    code, found = look(capsys, "--cell", name, "--task", "peg_insert", "--only", "reach,limits,box,rates")
    assert code == 0
    for check in ("reachable", "firmware", "arm", "gripper", "limits", "reflexes", "box", "home", "state"):
        assert found[check]["level"] == "green", found[check]
    assert "lockstep" in found["rate"]["detail"]
    assert found["workspace"]["level"] == "yellow"


def test_a_wrong_address(capsys, tmp_path):
    code, found = look(capsys, "--cell", franka(tmp_path, "127.0.0.99"), "--only", "reach")
    assert code == 1
    assert found["reach"]["detail"] == "127.0.0.99 refuses port 1337"
    assert "mend the address" in found["reach"]["mend"]


def test_a_wrong_arm(capsys, tmp_path, emulator):
    code, found = look(capsys, "--cell", franka(tmp_path, emulator.address, arm="panda"), "--only", "reach")
    assert code == 1
    assert "is no panda" in found["reach"]["detail"] + found["reach"]["mend"]
    assert "set arm to fr3" in found["reach"]["mend"]


def test_a_hand_that_the_cell_does_not_name(capsys, tmp_path, emulator):
    code, found = look(capsys, "--cell", franka(tmp_path, emulator.address, gripper="none"), "--only", "reach")
    assert (code, found["gripper"]["level"]) == (0, "yellow")


@pytest.mark.parametrize(
    "options, check, said",
    [
        ({"server_version": 9}, "reach", "speaks version 9"),
        ({"no_gripper": True}, "gripper", "no hand answers"),
        ({"fault": "joint_reflex"}, "state", "joint reflex"),
    ],
)
def test_wrong_firmware_no_hand_and_an_arm_in_a_fault(capsys, tmp_path, options, check, said):
    with Emulator(task="reach", clock="lockstep", **options) as robot:
        only = "rates" if check == "state" else "reach"
        code, found = look(capsys, "--cell", franka(tmp_path, robot.address, clock="lockstep"), "--only", only)
    assert code == 1
    assert found[check]["level"] == "red"
    assert said in found[check]["detail"]
    assert found[check]["mend"]


def test_a_camera_that_is_not_there(capsys, tmp_path):
    cameras = {"wrist": {"driver": "uvc", "device": "/dev/video99"}}
    name = franka(tmp_path, cameras=cameras)
    code, found = look(capsys, "--cell", name, "--only", "cameras")
    assert code == 1
    assert found["camera wrist"]["detail"] == "there is no /dev/video99"
    assert found["camera wrist"]["mend"]


def test_a_serial_number_that_does_not_exist(capsys, tmp_path):
    pytest.importorskip("pyrealsense2")
    name = franka(tmp_path, cameras={"wrist": {"driver": "realsense", "serial": "000000000001"}})
    code, found = look(capsys, "--cell", name, "--only", "cameras")
    assert code == 1
    assert "000000000001" in found["camera wrist"]["detail"] + found["camera wrist"]["mend"]


def test_a_box_in_the_table_and_files_that_are_missing(capsys, tmp_path):
    name = cell_file(tmp_path, calibration={"hand_eye": "gone.yaml"}, places={})
    place = tmp_path / "lab" / "reach.yaml"
    place.parent.mkdir()
    goal = {"position": [0.5, 0.0, 0.2], "quaternion": [1.0, 0.0, 0.0, 0.0]}
    place.write_text(yaml.safe_dump({"goal": goal, "box": {"low": [0.3, -0.3, -0.02], "high": [0.7, 0.3, 0.5]}}))
    code, found = look(capsys, "--cell", name, "--only", "file,box")
    assert code == 1
    assert found["calibration"]["detail"] == "no file gone.yaml"
    assert (found["table"]["level"], found["table"]["detail"]) == ("red", "the box reaches 20 mm into the table")
    assert (found["box"]["level"], found["place"]["detail"]) == ("green", "reach was taught here")
    assert load_cell(name).places["reach"].box is not None


def test_nobody_is_asked_where_nobody_is(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    assert main(["doctor", "--cell", franka(tmp_path), "--only", "rates"]) == 2
    assert "nobody is there to answer 'connect to the arm" in capsys.readouterr().err


def test_what_is_refused_is_left_out(capsys, tmp_path, monkeypatch):
    class Terminal:
        """Somebody who says no."""

        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert main(["doctor", "--cell", franka(tmp_path), "--only", "rates"]) == 0
    assert "left out" in capsys.readouterr().out


def test_only_names_what_there_is(capsys):
    assert main(["doctor", "--cell", "twin_fr3", "--only", "boxx"]) == 2
    assert "--only names 'boxx'; did you mean box? Choices: file, machine" in capsys.readouterr().err
