"""Request logs: a share of a model's requests with their answers, in files.

A record is a PredictionLog, as in warm-up files, so what was logged can warm up the next version.
Source of the rules: tensorflow_serving/core/{request_logger,server_request_logger}.cc
"""

from __future__ import annotations

import logging
import os
import queue
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import Message

from server.models import records
from server.models.repository import Repository
from server.models.servable import Servable
from wire import serving_pb2 as pb

logger = logging.getLogger(__name__)

_MAX_WAITING = 1000  # records that a slow disk may keep in memory; more are left out
_MAX_OPEN = 64  # files, where reloads bring ever new prefixes


class RequestLog:
    """The request logs of all models, written on a thread of their own.

    Requests don't wait for the disk, and don't fail with it.
    """

    def __init__(self, repository: Repository, tags: Sequence[str] = ()) -> None:
        """Takes the models, whose configurations say what is logged, and the tags to record."""
        self._repository = repository
        self._tags = tags
        self._queue: queue.Queue[tuple[str, pb.PredictionLog] | None] = queue.Queue(_MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._suffix = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.tfrecord"
        self._files: dict[str, BinaryIO] = {}
        self._is_failing = False

    def wants(self, model: str) -> bool:
        """Draws whether a model's request that was just answered is to be logged."""
        found = self._repository.models.get(model)
        logged = found.config.logging if found is not None else None
        return logged is not None and random.random() < logged.sampling_rate

    def add(
        self, servable: Servable, signature: str, kind: str, request: Message, response: Message
    ) -> None:
        """Logs a request and its answer; the kind is PredictionLog's, such as `predict_log`."""
        model = self._repository.models.get(servable.name)
        if model is None or model.config.logging is None:
            return
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
        about.sampling_config.sampling_rate = model.config.logging.sampling_rate
        about.saved_model_tags.extend(self._tags)
        about.timestamp_secs = int(time.time())
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="request-log", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait((model.config.logging.filename_prefix, log))
        except queue.Full:
            self._complain("more than the disk takes")

    def close(self) -> None:
        """Writes what waits and closes the files."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (entry := self._queue.get()) is not None:
            prefix, log = entry
            try:
                file = self._file(prefix)
                file.write(records.framed(log.SerializeToString()))
                if self._queue.empty():
                    file.flush()
                    self._is_failing = False
            except OSError as error:
                self._complain(str(error))
                self._close(prefix)
        for prefix in list(self._files):
            self._close(prefix)

    def _file(self, prefix: str) -> BinaryIO:
        if prefix not in self._files:
            if len(self._files) >= _MAX_OPEN:
                self._close(next(iter(self._files)))
            path = Path(f"{prefix}-{self._suffix}")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files[prefix] = path.open("ab")
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
