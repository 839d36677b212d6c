"""Rows are proven independent where they are, and nowhere else."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from exporter.errors import UserError
from exporter.model import Model, TensorSpec
from exporter.model.entry import default_entry, entries
from exporter.trace.rows import prove_signature
from exporter.trace.trace import trace
from tests import models

KEY = jax.random.key(0)
TABLE = jax.random.normal(KEY, (211, 6))  # as long as the prime that stands for a fixed batch
SQUARE = jax.random.normal(KEY, (6, 6))
ANY, FIXED = -1, 2


def verdict(func, *specs, params=(), size=ANY):
    """The proof for `func(params, *inputs)` of inputs of [b, 6], unless told otherwise."""
    specs = specs or (TensorSpec(("b", 6)),)
    model = Model("tried", lambda params, inputs: func(params, *inputs), params, specs)
    return prove_signature(trace(default_entry(model), size))


def normalized(x, axis):
    return (x - x.mean(axis)) / jnp.sqrt(x.var(axis) + 1e-5)


def attention(q, k, v):
    return jax.nn.softmax(q @ k.T) @ v


def expert_choice(x):
    """A mixture of experts in which each expert takes its two best rows: rows compete."""
    scores = jax.nn.softmax(x @ SQUARE[:, :3])
    gates, chosen = lax.top_k(scores.T, 2)
    return jnp.zeros_like(x).at[chosen.ravel()].add(x[chosen.ravel()] * gates.ravel()[:, None])


def limited(x):
    """Rows beyond an expert's capacity, in the order of the batch, get nothing."""
    hot = jax.nn.one_hot((x @ SQUARE[:, :3]).argmax(1), 3)
    place = (jnp.cumsum(hot, axis=0) * hot).sum(1)
    return jnp.where((place <= 4)[:, None], x, 0)


def until_all_are_done(x):
    return lax.while_loop(lambda y: (y < 100).any(), lambda y: y * 2 + 1, jnp.abs(x))


def carried(x):
    return lax.scan(lambda carry, row: (carry + row, carry + row), jnp.zeros(6), x)[1]


