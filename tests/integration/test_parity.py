"""Every kind of model in every runtime gives JAX's answers, or is refused in so many words."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")
tf = needs.package("tensorflow", "exporter")
needs.package("equinox")
needs.package("haiku")

import grpc

from artifact import golden
from artifact.comparison import difference
from artifact.manifest import Manifest
from exporter import TensorSpec
from exporter.errors import UserError
from exporter.formats import tflite
from exporter.model.entry import entries
from tests import models
from tests.support import exports
from tests.support.servers import ServerProcess
from wire import dtypes, services, tensors
from wire import serving_pb2 as pb

NAMES = ("mnist_mlp", "mnist_cnn", "resnet", "vit", "text_encoder", "lstm", *models.UNUSUAL)
# What a runtime can't do, by runtime and model, and the words in which it says so.
REFUSALS = {
    ("rest", "complex_filter"): "complex",
    ("rest", "scalars"): r'"empty" has shape \[0\]',  # what JSON makes of [0, 3]
    ("tflite", "complex_filter"): "complex",
    ("tflite", "bfloat16"): "can't be written for TensorFlow Lite",
    ("tflite", "scalars"): "input empty has no elements",
}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A version of each model, by name, for any batch size."""
    base = tmp_path_factory.mktemp("parity")
    return {name: exports.kind(base, name) for name in NAMES}


@pytest.fixture(scope="module")
def server(published, tmp_path_factory):
    """One server with all of the models."""
    folder = tmp_path_factory.mktemp("server")
    entries = [f'config {{ name: "{n}" base_path: "{p.parent}" }}' for n, p in published.items()]
    (folder / "models.config").write_text(f"model_config_list {{ {' '.join(entries)} }}")
    flag = f"--model_config_file={folder / 'models.config'}"
    with ServerProcess(folder / "log", flag, wait_s=240) as process:
        yield process


def through_signature(version_dir, server, signature, inputs):
    loaded = tf.saved_model.load(str(version_dir))
    outputs = loaded.signatures[signature](**{k: tf.constant(v) for k, v in inputs.items()})
    return {name: value.numpy() for name, value in outputs.items()}


def through_hub(version_dir, server, signature, inputs):
    hub = needs.package("tensorflow_hub", "reuse")
    # Keras 2 casts what a layer is given to the layer's dtype.
    is_bfloat16 = any(array.dtype.name == "bfloat16" for array in inputs.values())
    layer = hub.KerasLayer(str(version_dir), dtype="bfloat16" if is_bfloat16 else None)
    return by_name(version_dir, layer(tree(version_dir, inputs)))


def through_keras(version_dir, server, signature, inputs):
    needs.package("keras", "reuse")
    from exporter.formats.keras.layers import SavedModelLayer

    layer = SavedModelLayer(str(version_dir))
    return by_name(version_dir, layer(tree(version_dir, inputs)))


def through_rest(version_dir, server, signature, inputs):
    name = version_dir.parent.name
    body = {
        "signature_name": signature,
        "inputs": {key: as_json(value) for key, value in inputs.items()},
    }
    status, _, answer = server.rest(f"/v1/models/{name}:predict", body)
    parsed = json.loads(answer)
    if status != 200:
        raise UserError(parsed["error"])
    wanted = Manifest.read(version_dir).signatures[signature].outputs
    outputs = parsed["outputs"] if len(wanted) > 1 else dict.fromkeys(wanted, parsed["outputs"])
    # JSON has no dtypes: the signature has them.
    kinds = {key: dtypes.numpy_dtype(wanted[key].dtype) for key in outputs}
    return {key: np.array(value).astype(kinds[key]) for key, value in outputs.items()}


def through_grpc(version_dir, server, signature, inputs):
    request = pb.PredictRequest(
        model_spec=pb.ModelSpec(name=version_dir.parent.name, signature_name=signature),
        inputs={key: tensors.from_array(value) for key, value in inputs.items()},
    )
    with server.channel() as channel:
        try:
            answer = services.PREDICTION_METHODS["Predict"].stub(channel)(request, timeout=60)
        except grpc.RpcError as error:
            raise UserError(error.details()) from None
    return {key: tensors.to_array(value) for key, value in answer.outputs.items()}


def through_tflite(version_dir, server, signature, inputs):
    entry = entries(models.build(version_dir.parent.name))[signature]
    closed = {k: TensorSpec(array.shape, array.dtype.name) for k, array in inputs.items()}
    return tflite.runner(tflite.convert(replace(entry, inputs=entry.tree(closed))))(inputs)


RUNTIMES = {
    "tensorflow": through_signature,
    "hub": through_hub,
    "keras": through_keras,
    "rest": through_rest,
    "grpc": through_grpc,
    "tflite": through_tflite,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_runtime_gives_the_answers_of_jax(runtime, name, published, server):
    version_dir = published[name]
    manifest = Manifest.read(version_dir)
    compared = 0
    for (signature, case), found in golden.read(version_dir).items():
        if signature != "serving_default" and runtime in ("hub", "keras"):
            continue  # a layer is the model's `__call__`
        if runtime == "tflite" and case != "batch_1":
            continue
        if (runtime, name) in REFUSALS:
            with pytest.raises(UserError, match=REFUSALS[runtime, name]):
                RUNTIMES[runtime](version_dir, server, signature, found.inputs)
            return
        answers = RUNTIMES[runtime](version_dir, server, signature, found.inputs)
        assert answers.keys() == found.outputs.keys()
        for output, expected in found.outputs.items():
            error, agrees = difference(answers[output], expected, manifest.tolerance)
            assert agrees, f"{signature}/{case}: {output} differs by {error:.1e}"
            compared += 1
    assert compared


def test_only_bfloat16_may_be_less_exact(published):
    for name, version_dir in published.items():
        limit = 1e-2 if name == "bfloat16" else 1e-5
        for record in Manifest.read(version_dir).signatures.values():
            assert record.tolerances.keys() == record.outputs.keys()
            for tolerance in record.tolerances.values():
                assert (tolerance.rtol, tolerance.atol) == (limit, limit)


def test_other_signatures_share_the_parameters(published):
    manifest = Manifest.read(published["sequences"])
    assert manifest.signatures.keys() == {"serving_default", "features", "embed"}
    assert [p.path for p in manifest.parameters] == ["kernel", "table"]
    lengths = {
        case.inputs["tokens" if signature != "embed" else "inputs"].shape[1]
        for (signature, _), case in golden.read(published["sequences"]).items()
        if signature != "embed"
    }
    assert len(lengths) > 1
    assert all(length % 2 == 0 and length <= 64 for length in lengths)


def as_json(array):
    if array.dtype == object:
        return [{"b64": base64.b64encode(value).decode()} for value in array]
    if np.iscomplexobj(array):
        return array.astype(str).tolist()
    return array.astype(float).tolist() if array.dtype.name == "bfloat16" else array.tolist()


def tree(version_dir, inputs):
    """The inputs as `__call__` takes them."""
    specs = models.build(version_dir.parent.name).inputs
    names = Manifest.read(version_dir).signatures["serving_default"].program.input_names
    return jax.tree.structure(specs).unflatten([tf.constant(inputs[name]) for name in names])


def by_name(version_dir, outputs):
    names = Manifest.read(version_dir).signatures["serving_default"].program.output_names
    leaves = [np.asarray(value) for value in tf.nest.flatten(outputs)]
    return dict(zip(names, leaves, strict=True))
