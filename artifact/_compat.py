"""JAX's unstable parts that a program needs: MLIR, and what its releases do differently.

`jax.extend` may change from one release to the next:
https://docs.jax.dev/en/latest/jax.extend.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
from jax._src import compilation_cache
from jax.export import Exported
from jax.extend.mlir import ir
from jax.extend.mlir.dialects import sdy, stablehlo

__all__ = ["ir", "stablehlo"]


def set_compilation_cache(path: str, cache: Any) -> bool:
    """Gives JAX a cache of compiled programs with `get` and `put`; returns whether it takes it.

    JAX's own one can't tell a damaged entry: it hands it to native code.
    """
    if not hasattr(compilation_cache, "get_file_cache"):
        return False
    compilation_cache.get_file_cache = lambda _: (cache, path)
    compilation_cache.reset_cache()
    jax.config.update("jax_compilation_cache_dir", path)
    return True


def context() -> Any:
    """Returns an MLIR context that knows what JAX writes into a serialized module."""
    made = ir.Context()
    stablehlo.register_dialect(made)
    sdy.register_dialect(made)  # LAPACK's calls have attributes of it
    return made


def refines_composites_of(name: str) -> bool:
    """Whether JAX settles open shapes through a composite operation of that name."""
    return name == "chlo.top_k" and jax.__version_info__ >= (0, 9, 2)


def exported(
    label: str,
    module: bytes,
    in_tree: Any,
    in_shapes: Sequence[jax.ShapeDtypeStruct],
    out_shapes: Sequence[jax.ShapeDtypeStruct],
    *,
    kept: Sequence[int],
    platforms: Sequence[str],
    needs_refinement: bool,
) -> Exported:
    """Returns a module as something that this JAX can call, whichever JAX wrote it.

    The fields of `Exported` come and go with JAX's releases. So this JAX exports a function of as
    many arguments and results that does nothing, and the module takes its place: what is set here
    are the documented fields, which are those of all releases.

    Args:
        label: What error messages call the function.
        module: A portable StableHLO artefact whose `main` takes the platform's index (only where
            there are several platforms) and then the kept arguments: calling conventions 9 and 10
            without shardings.
        in_tree: The structure of the arguments, a tuple.
        in_shapes: The flat arguments; open dimensions are symbolic.
        out_shapes: The list of results.
        kept: Which of the arguments `main` takes.
        platforms: What the module was lowered for, in the order of their index.
        needs_refinement: Whether shapes, or what the platform decides, are open.
    """

    def nothing(*arguments: Any) -> list[Any]:
        return [0.0] * len(out_shapes)

    scalars = in_tree.unflatten([jax.ShapeDtypeStruct((), "float32")] * len(in_shapes))
    made = jax.export.export(jax.jit(nothing), platforms=tuple(platforms))(*scalars)
    return replace(
        made,
        fun_name=label,
        in_avals=_avals(in_shapes),
        out_avals=_avals(out_shapes),
        mlir_module_serialized=module,
        module_kept_var_idx=tuple(kept),
        uses_global_constants=needs_refinement,
    )


def with_module(exported: Exported, module: bytes) -> Exported:
    """Returns the same program with another module of the same arguments and results."""
    if module is exported.mlir_module_serialized:
        return exported
    return replace(exported, mlir_module_serialized=module)


def _avals(shapes: Sequence[jax.ShapeDtypeStruct]) -> tuple[Any, ...]:
    return tuple(jax.make_jaxpr(lambda *values: values)(*shapes).in_avals)


def initialize_lapack(custom_calls: Mapping[str, Any]) -> None:
    """Makes JAX register its LAPACK functions, where a module calls any of them.

    JAX 0.9.0 does so when it lowers one of them, not when it runs a module of another process,
    which then ends this process with a segmentation fault.
    """
    if any(name.startswith("lapack_") for name in custom_calls):
        matrix = jax.ShapeDtypeStruct((1, 1), "float32")
        jax.jit(jax.numpy.linalg.cholesky).trace(matrix).lower(lowering_platforms=("cpu",))
