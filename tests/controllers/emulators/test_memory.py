"""The emulated limits, against the numbers that the maker publishes for the FR3 (written out here, not imported)."""

import numpy as np

from controllers.emulators import memory
from controllers.models import arm_model


def test_generators_stop_at_the_published_limits():
    """frankarobotics.github.io/docs/robot_specifications: limits for Franka Research 3."""
    assert (memory.ACCELERATION, memory.JERK) == (10.0, 5000.0)
    assert memory.CARTESIAN == (3.0, 9.0, 4500.0, 2.5, 17.0, 8500.0)
    assert memory.ELBOW == (1.5, 10.0, 5000.0)
    assert memory.LOST == 20


def test_joints_stop_at_the_published_limits():
    limits = arm_model("fr3").limits
    np.testing.assert_array_equal(limits.torque, [87.0] * 4 + [12.0] * 3)
    assert limits.torque_rate == 1000.0
    np.testing.assert_array_equal(limits.low, [-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159])
    np.testing.assert_array_equal(limits.high, [2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159])
    np.testing.assert_array_equal(limits.velocity, [2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26])
    np.testing.assert_array_equal(limits.velocity_offset, [0.30, 0.20, 0.20, 0.30, 0.35, 0.35, 0.35])
    np.testing.assert_array_equal(limits.braking, [6.0, 2.585, 3.5, 4.0, 17.0, 5.5, 17.0])
