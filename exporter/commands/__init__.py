"""The exporter's subcommands: one module and one line here each.

A module has `add_arguments(parser)`, which declares its flags and imports nothing heavy, and
`run(args) -> int`, which returns the exit code. It is imported only when it is chosen. Its
docstring is what `--help` shows, and the text `EXAMPLES`, if it has one.
"""

from __future__ import annotations

from collections.abc import Mapping

# What runs when the first argument is none of the names below.
DEFAULT = "export"

COMMANDS: Mapping[str, str] = {
    "export": "train or build, verify and publish a model (the default: may be left out)",
    "data": "write MNIST's files as a TFDS data directory: data prepare",
    "tfjs": "write a published model for TensorFlow.js, compared with JAX in Node",
    "stack": "run the container stack through Docker's SDK: up, status, logs, down",
    "tflite": "write a model for TensorFlow Lite, float and quantised, compared with JAX",
    "doctor": "say why a version does not load or answers wrongly, and the fix",
    "report": "write a page about a version: signatures, errors in each runtime, latencies",
    "verify": "check a published version again: digests, golden examples, live JAX",
    "reuse": "train Keras networks on top of exported features, through TF Hub and Keras 3",
}
