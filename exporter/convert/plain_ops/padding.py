"""Names that TensorFlow's kernels have for paddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exporter.convert.plain_ops.dimensions import is_static


def padding_name(
    sizes: Sequence[Any],
    window: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    padding: Sequence[tuple[Any, Any]],
) -> str | None:
    """Returns `VALID` or `SAME` where a padding is that, else None.

    `SAME` is https://www.tensorflow.org/api_docs/python/tf/nn#same_padding; the arguments have
    one entry a spatial axis.
    """
    if all(low == 0 and high == 0 for low, high in padding):
        return "VALID"
    if not all(map(is_static, sizes)):
        return None
    for size, width, stride, dilation, pair in zip(
        sizes, window, strides, dilations, padding, strict=True
    ):
        reach = (width - 1) * dilation + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        if tuple(pair) != (total // 2, total - total // 2):
            return None
    return "SAME"
