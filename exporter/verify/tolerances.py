"""How far an output may be from JAX's: as the dtypes that it is computed in allow."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from artifact.manifest import Tolerance
from exporter.trace.dependence import behind_outputs
from exporter.trace.traced import TracedSignature

# Of dtypes with other digits than float32, a few units in their last place.
_TOLERANCES = {
    "float64": Tolerance(1e-9, 1e-9),
    "complex128": Tolerance(1e-9, 1e-9),
    "float32": Tolerance(),
    "complex64": Tolerance(),
    "float16": Tolerance(1e-3, 1e-3),
    "bfloat16": Tolerance(1e-2, 1e-2),
}


def of_outputs(traced: TracedSignature) -> dict[str, Tolerance]:
    """Returns each output's tolerance by its name: that of the least exact dtype behind it.

    A float32 that was a bfloat16 on its way is no more exact than that.
    """
    found = behind_outputs(traced.serving.jaxpr.jaxpr)
    return {
        name: max(map(_of_dtype, behind.dtypes), key=lambda t: t.rtol, default=Tolerance())
        for name, behind in zip(traced.output_names, found, strict=True)
    }


def _of_dtype(name: str) -> Tolerance:
    if name in _TOLERANCES:
        return _TOLERANCES[name]
    unit = 2 * float(jnp.finfo(np.dtype(name)).eps)  # float8 and smaller
    return Tolerance(unit, unit)
