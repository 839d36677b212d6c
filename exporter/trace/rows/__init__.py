"""A proof, read off the traced program, that each row of the answers is its own row's alone."""

from exporter.trace.rows.proof import Verdict
from exporter.trace.rows.signature import prove_signature

__all__ = ["Verdict", "prove_signature"]
