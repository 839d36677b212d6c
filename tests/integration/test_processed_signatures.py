"""Image files and tf.Examples in, class names and values out: as JAX answers them."""

import base64
import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import grpc
import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")
tf = needs.package("tensorflow", "exporter")
Image = needs.package("PIL.Image", "exporter")

from artifact import golden, program
from artifact.manifest import Manifest
from exporter import ExportOptions
from exporter.commands.progress import Progress
from exporter.errors import CheckFailed
from exporter.model.entry import default_entry
from exporter.model.model import Examples
from exporter.signatures import requests
from exporter.signatures.plan import ProcessingPlan
from exporter.training.image_signatures import image_signatures
from exporter.verify.check import check
from exporter.verify.inputs import draw
from exporter.verify.process import reloader
from exporter.verify.published import recheck
from server.engines.engine import EngineOptions
from server.loading.loader import Loader
from tests import models
from tests.models.image_and_size import CLASSES
from tests.support.exports import publish
from tests.support.servers import ROOT, ServerProcess
from wire import services, tensors
from wire import serving_pb2 as pb

NAME = "image_and_size"
BATCH_SIZES = (1, 3, 16)


@pytest.fixture(scope="module")
def version_dir(tmp_path_factory):
    """Published after its comparison with the independent path."""
    options = ExportOptions(serving_batch_size=-1, check_batch_sizes=(1, 3, 16))
    return publish(models.build(NAME), tmp_path_factory.mktemp("processed"), options)


@pytest.fixture(scope="module")
def digits_dir(version_dir):
    """A classifier of digits, as `--image_signatures` exports it."""
    model = models.build("mnist_mlp")
    model = replace(model, processed=image_signatures(tuple(map(str, range(10)))))
    options = ExportOptions(serving_batch_size=-1, verify=False, check_batch_sizes=(4,))
    return publish(model, version_dir.parent.parent, options)


