# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Trains agents with and without memory by PPO, in tasks that need it."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import Progress

from experiments._run_cache import RunCache
from experiments.memory_rl import agents, environments, ppo
from experiments.memory_rl.agents import AgentName
from experiments.memory_rl.mistakes import GIVEN, MISTAKES
from experiments.memory_rl.show import compare, draw, tables

__all__ = ["SMOKE", "Settings", "compare", "draw", "run", "tables"]


RECIPE = ppo.Recipe()


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be changed from the command line."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One agent each, side by side; of its start, its episodes and its minibatches."""
    chains: tuple[int, ...] = (5, 10, 20, 40)
    """Lengths of MemoryChain."""
    mazes: tuple[int, ...] = (10,)
    """Lengths of the T-maze's corridor."""
    decks: tuple[Literal["easy", "medium"], ...] = ("easy",)
    """Levels of RepeatPrevious."""
    agents: tuple[AgentName, ...] = ("memoryless", "frames", "GRU", "LSTM", "Flax LSTM")
    """Who learns every task."""
    starts: tuple[AgentName, ...] = ("LSTM, forget bias 1", "Flax LSTM, chrono")
    """Who learns MemoryChain besides: other starts of the two LSTMs."""
    units: int = 32
    """Of a recurrent agent; the others have at least as many parameters as its LSTM."""
    frames: int = 8
    """Observations that the agent "frames" sees."""
    horizon: int = 40
    """Steps that the gates of the GRU and of the LSTM are started to remember."""
    updates: int = 100
    """Rollouts, and updates from each."""
    points: int = 20
    """Of a learning curve."""
    rates: tuple[float, ...] = (1e-3, 2e-3, 3e-3, 6e-3, 1e-2)
    """Of Adam, of which one is chosen for each agent and kind of task; the longest
    chain and maze and the first deck choose for all."""
    search_seed: int = 100
    """Of the agents, one a rate, by which it is chosen."""
    recipe: ppo.Recipe = RECIPE
    """How all agents learn, but for the deck's γ, λ and minibatches."""
    deck_discount: float = 0.5
    """γ and λ of RepeatPrevious, where an action changes nothing that comes after."""
    deck_minibatches: int = 8
    """Minibatches of RepeatPrevious."""
    mistaken: tuple[str, ...] = ("maze 10",)
    """Tasks in which the LSTM's update is made with mistakes."""
    mistakes: tuple[str, ...] = MISTAKES
    """Which mistakes."""


SMOKE = Settings(
    seeds=(0, 1),
    chains=(5, 20),
    mazes=(),
    decks=(),
    agents=("memoryless", "LSTM"),
    starts=(),
    units=4,
    updates=2,
    points=2,
    rates=(3e-3, 1e-2),
    recipe=ppo.Recipe(environments=4, steps=64, epochs=1, minibatches=2),
    mistaken=("chain 20",),
    mistakes=MISTAKES[-1:],
)


def start(settings: Settings, name: str, task: environments.Task) -> Any:
    """What draws an agent for a task from a key."""
    return partial(
        agents.init,
        name,
        observations=task.observations,
        actions=task.environment.num_actions,
        units=settings.units,
        frames=settings.frames,
        horizon=settings.horizon,
    )


def recipe_of(settings: Settings, kind: str) -> ppo.Recipe:
    """How agents learn a kind of task."""
    if kind != "repeat":
        return settings.recipe
    return dataclasses.replace(
        settings.recipe,
        discount=settings.deck_discount,
        gae_lambda=settings.deck_discount,
        minibatches=settings.deck_minibatches,
    )


ANY = {"chain": "chain 5", "maze": "maze 10", "repeat": "repeat easy"}


class Study:
    """Trains agents of one kind in tasks of one kind, by one program.

    Args:
        settings: of the run.
        name: of the agent.
        kind: of the tasks.
        given: what the update is given; static, like all but the task's numbers.
    """

    def __init__(
        self, settings: Settings, name: str, kind: str, given: Any = ppo.as_it_was
    ) -> None:
        self.settings, self.kind, self.given = settings, kind, given
        task = environments.make(ANY[kind])
        self.start = start(settings, name, task)  # one object: it is static below

    def train(self, which: str, rates: Any, seeds: Any) -> dict[str, Any]:
        """Trains one agent a rate and seed in the task that `which` completes."""
        task = environments.make(f"{self.kind} {which}")
        found = ppo.train_seeds(
            recipe_of(self.settings, self.kind),
            task.environment,
            self.start,
            self.settings.updates,
            self.settings.points,
            self.given,
            task.params,
            jnp.asarray(rates, jnp.float32),
            jnp.stack([jax.random.key(seed) for seed in seeds]),
        )
        return jax.device_get(found)

    def choose(self, which: str) -> dict[str, Any]:
        """The rate with the highest mean return over the second half of training."""
        rates = self.settings.rates
        seeds = [self.settings.search_seed] * len(rates)
        curves = self.train(which, rates, seeds)["returns"]
        means = curves[:, curves.shape[1] // 2 :].mean(1)
        return {"rate": rates[int(np.argmax(means))], "means": means.tolist()}


def run(settings: Settings, progress: Progress, cache: RunCache) -> dict[str, Any]:
    """Trains all agents in all tasks, and the LSTM with each mistake."""
    kinds: dict[str, list[str]] = {
        "chain": [str(n) for n in settings.chains],
        "maze": [str(n) for n in settings.mazes],
        "repeat": list(settings.decks),
    }
    bar = progress.add_task("memory_rl", total=None, note="")
    results: dict[str, Any] = {"tasks": {}, "rates": {}, "mistakes": {}}

    def part(name: str, make: Callable[[], Any]) -> Any:
        with jax.enable_x64(False):
            found = cache(name, make)
        progress.update(bar, advance=1, note=name)
        return found

    for kind, members in kinds.items():
        if not members:
            continue
        others = settings.starts if kind == "chain" else ()
        for name in (*settings.agents, *others):
            study = Study(settings, name, kind)
            search = members[0 if kind == "repeat" else -1]
            rate = part(f"{kind} {name} rate", partial(study.choose, search))
            results["rates"].setdefault(kind, {})[name] = rate
            for which in members:
                work = partial(
                    study.train,
                    which,
                    [rate["rate"]] * len(settings.seeds),
                    settings.seeds,
                )
                found = part(f"{kind} {which} {name}", work)
                results["tasks"].setdefault(f"{kind} {which}", {})[name] = found
        for task in settings.mistaken:
            own, which = task.split()
            if own != kind:
                continue
            made = results["mistakes"][task] = {"none": results["tasks"][task]["LSTM"]}
            rates = [results["rates"][kind]["LSTM"]["rate"]] * len(settings.seeds)
            for mistake in settings.mistakes:
                study = Study(settings, "LSTM", kind, GIVEN[mistake])
                work = partial(study.train, which, rates, settings.seeds)
                made[mistake] = part(f"{task}, {mistake}", work)
    results["parameters"] = part("parameters", partial(sizes, settings))
    results["bounds"] = {
        name: {"chance": task.chance, "best": task.best}
        for name in results["tasks"]
        for task in [environments.make(name)]
    }
    return results


def sizes(settings: Settings) -> dict[str, int]:
    """Parameters of every agent in MemoryChain."""
    task, key = environments.make(f"chain {settings.chains[0]}"), jax.random.key(0)
    return {
        name: agents.size(start(settings, name, task)(key))
        for name in (*settings.agents, *settings.starts)
    }
