"""Each illness that the doctor knows, in a version or server that really has it."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.support import needs

needs.package("jax", "exporter")
tf = needs.package("tensorflow", "exporter")

from artifact import versions
from exporter import ExportOptions, Model, TensorSpec, UserError
from exporter.__main__ import main
from exporter.inspect.doctor import examine, files, runtime, serving
from exporter.inspect.report import runtimes
from tests.support import exports
from tests.support.exports import publish
from tests.support.servers import ServerProcess
from wire import serving_pb2 as pb
from wire.tensors import from_array

COPY = "copy the whole directory again"
ORDER = ["files", "digests", "variables", "TensorFlow"]
SERVED = ["port", "version", "signatures", "answers"]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A published version, compared with JAX."""
    return exports.scaled(tmp_path_factory.mktemp("healthy"), 1, verify=True)


@pytest.fixture
def copy(healthy, tmp_path):
    """A copy of it, to break."""
    return shutil.copytree(healthy, tmp_path / "scaled" / "1")


@pytest.fixture(scope="module")
def ill(healthy, tmp_path_factory):
    """Directories of models that are broken, each in its way, by name."""
    base = tmp_path_factory.mktemp("ill")
    for name in ("too_new", "newer_bytecode", "cold", "half"):
        shutil.copytree(healthy, base / name / "1")
    make_too_new(base / "too_new" / "1")
    make_newer_bytecode(base / "newer_bytecode" / "1")
    chill(base / "cold" / "1")
    (base / "half" / "1" / "variables" / "variables.index").unlink()
    plain = ExportOptions(serving_batch_size=-1, verify=False)
    publish(small("for_cuda", 1), base, replace(plain, platforms=("cuda",)))
    publish(small("integers", 1, "int32"), base, plain)
    publish(small("wrong", 2), base, plain)
    publish(small("complex", 1, "complex64"), base, plain)
    return base


@pytest.fixture(scope="module")
def server(healthy, ill, tmp_path_factory):
    """A server of all of them, with the engine that runs what TensorFlow Serving runs."""
    folder = tmp_path_factory.mktemp("server")
    paths = [healthy.parent, *ill.iterdir()]
    entries = [f'config {{ name: "{p.name}" base_path: "{p}" }}' for p in paths]
    (folder / "models.config").write_text(f"model_config_list {{ {' '.join(entries)} }}")
    flags = ["--engine=tensorflow", "--xla_cpu_compilation_enabled=true"]
    flags += [f"--model_config_file={folder / 'models.config'}", "--max_num_load_retries=0"]
    with ServerProcess(folder / "log", *flags, wait_s=240) as process:
        yield process


def make_too_new(version_dir):
    """Says that the program needs a calling convention that no TensorFlow has yet."""
    with xla_call(version_dir) as call:
        call.attr["version"].i = 99


def make_newer_bytecode(version_dir):
    """Says that the program's bytecode is of a version that no TensorFlow has yet."""
    with xla_call(version_dir) as call:
        module = bytearray(call.attr["module"].s)
        assert module[:4] == b"ML\xefR"
        module[4] = 99 << 1 | 1  # a varint whose lowest bit says that it is one byte long
        call.attr["module"].s = bytes(module)


