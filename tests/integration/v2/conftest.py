"""A server that speaks the Open Inference Protocol, and the four forms in which to ask it."""

import pytest

from tests.support import exports, needs
from tests.support.open_inference import Grpc, Rest
from tests.support.servers import ServerProcess

FORMS = ("rest-json", "rest-binary", "grpc-raw", "grpc-typed")


@pytest.fixture(scope="session")
def server(every_dtype, tmp_path_factory):
    """`scaled`, versions 1 and 3, and `named`, by JAX; `every_dtype`, by TensorFlow."""
    needs.package("tensorflow", "exporter")
    base = tmp_path_factory.mktemp("v2")
    for version in (1, 3):
        exports.scaled(base, version)
    exports.named(base, 5)
    config = base / "models.config"
    config.write_text(
        f"""
        model_config_list {{
          config {{
            name: "scaled" base_path: "{base / "scaled"}" model_platform: "tensorflow"
            model_version_policy {{ all {{}} }}
            version_labels {{ key: "stable" value: 1 }}
            logging_config {{
              log_collector_config {{ type: "file" filename_prefix: "{base / "requests"}" }}
              sampling_config {{ sampling_rate: 1.0 }} }}
          }}
          config {{ name: "named" base_path: "{base / "named"}" }}
          config {{ name: "every_dtype" base_path: "{every_dtype}" }}
        }}"""
    )
    with ServerProcess(
        base / "log", f"--model_config_file={config}", f"--request_log_dir={base}"
    ) as server:
        server.folder = base
        yield server


@pytest.fixture(scope="session")
def channel(server):
    with server.channel() as channel:
        yield channel


@pytest.fixture(scope="session", params=FORMS)
def form(request, server, channel):
    """One of the four forms; `form.infer` asks in it."""
    return make_form(request.param, server, channel)


def make_form(name, server, channel):
    face, _, kind = name.partition("-")
    if face == "rest":
        return Rest(server, binary=kind == "binary")
    return Grpc(channel, is_raw=kind == "raw")