MIXING = {
    "batch norm": lambda x: normalized(x, 0),
    "softmax over the batch": lambda x: jax.nn.softmax(x, axis=0),
    "log-sum-exp over the batch": lambda x: x - jax.nn.logsumexp(x, axis=0),
    "cumulative sum": lambda x: jnp.cumsum(x, axis=0),
    "mean over the batch": lambda x: x - x.mean(0),
    "mean over all": lambda x: x - x.mean(),
    "largest of the batch": lambda x: x / jnp.abs(x).max(),
    "reversed": lambda x: x[::-1],
    "pairs": lambda x: (x @ x.T).sum(1),
    "gram matrix": lambda x: x @ (x.T @ x),
    "pairwise distances": lambda x: ((x[:, None] - x[None]) ** 2).sum((1, 2)),
    "sorted": lambda x: jnp.sort(x, axis=0),
    "argsorted": lambda x: jnp.argsort(x[:, 0]),
    "rolled": lambda x: jnp.roll(x, 1, axis=0),
    "shifted": lambda x: jnp.concatenate([x[1:], x[:1]]),
    "difference to the row before": lambda x: x - jnp.pad(x, ((1, 0), (0, 0)))[:-1],
    "attention across rows": lambda x: attention(x, x, x),
    "divided by the batch size": lambda x: x / x.shape[0],
    "batch size added": lambda x: x + jnp.float32(x.shape[0]),
    "experts that choose rows": expert_choice,
    "experts with a capacity": limited,
    "top k of the batch": lambda x: lax.top_k(x.T, 1)[0].T * x,
    "best row": lambda x: x * (x.argmax(0) == 0),
    "random by row": lambda x: x + jax.random.normal(KEY, x.shape),
    "row number": lambda x: x + jnp.arange(x.shape[0])[:, None],
    "row number, by broadcasting": lambda x: x + lax.broadcasted_iota(jnp.float32, x.shape, 0),
    "first row": lambda x: x - x[0],
    "last row": lambda x: x - x[-1],
    "first row replaced": lambda x: x.at[0].set(0),
    "rows looked up by rows": lambda x: x[x[:, 0].astype(int)],
    "the next row's column": lambda x: x[jnp.arange(x.shape[0]) + 1, x[:, 0].astype(int)],
    "twice the row's number": lambda x: x[2 * jnp.arange(x.shape[0]), 0],
    "columns by row number": lambda x: x[:, jnp.arange(x.shape[0])],
    "row numbers in both axes": lambda x: (x @ x.T)[jnp.arange(x.shape[0]), jnp.arange(x.shape[0])],
    "all pairs of numbers": lambda x: x[
        jnp.arange(x.shape[0])[:, None], jnp.arange(x.shape[0])[None]
    ],
    "table by row number": lambda x: x + TABLE[jnp.arange(x.shape[0]), 0][:, None],
    "numbers from the end": lambda x: x[x.shape[0] - 1 - jnp.arange(x.shape[0]), 0],
    "another row at a number": lambda x: x[jnp.arange(x.shape[0]), (x.sum(0) > 0).argmax()],
    "put into the next row": lambda x: x.at[jnp.arange(x.shape[0]) + 1, 0].set(x[:, 1]),
    "put from another row": lambda x: x.at[jnp.arange(x.shape[0]), 0].set(x[::-1, 1]),
    "narrow numbers": lambda x: x[jnp.arange(x.shape[0], dtype=jnp.int16), 0],
    "rows summed by segment": lambda x: jax.ops.segment_sum(x, x[:, 0].astype(int), x.shape[0]),
    "loop that all rows must end": until_all_are_done,
    "branch on all rows": lambda x: lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x),
    "scan over rows": carried,
    "scan that goes round once a row": lambda x: lax.fori_loop(
        0, x.shape[0], lambda _, y: y + 1.0, x
    ),
    "scan over time with batch norm": lambda x: lax.scan(
        lambda carry, step: (carry + normalized(step, 0), carry), jnp.zeros(x.shape[:1]), x.T
    )[0],
    "map that sees all rows": lambda x: lax.map(lambda row: (row * x).sum(0), x),
    "window over the batch": lambda x: lax.reduce_window(x, 0.0, lax.add, (3, 1), (1, 1), "SAME"),
    "convolution over the batch": lambda x: (
        lax.conv_general_dilated(x.T[:, None], jnp.ones((1, 1, 3)), (1,), "SAME")[:, 0].T
    ),
    "Fourier transform over the batch": lambda x: jnp.fft.fft(x, axis=0).real,
    "reshaped across rows": lambda x: x.T.reshape(x.shape),
    "flattened": lambda x: jnp.cumsum(x.ravel()).reshape(x.shape),
    "interleaved": lambda x: jnp.concatenate([x, 2 * x]).reshape(x.shape[0], 2, 6).sum(1),
    "repeated in turns": lambda x: jnp.tile(x, (2, 1)).reshape(x.shape[0], 2, 6)[:, 0],
    "singular values of the batch": lambda x: x * jnp.linalg.svd(x.T @ x)[1],
    "a generator that takes all keys together": jax.vmap(
        lambda row: jax.random.uniform(
            jax.random.fold_in(jax.random.key(0, impl="rbg"), row[0].astype(int)), (3,)
        )
    ),
    "no rows": lambda x: x.sum(0),
    "rows second": lambda x: x.T,
    "twice the rows": lambda x: jnp.concatenate([x, x]),
    "half the columns as rows": lambda x: x.reshape(-1, 3),
    "constant": lambda x: jnp.float32(1),
    "statistics, hidden in a call": lambda x: jax.checkpoint(jax.jit(lambda y: y - y.mean(0)))(x),
    "statistics, hidden in a derivative": lambda x: (
        jax.nn.relu(x) * jax.vmap(jax.grad(jnp.sum))(jnp.cumsum(x, 0)) * jnp.cumsum(x, 0)
    ),
}


@pytest.mark.parametrize("size", [ANY, FIXED])
@pytest.mark.parametrize("func", MIXING.values(), ids=MIXING.keys())
def test_what_mixes_rows_is_not_proven(func, size):
    try:
        found = verdict(lambda _, x: func(x), size=size)
    except UserError:  # what can't be traced for any size isn't exported for any
        assert size == ANY
        return
    assert not found.is_proven


