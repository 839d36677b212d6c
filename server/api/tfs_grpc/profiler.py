"""tensorflow.ProfilerService: a trace of what the process does, taken by JAX's profiler.

Source: xla/tsl/profiler/rpc/profiler_service_impl.cc. JAX has a server of this service, too, but
it listens on all interfaces and lets everybody in, and it writes files wherever a client says. Here
the trace goes back in the answer, as in earlier releases; clients write it into a file of theirs.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from server.errors import Code, ServingError, invalid
from server.models import threads
from server.protocol.grpc.method import Context
from wire import profiler_pb2 as pb

_TOOL = "xplane.pb"
_LONGEST_MS = 60_000  # a trace is kept in memory


class ProfilerService:
    """The methods of the service; a `ServingError` of theirs is the call's status."""

    def __init__(self) -> None:
        self._session: str | None = None
        self._stop = asyncio.Event()

    async def Profile(self, request: pb.ProfileRequest, context: Context) -> pb.ProfileResponse:
        """Traces the process for some time and returns the trace."""
        milliseconds = request.opts.duration_ms or request.duration_ms
        if not 0 < milliseconds <= _LONGEST_MS:
            raise invalid(f"duration_ms is {milliseconds}; it must be from 1 to {_LONGEST_MS}")
        if self._session is not None:
            raise ServingError(Code.ALREADY_EXISTS, "Another profiling session active.")
        self._session = request.session_id
        self._stop.clear()
        work = asyncio.ensure_future(self._trace(request.opts, milliseconds / 1e3))
        try:
            # Whoever doesn't wait any more stops the trace, which must be ended all the same.
            trace = await asyncio.shield(work)
        except asyncio.CancelledError:
            self._stop.set()
            work.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise
        response = pb.ProfileResponse(empty_trace=not trace)
        if trace:
            response.tool_data.add(name=_TOOL, data=trace)
        return response

    async def Monitor(self, request: pb.MonitorRequest, context: Context) -> pb.MonitorResponse:
        """Answers as TensorFlow's servers do."""
        raise ServingError(Code.UNIMPLEMENTED, "unimplemented.")

    async def Terminate(
        self, request: pb.TerminateRequest, context: Context
    ) -> pb.TerminateResponse:
        """Ends a session before its time; it is answered with what there is."""
        if self._session == request.session_id:
            self._stop.set()
        return pb.TerminateResponse()

    async def _trace(self, options: pb.ProfileOptions, seconds: float) -> bytes:
        """Traces for some seconds, or until it is told to stop.

        Raises:
            ServingError: JAX isn't installed, or somebody else in this process profiles it.
        """
        try:
            with tempfile.TemporaryDirectory(prefix="profile-") as directory:
                await threads.run(lambda: _start(directory, options), "profile")
                try:
                    await asyncio.wait_for(self._stop.wait(), seconds)
                except TimeoutError:
                    pass
                finally:
                    trace = await threads.run(lambda: _finish(Path(directory)), "profile")
                return trace
        except (ModuleNotFoundError, RuntimeError, OSError) as error:
            raise ServingError(Code.INTERNAL, f"JAX's profiler: {error}") from None
        finally:
            self._session = None


def _start(directory: str, wanted: pb.ProfileOptions) -> None:
    import jax

    options: Any = jax.profiler.ProfileOptions()
    if wanted.version:  # else the levels aren't set, and 0 is no level
        options.host_tracer_level = wanted.host_tracer_level
        options.python_tracer_level = wanted.python_tracer_level
        if hasattr(options, "device_tracer_level"):
            options.device_tracer_level = wanted.device_tracer_level
    jax.profiler.start_trace(directory, profiler_options=options)


def _finish(directory: Path) -> bytes:
    import jax

    jax.profiler.stop_trace()
    found = sorted(directory.rglob(f"*.{_TOOL}"))
    return found[0].read_bytes() if found else b""
