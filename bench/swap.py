"""What a new version costs the requests that are on their way: an open loop across a swap."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.comparison import Comparison
from bench.subjects import Server

_SECONDS = 8.0
_PUBLISHED_AFTER_S = 2.0
_SHARE = 0.4  # of the rate that the closed loop reached: some room, as a deployment has


def measure(
    comparison: Comparison, server: Server, version_dir: Path, capacity: float, in_flight: int
) -> dict[str, Any]:
    """Returns latencies in ms and errors, without a swap and with one, at the same rate.

    Args:
        comparison: Whose requests are sent.
        server: What serves them, in a process of its own.
        version_dir: The version, which is published once more under the next number.
        capacity: Requests of one example a second that its closed loop has reached, by its first
            protocol.
        in_flight: As many requests at a time, at most.

    Raises:
        Unavailable: the server doesn't start.
    """
    found: dict[str, Any] = {"rate": capacity * _SHARE}
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory())) / version_dir.parent.name
        first = base / version_dir.name
        shutil.copytree(version_dir, first)
        subject = server.start(stack, first)
        protocol = server.protocols[0]

        def run() -> dict[str, Any]:
            return comparison.traffic.open(
                subject, protocol, capacity * _SHARE, in_flight, _SECONDS
            ).as_json()

        run()  # warms up
        found["steady"] = run()
        publishing = threading.Thread(target=_publish, args=(version_dir, base))
        publishing.start()
        found["swap"] = run()
        publishing.join()
        found["protocol"] = protocol
    return found


def _publish(version_dir: Path, base: Path) -> None:
    """Puts the next version in place by one rename, a while after the load has begun."""
    time.sleep(_PUBLISHED_AFTER_S)
    staged = base / ".staged"
    shutil.copytree(version_dir, staged)
    staged.rename(base / str(int(version_dir.name) + 1))
