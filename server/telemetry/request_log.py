"""Request logs: a share of a model's requests with their answers, in files.

A record is a PredictionLog, as in warm-up files, so what was logged can warm up the next version.
Source of the rules: tensorflow_serving/core/{request_logger,server_request_logger}.cc
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from google.protobuf.message import Message

from server.models import model_config, records
from server.models.repository import Repository
from server.models.servable import Servable
from server.telemetry import log_files
from server.telemetry.log_files import Bounds, LogFile
from wire import serving_pb2 as pb

logger = logging.getLogger(__name__)

# What a slow disk may keep in memory; more is left out.
_MAX_WAITING = 1000
_MAX_WAITING_BYTES = 64 * 2**20
_MAX_OPEN = 64  # files, where reloads bring ever new prefixes
_CLOSE_S = 5.0  # a disk that hangs doesn't keep the server from its end
_BOUNDS = Bounds()

# Gives PredictionLog's name of what was asked, such as `predict_log`, the request and the answer.
Describe = Callable[[], tuple[str, Message, Message]]


class RequestLog:
    """The request logs of all models, written on a thread of their own.

    Requests don't wait for the disk, and don't fail with it, nor with anything else in here.
    """

    def __init__(
        self,
        repository: Repository,
        tags: Sequence[str] = (),
        directory: Path | None = None,
        bounds: Bounds = _BOUNDS,
    ) -> None:
        """Takes the models, whose configurations say what is logged.

        Args:
            repository: Has them.
            tags: Of the models' graphs, to be recorded.
            directory: Below which files are written; None: nowhere.
            bounds: Of what the files may take.
        """
        self._repository = repository
        self._tags = tags
        self._directory = directory
        self._bounds = bounds
        self._queue: queue.Queue[tuple[str, pb.PredictionLog, int] | None]
        self._queue = queue.Queue(_MAX_WAITING)
        self._waiting_bytes = 0  # written by the event loop's thread alone
        self._written_bytes = 0  # and by this log's
        self._thread: threading.Thread | None = None
        self._suffix = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        self._full = 0  # files; the next ones have this number
        self._files: dict[str, LogFile] = {}
        self._is_failing = False

    def wants(self, model: str) -> bool:
        """Draws whether a model's request that was just answered is to be logged."""
        found = self._repository.models.get(model)
        logged = found.config.logging if found is not None else None
        return logged is not None and random.random() < logged.sampling_rate

    def add(self, servable: Servable, signature: str, describe: Describe) -> None:
        """Logs a request and its answer."""
        model = self._repository.models.get(servable.name)
        if model is None or model.config.logging is None or self._directory is None:
            return
        config = model.config.logging
        try:
            log = self._record(servable, signature, config.sampling_rate, *describe())
            size = log.ByteSize()
            if self._waiting_bytes - self._written_bytes + size > _MAX_WAITING_BYTES:
                raise queue.Full
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="request-log", daemon=True)
                self._thread.start()
            self._queue.put_nowait((config.filename_prefix, log, size))
            self._waiting_bytes += size
        except queue.Full:
            self._complain("more than the disk takes")
        except Exception as error:
            self._complain(f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Writes what waits and closes the files, as far as the disk does so in time."""
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=_CLOSE_S)
            self._thread.join(_CLOSE_S)
            self._thread = None

    def _record(
        self,
        servable: Servable,
        signature: str,
        rate: float,
        kind: str,
        request: Message,
        response: Message,
    ) -> pb.PredictionLog:
        log = pb.PredictionLog()
        getattr(log, kind).request.CopyFrom(request)
        getattr(log, kind).response.CopyFrom(response)
        for message in (getattr(log, kind).request, getattr(log, kind).response):
            if "model_spec" in message.DESCRIPTOR.fields_by_name:
                message.model_spec.name = servable.name
                message.model_spec.signature_name = signature
                message.model_spec.version.value = servable.version
        about = log.log_metadata
        about.model_spec.name = servable.name
        about.model_spec.version.value = servable.version
        about.model_spec.signature_name = signature
        about.sampling_config.sampling_rate = rate
        about.saved_model_tags.extend(self._tags)
        about.timestamp_secs = int(time.time())
        return log

    def _work(self) -> None:
        while (entry := self._queue.get()) is not None:
            prefix, log, size = entry
            try:
                self._write(prefix, records.framed(log.SerializeToString()))
                self._is_failing = False
            except Exception as error:  # such as a full disk, or a record that is too long
                self._complain(str(error))
                self._close(prefix)
            self._written_bytes += size
        for prefix in list(self._files):
            self._close(prefix)

    def _write(self, prefix: str, record: bytes) -> None:
        file = self._files.get(prefix)
        if file is not None and file.size + len(record) > self._bounds.file_bytes and file.size:
            self._close(prefix)
            self._full += 1
            file = None
        (file or self._open(prefix)).write(record)

    def _open(self, prefix: str) -> LogFile:
        if len(self._files) >= _MAX_OPEN:
            self._close(next(iter(self._files)))
        assert self._directory is not None
        path = model_config.log_prefix(self._directory, prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Again: what didn't exist before may lead elsewhere now.
        path = model_config.log_prefix(self._directory, prefix)
        in_use = {file.path for file in self._files.values()}
        for gone in log_files.make_room(path, self._bounds.files, in_use):
            logger.info("removed %s, the oldest of %d files", gone, self._bounds.files)
        number = f"-{self._full}" if self._full else ""
        path = path.with_name(f"{path.name}-{self._suffix}{number}.tfrecord")
        self._files[prefix] = LogFile(path)
        logger.info("requests are logged to %s", path)
        return self._files[prefix]

    def _close(self, prefix: str) -> None:
        file = self._files.pop(prefix, None)
        try:
            if file is not None:
                file.close()
        except OSError as error:
            self._complain(str(error))

    def _complain(self, problem: str) -> None:
        if not self._is_failing:
            self._is_failing = True
            logger.error("requests are missing in the request log: %s", problem)
