"""Models and servers that the integration tests share."""

import subprocess

import pytest

from tests.support import exports, needs, saved_models
from tests.support.servers import ServerProcess


@pytest.fixture(scope="session")
def half_plus_two(tmp_path_factory):
    """The base path of half_plus_two with version 123, as in Serving's documentation."""
    base = tmp_path_factory.mktemp("models") / "half_plus_two"
    saved_models.half_plus_two(base, 123)
    return base


@pytest.fixture(scope="session")
def every_dtype(half_plus_two):
    """The base path of a model of all dtypes."""
    base = half_plus_two.parent / "every_dtype"
    saved_models.every_dtype(base)
    return base


@pytest.fixture(scope="session", params=["alone", "batched", "library"])
def tensorflow_server(request, half_plus_two, every_dtype, tmp_path_factory):
    """A server with half_plus_two and a model of all dtypes, with all that can be switched on.

    Once with each request executed by itself, once with batching, once by the library transport.
    """
    if request.param == "library":
        needs.package("uvicorn", "library")
    folder = tmp_path_factory.mktemp("server")
    config = folder / "models.config"
    config.write_text(
        f"""
        model_config_list {{
          config {{ name: "half_plus_two" base_path: "{half_plus_two}"
                    model_platform: "tensorflow"
                    version_labels {{ key: "stable" value: 123 }} }}
          config {{ name: "every_dtype" base_path: "{every_dtype}" }}
        }}"""
    )
    monitoring = folder / "monitoring.config"
    monitoring.write_text("prometheus_config { enable: true }")
    flags = [
        f"--model_config_file={config}",
        f"--monitoring_config_file={monitoring}",
        f"--access_log={folder / 'access.log'}",
        f"--grpc_socket_path={folder / 'grpc.sock'}",
        "--enable_grpc_healthcheck_service",
        "--rest_api_enable_cors_support",
        f"--enable_batching={str(request.param == 'batched').lower()}",
        f"--transport={'library' if request.param == 'library' else 'own'}",
    ]
    with ServerProcess(folder / "log", *flags) as server:
        server.folder = folder
        yield server


@pytest.fixture(scope="session", params=["own", "library"])
def transport(request):
    """The flag of each transport."""
    if request.param == "library":
        needs.package("uvicorn", "library")
    return f"--transport={request.param}"


@pytest.fixture(scope="session")
def scaled_server(tmp_path_factory):
    """A server of `exports.scaled`, version 1, without a flag, for tests that leave it as it is."""
    base = tmp_path_factory.mktemp("scaled")
    exports.scaled(base, 1)
    flags = ["--model_name=scaled", f"--model_base_path={base / 'scaled'}"]
    with ServerProcess(base / "log", *flags) as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for localhost that signs itself."""
    needs.program("openssl", debian="openssl")
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    out = ["-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run(command.split() + names + out, check=True, capture_output=True)
    return files
