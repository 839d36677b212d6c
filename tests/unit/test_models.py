import jax
import numpy as np
import pytest

from exporter.errors import UserError
from exporter.model import TensorSpec
from exporter.training import models
from exporter.training.augmentation import random_shift

PARAMETERS = {"mnist_flax": 824_458, "mnist_pure_jax": 669_706}
FEATURES = {"mnist_flax": 256, "mnist_pure_jax": 512}
BATCHES = [1, 2, 16]


@pytest.fixture(scope="module", params=sorted(PARAMETERS))
def definition(request):
    return models.get(request.param)


@pytest.fixture(scope="module")
def params(definition):
    return definition.init(jax.random.key(7))


def images(batch: int) -> np.ndarray:
    return np.random.default_rng(batch).random((batch, 28, 28, 1), np.float32)


def paths(params) -> set[str]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {"/".join(key.key for key in path) for path, _ in leaves}


def test_registry_knows_its_models():
    assert set(models.names()) >= set(PARAMETERS)
    for name in models.names():
        assert models.get(name).name == name


def test_unknown_model_is_named():
    with pytest.raises(UserError, match="model 'mnist' is none of mnist_flax, mnist_pure_jax"):
        models.get("mnist")


def test_parameter_count(definition, params):
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == PARAMETERS[definition.name]


def test_parameters_are_nested_by_layer(definition, params):
    layers = {
        "mnist_flax": ["conv1", "conv2", "dense1", "dense2"],
        "mnist_pure_jax": ["dense1", "dense2", "dense3"],
    }[definition.name]
    assert paths(params) == {f"{layer}/{part}" for layer in layers for part in ("kernel", "bias")}


def test_pure_jax_starts_from_a_normal_distribution():
    params = models.get("mnist_pure_jax").init(jax.random.key(0))
    for leaf in jax.tree.leaves(params)[:4]:
        # Ten standard errors, for the smallest of them (512 biases).
        assert abs(leaf.mean()) < 10 * 0.1 / leaf.size**0.5
        assert abs(leaf.std() - 0.1) < 10 * 0.1 / (2 * leaf.size) ** 0.5


@pytest.mark.parametrize("batch", BATCHES)
def test_classifier_gives_log_probabilities(definition, params, batch):
    model = definition.model(params)
    assert model.name == definition.name
    output = model.func(model.params, images(batch))
    assert output.shape == (batch, 10)
    assert output.dtype == np.float32
    np.testing.assert_allclose(np.exp(output).sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("batch", BATCHES)
def test_classifier_is_the_last_layer_on_the_features(definition, params, batch):
    model = definition.model(params, with_classifier=False)
    assert model.name == f"{definition.name}_features"
    features = model.func(model.params, images(batch))
    assert features.shape == (batch, FEATURES[definition.name])
    layer = params[definition.classifier]
    expected = jax.nn.log_softmax(features @ layer["kernel"] + layer["bias"])
    output = definition.apply(params, images(batch), True)
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)


def test_features_hold_no_classifier(definition, params):
    model = definition.model(params, with_classifier=False)
    assert set(model.params) == set(params) - {definition.classifier}
    # Leaving out what is left out already is how a published version is checked again.
    again = definition.model(model.params, with_classifier=False)
    assert set(again.params) == set(model.params)


def test_model_carries_what_it_is_given(definition, params):
    model = definition.model(params, metrics={"test_accuracy": 0.5})
    assert model.metrics == {"test_accuracy": 0.5}
    assert model.examples is None
    assert model.inputs == TensorSpec(("b", 28, 28, 1), "float32")


def test_rows_do_not_depend_on_one_another(definition, params):
    batch = images(16)
    together = definition.apply(params, batch, True)
    alone = np.concatenate([definition.apply(params, row[None], True) for row in batch])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


def test_flax_layers_are_the_example_s():
    """Against the same network written with lax alone."""
    definition = models.get("mnist_flax")
    params = definition.init(jax.random.key(1))
    x = images(4)
    for layer in ("conv1", "conv2"):
        x = jax.lax.conv_general_dilated(
            x, params[layer]["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = np.maximum(x + params[layer]["bias"], 0)
        size = x.shape[1] // 2
        x = x.reshape(4, size, 2, size, 2, -1).mean(axis=(2, 4))
    x = np.maximum(x.reshape(4, -1) @ params["dense1"]["kernel"] + params["dense1"]["bias"], 0)
    x = jax.nn.log_softmax(x @ params["dense2"]["kernel"] + params["dense2"]["bias"])
    np.testing.assert_allclose(definition.apply(params, images(4), True), x, rtol=1e-5, atol=1e-5)


def test_random_shift_moves_images_whole():
    batch = np.zeros((64, 28, 28, 1), np.float32)
    batch[:, 13:15, 13:15] = np.arange(1, 5).reshape(2, 2, 1)
    moved = np.asarray(random_shift(jax.random.key(0), batch, pixels=2))
    places = set()
    for image in moved:
        (row, column) = np.argwhere(image[..., 0]).min(axis=0)
        np.testing.assert_array_equal(image, np.roll(batch[0], (row - 13, column - 13), (0, 1)))
        places.add((int(row) - 13, int(column) - 13))
    # Of the 25 places, 64 images take far more than a handful, and none beyond two pixels.
    assert len(places) > 15
    assert max(max(abs(row), abs(column)) for row, column in places) == 2
