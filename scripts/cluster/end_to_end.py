"""Trains, publishes, serves and compares with JAX in a cluster of one node, such as kind's.

    python -m scripts.cluster.end_to_end --kubeconfig FILE

TensorFlow Serving by deploy/overlays/single-node, this project's server in its place, and, where
KServe is in the cluster, its InferenceService by the ServingRuntime of deploy/kserve/embedded.
Needs kind and Docker, which load the images into the node; changes the cluster.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.cluster.checks import CRD, NAMESPACE
from scripts.cluster.control_plane import KUBECTL, free_ports, wait_for_port

ROOT = Path(__file__).parents[2]
# Of overlays/single-node with this project's server; in build/, since it is nobody else's.
EMBEDDED = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../deploy/overlays/single-node]
components: [../../deploy/components/embedded]
"""
IMAGES = ("exporter", "server")
TAG = "0.1.0"  # that of deploy/
ON_ONE_NODE = [
    # The claim of overlays/single-node; that of the base needs ReadWriteMany.
    {
        "op": "replace",
        "path": "/spec/predictor/model/storageUri",
        "value": "pvc://models-single-node/mnist_flax",
    },
    {"op": "replace", "path": "/spec/predictor/minReplicas", "value": 1},
]


def main() -> int:
    """Returns 0 when all servers agreed with JAX; else the command that failed says why."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.cluster.end_to_end", description=__doc__
    )
    parser.add_argument("--kubeconfig", type=Path, required=True, help="a cluster of kind's")
    cluster = _Cluster(parser.parse_args().kubeconfig)
    for name in IMAGES:
        image = f"jax-serving-stack/{name}:{TAG}"
        _run(
            "docker", "build", "--file=docker/Dockerfile", f"--target={name}", f"--tag={image}", "."
        )
        _run("kind", "load", "docker-image", image)

    cluster.kubectl("apply", "--kustomize", "deploy/overlays/single-node")
    cluster.inside("create", "job", "exporter-1", "--from=cronjob/exporter")
    cluster.inside("wait", "--for=condition=complete", "job/exporter-1", "--timeout=20m")
    cluster.inside("rollout", "status", "deployment/model-server", "--timeout=10m")
    with tempfile.TemporaryDirectory() as models:
        pods = cluster.answer("get", "pods", "--selector=app.kubernetes.io/name=model-server")
        pod = pods["items"][0]["metadata"]["name"]
        cluster.inside("cp", f"{pod}:/models/mnist_flax", f"{models}/mnist_flax")
        cluster.compare("service/model-server", 8501, "--model_dir", models)

        folder = ROOT / "build" / "cluster"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "kustomization.yaml").write_text(EMBEDDED)
        cluster.kubectl("apply", "--kustomize", str(folder))
        cluster.inside("rollout", "status", "deployment/model-server", "--timeout=10m")
        cluster.compare("service/model-server", 8501, "--model_dir", models)

        if not cluster.has(CRD):
            print("not checked: KServe, which is not in the cluster")
            return 0
        cluster.inside("delete", "hpa,pdb,deployment", "model-server")
        cluster.kubectl("apply", "--kustomize", "deploy/kserve/embedded")
        patch = json.dumps(ON_ONE_NODE)
        cluster.inside("patch", "inferenceservice/mnist-flax", "--type=json", "--patch", patch)
        ready = ("wait", "--for=condition=PredictorReady", "inferenceservice/mnist-flax")
        cluster.inside(*ready, "--timeout=10m")
        cluster.compare("service/mnist-flax-predictor", 80, "--model", "mnist-flax", "--api", "v2")
    return 0


class _Cluster:
    def __init__(self, kubeconfig: Path) -> None:
        self._command = (KUBECTL, f"--kubeconfig={kubeconfig}")

    def kubectl(self, *args: str) -> None:
        _run(*self._command, *args)

    def inside(self, *args: str) -> None:
        _run(*self._command, f"--namespace={NAMESPACE}", *args)

    def answer(self, *args: str) -> dict:
        command = [*self._command, f"--namespace={NAMESPACE}", *args, "--output=json"]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    def has(self, crd: str) -> bool:
        command = [*self._command, "get", "crd", crd]
        return subprocess.run(command, capture_output=True).returncode == 0

    def compare(self, service: str, port: int, *args: str) -> None:
        """Asks a Service through a tunnel."""
        with self._forwarded(service, port) as local:
            _run(sys.executable, "-m", "client.predict", "--port", str(local), *args)

    @contextlib.contextmanager
    def _forwarded(self, service: str, port: int) -> Iterator[int]:
        (local,) = free_ports(1)
        command = [*self._command, f"--namespace={NAMESPACE}", "port-forward", service]
        process = subprocess.Popen([*command, f"{local}:{port}"], stdout=subprocess.DEVNULL)
        try:
            wait_for_port(local, process)
            yield local
        finally:
            process.terminate()
            process.wait()


def _run(*command: str) -> None:
    print("$", *command, flush=True)
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
