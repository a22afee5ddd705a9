"""What the checks need of the machine: where it lacks, they fail here, by name, and not by being skipped elsewhere."""

from robot_rl import doctor


def test_ros_imports():
    found = doctor.check_ros()
    assert found.status == "ok", f"{found.detail}: {found.mend}"


def test_pictures_can_be_rendered():
    found = doctor.check_rendering()
    assert found.status == "ok", f"{found.detail}: {found.mend}"