def convolve(x):
    x = x.reshape(x.shape[0], 3, 2, 1)
    return lax.conv_general_dilated(
        x, jnp.ones((2, 2, 1, 4)), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def gru(x):
    def step(state, inputs):
        gate = jax.nn.sigmoid(inputs[:, None] + state @ SQUARE)
        state = gate * state + (1 - gate) * jnp.tanh(inputs[:, None] * state)
        return state, state

    return lax.scan(step, jnp.ones((x.shape[0], 6)), x.T)[1].swapaxes(0, 1)


def decoder(x):
    """Greedy decoding: a fixed number of steps, each row feeding its own token back."""

    def step(index, carry):
        tokens, state = carry
        state = jnp.tanh(state @ SQUARE + TABLE[tokens[:, index]])
        return tokens.at[:, index + 1].set(state.argmax(-1).astype(jnp.int32)), state

    tokens = jnp.zeros((x.shape[0], 5), jnp.int32)
    return lax.fori_loop(0, 4, step, (tokens, x))[0]


def causal(x):
    steps = x[:, :, None] * jnp.ones(4)
    scores = jnp.einsum("bqd,bkd->bqk", steps, steps)
    mask = jnp.tril(jnp.ones((6, 6), bool))
    return jnp.einsum("bqk,bkd->bqd", jax.nn.softmax(jnp.where(mask, scores, -jnp.inf)), steps)


def heads(x):
    """Batch and time in one axis, as Haiku's BatchApply has them, and apart again."""
    steps = (x[:, :, None] * jnp.ones(6)).reshape(-1, 6)
    return jax.nn.gelu(steps @ SQUARE).reshape(x.shape[0], 6, 6)


KEEPING = {
    "layer norm": lambda x: normalized(x.T, 0).T,
    "RMS norm": lambda x: x * lax.rsqrt((x**2).mean(-1, keepdims=True)),
    "softmax": jax.nn.softmax,
    "dense": lambda x: jax.nn.relu(x @ SQUARE + TABLE[0]),
    "convolution": convolve,
    "pooling": lambda x: nn.max_pool(convolve(x), (2, 2)).mean((1, 2)),
    "embedding": lambda x: TABLE[jnp.abs(x).astype(int)],
    "embedding, clipped": lambda x: jnp.take(TABLE, x.astype(int), axis=0, mode="clip"),
    "own column": lambda x: jnp.take_along_axis(x, x[:, :1].astype(int), axis=1),
    "own place by row number": lambda x: x[jnp.arange(x.shape[0]), x[:, 0].astype(int)],
    "last of each": lambda x: jnp.stack([x, -x], 2)[jnp.arange(x.shape[0]), x.argmax(1) - 1],
    "several of each": lambda x: x[jnp.arange(x.shape[0])[:, None], x[:, :2].astype(int)],
    "own place replaced": lambda x: x.at[jnp.arange(x.shape[0]), x[:, 0].astype(int)].add(x[:, 1]),
    "mapped lookup": jax.vmap(lambda row: row[row[0].astype(int)]),
    "mapped update": jax.vmap(lambda row: row.at[row[0].astype(int)].add(1)),
    "column": lambda x: x[:, 2],
    "every second column": lambda x: x[:, ::2],
    "a column replaced": lambda x: x.at[:, 2].set(x[:, 0]),
    "dynamic columns": lambda x: lax.dynamic_slice(x, (0, 3), (x.shape[0], 2)),
    "reversed columns": lambda x: x[:, ::-1],
    "rolled columns": lambda x: jnp.roll(x, 1, axis=1),
    "sorted columns": lambda x: jnp.sort(x, axis=1),
    "top k of a row": lambda x: lax.top_k(x, 2),
    "cumulative sum of a row": lambda x: jnp.cumsum(x, axis=1),
    "best column": lambda x: x.argmax(1),
    "one-hot": lambda x: jax.nn.one_hot(x[:, 0].astype(int), 5),
    "padded columns": lambda x: jnp.pad(x, ((0, 0), (1, 2))),
    "joined columns": lambda x: jnp.concatenate([x, x * 2, jnp.ones((x.shape[0], 1))], axis=1),
    "stacked": lambda x: jnp.stack([x, -x], axis=1),
    "split": lambda x: jnp.split(x, 2, axis=1),
    "there and back": lambda x: jnp.flip(x.T, 0).T,
    "recurrence": gru,
    "greedy decoding": decoder,
    "causal attention": causal,
    "time in the batch": heads,
    "outer product": lambda x: x[:, :, None] * x[:, None, :],
    "same noise for all": lambda x: x + jax.random.normal(KEY, (6,)),
    "noise of the row's own seed": jax.vmap(
        lambda row: jax.random.normal(jax.random.fold_in(KEY, row[0].astype(int)), (3,))
    ),
    "mapped one by one": lambda x: lax.map(lambda row: jnp.cumsum(row), x),
    "chosen by row": lambda x: jnp.where(x[:, :1] > 0, jnp.sin(x), x),
    "branch on a parameter": lambda x: lax.cond(SQUARE.sum() > 0, jnp.sin, jnp.cos, x),
    "loop of a fixed length": lambda x: lax.while_loop(
        lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * 2), (0, x)
    )[1],
    "gradient of each row": jax.vmap(jax.grad(lambda row: jnp.sin(row).sum())),
    "singular values of each row": lambda x: jnp.linalg.svd(x.reshape(-1, 3, 2), compute_uv=False),
    "solved for each row": lambda x: jax.vmap(jnp.linalg.cholesky)(
        x[:, :, None] * x[:, None, :] + 9 * jnp.eye(6)
    ),
    "Fourier transform of a row": lambda x: jnp.abs(jnp.fft.fft(x)),
    "statistics that nobody reads": lambda x: (lambda unused: x + 1)(x.mean(0)),
    "hidden in calls": lambda x: jax.checkpoint(jax.jit(jax.nn.silu))(x),
    "dropout that is off": lambda x: nn.Dropout(0.5, deterministic=True).apply({}, x),
}


