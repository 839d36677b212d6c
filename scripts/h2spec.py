"""Runs h2spec (github.com/summerwind/h2spec) against the gRPC port: 145 of 146 cases pass.

Its source isn't part of this project. With Debian's golang-go, golang-golang-x-net-dev,
golang-github-fatih-color-dev and golang-github-spf13-cobra-dev, and a copy of it:

    python -m scripts.h2spec path/to/h2spec
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from server.protocol.grpc.method import Method
from server.protocol.grpc.server import GrpcServer

# Cases that fail, and why that is right.
EXPECTED = {
    "Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE": (
        "h2spec sends a bit more than 16 KiB, the protocol's default; our settings allow a MiB"
    ),
}
_GO_PACKAGES = "/usr/share/gocode"


def build(source: Path, directory: Path) -> Path:
    """Builds h2spec from its source and returns the program."""
    package = directory / "src/github.com/summerwind/h2spec"
    package.parent.mkdir(parents=True)
    package.symlink_to(source.resolve())
    paths = os.pathsep.join([str(directory), _GO_PACKAGES])
    program = directory / "program"
    subprocess.run(
        ["go", "build", "-o", program, "./cmd/h2spec"],
        cwd=package,
        env={**os.environ, "GO111MODULE": "off", "GOPATH": paths, "PWD": str(package)},
        check=True,
    )
    return program


async def run(program: Path) -> str:
    """Returns what h2spec prints of our server."""

    async def echo(request: bytes, context: object) -> bytes:
        return request

    server = GrpcServer({"/test/Echo": Method(bytes, bytes, echo)})
    port = await server.start()
    process = await asyncio.create_subprocess_exec(
        program, "-h", "127.0.0.1", "-p", str(port), "-P", "/test/Echo",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 300)
    await server.close(1)
    return output.decode()


def main() -> int:
    """Prints the sum, and what failed; the exit status is 1 if that isn't what EXPECTED says."""
    with tempfile.TemporaryDirectory() as directory:
        output = asyncio.run(run(build(Path(sys.argv[1]), Path(directory))))
    failures = set(re.findall(r"× \d+: (.*)", output.partition("Failures:")[2]))
    print(output.strip().splitlines()[-1])
    for case in sorted(failures):
        print(f"{case}: {EXPECTED.get(case, 'UNEXPECTED')}")
    return 0 if failures == set(EXPECTED) else 1


if __name__ == "__main__":
    raise SystemExit(main())
