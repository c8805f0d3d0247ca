# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Recurrent PPO: gradients, advantages, tasks, and whose observation a flag is of."""

import itertools
from functools import partial
from typing import Any

import gymnasium
import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnax.environments import environment

import lstm_jax
from experiments.memory_rl import agents, environments, mistakes, ppo, throughput
from tests import cases

pytestmark = pytest.mark.usefixtures("as_users_have_it")


def agent_of(name: str, **sizes: Any) -> agents.Agent:
    """With other biases than zeros."""
    known = {"observations": 3, "actions": 2, "units": 4, "frames": 3, "horizon": 9}
    init = partial(agents.init, name, **(known | sizes))
    return cases.jitter(4, jax.jit(init)(jax.random.key(3)), 0.1)


def rollout_of(steps: int, resets: Any, key: jax.Array) -> ppo.Rollout:
    """Random in everything but where episodes begin."""
    shape = steps, resets.shape[1]
    keys = jax.random.split(key, 5)
    return ppo.Rollout(
        observations=jax.random.normal(keys[0], (*shape, 3)),
        resets=jnp.asarray(resets),
        actions=jax.random.randint(keys[1], shape, 0, 2),
        log_probs=jnp.log(0.5) + 0.1 * jax.random.normal(keys[2], shape),
        values=jnp.zeros(shape),
        rewards=jnp.zeros(shape),
        dones=jnp.zeros(shape, bool),
        targets=jax.random.normal(keys[3], shape),
        advantages=jax.random.normal(keys[4], shape),
    )


@pytest.mark.parametrize("name", ["LSTM", "GRU", "frames"])
def test_a_minibatch_is_its_episodes_run_one_by_one(name: str) -> None:
    """In float64; an episode ends at every step, and one begins at every step."""
    steps, recipe = 5, ppo.Recipe()
    resets = np.zeros((steps, steps + 2), bool)
    for row in range(steps):  # the first one's episode ends before the window
        resets[row, row] = True
    resets[:, steps] = True  # each step is an episode
    agent = agent_of(name)
    assert all(a.dtype == jnp.float64 for a in jax.tree.leaves(agent))
    rollout = rollout_of(steps, resets, jax.random.key(0))
    state = cases.jitter(1, agents.zero_state(agent.memory, steps + 2), 1.0)
    assert all(a.dtype == jnp.float64 for a in jax.tree.leaves(state))
    together = jax.jit(jax.grad(partial(ppo.loss, recipe)))(agent, rollout, state)
    # NumPy's slices and sums are not compiled, each shape by itself.
    rollout, state = jax.tree.map(np.asarray, (rollout, state))

    @jax.jit
    def one(agent: agents.Agent, episode: ppo.Rollout, state: Any) -> Any:
        total = lambda a: ppo.objective(recipe, a, episode, state).sum()  # noqa: E731
        return jax.grad(total)(agent)

    parts, count = [], 0
    for row in range(steps + 2):
        bounds = sorted({0, *np.flatnonzero(resets[:, row]).tolist(), steps})
        for begin, end in itertools.pairwise(bounds):
            episode = jax.tree.map(
                lambda a, b=begin, e=end, r=row: a[b:e, r : r + 1], rollout
            )
            episode = episode._replace(resets=np.zeros_like(episode.resets))
            whole = resets[begin, row]  # else it goes on from the rollout before
            entering = jax.tree.map(
                lambda a, r=row, w=whole: a[r : r + 1] * (not w), state
            )
            parts.append(jax.tree.map(np.asarray, one(agent, episode, entering)))
            count += 1
    assert count == 1 + 2 * (steps - 1) + steps + 1
    alone = jax.tree.map(lambda *g: sum(g) / resets.size, *parts)
    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12), together, alone
    )


