"""What the writer of SavedModels asks of a converter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from exporter.trace.traced import Trace

# From flat parameter and input tensors to flat output tensors, inside a TensorFlow graph.
TensorFunction = Callable[[Sequence[Any]], list[Any]]

# Makes such a function of one of a signature's traces.
Converter = Callable[[Trace], TensorFunction]
