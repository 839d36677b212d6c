"""The shape of nested lists, told from their brackets and commas alone."""

from __future__ import annotations

from server.api.tfs_rest.document import MAX_RANK

# One byte each for the names of inputs, of which a row may have so many.
MARKS = bytes(range(16, 32))
# Requests differ in their numbers, seldom in their shapes.
_KEPT = 32
_MAX_KEPT_BYTES = 512 * 1024

_shapes: dict[int, tuple[bytes, tuple[int, ...]]] = {}  # by the length of the brackets


def known_shape(brackets: bytes) -> tuple[int, ...] | None:
    """Returns the shape that a text of nothing but brackets and commas describes, if it has one."""
    if len(brackets) > _MAX_KEPT_BYTES:
        return _shape(brackets)
    known = _shapes.get(len(brackets))
    if known is not None and known[0] == brackets:
        return known[1]
    shape = _shape(brackets)
    if shape is not None:
        if len(_shapes) == _KEPT:
            _shapes.clear()
        _shapes[len(brackets)] = brackets, shape
    return shape


def _shape(brackets: bytes) -> tuple[int, ...] | None:
    rank = len(brackets) - len(brackets.lstrip(b"["))
    if not 0 < rank <= MAX_RANK:
        return None
    shape: list[int] = []
    unit = b""
    for level in range(1, rank + 1):
        # The first list of this level ends where as many lists end at once.
        end = brackets.find(b"]" * level) + level
        count = (end - (rank - level) - 1) // (len(unit) + 1)
        if end < level or count < 1:
            return None
        shape.append(count)
        unit = b"[" + b",".join([unit] * count) + b"]"
        if len(unit) > len(brackets):
            return None
    return tuple(reversed(shape)) if unit == brackets else None


def shapes_in(unit: bytes, count: int) -> list[tuple[int, ...]] | None:
    """Returns the shapes in a row's skeleton: `{<mark>…,<mark>…}`."""
    if unit[:1] != b"{" or unit[-1:] != b"}":
        return None
    shapes = []
    rest = unit[1:-1]
    for index in range(count):
        if rest[:1] != MARKS[index : index + 1]:
            return None
        end = len(rest) if index == count - 1 else rest.find(MARKS[index + 1]) - 1
        if end < 1 or (index < count - 1 and rest[end : end + 1] != b","):
            return None
        shape = _shape(rest[1:end]) if end > 1 else ()
        if shape is None:
            return None
        shapes.append(shape)
        rest = rest[end + 1 :]
    return shapes
