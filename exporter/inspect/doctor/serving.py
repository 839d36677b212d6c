"""Whether a server has a version and answers with it as JAX did."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from artifact import golden, versions
from artifact.comparison import difference
from artifact.manifest import Manifest, Tensor
from client import ArraySpec, Client, ServingError, VersionStatus
from exporter.inspect import served
from exporter.inspect.doctor.finding import Finding, fine, wrong
from exporter.inspect.doctor.symptoms import diagnose, shortened

_START = (
    "start a server there, such as python -m server --model_name={name} --model_base_path={path}, "
    "or give its address: --server HOST:PORT (REST is 8501 and gRPC 8500 by default)"
)


def examine(version_dir: Path, model: str, address: str) -> Iterator[Finding]:
    """Asks a server for a version; ends with the first thing that is wrong.

    Args:
        version_dir: The version that should be served.
        model: The model's name in the server.
        address: `HOST:PORT`, REST or gRPC.

    Raises:
        UserError: `address` is none.
    """
    try:
        server = served.at(address)
    except ServingError as error:
        yield _nobody(version_dir, model, f"nobody answers at {error.message}")
        return
    with server:
        try:
            states = server.status(model)
        except ServingError as error:
            yield from _no_states(version_dir, model, address, error)
            return
        yield fine("port", f"a model server answers at {address}, by {server.endpoint.api_name}")
        number = versions.parse(version_dir.name)
        state = next((s for s in states if s.version == number), None)
        if state is None:
            yield _not_served(version_dir, model, states)
        elif not state.available:
            yield _not_available(model, state)
        else:
            yield fine("version", f"{model}/{state.version} is AVAILABLE")
            yield from _answers(version_dir, server, model, state.version)


def _nobody(version_dir: Path, model: str, text: str) -> Finding:
    start = _START.format(name=model, path=version_dir.parent.absolute())
    return wrong("port", shortened(text), start)


def _no_states(
    version_dir: Path, model: str, address: str, error: ServingError
) -> Iterator[Finding]:
    if error.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        yield _nobody(version_dir, model, f"nobody answers at {address} ({error.message})")
    elif error.code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        text = f"the server at {address} doesn't answer everyone: {shortened(error.message)}"
        yield wrong("port", text, "ask a server of the same versions that wants no token")
    elif error.code == "NOT_FOUND":
        yield fine("port", f"a model server answers at {address}")
        yield _unknown_model(version_dir, model, error.message)
    else:
        yield _nobody(version_dir, model, f"no model server answers at {address} ({error.message})")


def _unknown_model(version_dir: Path, model: str, error: str) -> Finding:
    there = sorted(path.name for path in version_dir.parent.parent.iterdir() if path.is_dir())
    near = [name for name in difflib.get_close_matches(model, there) if name != model]
    hint = f" ({', '.join(near)} is beside it)" if near else ""
    return wrong(
        "model name",
        f"the server has no model {model!r}, or no whole version of it{hint}: {shortened(error)}",
        f"start it with --model_name={model} --model_base_path={version_dir.parent.absolute()}, "
        "or say what it is called there: --model NAME; if all of that is right, copy the whole "
        "directory again: what is half copied isn't served",
    )


def _not_served(version_dir: Path, model: str, states: list[VersionStatus]) -> Finding:
    seen = ", ".join(f"{s.version} {s.state}" for s in states) or "none"
    return wrong(
        "version",
        f"the server doesn't serve {model}/{version_dir.name} (it has: {seen})",
        f"check that its --model_base_path is {version_dir.parent.absolute()} and its "
        "model_version_policy wants this version: by default it is the highest one alone",
    )


def _not_available(model: str, state: VersionStatus) -> Finding:
    label = f"{model}/{state.version} is {state.state}"
    if not state.error:
        fix = "wait, and look again; its log says how far it is"
        return wrong("version", f"{label} in the server", fix)
    fix = "read the server's log, and run this command without --server"
    unknown = wrong("version", f"{label}: {shortened(state.error)}", fix)
    return diagnose(state.error, unknown, while_loading=True)


def _answers(version_dir: Path, server: Client, model: str, number: int) -> Iterator[Finding]:
    manifest = Manifest.read(version_dir)
    label = f"{model}/{number}"
    try:
        found = server.metadata(model, version=number)
    except ServingError as error:
        text = f"{label}: its signatures can't be read ({shortened(error.message)})"
        yield wrong("signatures", text, "ask again by gRPC")
        return
    for name, entry in manifest.signatures.items():
        if name not in found:
            yield wrong(
                "signatures", f"{label} has no signature {name} in the server", _other_copy(label)
            )
            return
        pairs = ((entry.inputs, found[name].inputs), (entry.outputs, found[name].outputs))
        for ours, theirs in pairs:
            other = next((k for k, v in ours.items() if not _fits(v, theirs.get(k))), None)
            if other is not None:
                yield _other_tensor(label, name, other, ours[other], theirs.get(other))
                return
    yield fine("signatures", f"{', '.join(manifest.signatures)}: names, dtypes and shapes agree")
    largest = 0.0
    for (signature, name), case in golden.read(version_dir).items():
        try:
            answers = served.predict(server, model, number, signature, case.inputs, case.outputs)
        except ServingError as error:
            if name == golden.EXAMPLES:
                continue  # many at once, which a server may refuse; the others say enough
            text = f"{label}: {signature} can't be run: {shortened(error.message)}"
            yield diagnose(error.message, wrong("answers", text, "read the server's log"))
            return
        for output, expected in case.outputs.items():
            apart, agrees = difference(
                answers[output], expected, manifest.tolerance_of(signature, output)
            )
            largest = max(largest, apart)
            if not agrees:
                text = f"{label}: {signature}, {name}: {output} differs from JAX by {apart:.1e}"
                yield wrong("answers", text, _other_copy(label))
                return
    yield fine("answers", f"as JAX's golden examples (max |difference| {largest:.1e})")


def _fits(ours: Tensor, theirs: ArraySpec | None) -> bool:
    if theirs is None or theirs.shape is None:
        return False
    return ours.dtype == theirs.dtype and len(ours.shape) == len(theirs.shape)


def _other_tensor(
    label: str, signature: str, name: str, ours: Tensor, theirs: ArraySpec | None
) -> Finding:
    if theirs is None:
        text = f"{label}: signature {signature} has no {name} in the server"
        return wrong("signatures", text, _other_copy(label))
    check = "dtype" if ours.dtype != theirs.dtype else "signatures"
    return wrong(
        check,
        f"{label}: {signature}'s {name} is {theirs.dtype} {_sizes(theirs.shape)} in the server, "
        f"{ours.dtype} {_sizes(ours.shape)} in this directory",
        _other_copy(label),
    )


def _sizes(shape: Sequence[int | None] | None) -> str:
    if shape is None:
        return "of any shape"
    return "[" + ", ".join("?" if n is None or n < 0 else str(n) for n in shape) + "]"


def _other_copy(label: str) -> str:
    return (
        f"the server loaded another {label} than this directory holds: point its "
        "--model_base_path here, and publish changes as a new version, not over an old one"
    )
