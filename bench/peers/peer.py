"""What the bench knows of a server from the package index."""

from __future__ import annotations

from collections.abc import Mapping
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

_CONSTRAINTS = Path(__file__).parent / "constraints"
_PROGRAM = ("flatbuffers", "jax", "numpy")  # for `bundle`


@dataclass(frozen=True)
class Peer:
    """A server that a user might take instead.

    Attributes:
        name: Of its module `bench.peers.<name>_server`, its environment and its constraints.
        title: In tables.
        needs: The packages that it is made of.
        protocols: Which of `PROTOCOLS` it answers, and is compared on.
        ready: The path that answers 200 as soon as the model does; `{model}` is the model's name.
        sources: The documentation and the source files that the configuration follows.
        notes: What is chosen, and why.
        raw_path: Where raw requests go.
        variables: Environment variables to start it with.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    protocols: tuple[str, ...]
    ready: str
    sources: tuple[str, ...]
    notes: str
    raw_path: str = ""
    variables: Mapping[str, str] | None = None

    @property
    def packages(self) -> tuple[str, ...]:
        """What is installed into its environment: itself, and what runs the program."""
        return (*self.needs, *_PROGRAM)

    @property
    def constraints(self) -> Path:
        """The versions of all packages of its environment."""
        return _CONSTRAINTS / f"{self.name}.txt"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of ports that it opens, `"http"` always, as it says there when it is ready."""
        return tuple(dict.fromkeys(("http", *(PROTOCOLS[p] for p in self.protocols))))

    def command(
        self, model: str, folder: Path, ports: Mapping[str, int], python: Path
    ) -> list[str]:
        """Returns how it is started, from the root of the checkout.

        Args:
            model: The name that it serves the model by.
            folder: The bundle, see `bundle.write`.
            ports: By kind.
            python: The interpreter of its environment.
        """
        chosen = (f"{kind}={ports[kind]}" for kind in self.kinds)
        return [str(python), "-m", f"bench.peers.{self.name}_server", model, str(folder), *chosen]