@contextlib.contextmanager
def xla_call(version_dir):
    """The graph's node with the JAX program, to change."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = version_dir / versions.SAVED_MODEL
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    (call,) = [node for node in nodes if node.op == "XlaCallModule"]
    yield call
    path.write_bytes(saved.SerializeToString())


def chill(version_dir):
    """Replaces the warm-up by a request that the model refuses."""
    request = pb.PredictRequest(
        model_spec=pb.ModelSpec(name="cold", signature_name="serving_default"),
        inputs={"inputs": from_array(np.zeros((1, 5), np.float32))},
    )
    record = pb.PredictionLog(predict_log=pb.PredictLog(request=request))
    with tf.io.TFRecordWriter(str(version_dir / versions.WARMUP)) as writer:
        writer.write(record.SerializeToString())


def small(name, factor, dtype="float32"):
    return Model(
        name,
        lambda params, x: x @ params["weights"] * factor,
        {"weights": exports.WEIGHTS},
        TensorSpec(("b", 4), dtype),
    )


def last(findings):
    """Everything before the last finding is well."""
    *before, finding = findings
    assert all(f.ok for f in before)
    return finding


@pytest.mark.parametrize("api", ["rest_port", "grpc_port"])
def test_a_healthy_version(healthy, server, api):
    findings = list(examine(healthy, address=f"127.0.0.1:{getattr(server, api)}"))
    assert [f.check for f in findings] == [*ORDER, *SERVED]
    assert all(f.ok and not f.fix for f in findings)


def test_half_copied(copy):
    (copy / "variables" / "variables.data-00000-of-00001").unlink()
    finding = last(files.examine(copy))
    assert "half copied, there is no variables/variables.data" in finding.text
    assert COPY in finding.fix


@pytest.mark.parametrize("name", [versions.SAVED_MODEL, versions.MANIFEST])
def test_half_copied_without_its_main_files(copy, name):
    (copy / name).unlink()
    finding = last(files.examine(copy))
    assert f"has no {name}" in finding.text
    assert COPY in finding.fix


def test_a_truncated_manifest(copy):
    manifest = copy / versions.MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:500])
    assert "damaged manifest" in last(files.examine(copy)).text


def test_another_digest(copy):
    data = copy / "variables" / "variables.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[3] ^= 1
    data.write_bytes(content)
    finding = last(files.examine(copy))
    assert (finding.check, finding.ok) == ("digests", False)
    assert "variables/variables.data-00000-of-00001" in finding.text


def test_never_compared(tmp_path):
    finding = last(files.examine(exports.scaled(tmp_path, 1)))
    assert finding.check == "comparison"
    assert "python -m exporter verify" in finding.fix


def test_too_new_for_this_runtime(copy):
    make_too_new(copy)
    finding = runtime.examine(copy)
    assert (finding.check, finding.ok) == ("runtime", False)
    assert "--target serving-2.19" in finding.fix


def test_for_other_hardware_than_this(ill):
    finding = runtime.examine(ill / "for_cuda" / "1")
    assert (finding.check, finding.ok) == ("platform", False)
    assert "--platforms cpu,cuda" in finding.fix


ILLNESSES = {
    "too_new": ("runtime", "--target serving-2.19"),
    "newer_bytecode": ("runtime", "--target serving-2.19"),
    "for_cuda": ("platform", "--platforms cpu,cuda"),
    "cold": ("warm-up", "tf_serving_warmup_requests"),
    "half": ("model name", "half copied"),
    "integers": ("dtype", "--model_base_path"),
    "wrong": ("answers", "--model_base_path"),
}


@pytest.mark.parametrize("api", ["rest_port", "grpc_port"])
@pytest.mark.parametrize("name", ILLNESSES)
def test_illnesses_in_a_server(healthy, server, name, api):
    check, fix = ILLNESSES[name]
    finding = last(serving.examine(healthy, name, f"127.0.0.1:{getattr(server, api)}"))
    assert (finding.check, finding.ok) == (check, False), finding
    assert fix in finding.fix


def test_complex_numbers_go_by_grpc_alone(ill, server):
    version_dir = ill / "complex" / "1"
    by_rest, by_grpc = (f"127.0.0.1:{port}" for port in (server.rest_port, server.grpc_port))
    finding = last(serving.examine(version_dir, "complex", by_rest))
    assert (finding.check, finding.ok) == ("dtype", False)
    assert "complex64 can't be sent over REST" in finding.text
    assert "complex numbers only by gRPC" in finding.fix
    assert last(serving.examine(version_dir, "complex", by_grpc)).ok
    inputs = {"inputs": np.ones((1, 4), np.complex64)}
    with pytest.raises(runtimes.Refused, match="use gRPC"):
        runtimes.served(version_dir, by_rest, "complex").run("serving_default", inputs)
    outputs = runtimes.served(version_dir, by_grpc, "complex").run("serving_default", inputs)
    assert outputs["output_0"].dtype == np.complex64


@pytest.mark.parametrize("api", ["rest_port", "grpc_port"])
def test_a_wrong_model_name(healthy, server, api):
    finding = last(serving.examine(healthy, "scald", f"127.0.0.1:{getattr(server, api)}"))
    assert finding.check == "model name"
    assert "scaled is beside it" in finding.text
    assert "--model_name=scald" in finding.fix


def test_another_version(healthy, server):
    renamed = healthy.with_name("7")
    finding = last(serving.examine(renamed, "scaled", f"127.0.0.1:{server.rest_port}"))
    assert finding.check == "version"
    assert "doesn't serve scaled/7 (it has: 1 AVAILABLE)" in finding.text


@pytest.mark.parametrize("api", ["rest_port", "grpc_port"])
def test_a_server_without_xla(healthy, server_without_xla, api):
    server = server_without_xla
    finding = last(serving.examine(healthy, "scaled", f"127.0.0.1:{getattr(server, api)}"))
    assert finding.check == "XLA"
    assert "--xla_cpu_compilation_enabled=true" in finding.fix


@pytest.fixture(scope="module")
def server_without_xla(healthy, tmp_path_factory):
    flags = ["--engine=tensorflow", "--max_num_load_retries=0"]
    flags += ["--model_name=scaled", f"--model_base_path={healthy.parent}"]
    with ServerProcess(tmp_path_factory.mktemp("no_xla") / "log", *flags, wait_s=240) as process:
        yield process


def test_a_closed_port(healthy):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    (finding,) = serving.examine(healthy, "scaled", f"127.0.0.1:{port}")
    assert finding.check == "port"
    assert "refused" in finding.text
    assert f"--model_base_path={healthy.parent}" in finding.fix


def test_something_else_at_the_port(healthy):
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "0"]
    with subprocess.Popen(
        [command[0], "-u", *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as other:
        port = other.stdout.readline().split(b"port ")[1].split()[0].decode()
        (finding,) = serving.examine(healthy, "scaled", f"127.0.0.1:{port}")
        other.kill()
    assert (finding.check, finding.ok) == ("port", False)
    assert "no model server" in finding.text
    assert "HTTP 404 without an error in JSON" in finding.text


@pytest.mark.parametrize("api", ["rest_port", "grpc_port"])
def test_a_server_that_wants_a_token(healthy, locked, api):
    (finding,) = serving.examine(healthy, "scaled", f"127.0.0.1:{getattr(locked, api)}")
    assert (finding.check, finding.ok) == ("port", False)
    assert "doesn't answer everyone" in finding.text
    assert "Authorization: Bearer" in finding.text


@pytest.fixture(scope="module")
def locked(healthy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("locked")
    (folder / "token").write_text("secret")
    flags = ["--model_name=scaled", f"--model_base_path={healthy.parent}"]
    flags += [f"--auth_token_file={folder / 'token'}"]
    with ServerProcess(folder / "log", *flags, wait_s=240) as process:
        yield process


def test_a_report_from_nobody(healthy, server):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for address, words in (
        (f"127.0.0.1:{port}", f"nobody answers at 127.0.0.1:{port}: Connection refused; ask"),
        (f"127.0.0.1:{server.grpc_port}", "nothing"),
        (f"127.0.0.1:{server.rest_port}", "nothing"),
        ("nowhere", "write it as HOST:PORT"),
    ):
        with pytest.raises(UserError, match=words):
            runtimes.served(healthy, address, "nothing")


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["{dir}", "--server", "{rest}"], 0, "answers"),
        (["{dir}", "--server", "{rest}", "--model", "other"], 1, "model name"),
        (["{dir}", "--server", "nowhere"], 2, "write it as HOST:PORT"),
        (["{dir}/nothing"], 2, "there is no such directory"),
    ],
)
def test_the_command(healthy, server, flags, code, words, capsys):
    known = {"dir": str(healthy.parent), "rest": f"127.0.0.1:{server.rest_port}"}
    assert main(["doctor", *(flag.format(**known) for flag in flags), "--json"]) == code
    said = capsys.readouterr()
    if code == 2:
        assert words in said.err
        return
    found = json.loads(said.out)
    assert found["ok"] == (code == 0)
    assert found["findings"][-1]["check"] == words
