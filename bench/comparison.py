"""Side by side: every subject and the limit in every round, so that all share the weather."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import process, protocols
from bench.cases import Case, Load, Window
from bench.journal import Journal
from bench.limit import CALLERS, Limit
from bench.machine import CpuWatch
from bench.progress import Meter
from bench.subjects import Server, Subject
from bench.traffic import Traffic
from client.errors import Unavailable

LIMIT = "in-process JAX"
_LIMIT_S = 0.7  # of each of its measurements
_STARTS = 5.0  # guess, of a server's start and its being idle, in loads
_FIRST = 0.8  # guess, of the first answers to a load, in loads
_SETTLE_S = 180.0  # the longest that a server may compile behind its answers


class Comparison:
    """One case: its servers, standing still but for the one that is measured.

    Attributes:
        subjects: Those that run and have answered rightly.
        version_dir: What is served.
        failures: Why a server, or one of its protocols, is left out, by their names.
    """

    def __init__(
        self, case: Case, version_dir: Path, servers: Sequence[Server], journal: Journal
    ) -> None:
        self._case = case
        self.version_dir = version_dir
        self._servers = servers
        self._journal = journal
        self.subjects: list[Subject] = []
        self.failures: dict[str, str] = {}
        self._working: dict[str, list[str]] = {}

    def start(self, stack: ExitStack, meter: Meter) -> None:
        """Starts all servers, and compares their answers with JAX's; then they stand still.

        Raises:
            Unavailable: JAX itself can't run the model here.
        """
        case, journal = self._case, self._journal
        meter.tell(f"{case.model}: in-process JAX")
        self.limit = Limit(stack, self.version_dir, case)
        self.traffic = Traffic(case.model, self.limit)
        for server in self._servers:
            meter.tell(f"{case.model}: starting {server.name}")
            began = time.monotonic()
            with ExitStack() as own:  # what a server that fails has started is ended at once
                try:
                    subject = server.start(own, self.version_dir)
                    self._warm(subject, server.protocols, meter)
                except (Unavailable, OSError, subprocess.CalledProcessError, ValueError) as error:
                    self._fail(server.name, str(error), meter)
                else:
                    stack.push(own.pop_all())
                    stack.callback(process.send, subject.pid, signal.SIGCONT)
                    process.send(subject.pid, signal.SIGSTOP)
                    self.subjects.append(subject)
                    if subject.start_s is not None:
                        journal.keep(f"{case.model}/start/{server.name}", subject.start_s)
            meter.done(start_guess(case, server), time.monotonic() - began)

    def _warm(self, subject: Subject, asked: Sequence[str], meter: Meter) -> None:
        working = []
        for protocol in asked:
            title = protocols.TITLES[protocol]
            try:
                for load in self._case.loads:
                    meter.tell(f"{self._case.model}: checking {subject.name}, {title}, {_of(load)}")
                    self.traffic.check(subject, protocol, load)
                working.append(protocol)
            except ValueError as error:
                self._fail(f"{subject.name}, {title}", str(error), meter)
        meter.tell(f"{self._case.model}: waiting until {subject.name} is idle")
        if not process.settle(subject.pid, _SETTLE_S):
            meter.say(f"{self._case.model}: {subject.name} is busy without requests")
        if not working:
            raise ValueError("it answers by none of its protocols")
        self._working[subject.name] = working

    def rounds(self, meter: Meter) -> None:
        """Measures all loads in all rounds, and keeps what comes of it in the journal."""
        case, journal = self._case, self._journal
        windows = journal.once(f"{case.model}/windows", self._windows)
        for number in range(case.rounds):
            for batch_size in case.limit_sizes:
                for callers in CALLERS:
                    key = f"{case.model}/{number}/limit/{batch_size}/{callers}"
                    self._step(key, self._limit_at(batch_size, callers), _LIMIT_S * 1.3, meter)
            # Another order each round: who comes first meets a cooler machine.
            turn = number % max(len(self.subjects), 1)
            order = [*self.subjects[turn:], *self.subjects[:turn]]
            for place, load in enumerate(case.loads):
                window = Window(**windows[place])
                for subject in order:
                    # A copy: what stops answering is left out from there on.
                    for protocol in [*self.protocols_of(subject)]:
                        key = closed_key(case, number, subject.name, protocol, load)
                        measure = self._closed(subject, protocol, load, window)
                        found = self._step(key, measure, case.guess_s, meter)
                        if not found["answers"] or found["errors"]:
                            self._drop(subject, protocol, key, found["errors"], meter)

    def memory(self) -> dict[str, dict[str, float]]:
        """Returns MiB by server, after all loads."""
        return {s.name: process.memory(s.pid) for s in self.subjects if s.pid is not None}

    def working(self) -> Iterator[tuple[Subject, str]]:
        """Gives each subject with each protocol that it has answered by."""
        for subject in self.subjects:
            for protocol in self.protocols_of(subject):
                yield subject, protocol

    def protocols_of(self, subject: Subject) -> Sequence[str]:
        """Returns the protocols that a subject has answered by."""
        return self._working[subject.name]

    def _windows(self) -> list[dict[str, float]]:
        found = []
        for load in self._case.loads:
            callers = min(load.in_flight, max(CALLERS))
            at_size = self.limit.measure(load.batch_size, callers, _LIMIT_S)
            window = self._case.window(load, at_size["examples_per_s"])
            found.append({"answers": window.answers, "ceiling_s": window.ceiling_s})
        return found

    def _limit_at(self, batch_size: int, callers: int) -> Callable[[], dict[str, Any]]:
        def measure() -> dict[str, Any]:
            watch = CpuWatch()
            figures = self.limit.measure(batch_size, callers, _LIMIT_S)
            return {**figures, "foreign_cpu": watch.used().foreign}

        return measure

    def _closed(
        self, subject: Subject, protocol: str, load: Load, window: Window
    ) -> Callable[[], dict[str, Any]]:
        def measure() -> dict[str, Any]:
            with subject.awake():
                return self.traffic.closed(
                    subject, protocol, load, window, self._case.warmup_s
                ).as_json()

        return measure

    def _step(
        self, key: str, measure: Callable[[], dict[str, Any]], guess_s: float, meter: Meter
    ) -> dict[str, Any]:
        began = None
        if not self._journal.has(key):
            meter.tell(key)
            began = time.monotonic()
        found: dict[str, Any] = self._journal.once(key, measure)
        meter.done(guess_s, None if began is None else time.monotonic() - began)
        return found

    def _drop(
        self, subject: Subject, protocol: str, key: str, errors: dict[str, int], meter: Meter
    ) -> None:
        self._working[subject.name].remove(protocol)
        said = ", ".join(f"{count} x {code}" for code, count in errors.items())
        name = f"{subject.name}, {protocols.TITLES[protocol]}"
        self._fail(name, f"at {key}: {said or 'no answer'}", meter)

    def _fail(self, name: str, why: str, meter: Meter) -> None:
        self.failures[name] = why
        meter.say(f"{self._case.model}: {name} is left out: {why}")


def closed_key(case: Case, number: int, name: str, protocol: str, load: Load) -> str:
    """Returns the journal's name of a closed loop's measurement."""
    return f"{case.model}/{number}/{name}/{protocol}/{load.batch_size}/{load.in_flight}"


def start_guess(case: Case, server: Server) -> float:
    """Returns the seconds that a server's start and first answers may take."""
    return (5.0 + _STARTS * case.guess_s) + (
        _FIRST * case.guess_s * len(case.loads) * len(server.protocols)
    )


def rounds_guess(case: Case, servers: Sequence[Server]) -> float:
    """Returns the seconds that all rounds may take."""
    rows = sum(len(server.protocols) for server in servers)
    limit = len(case.limit_sizes) * len(CALLERS) * _LIMIT_S * 1.3
    return case.rounds * (limit + rows * len(case.loads) * case.guess_s)


def _of(load: Load) -> str:
    return f"batch {load.batch_size}, {load.in_flight} in flight"
