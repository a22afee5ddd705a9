import dataclasses

import numpy as np
import pytest

from robot_rl.agents.initial import begin_with
from robot_rl.config import validate
from robot_rl.exceptions import ConfigError
from robot_rl.learner import Learner
from tests.robot_rl.learning import SMALL, run_config, transition

DEMOS = [transition(i) for i in range(40)]
SEEN = transition(99).observation
LEARNER = dataclasses.replace(SMALL, offline_steps=40, bc_steps=40)


def learner(agent, seed=0, **changes):
    return Learner(run_config(agent, seed, dataclasses.replace(LEARNER, **changes)), SEEN, 2, DEMOS)


@pytest.fixture
def run(tmp_path):
    """Trains an agent and gives its run's folder."""

    def make(agent, **changes):
        made = learner(agent, **changes)
        made.update_block()
        made.save(tmp_path / "run" / "checkpoints")
        return tmp_path / "run", made

    return make


@pytest.mark.parametrize("normalise", [False, True])
def test_rlpd_goes_on_with_the_policy_and_the_critics_of_iql(run, normalise):
    folder, offline = run("iql", normalise=normalise)
    online = learner("rlpd", seed=1)
    begun = begin_with(online.agent, folder)
    np.testing.assert_allclose(begun.policy().act(SEEN, None), offline.agent.policy().act(SEEN, None), atol=1e-5)
    assert not np.array_equal(online.agent.policy().act(SEEN, None), begun.policy().act(SEEN, None))
    if not normalise:
        kernel = offline.agent.critic["ensemble"][0]["kernel"]
        np.testing.assert_array_equal(begun.critic["ensemble"][0]["kernel"], kernel)
    batch = next(iter([online.experience.sampler.sample(2, 8)]))
    _, metrics = begun.update(batch)
    assert float(metrics["refused"]) == 0


def test_iqls_critics_say_of_plain_observations_what_they_said_of_normalised_ones(run):
    from robot_rl.agents.sac import critic_values

    folder, offline = run("iql", normalise=True)
    begun = begin_with(learner("rlpd").agent, folder)
    batch = offline.experience.sampler.sample(1, 8).map(lambda array: array[0])
    joined = np.concatenate([batch.observation["pose"], batch.observation["twist"]], axis=-1)
    normal = (joined - np.asarray(offline.agent.mean)) / np.asarray(offline.agent.deviation)
    from robot_rl.nets.mlp import apply_ensemble

    expected = apply_ensemble(offline.agent.critic["ensemble"], np.concatenate([normal, batch.action], axis=-1))
    np.testing.assert_allclose(critic_values(begun, batch.observation, batch.action), expected[..., 0], atol=1e-4)


@pytest.mark.parametrize("agent", ["rlpd", "iql", "hg_dagger"])
def test_a_cloned_policy_is_gone_on_with(run, agent):
    folder, offline = run("bc")
    begun = begin_with(learner(agent, seed=1).agent, folder)
    np.testing.assert_allclose(begun.policy().act(SEEN, None), offline.agent.policy().act(SEEN, None), atol=1e-6)


def test_the_learner_begins_with_it(run):
    folder, offline = run("iql")
    config = dataclasses.replace(run_config("rlpd", 3, LEARNER), initial=folder)
    begun = Learner(config, SEEN, 2, DEMOS)
    np.testing.assert_allclose(begun.agent.policy().act(SEEN, None), offline.agent.policy().act(SEEN, None), atol=1e-6)


def test_other_sizes_are_named_with_the_mend(run, tmp_path):
    folder, _ = run("iql", hidden=(8, 8))
    with pytest.raises(ConfigError, match=r"whose networks are others .*--learner.hidden"):
        begin_with(learner("rlpd").agent, folder)
    with pytest.raises(ConfigError, match="has no checkpoint yet; train it first"):
        begin_with(learner("rlpd").agent, tmp_path)


def test_a_run_without_a_policy_of_that_kind_gives_nothing_in_silence(tmp_path):
    from robot_rl.checkpoint import save_checkpoint

    arrays = {"arm/actor/mlp/0/kernel": np.zeros((2, 2), np.float32)}  # as of an agent with a grasp critic
    save_checkpoint(tmp_path / "checkpoints", "step-0", {"agent.safetensors": arrays}, {})
    with pytest.raises(ConfigError, match=r"no policy of that kind in it.*--learner.grasp-critic false"):
        begin_with(learner("rlpd").agent, tmp_path)


def test_networks_that_see_plain_observations_are_not_shown_normalised_ones(run):
    folder, _ = run("iql")
    config = dataclasses.replace(run_config("iql", 0, LEARNER), initial=folder)
    validate(config)
    with pytest.raises(ConfigError, match="learner.normalise is on; turn it off"):
        validate(dataclasses.replace(config, learner=dataclasses.replace(LEARNER, normalise=True)))
