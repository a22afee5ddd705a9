import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml

import tasks
from controllers.cells import (
    CellConfig,
    Limits,
    Payload,
    arm_limits,
    cell_names,
    check_abilities,
    fit,
    load_cell,
    need_cameras,
    open_cell,
    save_place,
)
from controllers.exceptions import SettingsError
from controllers.interface import Abilities
from controllers.kinematics import Kinematics
from controllers.models import arm_model
from controllers.places import Box, Frame, Place
from controllers.settings import build, plain


def cell_file(folder: Path, **values) -> str:
    path = folder / "lab.yaml"
    path.write_text(yaml.safe_dump({"robot": "twin", **values}))
    return str(path)


@pytest.mark.parametrize("name", cell_names())
def test_every_shipped_cell_reads_and_says_what_it_is(name):
    cell = load_cell(name)
    assert cell.name == name
    assert build(CellConfig, yaml.safe_load(yaml.safe_dump(plain(cell))), "again") == cell


def test_a_cell_says_what_moves(tmp_path):
    (tmp_path / "lab.yaml").write_text("arm: fr3")
    with pytest.raises(SettingsError, match=r"lab\.yaml: robot is missing"):
        load_cell(str(tmp_path / "lab.yaml"))


def test_the_twin_s_cells_are_shipped():
    assert {"twin_fr3", "twin_ur5e"} <= set(cell_names())


@pytest.mark.parametrize(
    "values, message",
    [
        ({"robto": "twin"}, r"lab\.yaml: unknown key robto; did you mean robot\? Choices: name, robot, arm"),
        ({"robot": "kuka"}, r"lab\.yaml: robot: 'kuka' is not a choice; choices: twin, franka, ros2_control"),
        ({"arm": "fr33"}, r"lab\.yaml: arm: 'fr33' is not a choice; did you mean fr3\?"),
        ({"gripper": "hand"}, r"lab\.yaml: gripper: 'hand' is not a choice"),
        ({"cameras": {"wrist": {"serail": 1}}}, r"unknown key cameras\.wrist\.serail; did you mean serial\?"),
        ({"cameras": {"wrist": {"rate": 0}}}, r"lab\.yaml: cameras\.wrist\.rate is 0, but must be above 0"),
        ({"limits": {"speed": [9.0, 1.0]}}, r"limits\.speed is 9, but the fr3 allows 3: keep it within the maker's"),
        (
            {"limits": {"torque": [87, 87, 90, 87, 12, 12, 12]}},
            r"limits\.torque of joint 3 is 90, but the fr3 allows 87",
        ),
        ({"limits": {"low": [-2.8, -1.7, -2.9, -3.0, -2.8, 0.55, -3.0]}}, r"limits\.low of joint 1 is -2\.8, but"),
        ({"limits": {"velocity": [1.0, 1.0]}}, r"limits\.velocity has 2 values, but the fr3 needs 7"),
        ({"limits": {"force": -5}}, r"limits\.force is -5, but the fr3 allows 100: give a positive one"),
        ({"arm": "ur5e", "limits": {"torque": [151] * 6}}, r"torque of joint 1 is 151, but the ur5e allows 150"),
        ({"workspace": {"low": [0, 0, 0], "high": [1, 1, 0]}}, r"workspace\.low is .*every upper bound"),
        ({"payload": {"mass": -1}}, r"payload\.mass is -1\.0 kg, but must be at least 0"),
        ({"payload": {"inertia": [float("nan"), 0, 0]}}, r"payload\.inertia is \(nan, .* but must be finite"),
        ({"payload": {"centre": [0, float("inf"), 0]}}, r"payload\.centre is .* but must be finite"),
        ({"limits": {"low": [float("nan")] * 7}}, r"lab\.yaml: limits\.low of joint 1 is nan, but the fr3 allows"),
        ({"workspace": {"low": [0, 0, 0], "high": [1, 1, float("inf")]}}, r"workspace\.low is .* both must be finite"),
        ({"crisp": {"namespace": "the left"}}, r"crisp\.namespace is 'the left', but must be of letters"),
        ({"payload": {"inertia": [1, 0, 0]}}, r"payload\.inertia is \(1\.0, 0\.0, 0\.0\), which no body has"),
    ],
)
def test_a_mistake_in_a_cell_is_one_sentence(tmp_path, values, message):
    with pytest.raises(SettingsError, match=message) as caught:
        load_cell(cell_file(tmp_path, **values))
    assert "\n" not in str(caught.value)


def test_an_unknown_cell_is_named_with_the_choices(tmp_path):
    with pytest.raises(SettingsError, match=r"there is no cell 'twin_fr4' in cells/; did you mean twin_fr3\?"):
        load_cell("twin_fr4")
    with pytest.raises(SettingsError, match=r"there is no cell file .*gone\.yaml"):
        load_cell(str(tmp_path / "gone.yaml"))


