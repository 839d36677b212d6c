"""The edge before servers: REST, gRPC and gRPC-Web through one port, and what it keeps off."""

import base64
import concurrent.futures
import http.client
import json
import socket
import ssl
import subprocess
import threading
import time

import grpc
import numpy as np
import pytest

from server.api import access
from tests.support import exports, needs
from tests.support.edge import ROOT, Edge, envoy
from tests.support.servers import ServerProcess
from wire import services, tensors
from wire import serving_pb2 as pb

PREDICT = "/v1/models/scaled:predict"
METHOD = f"/{services.PREDICTION_SERVICE}/Predict"
BODY = {"inputs": [[0.5] * 4]}
ANSWER = exports.scaled_answer(np.full((1, 4), 0.5, np.float32), 1)
TOKEN, ADMIN_TOKEN = "s3cret", "adm1n"
AUTHORIZATION = ("authorization", f"Bearer {TOKEN}")
_UNLIMITED = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
]

envoy()  # the file is skipped without


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    exports.scaled(base, 1)
    return [
        "--model_name=scaled",
        f"--model_base_path={base / 'scaled'}",
        "--enable_grpc_healthcheck_service",
    ]


@pytest.fixture(scope="module")
def servers(flags, tmp_path_factory):
    folder = tmp_path_factory.mktemp("servers")
    with ServerProcess(folder / "1", *flags) as one, ServerProcess(folder / "2", *flags) as two:
        yield one, two


@pytest.fixture(scope="module")
def edge(servers, tmp_path_factory):
    """An edge without TLS before both servers, for pages of example.com."""
    folder = tmp_path_factory.mktemp("edge")
    with Edge(folder, *servers, EDGE_CORS_ORIGINS=r"https://.*\.example\.com") as edge:
        yield edge.wait_until_ready()


@pytest.fixture
def channel(edge):
    with grpc.insecure_channel(edge.address, options=_UNLIMITED) as channel:
        yield channel


def request_of(x=None):
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name="scaled"))
    x = np.full((1, 4), 0.5, np.float32) if x is None else x
    request.inputs["inputs"].CopyFrom(tensors.from_array(x))
    return request


def predict(channel, x=None, **more):
    stub = services.PREDICTION_METHODS["Predict"].stub(channel)
    response = stub(request_of(x), timeout=60, wait_for_ready=True, **more)
    return tensors.to_array(response.outputs["output_0"])


