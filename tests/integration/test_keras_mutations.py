"""A network whose SavedModel is wrong in any of many ways is not written."""

import numpy as np
import pytest

from tests.support import needs

tf = needs.package("tensorflow", "exporter")
keras = needs.package("keras", "reuse")
needs.package("jax", "exporter")

from exporter.errors import CheckFailed
from exporter.formats.keras import saving

pytestmark = pytest.mark.slow
SHAPE = (6, 6, 1)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Conv2D(4, 3, activation="relu", padding="same"),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="tanh", bias_initializer="random_normal"),
            keras.layers.Dense(16, bias_initializer="random_normal"),
        ]
    )


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((5, *SHAPE), np.float32)


def test_what_is_right_is_written(network, images, tmp_path):
    saving.save(network, tmp_path / "network" / "1", images)
    loaded = tf.saved_model.load(str(tmp_path / "network" / "1")).signatures["serving_default"]
    answer = loaded(inputs=tf.constant(images))["output_0"]
    np.testing.assert_allclose(answer, network(images), rtol=1e-6, atol=1e-6)


def output(change):
    return lambda serve, x: {"output_0": change(serve(inputs=x)["output_0"])}


def given(change):
    return lambda serve, x: serve(inputs=change(x))


def rows(x):
    return tf.shape(x)[0]


ANSWERS = {
    "another name": lambda serve, x: {"scores": serve(inputs=x)["output_0"]},
    "an output too many": lambda serve, x: {**serve(inputs=x), "more": x},
    "wider floats": output(lambda v: tf.cast(v, tf.float64)),
    "another shape": output(lambda v: v[..., None]),
    "an output less": output(lambda v: v[:, :-1]),
    "a little more": output(lambda v: v + 1e-4),
    "a little larger": output(lambda v: v * 1.001),
    "rounded": output(lambda v: tf.cast(tf.cast(v, tf.bfloat16), tf.float32)),
    "rows reversed": output(lambda v: v[::-1]),
    "columns reversed": output(lambda v: v[:, ::-1]),
    "the first row for all": output(lambda v: tf.broadcast_to(v[:1], tf.shape(v))),
    "a softmax": output(tf.nn.softmax),
    "no negative numbers": output(tf.nn.relu),
    "small numbers flushed": output(lambda v: tf.where(tf.abs(v) < 0.05, 0.0, v)),
    "an image turned": given(lambda x: tf.transpose(x, [0, 2, 1, 3])),
    "pixels cut off at one": given(lambda x: tf.minimum(x, 1.0)),
    "pixels cut off at zero": given(lambda x: tf.maximum(x, 0.0)),
    "another scale": given(lambda x: x / 255),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_other_answers_are_refused(network, images, tmp_path, monkeypatch, name):
    save = tf.saved_model.save

    def wrong(module, directory, signatures):
        serve = signatures["serving_default"]
        answer = tf.function(lambda inputs: ANSWERS[name](serve, inputs), autograph=False)
        spec = tf.TensorSpec((None, *SHAPE), tf.float32, name="inputs")
        save(module, directory, {"serving_default": answer.get_concrete_function(spec)})

    monkeypatch.setattr(tf.saved_model, "save", wrong)
    with pytest.raises(CheckFailed, match="nothing was written"):
        saving.save(network, tmp_path / "network", images)
    assert not list(tmp_path.iterdir())


VARIABLES = {
    "a bias": (3, lambda a: a + np.float32(1e-4) * (np.arange(16) == 3)),
    "a bias' sign": (5, np.negative),
    "a transposed matrix": (4, np.transpose),
    "a kernel upside down": (0, lambda a: a[::-1]),
    "a NaN": (4, lambda a: np.where(a == a.max(), np.nan, a)),
    "a column of zeros": (2, lambda a: a * (np.arange(16) != 3)),
    "rows turned": (2, lambda a: a[::-1]),
    "one weight": (4, lambda a: np.where(a == a.max(), a.min(), a)),
}


@pytest.mark.parametrize("name", VARIABLES)
def test_other_parameters_are_refused(network, images, tmp_path, monkeypatch, name):
    save = tf.saved_model.save
    index, change = VARIABLES[name]

    def wrong(module, directory, signatures):
        variable = module.parameters[index]
        kept = variable.numpy()
        variable.assign(np.asarray(change(kept), np.float32))
        save(module, directory, signatures)
        variable.assign(kept)

    monkeypatch.setattr(tf.saved_model, "save", wrong)
    with pytest.raises(CheckFailed, match="nothing was written"):
        saving.save(network, tmp_path / "network", images)
    assert not list(tmp_path.iterdir())
