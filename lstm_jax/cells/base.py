# Copyright 2026 The lstm_jax authors. Licensed under the Apache License, Version 2.0.
"""What a cell is: parameters that know how to take one step.

Legend of shapes, used everywhere in this package: B batch, T time, I inputs, H hidden
units, P units after a projection, G gates present (4 in the standard cell). `x_t` is
one step, `x` a sequence; `w_` weights, `b` biases; `z` pre-activations; `dz` their
tangent or cotangent. `*B` stands for zero, one or many batch axes.
"""

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

import flax.struct
import jax
import jax.numpy as jnp

Own = TypeVar("Own", bound="Cell")


class DropMasks(NamedTuple):
    """What a regularizer does inside one cell; None where it does nothing.

    Attributes:
        g: factors of the candidate (recurrent dropout).
        h: zoneout of h: True keeps the old value; a number is the share of the old.
        c: zoneout of c, likewise.
    """

    g: Any = None
    h: Any = None
    c: Any = None


class Cell(flax.struct.PyTreeNode, repr=False):
    """One layer, one direction: a frozen pytree of parameters that can take a step.

    A class of one's own derives from this, names its arrays as fields (what is static
    with `flax.struct.field(pytree_node=False)`), and has at least `input_size`,
    `output_size`, `zero_state` and `step`. It then runs wherever an `LSTMParams` does:
    in `Stack`, `Bidirectional`, `Reverse` and `Residual`, under `apply` and
    `lstm_step` with lengths, masks, resets and truncation, in the Flax modules, in
    `serving` and in `config`. JAX differentiates it.

    A cell whose product of the input can be taken for all steps at once defines
    `project` and `advance` instead of `step`.

    Attributes:
        input_size: I, the features of x.
        output_size: the features of y.
        regularizers: which of "recurrent_dropout", "zoneout_h", "zoneout_c" and
            "weight_drop" act inside the cell. The first three come to the step as
            `DropMasks`, shaped by `mask_templates`; the last acts on a field `w_h`
            before the first step.

    Example:
        >>> import jax, jax.numpy as jnp, lstm_jax
        >>> class Decay(lstm_jax.Cell):
        ...     rate: jax.Array  # (I,)
        ...     input_size = output_size = property(lambda self: self.rate.shape[0])
        ...     def zero_state(self, batch_shape, dtype):
        ...         return jnp.zeros((*batch_shape, self.output_size), dtype)
        ...     def step(self, h, x, masks=None):
        ...         h = self.rate * h + x
        ...         return h, h
        >>> both = lstm_jax.Bidirectional(Decay(jnp.full(3, 0.5)), Decay(jnp.ones(3)))
        >>> lstm_jax.apply(both, jnp.ones((2, 7, 3)))[0].shape
        (2, 7, 6)
    """

    regularizers: ClassVar[frozenset[str]] = frozenset()
    # Whether h·w_h is the only product that has to wait for the step before: then
    # _recurrence.py runs the cell, with its derivative rule.
    deferred_product: ClassVar[bool] = False

    if TYPE_CHECKING:

        @property
        def input_size(self) -> int:
            """I."""

        @property
        def output_size(self) -> int:
            """The features of y."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Makes every subclass a frozen dataclass and a pytree.

        What a subclass of another cell defines is what runs: an inherited split of the
        step, or its derivative rule, would pass over it.
        """
        super().__init_subclass__(**({"repr": False} | options))
        own = set(cls.__dict__)
        changed = own & {"step", "project", "advance", "zero_state"}
        if changed and "deferred_product" not in own:
            cls.deferred_product = False
        if "step" in own and not own & {"project", "advance"}:
            cls.project, cls.advance = Cell.project, Cell.advance  # type: ignore

    def __repr__(self) -> str:
        """Shapes, dtypes and what is not by default, in one line."""
        return short_repr(self)

    @property
    def projected_size(self) -> int:
        """The width of what `project` gives for a step; 0 where it does nothing."""
        return 0

    def zero_state(self, batch_shape: tuple[int, ...], dtype: Any) -> Any:
        """The state with which a sequence begins: a tree of arrays (*B, …).

        Args:
            batch_shape: *B.
            dtype: the dtype of y.
        """
        raise NotImplementedError(f"{type(self).__name__} must define zero_state.")

    def step(
        self, state: Any, x_t: jax.Array, masks: DropMasks | None = None
    ) -> tuple[Any, jax.Array]:
        """One step.

        Args:
            state: as `zero_state` gives it.
            x_t: (*B, I).
            masks: of the regularizers that the class names; None for none.

        Returns:
            The new state, of the same structure, shapes and dtypes, and y_t
            (*B, output_size).
        """
        return self.advance(state, self.project(x_t), masks)

    def project(self, x: jax.Array) -> jax.Array:
        """What of a step depends on its input alone, (..., I) to (..., projected_size).

        It is taken for many steps at once, x being (T, *B, I).
        """
        return x

    def advance(
        self, state: Any, zx_t: jax.Array, masks: DropMasks | None = None
    ) -> tuple[Any, jax.Array]:
        """The rest of a step, from what `project` gave for it."""
        return self.step(state, zx_t, masks)

    def trace(self, state: Any, x_t: jax.Array) -> tuple[Any, Any]:
        """A step that shows its inside, for `activations`.

        Returns:
            The new state, and a record of arrays (*B, …) of which `h` is the output.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no trace.")

    def cast(self: Own, dtype: Any) -> Own:
        """Casts all floating leaves to the dtype in which a step computes."""
        return jax.tree.map(lambda a: cast_floating(a, dtype), self)

    def check(self) -> list[str | Exception]:
        """What is wrong with the parameters by themselves; empty where nothing is.

        Each begins with the name of a field: "w_h must have …". A string becomes a
        ValueError; an exception keeps its kind.
        """
        return []

    def mask_templates(self, state: Any) -> DropMasks:
        """Arrays, or types, that the masks are shaped and typed like.

        To be defined where `regularizers` names one that comes to the step, and the
        state is not one array.

        Args:
            state: the state, or its types.
        """
        if not hasattr(state, "shape"):
            raise NotImplementedError(
                f"{type(self).__name__} must define mask_templates: its state is a "
                "tree, of which the masks' shapes cannot be told."
            )
        return DropMasks(state, state, state)

    @classmethod
    def init(
        cls: type[Own], key: jax.Array, input_size: int, hidden_size: int, **fields: Any
    ) -> Own:
        """Draws parameters: what `lstm_jax.init` and the Flax modules call.

        Args:
            key: a JAX random key.
            input_size: I.
            hidden_size: H.
            **fields: what else the class takes.
        """
        raise NotImplementedError(f"{cls.__name__} defines no init.")


def cast_floating(a: Any, dtype: Any) -> Any:
    """A leaf in a dtype, if it is floating; a Python float becomes an array."""
    if isinstance(a, float) or jnp.issubdtype(getattr(a, "dtype", int), jnp.floating):
        return jnp.asarray(a, dtype)
    return a


def short_repr(value: Any) -> str:
    """A leaf as float32[3,20], and of a record the fields that are not by default."""
    if isinstance(value, dict):
        items = (f"{key!r}: {short_repr(item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, tuple | list):
        items = (short_repr(item) for item in value)
        return f"({', '.join(items)})"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}[{','.join(map(str, value.shape))}]"
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is None:
        return repr(value)
    shown = (
        f"{name}={short_repr(getattr(value, name))}"
        for name, field in fields.items()
        if not _is_default(getattr(value, name), field.default)
    )
    return f"{type(value).__name__}({', '.join(shown)})"


def _is_default(value: Any, default: Any) -> bool:
    if value is None or hasattr(value, "shape"):
        return value is default
    return type(value) is type(default) and bool(value == default)
