"""Image files to a signature that decodes them itself, and what it sees in them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from client.client import Client
from client.model_spec import ModelSpec
from client.signature import DEFAULT, ServedSignature
from wire import methods


@dataclass(frozen=True)
class Seen:
    """What a model sees in some files.

    Attributes:
        signature: The signature that was asked.
        version: The version that answered; None where the server doesn't say.
        outputs: Arrays by output name; leading axis the files.
    """

    files: Sequence[Path]
    signature: str
    version: int | None
    outputs: Mapping[str, np.ndarray]


def send(client: Client, spec: ModelSpec, signature: str, files: Sequence[Path]) -> Seen:
    """Sends the content of files in one request.

    Args:
        client: Connected to the server.
        spec: Which version of which model.
        signature: One with a string for its only input; in place of the default one, if that
            isn't such a signature, the model's only one that is.
        files: PNG or JPEG.

    Raises:
        ValueError: there is no such signature.
        OSError: a file can't be read.
        ServingError: a refusal. Unavailable: nobody answers.
    """
    contents = np.empty(len(files), object)
    contents[:] = [path.read_bytes() for path in files]
    model, version, label = spec.model, spec.version, spec.label
    known = client.metadata(model, version=version, label=label)
    name = _choose(known, str(spec), signature)
    answer = client.predict(model, contents, version=version, label=label, signature=name)
    return Seen(files, name, answer.version, answer.outputs)


def print_json(spec: ModelSpec, seen: Seen) -> None:
    """Prints one object, with the outputs of each file."""
    rows = [
        {"file": str(path)}
        | {name: _plain(array[row].tolist()) for name, array in seen.outputs.items()}
        for row, path in enumerate(seen.files)
    ]
    print(
        json.dumps(
            {
                "model": spec.model,
                "version": seen.version,
                "signature": seen.signature,
                "images": rows,
            }
        )
    )


def print_table(spec: ModelSpec, seen: Seen) -> None:
    """Prints a row a file: its classes with their scores, or the outputs as they are."""
    answered = spec if seen.version is None else ModelSpec(spec.model, seen.version)
    table = Table(title=f"{answered}, signature {seen.signature}", title_justify="left")
    table.add_column("file", overflow="fold")
    table.add_column("seen")
    classes, scores = seen.outputs.get("classes"), seen.outputs.get("scores")
    for row, path in enumerate(seen.files):
        if classes is not None and scores is not None:
            pairs = zip(_plain(classes[row].tolist()), scores[row].tolist(), strict=True)
            text = "  ".join(f"{name} {score:.2%}" for name, score in pairs)
        else:
            text = "  ".join(f"{name} {array[row]}" for name, array in seen.outputs.items())
        table.add_row(str(path), text)
    Console(highlight=False, markup=False).print(table)


def _choose(signatures: Mapping[str, ServedSignature], spec: str, wanted: str) -> str:
    taking = [
        name
        for name, entry in signatures.items()
        if entry.method_name == methods.PREDICT
        and [s.dtype for s in entry.inputs.values()] == ["string"]
    ]
    if wanted in taking:
        return wanted
    if wanted == DEFAULT and len(taking) == 1:
        return taking[0]
    there = f"choose one with --signature: {', '.join(taking)}" if taking else "it has none that do"
    raise ValueError(f"{spec}: signature {wanted} takes no image files; {there}")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value
