"""JAX models for TensorFlow.js: checked against its kernels, compared with JAX in Node, published.

`export` does it all; the modules are its steps: freeze, kernels, weights, graph_model, node.
"""

from exporter.formats.tfjs.export import TfjsOptions, TfjsResult, check_target, export
from exporter.formats.tfjs.kernels import BACKENDS, UnsupportedOp
from exporter.formats.tfjs.weights import QUANTISATIONS

__all__ = [
    "BACKENDS",
    "QUANTISATIONS",
    "TfjsOptions",
    "TfjsResult",
    "UnsupportedOp",
    "check_target",
    "export",
]
