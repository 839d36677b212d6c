"""Servers with the same models in each way to run them; all must follow the same rules."""

import numpy as np
import pytest

from tests.support import exports, needs
from tests.support.servers import ServerProcess
from wire import services, tensors
from wire import serving_pb2 as pb

TENSORFLOW = ["--engine=tensorflow", "--xla_cpu_compilation_enabled"]
WAYS = {
    "xla": ["--engine=xla", "--adaptive_batching=false"],
    "xla-adaptive": ["--engine=xla"],
    "xla-library": ["--engine=xla", "--transport=library"],
    "xla-batching": ["--engine=xla", "--enable_batching"],
    "tensorflow": TENSORFLOW,
    "tensorflow-batching": [*TENSORFLOW, "--enable_batching"],
}


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """The models `scaled`, versions 1 to 3, and `named`, version 5."""
    base = tmp_path_factory.mktemp("conformance")
    for version in (1, 2, 3):
        exports.scaled(base, version)
    exports.named(base, 5)
    return base


@pytest.fixture(scope="session", params=WAYS)
def server(request, models, tmp_path_factory):
    if request.param == "xla-library":
        needs.package("uvicorn", "library")
    folder = tmp_path_factory.mktemp("server")
    config = folder / "models.config"
    config.write_text(
        f"""
        model_config_list {{
          config {{
            name: "scaled" base_path: "{models / "scaled"}" model_platform: "tensorflow"
            model_version_policy {{ specific {{ versions: 1 versions: 3 }} }}
            version_labels {{ key: "stable" value: 1 }} version_labels {{ key: "new" value: 3 }}
          }}
          config {{ name: "named" base_path: "{models / "named"}" }}
        }}"""
    )
    flags = [f"--model_config_file={config}", *WAYS[request.param]]
    with ServerProcess(folder / "log", *flags) as server:
        yield server


@pytest.fixture(scope="session")
def stub(server):
    with server.channel() as channel:
        yield services.PREDICTION_METHODS["Predict"].stub(channel)


@pytest.fixture
def predict(stub):
    """Sends a Predict; returns its response and the outputs as arrays."""

    def send(inputs, model="scaled", *, version=None, label="", signature="", outputs=()):
        request = pb.PredictRequest(output_filter=outputs)
        request.model_spec.name = model
        request.model_spec.signature_name = signature
        if version is not None:
            request.model_spec.version.value = version
        if label:
            request.model_spec.version_label = label
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(tensors.from_array(np.asarray(array)))
        response = stub(request, timeout=60)
        found = {name: tensors.to_array(response.outputs[name]) for name in response.outputs}
        return response, found

    return send
