"""What becomes of gradients where a model is exported without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

_NO_GRADIENT = "exported without gradients; export it again with --with_gradient"


def without_gradient(results: Sequence[Any]) -> list[Any]:
    """Returns tensors that fail where somebody asks for their gradient."""
    return [tf.raw_ops.PreventGradient(input=result, message=_NO_GRADIENT) for result in results]
