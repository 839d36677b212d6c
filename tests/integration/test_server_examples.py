"""Classify, Regress and MultiInference on half_plus_two, as Serving's documentation has them."""

import json

import grpc
import pytest

from tests.support import needs

tf = needs.package("tensorflow", "exporter")
apis = needs.package("tensorflow_serving.apis.prediction_service_pb2_grpc", "exporter")
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    regression_pb2,
)

MODEL = "/v1/models/half_plus_two"


@pytest.fixture(scope="module")
def stub(tensorflow_server):
    with tensorflow_server.channel() as channel:
        yield apis.PredictionServiceStub(channel)


def examples(*values, **context):
    def example(features):
        return tf.train.Example(
            features=tf.train.Features(
                feature={
                    name: tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
                    for name, value in features.items()
                }
            )
        )

    found = [example({"x": value} if isinstance(value, float) else value) for value in values]
    if context:
        return input_pb2.Input(
            example_list_with_context=input_pb2.ExampleListWithContext(
                examples=found, context=example(context)
            )
        )
    return input_pb2.Input(example_list=input_pb2.ExampleList(examples=found))


def request(kind, signature, *values, **context):
    found = kind(input=examples(*values, **context))
    found.model_spec.name = "half_plus_two"
    found.model_spec.signature_name = signature
    return found


def test_regress_answers_byte_for_byte(tensorflow_server):
    body = b'{"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}, {"x": 2.0}]}'
    status, _, answer = tensorflow_server.rest(f"{MODEL}:regress", body)
    assert (status, answer) == (200, b'{\n    "results": [2.5, 3.0]\n}')


def test_classify_answers_byte_for_byte(tensorflow_server):
    body = b'{"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}, {"x": 2.0}]}'
    status, _, answer = tensorflow_server.rest(f"{MODEL}:classify", body)
    assert (status, answer) == (200, b'{\n    "results": [[["", 2.5]], [["", 3.0]]]\n}')


def test_a_context_stands_in_every_example(tensorflow_server, stub):
    body = {"signature_name": "regress_x2_to_y3", "context": {"x2": 2.0}, "examples": [{}, {}]}
    _, _, answer = tensorflow_server.rest(f"{MODEL}:regress", body)
    assert json.loads(answer) == {"results": [4.0, 4.0]}
    response = stub.Regress(
        request(regression_pb2.RegressionRequest, "regress_x2_to_y3", {}, {}, x2=2.0)
    )
    assert [found.value for found in response.result.regressions] == [4.0, 4.0]


def test_the_official_stubs_classify_and_regress(stub):
    response = stub.Classify(
        request(classification_pb2.ClassificationRequest, "classify_x_to_y", 1.0, 5.0)
    )
    scores = [found.classes[0].score for found in response.result.classifications]
    assert scores == [2.5, 4.5]
    assert response.model_spec.version.value == 123
    assert response.model_spec.signature_name == "classify_x_to_y"
    response = stub.Regress(request(regression_pb2.RegressionRequest, "regress_x_to_y2", 1.0))
    assert [found.value for found in response.result.regressions] == [3.5]


def multi(*tasks):
    found = inference_pb2.MultiInferenceRequest(input=examples(1.0, 2.0))
    for signature, method in tasks:
        task = found.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name = "half_plus_two"
        task.model_spec.signature_name = signature
    return found


def test_multi_inference_does_both(stub):
    response = stub.MultiInference(
        multi(("regress_x_to_y", "regress"), ("classify_x_to_y", "classify"))
    )
    regression, classification = response.results
    assert [found.value for found in regression.regression_result.regressions] == [2.5, 3.0]
    assert [
        found.classes[0].score for found in classification.classification_result.classifications
    ] == [2.5, 3.0]
    assert regression.model_spec.version.value == 123
    assert classification.model_spec.signature_name == "classify_x_to_y"


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([("regress_x_to_y", "regress")] * 2, "Duplicate evaluation of signature: regress_x_to_y"),
        ([("none", "regress")], "Requested signature not found in model graph: none"),
        (
            [("regress_x_to_y", "predict")],
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
    ],
)
def test_multi_inference_fails_in_the_official_words(stub, tasks, message):
    with pytest.raises(grpc.RpcError) as caught:
        stub.MultiInference(multi(*tasks))
    assert caught.value.details() == message


def text(inputs, outputs, method):
    """A signature of one float output as protobuf's text format has it."""

    def entry(field, name, tensor, dtype, *dims):
        sizes = "".join(f"      dim {{\n        size: {size}\n      }}\n" for size in dims)
        return (
            f'{field} {{\n  key: "{name}"\n  value {{\n    name: "{tensor}"\n    dtype: {dtype}\n'
            f"    tensor_shape {{\n{sizes}    }}\n  }}\n}}\n"
        )

    return (
        entry("inputs", *inputs)
        + entry("outputs", *outputs)
        + f'method_name: "tensorflow/serving/{method}"\n'
    )


PREDICT = text(("x", "x:0", "DT_FLOAT", -1, 1), ("y", "y:0", "DT_FLOAT", -1, 1), "predict")
REGRESS = text(
    ("inputs", "tf_example:0", "DT_STRING", -1), ("outputs", "y:0", "DT_FLOAT", -1, 1), "regress"
)


@pytest.mark.parametrize(
    ("verb", "body", "message"),
    [
        (
            "classify", {"signature_name": "none", "examples": [{"x": 1.0}]},
            "No signature was found with the name: none",
        ),
        (
            "regress", {"signature_name": "serving_default", "examples": [{"x": 1.0}]},
            "No regression inputs found in SignatureDef: " + PREDICT,
        ),
        (
            "classify", {"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}]},
            "Expected classification signature outputs to contain at least one of "
            '"classes" or "scores". Signature was: ' + REGRESS,
        ),
    ],
)  # fmt: skip
def test_signatures_must_fit_the_method(tensorflow_server, verb, body, message):
    status, _, answer = tensorflow_server.rest(f"{MODEL}:{verb}", body)
    assert (status, json.loads(answer)) == (400, {"error": message})


def test_without_tasks_no_model_is_named(stub):
    for found in (multi(), inference_pb2.MultiInferenceRequest()):
        with pytest.raises(grpc.RpcError) as caught:
            stub.MultiInference(found)
        assert (caught.value.code().name, caught.value.details()) == (
            "INVALID_ARGUMENT", "ModelSpec has no name specified."
        )  # fmt: skip


def test_a_signature_that_cant_is_the_clients_fault_by_grpc_too(stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Regress(request(regression_pb2.RegressionRequest, "", 1.0))
    assert (caught.value.code().name, caught.value.details()) == (
        "INVALID_ARGUMENT", "No regression inputs found in SignatureDef: " + PREDICT
    )  # fmt: skip


def test_an_empty_input_is_refused(stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Classify(request(classification_pb2.ClassificationRequest, "classify_x_to_y"))
    assert (caught.value.code().name, caught.value.details()) == (
        "INVALID_ARGUMENT", "Input is empty."
    )  # fmt: skip


def test_a_feature_of_the_wrong_kind_is_the_clients_fault(tensorflow_server):
    body = {"signature_name": "regress_x_to_y", "examples": [{"x": "text"}]}
    status, _, answer = tensorflow_server.rest(f"{MODEL}:regress", body)
    assert status == 400
    assert "Data types don't match" in json.loads(answer)["error"]
