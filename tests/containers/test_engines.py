"""The embedded server's second image, which has both engines."""

import json
import time
import urllib.request

import pytest

from tests.support.compose import MODEL, image

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def both(engine, compose, images):
    chosen = {"SERVER_IMAGE": "server-tensorflow", "BASE_IMAGE": image("base-image")}
    compose("--profile", "embedded", "build", "model-server-embedded", **chosen)
    return engine.images.get("jax-serving-stack/server-tensorflow")


def test_it_is_the_first_image_and_tensorflow(engine, images, both):
    layers = images["server"].attrs["RootFS"]["Layers"]
    assert both.attrs["RootFS"]["Layers"][:-1] == layers
    look = "import jax, tensorflow; print(jax.__version__, tensorflow.__version__)"
    found = engine.containers.run(both.id, ["-c", look], entrypoint="python", remove=True)
    assert len(found.decode().split()) == 2


def test_it_serves_versions_that_take_images(engine, stack, both):
    flags = [f"--model={MODEL}", "--num_epochs=0", "--model_path=/models/images"]
    flags.append("--serving_batch_size=-1")
    stack("run", "--rm", "--no-deps", "exporter", *flags, "--image_signatures", "--noshow_model")
    server = engine.containers.run(
        both.id,
        [f"--model_name={MODEL}", f"--model_base_path=/models/images/{MODEL}"],
        volumes=[f"{stack.volume}:/models:ro"],
        ports={"8501/tcp": ("127.0.0.1", None)},
        detach=True,
    )
    try:
        assert {"image", "serving_default"} <= signatures(server)
    finally:
        server.remove(force=True)


def signatures(server):
    """The names of the signatures, once the server answers."""
    for _ in range(240):
        server.reload()
        assert server.status == "running", server.logs().decode()
        try:
            port = server.ports["8501/tcp"][0]["HostPort"]
            url = f"http://127.0.0.1:{port}/v1/models/{MODEL}/metadata"
            with urllib.request.urlopen(url, timeout=30) as response:
                return json.load(response)["metadata"]["signature_def"]["signature_def"].keys()
        except (OSError, KeyError, IndexError):
            time.sleep(0.5)
    pytest.fail(server.logs().decode())
