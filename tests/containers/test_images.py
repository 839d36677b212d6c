"""What the images hold, who runs in them and how large they are."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.compose import ROOT

MB = 1_000_000
OWN = ("exporter", "server", "client")


@pytest.mark.parametrize(("name", "limit"), [("client", 250 * MB), ("server", 2000 * MB)])
def test_image_is_small(images, name, limit):
    assert images[name].attrs["Size"] <= limit


@pytest.mark.parametrize("name", [*OWN, "balancer"])
def test_image_does_not_run_as_root_and_gets_signals_itself(images, name):
    config = images[name].attrs["Config"]
    user = config["User"].split(":")[0]
    assert user.isdecimal()
    assert int(user) > 0
    assert config["Entrypoint"][0] in ("python", "haproxy")  # no shell between


@pytest.mark.parametrize("name", OWN)
def test_image_is_described(images, name):
    labels = images[name].attrs["Config"]["Labels"]
    for key in ("title", "description", "version", "revision", "licenses"):
        assert labels[f"org.opencontainers.image.{key}"]


def test_server_image_checks_its_health(images):
    assert images["server"].attrs["Config"]["Healthcheck"]["Test"][0] == "CMD"


@pytest.mark.parametrize("name", OWN)
def test_image_has_no_build_tools(engine, images, name):
    look = (
        "import importlib.util, shutil;"
        "print([t for t in ('pip', 'gcc', 'cc', 'g++', 'make', 'git') if shutil.which(t)],"
        "importlib.util.find_spec('pip'))"
    )
    assert _python(engine, images[name], look) == "[] None"


def test_client_image_has_neither_jax_nor_tensorflow(engine, images):
    look = "import importlib.util as u; print(u.find_spec('jax'), u.find_spec('tensorflow'))"
    assert _python(engine, images["client"], look) == "None None"


def test_dockerfile_has_no_complaints():
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, "docker/Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _python(engine, image, program):
    found = engine.containers.run(image.id, ["-c", program], entrypoint="python", remove=True)
    return found.decode().strip()
