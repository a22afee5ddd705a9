import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import tasks
from controllers import spatial
from robot_rl.envs import make
from robot_rl.exceptions import ConfigError


@pytest.fixture
def reach():
    env = make("reach")
    yield env
    env.close()


@pytest.mark.parametrize("name", tasks.names())
@pytest.mark.filterwarnings("ignore:.*render_mode.*")
def test_gymnasium_accepts_it(name):
    env = make(name)
    check_env(env, skip_render_check=True)
    env.close()


def test_it_is_registered():
    env = gymnasium.make("robot_rl/PegInsert-v0")
    observation, _ = env.reset(seed=0)
    assert observation["tool_position"].dtype == np.float32
    env.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "peg"}, "no task 'peg'; choose one of .*peg_insert"),
        ({"name": "reach", "obs": "sound"}, "no observation 'sound'; choose one of state, pixels"),
        ({"name": "reach", "robot": "hal"}, "no robot 'hal'; choose one of twin"),
    ],
)
def test_an_unknown_name_is_refused_with_the_choices(arguments, message):
    with pytest.raises(ConfigError, match=message):
        make(**arguments)


def test_what_only_the_simulator_knows_never_reaches_a_policy():
    for name in tasks.names():
        task = tasks.load(name)
        space = make(name).observation_space
        hidden = {key for key in space if key.startswith("sim/")}
        assert hidden == {f"sim/{key}" for key in task.observation.privileged}
        assert not hidden or "privileged" in task.summary
        assert not {key for key in make(name, obs="pixels").observation_space if key.startswith("sim/")}


def test_a_privileged_place_is_over_its_scale_and_a_direction_is_none():
    env = make("object_flip")
    observation, _ = env.reset(seed=2)
    sim, scale = env.reading.sim, env.task.observation.position
    np.testing.assert_allclose(observation["sim/block_from_tool"], sim["block_from_tool"] / scale, rtol=1e-5)
    np.testing.assert_allclose(observation["sim/red_axis"], sim["red_axis"], rtol=1e-5)
    notes = {field.name: field.note for field in env.schema().observation}
    assert "m" in notes["sim/block_from_tool"].split()
    assert "unit vector" in notes["sim/red_axis"]
    env.close()


def test_the_same_seed_gives_the_same_episode_and_another_seed_another(reach):
    def episode(seed):
        observation, _ = reach.reset(seed=seed)
        return observation["tool_position"], reach.step(np.full(3, 0.3, np.float32))[0]["tool_position"]

    first, again, other = episode(1), episode(1), episode(2)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first[0] - other[0]).max() > 0.2


def test_a_time_limit_truncates_and_success_terminates(reach):
    reach.reset(seed=3)
    for step in range(reach.task.horizon):
        *_, terminated, truncated, _ = reach.step(np.zeros(3, np.float32))
        assert not terminated
        assert truncated == (step == reach.task.horizon - 1)
    reach.reset(seed=4)
    expert = reach.task.expert(reach.task)
    expert.reset(np.random.default_rng(0))
    over = False
    while not over:
        _, reward, terminated, truncated, info = reach.step(expert.act(reach.reading))
        over = terminated or truncated
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)


def test_the_observation_before_the_limit_is_really_observed(reach):
    reach.reset(seed=5)
    for _ in range(reach.task.horizon):
        observation, *_ = reach.step(np.array([1, 0, 0], np.float32))
    expected = reach.cell.read().arm.pose.position - reach.task.anchor.position
    expected = spatial.rotate(spatial.conjugate(reach.task.anchor.quaternion), expected)
    np.testing.assert_allclose(observation["tool_position"], expected / reach.task.observation.position, atol=1e-5)


@pytest.mark.parametrize("action", [[np.nan, 0, 0], [0, 0], [np.inf, 0, 0]])
def test_an_action_that_is_none_is_refused(reach, action):
    reach.reset(seed=0)
    with pytest.raises(ValueError, match="of reach must be 3 finite numbers"):
        reach.step(np.array(action, np.float32))


def test_a_latched_arm_truncates_and_nothing_here_recovers_it(reach):
    reach.reset(seed=0)
    reach.cell.stop("a person pressed stop")
    *_, terminated, truncated, info = reach.step(np.zeros(3, np.float32))
    assert (terminated, truncated) == (False, True)
    assert "a person pressed stop" in info["fault"]
    with pytest.raises(Exception, match="recover"):
        reach.reset(seed=1)
    reach.cell.recover()
    reach.reset(seed=1)


def test_pixels_come_from_both_cameras():
    env = make("reach", obs="pixels")
    observation, _ = env.reset(seed=0)
    for camera in ("wrist", "front"):
        assert observation[camera].shape == (128, 128, 3)
        assert observation[camera].dtype == np.uint8
        assert observation[camera].std() > 10
    env.close()


@pytest.mark.parametrize("obs", ["state", "pixels"])
def test_it_renders_the_front_camera_at_the_tasks_rate(obs):
    env = make("reach", obs=obs, render_mode="rgb_array")
    env.reset(seed=0)
    front = next(camera for camera in env.task.cameras if camera.name == "front")
    np.testing.assert_array_equal(env.render(), env.cell.render(front))
    assert env.metadata["render_fps"] == 10
    env.close()


def test_a_schema_describes_every_value():
    for name in tasks.names():
        env = make(name)
        observation, _ = env.reset(seed=0)
        schema = env.schema()
        assert {field.name for field in schema.observation} == set(observation)
        assert all(field.note for field in schema.observation)
        assert len(schema.actions) == env.action_space.shape[0]


def test_it_tells_by_how_much_the_asked_reference_was_changed(reach):
    """Inside the box next to nothing; once the box holds the reference back, all that was asked beyond it."""
    _, info = reach.reset(seed=5)
    assert info["clamped"].tolist() == [0.0, 0.0]
    step = reach.task.action.translation
    changes = [reach.step(np.array([1, 0, 0], np.float32))[-1]["clamped"] for _ in range(60)]
    assert all(change.dtype == np.float32 and change.shape == (2,) for change in changes)
    assert changes[0][0] < 0.02 * step  # what the filter's smoothing has not followed yet
    edge = reach.task.workspace.high[0]
    assert abs(reach.reading.arm.reference.position[0] - edge) < 1e-4
    beyond = reach.reading.arm.pose.position[0] + step - edge
    assert 0 < beyond < 1.5 * step
    assert changes[-1][0] == pytest.approx(beyond, abs=0.1 * step)


def test_a_latch_changes_all_that_was_asked(reach):
    reach.reset(seed=6)
    reach.cell.stop("a person pressed stop")
    held = reach.reading.arm.pose.position
    *_, info = reach.step(np.array([0, 0, 1], np.float32))
    assert info["fault"]
    assert info["clamped"][0] == pytest.approx(reach.task.action.translation, rel=0.2)
    assert np.linalg.norm(reach.reading.arm.pose.position - held) < 1e-3
