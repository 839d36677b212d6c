"""What the protocol tells of the server and of models, for both faces."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from server.api.v2.inputs import SIGNATURE_PARAMETER, datatype_of, version_or_label
from server.engines import signatures
from server.engines.signatures import TensorInfo
from server.errors import Code, ServingError
from server.inference.core import Core, ModelSpec

_NAME = "jax-serving-stack"
_EXTENSIONS = ("binary_tensor_data", "model_repository")
_SAVED_MODEL = "tensorflow_savedmodel"
_PLATFORMS = {"tflite": "tensorflow_tflite"}  # by engine; the protocol has no name for this one
_INTERNAL = "__"  # signatures that begin so are TensorFlow's own
_UNKNOWN_RANK = (-1,)  # the protocol can't say it


@functools.cache
def server() -> Mapping[str, Any]:
    """Returns the server's name, version and extensions."""
    try:
        version = importlib.metadata.version(_NAME)
    except importlib.metadata.PackageNotFoundError:
        version = "unknown"
    return {"name": _NAME, "version": version, "extensions": _EXTENSIONS}


def model(core: Core, name: str, version: str) -> Mapping[str, Any]:
    """Returns what is told of a model: the inputs and outputs of its default signature.

    `properties`, which the specification leaves to servers, names the version and the signature
    that is told of, and all signatures that the parameter `signature_name` may ask for.

    Raises:
        ServingError: the model or version isn't served.
    """
    number, label = version_or_label(version)
    servable = core.servable(ModelSpec(name, number, label))
    names = sorted(n for n in servable.signatures if not n.startswith(_INTERNAL))
    chosen = signatures.DEFAULT if signatures.DEFAULT in names else next(iter(names), "")
    told = servable.signatures.get(chosen)
    return {
        "name": servable.name,
        "versions": [str(n) for n in core.repository.models[name].available],
        "platform": _PLATFORMS.get(servable.engine.name, _SAVED_MODEL),
        "inputs": _tensors(told.inputs) if told else [],
        "outputs": _tensors(told.outputs) if told else [],
        "properties": {
            "version": str(servable.version),
            SIGNATURE_PARAMETER: chosen,
            "signatures": ",".join(names),
        },
    }


def is_model_ready(core: Core, name: str, version: str) -> bool | None:
    """Returns whether a model, or a version, answers requests; None where it is unknown."""
    number, label = version_or_label(version)
    try:
        core.servable(ModelSpec(name, number, label))
    except ServingError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        found = core.repository.models.get(name)
        is_known = found is not None and (number is None or number in found.versions)
        return False if is_known else None
    return True


async def is_server_ready(core: Core) -> bool:
    """Returns whether all workers are ready: a connection may reach any of them."""
    return all(report is not None and report.is_ready for report in await core.reports())


def _tensors(tensors: Mapping[str, TensorInfo]) -> list[Mapping[str, Any]]:
    return [
        {
            "name": name,
            "datatype": datatype_of(tensor),
            "shape": list(_UNKNOWN_RANK if tensor.shape is None else tensor.shape),
        }
        for name, tensor in tensors.items()
    ]
