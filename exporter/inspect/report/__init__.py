"""One page about a published version: what it is, how close to JAX it runs, how fast."""

from __future__ import annotations

from exporter.inspect.report.collection import Report, collect

__all__ = ["Report", "collect"]