def test_advantages_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    recipe = ppo.Recipe(discount=0.9, gae_lambda=0.8)
    shape = 6, 3
    rewards, values = rng.normal(size=shape), rng.normal(size=shape)
    dones, last = rng.random(shape) < 0.3, rng.normal(size=3)
    dones[-1, 0] = dones[0, 1] = True
    rollout = rollout_of(6, dones, jax.random.key(0))._replace(
        rewards=jnp.asarray(rewards), values=jnp.asarray(values), dones=dones
    )
    found = ppo.advantages(recipe, rollout, jnp.asarray(last))
    expected = np.zeros(shape)
    after = np.concatenate([values[1:], last[None]])
    for t, n in np.ndindex(shape):
        weight = 1.0
        for k in range(t, 6):
            on = 0.0 if dones[k, n] else 1.0
            delta = rewards[k, n] + 0.9 * on * after[k, n] - values[k, n]
            expected[t, n] += weight * delta
            weight *= 0.9 * 0.8 * on
    np.testing.assert_allclose(found.targets, expected + values, rtol=1e-12)
    scaled = (expected - expected.mean()) / (expected.std() + 1e-8)
    np.testing.assert_allclose(found.advantages, scaled, rtol=1e-10)


def test_frames_are_those_of_their_own_episode() -> None:
    x = jax.random.normal(jax.random.key(0), (6, 2, 3))
    resets = np.zeros((6, 2), bool)
    resets[0] = resets[3, 0] = resets[5, 1] = True
    y, _ = lstm_jax.apply(agents.Frames(3, 3), x, resets=resets, time_major=True)
    for t, n in np.ndindex(6, 2):
        begin = max(np.flatnonzero(resets[: t + 1, n]))
        seen = [x[k, n] if k >= begin else np.zeros(3) for k in (t - 2, t - 1, t)]
        np.testing.assert_array_equal(y[t, n], np.concatenate(seen))


@pytest.mark.usefixtures("in_32_bits")  # as Flax's carry always is
def test_flax_with_our_weights_is_ours() -> None:
    ours = agent_of("LSTM").memory
    shell = agents.memory("Flax LSTM", jax.random.key(0), 4, 9)
    theirs = shell.replace(variables={"params": {"cell": agents.as_flax(ours)}})
    x = jax.random.normal(jax.random.key(0), (7, 3, 4))
    resets = jax.random.bernoulli(jax.random.key(1), 0.3, (7, 3))
    y, _ = agents.recur(ours, x, agents.zero_state(ours, 3), resets)
    z, _ = agents.recur(theirs, x, agents.zero_state(theirs, 3), resets)
    np.testing.assert_allclose(y, z, atol=1e-6)


@pytest.mark.usefixtures("in_32_bits")
@pytest.mark.parametrize("name", ["memoryless", "frames", "Flax LSTM", "LSTM"])
def test_agents_have_as_many_parameters_as_the_lstm(name: str) -> None:
    sizes = {"units": 16, "frames": 8}
    count, least = (agents.size(agent_of(n, **sizes)) for n in (name, "LSTM"))
    assert least <= count < 1.1 * least


def test_the_chain_shows_its_sign_twice() -> None:
    """An episode of length L has L + 1 steps, and the answer is due at the last."""
    task = environments.make("chain 4")
    observation, world = task.environment.reset(jax.random.key(0), task.params)
    shown, rewards, sign = [], [], observation[2]
    for _ in range(5):
        shown.append(observation[2])
        right = (sign > 0).astype(int)
        observation, world, reward, done, _, _ = task.environment.step(
            jax.random.key(1), world, right, task.params
        )
        rewards.append(reward)
    assert [bool(s) for s in shown] == [True, True, False, False, False]
    assert rewards == [0, 0, 0, 0, 1] and done


@pytest.mark.parametrize("turn", [environments.NORTH, environments.SOUTH])
def test_the_maze(turn: int) -> None:
    task = environments.make("maze 2")
    step = partial(task.environment.step, jax.random.key(0), params=task.params)
    seen, world = task.environment.reset(jax.random.key(2), task.params)
    north = bool(world.north)
    assert seen.tolist() == ([0, 1, 1] if north else [1, 1, 0])
    bits = [1, 0, 1], [0, 1, 0]  # of places 1 and 2
    moves = (0, -0.1, 0), (3, -0.1, 0), (1, 0, 1), (2, -0.1, 1), (1, 0, 2), (1, -0.1, 2)
    for action, reward, place in moves:
        seen, world, got, done, _, _ = step(state=world, action=action)
        assert float(got) == pytest.approx(reward) and not done
        assert int(world.position) == place
        assert place == 0 or seen.tolist() == bits[place - 1]
    _, world, got, done, _, _ = step(state=world, action=turn)
    right = (turn == environments.NORTH) == north
    assert float(got) == pytest.approx(4.0 if right else -0.1) and done
    assert int(world.time) == 0
    short = task.params.replace(max_steps_in_episode=1)
    assert step(state=world, action=1, params=short)[3]


