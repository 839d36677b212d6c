"""Several worker processes on the same ports, and one supervisor.

The kernel spreads connections over the workers (SO_REUSEPORT). Each loads all models and follows
the base paths itself; a new configuration that one of them is sent goes to all, and each speaks
for all about metrics and readiness. A worker that dies is replaced. The supervisor serves nothing.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from server.launch import log
from server.launch.options import Options
from server.models import switches
from server.models.model_config import ModelConfig
from server.protocol import sockets

logger = logging.getLogger("server")

_USAGE_ERROR = 2
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
_HEALTHY_S = 60.0  # a worker that lived so long is replaced without delay
_GRACE_S = 5.0  # beyond the drain, before a worker is killed


def run(options: Options) -> int:
    """Starts the workers and stays with them until SIGTERM or SIGINT; returns the exit status."""
    held: list[socket.socket] = []
    try:
        ports = {}
        for name in ("port", "rest_api_port"):
            if getattr(options, name):
                held.append(_hold(options.host, max(getattr(options, name), 0)))
                ports[name] = held[-1].getsockname()[1]
    except OSError as error:
        logger.error("%s", error)
        return _USAGE_ERROR
    try:
        return _Supervisor(replace(options, **ports)).run()
    finally:
        for one in held:
            one.close()


def _hold(host: str, port: int) -> socket.socket:
    """Returns a socket that keeps a port for the workers.

    Raises:
        OSError: somebody else has it, another server with workers among them.
    """
    if port:
        sockets.listen_tcp(host, port).close()
    return sockets.bind_tcp(host, port, reuse_port=True)


@dataclass
class _Worker:
    """A worker's process, the pipe to it, and when it was started; None: not yet again.

    Attributes:
        is_up: It answers what comes by the pipe.
    """

    process: Any = None
    pipe: Connection | None = None
    is_up: bool = False
    started: float = 0.0
    delay: float = 0.0
    due: float = 0.0


@dataclass
class _Round:
    """A question on its way: who asked, under which number, who hasn't answered, the answers."""

    origin: int
    number: int
    waits_for: set[int]
    answers: list[Any]


@dataclass
class _Supervisor:
    options: Options
    workers: list[_Worker] = field(default_factory=list)
    models: Sequence[ModelConfig] | None = None
    rounds: dict[int, _Round] = field(default_factory=dict)
    round_count: int = 0
    is_stopping: bool = False
    status: int = 0

    def run(self) -> int:
        """Returns the worst of the workers' exit statuses."""
        woken, wakes = socket.socketpair()
        for end in (woken, wakes):
            end.setblocking(False)
        signal.set_wakeup_fd(wakes.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self.workers = [_Worker() for _ in range(self.options.workers)]
        deadline = float("inf")
        while not (self.is_stopping and all(w.process is None for w in self.workers)):
            now = time.monotonic()
            if self.is_stopping:
                deadline = min(deadline, now + self.options.drain_seconds + _GRACE_S)
            for index, worker in enumerate(self.workers):
                if worker.process is None and not self.is_stopping and worker.due <= now:
                    self._start(index)
                elif worker.process is not None and now > deadline:
                    worker.process.kill()
            alive = [worker for worker in self.workers if worker.process is not None]
            ready = wait(
                [woken, *(w.process.sentinel for w in alive), *(w.pipe for w in alive if w.pipe)],
                self._patience(now, deadline),
            )
            if woken in ready:
                woken.recv(4096)
            for index, worker in enumerate(self.workers):
                if worker.pipe is not None and worker.pipe in ready:
                    self._hear(index)
                if worker.process is not None and worker.process.sentinel in ready:
                    self._bury(index)
        signal.set_wakeup_fd(-1)
        return self.status

    def _patience(self, now: float, deadline: float) -> float | None:
        due = [w.due for w in self.workers if w.process is None and not self.is_stopping]
        if self.is_stopping:
            due.append(deadline)
        return max(min(due) - now, 0.0) + 0.01 if due else None

    def _stop(self, number: int, _: object) -> None:
        self.is_stopping = True
        for worker in self.workers:
            if worker.process is not None:
                worker.process.terminate()

    def _start(self, index: int) -> None:
        context = multiprocessing.get_context("spawn")
        worker = self.workers[index]
        worker.pipe, theirs = context.Pipe()
        options = self.options
        if index:  # a unix socket can't be shared by name
            options = replace(options, grpc_socket_path="")
        worker.process = context.Process(
            target=_work, args=(options, theirs, self.models), name=f"worker-{index}"
        )
        worker.started = time.monotonic()
        worker.process.start()
        theirs.close()
        logger.info("worker %d is process %d", index, worker.process.pid)
        if self.is_stopping:
            worker.process.terminate()

    def _bury(self, index: int) -> None:
        worker = self.workers[index]
        worker.process.join()
        status = worker.process.exitcode
        lived = time.monotonic() - worker.started
        if worker.pipe is not None:
            worker.pipe.close()
        worker.process = worker.pipe = None
        worker.is_up = False
        for number in list(self.rounds):
            self._answered(number, index, None)
        if self.is_stopping:
            self.status = max(self.status, status if status >= 0 else 1)
            return
        if status == _USAGE_ERROR:
            self.status = status
            self._stop(signal.SIGTERM, None)
            return
        short = min(max(worker.delay * 2, _FIRST_DELAY_S), _LONGEST_DELAY_S)
        worker.delay = 0.0 if lived > _HEALTHY_S else short
        worker.due = time.monotonic() + worker.delay
        logger.error(
            "worker %d ended with status %d after %.1f s; the next one starts in %.1f s",
            index, status, lived, worker.delay,
        )  # fmt: skip

    def _hear(self, index: int) -> None:
        pipe = self.workers[index].pipe
        assert pipe is not None
        try:
            kind, number, content = pipe.recv()
        except (EOFError, OSError):
            pipe.close()
            self.workers[index].pipe = None
            return
        if kind == "up":
            self.workers[index].is_up = True
        elif kind == "answer":
            self._answered(number, index, content)
        else:
            self._ask(index, kind, number, content)

    def _ask(self, origin: int, kind: str, number: int, content: Any) -> None:
        """Hands a worker's question to all; a report isn't expected of one that still starts."""
        if kind == "configure":
            self.models = switches.kept(content, self.models or ())
        asked = {
            index
            for index, worker in enumerate(self.workers)
            if worker.pipe is not None and (worker.is_up or kind == "configure")
        }
        self.round_count += 1
        answers = [None] * len(self.workers)
        self.rounds[self.round_count] = _Round(origin, number, asked, answers)
        for index in sorted(asked):
            self._send(index, (kind, self.round_count, content))

    def _answered(self, number: int, index: int, answer: Any) -> None:
        asked = self.rounds[number]
        if index in asked.waits_for:
            asked.waits_for.discard(index)
            asked.answers[index] = answer
        if not asked.waits_for:
            del self.rounds[number]
            self._send(asked.origin, ("answers", asked.number, asked.answers))

    def _send(self, index: int, message: tuple[str, int, Any]) -> None:
        pipe = self.workers[index].pipe
        if pipe is None:
            return
        try:
            pipe.send(message)
        except OSError:  # it is dying, and will be buried
            return


def _work(options: Options, pipe: Connection, models: Sequence[ModelConfig] | None) -> None:
    """Serves in a worker's process."""
    from server.launch import process

    log.start()
    raise SystemExit(process.run(options, pipe, models))
