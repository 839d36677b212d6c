"""A whole run: what is chosen, how long it may take, and what comes of it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import curves, machine, startup, swap
from bench.cases import Case
from bench.comparison import Comparison, closed_key, rounds_guess, start_guess
from bench.journal import Journal
from bench.limit import CALLERS
from bench.progress import Meter
from bench.subjects import EMBEDDED, Server
from client.errors import Unavailable

_SWAP_GUESS_S = 45.0
# What a model, a server or a measurement may fail with; the rest of the run goes on.
_TROUBLE = (Unavailable, ValueError, OSError, subprocess.CalledProcessError)
_SWAPPED = (EMBEDDED, "TensorFlow Serving")  # what takes a new version by itself


@dataclass(frozen=True)
class Choice:
    """What is measured.

    Attributes:
        cases: Models and loads.
        servers: In the order of their first round.
        models: Directory of published models; one that is missing is exported.
        platforms: That it is exported for.
        parts: What is measured beside the closed loops.
    """

    cases: Sequence[Case]
    servers: Sequence[Server]
    models: Path
    platforms: str = "cpu"
    parts: tuple[str, ...] = ("curves", "startup", "swap")

    def narrowed(self, words: Iterable[str]) -> Choice:
        """Returns the part that words name: models, protocols, and beginnings of servers' names.

        Raises:
            ValueError: a word names nothing.
        """
        words = list(words)
        models = [case for case in self.cases if case.model in words]
        known = {protocol for server in self.servers for protocol in server.protocols}
        protocols = [word for word in words if word in known]
        names = [w for w in words if w not in known and w not in {c.model for c in self.cases}]
        for name in names:
            if not any(_named(server, name) for server in self.servers):
                known_words = [c.model for c in self.cases] + [s.name for s in self.servers]
                raise ValueError(
                    f"--only: {name!r} is none of {', '.join([*known_words, *sorted(known)])}"
                )
        servers = [
            replace(s, protocols=tuple(p for p in s.protocols if not protocols or p in protocols))
            for s in self.servers
            if not names or any(_named(s, name) for name in names)
        ]
        return replace(
            self, cases=models or self.cases, servers=[s for s in servers if s.protocols]
        )

    def guess_s(self) -> float:
        """Returns the seconds that all of it may take."""
        return sum(self.case_guess_s(case) for case in self.cases)

    def case_guess_s(self, case: Case) -> float:
        """Returns the seconds that a case may take."""
        total = rounds_guess(case, self.servers)
        total += sum(start_guess(case, server) for server in self.servers)
        if "curves" in self.parts:
            total += curves.guess(case, self.servers)
        if "startup" in self.parts and self.has_embedded():
            total += startup.GUESS_S
        if "swap" in self.parts:
            total += _SWAP_GUESS_S * len(self.swapped())
        return total

    def has_embedded(self) -> bool:
        """Whether the embedded server is among them."""
        return any(server.name == EMBEDDED for server in self.servers)

    def swapped(self) -> list[Server]:
        """Those that take a new version by themselves."""
        return [server for server in self.servers if server.name in _SWAPPED]


def run(choice: Choice, journal: Journal, meter: Meter) -> dict[str, Any]:
    """Measures what isn't in the journal yet; returns all figures.

    Returns:
        What `bench/results/results.json` holds. A model that can't be exported or run here is in
        `left_out`, by name, with the reason.
    """
    began = time.monotonic()
    cases: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for case in choice.cases:
        key = f"{case.model}/all"
        if journal.has(key):
            meter.done(choice.case_guess_s(case))
        else:
            try:
                journal.keep(key, _case(choice, case, journal, meter))
            except _TROUBLE as error:
                left_out[case.model] = str(error)
                meter.say(f"{case.model} is left out: {error}")
                continue
        cases[case.model] = journal.once(key, dict)
    return {
        "machine": machine.describe(),
        "servers": {s.name: s.version for s in choice.servers if s.version},
        "seconds": time.monotonic() - began,
        "resumed": journal.kept > 0,
        "left_out": left_out,
        "cases": cases,
    }


def _case(choice: Choice, case: Case, journal: Journal, meter: Meter) -> dict[str, Any]:
    version_dir = _version(choice, case, journal, meter)
    found: dict[str, Any] = {"about": case.about, "rounds": case.rounds}
    with ExitStack() as stack:
        comparison = Comparison(case, version_dir, choice.servers, journal)
        comparison.start(stack, meter)
        comparison.rounds(meter)
        found |= _measured(case, comparison, journal)
        found["memory"] = journal.once(f"{case.model}/memory", comparison.memory)
        capacities = _capacities(case, found["closed"])
        if "curves" in choice.parts:
            found["curves"] = curves.measure(comparison, case, capacities, journal, meter)
        if "swap" in choice.parts:
            found["swap"] = _swaps(choice, case, comparison, capacities, journal, meter)
        found["failures"] = comparison.failures
    if "startup" in choice.parts and choice.has_embedded():
        _starts(case, version_dir, found, journal, meter)
    export_key = f"{case.model}/export_s"
    if journal.has(export_key):
        found["export_s"] = journal.once(export_key, dict)
    return found


def _starts(
    case: Case, version_dir: Path, found: dict[str, Any], journal: Journal, meter: Meter
) -> None:
    """Adds the embedded server's starts to what was found, or why there are none."""
    meter.tell(f"{case.model}: starts of the embedded server")
    is_first = case.build is None
    began = time.monotonic()
    try:
        found["startup"] = journal.once(
            f"{case.model}/startup", lambda: startup.measure(version_dir, first_requests=is_first)
        )
    except _TROUBLE as error:
        found["failures"][f"{EMBEDDED}, starts"] = str(error)
    meter.done(startup.GUESS_S, time.monotonic() - began)