@pytest.fixture(scope="module")
def server(version_dir, digits_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    entries = [
        f'config {{ name: "{path.parent.name}" base_path: "{path.parent}" }}'
        for path in (version_dir, digits_dir)
    ]
    (folder / "models.config").write_text(f"model_config_list {{ {' '.join(entries)} }}")
    flag = f"--model_config_file={folder / 'models.config'}"
    with ServerProcess(folder / "log", flag, wait_s=240) as process:
        yield process


def fresh_case(version_dir, signature, batch_size):
    """New random requests, with answers of Pillow, NumPy and JAX's own function."""
    model = models.build(NAME)
    plan = ProcessingPlan.from_json(
        Manifest.read(version_dir).signatures[signature].processing, version_dir
    )
    seed = np.random.default_rng().integers(1 << 30)

    def inputs(attempt):
        return draw(default_entry(model), batch_size, int(seed + attempt))

    def run(arrays):
        return {k: np.asarray(v) for k, v in model.func(model.params, arrays).items()}

    return requests.random_case(plan, inputs, run, batch_size, np.random.default_rng(seed))


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_version_holds_what_it_needs(version_dir):
    manifest = Manifest.read(version_dir)
    assert (version_dir / "assets" / "classes.txt").read_text().splitlines() == list(CLASSES)
    assert {p.signature for p in manifest.parity} == manifest.signatures.keys()
    entry = manifest.signatures["classify"]
    assert entry.method_name == "tensorflow/serving/classify"
    assert (entry.inputs.keys(), entry.outputs.keys()) == ({"inputs"}, {"classes", "scores"})
    case = golden.read(version_dir)["photo", "batch_16"]
    kinds = {data[1:4] for data in case.inputs["photo"]}
    assert kinds == {b"PNG", b"\xd8\xff\xe0"}, "both PNG and JPEG files were compared"


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_image_files_over_rest(version_dir, server, batch_size):
    case = fresh_case(version_dir, "photo", batch_size)
    instances = [
        {
            "photo": {"b64": base64.b64encode(photo).decode()},
            "size": size.tolist(),
            "legs": int(legs),
        }
        for photo, size, legs in zip(
            case.inputs["photo"], case.inputs["size"], case.inputs["legs"], strict=True
        )
    ]
    body = {"signature_name": "photo", "instances": instances}
    status, _, answer = server.rest(f"/v1/models/{NAME}:predict", body)
    assert status == 200, answer
    rows = json.loads(answer)["predictions"]
    expected = [[name.decode() for name in row] for row in case.outputs["classes"]]
    assert [row["classes"] for row in rows] == expected
    assert [row["class_ids"] for row in rows] == case.outputs["class_ids"].tolist()
    close([row["scores"] for row in rows], case.outputs["scores"])


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_image_files_over_grpc(version_dir, server, batch_size):
    case = fresh_case(version_dir, "photo", batch_size)
    answer = predict(server, "photo", case.inputs)
    assert answer["classes"].tolist() == case.outputs["classes"].tolist()
    close(answer["scores"], case.outputs["scores"])


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_classify_over_rest_and_grpc(version_dir, server, batch_size):
    case = fresh_case(version_dir, "classify", batch_size)
    expected = case.outputs["classes"].tolist()
    body = {"signature_name": "classify", "examples": list(map(as_json, case.inputs["inputs"]))}
    status, _, answer = server.rest(f"/v1/models/{NAME}:classify", body)
    assert status == 200, answer
    rows = json.loads(answer)["results"]
    assert [[name.encode() for name, _ in row] for row in rows] == expected
    close([[score for _, score in row] for row in rows], case.outputs["scores"])

    request = pb.ClassificationRequest(model_spec=spec("classify"), input=as_input(case))
    with server.channel() as channel:
        found = services.PREDICTION_METHODS["Classify"].stub(channel)(request, timeout=60)
    rows = [row.classes for row in found.result.classifications]
    assert [[entry.label.encode() for entry in row] for row in rows] == expected
    close([[entry.score for entry in row] for row in rows], case.outputs["scores"])


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_regress_over_rest_and_grpc(version_dir, server, batch_size):
    case = fresh_case(version_dir, "regress", batch_size)
    body = {"signature_name": "regress", "examples": list(map(as_json, case.inputs["inputs"]))}
    status, _, answer = server.rest(f"/v1/models/{NAME}:regress", body)
    assert status == 200, answer
    close(json.loads(answer)["results"], case.outputs["outputs"].ravel())

    request = pb.RegressionRequest(model_spec=spec("regress"), input=as_input(case))
    with server.channel() as channel:
        found = services.PREDICTION_METHODS["Regress"].stub(channel)(request, timeout=60)
    close([row.value for row in found.result.regressions], case.outputs["outputs"].ravel())


def test_the_plain_signature_stays_with_the_xla_engine(version_dir, server):
    case = golden.read(version_dir)["serving_default", "batch_3"]
    answer = predict(server, "serving_default", case.inputs)
    for name, expected in program.load(version_dir).run(case.inputs).items():
        # In a batch of more rows, sums have another order.
        np.testing.assert_allclose(answer[name], expected, rtol=1e-5, atol=1e-6)
    assert "engine xla+tensorflow" in server.log


def test_a_feature_with_a_default_may_be_left_out(version_dir, server):
    (data,) = fresh_case(version_dir, "classify", 1).inputs["inputs"]
    with_default, without = pb.Example.FromString(data), pb.Example.FromString(data)
    with_default.features.feature["legs"].int64_list.value[:] = [6]
    del without.features.feature["legs"]
    answers = [
        server.rest(
            f"/v1/models/{NAME}:classify",
            {"signature_name": "classify", "examples": [as_json(e.SerializeToString())]},
        )
        for e in (with_default, without)
    ]
    assert answers[0][0] == 200
    assert answers[0][2] == answers[1][2]


@pytest.mark.parametrize("mode", ["P", "LA", "1"])
def test_other_kinds_of_files(version_dir, server, mode):
    """Palettes, transparency, black and white."""
    case = fresh_case(version_dir, "photo", 1)
    file = io.BytesIO()
    image = Image.open(io.BytesIO(case.inputs["photo"][0])).convert("RGB").convert(mode)
    image.save(file, "PNG")
    request = {**case.inputs, "photo": np.array([file.getvalue()], object)}
    plan = ProcessingPlan.from_json(
        Manifest.read(version_dir).signatures["photo"].processing, version_dir
    )
    expected = requests.answered(plan, request, program.load(version_dir).run)
    close(predict(server, "photo", request)["scores"], expected.outputs["scores"])


def test_what_is_no_image_is_refused(version_dir, server):
    case = fresh_case(version_dir, "photo", 1)
    request = {**case.inputs, "photo": np.array([b"GIF? no: text"], object)}
    with pytest.raises(grpc.RpcError) as error:
        predict(server, "photo", request)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "image" in error.value.details()


def test_a_published_version_is_checked_again_with_new_files(version_dir):
    found = recheck(version_dir, stage=Progress())
    assert {p.signature for p in found.parity} == found.manifest.signatures.keys()


def test_another_vocabulary_is_noticed(version_dir, tmp_path):
    shutil.copytree(version_dir, tmp_path / "1")
    vocabulary = tmp_path / "1" / "assets" / "classes.txt"
    first, second, *rest = CLASSES
    vocabulary.write_text("".join(f"{name}\n" for name in (second, first, *rest)))
    with reloader(("cpu",)) as process, pytest.raises(CheckFailed, match="classes isn't JAX's"):
        check(tmp_path / "1", f"{NAME}/1", process, {})


@pytest.mark.parametrize("xla", [True, False])
def test_a_signature_of_a_fixed_batch_size(tmp_path, xla):
    """Around a JAX program, and around the same function in plain TensorFlow ops."""
    model = models.build(NAME)
    examples = Examples(draw(default_entry(model), 5, seed=1))
    model = replace(model, processed={"photo": model.processed["photo"]}, examples=examples)
    options = ExportOptions(serving_batch_size=2, xla=xla, compile_model=xla)
    version_dir = publish(model, tmp_path, options)
    found = Manifest.read(version_dir)
    assert found.signatures["photo"].inputs["photo"].shape == (2,)
    assert {p.batch_size for p in found.parity if p.signature == "photo"} == {2}
    sent = golden.read(version_dir)["photo", golden.EXAMPLES].inputs
    assert len(sent["photo"]) > 2
    Loader(EngineOptions())(NAME, 1, version_dir).engine.close()  # its warm-up requests fit
    signature = tf.saved_model.load(str(version_dir)).signatures["photo"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="compatible with expected shape"):
        signature(**{name: tf.constant(array[:3]) for name, array in sent.items()})


@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_the_client_compares_with_the_golden_examples(version_dir, server, api):
    flags = ["--model", NAME, "--signature", "photo", "--count_images", "16", "--batch_size", "8"]
    flags += ["--model_dir", str(version_dir.parent.parent), "--json"]
    done = client(server, api, *flags)
    assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads(done.stdout)["ok"]


@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_the_client_sends_files(digits_dir, server, tmp_path, api):
    case = golden.read(digits_dir)["image", "batch_4"]
    files = [tmp_path / f"{row}.image" for row in range(4)]
    for path, content in zip(files, case.inputs["image"], strict=True):
        path.write_bytes(content)
    name = digits_dir.parent.name
    done = client(server, api, "--model", name, "--json", "--image", *map(str, files))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["signature"] == "image"
    expected = [[label.decode() for label in row] for row in case.outputs["classes"]]
    assert [row["classes"] for row in answer["images"]] == expected
    close([row["scores"] for row in answer["images"]], case.outputs["scores"])


def test_the_client_names_the_signatures_that_take_files(digits_dir, server, tmp_path):
    (tmp_path / "x.png").write_bytes(b"")
    flags = ("--signature", "classify", "--image", str(tmp_path / "x.png"))
    done = client(server, "rest", "--model", digits_dir.parent.name, *flags)
    assert done.returncode == 2
    assert "choose one with --signature: image" in done.stderr


def client(server, api, *flags):
    port = server.grpc_port if api == "grpc" else server.rest_port
    command = [sys.executable, "-m", "client.predict", "--port", str(port)]
    command += ["--grpc"] if api == "grpc" else []
    return subprocess.run([*command, *flags], cwd=ROOT, capture_output=True, text=True)


def predict(server, signature, inputs):
    request = pb.PredictRequest(
        model_spec=spec(signature),
        inputs={name: tensors.from_array(array) for name, array in inputs.items()},
    )
    with server.channel() as channel:
        answer = services.PREDICTION_METHODS["Predict"].stub(channel)(request, timeout=60)
    return {name: tensors.to_array(value) for name, value in answer.outputs.items()}


def spec(signature):
    return pb.ModelSpec(name=NAME, signature_name=signature)


def as_input(case):
    parsed = [pb.Example.FromString(data) for data in case.inputs["inputs"]]
    return pb.Input(example_list=pb.ExampleList(examples=parsed))


def as_json(data):
    """A serialized tf.Example as REST's classify and regress take it."""
    features = pb.Example.FromString(data).features.feature
    return {name: json_value(feature) for name, feature in features.items()}


def json_value(feature):
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value)
    if kind == "bytes_list":
        values = [{"b64": base64.b64encode(value).decode()} for value in values]
    return values if len(values) > 1 else values[0]