def test_a_cell_of_the_working_folder_comes_before_a_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "twin_fr3.yaml").write_text("name: mine\nrobot: twin")
    assert load_cell("twin_fr3").name == "mine"
    assert load_cell("twin_ur5e").arm == "ur5e"


def test_limits_are_lowered_and_the_rest_is_the_maker_s(tmp_path):
    cell = load_cell(cell_file(tmp_path, limits={"force": 40, "velocity": [1.0] * 7}))
    limits, maker = arm_limits(cell), arm_model("fr3").limits
    assert limits is not None
    assert limits.force == 40
    np.testing.assert_array_equal(limits.velocity, np.ones(7))
    np.testing.assert_array_equal(limits.torque, maker.torque)
    assert arm_limits(load_cell("twin_fr3")) is None


PLACE = Place(Frame((0.45, 0.1, 0.08), (1.0, 0.0, 0.0, 0.0)), box=Box((0.3, 0.0, 0.05), (0.6, 0.2, 0.3)))


def test_a_taught_place_lies_beside_the_cell_and_comes_with_it(tmp_path):
    name = cell_file(tmp_path, robot="twin")
    file = save_place(Path(name), "peg_insert", PLACE)
    assert file == tmp_path / "lab" / "peg_insert.yaml"
    cell = load_cell(name)
    assert cell.places == {"peg_insert": PLACE}
    task = fit(cell, tasks.load("peg_insert"))
    np.testing.assert_allclose(task.anchor.position, PLACE.goal.position)
    np.testing.assert_allclose(task.workspace.high, [0.6, 0.2, 0.3])
    np.testing.assert_allclose(Kinematics(arm_model("fr3")).pose(task.home).position, task.start.position, atol=1e-4)
    assert fit(cell, tasks.load("reach")).anchor is tasks.load("reach").anchor


def test_a_taught_place_that_does_not_read_is_named(tmp_path):
    name = cell_file(tmp_path, robot="twin")
    save_place(Path(name), "reach", PLACE).write_text("gaol: 1")
    with pytest.raises(SettingsError, match=r"lab/reach\.yaml: unknown key gaol; did you mean goal\?"):
        load_cell(name)


def test_the_task_s_box_is_cut_to_the_cell_s(tmp_path):
    task = tasks.load("reach")
    cell = load_cell(cell_file(tmp_path, workspace={"low": [0.4, -0.1, 0.1], "high": [0.9, 0.1, 0.9]}))
    cut = fit(cell, task).workspace
    np.testing.assert_allclose(cut.low, [0.4, -0.1, 0.1])
    np.testing.assert_allclose(cut.high, [0.65, 0.1, 0.4])
    small = load_cell(cell_file(tmp_path, workspace={"low": [0.6, -0.1, 0.1], "high": [0.9, 0.1, 0.9]}))
    with pytest.raises(SettingsError, match=r"the goal of task reach is at \[0\.5, 0\.0, 0\.2\] m, outside"):
        fit(small, task)


def test_cameras_keep_their_names_and_take_the_cell_s_sizes(tmp_path):
    cell = load_cell(cell_file(tmp_path, cameras={"front": {"driver": "twin", "size": [96, 64]}}))
    (front,) = fit(cell, tasks.load("reach")).cameras
    assert (front.name, front.width, front.height) == ("front", 96, 64)
    with pytest.raises(SettingsError, match=r"cell lab has no camera 'wrist'; choices: front"):
        need_cameras(cell, ["front", "wrist"])
    need_cameras(load_cell(cell_file(tmp_path, robot="twin")), ["wrist"])  # the twin renders the task's own


def test_a_task_that_needs_a_gripper_is_refused_without_one(tmp_path):
    cell = load_cell(cell_file(tmp_path, gripper="none"))
    with pytest.raises(SettingsError, match="task pick_cube needs a gripper, but cell lab has none"):
        fit(cell, tasks.load("pick_cube"))


def test_a_task_that_needs_more_than_the_backend_can_do_is_refused_with_the_reason():
    cell, task = load_cell("twin_fr3"), tasks.load("peg_insert")

    class Weak:
        abilities = Abilities("somebody's law", signed_clips=False)

    with pytest.raises(SettingsError, match=r"needs a clip per axis and sign, which twin \(somebody's law\)"):
        check_abilities(cell, task, Weak(), "realtime")
    with pytest.raises(SettingsError, match=r"needs lockstep, .*; use --clock realtime"):
        check_abilities(cell, tasks.load("reach"), Weak(), "lockstep")
    check_abilities(cell, tasks.load("reach"), Weak(), "realtime")


