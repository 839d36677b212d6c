"""Gathers, scatters, and slices at places known only when the model runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from jax.lax import GatherScatterMode

from exporter.lowering.dimensions import is_static
from exporter.lowering.errors import UnsupportedForm
from exporter.lowering.rule import Rule, Site, Value


@dataclass(frozen=True)
class _Windows:
    """Where the windows of a gather or scatter lie in the operand.

    The semantics are XLA's: https://openxla.org/xla/operation_semantics#gather

    Attributes:
        indices: int [G…, n]: a window's start along each indexed axis.
        batch_shape: G….
        operand_shape: The operand's.
        indexed: The operand's axis for each entry of an index.
        batching: Pairs of an axis of the operand and one of `batch_shape` that go together.
        sizes: The window's size along each axis of the operand.
        wide: The keyed axes that the window keeps, in order.
    """

    indices: Value
    batch_shape: Sequence[Any]
    operand_shape: Sequence[Any]
    indexed: Sequence[int]
    batching: Sequence[tuple[int, int]]
    sizes: Sequence[Any]
    wide: Sequence[int]

    @property
    def keyed(self) -> list[int]:
        """The axes that an element's position names; the others are copied whole."""
        own = [*self.indexed, *(axis for axis, _ in self.batching)]
        return own + [axis for axis in self.wide if axis not in own]

    def starts(self, site: Site, mode: GatherScatterMode) -> tuple[list[Value], Value | None]:
        """Returns each indexed axis' starts [G…], within bounds, and bool [G…]: was within.

        The latter is None where nothing can be out of bounds.
        """
        columns = [self.indices[..., column] for column in range(len(self.indexed))]
        limits = [
            site.dimensions.size(self.operand_shape[axis] - self.sizes[axis])
            for axis in self.indexed
        ]
        pairs = list(zip(columns, limits, strict=True))
        if mode == GatherScatterMode.PROMISE_IN_BOUNDS or all(
            isinstance(starts, np.ndarray)
            and isinstance(limit, int)
            and np.all((starts >= 0) & (starts <= limit))
            for starts, limit in pairs
        ):
            return columns, None
        clipped = [tf.minimum(tf.maximum(starts, 0), limit) for starts, limit in pairs]
        if mode == GatherScatterMode.CLIP:
            return clipped, None
        within = tf.constant(True)
        for starts, inside in zip(columns, clipped, strict=True):
            within = tf.logical_and(within, tf.equal(starts, inside))
        return clipped, within

    def positions(self, site: Site, starts: Sequence[Value]) -> list[Value]:
        """Returns, for each keyed axis, its coordinates: broadcastable to [G…, wide…]."""
        rank, extra = len(self.batch_shape), len(self.wide)
        own = dict(zip(self.indexed, starts, strict=True))
        batching = dict(self.batching)
        coordinates = []
        for axis in self.keyed:
            place = tf.constant(0)
            if axis in own:
                place = site.reshape(own[axis], [*self.batch_shape, *[1] * extra])
            elif axis in batching:
                (size,) = site.sizes([self.batch_shape[batching[axis]]])
                place = _along(size, batching[axis], rank + extra)
            if axis in self.wide:
                size = site.dimensions.size(self.sizes[axis])
                place += _along(size, rank + self.wide.index(axis), rank + extra)
            coordinates.append(place)
        return coordinates

    def stack(self, site: Site, coordinates: Sequence[Value]) -> Value:
        """Joins coordinates to int32 [G…, wide…, keyed]."""
        shape = site.sizes([*self.batch_shape, *(self.sizes[axis] for axis in self.wide)])
        return tf.stack([tf.broadcast_to(place, shape) for place in coordinates], -1)


def _along(size: Any, axis: int, rank: int) -> Value:
    return tf.reshape(tf.range(size), [-1 if i == axis else 1 for i in range(rank)])