def near(found, expected=ANSWER):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_envoy_is_the_one_that_compose_starts():
    found = subprocess.run([envoy(), "--version"], capture_output=True, text=True, check=True)
    tags = dict(
        line.split("=", 1)
        for line in (ROOT / ".env").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    assert f"/{tags['ENVOY_IMAGE'].partition(':v')[2]}/" in found.stdout


@pytest.mark.parametrize("with_all", [False, True])
def test_envoy_takes_the_configuration_without_a_warning(tmp_path, certificate, with_all):
    cert, key = certificate
    variables = {"EDGE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    if with_all:
        variables |= {
            "EDGE_CERTIFICATE": str(cert),
            "EDGE_KEY": str(key),
            "EDGE_CLIENT_CA": str(cert),
            "EDGE_CORS_ORIGINS": r"https://.*\.example\.com",
            "EDGE_OTLP_HOST": "collector",
            "EDGE_OPEN_ADMIN": "true",
        }
    for name in ("envoy", "certificate"):
        (tmp_path / f"{name}.yaml").write_text(rendered(name, variables).stdout)
    command = [envoy(), "--mode", "validate", "-c", tmp_path / "envoy.yaml", "-l", "warning"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # deprecated fields are warnings


def rendered(name, variables):
    folder = ROOT / "docker" / "edge"
    command = ["awk", "-f", folder / "render.awk", folder / f"{name}.yaml"]
    return subprocess.run(command, env=variables, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("a: ${NONE}", "no default for NONE"),
        ("#% if NONE", "no default for NONE"),
        ("#% default A 1\n#% if A", "an end is missing"),
        ("#% end", "an end without a beginning"),
        ("#% else", "unknown word else"),
        ("#% default A b\n#% each A\n#% end", "'b' is not HOST:REST_PORT:GRPC_PORT"),
    ],
)
def test_a_wrong_template_is_refused_with_its_line(tmp_path, template, complaint):
    path = tmp_path / "template"
    path.write_text(template + "\n")
    command = ["awk", "-f", ROOT / "docker/edge/render.awk", path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{path}:{template.count(chr(10)) + 1}: {complaint}" in done.stderr


def test_a_template_has_values_blocks_and_repetitions(tmp_path):
    path = tmp_path / "template"
    path.write_text(
        "#% default A x\n#% default B\n#% default S h:1:2\n"
        "a: ${A}${B}\n#% if B\n  #% unless A\nnever: 1\n  #% end\nb: ${B}\n#% end\n"
        "#% unless B\nwithout: b\n#% end\n#% each S\n- ${HOST} ${REST} ${GRPC}\n#% end\n# ${KEPT}\n"
    )

    def render(**variables):
        command = ["awk", "-f", ROOT / "docker/edge/render.awk", path]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    assert render() == ["a: x", "without: b", "- h 1 2", "# ${KEPT}"]
    assert render(A="y", B="z", S="h:1:2 i:3:4") == [
        *("a: yz", "b: z", "- h 1 2", "- i 3 4", "# ${KEPT}")
    ]


def test_rest_and_grpc_share_a_port(edge, channel):
    status, headers, body = edge.rest(PREDICT, BODY)
    assert (status, headers["X-Model-Version"]) == (200, "1")
    near(json.loads(body)["outputs"])
    near(predict(channel))
    assert edge.rest("/v1/models/none")[0] == 404  # the server's own answer
    with pytest.raises(grpc.RpcError) as caught:
        services.MODEL_METHODS["GetModelStatus"].stub(channel)(
            pb.GetModelStatusRequest(model_spec=pb.ModelSpec(name="none")), timeout=10
        )
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_call_brings_metadata_there_and_back(channel):
    stub = services.PREDICTION_METHODS["Predict"].stub(channel)
    _, call = stub.with_call(request_of(), timeout=30, metadata=[("x-request-id", "1")])
    trailing = dict(call.trailing_metadata())
    assert trailing["x-model-version"] == "1"
    assert trailing["server-timing"].startswith("total;dur=")


def test_the_open_inference_protocol_goes_through(edge, channel):
    data = {"name": "inputs", "shape": [1, 4], "datatype": "FP32", "data": [0.5] * 4}
    status, _, body = edge.rest("/v2/models/scaled/infer", {"inputs": [data]})
    assert status == 200, body
    near(json.loads(body)["outputs"][0]["data"], ANSWER[0])
    live = services.INFERENCE_METHODS["ServerLive"]
    assert live.stub(channel)(live.request(), timeout=10).live


def test_grpc_web_in_binary_and_text(edge):
    """The form that browsers send: messages and trailers in an HTTP/1.1 body.

    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
    """
    message = request_of().SerializeToString()
    frame = b"\0" + len(message).to_bytes(4, "big") + message
    for kind, encode, decode in (
        ("application/grpc-web+proto", bytes, bytes),
        ("application/grpc-web-text+proto", base64.b64encode, base64.b64decode),
    ):
        headers = {
            "Content-Type": kind,
            "Accept": kind,
            "X-Grpc-Web": "1",
            "Origin": "https://a.example.com",
        }
        status, found, body = edge.rest(METHOD, encode(frame), headers=headers)
        assert (status, found["Content-Type"]) == (200, kind)
        assert found["Access-Control-Allow-Origin"] == "https://a.example.com"
        # Base64 may come in several padded pieces: here it is one message, then the trailers.
        frames = list(frames_of(decode_all(body) if decode is base64.b64decode else body))
        assert [flag for flag, _ in frames] == [0, 0x80]
        near(tensors.to_array(pb.PredictResponse.FromString(frames[0][1]).outputs["output_0"]))
        assert b"grpc-status:0" in frames[1][1].replace(b" ", b"")


def decode_all(text):
    pieces, start = [], 0
    for end in [i + 4 for i in range(0, len(text), 4) if text[i + 3 : i + 4] == b"="] + [len(text)]:
        pieces.append(base64.b64decode(text[start:end]))
        start = end
    return b"".join(pieces)


def frames_of(body):
    while body:
        size = int.from_bytes(body[1:5], "big")
        yield body[0], body[5 : 5 + size]
        body = body[5 + size :]


def test_pages_of_the_named_origins_may_ask(edge):
    def preflight(origin):
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-grpc-web",
        }
        return edge.rest(METHOD, method="OPTIONS", headers=headers)

    status, headers, _ = preflight("https://a.example.com")
    assert status == 200
    assert headers["Access-Control-Allow-Origin"] == "https://a.example.com"
    assert "x-grpc-web" in headers["Access-Control-Allow-Headers"]
    for origin in ("https://example.org", "https://a.example.com.evil.org"):
        assert "Access-Control-Allow-Origin" not in preflight(origin)[1]


def test_health_and_reflection_go_through(edge, channel):
    health_pb2 = needs.package("grpc_health.v1.health_pb2", "server")
    health_pb2_grpc = needs.package("grpc_health.v1.health_pb2_grpc", "server")
    stub = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service="PredictionService")
    assert stub.Check(request, timeout=10).status == 1
    watch = stub.Watch(request, timeout=30)
    assert next(iter(watch)).status == 1
    watch.cancel()
    found = "grpc_reflection.v1alpha.proto_reflection_descriptor_database"
    database = needs.package(found, "server").ProtoReflectionDescriptorDatabase(channel)
    assert services.PREDICTION_SERVICE in database.get_services()


@pytest.mark.slow
def test_bodies_of_40_mb_go_both_ways(servers, edge, channel):
    rows = np.random.default_rng(0).normal(size=(2_621_440, 4)).astype(np.float32)  # 40 MiB
    found = predict(channel, rows)
    near(found[::100_000], exports.scaled_answer(rows[::100_000], 1))
    text = b'{"inputs": [' + b",".join([b"[0.5,0.5,0.5,0.5]"] * 2_300_000) + b"]}"
    assert len(text) > 40e6
    status, _, body = edge.rest(PREDICT, text)
    assert status == 200, body[:200]
    near(json.loads(body)["outputs"][-1], ANSWER[0])


def counted(server):
    """How many requests a server has answered."""
    lines = server.rest("/metrics")[2].decode().splitlines()
    counts = [line for line in lines if line.startswith("model_requests_total{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in counts)


@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_requests_of_one_connection_are_shared_out(servers, edge, channel, api):
    before = [counted(server) for server in servers]
    if api == "grpc":
        for _ in range(40):
            predict(channel)
    else:
        connection = http.client.HTTPConnection("localhost", edge.port, timeout=30)
        for _ in range(40):
            connection.request("POST", PREDICT, json.dumps(BODY))
            response = connection.getresponse()
            assert response.status == 200
            response.read()
        connection.close()
    gained = [counted(server) - count for server, count in zip(servers, before, strict=True)]
    assert sum(gained) == 40
    assert min(gained) >= 5, gained


def test_calls_are_spread_over_the_workers_of_a_server(flags, tmp_path):
    """Workers share connections, so that calls in flight must come by several."""
    with ServerProcess(tmp_path / "log", *flags, "--workers=2") as server:
        with Edge(tmp_path, server, EDGE_UPSTREAM_STREAMS=1) as edge:
            edge.wait_until_ready()
            with grpc.insecure_channel(edge.address) as channel:
                with concurrent.futures.ThreadPoolExecutor(16) as pool:
                    for found in pool.map(lambda _: predict(channel), range(400)):
                        near(found)
        lines = server.rest("/metrics")[2].decode().splitlines()
        of = [line for line in lines if line.startswith("model_requests_total{")]
        assert all(any(f'worker="{n}"' in line for line in of) for n in (0, 1)), of


def test_what_changes_a_server_is_refused(edge, channel):
    with pytest.raises(grpc.RpcError) as caught:
        reload(channel)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    for path in (
        "/v2/repository/models/scaled/load",
        "/v2/repository/models/scaled/unload/",
        "/v2//repository/./models/scaled/load",
        "/v2/repository/x/../models/scaled/load",
        "//v2/repository/models/scaled/load?x=1",
        "/tensorflow.ProfilerService/Profile",
        "/inference.GRPCInferenceService/RepositoryModelLoad",
        "/x/..//tensorflow.serving.ModelService/HandleReloadConfigRequest",
    ):
        status, _, body = edge.rest(path, b"{}")
        assert (status, json.loads(body)) == (
            403,
            {"error": "not through the edge: ask a server itself"},
        ), path
    for path in ("/v2/repository%2fmodels/scaled/load", "/v2/repository/models%5cscaled/load"):
        assert edge.rest(path, b"{}")[0] == 400, path


def test_the_edge_refuses_all_that_the_server_takes_for_administration(edge):
    paths = [
        f"/{service}/{method}"
        for service, methods in (
            (services.MODEL_SERVICE, services.MODEL_METHODS),
            (services.PREDICTION_SERVICE, services.PREDICTION_METHODS),
        )
        for method in methods
    ]
    paths += [
        *(f"/v2/repository/models/scaled/{verb}" for verb in ("load", "unload")),
        *(f"/inference.GRPCInferenceService/RepositoryModel{verb}" for verb in ("Load", "Unload")),
        *(f"/tensorflow.ProfilerService/{verb}" for verb in ("Profile", "Monitor", "Terminate")),
    ]
    administrative = [path for path in paths if access.is_admin(path)]
    assert administrative
    assert {edge.rest(path, b"")[0] for path in administrative} == {403}


def reload(channel, base_path="/nowhere", **more):
    request = pb.ReloadConfigRequest()
    request.config.model_config_list.config.add(name="scaled", base_path=base_path)
    stub = services.MODEL_METHODS["HandleReloadConfigRequest"].stub(channel)
    return stub(request, timeout=30, **more)


def test_a_token_passes_through_and_administration_can_be_let_through(flags, tmp_path):
    for name, secret in (("token", TOKEN), ("admin", ADMIN_TOKEN)):
        (tmp_path / name).write_text(secret)
    tokens = [
        f"--auth_token_file={tmp_path / 'token'}",
        f"--admin_token_file={tmp_path / 'admin'}",
    ]
    with ServerProcess(tmp_path / "log", *flags, *tokens) as server:
        with Edge(tmp_path, server, EDGE_OPEN_ADMIN="true") as edge:
            edge.wait_until_ready()
            assert edge.rest(PREDICT, BODY)[0] == 401
            right = dict([AUTHORIZATION])
            assert edge.rest(PREDICT, BODY, headers=right)[0] == 200
            with grpc.insecure_channel(edge.address) as channel:
                near(predict(channel, metadata=[AUTHORIZATION]))
                with pytest.raises(grpc.RpcError) as caught:
                    predict(channel)
                assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
                # The edge is a peer on the server's own machine: the token alone decides.
                with pytest.raises(grpc.RpcError) as caught:
                    reload(channel, metadata=[AUTHORIZATION])
                assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
                admin = [("authorization", f"Bearer {ADMIN_TOKEN}")]
                base_path = flags[1].partition("=")[2]
                assert reload(channel, base_path, metadata=admin).status.error_code == 0
        log = (tmp_path / "access.log").read_text()
        assert "/HandleReloadConfigRequest" in log
        assert TOKEN not in log
        assert ADMIN_TOKEN not in log


def test_requests_over_the_rate_are_refused(servers, tmp_path):
    with Edge(tmp_path, *servers, EDGE_CLIENT_RATE=5) as edge:
        edge.wait_until_ready()
        answers = [edge.rest("/v1/models/scaled") for _ in range(40)]
        assert {status for status, _, _ in answers} == {200, 429}
        refused = next(body for status, _, body in answers if status == 429)
        assert json.loads(refused) == {"error": "local_rate_limited"}
        codes = set()
        with grpc.insecure_channel(edge.address) as channel:
            for _ in range(40):
                try:
                    predict(channel)
                except grpc.RpcError as error:
                    codes.add(error.code())
        assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert edge.rest("/edge/ready")[0] == 200  # probes aren't counted


def test_tls_for_all_and_a_renewed_certificate_is_taken(servers, tmp_path):
    files = issue(tmp_path)
    with Edge(tmp_path, *servers, **files) as edge:
        context = ssl.create_default_context(cafile=files["EDGE_CERTIFICATE"])
        edge.wait_for(lambda: edge.status("/edge/ready", context=context) == 200)
        assert edge.rest(PREDICT, BODY, context=context)[0] == 200
        credentials = grpc.ssl_channel_credentials(files["EDGE_CERTIFICATE"].read_bytes())
        with grpc.secure_channel(edge.address, credentials) as channel:
            near(predict(channel))
        with socket.create_connection(("localhost", edge.port), timeout=10) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert not plain.recv(100).startswith(b"HTTP/")
        command = ["openssl", "s_client", "-connect", edge.address, "-tls1_1"]
        old = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
        assert old.returncode != 0
        before = presented(edge)
        issue(tmp_path)
        edge.wait_for(lambda: presented(edge) != before)


def issue(folder):
    """Issues a certificate, a new one in place of an old one as in a volume of Kubernetes."""
    needs.program("openssl", debian="openssl")
    version = folder / f"..{time.monotonic_ns()}"
    version.mkdir()
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-out", str(version / "tls.crt"), "-keyout", str(version / "tls.key")]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    (folder / "..new").symlink_to(version.name)
    (folder / "..new").rename(folder / "..data")
    for name in ("tls.crt", "tls.key"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    return {"EDGE_CERTIFICATE": folder / "tls.crt", "EDGE_KEY": folder / "tls.key"}


def presented(edge):
    return ssl.get_server_certificate(("localhost", edge.port), timeout=10)


def test_clients_without_a_certificate_are_refused_where_one_is_asked_for(
    servers, certificate, tmp_path
):
    cert, key = certificate
    tls = {"EDGE_CERTIFICATE": cert, "EDGE_KEY": key, "EDGE_CLIENT_CA": cert}
    with Edge(tmp_path, *servers, **tls) as edge:
        with_one = ssl.create_default_context(cafile=cert)
        with_one.load_cert_chain(cert, key)
        edge.wait_for(lambda: edge.status("/edge/ready", context=with_one) == 200)
        assert edge.rest(PREDICT, BODY, context=with_one)[0] == 200
        with pytest.raises(OSError):
            edge.rest(PREDICT, BODY, context=ssl.create_default_context(cafile=cert))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("api", "rows", "count", "clients"),
    [("rest", 1, 1000, 8), ("grpc", 1, 1000, 8), ("rest", 4000, 100, 2), ("grpc", 4000, 100, 2)],
)
def test_a_server_that_ends_fails_no_request(flags, tmp_path, api, rows, count, clients):
    """One of two servers drains, is gone, and comes back; large bodies are over Envoy's buffers."""
    x = np.full((rows, 4), 0.5, np.float32)
    text = json.dumps({"inputs": x.tolist()}).encode()
    with ServerProcess(tmp_path / "1", *flags) as staying:
        leaving = ServerProcess(tmp_path / "2", *flags)
        with Edge(tmp_path, staying, leaving) as edge:
            edge.wait_until_ready()
            edge.wait_for(lambda: healthy(edge) == 2)
            done = threading.Semaphore(0)
            failures = []

            def ask(_):
                try:
                    if api == "grpc":
                        near(predict(channel, x)[-1:])
                    else:
                        status, _, body = edge.rest(PREDICT, text)
                        assert status == 200, body
                except Exception as error:
                    failures.append(error)
                done.release()

            with (
                grpc.insecure_channel(edge.address, options=_UNLIMITED) as channel,
                concurrent.futures.ThreadPoolExecutor(clients) as pool,
            ):
                asked = [pool.submit(ask, n) for n in range(count)]
                for _ in range(count // 5):
                    done.acquire()
                assert leaving.stop() == 0
                concurrent.futures.wait(asked)
            assert failures == []
            edge.wait_for(lambda: healthy(edge) == 1)
            ports = [f"--port={leaving.grpc_port}", f"--rest_api_port={leaving.rest_port}"]
            with ServerProcess(tmp_path / "3", *flags, *ports) as back:
                edge.wait_for(lambda: healthy(edge) == 2)
                edge.wait_for(lambda: edge.rest(PREDICT, BODY)[0] == 200 and counted(back) > 0)


def healthy(edge):
    label = '{envoy_cluster_name="grpc"}'
    return edge.metrics()[f"envoy_cluster_membership_healthy{label}"]


def test_a_killed_server_fails_no_request(flags, tmp_path):
    with ServerProcess(tmp_path / "1", *flags) as staying:
        victim = ServerProcess(tmp_path / "2", *flags)
        with Edge(tmp_path, staying, victim) as edge:
            edge.wait_until_ready()
            edge.wait_for(lambda: healthy(edge) == 2)
            with grpc.insecure_channel(edge.address) as channel:
                for count in range(100):
                    if count == 20:
                        victim.kill()
                    near(predict(channel))
                    assert edge.rest(PREDICT, BODY)[0] == 200


def test_without_a_server_it_says_so(tmp_path):
    class Nowhere:
        rest_port = grpc_port = 9  # discard: nobody listens

    with Edge(tmp_path, Nowhere) as edge:
        edge.wait_for(lambda: edge.status("/edge/ready") == 503)
        status, _, body = edge.rest(PREDICT, BODY)
        assert (status, json.loads(body)) == (503, {"error": "no healthy upstream"})
        with grpc.insecure_channel(edge.address) as channel, pytest.raises(grpc.RpcError) as caught:
            predict(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_malformed_and_smuggled_requests_end_at_the_edge(servers, edge):
    before = [counted(server) for server in servers]
    for head in (
        b"1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n{}",
        b"1.1\r\nHost: a\r\nAuthorization : x\r\nContent-Length: 0\r\n\r\n",
        b"1.1\r\nHost: a\r\nx_y: underscore\r\nContent-Length: 0\r\n\r\n",
        b"1.1\r\nContent-Length: 0\r\n\r\n",
        b"1.0\r\n\r\n",
    ):
        request = b"POST %s HTTP/%s\r\n" % (PREDICT.encode(), head)
        with socket.create_connection(("localhost", edge.port), timeout=10) as peer:
            peer.sendall(request)
            status = peer.recv(65536).split(b" ")[1]
        assert status in (b"400", b"426"), request
    assert [counted(server) for server in servers] == before


def test_each_request_is_a_line_of_json(edge):
    agent = {"User-Agent": "a test of the log"}
    edge.rest(PREDICT, BODY, headers=agent)
    edge.rest("/readyz?secret=1", headers=agent)

    def lines():
        return [entry for entry in edge.entries if entry["user_agent"] == agent["User-Agent"]]

    edge.wait_for(lambda: len(lines()) == 2)  # Envoy writes them after up to a second
    entries = {entry["path"]: entry for entry in lines()}
    assert entries.keys() == {PREDICT, "/readyz"}
    entry = entries[PREDICT]
    assert (entry["method"], entry["status"], entry["version"]) == ("POST", 200, "1")
    assert entry["server"].startswith("127.0.0.1:")
    assert entry["bytes_in"] > 0


def test_sigterm_answers_what_is_under_way_and_ends_well(servers, tmp_path):
    with Edge(tmp_path, *servers, EDGE_DRAIN_S=3) as edge:
        edge.wait_until_ready()
        with socket.create_connection(("localhost", edge.port), timeout=30) as peer:
            body = json.dumps(BODY).encode()
            head = f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
            peer.sendall(head.encode() + body[:5])
            ended = threading.Thread(target=edge.stop)
            ended.start()
            edge.wait_for(lambda: edge.status("/edge/ready") in (503, None))
            peer.sendall(body[5:])
            assert peer.recv(65536).startswith(b"HTTP/1.1 200")
        ended.join(60)
        assert edge.process.poll() == 0
