"""Run the container stack through Docker's SDK: up, status, logs, down.

It is the stack of compose.yaml without its client: the exporter trains, checks and publishes into
a volume, then a model server serves it. `docker compose` sees the same containers.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING

from exporter.commands.flags import FlagParser

if TYPE_CHECKING:
    from exporter.stack import ContainerStatus, Stack

EXAMPLES = """\
examples:
  python -m exporter stack up                         # the tensorflow/serving image
  python -m exporter stack up --server embedded       # this project's server; nothing is pulled
  python -m exporter stack status --json
  python -m exporter stack logs model-server
  python -m exporter stack down --volumes             # the published models go too
"""


def add_arguments(parser: FlagParser) -> None:
    """Declares the flags."""
    add = parser.add_argument
    add("action", choices=("up", "status", "logs", "down"), help="what to do")
    add("service", nargs="?", help="logs: of this service alone")
    add("--project", default="jax-serving-stack", help="name of the stack (default: %(default)s)")
    add(
        "--server",
        choices=("official", "embedded"),
        default="official",
        help="up: the tensorflow/serving image, or this project's (default: %(default)s)",
    )
    add("--model", default="mnist_flax", help="up: what to train (default: %(default)s)")
    add("--model_version", default="auto", metavar="N|auto", help="up: (default: %(default)s)")
    add("--num_epochs", type=int, default=3, help="up: (default: %(default)s)")
    add("--bind_address", default="127.0.0.1", help="up: of both ports (default: %(default)s)")
    add("--port", type=int, default=8500, help="up: of the gRPC API (default: %(default)s)")
    add("--rest_api_port", type=int, default=8501, help="up: of the REST API (%(default)s)")
    add("--tail", type=int, default=100, help="logs: lines a container (default: %(default)s)")
    parser.add_boolean("volumes", default=False, help="down: remove the published models too")
    parser.add_boolean("json", default=False, help="status: print one JSON array")


def run(args: argparse.Namespace) -> int:
    """Does one action; returns the exit code."""
    from exporter.stack import Stack, StackOptions, connect

    options = StackOptions(
        project=args.project,
        server=args.server,
        model=args.model,
        model_version=args.model_version,
        num_epochs=args.num_epochs,
        bind_address=args.bind_address,
        grpc_port=args.port,
        rest_port=args.rest_api_port,
    )
    stack = Stack(connect(), options)
    if args.action == "up":
        stack.up(print)
        _print_status(stack.status())
        print(f"curl http://{args.bind_address}:{args.rest_api_port}/v1/models/{args.model}")
    elif args.action == "status":
        found = stack.status()
        if args.json:
            print(json.dumps([dataclasses.asdict(status) for status in found]))
        else:
            _print_status(found)
    elif args.action == "logs":
        for line in stack.logs(args.service, tail=args.tail):
            print(line)
    else:
        _print_removed(stack, volumes=args.volumes)
    return 0


def _print_removed(stack: Stack, *, volumes: bool) -> None:
    removed = stack.down(volumes=volumes)
    print("\n".join(f"removed {name}" for name in removed) or "nothing to remove")


def _print_status(found: list[ContainerStatus]) -> None:
    from rich.console import Console
    from rich.table import Table

    if not found:
        print("no containers; start them with: python -m exporter stack up")
        return
    table = Table("service", "image", "state", "ports")
    for status in found:
        state = status.health or status.state
        if status.exit_code is not None:
            state = f"{status.state} ({status.exit_code})"
        table.add_row(status.service, status.image, state, "\n".join(status.ports))
    Console().print(table)
