"""Exported features in Keras networks: trained, compared with JAX, saved, served."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support import needs

for package, extra in (("tensorflow", "exporter"), ("tf_keras", "reuse"), ("keras", "reuse")):
    needs.package(package, extra)

from exporter.errors import UserError
from tests.support.servers import ServerProcess

ROOT = Path(__file__).parents[2]
WAYS = {"hub_frozen", "hub_fine_tuned", "keras_frozen", "keras_fine_tuned"}
DENSE = 512 * 10 + 10
FEATURES = 28 * 28 * 512 + 512 + 512 * 512 + 512


@pytest.fixture(scope="module")
def reused(tmp_path_factory):
    """What the command says of all ways, and the directory of the last network."""
    base = tmp_path_factory.mktemp("reuse")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "exporter", "reuse", "--model", "mnist_pure_jax", "--json"),
            *("--num_epochs=1", "--reuse_epochs=1", "--notest_savedmodel"),
            *("--model_path", str(base), "--save_network", str(base / "network" / "1")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), base


@pytest.mark.slow
def test_every_way_trains_what_it_shall(reused):
    found, _ = reused
    assert found["gradient_difference"] <= 1e-5
    networks = {network["way"]: network for network in found["networks"]}
    assert networks.keys() == WAYS
    for way, network in networks.items():
        assert network["trained"] == DENSE + (FEATURES if "fine_tuned" in way else 0)
        assert network["test_accuracy"] > 0.85
    for kind in ("hub", "keras"):
        frozen, tuned = networks[f"{kind}_frozen"], networks[f"{kind}_fine_tuned"]
        assert tuned["test_accuracy"] > frozen["test_accuracy"]


@pytest.mark.slow
def test_the_fine_tuned_network_is_served_with_its_own_answers(reused, tmp_path):
    import tensorflow as tf

    _, base = reused
    images = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    network = tf.saved_model.load(str(base / "network" / "1"))
    expected = network.signatures["serving_default"](inputs=tf.constant(images))["output_0"]
    np.testing.assert_allclose(np.sum(expected, axis=1), 1, atol=1e-5)
    with ServerProcess(
        tmp_path / "log",
        "--model_name=network",
        f"--model_base_path={base / 'network'}",
        "--xla_cpu_compilation_enabled",
    ) as server:
        status, _, body = server.rest("/v1/models/network:predict", {"instances": images.tolist()})
    assert status == 200, body
    np.testing.assert_allclose(json.loads(body)["predictions"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_features_without_gradients_are_not_fine_tuned(reused, tmp_path):
    from exporter import ExportOptions, Model, TensorSpec
    from exporter.formats.keras.layers import SavedModelLayer
    from tests.support.exports import publish

    model = Model("m", lambda p, x: x * p, np.float32(2), TensorSpec(("b", 2)))
    options = ExportOptions(verify=False, serving_batch_size=-1, check_batch_sizes=(1,))
    version_dir = publish(model, tmp_path, options)
    with pytest.raises(UserError, match="has nothing to train; export it again with --with_grad"):
        SavedModelLayer(str(version_dir), trainable=True)
    frozen = SavedModelLayer(str(version_dir))
    assert frozen.trainable_variables == []
    np.testing.assert_allclose(frozen(np.ones((3, 2), np.float32)), np.full((3, 2), 2))
