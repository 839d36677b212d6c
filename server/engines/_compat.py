"""TensorFlow's private parts that the server uses.

pyproject.toml has the versions that they are tested with, the oldest and the newest of them by
`make test-versions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def make_callable(session: Any, feed: Sequence[str], fetch: Sequence[str]) -> Any:
    """Returns a function of a session's graph, which saves what `Session.run` does at each call.

    Args:
        session: A `tf.compat.v1.Session`.
        feed: Names of the tensors that the function takes, in its order.
        fetch: Names of the tensors that it gives.
    """
    from tensorflow.core.protobuf import config_pb2

    options = config_pb2.CallableOptions(feed=feed, fetch=fetch)
    return session._make_callable_from_options(options)
