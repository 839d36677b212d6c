"""What several test files share."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.trained import trained

# A busy machine is no reason to fail.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

HERE = Path(__file__).parent
# Whose tests share what takes long to start: folders, and fixtures of several files.
FOLDERS = {"browser", "containers", "conformance"}
FIXTURES = {"tensorflow_server"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests of a group run in one of the parallel processes; a file is one, if nothing else is."""
    for item in items:
        shared = FIXTURES.intersection(item.fixturenames)
        folder = item.path.parent
        path = folder if folder.name in FOLDERS else item.path
        group = shared.pop() if shared else str(path.relative_to(HERE))
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A models directory with both MNIST models, version 1, any batch size."""
    base = tmp_path_factory.mktemp("published")
    trained(base, "mnist_flax", "mnist_pure_jax")
    return base
