"""A model to a directory that TensorFlow.js loads: whole and checked, or not there at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax

from artifact.manifest import Tolerance
from exporter._compat.jax import canonical_dtype
from exporter.convert import plain_ops
from exporter.convert.functions import SignatureFunctions
from exporter.convert.variables import make_variables
from exporter.errors import UserError
from exporter.formats.quantised import BOUNDS
from exporter.formats.tfjs import graph_model, kernels, node, weights
from exporter.formats.tfjs.check import OutputDifference, check
from exporter.formats.tfjs.freeze import FrozenGraph, freeze
from exporter.model import Model
from exporter.model.entry import Entry, default_entry
from exporter.publish.export import Stage
from exporter.storage.staging import place, readable_errors, staged_directory
from exporter.trace.trace import trace
from exporter.trace.traced import TracedSignature
from exporter.verify.cases import collect

# Real inputs that are compared beside the random ones.
_EXAMPLES = 4


@dataclass(frozen=True)
class TfjsOptions:
    """How to export.

    Attributes:
        weights: How large weights are stored: `float32`, `float16` or `uint8`.
        backends: That must be able to run the model: of `cpu`, `wasm` and `webgl`.
        verify_in_node: Whether to run it in Node, on cpu and wasm, and compare.
        batch_sizes: Of the random inputs of the comparison.
        tolerance: Of the comparison; as the outputs' dtypes allow where None.
        bound: How far outputs of quantised weights may be from JAX's, as a share of the largest
            number of the output; 1 % of float16 and 10 % of uint8 where None.
        seed: Of the random inputs.
        overwrite: Whether to replace a directory that is there.
        metadata: Goes into `model.json`, for example the names of classes.
    """

    weights: str = "float32"
    backends: Sequence[str] = kernels.BACKENDS
    verify_in_node: bool = True
    batch_sizes: Sequence[int] = (1, 3, 17)
    tolerance: Tolerance | None = None
    bound: float | None = None
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
class TfjsResult:
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
    differences: Sequence[OutputDifference]
    ran_in_node: Sequence[str]


def export(
    model: Model, out: Path, options: TfjsOptions | None = None, *, stage: Stage
) -> TfjsResult:
    """Writes a model's `serving_default` for TensorFlow.js.

    Args:
        model: What to export.
        out: The directory to make, with `model.json` and its shards.
        options: How.
        stage: Shows progress.

    Raises:
        UserError: the model can't be converted or a backend can't run it, `out` exists, Node is
            missing or TensorFlow.js for it can't be installed.
        CheckFailed: TensorFlow.js' answers aren't JAX's. Nothing is at `out` in any of these cases.
    """
    options = options or TfjsOptions()
    check_target(out, options)
    if _node_backends(options):
        node.install(stage)
    with stage("convert to TensorFlow ops"):
        traced = trace(_canonical(default_entry(model)))
        graph = frozen_graph(traced)
    with stage("check against TensorFlow.js' kernels"):
        kernels.check(graph.graph_def, options.backends)
        built = graph_model.build(graph, options.weights, {"model": model.name, **options.metadata})
    with readable_errors(out, "--out"), staged_directory(out.parent) as directory:
        graph_model.write(built, directory)
        with stage("compare with JAX"):
            cases = collect(
                traced,
                options.batch_sizes,
                seed=options.seed,
                tolerance=options.tolerance,
                max_examples=_EXAMPLES,
            )
            differences = check(
                model.name,
                built,
                directory,
                cases,
                backends=_node_backends(options),
                weights=options.weights,
                bound=options.bound or BOUNDS.get(options.weights, 0.0),
            )
        check_target(out, options)  # somebody else may have been faster
        place(directory, out)
    every = list(kernels.nodes(built.graph.graph_def))
    ops = sorted({each.op for each in every})
    return TfjsResult(out, built.num_bytes, len(every), ops, differences, _node_backends(options))


def check_target(out: Path, options: TfjsOptions) -> None:
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


def _node_backends(options: TfjsOptions) -> list[str]:
    wanted = options.backends if options.verify_in_node else ()
    return [backend for backend in node.BACKENDS if backend in wanted]


def _canonical(entry: Entry) -> Entry:
    """The same signature, taking the dtypes that JAX computes with: TensorFlow.js has no others."""
    inputs = jax.tree.map(
        lambda spec: replace(spec, dtype=canonical_dtype(spec.dtype).name), entry.inputs
    )
    return replace(entry, inputs=inputs)


def frozen_graph(traced: TracedSignature) -> FrozenGraph:
    """Returns a signature as one graph of plain operations, its parameters constants."""
    entry = traced.entry
    variables = make_variables(entry.params, traced.parameter_paths, trainable=False)
    convert = partial(plain_ops.to_tensorflow, portable=True)
    functions = SignatureFunctions(traced, variables, convert, with_gradient=True)
    return freeze(functions.signature(), traced.output_names)
