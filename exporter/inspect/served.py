"""A model server as the exporter asks it: once, and every trouble is a `client.ServingError`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from client import Client, ServingError, connect
from client.retry import Retry
from exporter.errors import UserError


def at(address: str) -> Client:
    """Returns a client of the server at `HOST:PORT`, which may speak REST or gRPC.

    Raises:
        UserError: it is no address.
        client.Unavailable: nobody answers there.
    """
    try:
        return connect(address, retry=Retry(tries=1))
    except ValueError as error:
        raise UserError(str(error)) from None


def predict(
    server: Client,
    model: str,
    version: int,
    signature: str,
    inputs: Mapping[str, np.ndarray],
    outputs: Collection[str],
) -> dict[str, np.ndarray]:
    """Runs a signature; returns arrays by output name.

    Raises:
        client.ServingError: the server refuses, the API can't carry the inputs (complex numbers
            in REST's JSON), or an output of those asked for isn't in the answer.
    """
    try:
        answer = server.predict(model, inputs, version=version, signature=signature)
    except ValueError as error:
        raise ServingError("INVALID_ARGUMENT", str(error)) from None
    missing = sorted(set(outputs) - answer.outputs.keys())
    if missing:
        raise ServingError("NOT_FOUND", f"the answer has no output {', '.join(missing)}")
    return answer.outputs