def test_repeat_previous_asks_as_popgym_does() -> None:
    """An agent that answers right earns 1 in an episode of 51 steps."""
    task = environments.make("repeat easy")
    step = jax.jit(lambda k, w, a: task.environment.step(k, w, a, task.params))
    seen, world = task.environment.reset(jax.random.key(0), task.params)
    suits: list[int] = []
    total = 0.0
    for t in range(51):
        suits.append(int(seen.argmax()))
        due = suits[-4] if t >= 3 else 0
        answer = due if t != 20 else (due + 1) % 4
        seen, world, reward, done, _, info = step(jax.random.key(t), world, answer)
        assert float(reward) == pytest.approx(0 if t < 3 else (1 - 2 * (t == 20)) / 48)
        assert bool(done) == (t == 50)
        total += float(reward)
    suits.append(int(info["final_observation"].argmax()))
    assert np.bincount(suits).tolist() == [13] * 4
    assert total == pytest.approx(46 / 48)


def test_a_cut_keeps_steps_in_order() -> None:
    rollout = rollout_of(6, np.zeros((6, 2), bool), jax.random.key(0))
    found, state = mistakes.cut(rollout, jnp.ones((2, 4)), steps=3)
    x = rollout.observations
    assert found.observations.shape == (3, 4, 3) and not state.any()
    pieces = [x[:3, 0], x[:3, 1], x[3:, 0], x[3:, 1]]
    for n, piece in enumerate(pieces):
        np.testing.assert_array_equal(found.observations[:, n], piece)


@pytest.mark.usefixtures("in_32_bits")
def test_throughput(monkeypatch: Any) -> None:
    monkeypatch.setattr(throughput, "AGENTS", ("LSTM",))
    found = throughput.measure(throughput.Plan((2,), steps=4, units=4, rounds=1))
    (row,) = found["rows"]
    assert row["environments"] == 2 and row["share"] < 1
    assert all(
        len(row[what]) == 1 and row[what][0] > 0 for what in ("acting", "updating")
    )


# Whose observation a flag is of. Observations tell their episode and step, so that what
# an episode alone gives is known without any flag.

LENGTHS = 3, 1, 4, 2  # of the episodes, over and over
STEPS = 14


class Counter(gymnasium.Env):
    """Observations (number of the episode, step in it)."""

    observation_space = gymnasium.spaces.Box(-1, 99, (2,), np.float64)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, first: int) -> None:
        self.episode, self.step_in_it = first - 1, 0

    def seen(self) -> np.ndarray:
        return np.array([self.episode, self.step_in_it], float)

    def reset(self, **options: Any) -> Any:
        self.episode, self.step_in_it = self.episode + 1, 0
        return self.seen(), {}

    def step(self, action: Any) -> Any:
        self.step_in_it += 1
        done = self.step_in_it == LENGTHS[self.episode % 4]
        return self.seen(), 0.0, done, False, {}


@struct.dataclass
class Count(environment.EnvState):
    episode: Any


