"""What a run of `client.load` shows on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from client.load.generator import Watcher
from client.load.plan import LoadPlan
from client.load.result import Result

_BUSY = 0.85  # of a core: from here on the generator may be what is measured


@contextmanager
def progress(plan: LoadPlan, *, shown: bool) -> Iterator[Watcher]:
    """Shows a bar with the rate so far on a terminal; gives the function that moves it."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        refresh_per_second=4,
        disable=not (shown and console.is_terminal),
    ) as bar:
        task = bar.add_task("warm-up", total=plan.warmup + plan.duration, rate="")
        before = (0.0, 0)

        def watch(seconds: float, answered: int) -> None:
            nonlocal before
            rate = (answered - before[1]) / (seconds - before[0])
            before = (seconds, answered)
            name = "warm-up" if seconds < plan.warmup else "measuring"
            bar.update(task, completed=seconds, description=name, rate=f"{rate:,.0f} req/s")

        yield watch


def print_result(result: Result) -> None:
    """Prints a run's figures."""
    plan = result.plan
    console = Console(highlight=False)
    loop = f"closed loop, {plan.concurrency} in flight"
    if plan.rate is not None:
        gaps = "Poisson" if plan.poisson else "even"
        loop = f"open loop, {plan.rate:g} req/s ({gaps}), at most {plan.concurrency} in flight"
    console.print(
        f"[bold]{plan.spec.model}[/bold] version {result.version} on {plan.endpoint}: "
        f"{loop}, batches of {plan.batch_size}, {result.seconds:.4g} s after {plan.warmup:g} s"
    )
    table = Table()
    names = ["req/s", "examples/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"]
    for name in names:
        table.add_column(name, justify="right")
    values = result.percentiles().values()
    table.add_row(
        f"{result.requests_per_second:,.0f}",
        f"{result.examples_per_second:,.0f}",
        *("-" if value is None else f"{value:,.2f}" for value in values),
    )
    console.print(table)
    for code, count in sorted(result.errors.items()):
        console.print(f"[red]{count:,} requests: {code}[/red]")
    if result.timed_out:
        console.print(
            f"[yellow]the {result.timed_out:,} that timed out are in the percentiles with at least "
            f"the {plan.timeout:g} s that each was given: a latency from there on is a lower bound"
            "[/yellow]"
        )
    if result.sent_away:
        console.print(
            f"the server sent {result.sent_away:,} connections away (GOAWAY); what it hadn't taken "
            "was sent again by new ones"
        )
    if result.queued:
        console.print(
            f"[yellow]{result.queued:,} requests waited for a stream, as the server allows no more "
            "on a connection; that is in their latency (see --connections)[/yellow]"
        )
    if plan.verify and result.ok:
        console.print("[green]every answer was right[/green]")
    if result.unsent:
        console.print(
            f"[yellow]{result.unsent:,} requests never started: the server can't keep up with "
            "the rate at this concurrency; they count with the time they waited[/yellow]"
        )
    note = f"the generator used {result.generator_cpu:.0%} of a core"
    if result.generator_cpu > _BUSY:
        note = f"[yellow]{note}: it may be the limit, not the server[/yellow]"
    console.print(note)
