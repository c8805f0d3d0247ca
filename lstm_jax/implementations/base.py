# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""Implementation: what a way of running may override, and how it refuses."""

import dataclasses
from typing import Any, ClassVar

import jax

from lstm_jax._inputs import LayerInputs, Request, SequenceArgs
from lstm_jax._masks import Body, masked_step
from lstm_jax._network import run_network
from lstm_jax._params import Params
from lstm_jax.checks.messages import raise_first, refuse


@dataclasses.dataclass(frozen=True)
class Implementation:
    """A way of running: a frozen dataclass that owns its knobs.

    Derive from it, register the class with `jax.tree_util.register_static`, and
    override `iterate`, `layer` or `network`, each of which is by default made of the
    one before: `iterate` runs a step again and again, `layer` one layer in one
    direction, `network` a whole structure.

    A derived class lists its own fields under Attributes: there are none here.

    Example:
        >>> import dataclasses, jax, lstm_jax
        >>> @jax.tree_util.register_static
        ... @dataclasses.dataclass(frozen=True)
        ... class PlainScan(lstm_jax.Implementation):
        ...     def iterate(self, body, carry, xs, reverse):
        ...         return jax.lax.scan(body, carry, xs, reverse=reverse)
        >>> params = lstm_jax.init(jax.random.key(0), 3, 5)
        >>> x = jax.numpy.ones((2, 7, 3), params.layers[0].w_x.dtype)
        >>> lstm_jax.apply(params, x, implementation=PlainScan())[0].shape
        (2, 7, 5)
    """

    instead: ClassVar[str] = ""  # what can run the rest, as " Scan() can."

    def iterate(self, body: Body, carry: Any, xs: Any, reverse: bool) -> Any:
        """Runs a body of `lax.scan` over xs, trees of (T, ...).

        Args:
            body: (carry, x) -> (carry, y).
            carry: what enters first.
            xs: (inputs, StepMasks).
            reverse: from the last step to the first; ys in the order of xs.

        Returns:
            The last carry and the tree of ys (T, ...), as `lax.scan` gives them.
        """
        raise NotImplementedError(f"{type(self).__name__} must define iterate.")

    def layer(self, inputs: LayerInputs, reverse: bool) -> tuple[Any, jax.Array]:
        """Runs one layer in one direction.

        Args:
            inputs: all that enters it.
            reverse: from the last step to the first.

        Returns:
            The state after the step that is processed last, and y (T, *B, features).
        """

        def step(state: Any, xs: Any) -> tuple[Any, jax.Array]:
            x_t, stepped = xs
            cell = inputs.cell.cast(x_t.dtype)  # here, so that gradients add up wide
            return cell.step(state, x_t, inputs.drop_masks(stepped))

        body = masked_step(step, inputs.reset_state)
        xs = (inputs.x, inputs.stepped), inputs.step_masks
        return self.iterate(body, inputs.state, xs, reverse)

    def network(
        self, params: Params, x: jax.Array, state: Any, args: SequenceArgs
    ) -> tuple[jax.Array, Any]:
        """Runs a network.

        Args:
            params: of any kind, in the accumulation dtype.
            x: (T, *B, I), zero in the padding.
            state: in the cells' own containers, or None.
            args: with mask and resets laid out as (T, *B).

        Returns:
            y (T, *B, features), and the state after it.
        """
        return run_network(self.layer, params, x, state, args)

    def unsupported(self, request: Request) -> list[str]:
        """Why this cannot run what is asked for: all reasons, or an empty list."""
        return []

    def check(self) -> list[str | Exception]:
        """What is wrong with its own knobs, each beginning with a field's name."""
        return []


def check_implementation(call: str, value: Any, request: Request) -> None:
    """Checks a way of running by itself, and against what it is to run."""
    if not isinstance(value, Implementation):
        raise TypeError(
            f"{call}: implementation must be an lstm_jax.Implementation, such as "
            f"Scan(...) or Loop(), or None; got {value!r}."
        )
    raise_first(call, f"{type(value).__name__}.", value.check())
    if reasons := value.unsupported(request):
        refuse(call, value, reasons, value.instead)
