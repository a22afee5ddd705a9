import jax
import jax.numpy as jnp
import numpy as np

from robot_rl.nets.distributions import LOG_STD_MAX, LOG_STD_MIN, TanhNormal


def test_density_integrates_to_one():
    distribution = TanhNormal(jnp.array([0.4]), jnp.array([-0.7]))
    edge = 0.998  # beyond, log_prob moves actions inwards
    actions = np.linspace(-edge, edge, 20001)[:, None]
    density = np.exp(np.asarray(distribution.log_prob(jnp.asarray(actions))))
    assert abs(np.trapezoid(density, actions[:, 0]) - 1) < 2e-3


def test_sample_and_log_prob_agree_with_log_prob():
    distribution = TanhNormal(jnp.zeros((100, 2)), jnp.full((100, 2), -1.0))
    action, log_prob = jax.jit(distribution.sample_and_log_prob)(jax.random.PRNGKey(1))
    np.testing.assert_allclose(distribution.log_prob(action), log_prob, atol=1e-3)


def test_actions_on_the_edge_have_finite_density():
    distribution = TanhNormal(jnp.zeros(2), jnp.zeros(2))
    assert np.isfinite(distribution.log_prob(jnp.array([1.0, -1.0])))


def test_log_prob_far_out_is_finite_with_finite_gradient():
    def log_prob(mean):
        return TanhNormal(mean, jnp.zeros(1)).sample_and_log_prob(jax.random.PRNGKey(0))[1]

    value, gradient = jax.jit(jax.value_and_grad(log_prob))(jnp.array([60.0]))
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_output_is_split_and_clipped():
    distribution = TanhNormal.from_output(jnp.array([0.5, -0.5, 9.0, -99.0]))
    np.testing.assert_allclose(distribution.mode(), np.tanh([0.5, -0.5]), rtol=1e-6)
    np.testing.assert_allclose(distribution.log_std, [LOG_STD_MAX, LOG_STD_MIN])
