"""Servers that are attacked."""

import pytest

from tests.support import attacks, exports, needs
from tests.support.servers import ServerProcess


@pytest.fixture(scope="package")
def models(tmp_path_factory):
    base = tmp_path_factory.mktemp("attacked")
    exports.scaled(base, 1)
    exports.named(base, 1)
    return base


@pytest.fixture(scope="package", params=["own", pytest.param("library", marks=pytest.mark.long)])
def transport(request):
    if request.param == "library":
        needs.package("uvicorn", "library")
    return request.param


@pytest.fixture
def start(models, tmp_path_factory, transport):
    """Starts servers of the two models; without `token=None` they want one."""
    started = []

    def start(*flags, token=attacks.TOKEN, **options):
        folder = tmp_path_factory.mktemp("server")
        config = folder / "models.config"
        entries = "".join(
            f'config {{ name: "{name}" base_path: "{models / name}" model_platform: "tensorflow" }}'
            for name in ("scaled", "named")
        )
        config.write_text(f"model_config_list {{ {entries} }}")
        if token is not None:
            (folder / "token").write_text(token)
            (folder / "admin").write_text(attacks.ADMIN)
            flags += (
                f"--auth_token_file={folder / 'token'}", f"--admin_token_file={folder / 'admin'}",
            )  # fmt: skip
        server = ServerProcess(
            folder / "log",
            f"--model_config_file={config}",
            f"--access_log={folder / 'access.log'}",
            "--enable_grpc_healthcheck_service",
            f"--drain_seconds={attacks.DRAIN_S}",
            f"--transport={transport}",
            *flags,
            **options,
        )
        server.folder, server.token = folder, token
        started.append(server)
        assert attacks.predict(server)[0] == 200  # all that is made once is made
        return server

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def server(start):
    return start()
