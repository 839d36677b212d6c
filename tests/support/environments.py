"""Environments of their own for foreign clients and servers, whose packages differ from ours."""

import subprocess
from pathlib import Path

from bench.peers import PEERS, environment
from client.errors import Unavailable
from tests.support import needs

ROOT = Path(__file__).parents[2]
_PEERS = ROOT / "build" / "bench" / "peers"
_TRITON_PINS = Path(__file__).with_name("constraints-tritonclient.txt")


def kserve():
    """Returns the interpreter of an environment with KServe and JAX, the one of `make bench`."""
    return _made("kserve", lambda: environment.python(PEERS["kserve"], _PEERS))


def tritonclient():
    """Returns the interpreter of an environment with tritonclient, for HTTP and gRPC."""
    home = ROOT / "build" / "tests" / "tritonclient"
    packages = ["tritonclient[http,grpc]"]
    return _made("tritonclient", lambda: environment.with_packages(home, packages, _TRITON_PINS))


def _made(name, make):
    try:
        return make()
    except (Unavailable, subprocess.CalledProcessError):
        needs.missing(f"needs {name}, which pip can't install")
