"""What several test files share."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.support.trained import trained

# A busy machine is no reason to fail.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Tests that share what takes long to start: a Docker engine, Chromium, servers.
TOGETHER = (
    ("tests/browser/",),
    ("tests/containers/",),
    ("tests/integration/conformance/",),
    ("tests/integration/v2/",),
    (
        "tests/integration/test_client_server.py",
        "tests/integration/test_server_examples.py",
        "tests/integration/test_server_ovmsclient.py",
        "tests/integration/test_server_predict.py",
        "tests/integration/test_server_surroundings.py",
    ),
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Of the processes of `pytest -n`, each takes whole files, and whole groups of `TOGETHER`."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            for group in TOGETHER:
                if nodeid.startswith(group):
                    return group[0]
            return nodeid.partition("::")[0]

    config.option.loadscopereorder = False  # would put files of few tests last, the longest ones
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A models directory with both MNIST models, version 1, any batch size."""
    base = tmp_path_factory.mktemp("published")
    trained(base, "mnist_flax", "mnist_pure_jax")
    return base
