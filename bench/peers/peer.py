"""What the bench knows of a server from the package index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# What a protocol's row is called, and the kind of port that it is asked at.
PROTOCOLS: Mapping[str, str] = {
    "grpc": "grpc",  # TensorFlow Serving's PredictionService
    "rest": "http",  # TensorFlow Serving's JSON, rows nested in "instances"
    "v2-grpc": "grpc",  # Open Inference, raw_input_contents
    "v2-binary": "http",  # Open Inference with its binary extension
    "v2-json": "http",  # Open Inference, flat JSON
    "raw": "http",  # a body that is the tensor's bytes and nothing else
}
# A raw request's header with its batch size, and its type. The answer's body is the first output's
# bytes.
RAW_ROWS, RAW_TYPE = "X-Rows", "application/octet-stream"

# A server's command line, from the model's name, the bundle's folder (`bundle.write`), the ports by
# kind (`"http"`, `"grpc"`) and the interpreter of the peer's environment.
Command = Callable[[str, Path, Mapping[str, int], Path], list[str]]


@dataclass(frozen=True)
class Peer:
    """A server that a user might take instead.

    Attributes:
        name: Of its module and its environment.
        title: In tables.
        packages: What is installed; pins are in `constraints-peers.txt`.
        protocols: Which of `PROTOCOLS` it answers, and is compared on.
        command: How it is started, from the root of the checkout.
        ready: The path that answers 200 as soon as the model does.
        raw_path: Where raw requests go; `{model}` is the model's name.
        variables: The environment variables that its documentation advises.
        sources: The pages and source files that the configuration follows.
        notes: What is chosen, and why.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    protocols: tuple[str, ...]
    command: Command
    ready: str
    sources: tuple[str, ...]
    notes: str
    raw_path: str = ""
    variables: Mapping[str, str] | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of ports that it opens, `"http"` always, as it says there when it is ready."""
        return tuple(dict.fromkeys(("http", *(PROTOCOLS[p] for p in self.protocols))))
