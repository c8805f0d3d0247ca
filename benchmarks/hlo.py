# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What a compiled program consists of, read from XLA's text of it.

    Program(jitted.lower(*args).compile().as_text())

Kernels are what is launched on a GPU; cycles are what XLA's compiler for TPUs writes
beside an instruction, and it alone writes them.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*\{$")
LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = .+? ([a-z][\w\-]*)\((.*)$")
CALLED = re.compile(
    r"(?:body|condition|calls|to_apply|true_computation|false_computation)="
    r"%?([\w.\-]+)"
)
BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
CHAIN = re.compile(r'channel_id=(\d+),.*chain_id="(\d+)"')
# What no kernel is launched for.
FREE = {
    "after-all",
    "bitcast",
    "constant",
    "get-tuple-element",
    "opt-barrier",
    "parameter",
    "partition-id",
    "replica-id",
    "tuple",
}
FOLLOWS = ("-done", "-update")  # of what a -start launched
COLLECTIVES = {
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-permute",
    "reduce-scatter",
}


class Instruction(NamedTuple):
    """One line of a computation.

    Attributes:
        name: of its result.
        op: what it does.
        text: its operands and attributes.
    """

    name: str
    op: str
    text: str

    @property
    def called(self) -> list[str]:
        """The computations that it runs."""
        branches = ",".join(BRANCHES.findall(self.text)).replace("%", "")
        return CALLED.findall(self.text) + [b.strip() for b in branches.split(",") if b]


class Loop(NamedTuple):
    """A `while`.

    Attributes:
        body: the computation of one iteration.
        trips: how many there are; None where the program does not say.
        within: the computation that it is in.
    """

    body: str
    trips: int | None
    within: str


class Program:
    """A program of computations.

    Attributes:
        computations: the instructions of each, by name.
        entry: the name of the one that runs first.
    """

    def __init__(self, text: str) -> None:
        self.computations: dict[str, list[Instruction]] = {}
        self.entry = name = ""
        for line in text.splitlines():
            if header := HEADER.match(line):
                name = header[2]
                self.computations[name] = []
                self.entry = name if header[1] else self.entry
            elif name and (found := LINE.match(line)):
                self.computations[name].append(Instruction(*found.groups()))

    @functools.cached_property
    def loops(self) -> list[Loop]:
        """All `while`s."""
        return [
            Loop(_attribute("body", i), self._trips(i), name)
            for name, own in self.computations.items()
            for i in own
            if i.op == "while"
        ]

    def _trips(self, loop: Instruction) -> int | None:
        """Said beside the loop, or else the one number its counter is compared with."""
        if said := re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.text):
            return int(said[1])
        condition = self.computations[_attribute("condition", loop)]
        found = [i for i in condition if i.op == "constant"]
        numbers = [re.match(r"(\d+)\)", i.text) for i in found]
        counts = any("direction=LT" in i.text for i in condition)
        only = numbers[0] if len(numbers) == 1 and counts else None
        return int(only[1]) if only else None

    def kernels(self, computation: str) -> Counter[str]:
        """What a computation launches by itself, loops aside, by kind."""
        count: Counter[str] = Counter()
        for i in self.computations[computation]:
            if i.op == "call" or i.op.endswith("-start"):
                for name in i.called:
                    count += self.kernels(name)
                count[i.op] += not i.called
            elif not (i.op in FREE or i.op == "while" or i.op.endswith(FOLLOWS)):
                count[_kind(i)] += 1
        return count

    def launched_in_loops(self) -> int:
        """How many kernels all iterations of all loops launch."""
        return sum(
            self._runs(loop) * self.kernels(loop.body).total() for loop in self.loops
        )

    def _runs(self, loop: Loop) -> int:
        """How often its body runs."""
        if loop.trips is None:
            raise ValueError(f"hlo: nothing says how often {loop.body} runs.")
        outer = [one for one in self.loops if loop.within in self._reached(one.body)]
        return loop.trips * (self._runs(outer[-1]) if outer else 1)

    def cycles(self) -> int:
        """XLA's own estimate for a TPU, with every loop as often as it runs.

        An upper bound: it charges about 2,000 cycles for the smallest fusion.
        """
        runs = {self.entry: 1, **{loop.body: self._runs(loop) for loop in self.loops}}
        return sum(
            often * int(cycles)
            for name, often in runs.items()
            for i in self.computations[name]
            for cycles in CYCLES.findall(i.text)
        )

    def custom_calls(self, target: str) -> list[str]:
        """The names of the calls of a target."""
        wanted = f'custom_call_target="{target}"'
        return [
            i.name
            for own in self.computations.values()
            for i in own
            if i.op == "custom-call" and wanted in i.text
        ]

    def collectives(self) -> dict[bool, list[str]]:
        """The exchanges between devices, by whether they are in a loop."""
        inside = {name for loop in self.loops for name in self._reached(loop.body)}
        found: dict[bool, list[str]] = {True: [], False: []}
        chains = set()
        for name, own in self.computations.items():
            for i in own:
                op = i.op.removesuffix("-start")
                if op not in COLLECTIVES:
                    continue
                if chain := CHAIN.search(i.text):  # one exchange, in several fusions
                    key = (op, *chain.groups())
                    if key in chains:
                        continue
                    chains.add(key)
                found[name in inside].append(op)
        return {looped: sorted(kinds) for looped, kinds in found.items()}

    def _reached(self, name: str) -> set[str]:
        """Computations that one runs, and itself."""
        seen: set[str] = set()
        left = [name]
        while left:
            if (name := left.pop()) in self.computations and name not in seen:
                seen.add(name)
                left += self._called(name)
        return seen

    def _called(self, name: str) -> Iterator[str]:
        for i in self.computations[name]:
            yield from i.called


def _attribute(name: str, i: Instruction) -> str:
    found = re.search(rf"\b{name}=%?([\w.\-]+)", i.text)
    if found is None:
        raise ValueError(f"hlo: {i.op} {i.name} has no {name}.")
    return found[1]


def _kind(i: Instruction) -> str:
    """Its op, with what is called or how it is fused."""
    named = re.search(r'custom_call_target="([^"]+)"|kind=(\w+)', i.text)
    more = re.search(r'"kind":"(__\w+)"', i.text)
    parts = [i.op, *(p for p in (named.groups() if named else ()) if p)]
    return ":".join([*parts, *([more[1]] if more else [])])