def gather(site: Site, operand: Value, indices: Value) -> Value:
    """Takes windows; those out of bounds are moved inside or filled, as the mode says."""
    numbers = site.params["dimension_numbers"]
    mode = GatherScatterMode.from_any(site.params["mode"])
    indices = _as_int32(indices)
    shape = site.inputs[0].shape
    batch_shape = site.inputs[1].shape[:-1]
    sizes = site.params["slice_sizes"]
    dropped = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    kept = [axis for axis in range(len(shape)) if axis not in dropped]
    wide = [a for a in kept if a in numbers.start_index_map or sizes[a] != shape[a]]
    windows = _Windows(
        indices,
        batch_shape,
        shape,
        numbers.start_index_map,
        list(zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True)),
        sizes,
        wide,
    )
    starts, within = windows.starts(site, mode)
    whole = [axis for axis in kept if axis not in wide]
    if windows.keyed == list(numbers.collapsed_slice_dims) and len(windows.keyed) == 1:
        axis = windows.keyed[0]
        taken = tf.gather(operand, starts[0], axis=axis)
        before = [f"window {a}" for a in whole if a < axis]
        labels = [*before, *_batch_labels(batch_shape), *(f"window {a}" for a in whole if a > axis)]
    elif windows.keyed:
        position = windows.stack(site, windows.positions(site, starts))
        taken = tf.gather_nd(_transpose(operand, [*windows.keyed, *whole]), position)
        labels = [*_batch_labels(batch_shape), *(f"window {axis}" for axis in [*wide, *whole])]
    else:
        raise UnsupportedForm("that indexes no axis")
    if within is not None:
        rank = len(labels)
        first = labels.index("batch 0") if batch_shape else 0
        mask = site.reshape(
            within, [*[1] * first, *batch_shape, *[1] * (rank - first - len(batch_shape))]
        )
        taken = tf.where(mask, taken, _fill(site))
    windows_left, batch_left = iter(kept), iter(range(len(batch_shape)))
    wanted = [
        f"window {next(windows_left)}"
        if axis in numbers.offset_dims
        else f"batch {next(batch_left)}"
        for axis in range(len(site.outputs[0].shape))
    ]
    return _transpose(taken, [labels.index(label) for label in wanted])


def _batch_labels(batch_shape: Sequence[Any]) -> list[str]:
    return [f"batch {axis}" for axis in range(len(batch_shape))]


def _fill(site: Site) -> Value:
    value = site.params["fill_value"]
    if value is None:
        # What jax.numpy.ndarray.at documents for the mode "fill".
        if site.dtype.is_floating or site.dtype.is_complex:
            value = np.nan
        else:
            value = (
                True
                if site.dtype == tf.bool
                else (site.dtype.max if site.dtype.is_unsigned else site.dtype.min)
            )
    return tf.constant(np.asarray(value, site.outputs[0].dtype))


def _as_int32(indices: Value) -> Value:
    if isinstance(indices, np.ndarray):
        return indices.astype(np.int32)
    return tf.cast(indices, tf.int32)


def _transpose(x: Value, order: Sequence[int]) -> Value:
    return x if list(order) == sorted(order) else tf.transpose(x, list(order))


@dataclass(frozen=True)
class _Combination:
    """How a scatter combines updates with what is there.

    Attributes:
        apply: `(site, operand, positions, updates) -> result`.
        neutral: The update that changes nothing, by dtype; None: there is none.
    """

    apply: Callable[[Site, Value, Value, Value], Value]
    neutral: Callable[[tf.DType], Any] | None


def _scatter(combination: _Combination) -> Rule:
    def scatter(site: Site, operand: Value, indices: Value, updates: Value) -> Value:
        numbers = site.params["dimension_numbers"]
        mode = GatherScatterMode.from_any(site.params["mode"])
        shape, batch_rank = site.inputs[0].shape, len(site.inputs[1].shape) - 1
        inserted = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
        kept = [axis for axis in range(len(shape)) if axis not in inserted]
        update_shape = site.inputs[2].shape
        sizes: list[Any] = [1] * len(shape)
        for axis, update_axis in zip(kept, numbers.update_window_dims, strict=True):
            sizes[axis] = update_shape[update_axis]
        indexed = numbers.scatter_dims_to_operand_dims
        wide = [axis for axis in kept if axis in indexed or sizes[axis] != shape[axis]]
        windows = _Windows(
            _as_int32(indices),
            site.inputs[1].shape[:-1],
            shape,
            indexed,
            list(
                zip(
                    numbers.operand_batching_dims,
                    numbers.scatter_indices_batching_dims,
                    strict=True,
                )
            ),
            sizes,
            wide,
        )
        whole = [axis for axis in kept if axis not in wide]
        if not windows.keyed:
            raise UnsupportedForm("that indexes no axis")
        update_axis = dict(zip(kept, numbers.update_window_dims, strict=True))
        batch_axes = [a for a in range(len(update_shape)) if a not in numbers.update_window_dims]
        updates = _transpose(updates, [*batch_axes, *(update_axis[a] for a in [*wide, *whole])])
        order = [*windows.keyed, *whole]
        target = _transpose(operand, order)
        starts, within = windows.starts(site, mode)
        coordinates = windows.positions(site, starts)
        if within is not None and combination.neutral is not None:
            extra = len(update_shape) - batch_rank
            mask = site.reshape(within, [*windows.batch_shape, *[1] * extra])
            neutral = tf.constant(combination.neutral(site.dtype), site.dtype)
            updates = tf.where(mask, updates, neutral)
        elif within is not None:
            # What is out of bounds goes to a row of its own, which is cut off again.
            mask = site.reshape(within, [*windows.batch_shape, *[1] * len(wide)])
            size = site.dimensions.size(shape[order[0]])
            coordinates[0] = tf.where(mask, coordinates[0], size)
            target = tf.pad(target, [(0, 1), *[(0, 0)] * (len(shape) - 1)])
        positions = windows.stack(site, coordinates)
        if len(positions.shape) == 1:
            # TensorFlow's scatters want at least one axis beside the position's own.
            positions, updates = positions[tf.newaxis], updates[tf.newaxis]
        result = combination.apply(site, target, positions, updates)
        if within is not None and combination.neutral is None:
            result = result[:-1]
        return _transpose(result, [order.index(axis) for axis in range(len(shape))])

    return Rule(scatter)


