from pathlib import Path

import numpy as np
import pytest
import yaml

import controllers
from controllers.exceptions import ControllersError
from controllers.models import MODELS, arm_model

FILES = Path(controllers.__file__).parent / "twin" / "models"


class Loader(yaml.SafeLoader):
    """Reads `!degrees` as radians."""


Loader.add_constructor("!degrees", lambda loader, node: np.radians(float(loader.construct_scalar(node))))


def maker(name: str) -> list[tuple[str, dict]]:
    """(joint, {lower, upper, velocity, effort}) as the maker's file has them."""
    joints = yaml.load((FILES / name / "joint_limits.yaml").read_text(), Loader)
    if "joint_limits" not in joints:
        return [(joint, entry["limit"]) for joint, entry in joints.items()]
    names = {"lower": "min_position", "upper": "max_position", "velocity": "max_velocity", "effort": "max_effort"}
    return [
        (joint, {ours: entry[theirs] for ours, theirs in names.items()})
        for joint, entry in joints["joint_limits"].items()
    ]


@pytest.mark.parametrize("name", MODELS)
def test_an_arm_is_what_its_maker_says(name):
    model, limits = arm_model(name), arm_model(name).limits
    said = maker(name)
    assert tuple(joint for joint, _ in said) == model.joints
    pairs = {"lower": limits.low, "upper": limits.high, "velocity": limits.velocity, "effort": limits.torque}
    for key, values in pairs.items():
        np.testing.assert_allclose(values, [entry[key] for _, entry in said])


@pytest.mark.parametrize("name", MODELS)
def test_home_lies_well_inside_the_soft_range(name):
    model = arm_model(name)
    low, high = model.limits.soft
    assert model.home.shape == (len(model.joints),)
    assert (np.minimum(model.home - low, high - model.home) > 0.3).all()


def test_names_carry_the_arm_and_which_of_two_it_is():
    assert arm_model("fr3").joint_names()[0] == "fr3_joint1"
    assert arm_model("ur5e").joint_names("left_")[-1] == "left_ur5e_wrist_3_joint"


def test_an_unknown_arm_is_refused_with_the_choices():
    with pytest.raises(ControllersError, match=r"no arm 'ur10'; choose one of fr3, panda, ur5e"):
        arm_model("ur10")
