"""TensorFlow without its greetings, and without its native libraries' talk."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without_native_output() -> Iterator[None]:
    """Hides what native libraries write to standard error; Python's lines are shown as usual.

    A converter that refuses a model dumps the whole of it there, beside the error that it raises.
    """
    shown, kept = sys.stderr, os.dup(2)
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        if _is_standard_error(shown):
            shown.flush()
            sys.stderr = os.fdopen(os.dup(kept), "w", buffering=1, errors="backslashreplace")
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(kept, 2)
        if sys.stderr is not shown:
            sys.stderr.close()
            sys.stderr = shown
        os.close(kept)
        os.close(devnull)


def import_tensorflow() -> None:
    """Imports TensorFlow, its native libraries' start-up messages left out.

    They are written before TensorFlow reads `TF_CPP_MIN_LOG_LEVEL`, and tell of GPUs that aren't
    there. Python's errors are shown as usual.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":  # unset, or as jax sets it
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with without_native_output():
        import tensorflow as tf

        # Its GPUs, if any, are JAX's here: TensorFlow only writes graphs and variables. Once it is
        # in use, it keeps the devices that it has and says so by an error.
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")
    tf.get_logger().setLevel("ERROR")


def _is_standard_error(stream: object) -> bool:
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False  # somebody else takes Python's lines