class GymnaxCounter(environment.Environment[Count, environment.EnvParams]):
    """The same; its reset cannot know the last episode, and draws one."""

    def reset_env(self, key: jax.Array, params: Any) -> Any:
        state = Count(time=0, episode=jax.random.randint(key, (), 0, 99))
        return self.get_obs(state), state

    def step_env(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        state = state.replace(time=state.time + 1)
        done = state.time == jnp.asarray(LENGTHS)[state.episode % 4]
        return self.get_obs(state), state, 0.0, done, {}

    def get_obs(self, state: Any, params: Any = None, key: Any = None) -> jax.Array:
        return jnp.stack([state.episode * 1.0, state.time * 1.0])

    def is_truncated(self, state: Any, params: Any) -> Any:
        return jnp.zeros((), bool)


def from_gymnax() -> Any:
    """The flag belongs to the observation that it comes with."""
    task, count = GymnaxCounter(), 3
    params = task.default_params
    keys = jax.random.split(jax.random.key(0), (STEPS + 1, count))
    seen, state = jax.vmap(task.reset, (0, None))(keys[0], params)
    flag, observations, resets = jnp.ones(count, bool), [], []
    for k in keys[1:]:
        observations.append(seen)
        resets.append(flag)
        seen, state, _, terminated, truncated, _ = jax.vmap(
            task.step, (0, 0, None, None)
        )(k, state, 0, params)
        flag = terminated | truncated
    return observations, resets, np.ones((STEPS, count), bool)


def from_brax() -> Any:
    """What Brax's AutoResetWrapper does, with its names; likewise."""
    lengths = np.array([3, 1, 4])

    def step(state: dict[str, Any]) -> dict[str, Any]:
        time = state["time"] + 1
        done = time == lengths
        obs = np.stack([lengths, time], -1)
        where = np.where(done[:, None], state["first_obs"], obs)
        return state | {"obs": where, "done": done, "time": np.where(done, 0, time)}

    first = np.stack([lengths, np.zeros(3)], -1)
    state = {"obs": first, "first_obs": first, "time": np.zeros(3), "done": lengths > 0}
    observations, resets = [], []
    for _ in range(STEPS):
        observations.append(state["obs"])
        resets.append(state["done"])
        state = step(state)
    return observations, resets, np.ones((STEPS, 3), bool)


def from_gymnasium(mode: AutoresetMode) -> Any:
    """NEXT_STEP: to the observation after; the one it comes with is the last."""
    envs = SyncVectorEnv(
        [partial(Counter, first) for first in (0, 1, 2)], autoreset_mode=mode
    )
    seen: Any = envs.reset()[0]
    flag: Any = np.zeros(3, bool)
    observations, before = [], []
    for _ in range(STEPS):
        observations.append(seen)
        before.append(flag)
        seen, _, terminated, truncated, _ = envs.step(np.zeros(3, int))
        flag = terminated | truncated
        if mode is AutoresetMode.DISABLED and flag.any():
            seen, _ = envs.reset(options={"reset_mask": flag})
    envs.close()
    start, flags = np.ones((1, 3), bool), np.stack(before)
    if mode is AutoresetMode.NEXT_STEP:
        return observations, np.concatenate([start, flags[:-1]]), ~flags
    return observations, np.concatenate([start, flags[1:]]), np.ones_like(flags)


CONVENTIONS = {
    "gymnax": from_gymnax,
    "brax": from_brax,
    **{f"gymnasium {m.name}": partial(from_gymnasium, m) for m in AutoresetMode},
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_flags_keep_episodes_apart(name: str) -> None:
    """Each convention as the guide has it, against episodes run alone."""
    observations, resets, acted = (np.asarray(a) for a in CONVENTIONS[name]())
    params = lstm_jax.init_cell(jax.random.key(0), 2, 5)
    scale = np.array([0.1, 1.0])
    y, _ = lstm_jax.apply(params, observations * scale, resets=resets, time_major=True)
    lasts = 0
    for n in range(observations.shape[1]):
        begins = [*np.flatnonzero(observations[:, n, 1] == 0).tolist(), STEPS]
        assert len(begins) > 3 and begins[0] == 0
        for begin, end in itertools.pairwise(begins):
            alone, _ = lstm_jax.apply(params, observations[begin:end, n] * scale)
            np.testing.assert_allclose(y[begin:end, n], alone, rtol=1e-12)
            lasts += int((~acted[begin:end, n]).sum())
            whole = observations[end - 1, n]
            if name == "gymnasium NEXT_STEP" and end < STEPS:
                assert whole[1] == LENGTHS[int(whole[0]) % 4] and not acted[end - 1, n]
    assert (lasts > 0) == (name == "gymnasium NEXT_STEP")


def test_gymnax_is_what_the_page_is_written_for() -> None:
    """`step` has six results since version 1."""
    task, params = gymnax.make("MemoryChain-bsuite")
    _, state = task.reset(jax.random.key(0), params)
    assert len(task.step(jax.random.key(1), state, 0, params)) == 6
