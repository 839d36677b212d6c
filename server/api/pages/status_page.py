"""The page at `/`: models, versions, states, latencies, and a form to try them."""

from __future__ import annotations

import html
import importlib.resources
import json
import secrets
import string
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from server.engines import signatures
from server.engines.signatures import ModelSignature, TensorInfo
from server.models.model import ServedModel
from server.models.servable import Servable
from server.protocol.http1.messages import Response
from wire import dtypes, methods

_WIDTH, _HEIGHT, _MARGIN = 720, 160, 60  # of the plot
_INTERNAL = "__"  # signatures that begin so are TensorFlow's own
_MAX_EXAMPLE_VALUES = 4096


def render(models: Sequence[ServedModel], recent: Iterable[tuple[float, float]]) -> Response:
    """Renders the page.

    Args:
        models: The repository's models.
        recent: Time of the end (s) and duration (s) of the last requests.
    """
    template = string.Template(
        importlib.resources.files("server.api.pages").joinpath("status.html").read_text()
    )
    nonce = secrets.token_urlsafe(16)
    page = template.substitute(
        nonce=nonce,
        models="\n".join(_model_rows(models)) or "<tr><td colspan=6>none</td></tr>",
        plot=_plot(list(recent)),
        options="\n".join(_options(models)),
    )
    policy = (
        "default-src 'none'; connect-src 'self'; "
        f"style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'"
    )
    return Response(
        page.encode(errors="replace"),
        content_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"},
    )


def _model_rows(models: Sequence[ServedModel]) -> Iterable[str]:
    for model in models:
        labels = {number: label for label, number in model.config.labels.items()}
        for number in sorted(model.versions, reverse=True):
            version = model.versions[number]
            servable = version.servable
            cells = (
                model.config.name,
                f"{number} {labels.get(number, '')}",
                version.state.name,
                servable.engine.name if servable else "",
                ", ".join(_names(servable)) if servable else "",
                version.error.message if version.error else "",
            )
            row = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
            yield f'<tr class="{version.state.name.lower()}">{row}</tr>'
        if not model.versions:
            name, path = html.escape(model.config.name), html.escape(str(model.config.base_path))
            yield f"<tr><td>{name}</td><td colspan=5>no version in {path}</td></tr>"


def _names(servable: Servable) -> list[str]:
    return sorted(name for name in servable.signatures if not name.startswith(_INTERNAL))


def _plot(recent: Sequence[tuple[float, float]]) -> str:
    """Draws the latencies over time on a logarithmic scale, with median and 99th percentile."""
    if not recent:
        return "<p>No request yet.</p>"
    times, seconds = np.array(recent).T
    milliseconds = np.maximum(seconds * 1e3, 1e-3)
    low = np.floor(np.log10(milliseconds.min()))
    high = max(np.ceil(np.log10(milliseconds.max())), low + 1)
    span = max(times[-1] - times[0], 1e-9)
    x = _MARGIN + (times - times[0]) / span * (_WIDTH - _MARGIN - 5)
    y = _HEIGHT * (high - np.log10(milliseconds)) / (high - low)
    marks = []
    for decade in np.arange(low, high + 1):
        height = _HEIGHT * (high - decade) / (high - low)
        marks.append(f'<line x1="{_MARGIN}" x2="{_WIDTH}" y1="{height:.1f}" y2="{height:.1f}"/>')
        text = min(max(height + 4, 11), _HEIGHT - 2)
        marks.append(f'<text x="{_MARGIN - 6}" y="{text:.1f}">{10**decade:g} ms</text>')
    dots = [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2"/>' for a, b in zip(x, y, strict=True)]
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="latency over time">'
        f"{''.join(marks)}{''.join(dots)}</svg>"
        f"<p>last {len(recent)} requests in {span:.0f} s: {milliseconds.min():.2f} to "
        f"{milliseconds.max():.2f} ms, median {p50:.2f} ms, 99th percentile {p99:.2f} ms</p>"
    )


def _options(models: Sequence[ServedModel]) -> Iterable[str]:
    for model in models:
        if model.latest is None:
            continue
        for name, signature in sorted(model.latest.signatures.items()):
            if not signature.inputs:
                continue
            verb = {methods.CLASSIFY: "classify", methods.REGRESS: "regress"}.get(
                signature.method_name, "predict"
            )
            body = json.dumps(_example(signature, verb))
            label = html.escape(f"{model.config.name} · {name} · {verb}")
            yield (
                f'<option data-path="{html.escape(f"/v1/models/{model.config.name}:{verb}")}" '
                f'data-body="{html.escape(body)}">{label}</option>'
            )


def _example(signature: ModelSignature, verb: str) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if signature.name != signatures.DEFAULT:
        body["signature_name"] = signature.name
    if verb != "predict":
        return body | {"examples": [{"x": 1.0}]}
    inputs = {name: _value(tensor) for name, tensor in signature.inputs.items()}
    return body | {"inputs": inputs if len(inputs) > 1 else next(iter(inputs.values()))}


def _value(tensor: TensorInfo) -> Any:
    shape = [max(size, 1) for size in tensor.shape or (1,)]
    if np.prod(shape, dtype=float) > _MAX_EXAMPLE_VALUES:
        return []
    try:
        name = dtypes.name(tensor.dtype)
    except ValueError:
        return []
    value: Any = "text" if name == "string" else 1 if "int" in name else name == "bool" or 1.0
    return np.full(shape, value).tolist()
