"""What a run of `client.predict` prints."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from client import digits, latency
from client.check import CheckPlan, Outcome
from client.endpoint import Endpoint

_SHOWN_IMAGES = 10
_SHOWN_FAULTS = 5


@contextmanager
def progress(total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """Shows a bar on a terminal while samples are sent; gives the function that moves it."""
    console = Console(stderr=True)
    hidden = not (shown and console.is_terminal)
    with Progress(console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("sending", total=total)
        yield lambda count: bar.advance(task, count)


def print_json(plan: CheckPlan, endpoint: Endpoint, outcome: Outcome) -> None:
    """Prints one object; `ok` and `max_abs_err` are null where nothing was compared."""
    comparison = outcome.comparison
    error = comparison.max_abs_err if comparison else None
    fields = {
        "model": plan.spec.model,
        "version": outcome.version,
        "api": endpoint.api,
        "count": plan.count,
        "accuracy": outcome.accuracy,
        "max_abs_err": error if error is None or math.isfinite(error) else None,
        "p50_ms": round(latency.milliseconds(outcome.seconds, 50), 3),
        "p99_ms": round(latency.milliseconds(outcome.seconds, 99), 3),
        "ok": comparison.ok if comparison else None,
    }
    print(json.dumps(fields))


def print_report(plan: CheckPlan, endpoint: Endpoint, outcome: Outcome) -> None:
    """Prints the digits with predictions, a table, and what the comparison found."""
    console = Console(highlight=False)
    _print_images(console, outcome)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("model", f"{plan.spec.model}, version {outcome.version}")
    table.add_row("server", str(endpoint))
    requests = len(outcome.seconds)
    table.add_row("sent", f"{plan.count} samples in {requests} requests of {plan.batch_size}")
    if outcome.accuracy is not None:
        table.add_row("accuracy", f"{outcome.accuracy:.2%}")
    p50, p99 = (latency.milliseconds(outcome.seconds, p) for p in (50, 99))
    table.add_row("latency", f"p50 {p50:.2f} ms, p99 {p99:.2f} ms a request")
    table.add_row("against JAX", _verdict(outcome))
    console.print(table)
    faults = outcome.comparison.faults if outcome.comparison else []
    for fault in faults[:_SHOWN_FAULTS]:
        console.print(f"[red]{fault}[/red]", soft_wrap=True)
    if len(faults) > _SHOWN_FAULTS:
        console.print(f"… and {len(faults) - _SHOWN_FAULTS} more")


def _verdict(outcome: Outcome) -> str:
    comparison = outcome.comparison
    if comparison is None:
        return (
            "[yellow]not compared[/yellow]: the bundled images have no answers of JAX; "
            "give --model_dir DIR"
        )
    tolerance = comparison.tolerance
    found = (
        f"max |server - JAX| {comparison.max_abs_err:.1e} over {comparison.values} values "
        f"(rtol {tolerance.rtol:g}, atol {tolerance.atol:g}; {outcome.origin})"
    )
    if comparison.ok:
        return f"[green]agrees[/green]: {found}"
    return f"[red]{len(comparison.faults)} outputs differ[/red]: {found}"


def _print_images(console: Console, outcome: Outcome) -> None:
    images = digits.pictures(outcome.images) if outcome.images is not None else None
    if images is None:
        return
    captions = [_caption(outcome, i) for i in range(min(len(images), _SHOWN_IMAGES))]
    lines = digits.grid(
        images[: len(captions)],
        captions,
        columns=console.width,
        ascii_only="utf" not in (sys.stdout.encoding or "").lower(),
    )
    for line in lines:
        console.print(line, markup=False, no_wrap=True)


def _caption(outcome: Outcome, i: int) -> str:
    label = None if outcome.labels is None else int(outcome.labels[i])
    seen = outcome.classes[i] if i < len(outcome.classes) else None
    if label is None or seen is None:
        return "" if label is seen else str(label if seen is None else seen)
    return f"{label} = {seen}" if seen == label else f"{label}, seen as {seen}"
