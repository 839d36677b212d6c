"""What a server process says of itself, for the pages that speak for all workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from server.models.status import VersionStatus


@dataclass(frozen=True)
class ProcessReport:
    """One process, now.

    Attributes:
        is_ready: It serves, and nothing is being loaded for the first time.
        is_draining: It is about to end.
        models: The latest version of each model; None where there is none.
        versions: All versions of all models, by name and number.
        recent: Time of the end (s) and duration (s) of the last requests.
        metrics: Of each metric, its lines in Prometheus's text format.
    """

    is_ready: bool
    is_draining: bool
    models: dict[str, int | None]
    versions: list[VersionStatus]
    recent: list[tuple[float, float]]
    metrics: list[list[str]]


# The reports of all workers in their order; None for one that isn't up.
Reports = Sequence[ProcessReport | None]
Gather = Callable[[], Awaitable[Reports]]


def metrics_page(reports: Reports) -> bytes:
    """Renders the metrics of all; those of several workers have a label `worker`.

    They aren't added up: the counters of a worker that was replaced begin again, which
    Prometheus sees in each series by itself, but not in a sum.
    """
    up = {str(n): report.metrics for n, report in enumerate(reports) if report is not None}
    if len(reports) == 1:
        (blocks,) = up.values()
    else:
        same = zip(*up.values(), strict=True)
        blocks = [_merged(dict(zip(up, lines, strict=True))) for lines in same]
    return ("\n".join(line for lines in blocks for line in lines) + "\n").encode(errors="replace")


def _merged(lines: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns the lines of one metric by worker, with its description once."""
    labelled = (_labelled(line, worker) for worker, own in lines.items() for line in own)
    return list(dict.fromkeys(labelled))


def _labelled(line: str, worker: str) -> str:
    """Adds the label to a sample; a metric's description stays as it is."""
    if line.startswith("#"):
        return line
    name, brace, rest = line.partition("{")
    if brace:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = line.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'
