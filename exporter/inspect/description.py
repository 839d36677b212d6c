"""What a published version is, as a table for people and as an object for machines."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from artifact import versions
from artifact.manifest import Manifest, Parity, Tensor, max_abs_err
from exporter.model import SERVING_DEFAULT
from wire import dtypes


def print_version(version_dir: Path) -> None:
    """Prints a version's signatures, variables, operations and files to standard output."""
    manifest = Manifest.read(version_dir)
    console = Console(highlight=False)
    console.print(f"[bold]{manifest.model}/{manifest.version}[/bold]  {version_dir}")
    metrics = [f"{name} {value:.4f}" for name, value in manifest.metrics.items()]
    console.print("  ".join([f"platforms {', '.join(manifest.platforms)}", *metrics]))
    console.print(_compared(manifest))
    for table in (
        _signatures(manifest),
        _variables(manifest),
        _operations(version_dir),
        _files(version_dir),
    ):
        console.print(table)


def summary(version_dir: Path) -> dict[str, Any]:
    """Returns what the tables show and what was compared, ready for JSON."""
    manifest = Manifest.read(version_dir)
    data = asdict(manifest)
    kept = ("model", "version", "signatures", "platforms", "metrics", "tolerance", "parity")
    return {key: data[key] for key in kept} | {
        "path": str(version_dir),
        "variables": data["parameters"],
        "operations": dict(operations(version_dir)),
        "max_abs_err": manifest.max_abs_err,
    }


def print_comparison(manifest: Manifest, parity: Sequence[Parity]) -> None:
    """Prints what was compared with JAX at what, and how far it was off, to standard output."""
    table = _table(
        f"{manifest.model}/{manifest.version}: differences from JAX",
        "output", "inputs", "through", "batches", ">largest", ">allowed",
    )  # fmt: skip
    groups: dict[tuple[str, str, str, str], list[Parity]] = {}
    for p in parity:
        groups.setdefault((p.signature, p.output, p.inputs, p.through), []).append(p)
    label = ""
    for (signature, output, inputs, through), group in sorted(groups.items(), key=_ordinary_first):
        name = output if signature == SERVING_DEFAULT else f"{signature}: {output}"
        table.add_row(
            name if name != label else "",
            inputs,
            through,
            ", ".join(str(size) for size in sorted({p.batch_size for p in group})),
            f"{max(p.max_abs_err for p in group):.1e}",
            _allowed(manifest, signature, output),
        )
        label = name
    console = Console(highlight=False)
    console.print(table)
    for name, reason in manifest.untried.items():
        console.print(f"[yellow]{name}: {reason}[/yellow]")


def comparison(manifest: Manifest, parity: Sequence[Parity]) -> dict[str, Any]:
    """Returns what `print_comparison` shows, ready for JSON."""
    compared = {p.signature for p in parity}
    return {
        "model": manifest.model,
        "version": manifest.version,
        "parity": [asdict(p) for p in parity],
        "max_abs_err": max_abs_err(parity),
        "untried": dict(manifest.untried),
        "ok": compared >= manifest.signatures.keys(),
    }


def operations(version_dir: Path) -> Counter[str]:
    """Counts a SavedModel's operations by type, over its graph and all functions."""
    from exporter._compat.tensorflow import read_saved_model

    saved = read_saved_model(version_dir / versions.SAVED_MODEL)
    count: Counter[str] = Counter()
    for graph in saved.meta_graphs:
        count.update(node.op for node in graph.graph_def.node)
        for function in graph.graph_def.library.function:
            count.update(node.op for node in function.node_def)
    return count


def _ordinary_first(group: tuple[tuple[str, ...], list[Parity]]) -> tuple[Any, ...]:
    (signature, output, inputs, through), found = group
    return (
        signature != SERVING_DEFAULT,
        signature,
        output,
        not found[0].is_ordinary,
        inputs,
        through,
    )


def _allowed(manifest: Manifest, signature: str, output: str) -> str:
    dtype = manifest.signatures[signature].outputs[output].dtype
    if dtype == "string" or np.dtype(dtypes.numpy_dtype(dtype)).kind in "iub":
        return "none"
    tolerance = manifest.tolerance_of(signature, output)
    same = tolerance.rtol == tolerance.atol
    return f"{tolerance.rtol:.0e}" if same else f"{tolerance.rtol:.0e}, {tolerance.atol:.0e}"


def _compared(manifest: Manifest) -> str:
    if not manifest.parity:
        return "[yellow]not compared with JAX[/yellow]"
    largest = manifest.max_abs_err or 0.0
    return f"{len(manifest.parity)} comparisons with JAX, max |difference| {largest:.1e}"


def _signatures(manifest: Manifest) -> Table:
    table = _table("signatures", "signature", "", "name", "shape", "dtype")
    for name, signature in manifest.signatures.items():
        label = name
        for kind, tensors in (("input", signature.inputs), ("output", signature.outputs)):
            for tensor_name, tensor in tensors.items():
                table.add_row(label, kind, tensor_name, escape(_shape(tensor)), tensor.dtype)
                label = ""
    return table


def _variables(manifest: Manifest) -> Table:
    sizes = [math.prod(p.shape) for p in manifest.parameters]
    table = _table("variables", "variable", "shape", "dtype", ">numbers", ">bytes")
    widths = [dtypes.numpy_dtype(p.dtype).itemsize for p in manifest.parameters]
    for parameter, size, width in zip(manifest.parameters, sizes, widths, strict=True):
        shape = "×".join(map(str, parameter.shape)) or "scalar"
        table.add_row(parameter.path, shape, parameter.dtype, f"{size:,}", f"{size * width:,}")
    total = sum(size * width for size, width in zip(sizes, widths, strict=True))
    table.add_section()
    table.add_row("total", "", "", f"{sum(sizes):,}", f"{total:,}")
    return table


def _operations(version_dir: Path) -> Table:
    table = _table("operations", "operation", ">count")
    for name, count in operations(version_dir).most_common():
        table.add_row(name, str(count))
    return table


def _files(version_dir: Path) -> Table:
    table = _table("files", "file", ">bytes")
    for path in sorted(version_dir.rglob("*")):
        if path.is_file():
            table.add_row(str(path.relative_to(version_dir)), f"{path.stat().st_size:,}")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        justify: Any = "right" if column.startswith(">") else "left"
        table.add_column(column.removeprefix(">"), justify=justify)
    return table


def _shape(tensor: Tensor) -> str:
    names = ["batch" if axis == 0 else "any" for axis in range(len(tensor.shape))]
    sizes = [
        name if size is None else str(size) for name, size in zip(names, tensor.shape, strict=True)
    ]
    return f"[{', '.join(sizes)}]"
