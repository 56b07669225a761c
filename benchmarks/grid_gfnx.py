"""Trajectories a second of gfnx on the hypergrid of 4 dimensions and 8 cells, a part of ``benchmarks.hypergrid``.

    python benchmarks/grid_gfnx.py BATCH ITERATIONS

Trajectory balance with a uniform backward policy, perceptron of 3 x 256, Adam, on policy; a whole iteration is one
compiled function. Run by an interpreter that has gfnx and optax; needs nothing of this package. Prints trajectories a
second of processor time, without compilation.
"""

from __future__ import annotations

import sys
import time

import gfnx
import jax
import jax.numpy as jnp
import optax
from gfnx.utils.rollout import forward_rollout, forward_trajectory_log_probs

N_DIMENSIONS, LENGTH, WIDTHS = 4, 8, (256, 256, 256)


def initial_weights(key):
    """Weights of the perceptron, and log Z."""
    sizes = (N_DIMENSIONS * LENGTH, *WIDTHS, N_DIMENSIONS + 1)
    keys = jax.random.split(key, len(sizes) - 1)
    layers = [
        (jax.random.normal(one, (rows, columns)) / rows**0.5, jnp.zeros(columns))
        for one, rows, columns in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]
    return {"layers": layers, "log_z": jnp.zeros(())}


def policy(_key, observation, weights):
    """Logits of the forward policy; those of the backward policy are equal."""
    hidden = observation
    for matrix, bias in weights["layers"][:-1]:
        hidden = jax.nn.relu(hidden @ matrix + bias)
    matrix, bias = weights["layers"][-1]
    logits = hidden @ matrix + bias
    backward = jnp.zeros((len(observation), N_DIMENSIONS))
    return logits, {"forward_logits": logits, "backward_logits": backward}


def train(batch: int, iterations: int) -> None:
    """Train and print the rate."""
    reward = gfnx.GeneralHypergridRewardModule(R0=0.1, R1=0.5, R2=2.0)
    env = gfnx.HypergridEnvironment(reward, dim=N_DIMENSIONS, side=LENGTH)
    key = jax.random.PRNGKey(0)
    env_params, weights = env.init(key), initial_weights(key)
    optimizer = optax.adam(1e-3)
    state = optimizer.init(weights)

    def loss_of(weights, key):
        trajectories, found = forward_rollout(key, batch, policy, weights, env, env_params)
        log_pf, log_pb = forward_trajectory_log_probs(env, trajectories, env_params)
        return ((weights["log_z"] + log_pf - log_pb - found["log_gfn_reward"]) ** 2).mean()

    @jax.jit
    def step(weights, state, key):
        key, own = jax.random.split(key)
        gradient = jax.grad(loss_of)(weights, own)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(weights, updates), state, key

    weights, state, key = jax.block_until_ready(step(weights, state, key))
    start = time.process_time()
    for _ in range(iterations):
        weights, state, key = step(weights, state, key)
    jax.block_until_ready(weights)
    print(batch * iterations / (time.process_time() - start))


if __name__ == "__main__":
    train(int(sys.argv[1]), int(sys.argv[2]))
