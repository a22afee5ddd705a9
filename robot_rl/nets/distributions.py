"""The policy's distribution: a Gaussian squashed into (-1, 1)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0
EDGE = 1e-3  # recorded actions reach +-1, where the density has no value


class TanhNormal(NamedTuple):
    """tanh of a diagonal Gaussian. mean, log_std: (..., actions), before the tanh."""

    mean: Array
    log_std: Array

    @classmethod
    def from_output(cls, output: Array) -> TanhNormal:
        """From a network's output (..., 2 actions): means, then logarithms of the deviations, clipped."""
        mean, log_std = jnp.split(output, 2, axis=-1)
        return cls(mean, jnp.clip(log_std, LOG_STD_MIN, LOG_STD_MAX))

    def mode(self) -> Array:
        """The squashed mean: the deterministic action."""
        return jnp.tanh(self.mean)

    def sample_and_log_prob(self, key: Array) -> tuple[Array, Array]:
        """An action (..., actions) and the logarithm of its density (...,)."""
        noise = jax.random.normal(key, self.mean.shape)
        raw = self.mean + jnp.exp(self.log_std) * noise
        return jnp.tanh(raw), self._log_prob(raw, noise)

    def log_prob(self, action: ArrayLike) -> Array:
        """Of given actions (..., actions), which are first moved off the edge at +-1."""
        raw = jnp.arctanh(jnp.clip(action, -1 + EDGE, 1 - EDGE))
        return self._log_prob(raw, (raw - self.mean) * jnp.exp(-self.log_std))

    def _log_prob(self, raw: Array, noise: Array) -> Array:
        normal = -0.5 * jnp.square(noise) - self.log_std - 0.5 * jnp.log(2 * jnp.pi)
        # log(1 - tanh(raw)^2), written so that it does not underflow
        squash = 2 * (jnp.log(2.0) - raw - jax.nn.softplus(-2 * raw))
        return (normal - squash).sum(-1)
