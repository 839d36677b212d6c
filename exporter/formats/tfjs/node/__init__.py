"""TensorFlow.js in Node: runs a written model on the backends that need no browser.

Its npm packages, 90 MB, are installed once a user, when they are first needed.
"""

from exporter.formats.tfjs.node.execution import BACKENDS, run
from exporter.formats.tfjs.node.packages import check_available, install

__all__ = ["BACKENDS", "check_available", "install", "run"]
