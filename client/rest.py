"""TensorFlow Serving's REST API: one session, arrays in, arrays out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException, RemoteDisconnected
from typing import Any

import numpy as np
import requests
from requests.adapters import HTTPAdapter

from client import errors, json_tensors, signature
from client.endpoint import Endpoint
from client.results import Classification, Prediction, Regression, VersionStatus
from client.servable import Servable
from client.signature import ServedSignature

# This project's server names the version that answered; TensorFlow Serving doesn't.
VERSION_HEADER = "X-Model-Version"
# What a web server says that has no such page; a model server's answer has an `error` beside it.
_NO_SUCH_PAGE = (404, 405, 501)
# What reading JSON of another form raises.
_NOT_OURS = (AttributeError, KeyError, TypeError, ValueError)


def path(servable: Servable, verb: str = "") -> str:
    """Returns the path of a model, a version or a label, with a verb such as `:predict`."""
    base = f"/v1/models/{servable.model}"
    if servable.version is not None:
        base += f"/versions/{servable.version}"
    elif servable.label is not None:
        base += f"/labels/{servable.label}"
    return base + verb


def predict_body(
    inputs: Mapping[str, np.ndarray], signature_name: str, signature: ServedSignature | None
) -> bytes:
    """Returns the columnar JSON body of a predict call; a signature's only input has no name."""
    if signature is not None and len(inputs) == 1 and inputs.keys() == signature.inputs.keys():
        (array,) = inputs.values()
        return json_tensors.dumps(array, signature_name=signature_name)
    return json_tensors.dumps(inputs, signature_name=signature_name)


def read_outputs(answer: Any, signature: ServedSignature | None) -> dict[str, np.ndarray]:
    """Converts a predict call's parsed answer to arrays by output name.

    An answer with one output doesn't name it: the signature does.
    """
    specs = signature.outputs if signature else {}
    outputs = answer["outputs"]
    if isinstance(outputs, dict) and "b64" not in outputs:
        return {name: json_tensors.from_json(v, specs.get(name)) for name, v in outputs.items()}
    name = next(iter(specs)) if len(specs) == 1 else "output_0"
    return {name: json_tensors.from_json(outputs, specs.get(name))}


