"""Models for TensorFlow Lite: written, and compared with JAX in the LiteRT interpreter."""

from exporter.tflite.conversion import KINDS, convert, runner
from exporter.tflite.files import Result, write

__all__ = ["KINDS", "Result", "convert", "runner", "write"]
