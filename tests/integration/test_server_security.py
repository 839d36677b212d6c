"""Who may ask, and how much: a token, TLS, limits, loopback."""

import concurrent.futures
import json
import socket
import ssl
import subprocess
import urllib.request

import grpc
import pytest

from tests.support import exports, needs
from tests.support.servers import ServerProcess
from wire import services
from wire import serving_pb2 as pb

PREDICT = "/v1/models/scaled:predict"
BODY = {"inputs": [[1.0] * 4]}


@pytest.fixture(scope="module")
def flags(tmp_path_factory, transport):
    base = tmp_path_factory.mktemp("models")
    exports.scaled(base, 1)
    return ["--model_name=scaled", f"--model_base_path={base / 'scaled'}", transport]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and a key and certificate of its for the server and for a client."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    needs.program("openssl", debian="openssl")
    authority = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority"
    # Python 3.13 asks for it: https://docs.python.org/3/library/ssl.html#ssl.VERIFY_X509_STRICT
    authority += " -addext keyUsage=critical,keyCertSign"
    openssl(*authority.split(), *["-keyout", "authority.key", "-out", "authority.crt"])
    (folder / "names").write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nauthorityKeyIdentifier=keyid"
    )
    for name in ("server", "client"):
        openssl(*f"req -newkey rsa:2048 -nodes -subj /CN={name}".split(),
                *f"-keyout {name}.key -out {name}.csr".split())  # fmt: skip
        openssl(*f"x509 -req -in {name}.csr -CA authority.crt -CAkey authority.key".split(),
                *f"-CAcreateserial -days 2 -out {name}.crt -extfile names".split())  # fmt: skip
    return {path.name: path.read_text() for path in folder.iterdir()} | {"folder": folder}


def status_of(server, channel, metadata=()):
    request = pb.GetModelStatusRequest(model_spec=pb.ModelSpec(name="scaled"))
    stub = services.MODEL_METHODS["GetModelStatus"].stub(channel)
    return stub(request, timeout=10, metadata=metadata).model_version_status[0].state


def test_a_token_is_wanted_by_both_faces(flags, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")
    with ServerProcess(tmp_path / "log", *flags, f"--auth_token_file={secret}") as server:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
            status, found, body = server.rest(PREDICT, BODY, headers=headers)
            assert (status, found["WWW-Authenticate"]) == (401, "Bearer")
            assert "error" in json.loads(body)
        right = {"Authorization": "Bearer s3cret"}
        assert server.rest(PREDICT, BODY, headers=right)[0] == 200
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/", 401), ("/metrics", 401)):
            assert server.rest(path)[0] == status
        with server.channel() as channel:
            with pytest.raises(grpc.RpcError) as caught:
                status_of(server, channel)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert status_of(server, channel, [("authorization", "Bearer s3cret")]) == 30
        assert "s3cret" not in server.log


def test_tls_secures_both_ports_and_checks_clients(flags, certificates, tmp_path):
    config = tmp_path / "ssl.config"
    fields = {
        "server_key": certificates["server.key"],
        "server_cert": certificates["server.crt"],
        "custom_ca": certificates["authority.crt"],
    }
    lines = [f"{name}: {json.dumps(text)}" for name, text in fields.items()]
    config.write_text("\n".join([*lines, "client_verify: true"]))
    tls = [f"--ssl_config_file={config}", "--rest_api_ssl"]
    with ServerProcess(tmp_path / "log", *flags, *tls) as server:
        authority = certificates["authority.crt"].encode()
        target = f"localhost:{server.grpc_port}"
        with grpc.secure_channel(
            target,
            grpc.ssl_channel_credentials(
                authority, certificates["client.key"].encode(), certificates["client.crt"].encode()
            ),
        ) as channel:
            assert status_of(server, channel) == 30
        for channel in (
            grpc.secure_channel(target, grpc.ssl_channel_credentials(authority)),
            grpc.insecure_channel(target),
        ):
            with channel, pytest.raises(grpc.RpcError):
                status_of(server, channel)
        context = ssl.create_default_context(cadata=certificates["authority.crt"])
        url = f"https://localhost:{server.rest_port}/healthz"
        with pytest.raises(OSError):
            urllib.request.urlopen(url, context=context, timeout=10)
        folder = certificates["folder"]
        context.load_cert_chain(folder / "client.crt", folder / "client.key")
        with urllib.request.urlopen(url, context=context, timeout=10) as response:
            assert response.status == 200


def test_limits_answer_429_and_resource_exhausted(flags, tmp_path):
    limits = ["--max_requests_per_second=2", "--max_request_bytes=1000"]
    with ServerProcess(tmp_path / "log", *flags, *limits) as server:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: server.rest(PREDICT, BODY), range(30)))
        assert {status for status, _, _ in answers} == {200, 429}
        refused = next(body for status, _, body in answers if status == 429)
        assert json.loads(refused) == {"error": "more than 2 requests per second"}
        assert server.rest(PREDICT, b"x" * 1001)[0] == 413
        assert server.rest("/v1/models/scaled")[0] == 200  # only inference is limited


def test_only_loopback_is_listened_on(scaled_server):
    server = scaled_server
    for port in (server.grpc_port, server.rest_port):
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
        for address in other_addresses():
            with pytest.raises(OSError):
                socket.create_connection((address, port), timeout=1)


def other_addresses():
    """Addresses of this machine that aren't loopback; none on a machine without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            address = probe.getsockname()[0]
        except OSError:
            return []
    return [] if address.startswith("127.") else [address]


def test_model_names_never_become_paths(scaled_server):
    server = scaled_server
    names = ("..%2f..%2fetc%2fpasswd", "../scaled", "%00", "scaled%2f1", "\\..\\x", "." * 300)
    for path in (f"/v1/models/{name}{end}" for name in names for end in ("", "/metadata")):
        with socket.create_connection(("127.0.0.1", server.rest_port), timeout=10) as peer:
            peer.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answer = b"".join(iter(lambda peer=peer: peer.recv(65536), b""))
        assert answer.split()[1] in (b"400", b"404")
        assert b"root:" not in answer
