import os
from pathlib import Path

import pytest
from rich.console import Console

from robot_rl import doctor
from robot_rl.doctor import Check


def test_this_machine_can_run_the_checks():
    for check in (doctor.check_python, doctor.check_packages, doctor.check_disk, doctor.check_shared_memory):
        found = check()
        assert found.status in ("ok", "warn"), found
        assert bool(found.mend) == (found.status != "ok")


def test_rendering_is_tried_and_its_last_words_are_shown(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    found = doctor.check_rendering()
    assert found.status == "warn"
    assert "nonsense" in found.detail
    assert "apt-get install" in found.mend


@pytest.mark.ros
def test_ros_is_tried_in_a_process_of_its_own():
    pytest.importorskip("rclpy")
    assert doctor.check_ros().status == "ok"


def test_ros_that_does_not_import_names_the_mend(monkeypatch):
    monkeypatch.setattr(doctor, "ROS", "import no_such_rclpy")
    found = doctor.check_ros()
    assert (found.status, found.detail) == ("warn", "ModuleNotFoundError: No module named 'no_such_rclpy'")
    assert "robot_rl[ros]" in found.mend


def test_a_domain_in_use_is_named(monkeypatch, tmp_path):
    from robot_rl.nodes.environment import Domain

    monkeypatch.setenv("ROS_DOMAIN_ID", "97")
    assert doctor.check_domain().status == "ok"
    with Domain(tmp_path / "mine", "97"):
        found = doctor.check_domain()
    assert found.status == "fail"
    assert "97" in found.detail
    assert str(os.getpid()) in found.detail


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda name: name != "optax")
    found = doctor.check_packages()
    assert (found.status, found.detail) == ("fail", "missing: optax")


@pytest.mark.parametrize("statuses, code", [(["ok", "warn"], 0), (["ok", "fail", "ok"], 1)])
def test_exit_code_is_1_where_a_check_failed(monkeypatch, statuses, code):
    checks = [lambda status=status: Check("thing", status, "detail", "mend") for status in statuses]
    monkeypatch.setattr(doctor, "CHECKS", checks)
    console = Console(record=True, width=100, file=Path(os.devnull).open("w"))  # noqa: SIM115
    assert doctor.doctor(console) == code
    assert console.export_text().count("mend") == len(statuses)


def test_code_that_hangs_or_ends_silently_is_reported():
    assert doctor._try("raise SystemExit(3)", dict(os.environ)) == "ended with code 3"
    assert doctor._try("pass", dict(os.environ)) is None
