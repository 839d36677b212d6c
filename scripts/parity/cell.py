"""What was found of one model in one runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

# The columns: the exporter's formats, each with the runtime that is asked.
FORMATS = {
    "xla": "SavedModel, XLA",
    "plain": "SavedModel, plain ops",
    "tfjs": "TensorFlow.js",
    "tflite": "TensorFlow Lite",
}
# From the best to the worst.
OUTCOMES = EQUAL, FINITE, REFUSED, WRONG, TRACEBACK = (
    "equal",
    "equal where finite",
    "refused",
    "WRONG",
    "TRACEBACK",
)
BATCH_SIZES = (1, 3, 17)


@dataclass(frozen=True)
class Cell:
    """One cell of the table.

    Attributes:
        model: The model's name.
        format: One of `FORMATS`.
        outcome: `equal` (published, and JAX's answers at all inputs), `equal where finite` (other
            answers where inputs are NaN or infinite), `refused` (in words), `WRONG` (published,
            with other answers) or `TRACEBACK` (also: crashed, or stuck).
        text: What was said, or what differs.
        max_abs_err: The largest difference from JAX, where it is equal.
        batches: Where the batch sizes had different fates: the outcome of each, by its size.
        seconds: What it took.
    """

    model: str
    format: str
    outcome: str
    text: str = ""
    max_abs_err: float | None = None
    batches: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON has it."""
        return asdict(self)
