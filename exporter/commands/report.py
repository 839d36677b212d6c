"""Write a page about a version: its signatures, its errors in each runtime, its latencies.

All of it is measured now, at the version's golden examples: in JAX, in TensorFlow, and in servers
that serve it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.commands.flags import FlagParser

if TYPE_CHECKING:
    from rich.table import Table

    from exporter.inspect.report import Report
    from exporter.inspect.report.collection import Cell

EXAMPLES = """\
examples:
  python -m exporter report models/mnist_flax                  # the latest version
  python -m exporter report models/mnist_flax/3 --out report.html
  python -m exporter report models/mnist_flax --server localhost:8501 --server localhost:8500
  python -m exporter report models/mnist_flax --json

exit code: 0 all outputs agree with JAX, 1 some don't or are refused, 2 wrong flags or no version
"""


def add_arguments(parser: FlagParser) -> None:
    """Declares the flags."""
    add = parser.add_argument
    parser.add_version_dir()
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="where to write the page (default: report-<version>.html beside the version)",
    )
    add(
        "--server",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="a server that serves it, REST or gRPC; may be given several times",
    )
    add("--model", help="what it is called there (default: its directory's name)")
    parser.add_boolean("json", default=False, help="print one JSON object instead of a table")


def run(args: argparse.Namespace) -> int:
    """Measures one version and writes the page."""
    from artifact import versions
    from artifact.manifest import Manifest, ManifestError
    from exporter.commands.progress import Progress
    from exporter.commands.quiet import import_tensorflow
    from exporter.errors import CheckFailed, UserError

    directory = versions.resolve(args.version_dir)
    try:
        Manifest.read(directory)
    except (OSError, ManifestError) as error:
        raise UserError(f"{directory}: no version that was exported here ({error})") from None
    stages = Progress()
    with stages("start TensorFlow"):
        import_tensorflow()
        from exporter.inspect.report import collect, page, runtimes
        from exporter.storage.staging import staged_file
    model = args.model or directory.absolute().parent.name
    servers = [runtimes.served(directory, address, model) for address in args.server]
    with stages("run the golden examples in each runtime"):
        report = collect(directory, [*runtimes.local(directory), *servers])
    out = args.out or directory.with_name(f"report-{directory.name}.html")
    with stages("draw"), staged_file(out) as staged:
        staged.write_text(page.render(report), encoding="utf-8")
    stages.note(f"wrote {out}")
    if args.json:
        print(json.dumps(_summary(report)))
    else:
        _print(report)
    return 0 if report.ok else CheckFailed.exit_code


def _summary(report: Report) -> dict[str, object]:
    from dataclasses import asdict

    manifest = asdict(report.manifest)
    kept = ("model", "version", "created", "platforms", "signatures", "metrics", "tolerance")
    return {key: manifest[key] for key in (*kept, "versions")} | {
        "path": str(report.path),
        "ok": report.ok,
        "max_abs_err": report.max_abs_err,
        "accuracy": report.accuracy,
        "num_parameters": report.num_parameters,
        "cells": [asdict(cell) for cell in report.cells],
        "company": [asdict(row) for row in report.company],
        "files": report.files,
    }


def _print(report: Report) -> None:
    from rich.console import Console

    manifest = report.manifest
    console = Console(highlight=False)
    console.print(_table(report, "max |difference| from JAX", _error))
    console.print(_company(report))
    console.print(_table(report, "median milliseconds of a call", _milliseconds))
    refusals = {(c.runtime, c.signature): c.refusal for c in report.cells if c.refusal}
    for (runtime, signature), refusal in refusals.items():
        console.print(f"[dim]{runtime}, {signature}: {refusal}[/dim]")
    facts = [f"{report.num_parameters:,} parameters", f"{sum(report.files.values()):,} bytes"]
    facts += [f"{name} {value:.4g}" for name, value in manifest.metrics.items()]
    if report.accuracy is not None:
        facts.append(f"accuracy on its own examples {report.accuracy:.2%}")
    console.print(", ".join(facts))


def _table(report: Report, title: str, text: Callable[[Cell], str]) -> Table:
    from rich.table import Table

    label = f"{report.manifest.model}/{report.manifest.version}"
    table = Table(title=f"{label}: {title}", title_justify="left")
    table.add_column("runtime")
    table.add_column("signature")
    for size in report.batch_sizes:
        table.add_column(f"batch {size}", justify="right")
    for runtime in report.runtimes:
        for signature in report.manifest.signatures:
            cells = {c.batch_size: c for c in report.find(runtime, signature)}
            if any(not cell.refusal for cell in cells.values()):
                found = [cells.get(size) for size in report.batch_sizes]
                table.add_row(runtime, signature, *(text(c) if c else "" for c in found))
    return table


def _company(report: Report) -> Table:
    from rich.table import Table

    label = f"{report.manifest.model}/{report.manifest.version}"
    title = f"{label}: max |difference| of a row alone and in a batch"
    table = Table(title=title, title_justify="left")
    for name in ("runtime", "signature", "output", "rows independent", "at batch", "difference"):
        table.add_column(name, justify="right" if name in ("at batch", "difference") else "left")
    for row in report.company:
        proven = "proven" if row.is_proven else "not proven"
        style = "green" if row.agrees else "bold red" if row.is_proven else "yellow"
        number = f"[{style}]{row.max_abs_diff:.1e}[/{style}]"
        table.add_row(row.runtime, row.signature, row.output, proven, str(row.batch_size), number)
    return table


def _error(cell: Cell) -> str:
    if cell.max_abs_err is None:
        return "[dim]refused[/dim]"
    style = "green" if cell.agrees else "bold red"
    return f"[{style}]{cell.max_abs_err:.1e}[/{style}]"


def _milliseconds(cell: Cell) -> str:
    return "" if cell.milliseconds is None else f"{cell.milliseconds:.2f}"
