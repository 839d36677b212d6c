"""Run the container stack through Docker's SDK: up, status, logs, down.

It is the stack of compose.yaml without its client: the exporter trains, checks and publishes into
a volume, then a model server serves it. `docker compose` sees the same containers.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.commands.flags import FlagParser

if TYPE_CHECKING:
    from exporter.stack import ComposeFile, ContainerStatus, Stack

EXAMPLES = """\
examples:
  python -m exporter stack up                         # the server that this engine can run
  python -m exporter stack up --server embedded       # this project's server; nothing is pulled
  python -m exporter stack status --json
  python -m exporter stack logs model-server
  python -m exporter stack down --volumes             # the published models go too

What the containers are stands in compose.yaml. The flags of `up` set the variables in it, and win
over the shell's, which win over those of the file .env beside it.
"""

_SERVERS = {"official": "model-server", "embedded": "model-server-embedded"}
_VARIABLES = {
    "model": ("MODEL", "what to train"),
    "model_version": ("MODEL_VERSION", "a number, or auto for the next one"),
    "num_epochs": ("NUM_EPOCHS", "of the training"),
    "bind_address": ("BIND_ADDRESS", "address of this machine for both ports"),
    "port": ("GRPC_PORT", "of the gRPC API"),
    "rest_api_port": ("REST_PORT", "of the REST API"),
}
_NUMBERS = ("num_epochs", "port", "rest_api_port")


def add_arguments(parser: FlagParser) -> None:
    """Declares the flags."""
    add = parser.add_argument
    add("action", choices=("up", "status", "logs", "down"), help="what to do")
    add("service", nargs="?", help="logs: of this service alone")
    add(
        "--compose_file",
        type=Path,
        default=Path("compose.yaml"),
        metavar="FILE",
        help="what says what the containers are (default: %(default)s)",
    )
    add("--project", help="name of the stack (default: the file's)")
    add(
        "--server",
        choices=("auto", *_SERVERS),
        default="auto",
        help="up: the tensorflow/serving image, or this project's; auto: the first that this "
        "engine can run (default: %(default)s)",
    )
    for flag, (variable, text) in _VARIABLES.items():
        kind = int if flag in _NUMBERS else str
        add(f"--{flag}", type=kind, metavar=variable, help=f"up: {text} (default: ${variable})")
    add("--tail", type=int, default=100, help="logs: lines a container (default: %(default)s)")
    parser.add_boolean("volumes", default=False, help="down: remove the published models too")
    parser.add_boolean("json", default=False, help="status: print one JSON array")


def run(args: argparse.Namespace) -> int:
    """Does one action; returns the exit code."""
    from exporter import stack as stacks

    settings = {
        variable: str(value)
        for flag, (variable, _) in _VARIABLES.items()
        if (value := getattr(args, flag)) is not None
    }
    file = stacks.read(args.compose_file, settings)
    client = stacks.connect()
    stack = stacks.Stack(client, args.project or file.project)
    if args.action == "up":
        server = args.server
        if server == "auto":
            image = file.service(_SERVERS["official"]).image
            why_not = stacks.can_run(client, image)
            server = "embedded" if why_not else "official"
            print(f"the {server} model server: {why_not or f'this engine has {image}'}")
        _up(stack, file, server)
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


def _up(stack: Stack, file: ComposeFile, server: str) -> None:
    exporter = file.service("exporter")
    chosen = file.service(_SERVERS[server])
    others = [name for name in _SERVERS.values() if name != chosen.name]
    stack.up(exporter, chosen, print, instead_of=[*others, "model-server-gpu"])
    found = stack.status()
    _print_status(found)
    ports = [port.partition("->") for status in found for port in status.ports]
    models = [word.removeprefix("--model=") for word in exporter.command if "--model=" in word]
    for address, _, _ in [port for port in ports if port[2] == "8501"][:1]:
        print(f"curl http://{address}/v1/models/{''.join(models[:1])}")


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
