"""Writing a network that holds an exported model as a SavedModel to serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from artifact.golden import EXAMPLES, GoldenCase
from artifact.manifest import Tolerance
from exporter.errors import CheckFailed
from exporter.storage.staging import place, readable_errors, staged_directory
from exporter.verify import edges
from exporter.verify.compare import compare
from exporter.verify.inputs import random_like

_INPUT, _OUTPUT = "inputs", "output_0"
_TOLERANCE = Tolerance()


def save(network: Any, directory: Path, images: np.ndarray) -> None:
    """Writes a network as a SavedModel of one signature, checked to answer as the network does.

    Args:
        network: Of either Keras.
        directory: Where to; it appears whole and checked, or not at all.
        images: float32, a batch that the network takes.

    Raises:
        UserError: it can't be written there.
        CheckFailed: reloaded, it answers otherwise.
    """

    @tf.function(autograph=False)
    def serve(inputs: Any) -> dict[str, Any]:
        return {_OUTPUT: network(inputs, training=False)}

    spec = tf.TensorSpec((None, *images.shape[1:]), tf.float32, name=_INPUT)
    module = tf.Module()
    # The variables themselves, not the network: a Keras 3 variable is saved beside the one of
    # TensorFlow's inside it, and TensorFlow Serving's loader restores only one of the two.
    module.parameters = [v.value if isinstance(v, keras.Variable) else v for v in network.variables]
    module.serve = serve
    signatures = {"serving_default": serve.get_concrete_function(spec)}
    with readable_errors(directory, "--save_network"), staged_directory(directory.parent) as staged:
        tf.saved_model.save(module, str(staged), signatures)
        _check(network, staged, directory, images)
        place(staged, directory)


def _check(network: Any, staged: Path, directory: Path, images: np.ndarray) -> None:
    """Compares what was written with the network, at real, random and edge inputs."""
    reloaded = tf.saved_model.load(str(staged)).signatures["serving_default"]
    for name, inputs in _inputs(images).items():
        answers = reloaded(**{_INPUT: tf.constant(inputs)})
        actual = {key: np.asarray(value) for key, value in answers.items()}
        case = GoldenCase({_INPUT: inputs}, {_OUTPUT: np.asarray(network(inputs, training=False))})
        for found in compare(actual, case, lambda _: _TOLERANCE):
            if found.problem:
                raise CheckFailed(
                    f"{directory}: reloaded, the network's {found.output} "
                    f"{found.problem.replace('JAX', 'its own')} at {edges.kind_of(name)} inputs; "
                    "nothing was written"
                )


def _inputs(images: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)

    def drawn(number: int) -> dict[str, np.ndarray]:
        return dict(random_like({_INPUT: images}, rng))

    # TensorFlow fuses operations when it saves, and fused kernels promise nothing of NaN.
    kinds = (edges.EDGES,)
    found = edges.edge_cases(drawn, [_INPUT], size=len(images), longest=1, seed=0, kinds=kinds)
    ends = {case.name: case.inputs[_INPUT] for case in found}
    return {EXAMPLES: images, "batch_0": drawn(0)[_INPUT], **ends}
