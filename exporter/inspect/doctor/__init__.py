"""Why a published version does not load or answers wrongly, and what to do about it."""

from __future__ import annotations

from exporter.inspect.doctor.examination import examine
from exporter.inspect.doctor.finding import Finding

__all__ = ["Finding", "examine"]
