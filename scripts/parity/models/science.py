"""Scientific computing: linear algebra, Fourier transforms, graphs, differential equations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from exporter import TensorSpec
from scripts.parity.case import case

# Equinox checks by calling back into Python, or, so told, gives NaN.
_NO_CALLBACKS = {"EQX_ON_ERROR": "nan"}


def _normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape) / max(shape[0], 1) ** 0.5


@case()
def gaussian_process() -> Any:
    """Gaussian process: mean and variance by a Cholesky solve."""

    def kernel(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.exp(-0.5 * ((a[:, None] - b[None]) ** 2).sum(-1))

    def func(params: Any, x: jax.Array) -> dict[str, jax.Array]:
        points = params["points"]
        factor = jnp.linalg.cholesky(kernel(points, points) + 0.1 * jnp.eye(len(points)))
        weights = jax.scipy.linalg.cho_solve((factor, True), params["targets"])
        cross = kernel(x, points)
        half = jax.scipy.linalg.solve_triangular(factor, cross.T, lower=True)
        return {"mean": cross @ weights, "variance": 1 - (half**2).sum(0)}

    params = {"points": _normal(0, 12, 2) * 3, "targets": _normal(1, 12)}
    return func, params, TensorSpec(("b", 2))


@case()
def fourier_operator() -> Any:
    """Fourier neural operator in one dimension."""

    def func(params: Any, x: jax.Array) -> jax.Array:
        modes = jnp.fft.rfft(x, axis=1)[:, :5]
        weights = params["real"] + 1j * params["imaginary"]
        mixed = jnp.einsum("bki,kio->bko", modes, weights)
        back = jnp.fft.irfft(jnp.pad(mixed, ((0, 0), (0, 4), (0, 0))), n=16, axis=1)
        return jax.nn.gelu(back + x @ params["skip"])

    params = {"real": _normal(0, 5, 3, 3), "imaginary": _normal(1, 5, 3, 3)}
    return func, {**params, "skip": _normal(2, 3, 3)}, TensorSpec(("b", 16, 3))


@case(ranges={"from": (0, 9), "to": (0, 9)})
def graph_network() -> Any:
    """Graph network: messages along edges by segment_sum."""

    def func(params: Any, graph: Any) -> dict[str, jax.Array]:
        nodes = graph["nodes"]
        messages = jax.nn.relu(nodes[graph["from"]] @ params["message"])
        count = nodes.shape[0]
        total = jax.ops.segment_sum(messages, graph["to"], count)
        degree = jax.ops.segment_sum(jnp.ones_like(graph["to"], jnp.float32), graph["to"], count)
        largest = jax.ops.segment_max(messages, graph["to"], count)
        new = jnp.tanh(nodes @ params["own"] + total / jnp.maximum(degree, 1)[:, None])
        return {"nodes": new, "largest": largest, "readout": new.mean(0)}

    edges = TensorSpec(("e",), "int32")
    return (
        func,
        {"message": _normal(0, 4, 4), "own": _normal(1, 4, 4)},
        {"nodes": TensorSpec((10, 4)), "from": edges, "to": edges},
    )


@case(edges=False)
def solve_inverse_determinant() -> Any:
    """Solve, inverse and determinant."""

    def func(params: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
        matrices = x @ jnp.swapaxes(x, -1, -2) + params
        return {
            "solved": jnp.linalg.solve(matrices, x[..., :1]),
            "inverse": jnp.linalg.inv(matrices),
            "determinant": jnp.linalg.det(matrices),
            "logarithm": jnp.linalg.slogdet(matrices)[1],
        }

    return func, jnp.eye(4) * 2, TensorSpec(("b", 4, 4))


@case(edges=False)
def qr_projection() -> Any:
    """Least squares and projections by QR."""

    def func(params: jax.Array, x: jax.Array) -> jax.Array:
        q, _ = jnp.linalg.qr(x)
        return q @ (jnp.swapaxes(q, -1, -2) @ params)

    return func, _normal(0, 6, 2), TensorSpec(("b", 6, 3))


@case(edges=False)
def svd_low_rank() -> Any:
    """Singular values and a low rank by SVD."""

    def func(params: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
        u, s, v = jnp.linalg.svd(x @ params, full_matrices=False)
        return {"values": s, "rank_two": (u[..., :2] * s[..., None, :2]) @ v[..., :2, :]}

    return func, _normal(0, 5, 4), TensorSpec(("b", 6, 5))


@case(edges=False)
def eigh_components() -> Any:
    """Principal components by eigh."""

    def func(params: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
        values, vectors = jnp.linalg.eigh(jnp.swapaxes(x, -1, -2) @ x + params)
        return {"values": values, "projector": vectors[..., -1:] * vectors[..., None, :, -1]}

    return func, jnp.eye(4) * 0.1, TensorSpec(("b", 7, 4))


@case(edges=False)
def diffrax_default() -> Any:
    """ODE by diffrax, fixed steps, as it comes: it calls back into Python."""
    return diffrax_fixed()


@case(edges=False, environment=_NO_CALLBACKS)
def diffrax_fixed() -> Any:
    """ODE by diffrax, fixed steps, EQX_ON_ERROR=nan."""
    import diffrax

    def func(params: Any, x: jax.Array) -> jax.Array:
        def solve(start: jax.Array) -> jax.Array:
            term = diffrax.ODETerm(lambda t, y, args: jnp.tanh(args @ y))
            solution = diffrax.diffeqsolve(
                term,
                diffrax.Heun(),
                t0=0.0,
                t1=1.0,
                dt0=0.1,
                y0=start,
                args=params,
                stepsize_controller=diffrax.ConstantStepSize(),
                max_steps=16,
            )
            return solution.ys[-1]

        return jax.vmap(solve)(x)

    return func, _normal(0, 3, 3), TensorSpec(("b", 3))


@case(edges=False, environment=_NO_CALLBACKS)
def diffrax_adaptive() -> Any:
    """ODE by diffrax, adaptive steps, EQX_ON_ERROR=nan."""
    import diffrax

    def func(params: Any, x: jax.Array) -> jax.Array:
        def solve(start: jax.Array) -> jax.Array:
            term = diffrax.ODETerm(lambda t, y, args: -args * y)
            solution = diffrax.diffeqsolve(
                term,
                diffrax.Tsit5(),
                t0=0.0,
                t1=1.0,
                dt0=None,
                y0=start,
                args=params,
                saveat=diffrax.SaveAt(ts=jnp.linspace(0.0, 1.0, 4)),
                stepsize_controller=diffrax.PIDController(rtol=1e-4, atol=1e-6),
                max_steps=64,
                throw=False,
            )
            return solution.ys

        return jax.vmap(solve)(x)

    return func, jnp.array([0.5, 1.0, 3.0]), TensorSpec(("b", 3))


@case(edges=False)
def odeint() -> Any:
    """ODE by jax.experimental.ode.odeint."""
    from jax.experimental import ode

    def func(params: jax.Array, x: jax.Array) -> jax.Array:
        times = jnp.linspace(0.0, 1.0, 3)

        def solve(y0: jax.Array) -> jax.Array:
            return ode.odeint(lambda y, t: -params * y, y0, times, rtol=1e-5, atol=1e-6)

        return jax.vmap(solve)(x)

    return func, jnp.array([0.5, 2.0]), TensorSpec(("b", 2))


@case(edges=False, environment=_NO_CALLBACKS)
def optimistix_root() -> Any:
    """Root by optimistix: Newton in an implicit layer, EQX_ON_ERROR=nan."""
    import optimistix as optx

    def func(params: jax.Array, x: jax.Array) -> jax.Array:
        def fixed_point(start: jax.Array) -> jax.Array:
            solver = optx.Newton(rtol=1e-6, atol=1e-6)
            solution = optx.root_find(
                lambda z, args: z - jnp.tanh(params @ z + args),
                solver,
                jnp.zeros_like(start),
                args=start,
                max_steps=32,
                throw=False,
            )
            return solution.value

        return jax.vmap(fixed_point)(x)

    return func, _normal(0, 3, 3) * 0.3, TensorSpec(("b", 3))


@case()
def complex_filter() -> Any:
    """Complex filter: complex64 in and out."""

    def func(params: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
        y = jnp.fft.ifft(jnp.fft.fft(x) * params)
        return {"filtered": y, "power": jnp.abs(y) ** 2, "angle": jnp.angle(y + 3)}

    weights = (_normal(0, 8) + 1j * _normal(1, 8)).astype(jnp.complex64)
    return func, weights, TensorSpec(("b", 8), "complex64")


@case()
def energy_forces() -> Any:
    """Gradient of an energy: forces by jax.grad inside the model."""

    def energy(params: Any, positions: jax.Array) -> jax.Array:
        offsets = positions[:, None] - positions[None]
        distances = (offsets**2).sum(-1) + jnp.eye(positions.shape[0])
        weights = 1 - jnp.eye(positions.shape[0])
        return (weights * (params["a"] / distances**2 - params["b"] / distances)).sum()

    def func(params: Any, positions: jax.Array) -> dict[str, jax.Array]:
        value, gradient = jax.vmap(jax.value_and_grad(energy, 1), (None, 0))(params, positions)
        return {"energy": value, "forces": -gradient}

    return func, {"a": jnp.float32(0.1), "b": jnp.float32(0.2)}, TensorSpec(("b", 5, 3))
