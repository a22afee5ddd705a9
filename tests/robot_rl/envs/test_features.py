"""A task seen through a frozen backbone, from the environment to a run's schema."""

import dataclasses

import numpy as np
import pytest

import tasks
from robot_rl.cells import observer_of, open_env, open_perception, with_backbone
from robot_rl.config import effective, validate
from robot_rl.envs.observation import Observer
from robot_rl.exceptions import ConfigError
from robot_rl.perception import FEATURES

pytest.importorskip("torch")
pytestmark = pytest.mark.egl

SEES = {"obs": "features", "crops": 2, "transport": "inprocess", "seed": 3}


@pytest.fixture(scope="module")
def config():
    return with_backbone(effective(tasks.load("reach"), SEES))


@pytest.fixture(scope="module")
def env(config):
    env = open_env(config)
    yield env
    env.close()


def test_features_take_the_place_of_pictures(env, config):
    observation, _ = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    cameras = [name for name in observation if name.endswith("_features")]
    assert cameras == ["wrist_features", "front_features"]
    for name in cameras:
        assert observation[name].shape == (2, *FEATURES) and observation[name].dtype == np.float16
    assert all(value.dtype != np.uint8 for value in observation.values())
    assert not any(name.startswith("sim/") for name in observation)
    assert env.schema() == observer_of(config).schema()


def test_features_are_of_this_reading(env, config):
    env.reset(seed=1)
    observation, *_ = env.step(env.action_space.sample())
    again = open_perception(config).encode(env.reading.images, env.reading.tick)
    for camera, maps in again.items():
        np.testing.assert_array_equal(observation[f"{camera}_features"], maps)
    assert env.reading.images.keys() == again.keys()


def test_what_the_cell_looked_at_is_not_looked_at_again(config):
    class Never:
        def encode(self, images, tick):
            raise AssertionError("looked at twice")

    env = open_env(config)
    try:
        env.reset(seed=0)
        env._perception = Never()
        seen = dataclasses.replace(env.reading, features={"wrist": np.zeros((2, *FEATURES), np.float16)})
        assert env._seen(seen) is seen
    finally:
        env.close()


def test_another_backbones_features_are_another_schema(config):
    schemas = {Observer(tasks.load("reach"), "features", backbone_id=name).schema().hash for name in ("one", "other")}
    assert len(schemas) == 2
    assert config.backbone_id in observer_of(config).schema().to_json()


def test_other_weights_than_the_run_began_with_are_refused(config):
    with pytest.raises(ConfigError, match=rf"{config.backbone_id}.*0123456789abcdef"):
        open_perception(dataclasses.replace(config, backbone_id="0123456789abcdef"))


def test_the_weights_are_found_once(config):
    assert len(config.backbone_id) == 16
    assert with_backbone(config) is config
    state = effective(tasks.load("reach"), {})
    assert with_backbone(state) is state and open_perception(state) is None


@pytest.mark.parametrize("crops", [0, 5])
def test_crops_out_of_range_are_refused(crops):
    with pytest.raises(ConfigError, match=rf"crops is {crops}"):
        validate(effective(tasks.load("reach"), SEES | {"crops": crops}))
