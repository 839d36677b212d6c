"""A model to a directory that TensorFlow.js loads: whole and checked, or not there at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from exporter.convert.plain_ops import lower
from exporter.errors import CheckFailed, UserError
from exporter.formats.tfjs import graph_model, kernels, node, weights
from exporter.formats.tfjs.freeze import freeze
from exporter.formats.tfjs.graph_model import GraphModel
from exporter.model import Model, naming
from exporter.verify.inputs import random_inputs

Arrays = Mapping[str, np.ndarray]
Stage = Callable[[str], AbstractContextManager[None]]

# Real inputs that are compared beside the random ones.
_EXAMPLES = 4


@dataclass(frozen=True)
class Options:
    """How to export.

    Attributes:
        weights: How large weights are stored: `float32`, `float16` or `uint8`.
        backends: That must be able to run the model: of `cpu`, `wasm` and `webgl`.
        verify_in_node: Whether to run it in Node, on cpu and wasm, and compare.
        batch_sizes: Of the random inputs of the comparison.
        rtol: Tolerances of the comparison; an output may differ by atol + rtol * |expected|.
        atol: Likewise.
        seed: Of the random inputs.
        overwrite: Whether to replace a directory that is there.
        metadata: Goes into `model.json`, for example the names of classes.
    """

    weights: str = "float32"
    backends: Sequence[str] = kernels.BACKENDS
    verify_in_node: bool = True
    batch_sizes: Sequence[int] = (1, 3, 17)
    rtol: float = 1e-5
    atol: float = 1e-5
    seed: int = 0
    overwrite: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.weights not in weights.QUANTISATIONS:
            known = ", ".join(weights.QUANTISATIONS)
            raise UserError(f"weights {self.weights!r} are none of {known}")
        for backend in self.backends:
            if backend not in kernels.BACKENDS:
                known = ", ".join(kernels.BACKENDS)
                raise UserError(f"backend {backend!r} is none of {known}")
        if not self.backends:
            raise UserError("no backend to export for")


@dataclass(frozen=True)
class Difference:
    """The largest difference of an output.

    Attributes:
        runtime: `tensorflow`, `cpu` or `wasm`.
        output: Its name.
        batch_size: Of the inputs.
        from_graph: From the same graph in TensorFlow: what TensorFlow.js itself adds.
        from_jax: From JAX: with it, what quantised weights cost.
    """

    runtime: str
    output: str
    batch_size: int
    from_graph: float
    from_jax: float


@dataclass(frozen=True)
class Result:
    """What was published.

    Attributes:
        directory: Where.
        num_bytes: The size of the weights.
        num_nodes: The size of the graph, its functions included.
        ops: The graph's ops, sorted.
        differences: What was compared.
        ran_in_node: The backends that ran it; of the others only the kernels were looked up.
    """

    directory: Path
    num_bytes: int
    num_nodes: int
    ops: Sequence[str]
    differences: Sequence[Difference]
    ran_in_node: Sequence[str]


def export(model: Model, out: Path, options: Options | None = None, *, stage: Stage) -> Result:
    """Writes a model for TensorFlow.js.

    Args:
        model: What to export.
        out: The directory to make, with `model.json` and its shards.
        options: How.
        stage: Shows progress.

    Raises:
        UserError: the model can't be lowered or a backend can't run it, `out` exists, Node is
            missing or TensorFlow.js for it can't be installed.
        CheckFailed: TensorFlow.js' answers aren't JAX's. Nothing is at `out` in any of these cases.
    """
    options = options or Options()
    check_target(out, options)
    if _node_backends(options):
        node.install(stage)
    with stage("lower to TensorFlow ops"):
        module = lower(model, portable=True)
    with stage("freeze and simplify the graph"):
        graph = freeze(module)
        kernels.check(graph.graph_def, options.backends)
        built = graph_model.build(graph, options.weights, {"model": model.name, **options.metadata})
    with _staging(out, options.overwrite) as directory:
        graph_model.write(built, directory)
        with stage("compare with JAX"):
            differences = _compare(model, built, directory, options)
    every = list(kernels.nodes(built.graph.graph_def))
    ops = sorted({each.op for each in every})
    return Result(out, built.num_bytes, len(every), ops, differences, _node_backends(options))


def check_target(out: Path, options: Options) -> None:
    """Refuses early what could only fail late.

    Raises:
        UserError: `out` exists, or Node is missing.
    """
    if out.exists() and not options.overwrite:
        raise UserError(f"{out} exists; take another directory or --overwrite")
    if out.exists() and not (out / graph_model.MODEL_FILE).is_file():
        raise UserError(f"{out} holds no {graph_model.MODEL_FILE}: not replaced")
    if _node_backends(options):
        node.check_available()


def _node_backends(options: Options) -> list[str]:
    wanted = options.backends if options.verify_in_node else ()
    return [backend for backend in node.BACKENDS if backend in wanted]


def _compare(
    model: Model, built: GraphModel, directory: Path, options: Options
) -> list[Difference]:
    cases = _cases(model, options)
    in_jax = [_answer(model, case) for case in cases]
    reference = built.reference()
    in_graph = [reference.run(case) for case in cases]
    # Quantised weights are another model than JAX's: the graph that holds them is the measure.
    expected = in_jax if options.weights == "float32" else in_graph
    actual = {"tensorflow": in_graph}
    if backends := _node_backends(options):
        actual |= node.run(directory, cases, backends)
    differences = []
    for runtime, answers in actual.items():
        for case, answer, wanted, graph, jax_ in zip(
            cases, answers, expected, in_graph, in_jax, strict=True
        ):
            batch_size = len(next(iter(case.values())))
            for name, value in answer.items():
                _check(model.name, runtime, name, batch_size, value, wanted[name], options)
                differences.append(
                    Difference(
                        runtime,
                        name,
                        batch_size,
                        _distance(value, graph[name]),
                        _distance(value, jax_[name]),
                    )
                )
    return differences


def _check(
    model: str,
    runtime: str,
    output: str,
    batch_size: int,
    actual: np.ndarray,
    expected: np.ndarray,
    options: Options,
) -> None:
    where = f"{model}: {output} on {runtime} at batch {batch_size}"
    if actual.shape != expected.shape:
        raise CheckFailed(
            f"{where} has shape {actual.shape}, not {expected.shape}; nothing was published"
        )
    if not np.allclose(actual, expected, options.rtol, options.atol, equal_nan=True):
        error = _distance(actual, expected)
        raise CheckFailed(
            f"{where} differs from JAX by {error:.1e}"
            f" (rtol {options.rtol:.0e}, atol {options.atol:.0e}); nothing was published"
        )


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest absolute difference; what is equal, infinities included, differs by 0."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return float(np.max(np.abs(np.where(same, 0.0, a) - np.where(same, 0.0, b)), initial=0.0))


def _cases(model: Model, options: Options) -> list[Arrays]:
    """Random inputs of each batch size, and some real ones where there are any."""
    specs = jax.tree.leaves(model.inputs)
    names = naming.input_names(model.inputs)
    real = jax.tree.leaves(model.examples.inputs) if model.examples else None
    rng = np.random.default_rng(options.seed)
    drawn = [random_inputs(specs, size, rng, real) for size in options.batch_sizes]
    if real:
        drawn.append([np.asarray(array)[:_EXAMPLES] for array in real])
    return [dict(zip(names, arrays, strict=True)) for arrays in drawn]


def _answer(model: Model, case: Arrays) -> dict[str, np.ndarray]:
    inputs = jax.tree.structure(model.inputs).unflatten(list(case.values()))
    outputs = jax.jit(model.func)(model.params, inputs)
    leaves = map(np.asarray, jax.tree.leaves(outputs))
    return dict(zip(naming.output_names(outputs), leaves, strict=True))


@contextlib.contextmanager
def _staging(out: Path, overwrite: bool) -> Iterator[Path]:
    """A directory beside the target that takes its place at the end, if all went well."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f".staging-{out.name}-", dir=out.parent))
    except OSError as error:
        raise UserError(f"{out}: {error.strerror}; nothing was published") from error
    try:
        staged.chmod(0o755)  # mkdtemp's 0700 would shut a web server out
        yield staged
        if overwrite and out.exists():
            old = staged.with_name(f"{staged.name}-old")
            out.rename(old)
            staged.rename(out)
            shutil.rmtree(old, ignore_errors=True)
        else:
            staged.rename(out)
    except OSError as error:
        raise UserError(f"{out}: {error.strerror}; nothing was published") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