# In these the batch's size is a number that changes nothing: programs for fixed sizes differ in it,
# with some releases of JAX.
NOT_WHERE_FIXED = {
    "greedy decoding",
    "statistics that nobody reads",
    "own place by row number",
    "last of each",
    "several of each",
    "own place replaced",
}


@pytest.mark.parametrize("size", [ANY, FIXED])
@pytest.mark.parametrize("name", KEEPING)
def test_what_keeps_rows_apart_is_proven(name, size):
    found = verdict(lambda _, x: KEEPING[name](x), size=size)
    if size == FIXED and name in NOT_WHERE_FIXED and not found.is_proven:
        assert "the program for batch 2 has another" in found.refusal
    else:
        assert found.refusal == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", KEEPING)
def test_what_is_proven_is_so(name):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(7, 6)), jnp.float32)
    whole = KEEPING[name](x)
    for start, end in ((0, 1), (3, 4), (2, 7), (6, 7)):
        part = KEEPING[name](x[start:end])
        jax.tree.map(
            lambda one, other, rows=slice(start, end): np.testing.assert_allclose(
                one[rows], other, rtol=1e-4, atol=1e-5
            ),
            whole,
            part,
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", [*models.NAMES, *models.UNUSUAL, "image_and_size"])
def test_the_usual_networks_are_proven(name):
    for entry in entries(models.build(name)).values():
        for size in (ANY, 1, 2):
            found = prove_signature(trace(entry, size))
            assert found.is_proven == (name != "scalars"), found.refusal


def test_a_refusal_names_the_operation_and_the_line():
    def center(x):
        return x - x.mean(0)  # here

    line = center.__code__.co_firstlineno + 1
    refusal = verdict(lambda _, x: center(x)).refusal
    assert refusal.startswith("output output_0: reduce_sum reduces over the batch at ")
    assert f"test_rows.py:{line}" in refusal


def test_each_output_counts():
    found = verdict(lambda _, x: {"good": x * 2, "mean": x - x.mean(0)})
    assert "output mean" in found.refusal


@pytest.mark.parametrize("size", [ANY, FIXED])
def test_each_input_has_rows(size):
    rows, shared = TensorSpec(("b", 6)), TensorSpec(())
    found = verdict(lambda _, x, t: x / t, rows, shared, size=size)
    assert "has shape [], whose first axis has no rows" in found.refusal
    columns = TensorSpec((6, "b"))
    found = verdict(lambda _, x, y: x + y.T, rows, columns, size=size)
    assert not found.is_proven
    assert verdict(lambda _, x, y: x + y, rows, rows, size=size).is_proven


def test_other_open_dimensions_are_no_rows():
    open_length = TensorSpec(("b", "s"))
    assert verdict(lambda _, x: x - x.mean(1, keepdims=True), open_length).is_proven
    assert verdict(lambda _, x: x.reshape(-1, 1).reshape(x.shape), open_length).is_proven
    assert not verdict(lambda _, x: x - x.mean(0), open_length).is_proven
    assert not verdict(lambda _, x: x.T.reshape(x.shape), open_length).is_proven
    other_rows = TensorSpec(("c", 6))
    assert not verdict(lambda _, x, y: (x, y), TensorSpec(("b", 6)), other_rows).is_proven


@pytest.mark.parametrize("rows", [128, 211, 400])
def test_a_table_with_a_place_for_each_row_is_no_rows_own(rows):
    table = jnp.ones((rows, 6))
    for size in (1, 16):
        found = verdict(lambda params, x: x + params[: x.shape[0]], params=table, size=size)
        assert not found.is_proven
        found = verdict(lambda params, x: x @ params.T, params=table, size=size)
        assert found.is_proven


def test_a_function_that_asks_for_its_batch_is_not_one_function():
    def special(_, x):
        return jnp.sin(x) if x.shape[0] == 16 else jnp.cos(x)

    assert "the program for batch 16 has" in verdict(special, size=FIXED).refusal
    # For any size there is one program, which never takes the branch.
    assert verdict(special).is_proven

    def table(_, x):
        return x * np.arange(x.shape[0], dtype=np.float32)[:, None]

    assert not verdict(table, size=FIXED).is_proven
    scaled = functools.partial(lambda scale, _, x: x * scale(x), lambda x: 1.0 / x.shape[0])
    assert "another" in verdict(scaled, size=FIXED).refusal


def test_an_operation_that_is_not_known_is_not_proven():
    found = verdict(lambda _, x: lax.linalg.hessenberg(x[:, None] * SQUARE)[0])
    assert "hessenberg isn't known to keep rows apart" in found.refusal
