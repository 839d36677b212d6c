"""What a SavedModel made of a JAX model answers, how it is named, and its gradients."""

from typing import NamedTuple

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")
tf = needs.package("tensorflow", "exporter")

from artifact import program, versions
from artifact.manifest import Manifest
from artifact.variables import Bundle
from exporter.errors import UserError
from exporter.model import Model, TensorSpec
from exporter.publish import version
from exporter.publish.options import ExportOptions
from exporter.training import models

jnp = jax.numpy
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


class Layer(NamedTuple):
    kernel: jax.Array
    bias: jax.Array


def untrained(name, *, with_classifier=True):
    definition = models.get(name)
    params = definition.init(jax.random.key(1))
    return definition.model(params, with_classifier=with_classifier)


def written(model, directory, **options):
    settings = {"serving_batch_size": 1, "check_batch_sizes": (2,), **options}
    version.write(model, directory, ExportOptions(**settings))
    return tf.saved_model.load(str(directory))


def images(batch_size, seed=0):
    return np.random.default_rng(seed).normal(size=(batch_size, 28, 28, 1)).astype(np.float32)


@pytest.mark.parametrize("name", ["mnist_flax", "mnist_pure_jax"])
@pytest.mark.parametrize(
    ("serving_batch_size", "compile_model", "served", "called"),
    [
        (-1, True, [1, 5], [1, 5]),
        (-1, False, [5], [5]),
        (1, True, [1], [1, 16, 128]),
        (16, False, [16], [16, 128]),
    ],
)
def test_every_batch_mode_answers_as_jax(
    name, serving_batch_size, compile_model, served, called, tmp_path
):
    model = untrained(name)
    loaded = written(
        model, tmp_path, serving_batch_size=serving_batch_size, compile_model=compile_model
    )
    serve = loaded.signatures["serving_default"]
    for size in served:
        x = images(size, size)
        answer = serve(inputs=tf.constant(x))["output_0"]
        np.testing.assert_allclose(answer, model.func(model.params, x), **CLOSE)
    for size in called:
        x = images(size, size + 1)
        np.testing.assert_allclose(loaded(tf.constant(x)), model.func(model.params, x), **CLOSE)
    jax_program = program.load(tmp_path)
    for size in called:
        x = images(size, size)
        answer = jax_program.run({"inputs": x})["output_0"]
        np.testing.assert_allclose(answer, model.func(model.params, x), **CLOSE)


def test_a_fixed_export_refuses_other_batch_sizes(tmp_path):
    loaded = written(untrained("mnist_pure_jax"), tmp_path, serving_batch_size=2)
    with pytest.raises((ValueError, TypeError)):
        loaded(tf.constant(images(3)))
    with pytest.raises((ValueError, TypeError, tf.errors.InvalidArgumentError)):
        loaded.signatures["serving_default"](inputs=tf.constant(images(16)))


def test_the_features_are_those_below_the_classifier(tmp_path):
    model = untrained("mnist_flax", with_classifier=False)
    assert model.name == "mnist_flax_features"
    loaded = written(model, tmp_path, serving_batch_size=-1)
    x = images(3)
    features = loaded.signatures["serving_default"](inputs=tf.constant(x))["output_0"]
    assert features.shape == (3, 256)
    np.testing.assert_allclose(features, model.func(model.params, x), **CLOSE)


def test_variables_are_named_by_their_path_and_nested_as_in_jax(tmp_path):
    model = untrained("mnist_flax")
    loaded = written(model, tmp_path)
    kernel = np.asarray(model.params["conv1"]["kernel"])
    np.testing.assert_array_equal(loaded.params["conv1"]["kernel"], kernel)
    assert loaded.params["conv1"]["kernel"].name == "conv1/kernel:0"
    assert len(loaded.variables) == 8
    assert list(loaded.trainable_variables) == []
    assert list(loaded.regularization_losses) == []
    bundle = Bundle(tmp_path / versions.VARIABLES)
    leaves = jax.tree.leaves(model.params)
    for parameter, leaf in zip(Manifest.read(tmp_path).parameters, leaves, strict=True):
        np.testing.assert_array_equal(bundle.read(parameter.key), leaf)
        assert parameter.shape == leaf.shape