def _measured(case: Case, comparison: Comparison, journal: Journal) -> dict[str, Any]:
    limit, closed = [], []
    for number in range(case.rounds):
        for batch_size in case.limit_sizes:
            for callers in CALLERS:
                key = f"{case.model}/{number}/limit/{batch_size}/{callers}"
                at = {"round": number, "batch_size": batch_size, "callers": callers}
                limit.append({**at, **journal.once(key, dict)})
        for subject, protocol in comparison.working():
            for load in case.loads:
                key = closed_key(case, number, subject.name, protocol, load)
                of: dict[str, Any] = {"round": number, "server": subject.name, "protocol": protocol}
                of |= {"batch_size": load.batch_size, "in_flight": load.in_flight}
                closed.append({**of, **journal.once(key, dict)})
    starts = {
        subject.name: journal.once(f"{case.model}/start/{subject.name}", dict)
        for subject in comparison.subjects
        if subject.start_s is not None
    }
    windows = journal.once(f"{case.model}/windows", list)
    return {"limit": limit, "closed": closed, "starts": starts, "windows": windows}


def _capacities(case: Case, closed: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], list[float]] = {}
    load = case.curve_load
    for one in closed:
        if (one["batch_size"], one["in_flight"]) == (load.batch_size, load.in_flight):
            row = (one["server"], one["protocol"])
            found.setdefault(row, []).append(one["examples_per_s"])
    return {row: statistics.median(values) for row, values in found.items()}


def _swaps(
    choice: Choice,
    case: Case,
    comparison: Comparison,
    capacities: Mapping[tuple[str, str], float],
    journal: Journal,
    meter: Meter,
) -> dict[str, Any]:
    found = {}
    version_dir = comparison.version_dir
    for server in choice.swapped():
        meter.tell(f"{case.model}: a new version on {server.name}")
        capacity = capacities.get((server.name, server.protocols[0]))
        if not capacity:
            continue
        key, began = f"{case.model}/swap/{server.name}", time.monotonic()
        try:
            if not journal.has(key):
                figures = swap.measure(
                    comparison, server, version_dir, capacity, case.curve_in_flight
                )
                journal.keep(key, figures)
            found[server.name] = journal.once(key, dict)
        except _TROUBLE as error:
            comparison.failures[f"{server.name}, a new version"] = str(error)
        meter.done(_SWAP_GUESS_S, time.monotonic() - began)
    return found


def _version(choice: Choice, case: Case, journal: Journal, meter: Meter) -> Path:
    """Returns the version to serve, which is exported if it isn't there."""
    from artifact import versions

    base = choice.models / case.model
    if versions.find(base):
        return versions.latest(base)
    meter.tell(f"{case.model}: export")
    start = time.monotonic()
    command = [sys.executable, "-m", "exporter", "export"]
    command += [case.build, "--name", case.model] if case.build else ["--model", case.model]
    command += ["--model_path", str(choice.models), "--serving_batch_size=-1", "--noshow_model"]
    command += ["--platforms", choice.platforms, "--num_epochs=1"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Unavailable(f"{case.model} can't be exported:\n{done.stdout[-2000:]}")
    seconds = time.monotonic() - start
    journal.keep(f"{case.model}/export_s", seconds)
    return versions.latest(base)


def _named(server: Server, word: str) -> bool:
    return server.name.lower().startswith(word.lower())
