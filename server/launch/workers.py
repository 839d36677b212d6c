"""Several worker processes on the same ports, and one supervisor.

The kernel spreads connections over the workers (SO_REUSEPORT). Each loads all models and follows
the base paths itself; a new configuration that one of them is sent goes to all, and each speaks
for all about metrics and readiness. A worker that dies or hangs is replaced. The supervisor
serves nothing.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import queue
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from server.launch import log
from server.launch.options import ServerOptions
from server.launch.worker import Worker
from server.launch.worker_link import Message, WorkerLink
from server.models import switches
from server.models.model_config import ModelConfig
from server.protocol import sockets

logger = logging.getLogger("server")

_USAGE_ERROR = 2
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
_HEALTHY_S = 60.0  # a worker that lived so long is replaced without delay
_GRACE_S = 5.0  # beyond the drain, before a worker is killed
_TICK_S = 1.0  # between looks at the clock
_PING_S = 2.0  # between questions whether a worker is there
_HANGS_S = 10.0  # from then on nobody waits for a worker that doesn't answer


def run(options: ServerOptions) -> int:
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
class _Round:
    """A question on its way: who asked, under which number, who hasn't answered, the answers.

    Attributes:
        deadline: From when on the rest isn't waited for.
    """

    origin: int
    number: int
    waits_for: set[int]
    answers: list[Any]
    deadline: float


@dataclass
class _Supervisor:
    options: ServerOptions
    workers: list[Worker] = field(default_factory=list)
    models: Sequence[ModelConfig] | None = None
    rounds: dict[int, _Round] = field(default_factory=dict)
    round_count: int = 0
    is_stopping: bool = False
    status: int = 0
    inbox: queue.SimpleQueue[tuple[Worker, Message]] = field(default_factory=queue.SimpleQueue)

    def run(self) -> int:
        """Returns the worst of the workers' exit statuses."""
        woken, self._wakes = socket.socketpair()
        for end in (woken, self._wakes):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self.workers = [Worker() for _ in range(self.options.workers)]
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
            self._watch(now)
            alive = [worker for worker in self.workers if worker.process is not None]
            ready = wait([woken, *(w.process.sentinel for w in alive)], self._patience(now))
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    woken.recv(4096)
            self._hear()
            for index, worker in enumerate(self.workers):
                if worker.process is not None and worker.process.sentinel in ready:
                    self._bury(index)
        signal.set_wakeup_fd(-1)
        return self.status

    def _patience(self, now: float) -> float:
        due = [w.due for w in self.workers if w.process is None and not self.is_stopping]
        due += [one.deadline for one in self.rounds.values()]
        return max(min([now + _TICK_S, *due]) - now, 0.0) + 0.01

    def _stop(self, number: int, _: object) -> None:
        self.is_stopping = True
        for worker in self.workers:
            if worker.process is not None:
                worker.process.terminate()

    def _start(self, index: int) -> None:
        context = multiprocessing.get_context("spawn")
        worker = self.workers[index] = Worker(delay=self.workers[index].delay)
        ours, theirs = context.Pipe()
        options = self.options
        if index:  # a unix socket can't be shared by name
            options = replace(options, grpc_socket_path="")
        worker.process = context.Process(
            target=_work, args=(options, theirs, self.models), name=f"worker-{index}"
        )
        worker.started = time.monotonic()
        worker.process.start()
        theirs.close()
        worker.link = WorkerLink(ours, lambda message: self._take(worker, message))
        logger.info("worker %d is process %d", index, worker.process.pid)
        if self.is_stopping:
            worker.process.terminate()

    def _bury(self, index: int) -> None:
        worker = self.workers[index]
        worker.process.join()
        status = worker.process.exitcode
        lived = time.monotonic() - worker.started
        if worker.link is not None:
            worker.link.close()
        worker.process = worker.link = None
        worker.is_up = False
        self._leave_out(index)
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

    def _watch(self, now: float) -> None:
        """Asks the workers whether they are there, and waits for none that isn't."""
        for index, worker in enumerate(self.workers):
            if worker.link is None or not worker.is_up or self.is_stopping:
                continue
            if worker.asked is None:
                if now - worker.answered >= _PING_S:
                    worker.asked = now
                    worker.link.send(("ping", 0, None))
                continue
            silent = now - worker.asked
            longest = self.options.worker_timeout_seconds
            if silent > _HANGS_S and not worker.hangs:
                worker.hangs = True
                logger.error(
                    "worker %d, process %d, hasn't answered for %.0f s%s",
                    index, worker.process.pid, silent,
                    f"; it is replaced if it doesn't within {longest:g} s" if longest else "",
                )  # fmt: skip
                self._leave_out(index)
            if longest and silent > longest:
                logger.error("worker %d is ended: no answer for %.0f s", index, silent)
                worker.asked = now  # the end takes a moment
                worker.process.kill()
        for number in [n for n, one in self.rounds.items() if one.deadline <= now]:
            self.rounds[number].waits_for.clear()
            self._answered(number, -1, None)

    def _take(self, worker: Worker, message: Message) -> None:
        """Keeps a message for the supervisor's turn, on a thread of the link."""
        self.inbox.put((worker, message))
        with contextlib.suppress(OSError):  # it has been woken already
            self._wakes.send(b"\0")

    def _hear(self) -> None:
        while not self.inbox.empty():
            worker, (kind, number, content) = self.inbox.get()
            if worker not in self.workers:  # what it said before its end
                continue
            index = self.workers.index(worker)
            worker.answered, worker.asked = time.monotonic(), None
            if worker.hangs:
                worker.hangs = False
                logger.warning("worker %d answers again", index)
            if kind == "up":
                worker.is_up = True
            elif kind == "answer":
                self._answered(number, index, content)
            else:
                self._ask(index, kind, number, *content)

    def _ask(
        self, origin: int, kind: str, number: int, content: Any, patience_s: float | None
    ) -> None:
        """Hands a worker's question to all, and waits for those that are there.

        A configuration goes to the others, too: they take it when they are there again.
        """
        if kind == "configure":
            self.models = switches.kept(content, self.models or ())
        deadline = time.monotonic() + patience_s if patience_s is not None else float("inf")
        self.round_count += 1
        asked = {index for index, worker in enumerate(self.workers) if worker.is_there}
        answers = [None] * len(self.workers)
        self.rounds[self.round_count] = _Round(origin, number, asked, answers, deadline)
        for index, worker in enumerate(self.workers):
            if worker.link is not None and (index in asked or kind == "configure"):
                worker.link.send((kind, self.round_count, content))

    def _answered(self, number: int, index: int, answer: Any) -> None:
        asked = self.rounds.get(number)
        if asked is None:  # it comes too late
            return
        if index in asked.waits_for:
            asked.waits_for.discard(index)
            asked.answers[index] = answer
        if not asked.waits_for:
            del self.rounds[number]
            link = self.workers[asked.origin].link
            if link is not None:
                link.send(("answers", asked.number, asked.answers))

    def _leave_out(self, index: int) -> None:
        """Waits for no answer of a worker any more."""
        for number in list(self.rounds):
            self._answered(number, index, None)


def _work(options: ServerOptions, pipe: Connection, models: Sequence[ModelConfig] | None) -> None:
    """Serves in a worker's process."""
    from server.launch import process

    log.start()
    raise SystemExit(process.run(options, pipe, models))
