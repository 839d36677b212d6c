"""Published versions written by hand: golden examples and a manifest, no model."""

import numpy as np

from artifact import golden
from artifact.manifest import Manifest, SignatureRecord, Tensor
from tests.support import needs


def publish_half_plus_two(base, version, error=0.0):
    """Writes JAX's answers of half_plus_two, `error` apart; returns the models directory."""
    jnp = needs.package("jax.numpy", "exporter")
    x = np.random.default_rng(3).normal(size=24).astype(np.float32)
    y = np.asarray(jnp.asarray(x) / 2 + 2) + np.float32(error)
    directory = base / "half_plus_two" / str(version)
    (directory / "assets.extra").mkdir(parents=True)
    open_batch = Tensor((None,), "float32")
    signatures = {"serving_default": SignatureRecord({"x": open_batch}, {"y": open_batch})}
    Manifest("half_plus_two", version, "2026-01-01T00:00:00Z", signatures, ()).write(directory)
    case = golden.GoldenCase({"x": x}, {"y": y})
    golden.write(directory, {("serving_default", "batch_24"): case})
    return base
