"""Whether a server has a version and answers with it as JAX did."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from artifact import golden, versions
from artifact.comparison import difference
from artifact.manifest import Manifest, Tensor
from exporter.inspect.doctor.finding import Finding, fine, wrong
from exporter.inspect.doctor.symptoms import diagnose, shortened
from exporter.inspect.remote import Refusal, Server, Unreachable, VersionState, connect

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
    """
    start = _START.format(name=model, path=version_dir.parent.absolute())
    try:
        server = connect(address)
        states = server.states(model)
    except Unreachable as error:
        yield wrong("port", f"nobody answers at {address} ({shortened(str(error))})", start)
        return
    except Refusal as error:
        yield fine("port", f"a model server answers at {address}")
        yield _unknown_model(version_dir, model, str(error))
        return
    yield fine("port", f"a model server answers at {address}, by {server.api}")
    number = versions.parse(version_dir.name)
    state = next((s for s in states if s.version == number), None)
    if state is None:
        yield _not_served(version_dir, model, states)
    elif state.state != "AVAILABLE":
        yield _not_available(model, state)
    else:
        yield fine("version", f"{model}/{state.version} is AVAILABLE")
        yield from _answers(version_dir, server, model, state.version)


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


def _not_served(version_dir: Path, model: str, states: list[VersionState]) -> Finding:
    seen = ", ".join(f"{s.version} {s.state}" for s in states) or "none"
    return wrong(
        "version",
        f"the server doesn't serve {model}/{version_dir.name} (it has: {seen})",
        f"check that its --model_base_path is {version_dir.parent.absolute()} and its "
        "model_version_policy wants this version: by default it is the highest one alone",
    )


def _not_available(model: str, state: VersionState) -> Finding:
    label = f"{model}/{state.version} is {state.state}"
    if not state.error:
        fix = "wait, and look again; its log says how far it is"
        return wrong("version", f"{label} in the server", fix)
    fix = "read the server's log, and run this command without --server"
    unknown = wrong("version", f"{label}: {shortened(state.error)}", fix)
    return diagnose(state.error, unknown, while_loading=True)


def _answers(version_dir: Path, server: Server, model: str, number: int) -> Iterator[Finding]:
    manifest = Manifest.read(version_dir)
    label = f"{model}/{number}"
    try:
        served = server.tensors(model, number)
    except (Refusal, Unreachable) as error:
        text = f"{label}: its signatures can't be read ({shortened(str(error))})"
        yield wrong("signatures", text, "ask again by gRPC")
        return
    for name, entry in manifest.signatures.items():
        if name not in served:
            yield wrong(
                "signatures", f"{label} has no signature {name} in the server", _other_copy(label)
            )
            return
        pairs = ((entry.inputs, served[name].inputs), (entry.outputs, served[name].outputs))
        for ours, theirs in pairs:
            other = next((k for k, v in ours.items() if not _fits(v, theirs.get(k))), None)
            if other is not None:
                yield _other_tensor(label, name, other, ours[other], theirs.get(other))
                return
    yield fine("signatures", f"{', '.join(manifest.signatures)}: names, dtypes and shapes agree")
    largest = 0.0
    for (signature, case), found in golden.read(version_dir).items():
        outputs = {k: v.dtype for k, v in manifest.signatures[signature].outputs.items()}
        try:
            answers = server.predict(model, number, signature, found.inputs, outputs)
        except (Refusal, Unreachable) as error:
            if case == golden.EXAMPLES:
                continue  # many at once, which a server may refuse; the others say enough
            text = f"{label}: {signature} can't be run: {shortened(str(error))}"
            yield diagnose(str(error), wrong("answers", text, "read the server's log"))
            return
        for name, expected in found.outputs.items():
            apart, agrees = difference(answers[name], expected, manifest.tolerance)
            largest = max(largest, apart)
            if not agrees:
                text = f"{label}: {signature}, {case}: {name} differs from JAX by {apart:.1e}"
                yield wrong("answers", text, _other_copy(label))
                return
    yield fine("answers", f"as JAX's golden examples (max |difference| {largest:.1e})")


def _fits(ours: Tensor, theirs: Tensor | None) -> bool:
    return (
        theirs is not None and ours.dtype == theirs.dtype and len(ours.shape) == len(theirs.shape)
    )


def _other_tensor(
    label: str, signature: str, name: str, ours: Tensor, theirs: Tensor | None
) -> Finding:
    if theirs is None:
        text = f"{label}: signature {signature} has no {name} in the server"
        return wrong("signatures", text, _other_copy(label))
    check = "dtype" if ours.dtype != theirs.dtype else "signatures"
    return wrong(
        check,
        f"{label}: {signature}'s {name} is {theirs.dtype} {_sizes(theirs)} in the server, "
        f"{ours.dtype} {_sizes(ours)} in this directory",
        _other_copy(label),
    )


def _sizes(tensor: Tensor) -> str:
    return "[" + ", ".join("?" if n is None else str(n) for n in tensor.shape) + "]"


def _other_copy(label: str) -> str:
    return (
        f"the server loaded another {label} than this directory holds: point its "
        "--model_base_path here, and publish changes as a new version, not over an old one"
    )
