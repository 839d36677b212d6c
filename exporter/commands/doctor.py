"""Say why a version does not load or answers wrongly, and how to put it right.

Its files, whether it loads and answers in this machine's TensorFlow, and what a server that
should serve it says.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from exporter.commands.flags import FlagParser

if TYPE_CHECKING:
    from exporter.inspect.doctor import Finding

EXAMPLES = """\
examples:
  python -m exporter doctor models/mnist_flax                           # the latest version
  python -m exporter doctor models/mnist_flax/3 --server localhost:8501   # REST or gRPC
  python -m exporter doctor models/mnist_flax --server serving:8500 --model digits --json

exit code: 0 nothing is wrong, 1 something is, 2 wrong flags or no such directory
"""


def add_arguments(parser: FlagParser) -> None:
    """Declares the flags."""
    parser.add_version_dir()
    parser.add_argument(
        "--server", metavar="HOST:PORT", help="a server that should serve it, REST or gRPC"
    )
    parser.add_argument("--model", help="what it is called there (default: its directory's name)")
    parser.add_boolean("json", default=False, help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Examines one version."""
    from dataclasses import asdict

    from artifact import versions
    from exporter.errors import CheckFailed, UserError
    from exporter.inspect.doctor import examine

    if not args.version_dir.is_dir():
        raise UserError(f"{args.version_dir}: there is no such directory")
    directory = versions.resolve(args.version_dir)
    if versions.parse(directory.name) is None:
        raise UserError(
            f"{directory}: no version in it; a version is a directory whose name is a number"
        )
    findings = []
    for finding in examine(directory.absolute(), address=args.server, model=args.model):
        findings.append(finding)
        if not args.json:
            _print(finding)
    healthy = all(finding.ok for finding in findings)
    if args.json:
        found = [asdict(finding) for finding in findings]
        print(json.dumps({"path": str(directory), "ok": healthy, "findings": found}))
    return 0 if healthy else CheckFailed.exit_code


def _print(finding: Finding) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    mark = "[green]✓[/green]" if finding.ok else "[red]✗[/red]"
    console.print(f"{mark} [bold]{finding.check:<11}[/bold] {escape(finding.text)}", soft_wrap=True)
    if finding.fix:
        console.print(f"  {'fix':<11} {escape(finding.fix)}", soft_wrap=True)
