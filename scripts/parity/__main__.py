"""`python -m scripts.parity`: other people's models in each format, compared with JAX.

The models need packages that this project doesn't: an environment with the project's extras and
    pip install --no-deps -r scripts/parity/constraints.txt
Results are kept, a file a model: a run that was broken off goes on where it was, and only what the
sources' change concerns is tried again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

_EXAMPLES = """\
examples:
  python -m scripts.parity                               all that has no result yet, two at once
  python -m scripts.parity --only linen_cnn,hf_gpt2 --formats plain,tfjs --fresh
  python -m scripts.parity --docs                        and write docs/parity.md from the results
  python -m scripts.parity --json > parity.json

exit code: 0 all cells are equal or refused, 1 some aren't, 2 wrong flags
"""
_ROOT = Path(__file__).parents[2]
_SOURCES = ("exporter", "artifact", "wire", "scripts/parity")
_PACKAGES = ("jax", "flax", "dm-haiku", "equinox", "transformers", "keras", "diffrax", "numpyro")
_PACKAGES += ("tensorflow", "ai-edge-litert")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is missing, prints what was found and returns the exit code."""
    options = _parser().parse_args(arguments)
    from scripts.parity import document, pool
    from scripts.parity.case import cases
    from scripts.parity.cell import FORMATS, Cell

    known = cases()
    only = [name for name in options.only.split(",") if name] or list(known)
    formats = [name for name in options.formats.split(",") if name] or list(FORMATS)
    for name, all_names in [*((n, known) for n in only), *((f, FORMATS) for f in formats)]:
        if name not in all_names:
            print(f"parity: {name} is none of {', '.join(all_names)}", file=sys.stderr)
            return 2
    kept = _Results(options.results, fresh=options.fresh)
    chosen = [known[name] for name in only]
    waiting = [c for c in chosen if not all(kept.has(c.name, f) for f in formats)]
    with _progress() as bar:
        task = bar.add_task("", total=len(waiting) * len(formats))

        def done(cell: Cell) -> None:
            kept.add(cell)
            bar.update(task, advance=1, description=f"{cell.model} {cell.format} {cell.outcome}")
            if cell.outcome in ("WRONG", "TRACEBACK"):
                bar.console.print(f"{cell.model} {cell.format} {cell.outcome}: {cell.text}")

        pool.run(
            waiting,
            formats,
            options.results.absolute() / "work",
            jobs=options.jobs,
            timeout_s=options.timeout,
            done=done,
        )
    cells = [cell for case in chosen for kind in formats if (cell := kept.get(case.name, kind))]
    counts = Counter(cell.outcome for cell in cells)
    if options.docs:
        every = [c for case in known.values() for f in FORMATS if (c := kept.get(case.name, f))]
        versions = {name: metadata.version(name) for name in _PACKAGES}
        document.DOCUMENT.write_text(document.render(known, every, versions))
    if options.json:
        print(json.dumps([cell.to_json() for cell in cells], indent=1))
    else:
        print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["WRONG"] or counts["TRACEBACK"] else 0


def _progress():  # type: ignore[no-untyped-def]
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


class _Results:
    """The cells that were found with the sources as they are, a file a model."""

    def __init__(self, directory: Path, *, fresh: bool) -> None:
        from scripts.parity.cell import Cell

        self._directory = directory
        self._digest = _digest()
        self._cells: dict[tuple[str, str], Cell] = {}
        directory.mkdir(parents=True, exist_ok=True)
        for path in [] if fresh else sorted(directory.glob("*.json")):
            stored = json.loads(path.read_text())
            if stored["digest"] == self._digest:
                for found in (Cell(**fields) for fields in stored["cells"]):
                    self._cells[found.model, found.format] = found

    def has(self, model: str, kind: str) -> bool:
        return (model, kind) in self._cells

    def get(self, model: str, kind: str):  # type: ignore[no-untyped-def]
        return self._cells.get((model, kind))

    def add(self, cell) -> None:  # type: ignore[no-untyped-def]
        self._cells[cell.model, cell.format] = cell
        found = [c.to_json() for (model, _), c in self._cells.items() if model == cell.model]
        stored = {"digest": self._digest, "cells": found}
        (self._directory / f"{cell.model}.json").write_text(json.dumps(stored, indent=1))


def _digest() -> str:
    found = hashlib.sha256()
    for path in sorted(path for folder in _SOURCES for path in (_ROOT / folder).rglob("*.py")):
        found.update(f"{path.relative_to(_ROOT)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.parity",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--only", default="", metavar="MODEL,…", help="these models (default: all)")
    add("--formats", default="", metavar="xla,plain,tfjs,tflite", help="(default: all four)")
    add("--jobs", type=int, default=2, help="processes at once (default: %(default)s)")
    add("--timeout", type=float, default=180, help="seconds a cell may take (default: %(default)s)")
    add(
        "--results",
        type=Path,
        default=_ROOT / "build" / "parity",
        metavar="DIR",
        help="where results are kept (default: build/parity)",
    )
    add("--fresh", action="store_true", help="try again what has a result")
    add("--docs", action="store_true", help="write docs/parity.md from all results")
    add("--json", action="store_true", help="print the cells as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