class Rest:
    """Calls over HTTP. Each method makes one try and takes its deadline in seconds."""

    def __init__(self, endpoint: Endpoint):
        self._endpoint = endpoint
        self._base = f"{'https' if endpoint.secure else 'http'}://{endpoint.address}"
        self._session = session = requests.Session()
        session.mount(self._base, HTTPAdapter(pool_maxsize=64))
        session.trust_env = not endpoint.is_loopback
        if endpoint.ca_file:
            session.verify = endpoint.ca_file
        if endpoint.cert_file and endpoint.key_file:
            session.cert = (endpoint.cert_file, endpoint.key_file)
        if endpoint.token:  # as `auth`, which a .netrc doesn't override
            session.auth = _Bearer(endpoint.token)

    def predict(
        self,
        servable: Servable,
        inputs: Mapping[str, np.ndarray],
        signature_name: str,
        signature_of: Callable[[int | None], ServedSignature | None],
        timeout: float,
    ) -> Prediction:
        """Sends a predict call.

        Args:
            servable: Whom to ask.
            inputs: Arrays by input name.
            signature_name: Name of the signature.
            signature_of: Gives the signature of the version that answered, as far as it is known;
                of the one asked for where the version is None.
            timeout: Seconds.
        """
        body = predict_body(inputs, signature_name, signature_of(None))
        answer, version = self._post(servable, ":predict", body, timeout)
        try:
            return Prediction(read_outputs(answer, signature_of(version)), version)
        except (KeyError, TypeError, ValueError) as error:
            raise errors.ServingError("INTERNAL", f"can't read the answer: {error}") from None

    def classify(
        self,
        servable: Servable,
        examples: Sequence[dict[str, Any]],
        context: dict[str, Any] | None,
        signature_name: str | None,
        timeout: float,
    ) -> Classification:
        """Sends a classify call."""
        body = _examples_body(examples, context, signature_name)
        answer, version = self._post(servable, ":classify", body, timeout)
        results = [[(str(label), float(score)) for label, score in r] for r in answer["results"]]
        return Classification(results, version)

    def regress(
        self,
        servable: Servable,
        examples: Sequence[dict[str, Any]],
        context: dict[str, Any] | None,
        signature_name: str | None,
        timeout: float,
    ) -> Regression:
        """Sends a regress call."""
        body = _examples_body(examples, context, signature_name)
        answer, version = self._post(servable, ":regress", body, timeout)
        return Regression(np.array(answer["results"], np.float32), version)

    def status(self, servable: Servable, timeout: float) -> list[VersionStatus]:
        """Asks for the states of a model's versions, newest first."""
        answer, _ = self._call("GET", path(servable), None, timeout)
        try:
            return [
                VersionStatus(
                    int(entry["version"]),
                    entry["state"],
                    entry.get("status", {}).get("error_message", ""),
                )
                for entry in answer["model_version_status"]
            ]
        except _NOT_OURS:
            raise self._other_api("no states of versions") from None

    def metadata(self, servable: Servable, timeout: float) -> dict[str, ServedSignature]:
        """Asks for a model's signatures by name."""
        answer, _ = self._call("GET", path(servable, "/metadata"), None, timeout)
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            return {name: signature.from_json(value) for name, value in signatures.items()}
        except _NOT_OURS:
            raise self._other_api("no signatures") from None

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    def _post(
        self, servable: Servable, verb: str, body: bytes, timeout: float
    ) -> tuple[Any, int | None]:
        answer, header = self._call("POST", path(servable, verb), body, timeout)
        return answer, int(header) if header else servable.version

    def _call(
        self, method: str, path: str, body: bytes | None, timeout: float
    ) -> tuple[Any, str | None]:
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            response = self._session.request(
                method,
                self._base + path,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            )
        except requests.ReadTimeout:
            message = f"no answer from {self._endpoint} within {timeout:.3g} s"
            raise errors.ServingError("DEADLINE_EXCEEDED", message) from None
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise errors.Unavailable(f"{self._endpoint}: {_reason(error)}") from None
        except requests.RequestException as error:
            raise errors.ServingError("INTERNAL", f"{self._endpoint}: {error}") from None
        try:
            answer = json.loads(response.content)
        except ValueError:
            answer = None
        if response.status_code != 200:
            text = answer.get("error") if isinstance(answer, dict) else None
            if text is None and response.status_code in _NO_SUCH_PAGE:
                raise self._other_api(f"HTTP {response.status_code} without an error in JSON")
            text = text or response.text[:200].strip() or response.reason
            raise errors.error(errors.http_code(response.status_code), str(text))
        if not isinstance(answer, dict):
            raise self._other_api("no JSON object")
        return answer, response.headers.get(VERSION_HEADER)

    def _other_api(self, seen: str) -> errors.ServingError:
        """The error with the code that a gRPC server of other services answers with."""
        message = f"{self._endpoint} doesn't answer as TensorFlow Serving's REST API does ({seen})"
        return errors.ServingError("UNIMPLEMENTED", message)


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str):
        self._header = f"Bearer {token}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


def _examples_body(
    examples: Sequence[dict[str, Any]], context: dict[str, Any] | None, signature_name: str | None
) -> bytes:
    body: dict[str, Any] = {"examples": [json_tensors.example_to_json(e) for e in examples]}
    if context:
        body["context"] = json_tensors.example_to_json(context)
    if signature_name:
        body["signature_name"] = signature_name
    return json.dumps(body).encode()


def _reason(error: BaseException) -> str:
    """Returns the innermost cause, which is the one that a user can act on."""
    cause: BaseException = error
    while True:
        inner = cause.__cause__ or cause.__context__ or getattr(cause, "reason", None)
        if not isinstance(inner, BaseException):
            break
        cause = inner
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if isinstance(cause, HTTPException) and not isinstance(cause, RemoteDisconnected):
        return "what answers there doesn't speak HTTP; is it the gRPC port?"
    return str(cause) or type(cause).__name__
