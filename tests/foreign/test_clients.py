"""Clients in other languages, made with gRPC's own libraries, see our server as grpc.aio's."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from server.protocol.grpc.server import GrpcServer
from tests.support import needs
from tests.support.grpc_methods import Reference, running

HERE = Path(__file__).parent
GRPC_JS = "@grpc/grpc-js@1.14"
JARS = Path("/usr/share/java")
# What each client prints: deadlines, cancellation and a thousand streams at once among it.
EXPECTED = {
    "echo": "abab",
    "large": "104857600",
    "gzip": "1000000",
    "abort": "15 lost",
    "unknown": "12",
    "deadline": "4",
    "cancel": "1",
    "metadata": "0 100000",
    "streams": "1000",
}


def make(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, done.stderr[-3000:]


def node(directory):
    program = needs.program("node", debian="nodejs npm")
    npm = needs.program("npm", debian="nodejs npm")
    cache = needs.ROOT / "build" / "foreign"
    if not (cache / "node_modules" / "@grpc" / "grpc-js").is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [npm, "install", "--prefix", cache, "--no-save", "--silent", GRPC_JS],
            capture_output=True, timeout=600,
        )  # fmt: skip
        if done.returncode:
            needs.missing(f"needs {GRPC_JS}, which npm can't install: {done.stderr[-300:]!r}")
    return [program, HERE / "client.js"], {"NODE_PATH": str(cache / "node_modules")}


def go(directory):
    program = needs.program("go", debian="golang-go")
    needs.file("/usr/share/gocode/src/google.golang.org/grpc", debian="golang-google-grpc-dev")
    settings = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}
    make(program, "build", "-o", directory / "client", HERE / "client.go",
         env={**os.environ, **settings})  # fmt: skip
    return [directory / "client"], {}


def cpp(directory):
    program = needs.program("g++", debian="g++")
    needs.file("/usr/include/grpcpp/grpcpp.h", debian="libgrpc++-dev")
    tool = needs.program("pkg-config", debian="pkg-config")
    flags = subprocess.check_output([tool, "--cflags", "--libs", "grpc++"], text=True).split()
    make(program, "-std=c++17", "-o", directory / "client", HERE / "client.cc", *flags)
    return [directory / "client"], {}


def java(directory):
    compiler = needs.program("javac", debian="openjdk-17-jdk-headless")
    for jar, debian in {
        "grpc-netty": "libgrpc-java", "netty-all": "libnetty-java", "guava": "libguava-java",
        "perfmark-api": "libperfmark-java",
    }.items():  # fmt: skip
        needs.file(JARS / f"{jar}.jar", debian=debian)
    path = os.pathsep.join(
        [str(directory), *(str(jar) for jar in JARS.glob("*.jar") if not jar.is_symlink())]
    )
    make(compiler, "-cp", path, "-d", directory, HERE / "Client.java")
    return [shutil.which("java"), "-cp", path, "Client"], {}


@pytest.mark.slow
@pytest.mark.parametrize("language", [node, go, cpp, java])
def test_a_client_sees_no_difference(language, tmp_path):
    command, settings = language(tmp_path)
    expected = dict(EXPECTED)
    if language is node:
        expected["metadata"] = "0 abab"  # Node's HTTP/2 sends at most 64 KiB of headers

    def calls(kind):
        with running(kind) as port:
            done = subprocess.run(
                [*command, str(port)], capture_output=True, text=True, timeout=300,
                env={**os.environ, **settings},
            )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return dict(line.split(" ", 1) for line in done.stdout.splitlines())

    assert calls(GrpcServer) == expected
    assert calls(Reference) == expected