def test_a_task_runs_on_the_cell_s_arm():
    cell = load_cell("twin_ur5e")
    task = fit(cell, tasks.load("reach"))
    assert task.arm == "ur5e"
    backend = open_cell(cell, task, clock="lockstep")
    assert backend.read().arm.q.shape == (6,)
    backend.close()


def test_the_twin_opens_with_the_task_s_period_or_another():
    cell, task = load_cell("twin_fr3"), tasks.load("reach")
    backend = open_cell(cell, task, clock="lockstep", period=0.02)
    backend.wait()
    assert backend.read().stamp == pytest.approx(0.02)
    backend.close()


def test_a_robot_s_world_is_not_drawn():
    cell = load_cell("example_crisp")
    with pytest.raises(SettingsError, match="has robot ros2_control, whose world nobody draws; use robot twin"):
        open_cell(cell, fit(cell, tasks.load("reach")), randomise=True)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"robot": "franka"}, r"franka is missing: robot franka needs that section, with the robot's address"),
        ({"robot": "franka", "franka": {}}, r"lab\.yaml: franka\.address is missing; it says: IP address"),
        ({"robot": "franka", "arm": "ur5e", "franka": {"address": "x"}}, "arm is ur5e, but robot franka is an fr3 or"),
        ({"robot": "franka", "franka": {"address": "x", "priority": 100}}, r"lab\.yaml: franka\.priority is 100"),
        (
            {"franka": {"address": "x", "arm": "panda"}},
            "arm is panda: in a cell say it once, as arm at the top",
        ),
        ({"franka": {"address": "x", "payload_mass": 1}}, r"say it once, as payload\.mass at the top"),
        ({"crisp": {"topik": 1}}, r"unknown key crisp\.topik"),
        ({"crisp": {"rate": 0}}, r"lab\.yaml: crisp\.rate is 0"),
    ],
)
def test_a_driver_s_section(tmp_path, values, message):
    with pytest.raises(SettingsError, match=message):
        load_cell(cell_file(tmp_path, **values))


def test_the_driver_gets_what_the_cell_says_of_arm_gripper_and_payload(tmp_path):
    values = {"robot": "franka", "arm": "panda", "gripper": "none", "payload": {"mass": 0.4}}
    driver = load_cell(cell_file(tmp_path, franka={"address": "10.0.0.1"}, **values)).driver
    assert (driver.arm, driver.gripper, driver.payload_mass, driver.address) == ("panda", "none", 0.4, "10.0.0.1")
    crisp = load_cell(cell_file(tmp_path, robot="ros2_control", crisp={"domain": 7})).driver
    assert crisp.domain == 7
    assert load_cell("twin_fr3").driver is None


@pytest.mark.parametrize("name", ["emulated_fr3", "example_fr3", "example_crisp"])
def test_a_robot_s_cell_runs_in_simulation(name):
    cell = dataclasses.replace(load_cell(name), robot="twin")
    task = fit(cell, tasks.load("reach"))
    assert [(camera.name, camera.width, camera.height) for camera in task.cameras] == [
        ("wrist", 128, 128),
        ("front", 128, 128),
    ]
    backend = open_cell(cell, task, clock="lockstep")
    assert backend.wait().arm.q.shape == (7,)
    backend.close()


def test_the_document_names_every_key():
    text = (Path(__file__).parents[2] / "docs" / "cells.md").read_text()
    for cls in (CellConfig, Limits, Payload, Place):
        for item in dataclasses.fields(cls):
            assert f"`{item.name}`" in text, item.name


def test_a_taught_place_with_angles_that_cannot_be_is_named(tmp_path):
    name = cell_file(tmp_path, robot="twin")
    save_place(Path(name), "reach", PLACE).write_text(
        "goal: {position: [0.5, 0, 0.2], quaternion: [1, 0, 0, 0]}\nhome: [.nan, 0, 0, 0, 0, 0, 0]"
    )
    with pytest.raises(SettingsError, match=r"lab/reach\.yaml: home is \(nan, .* but must be finite"):
        load_cell(name)


@pytest.mark.parametrize(
    "limits, said", [({"stiffness": (300.0, 10.0)}, "1500 and 100"), ({"damping": (9, 9)}, "damp")]
)
def test_a_task_stiffer_than_the_cell_allows_is_refused(limits, said):
    cell = CellConfig("lab", "twin", limits=Limits(**limits))
    with pytest.raises(
        SettingsError, match=rf"task reach has a .*{said}.*of cell lab is .*raise it, or choose another"
    ):
        open_cell(cell, fit(cell, tasks.load("reach")))
