import numpy as np
import pytest

from controllers import spatial
from controllers.arms.franka import robot
from controllers.arms.franka.config import FrankaConfig
from controllers.exceptions import ControllersError

CONFIG = FrankaConfig("127.0.0.1", payload_mass=0.5, payload_centre=(0.0, 0.0, 0.1), payload_inertia=(0.01, 0.01, 0.01))


def test_turns_of_every_quarter_are_read_from_a_pose():
    rng = np.random.default_rng(0)
    for _ in range(200):
        quaternion = spatial.normalise(rng.normal(size=4))
        pose = np.eye(4)
        pose[:3, :3] = spatial.matrix(quaternion)
        found = np.zeros(4)
        robot.turn_of(pose.T.ravel(), found)
        assert abs(abs(found @ quaternion) - 1.0) < 1e-12


def test_the_end_effector_is_put_at_the_tool_whatever_desk_says():
    nominal = np.eye(4)
    nominal[:3, :3] = spatial.matrix(spatial.exp(np.array([0.1, 0.2, 0.3])))
    nominal[:3, 3] = [0.01, 0.02, 0.2]
    told = np.reshape(robot.nominal_to_tool(nominal.T.ravel()), (4, 4)).T
    assert np.allclose(nominal @ told, robot.tool_frame())
    assert np.allclose(robot.tool_frame()[:3, 3], [0.0, 0.0, 0.1034])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            'libfranka: motion aborted by reflex! ["joint_reflex", "power_limit_violation"]\ncontrol_command: 1',
            "reflex of the robot: joint reflex, power limit violation",
        ),
        ("libfranka: Move command aborted: User Stop pressed!", "the robot's user stop was pressed"),
        ("libfranka: Move command rejected: no", "the robot stopped: Move command rejected: no"),
        ("", "the robot stopped: no reason given"),
    ],
)
def test_reasons_are_in_words(message, reason):
    assert robot.reason_of(message) == reason


def test_a_robot_that_does_not_show_what_it_was_told_is_refused():
    centre, inertia = np.array([0.0, 0.0, 0.1]), np.full(3, 0.01)
    robot.check_setup(CONFIG, robot.tool_frame(), 0.5, centre, inertia)
    moved = robot.tool_frame()
    moved[0, 3] += 0.01
    with pytest.raises(ControllersError, match=r"tool frame is 10.0 mm off"):
        robot.check_setup(CONFIG, moved, 0.5, centre, inertia)
    with pytest.raises(ControllersError, match=r"payload is 0.400 kg after being told 0.5 kg"):
        robot.check_setup(CONFIG, robot.tool_frame(), 0.4, centre, inertia)
    with pytest.raises(ControllersError, match="payload's centre"):
        robot.check_setup(CONFIG, robot.tool_frame(), 0.5, 2 * centre, inertia)
    with pytest.raises(ControllersError, match="payload's inertia"):
        robot.check_setup(CONFIG, robot.tool_frame(), 0.5, centre, 2 * inertia)


def test_waiting_for_the_setup_gives_late_states_a_chance_and_no_more():
    centre, inertia = np.array([0.0, 0.0, 0.1]), np.full(3, 0.01)
    masses = iter([0.0, 0.0, 0.5])
    robot.await_setup(CONFIG, lambda: (robot.tool_frame(), next(masses), centre, inertia))
    with pytest.raises(robot.NotAsTold, match="payload is 0.000 kg"):
        robot.await_setup(CONFIG, lambda: (robot.tool_frame(), 0.0, centre, inertia))


def test_a_missing_library_is_named_with_the_mend(monkeypatch):
    def missing(name):
        raise robot.PackageNotFoundError(name)

    monkeypatch.setattr(robot, "version", missing)
    with pytest.raises(ControllersError, match=r"franky-control is not installed: pip install 'robot_rl\[franka\]'"):
        robot.library_version("franky")
