"""Flags that the commands share: which server, and which version of which model."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from client.api import Api
    from client.client import Client

TOKEN_VARIABLE = "SERVING_TOKEN"
# By what --api says, and whether --grpc is given.
_APIS: dict[tuple[str, bool], Api] = {
    ("v1", False): "rest",
    ("v1", True): "grpc",
    ("v2", False): "v2",
    ("v2", True): "v2-grpc",
    ("v2-json", False): "v2-json",
    ("v2-json", True): "v2-grpc",
}


def add_server_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that `connect` and the commands read."""
    server = parser.add_argument_group("server")
    server.add_argument(
        "--host",
        default="localhost",
        help="name or address (%(default)s); or https://HOST[:PORT][/PREFIX]; or, with --grpc, "
        "dns:///HOST[:PORT] for calls to all of its addresses in turn",
    )
    server.add_argument("--port", type=int, help="8501 by default, 8500 with --grpc")
    server.add_argument(
        "--api",
        choices=["v1", "v2", "v2-json"],
        default="v1",
        help="v1: TensorFlow Serving's; v2: the Open Inference Protocol, which Triton, KServe and "
        "OpenVINO speak; v2-json: the same for servers without binary data, such as MLServer's "
        "(%(default)s)",
    )
    server.add_argument("--grpc", action="store_true", help="gRPC in place of REST")
    server.add_argument(
        "--timeout",
        type=seconds,
        default=10.0,
        help="seconds a call may take, its repeated tries included (%(default)g)",
    )
    server.add_argument("--tls", action="store_true", help="encrypt")
    server.add_argument("--ca_file", help="encrypt; PEM file of the authorities to trust")
    server.add_argument("--cert_file", help="PEM file of the client's certificate")
    server.add_argument("--key_file", help="PEM file of its key")
    server.add_argument(
        "--token_file",
        help=f"file with a bearer token to send; or the variable {TOKEN_VARIABLE} holds one",
    )
    server.add_argument(
        "--header",
        type=header,
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="header, or gRPC metadata, to send; may be repeated",
    )
    model = parser.add_argument_group("model")
    model.add_argument("--model", default="mnist_flax", help="name in the server (%(default)s)")
    chosen = model.add_mutually_exclusive_group()
    chosen.add_argument("--version", type=int, help="version; the latest by default")
    chosen.add_argument("--label", help="version label, such as stable")
    model.add_argument(
        "--signature", default="serving_default", help="name of the signature (%(default)s)"
    )


def connect(options: argparse.Namespace) -> Client:
    """Returns the client that the flags ask for.

    Raises:
        ValueError: an impossible combination of flags.
        OSError: a file that they name can't be read.
    """
    from client.client import Client

    return Client(
        options.host,
        options.port,
        _APIS[options.api, options.grpc],
        timeout=options.timeout,
        tls=options.tls,
        ca_file=options.ca_file,
        cert_file=options.cert_file,
        key_file=options.key_file,
        token=read_token(options.token_file),
        headers=dict(options.header),
    )


def read_token(file: str | None) -> str | None:
    """Returns the bearer token from a file or the environment; None where there is none."""
    if file is None:
        return os.environ.get(TOKEN_VARIABLE)
    with open(file, encoding="utf-8") as stream:
        return stream.read().strip()


def header(text: str) -> tuple[str, str]:
    """Parses `NAME: VALUE`."""
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME:VALUE")
    return name.strip(), value.strip()


def positive(text: str) -> int:
    """Parses a count of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def seconds(text: str) -> float:
    """Parses a number above 0, such as a time in seconds."""
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value
