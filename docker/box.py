"""Print where the stack is reached from the host, in a box: what the client's container ends with.

It runs in the stack's network and finds out by name which servers are there; the addresses on the
host come as the variables of compose.yaml.
"""

import os
import socket
from collections.abc import Callable, Mapping

# By the name in the stack's network, the most special first: all of them answer to model-server.
SERVERS = {
    "model-server-embedded": "embedded: this project's server",
    "model-server-gpu": "gpu: tensorflow/serving, on a GPU",
    "model-server": "official: tensorflow/serving",
}
# What comes on top: name in the network, what it is, its port's variable and that port's default.
ON_TOP = (
    ("edge", "edge", "EDGE_PORT", 8443),
    ("web", "page", "WEB_PORT", 8080),
    ("prometheus", "Prometheus", "PROMETHEUS_PORT", 9090),
    ("grafana", "Grafana", "GRAFANA_PORT", 3000),
)


def rows(variables: Mapping[str, str], is_there: Callable[[str], bool]) -> list[tuple[str, str]]:
    """Returns what the box says, as names and values.

    Args:
        variables: Of compose.yaml.
        is_there: Whether a name is known in the stack's network.
    """
    model = variables.get("MODEL", "mnist_flax")
    host = variables.get("BIND_ADDRESS", "127.0.0.1")
    host = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::") else host

    def address(variable: str, default: int) -> str:
        return f"{host}:{variables.get(variable) or default}"

    server = next((text for name, text in SERVERS.items() if is_there(name)), "none")
    found = [
        ("model", f"{model}, answers compared with JAX's"),
        ("server", server),
        ("REST", f"http://{address('REST_PORT', 8501)}/v1/models/{model}"),
        ("gRPC", address("GRPC_PORT", 8500)),
    ]
    found += [
        (text, f"http://{address(variable, default)}")
        for name, text, variable, default in ON_TOP
        if is_there(name)
    ]
    found += [
        ("check", "docker compose run --rm --no-deps client"),
        ("stop", "docker compose --profile '*' down"),
    ]
    return found


def box(lines: list[tuple[str, str]]) -> str:
    """Returns names and values with a frame around them."""
    indent = max(len(name) for name, _ in lines)
    texts = [f"{name:<{indent}}  {value}" for name, value in lines]
    width = max(map(len, texts))
    middle = [f"│ {text:<{width}} │" for text in texts]
    return "\n".join([f"┌{'─' * (width + 2)}┐", *middle, f"└{'─' * (width + 2)}┘"])


def _resolves(name: str) -> bool:
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    print(box(rows(os.environ, _resolves)))