def _scatter_add(site: Site, target: Value, positions: Value, updates: Value) -> Value:
    """TensorFlow.js has no TensorScatterAdd, but sums duplicates in ScatterNd."""
    if site.portable:
        return target + tf.scatter_nd(positions, updates, tf.shape(target))
    return tf.tensor_scatter_nd_add(target, positions, updates)


def _scatter_multiply(site: Site, target: Value, positions: Value, updates: Value) -> Value:
    if not site.params["unique_indices"]:
        raise UnsupportedForm("without unique_indices=True: no op multiplies duplicates")
    return tf.tensor_scatter_nd_update(target, positions, tf.gather_nd(target, positions) * updates)


_SCATTERS: Mapping[str, _Combination] = {
    "scatter": _Combination(lambda site, x, i, u: tf.tensor_scatter_nd_update(x, i, u), None),
    "scatter-add": _Combination(_scatter_add, lambda dtype: 0),
    "scatter-sub": _Combination(
        lambda site, x, i, u: _scatter_add(site, x, i, -u), lambda dtype: 0
    ),
    "scatter-max": _Combination(
        lambda site, x, i, u: tf.tensor_scatter_nd_max(x, i, u),
        lambda dtype: -np.inf if dtype.is_floating else dtype.min,
    ),
    "scatter-min": _Combination(
        lambda site, x, i, u: tf.tensor_scatter_nd_min(x, i, u),
        lambda dtype: np.inf if dtype.is_floating else dtype.max,
    ),
    "scatter-mul": _Combination(_scatter_multiply, None),
}


def dynamic_slice(site: Site, operand: Value, *starts: Value) -> Value:
    """A block whose start is moved so that the block lies inside."""
    sizes = site.params["slice_sizes"]
    begin = _clipped(site, starts, site.inputs[0].shape, sizes)
    return tf.slice(operand, begin, site.sizes(sizes))


def dynamic_update_slice(site: Site, operand: Value, update: Value, *starts: Value) -> Value:
    """Replaces such a block: cut apart along one axis after the other, and joined again."""
    shape, sizes = site.inputs[0].shape, site.inputs[1].shape
    begin = _clipped(site, starts, shape, sizes)
    partial = [axis for axis in range(len(shape)) if shape[axis] != sizes[axis]]

    def replace(block: Value, axes: Sequence[int]) -> Value:
        if not axes:
            return update
        axis, *others = axes
        start, size = begin[axis], site.dimensions.size(sizes[axis])
        whole = (slice(None),) * axis
        before = block[(*whole, slice(None, start))]
        inside = block[(*whole, slice(start, start + size))]
        after = block[(*whole, slice(start + size, None))]
        return tf.concat([before, replace(inside, others), after], axis)

    return replace(tf.convert_to_tensor(operand), partial)


def _clipped(
    site: Site, starts: Sequence[Value], shape: Sequence[Any], sizes: Sequence[Any]
) -> list[Value]:
    clipped = []
    for start, whole, size in zip(starts, shape, sizes, strict=True):
        limit = site.dimensions.size(whole - size)
        if is_static(limit) and isinstance(start, np.ndarray) and isinstance(limit, int):
            clipped.append(min(max(int(start), 0), limit))
        elif isinstance(limit, int) and limit == 0:
            clipped.append(0)
        else:
            clipped.append(tf.minimum(tf.maximum(tf.cast(start, tf.int32), 0), limit))
    return clipped


RULES = {
    **{name: _scatter(combination) for name, combination in _SCATTERS.items()},
    "dynamic_slice": Rule(dynamic_slice),
    "dynamic_update_slice": Rule(dynamic_update_slice),
    "gather": Rule(gather),
}
