"""Pictures in a terminal: eight pixels a character, in Braille dots."""

from __future__ import annotations

import numpy as np

_LARGEST = 64  # pixels a side that still fit a terminal
# Bit of each dot in a Braille character (Unicode, U+2800), as rows of pixels.
_DOT_BITS = np.array([[0, 3], [1, 4], [2, 5], [6, 7]])
_SHADES = " .:*#"


def pictures(array: np.ndarray) -> np.ndarray | None:
    """Returns an input's images as float [N, height, width], or None where it holds none."""
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim != 3 or array.dtype.kind not in "fui" or not array.size:
        return None
    return array if max(array.shape[1:]) <= _LARGEST else None


def draw(image: np.ndarray, *, ascii_only: bool = False) -> list[str]:
    """Draws one image [height, width], brightest pixels as ink; two columns, four rows a cell.

    Args:
        image: Any numbers; the scale is taken from the brightest one.
        ascii_only: Shades of ASCII characters in place of Braille dots.
    """
    height, width = image.shape
    padded = np.zeros((-height % 4 + height, -width % 2 + width))
    brightest = float(image.max())
    if brightest > 0:
        padded[:height, :width] = image / brightest
    cells = padded.reshape(padded.shape[0] // 4, 4, padded.shape[1] // 2, 2).swapaxes(1, 2)
    if ascii_only:
        levels = np.clip(cells.mean((2, 3)) * 6, 0, len(_SHADES) - 1).astype(int)
        return ["".join(_SHADES[level] for level in row) for row in levels]
    codes = 0x2800 + ((cells > 0.4) << _DOT_BITS).sum((2, 3))
    return ["".join(map(chr, row)) for row in codes.tolist()]


def grid(images: np.ndarray, captions: list[str], *, columns: int, ascii_only: bool) -> list[str]:
    """Draws images side by side with a caption under each, at most `columns` characters wide."""
    cells = [draw(image, ascii_only=ascii_only) for image in images]
    width = max(len(cells[0][0]), *(len(caption) for caption in captions))
    a_row = max(1, (columns + 2) // (width + 2))
    lines: list[str] = []
    for start in range(0, len(cells), a_row):
        row = cells[start : start + a_row]
        lines += [
            "  ".join(line.ljust(width) for line in parts) for parts in zip(*row, strict=True)
        ]
        lines += ["  ".join(c.center(width) for c in captions[start : start + a_row]).rstrip(), ""]
    return lines
