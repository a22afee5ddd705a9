"""One batch shared by several devices: the same numbers as on one, and what cannot be shared."""

import os
import subprocess
import sys

import pytest

from robot_rl.exceptions import ConfigError
from robot_rl.nets.devices import count_devices

COMPARE = """
import dataclasses
import jax, numpy as np
from robot_rl.agents import make_agent
from tests.robot_rl.agents.test_sac import CONFIG, EXAMPLE, batch

assert jax.device_count() == 4
seen = {}
for devices in (1, 0):
    agent = make_agent("rlpd", dataclasses.replace(CONFIG, batch=32, devices=devices, critic_subset=2), EXAMPLE, 2, 0)
    for seed in range(2):
        agent, metrics = agent.update(batch(slices=2, seed=seed))
    seen[devices] = jax.tree.map(np.asarray, (agent.critic, agent.actor, agent.target, metrics))
    holders = {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(agent)}
    assert holders == {4 if devices == 0 else 1}, holders
    assert agent.policy().act({"pose": np.zeros(3, np.float32)}, None).shape == (2,)
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), seen[0], seen[1])
print("alike")
"""


def test_four_devices_learn_what_one_learns():
    flags = f"--xla_force_host_platform_device_count=4 {os.environ.get('XLA_FLAGS', '')}"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", COMPARE], env=environment, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip().endswith("alike"), done.stderr


def test_what_cannot_be_shared_is_refused():
    with pytest.raises(ConfigError, match="learner.devices is 1000, but JAX has"):
        count_devices(1000, 256)
    assert count_devices(0, 256) >= count_devices(1, 255) == 1
