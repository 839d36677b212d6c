"""Where JAX's own answer is settled, and how far it moves where it isn't.

At the edges a function may be ill-conditioned: the sine of 1e30, or the larger of two numbers that
are all but the same. What the last bits of inputs and parameters decide there is nobody's error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from artifact.comparison import widened
from artifact.manifest import Tolerance
from exporter.verify.inputs import Arrays, is_float

# Of (parameters, inputs by name) to outputs by name.
Run = Callable[[Any, Arrays], Arrays]

_UNITS = 4  # in the last place, that numbers are moved by
_ROUNDS = 2
_TINY = (0.0, 2.0**20)  # times, in each round
# Moves are a sample of what rounding can do; the largest of a row, and as often:
_MARGIN = 4.0
_LARGE = 1e6
# Parameters that take more than this stay as they are: a copy would be too much.
_MOST_BYTES = 1 << 26


def leeway(
    run: Run,
    params: Any,
    inputs: Arrays,
    expected: Arrays,
    tolerances: Mapping[str, Tolerance],
    *,
    seed: int,
    without_rank: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """Measures how far JAX's outputs move with the last bits of what they are computed from.

    Args:
        run: The function, in JAX.
        params: Its parameters.
        inputs: Arrays by name.
        expected: JAX's answers to them.
        tolerances: Of the outputs.
        seed: Decides the moves.
        without_rank: Outputs for which zeros and ones are moved, too: what a matrix of nothing
            but those is decomposed into is one choice of many.

    Returns:
        For each output that moves float64 of its shape; infinite where it has no answer.
    """
    rng = np.random.default_rng(seed)
    moved = [run(params, inputs)]
    for number in range(_ROUNDS):
        # Products of the smallest normal numbers are zero in one runtime and not in another.
        changed = {k: _moved(v, rng, tiny=_TINY[number]) for k, v in inputs.items()}
        moved.append(run(_moved_tree(params, rng), changed))
    # A sum of large numbers may pass the end of the range in one order and not in another.
    smaller = {name: _smaller(array) for name, array in inputs.items()}
    below = run(params, smaller) if any(smaller[k] is not inputs[k] for k in inputs) else expected
    shaken = run(params, {k: _shaken(v, rng) for k, v in inputs.items()}) if without_rank else {}
    found = {}
    for name, array in expected.items():
        others = [answers[name] for answers in moved]
        others += [shaken[name]] if name in without_rank else []
        found[name] = _leeway(array, others, below[name], tolerances[name])
    return found


def _leeway(
    expected: np.ndarray, others: Sequence[np.ndarray], below: np.ndarray, tolerance: Tolerance
) -> np.ndarray:
    if not is_float(expected):
        differs = np.any([np.asarray(other != expected) for other in others], axis=0)
        return np.where(differs, np.inf, 0.0)
    theirs = widened(expected)
    moves = np.zeros(expected.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        for other in others:
            found = widened(other)
            same = (found == theirs) | (np.isnan(found) & np.isnan(theirs))
            move = np.where(same, 0.0, np.abs(found - theirs))
            moves = np.maximum(moves, np.where(np.isfinite(move), move, np.inf))
        sizes = np.abs(theirs)
    moves = np.where(np.isfinite(theirs) == np.isfinite(widened(below)), moves, np.inf)
    # How far one number of a row moves says how far its neighbours can.
    rows = (len(expected), -1) if expected.ndim and len(expected) else (1, -1)
    known = np.where(np.isfinite(moves), moves, 0.0).reshape(rows)
    scale = np.where(np.isfinite(sizes), sizes, 0.0).reshape(rows)
    room = _MARGIN * known.max(axis=1, initial=0.0) + tolerance.rtol * scale.max(
        axis=1, initial=0.0
    )
    return np.where(
        np.isinf(moves), np.inf, np.broadcast_to(room[:, None], known.shape).reshape(moves.shape)
    )


def _moved_tree(params: Any, rng: np.random.Generator) -> Any:
    leaves = jax.tree.leaves(params)
    if sum(getattr(leaf, "nbytes", 0) for leaf in leaves) > _MOST_BYTES:
        return params
    return jax.tree.map(lambda leaf: _moved(np.asarray(leaf), rng), params)


def _moved(array: np.ndarray, rng: np.random.Generator, *, tiny: float = 1.0) -> np.ndarray:
    """Numbers some units in the last place away; zeros, ones and ends stay what they are.

    Args:
        array: The numbers.
        rng: Decides how far each is moved.
        tiny: How many times larger the smallest normal numbers become.
    """
    if not is_float(array) or not array.size:
        return array
    finfo = jnp.finfo(array.dtype)
    step = (_UNITS * float(finfo.eps) * rng.uniform(size=array.shape)).astype(finfo.dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.abs(array)
        # Large ones become smaller: past the largest there is only infinity.
        moved = np.where(size < 1, array * (1 + step), array * (1 - step)).astype(array.dtype)
        is_tiny = size <= finfo.tiny
        stays = (array == 0) | (size == 1) | is_tiny | ~np.isfinite(array)
        moved = np.where(stays, array, moved)
        return np.where(is_tiny, (array * tiny).astype(array.dtype), moved)


def _shaken(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All numbers a little away, zeros and ones, too."""
    if not is_float(array) or not array.size:
        return array
    finfo = jnp.finfo(array.dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        step = _UNITS * float(finfo.eps) * rng.normal(size=array.shape) * (1 + np.abs(array))
        return np.where(np.isfinite(array), array + step, array).astype(array.dtype)


def _smaller(array: np.ndarray) -> np.ndarray:
    """The large numbers a quarter as large; the array itself where it has none."""
    if not is_float(array):
        return array
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.abs(array)
        is_large = np.isfinite(array) & (size > min(_LARGE, float(jnp.finfo(array.dtype).max) / 8))
        return np.where(is_large, array / 4, array).astype(array.dtype) if is_large.any() else array
