import dataclasses

import pytest

from controllers.arms.franka.config import FrankaConfig, allowed_limits
from controllers.exceptions import SettingsError
from controllers.models import arm_model
from controllers.settings import build


def test_a_configuration_comes_from_plain_values():
    config = build(FrankaConfig, {"address": "172.16.0.2", "force_thresholds": [40, 40, 40, 10, 10, 10]}, "cell.yaml")
    assert config.library == "pylibfranka"
    assert config.force_thresholds == (40.0, 40.0, 40.0, 10.0, 10.0, 10.0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"address": " "}, "address is empty"),
        ({"payload_mass": -0.1}, "payload_mass is -0.1 kg: give 0 to 3"),
        ({"payload_mass": float("nan")}, "payload_mass is nan"),
        ({"payload_inertia": (-1.0, 0.0, 0.0)}, "payload_inertia is -1.0 kg m2"),
        ({"force_thresholds": (500.0,) * 6}, "force_thresholds is 500.0"),
        ({"torque_thresholds": (10.0,) * 6}, "torque_thresholds has 6 values: give 7"),
        ({"priority": 99}, "priority is 99: give 0 to 98"),
        ({"grip_force": 500.0}, "grip_force is 500.0 N"),
        ({"ttl": 0.0}, "ttl is 0.0 s"),
        ({"rotor_inertia": (0.0,) * 7}, "rotor_inertia is 0.0 kg m2: give 0.05 to 1"),
        ({"library": "ros"}, "library"),
        ({"adress": "x"}, "did you mean address"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(values, said):
    with pytest.raises(SettingsError, match=said) as error:
        build(FrankaConfig, {"address": "172.16.0.2", **values}, "cell.yaml")
    assert "\n" not in str(error.value)


def test_the_makers_limits_hold_unless_lower_ones_are_given():
    maker = arm_model("fr3").limits
    assert allowed_limits("fr3", None) is maker
    lower = maker.lowered(velocity=0.5 * maker.velocity, force=30.0)
    assert allowed_limits("fr3", lower) is lower


@pytest.mark.parametrize(
    ("name", "factor"), [("velocity", 1.01), ("torque", 1.01), ("torque_rate", 2.0), ("low", 1.01), ("high", 1.2)]
)
def test_limits_beyond_the_makers_are_refused(name, factor):
    maker = arm_model("fr3").limits
    with pytest.raises(SettingsError, match=f"{name} is .*, but the fr3 allows"):
        allowed_limits("fr3", dataclasses.replace(maker, **{name: factor * getattr(maker, name)}))


def test_limits_of_another_arm_are_refused():
    with pytest.raises(SettingsError, match="6 values, but the fr3 needs 7"):
        allowed_limits("fr3", arm_model("ur5e").limits)
