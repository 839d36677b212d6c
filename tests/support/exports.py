"""Small exports of this project's exporter, whose answers tell their version."""

from pathlib import Path

import numpy as np

from tests.support.published import publish_once


def publish(model, base, options=None, **more):
    """Publishes a model's next version below a directory of models; returns its directory."""
    from exporter import export_model

    return export_model(model, Path(base) / model.name, options, **more)


def scaled(base, version, *, name="scaled", **options):
    """Publishes `tanh(x @ weights) * version` for x of [batch, 4]; see `scaled_answer`."""
    publish_once(base, export_scaled, version=version, name=name, **options)
    return Path(base) / name / str(version)


def export_scaled(base, version, *, name="scaled", serving_batch_size=-1, verify=False):
    """The same, always by an export of its own."""
    import jax.numpy as jnp

    from exporter.model import Model, TensorSpec
    from exporter.publish.options import ExportOptions

    model = Model(
        name,
        lambda params, x: jnp.tanh(x @ params["weights"]) * params["scale"],
        {"weights": WEIGHTS, "scale": np.float32(version)},
        TensorSpec(("b", 4)),
    )
    options = ExportOptions(
        version=version,
        serving_batch_size=serving_batch_size,
        verify=verify,
        warmup_batch_sizes=(1, 3),
    )
    return publish(model, base, options)


WEIGHTS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def scaled_answer(x, version):
    """What `scaled` answers, to a relative 1e-5."""
    return np.tanh(x @ WEIGHTS) * np.float32(version)


def named(base, version):
    """Publishes a model with two named inputs and outputs; see `named_answer`."""
    publish_once(base, export_named, version=version)
    return Path(base) / "named" / str(version)


def export_named(base, version):
    """The same, always by an export of its own."""
    import jax.numpy as jnp

    from exporter.model import Model, TensorSpec
    from exporter.publish.options import ExportOptions

    model = Model(
        "named",
        lambda params, x: {
            "sum": x["a"].astype(jnp.float32) + x["b"].sum(-1) + params,
            "twice": x["a"] * 2,
        },
        np.float32(version),
        {"a": TensorSpec(("batch",), "int32"), "b": TensorSpec(("batch", 2))},
    )
    return publish(model, base, ExportOptions(version=version, serving_batch_size=-1, verify=False))


def named_answer(a, b, version):
    """What `named` answers."""
    return {"sum": a.astype(np.float32) + b.sum(-1) + np.float32(version), "twice": a * 2}


def kind(base, name):
    """Publishes one of `tests.models`, version 1, unchecked."""
    publish_once(base, export_kind, name=name)
    return Path(base) / name / "1"


def export_kind(base, name):
    """The same, always by an export of its own."""
    from exporter.publish.options import ExportOptions
    from tests import models

    options = ExportOptions(
        version=1,
        serving_batch_size=-1,
        verify=False,
        check_batch_sizes=(1, 3),
        warmup_batch_sizes=(1,),
    )
    return publish(models.build(name), base, options)
