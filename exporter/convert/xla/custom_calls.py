"""What a module calls outside of StableHLO, and what TensorFlow has of it.

JAX calls LAPACK for linear algebra on the CPU, and NVIDIA's and AMD's libraries on their GPUs.
jaxlib registers these calls; TensorFlow ends at `No FFI handler registered`. Cholesky factors and
triangular solves are operations of StableHLO, too, and are written as such.
"""

from __future__ import annotations

from typing import Any

from artifact import modules
from artifact._compat import ir

# What XLA, or StableHLO's shape refinement, knows itself: jax/_src/export/_export.py lists what
# JAX may export, without jaxlib's own kernels.
_KNOWN = frozenset(
    {
        "ApproxTopK",
        "Eigh",
        "LuDecomposition",
        "ProductOfElementaryHouseholderReflectors",
        "Qr",
        "SPMDFullToShardShape",
        "SPMDShardToFullShape",
        "Sharding",
        "TopK",
        "annotate_device_placement",
        "shape_assertion",
    }
)
# Operations that are none of StableHLO's yet.
_KNOWN_BEGINNINGS = ("mhlo.", "stablehlo.")
_TRANSPOSES = {"N": "NO_TRANSPOSE", "T": "TRANSPOSE", "C": "ADJOINT"}


def unknown(module: Any) -> dict[str, str]:
    """Returns the calls that TensorFlow can't run, each with the JAX primitive that it is of."""
    return {
        target: primitive
        for target, primitive in modules.custom_calls(module).items()
        if target not in _KNOWN and not target.startswith(_KNOWN_BEGINNINGS)
    }


def write_as_operations(module: Any) -> None:
    """Replaces LAPACK's Cholesky factors and triangular solves by StableHLO's own."""
    for call in modules.operations(module, "stablehlo.custom_call"):
        target = ir.StringAttr(call.attributes["call_target_name"]).value
        kind = target.removeprefix("lapack_")[1:]  # behind the letter of the dtype
        if not target.startswith("lapack_") or kind not in ("potrf_ffi", "trsm_ffi"):
            continue
        with call.context, call.location, ir.InsertionPoint(call):
            if kind == "potrf_ffi":
                results = [_cholesky(call), _zeros(call, 1)]
            else:
                results = [_triangular_solve(call)]
        for old, new in zip(call.results, results, strict=True):
            old.replace_all_uses_with(new)
        call.erase()


def _cholesky(call: Any) -> Any:
    return ir.Operation.create(
        "stablehlo.cholesky",
        results=[call.results[0].type],
        operands=[call.operands[0]],
        attributes={"lower": ir.BoolAttr.get(_letter(call, "uplo") == "L")},
    ).results[0]


def _triangular_solve(call: Any) -> Any:
    transpose = _TRANSPOSES[_letter(call, "trans_x")]
    return ir.Operation.create(
        "stablehlo.triangular_solve",
        results=[call.results[0].type],
        operands=list(call.operands)[:2],
        attributes={
            "left_side": ir.BoolAttr.get(_letter(call, "side") == "L"),
            "lower": ir.BoolAttr.get(_letter(call, "uplo") == "L"),
            "unit_diagonal": ir.BoolAttr.get(_letter(call, "diag") == "U"),
            "transpose_a": ir.Attribute.parse(f"#stablehlo<transpose {transpose}>"),
        },
    ).results[0]


def _zeros(call: Any, index: int) -> Any:
    """LAPACK's `info` where all went well: StableHLO's factor is NaN where it doesn't exist."""
    kind = ir.RankedTensorType(call.results[index].type)
    if kind.has_static_shape:
        return _constant(kind)
    scalar = _constant(ir.RankedTensorType.get([], kind.element_type))
    # Behind the operands of LAPACK stand the shapes of the results whose sizes are open.
    shapes = [int(place) for place in ir.DenseIntElementsAttr(_shapes_at(call))]
    return ir.Operation.create(
        "stablehlo.dynamic_broadcast_in_dim",
        results=[kind],
        operands=[scalar, call.operands[shapes[index]]],
        attributes={"broadcast_dimensions": ir.Attribute.parse("array<i64>")},
    ).results[0]


def _shapes_at(call: Any) -> Any:
    return call.attributes["indices_of_shape_operands"]


def _constant(kind: Any) -> Any:
    zero = ir.DenseElementsAttr.get_splat(kind, ir.IntegerAttr.get(kind.element_type, 0))
    return ir.Operation.create(
        "stablehlo.constant", results=[kind], attributes={"value": zero}
    ).results[0]


def _letter(call: Any, name: str) -> str:
    """LAPACK's options are letters, which JAX hands over as numbers."""
    key = "mhlo.backend_config" if "mhlo.backend_config" in call.attributes else "backend_config"
    return chr(ir.IntegerAttr(ir.DictAttr(call.attributes[key])[name]).value)
