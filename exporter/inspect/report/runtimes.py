"""The runtimes that a report compares with JAX's golden examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from artifact import program
from artifact.manifest import Manifest
from client import ServingError
from exporter.errors import UserError
from exporter.inspect import served as servers
from exporter.model import SERVING_DEFAULT

Arrays = Mapping[str, np.ndarray]
_ASK = "ask `python -m exporter doctor`"


class Refused(Exception):
    """A runtime doesn't run what it should: a signature, or these inputs; the text says why."""


class NotOffered(Exception):
    """A signature isn't for this runtime, by the way in which it is made; the text says how."""


@dataclass(frozen=True)
class Runtime:
    """Something that runs a version.

    Attributes:
        name: What the report calls it.
        run: `(signature, inputs) -> outputs`, arrays by name; raises `Refused` and `NotOffered`.
    """

    name: str
    run: Callable[[str, Arrays], Arrays]


def local(version_dir: Path) -> list[Runtime]:
    """Returns the runtimes of this process: JAX's, and TensorFlow's in its two ways."""
    import tensorflow as tf

    manifest = Manifest.read(version_dir)
    programs = program.load_all(version_dir)
    loaded = tf.saved_model.load(str(version_dir))

    def run_program(signature: str, inputs: Arrays) -> Arrays:
        if signature not in programs:
            raise NotOffered("TensorFlow ops around another signature's program")
        try:
            return programs[signature].run(inputs)
        except program.ProgramError as error:
            raise Refused(str(error)) from None

    def run_signature(signature: str, inputs: Arrays) -> Arrays:
        tensors = {name: tf.constant(array) for name, array in inputs.items()}
        return _tried(tf, lambda: _arrays(loaded.signatures[signature](**tensors)))

    def run_call(signature: str, inputs: Arrays) -> Arrays:
        if signature != SERVING_DEFAULT:
            raise NotOffered(f"__call__ is {SERVING_DEFAULT}")
        entry = manifest.signatures[signature].program
        assert entry is not None
        names = entry.output_names
        (structure,), _ = loaded.__call__.concrete_functions[0].structured_input_signature
        tree = tf.nest.map_structure(lambda spec: tf.constant(inputs[spec.name]), structure)
        leaves = _tried(tf, lambda: tf.nest.flatten(loaded(tree)))
        return _arrays(dict(zip(names, leaves, strict=True)))

    return [
        Runtime("JAX program", run_program),
        Runtime("TensorFlow signature", run_signature),
        Runtime("TensorFlow __call__", run_call),
    ]


def served(version_dir: Path, address: str, model: str) -> Runtime:
    """Returns a server of the version as a runtime.

    Args:
        version_dir: The version; the server must have the one of the same number.
        address: `HOST:PORT`, REST or gRPC.
        model: The model's name in the server.

    Raises:
        UserError: nobody answers there, or the server has no such version.
    """
    manifest = Manifest.read(version_dir)
    try:
        server = servers.at(address)
    except ServingError as error:
        raise UserError(f"nobody answers at {error.message}; {_ASK}") from None
    try:
        available = [state.version for state in server.status(model) if state.available]
    except ServingError as error:
        raise UserError(f"{address}: {error.message}; {_ASK}") from None
    if manifest.version not in available:
        raise UserError(f"{address}: {model}/{manifest.version} is not AVAILABLE there; {_ASK}")

    def run(signature: str, inputs: Arrays) -> Arrays:
        wanted = manifest.signatures[signature].outputs
        try:
            return servers.predict(server, model, manifest.version, signature, inputs, wanted)
        except ServingError as error:
            raise Refused(error.message) from None

    return Runtime(f"server, {server.endpoint.api_name}", run)


def _arrays(tensors: Mapping[str, Any]) -> Arrays:
    return {name: np.asarray(tensor) for name, tensor in tensors.items()}


def _tried(tf: Any, run: Callable[[], Any]) -> Any:
    try:
        return run()
    except tf.errors.OpError as error:
        raise Refused(" ".join(str(error).split())[:200]) from None
