"""What several test files share."""

import dataclasses
import os

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

MODELS = ("mnist_flax", "mnist_pure_jax")


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A models directory with both MNIST models, version 1, any batch size.

    They learnt from 2,560 images, which takes a few seconds and makes them right mostly.
    """
    pytest.importorskip("jax", reason="needs jax: pip install -e '.[exporter]'")
    pytest.importorskip("tensorflow", reason="needs tensorflow: pip install -e '.[exporter]'")
    from exporter import ExportOptions
    from exporter.training import datasets, models
    from exporter.training.loop import TrainOptions, train
    from tests.support.exports import publish

    base = tmp_path_factory.mktemp("published")
    dataset = datasets.load()
    few = dataclasses.replace(dataset, train=dataset.train.head(2560))
    for name in MODELS:
        definition = models.get(name)
        result = train(definition, few, TrainOptions(num_epochs=1, batch_size=64, progress=False))
        model = definition.model(
            result.params, examples=dataset.test.examples(256), metrics=result.metrics
        )
        publish(model, base, ExportOptions(version=1, serving_batch_size=-1))
    return base
