"""What MNIST looks like, whatever source it comes from."""

from __future__ import annotations

CLASSES = tuple("0123456789")
IMAGE_SHAPE = (28, 28, 1)
