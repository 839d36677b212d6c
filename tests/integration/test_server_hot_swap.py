"""New versions under load: no request fails, each answer is its version's."""

import pytest

from tests.support import exports
from tests.support.servers import ServerProcess
from tests.support.traffic import Client

VERSIONS = (1, 2, 3, 4, 5, 6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "transport"), [("xla", "own"), ("tensorflow", "own"), ("xla", "library")]
)
def test_five_versions_in_a_row_fail_no_request(tmp_path, engine, transport):
    exports.scaled(tmp_path, VERSIONS[0])
    flags = [
        "--model_name=scaled",
        f"--model_base_path={tmp_path / 'scaled'}",
        "--file_system_poll_wait_seconds=0.1",
        f"--engine={engine}",
        "--xla_cpu_compilation_enabled=true",
        f"--transport={transport}",
    ]
    with ServerProcess(tmp_path / "log", *flags) as server:
        clients = [Client(server, seed) for seed in range(8)]
        for client in clients:
            client.start()
        try:
            for version in VERSIONS[1:]:
                exports.scaled(tmp_path, version)
                server.wait_for("scaled", version)
                server.wait_for("scaled", version - 1, "END")
        finally:
            for client in clients:
                client.stopped.set()
            for client in clients:
                client.join()
        assert [failure for client in clients for failure in client.failures] == []
        for version in VERSIONS:
            for is_rest in (True, False):
                seen = sum(c.answered[version] for c in clients if c.is_rest is is_rest)
                assert seen, f"no answer of version {version}, REST {is_rest}"
        assert server.stop() == 0
