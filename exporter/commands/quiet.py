"""Importing TensorFlow without its greetings."""

from __future__ import annotations

import contextlib
import os


def import_tensorflow() -> None:
    """Imports TensorFlow, its native libraries' start-up messages left out.

    They are written before TensorFlow reads `TF_CPP_MIN_LOG_LEVEL`, and tell of GPUs that aren't
    there. Python's errors are shown as usual.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":  # unset, or as jax sets it
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    saved = os.dup(2)
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        import tensorflow as tf

        # Its GPUs, if any, are JAX's here: TensorFlow only writes graphs and variables. Once it is
        # in use, it keeps the devices that it has and says so by an error.
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(devnull)
    tf.get_logger().setLevel("ERROR")