# Each case: specs of the inputs, a function of them, and the names that a signature has.
VECTOR, NUMBERS = TensorSpec(("b", 4)), TensorSpec(("b",), "int32")
PYTREES = {
    "array": (VECTOR, lambda w, x: x @ w, {"inputs"}, {"output_0"}),
    "tuple": (
        (VECTOR, NUMBERS),
        lambda w, x: (x[0] @ w, x[1] + 1),
        {"inputs_0", "inputs_1"},
        {"output_0", "output_1"},
    ),
    "list": (
        [VECTOR, VECTOR],
        lambda w, x: [x[0] @ w - x[1]],
        {"inputs_0", "inputs_1"},
        {"output_0"},
    ),
    "dictionary": (
        {"vector": VECTOR, "count": NUMBERS},
        lambda w, x: {"scores": x["vector"] @ w, "twice": 2 * x["count"]},
        {"vector", "count"},
        {"scores", "twice"},
    ),
    "nested": (
        {"pair": (VECTOR, VECTOR), "more": {"count": NUMBERS}},
        lambda w, x: {"sums": [x["pair"][0] @ w, x["pair"][1] @ w], "count": x["more"]["count"]},
        {"pair_0", "pair_1", "more_count"},
        {"sums_0", "sums_1", "count"},
    ),
    "one input is not used": (
        {"vector": VECTOR, "unused": NUMBERS},
        lambda w, x: x["vector"] @ w,
        {"vector", "unused"},
        {"output_0"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("serving_batch_size", [-1, 2])
@pytest.mark.parametrize("case", PYTREES)
def test_inputs_and_outputs_may_be_any_pytree(case, serving_batch_size, tmp_path):
    specs, function, inputs, outputs = PYTREES[case]
    rng = np.random.default_rng(0)
    params = rng.normal(size=(4, 4)).astype(np.float32)
    model = Model("pytrees", function, params, specs)
    loaded = written(model, tmp_path, serving_batch_size=serving_batch_size)
    signature = Manifest.read(tmp_path).signatures["serving_default"]
    assert signature.inputs.keys() == inputs
    assert signature.outputs.keys() == outputs

    tree = jax.tree.map(lambda s: rng.normal(size=(2, *s.shape[1:])).astype(s.dtype), specs)
    expected = function(params, tree)
    called = loaded(jax.tree.map(tf.constant, tree))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), called, expected)
    names = signature.program.input_names
    named = dict(zip(names, map(tf.constant, jax.tree.leaves(tree)), strict=True))
    served = loaded.signatures["serving_default"](**named)
    assert served.keys() == outputs
    for name, leaf in zip(signature.program.output_names, jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(served[name], leaf, **CLOSE)


def test_parameters_may_be_any_pytree_and_dtype(tmp_path):
    params = {
        "layers": [
            Layer(np.eye(4, dtype=np.float32), np.arange(4, dtype=np.float32)),
            Layer(jnp.ones((4, 4), jnp.bfloat16), jnp.zeros(4, jnp.bfloat16)),
        ],
        "shift": (np.int32(3), 0.5),
        "by_number": {7: {"a/b": np.float64(2)}},
    }

    def function(params, x):
        for layer in params["layers"]:
            x = x @ layer.kernel.astype(x.dtype) + layer.bias.astype(x.dtype)
        return params["by_number"][7]["a/b"] * x + params["shift"][0] * params["shift"][1]

    model = Model("nested", function, params, TensorSpec(("b", 4)))
    loaded = written(model, tmp_path, serving_batch_size=-1)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(loaded(tf.constant(x)), function(params, x), **CLOSE)
    assert [p.path for p in Manifest.read(tmp_path).parameters] == [
        "by_number/7/a/b", "layers/0/kernel", "layers/0/bias", "layers/1/kernel", "layers/1/bias",
        "shift/0", "shift/1",
    ]  # fmt: skip
    assert loaded.params["layers"][1]["kernel"].dtype == tf.bfloat16


def test_other_dimensions_may_be_open(tmp_path):
    def mean(params, x):
        mask = x["mask"].astype(jnp.float32)
        return params * jnp.sum(x["tokens"] * mask, axis=1) / jnp.sum(mask, axis=1)

    shape = ("b", "s")
    specs = {"tokens": TensorSpec(shape), "mask": TensorSpec(shape, "bool")}
    model = Model("sequences", mean, np.float32(2), specs)
    loaded = written(model, tmp_path, serving_batch_size=-1)
    for batch, length in ((1, 3), (2, 50)):
        tokens = np.random.default_rng(length).normal(size=(batch, length)).astype(np.float32)
        x = {"tokens": tokens, "mask": np.ones((batch, length), bool)}
        np.testing.assert_allclose(
            loaded(jax.tree.map(tf.constant, x)), mean(model.params, x), **CLOSE
        )


@pytest.mark.parametrize("serving_batch_size", [-1, 3])
def test_gradients_are_those_of_jax(serving_batch_size, tmp_path):
    model = untrained("mnist_flax")
    loaded = written(model, tmp_path, serving_batch_size=serving_batch_size, with_gradient=True)
    assert len(loaded.trainable_variables) == 8
    x = images(3)
    weights = np.random.default_rng(1).normal(size=(3, 10)).astype(np.float32)
    with tf.GradientTape() as tape:
        inputs = tf.Variable(x)
        loss = tf.reduce_sum(loaded(inputs) * weights)
    found = tape.gradient(loss, [*loaded.variables, inputs])

    def jax_loss(params, x):
        return jnp.sum(model.func(params, x) * weights)

    expected = jax.tree.leaves(jax.grad(jax_loss, argnums=(0, 1))(model.params, x))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


def test_gradients_pass_by_integers(tmp_path):
    specs = (TensorSpec(("b", 4)), TensorSpec(("b",), "int32"))

    def function(params, x):
        return {"y": x[0] * params["scale"], "n": x[1] + params["offset"]}

    params = {"scale": np.float32(3), "offset": np.int32(1)}
    loaded = written(
        Model("mixed", function, params, specs), tmp_path,
        serving_batch_size=-1, with_gradient=True,
    )  # fmt: skip
    assert [v.name for v in loaded.trainable_variables] == ["scale:0"]
    x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    with tf.GradientTape() as tape:
        y = loaded((tf.constant(x), tf.constant([1, 2])))["y"]
    (gradient,) = tape.gradient(y, loaded.trainable_variables)
    np.testing.assert_allclose(gradient, x.sum(), **CLOSE)


def test_without_gradients_asking_for_one_says_so(tmp_path):
    loaded = written(untrained("mnist_pure_jax"), tmp_path, serving_batch_size=-1)

    def differentiate(x):
        with tf.GradientTape() as tape:
            y = loaded(x)
        return tape.gradient(y, x)

    with pytest.raises(LookupError, match="--with_gradient"):
        differentiate(tf.Variable(images(1)))


def test_an_export_asks_only_for_what_old_runtimes_have(tmp_path):
    def top(params, x):
        return jax.lax.top_k(x * jax.lax.rsqrt(params), 2)

    written(
        Model("top", top, np.float32(4), TensorSpec(("b", 5))), tmp_path,
        serving_batch_size=3, platforms=("cpu", "cuda"),
    )  # fmt: skip
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    calls = [n.attr for f in functions for n in f.node_def if n.op == "XlaCallModule"]
    assert len(calls) == 3  # one a batch size: 3, 16 and 128
    for attributes in calls:
        assert attributes["version"].i == 9
        assert attributes["module"].s.startswith(b"ML\xefR\rStableHLO_v1.9.1")
        assert list(attributes["platforms"].list.s) == [b"CPU", b"CUDA"]


def test_warmup_records_are_requests_that_the_signature_takes(published):
    from tensorflow_serving.apis import prediction_log_pb2

    version_dir = published / "mnist_flax" / "1"
    loaded = tf.saved_model.load(str(version_dir))
    sizes = []
    for record in tf.data.TFRecordDataset(str(version_dir / versions.WARMUP)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "mnist_flax"
        serve = loaded.signatures[request.model_spec.signature_name]
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        sizes.append(len(serve(**{k: tf.constant(v) for k, v in inputs.items()})["output_0"]))
    assert sizes == [1, 16, 128]


def test_a_function_that_cannot_be_traced_is_one_clear_line(tmp_path):
    model = Model("branches", lambda p, x: x if x.sum() > 0 else -x, 0.0, TensorSpec(("b",)))
    with pytest.raises(UserError, match="branches can't be traced for any batch size: "):
        written(model, tmp_path, serving_batch_size=-1)
