"""Random programs: what is proven to keep rows apart does so in numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from exporter.errors import UserError
from exporter.model import Model, TensorSpec
from exporter.model.entry import default_entry
from exporter.trace.rows import prove_signature
from exporter.trace.trace import trace

WIDTH = 6
PROGRAMS = 150
MATRIX = np.random.default_rng(9).normal(size=(WIDTH, WIDTH)).astype(np.float32)


def axis_of(x, number):
    return number % x.ndim


def half(x, number):
    """Every second place of an axis, of which there must be an even number."""
    axis = axis_of(x, number)
    return lax.slice_in_dim(x, 0, x.shape[axis], 2, axis) if x.shape[axis] == WIDTH else x


# Each takes an array of two or more axes and a number, which chooses among its forms.
OPERATIONS = (
    lambda x, n: jnp.tanh(x) + 0.1 * n,
    lambda x, n: jnp.swapaxes(x, axis_of(x, n), axis_of(x, n // 3)),
    lambda x, n: jnp.flip(x, axis_of(x, n)),
    lambda x, n: jnp.cumsum(x, axis_of(x, n)),
    lambda x, n: jnp.sort(x, axis_of(x, n)),
    lambda x, n: jax.nn.softmax(x, axis_of(x, n)),
    lambda x, n: x - x.max(axis_of(x, n), keepdims=True),
    lambda x, n: x + jnp.sum(x, axis_of(x, n), keepdims=True),
    lambda x, n: jnp.roll(x, 1, axis_of(x, n)),
    lambda x, n: x - lax.slice_in_dim(x, 0, 1, axis=axis_of(x, n)),
    lambda x, n: jnp.concatenate([x, 2 * x], axis_of(x, n)),
    lambda x, n: x @ MATRIX if x.shape[-1] == WIDTH else x,
    lambda x, n: x[:, None] if x.ndim < 4 else x,
    lambda x, n: x[..., None] * jnp.arange(1.0, 4.0) if x.ndim < 4 else x,
    lambda x, n: x.reshape(-1, x.shape[-1]),
    lambda x, n: x.reshape(x.shape[0], -1),
    lambda x, n: x.reshape(-1, WIDTH),
    lambda x, n: x * lax.broadcasted_iota(jnp.float32, x.shape, axis_of(x, n)),
    lambda x, n: lax.reduce_window(x, 0.0, lax.add, windows(x, n, 2), (1,) * x.ndim, "SAME"),
    lambda x, n: jnp.einsum("i...,j...->ij", x, x) if x.ndim == 2 else x,
    lambda x, n: jnp.einsum("...i,...j->...ij", x, x) if x.ndim == 2 else x,
    lambda x, n: lax.scan(lambda c, row: (c + row, c * row), x[0], x)[1],
    lambda x, n: lax.map(lambda row: row[::-1], x),
    lambda x, n: jax.vmap(lambda row: row - row.mean(), axis_of(x, n), axis_of(x, n))(x),
    lambda x, n: jnp.where(x > 0, x, jnp.pad(x, pads(x, n))[tuple(map(slice, x.shape))]),
    half,
)


def windows(x, number, size):
    return tuple(size if axis == axis_of(x, number) else 1 for axis in range(x.ndim))


def pads(x, number):
    return [(1, 0) if axis == axis_of(x, number) else (0, 0) for axis in range(x.ndim)]


def program(seed):
    rng = np.random.default_rng(seed)
    steps = [
        (rng.integers(len(OPERATIONS)), int(rng.integers(12))) for _ in range(rng.integers(1, 6))
    ]

    def run(x):
        batch = x.shape[0]
        for number, form in steps:
            x = OPERATIONS[number](x, form)
        # Rows first again, where there is a way to it.
        return x if x.shape[0] is batch else x.reshape(batch, -1)

    return run


def is_proven(run):
    """Whether its rows are proven independent; None where it can't be traced for any size."""
    model = Model("random", lambda _, x: run(x), (), TensorSpec(("b", WIDTH)))
    try:
        return prove_signature(trace(default_entry(model))).is_proven
    except UserError:
        return None


def keeps_rows_apart(run):
    x = np.random.default_rng(1).normal(size=(5, WIDTH)).astype(np.float32)
    whole = np.asarray(run(jnp.asarray(x)))
    for rows in ([0], [3], [4, 2], [4, 3, 2, 1, 0], [1, 1, 3, 0]):
        part = np.asarray(run(jnp.asarray(x[rows])))
        if part.shape[1:] != whole.shape[1:]:
            return False
        if not np.allclose(part, whole[rows], rtol=1e-3, atol=1e-4, equal_nan=True):
            return False
    return True


@pytest.mark.slow
def test_what_is_proven_keeps_rows_apart():
    proven = [seed for seed in range(PROGRAMS) if is_proven(program(seed))]
    assert len(proven) > PROGRAMS / 20
    assert [seed for seed in proven if not keeps_rows_apart(program(seed))] == []


@pytest.mark.long
def test_what_is_proven_keeps_rows_apart_in_many_programs():
    kept, refused = 0, 0
    for seed in range(PROGRAMS, 20 * PROGRAMS):
        found = is_proven(program(seed))
        if found:
            assert keeps_rows_apart(program(seed)), seed
            kept += 1
        refused += found is False
    print(f"{kept} programs proven, {refused} not")
    assert kept > PROGRAMS
