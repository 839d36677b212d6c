"""What JSON has, and Python's values can't say."""

from __future__ import annotations

from typing import Any


class Repeated(dict[str, Any]):
    """An object that had a key more than once; the first value counts, as in RapidJSON."""


class Unparsed:
    """Stands for a value that nests too deep to be built, or that nobody has asked for yet."""
