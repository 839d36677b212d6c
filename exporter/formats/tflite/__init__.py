"""Models for TensorFlow Lite: written, and compared with JAX in the LiteRT interpreter."""

from exporter.formats.tflite.conversion import KINDS, convert, runner
from exporter.formats.tflite.files import TfliteFile, write

__all__ = ["KINDS", "TfliteFile", "convert", "runner", "write"]
