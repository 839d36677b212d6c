"""How models in buckets are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BucketOptions:
    """How models in buckets are kept.

    Attributes:
        cache: Directory of what was fetched.
        cache_bytes: How much of it is kept.
        poll_s: Least time between two looks at one model's folder.
    """

    cache: Path
    cache_bytes: int = 20 * 2**30
    poll_s: float = 15.0
