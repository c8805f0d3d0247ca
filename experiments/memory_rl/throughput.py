# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Environment steps a second: python -m experiments.memory_rl.throughput.

Writes throughput.json. Agents differ in their memory alone. Acting is T steps of N
environments; updating is one gradient over that rollout, and a step of Adam.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

from experiments._results import machine, rounded, to_json, versions
from experiments.memory_rl import agents, environments, ppo
from experiments.memory_rl.show import THROUGHPUT, throughput_table

AGENTS = "LSTM", "GRU", "Flax LSTM", "Flax GRU"
WITHOUT = "no memory"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is measured."""

    environments: tuple[int, ...] = (16, 256, 2048)
    steps: int = 128
    units: int = 32
    rounds: int = 7


def draw(name: str, task: environments.Task, units: int) -> agents.Agent:
    """An agent; one without memory passes on what its first layer gives."""
    actions = task.environment.num_actions
    key, known = jax.random.key(0), name if name != WITHOUT else "LSTM"
    agent = agents.init(known, key, task.observations, actions, units, 1, 40)
    if name == WITHOUT:
        return agent._replace(memory=agents.Frames(units, 1))
    return agent


def programs(
    name: str, plan: Plan, count: int
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Compiled acting and updating, with all they take."""
    task = environments.make("chain 20")
    agent = draw(name, task, plan.units)
    recipe = ppo.Recipe(environments=count, steps=plan.steps)
    tx = ppo.optimizer(recipe, 1, 1e-3)
    now = ppo.begin(agent, task.environment, task.params, count, jax.random.key(1))
    keys = jax.random.split(jax.random.key(2), plan.steps)

    @jax.jit
    def acting(agent: Any, now: Any) -> Any:
        return ppo.act(agent, task.environment, task.params, now, keys)

    @jax.jit
    def updating(learner: Any, rollout: Any, state: Any) -> Any:
        return ppo.descend(recipe, tx, learner, rollout, state)

    _, rollout, _ = acting(agent, now)
    full = ppo.advantages(recipe, rollout, rollout.values[-1])
    learner = agent, tx.init(agent)
    jax.block_until_ready(updating(learner, full, now.memory))
    return lambda: acting(agent, now), lambda: updating(learner, full, now.memory)


def seconds(run: Callable[[], Any]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def measure(plan: Plan) -> dict[str, Any]:
    """All agents in turn, round after round."""
    rows = []
    for count in plan.environments:
        ready = {name: programs(name, plan, count) for name in (*AGENTS, WITHOUT)}
        times: dict[tuple[str, int], list[float]] = {}
        for _ in range(plan.rounds):
            for name, pair in ready.items():
                for which, run in enumerate(pair):
                    times.setdefault((name, which), []).append(seconds(run))
        total = count * plan.steps
        for name in AGENTS:
            acting, updating, bare = (
                times[key] for key in ((name, 0), (name, 1), (WITHOUT, 1))
            )
            shares = [1 - b / t for b, t in zip(bare, updating, strict=True)]
            rows.append(
                {
                    "environments": count,
                    "agent": name,
                    "acting": [total / t for t in acting],
                    "updating": [total / t for t in updating],
                    "share": statistics.median(shares),
                }
            )
    return rounded(
        {
            "machine": machine(),
            "versions": versions(),
            "rounds": plan.rounds,
            "rows": rows,
            "steps": plan.steps,
            "units": plan.units,
        }
    )


if __name__ == "__main__":
    found = measure(Plan())
    THROUGHPUT.write_text(to_json(found))
    print(throughput_table(found))
