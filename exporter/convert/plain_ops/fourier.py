"""Fast Fourier transforms."""

from __future__ import annotations

import tensorflow as tf

from exporter.convert.plain_ops.errors import UnsupportedForm
from exporter.convert.plain_ops.rule import Rule, Site, Value

# By the primitive's `fft_type` (FFT, IFFT, RFFT, IRFFT) and the number of axes.
_COMPLEX = {
    (0, 1): tf.signal.fft,
    (0, 2): tf.signal.fft2d,
    (0, 3): tf.signal.fft3d,
    (1, 1): tf.signal.ifft,
    (1, 2): tf.signal.ifft2d,
    (1, 3): tf.signal.ifft3d,
}
_REAL = {
    (2, 1): tf.signal.rfft,
    (2, 2): tf.signal.rfft2d,
    (2, 3): tf.signal.rfft3d,
    (3, 1): tf.signal.irfft,
    (3, 2): tf.signal.irfft2d,
    (3, 3): tf.signal.irfft3d,
}


def fft(site: Site, x: Value) -> Value:
    """Over the last one to three axes."""
    lengths = site.sizes(site.params["fft_lengths"])
    kind = (int(site.params["fft_type"]), len(lengths))
    if kind in _COMPLEX:
        return _COMPLEX[kind](x)
    if kind in _REAL:
        return _REAL[kind](x, fft_length=lengths)
    raise UnsupportedForm(f"over {len(lengths)} axes; 1 to 3 are supported")


RULES = {"fft": Rule(fft)}
