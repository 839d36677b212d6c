"""`--exact`: a row's answer has the same bits, whatever it is merged with."""

import json
import threading

import numpy as np
import pytest

from artifact import golden, versions
from tests.support import exports, needs
from tests.support.servers import ServerProcess
from wire import services, tensors
from wire import serving_pb2 as pb

needs.package("jax", "exporter")

# In the short run: one whose sums of larger batches are cut otherwise; one whose places in a batch
# differ in some sizes, with images, tf.Examples and classes around it; one that is run row by row.
FEW = ("quickdraw_cnn", "image_and_size", "sequences")
FAMILIES = (
    *FEW, "mnist_mlp", "mnist_cnn", "resnet", "vit", "text_encoder", "lstm", "bfloat16", "nnx_mlp",
    "equinox_mlp", "haiku_mlp", "complex_filter",
)  # fmt: skip
ROWS = 64  # that requests are made of
MOST = 50  # rows of a request
CALLERS = 6


class Caller(threading.Thread):
    """Sends random rows of random models in random numbers, and keeps each row's bits."""

    def __init__(self, server, models, requests, seed):
        super().__init__()
        self.server, self.models, self.requests = server, models, requests
        self.rng = np.random.default_rng(seed)
        self.found, self.failures = [], []

    def run(self):
        with self.server.channel() as channel:
            self.stubs = {
                name: services.PREDICTION_METHODS[name].stub(channel)
                for name in ("Predict", "Classify", "Regress")
            }
            for _ in range(self.requests):
                model, signature, rows = self.models[self.rng.integers(len(self.models))]
                chosen = self.rng.integers(0, ROWS, self.rng.integers(1, MOST + 1))
                inputs = {name: array[chosen] for name, array in rows.items()}
                try:
                    kind, answers = self.answers(model, signature, inputs)
                    assert len(answers) == len(chosen)
                    self.found += [
                        ((model, signature, kind, row), bits)
                        for row, bits in zip(chosen.tolist(), answers, strict=True)
                    ]
                except Exception as error:
                    self.failures.append(error)

    def answers(self, model, signature, inputs):
        spec = pb.ModelSpec(name=model, signature_name=signature)
        if signature in ("classify", "regress"):
            method = signature.capitalize()
            request = getattr(
                pb, {"Classify": "ClassificationRequest", "Regress": "RegressionRequest"}[method]
            )(model_spec=spec)
            for example in inputs["inputs"]:
                request.input.example_list.examples.append(pb.Example.FromString(example))
            result = self.stubs[method](request, timeout=120).result
            entries = result.classifications if method == "Classify" else result.regressions
            return method, [entry.SerializeToString(deterministic=True) for entry in entries]
        dtypes = {array.dtype.name for array in inputs.values()}
        if dtypes <= {"float32", "int32", "bool"} and self.rng.random() < 0.3:
            return "REST", self.rest(model, signature, inputs)
        request = pb.PredictRequest(model_spec=spec)
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(tensors.from_array(array))
        response = self.stubs["Predict"](request, timeout=120)
        outputs = [tensors.to_array(response.outputs[name]) for name in sorted(response.outputs)]
        return "gRPC", [
            b"".join(
                repr(array[row]).encode() if array.dtype.hasobject else array[row].tobytes()
                for array in outputs
            )
            for row in range(len(outputs[0]))
        ]

    def rest(self, model, signature, inputs):
        lists = {name: array.tolist() for name, array in inputs.items()}
        count = len(next(iter(lists.values())))
        instances = [{name: lists[name][row] for name in lists} for row in range(count)]
        status, _, body = self.server.rest(
            f"/v1/models/{model}:predict", {"instances": instances, "signature_name": signature}
        )
        assert status == 200, body
        return [json.dumps(row, sort_keys=True).encode() for row in json.loads(body)["predictions"]]


def differing(server, models, requests):
    """Sends requests from several callers; returns how many rows differed, and were compared."""
    callers = [Caller(server, models, requests // CALLERS, seed) for seed in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not [failure for caller in callers for failure in caller.failures]
    first, compared, different = {}, 0, 0
    for key, bits in (pair for caller in callers for pair in caller.found):
        compared += key in first
        different += first.setdefault(key, bits) != bits
    return different, compared


def published(base, families):
    """Publishes models; returns name, signature and rows of each of their signatures."""
    found = []
    for family in families:
        cases = golden.read(versions.latest(exports.kind(base, family).parent))
        manifest_rows = {}
        for (signature, _), case in cases.items():
            manifest_rows.setdefault(signature, case.inputs)
        for signature, inputs in manifest_rows.items():
            rng = np.random.default_rng(5)
            rows = {name: spread(array, rng) for name, array in inputs.items()}
            found.append((family, signature, rows))
    return found


def spread(array, rng):
    """As many rows as are wanted, in the range of an example."""
    rows = array[np.arange(ROWS) % len(array)]
    if array.dtype.kind in "fcV":
        rows = (rows * rng.normal(size=rows.shape)).astype(array.dtype)
    elif array.dtype.kind in "iu":
        rows = rng.integers(0, max(array.max(), 1), rows.shape, endpoint=True).astype(array.dtype)
    return rows


def serve(base, families, log, *flags):
    entries = [f'config {{ name: "{name}" base_path: "{base / name}" }}' for name in families]
    config = log.with_suffix(".config")
    config.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    return ServerProcess(log, f"--model_config_file={config}", *flags, wait_s=900)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    base = tmp_path_factory.mktemp("exact")
    return base, published(base, FEW)


@pytest.mark.slow
def test_no_bit_differs(few, tmp_path):
    base, models = few
    with serve(base, FEW, tmp_path / "log", "--exact", "--workers=2") as server:
        different, compared = differing(server, models, 400)
    assert different == 0
    assert compared > 3000


@pytest.mark.slow
def test_without_the_flag_bits_differ(few, tmp_path):
    """Else the test above would show nothing."""
    base, models = few
    models = [entry for entry in models if entry[0] == "quickdraw_cnn"]
    with serve(base, FEW[:1], tmp_path / "log") as server:
        different, _ = differing(server, models, 60)
    assert different > 0


@pytest.mark.long
def test_no_bit_differs_in_ten_thousand_requests(tmp_path):
    models = published(tmp_path, FAMILIES)
    with serve(tmp_path, FAMILIES, tmp_path / "log", "--exact", "--workers=2") as server:
        different, compared = differing(server, models, 10_000)
    print(f"{different} of {compared} rows differ")
    assert different == 0
    assert compared > 200_000


def test_the_other_flags_must_agree(tmp_path):
    exports.scaled(tmp_path, 1)
    file = tmp_path / "batching.config"
    file.write_text("pad_variable_length_inputs: true")
    for flags, text in (
        (["--engine=tensorflow"], "--exact needs the xla engine"),
        (["--adaptive_batching=false"], "--exact chooses batch sizes"),
        (
            ["--enable_batching", f"--batching_parameters_file={file}"],
            "--exact pads no other dimension",
        ),
    ):
        base = f"--model_base_path={tmp_path / 'scaled'}"
        server = ServerProcess(tmp_path / "log", base, "--exact", *flags, wait_s=0)
        assert server.process.wait(60) == 2
        assert text in server.log
