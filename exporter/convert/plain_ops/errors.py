"""What can't be lowered, and where in the user's code it stands."""

from __future__ import annotations

from exporter.errors import UserError

_INSTEAD = {
    "custom_partitioning": "call the function that it wraps",
    "eigh_jacobi": "use jnp.linalg.eigh",
    "ffi_call": "a server hasn't the library: write the function in JAX",
    "hessenberg": "TensorFlow has no such decomposition: compute it before the export",
    "geqp3": "TensorFlow has no QR with pivots: use jnp.linalg.qr",
    "io_callback": "a server can't call Python: compute it in JAX",
    "pallas_call": "a kernel of one's own needs XLA: give the function a version in jax.numpy",
    "pure_callback": "a server can't call Python: compute it in JAX",
    "schur": "TensorFlow has no such decomposition: compute it before the export",
}


class UnsupportedPrimitive(UserError):
    """A primitive of the model has no rule here, or none for its parameters.

    Attributes:
        primitive: JAX's name of it.
        reason: What is missing.
        source: The user's line; empty where only an enclosing equation knows it.
    """

    def __init__(self, primitive: str, reason: str, source: str) -> None:
        super().__init__(f"{primitive} (at {source or 'an unknown line'}): {reason}")
        self.primitive, self.reason, self.source = primitive, reason, source


class UnsupportedForm(Exception):
    """A rule meets parameters that it has no lowering for; the interpreter adds the place."""


def without_rule(primitive: str) -> str:
    """Returns what a user can do about a primitive that has no rule."""
    if primitive in _INSTEAD:
        return _INSTEAD[primitive]
    return (
        "TensorFlow's ops can't express it yet; write this line with other JAX functions "
        "(docs/lowering.md lists what is supported), or export the XLA program"
    )
