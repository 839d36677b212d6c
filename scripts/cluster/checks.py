"""What is checked of deploy/ in a cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from scripts.cluster.control_plane import kubectl

NAMESPACE = "serving"
CRD = "inferenceservices.serving.kserve.io"


class Refused(Exception):
    """The cluster refused what it has to take, or took what it has to refuse."""


def folders(root: Path) -> list[str]:
    """Returns the folders of deploy/ in the order in which they are applied: KServe's come last."""
    found = (
        str(path.parent.relative_to(root))
        for path in root.rglob("kustomization.yaml")
        if "kind: Component" not in path.read_text()
    )
    return sorted(found, key=lambda folder: (folder.startswith("kserve/"), folder))


def run(kubeconfig: Path, root: Path) -> Iterator[str]:
    """Applies all folders one after the other, forth and back, and tries what users do.

    Args:
        kubeconfig: Of a cluster that may be changed.
        root: The folder deploy/.

    Yields:
        A line for each thing that was checked.

    Raises:
        Refused: with what the API server said.
    """
    has_kserve = kubectl(kubeconfig, "get", "crd", CRD).returncode == 0
    wanted = [each for each in folders(root) if has_kserve or each in _without_kserve(root)]
    # The namespace is there before anything is tried in it.
    namespace = ("apply", "--filename", str(root / "models/namespace.yaml"))
    _must(kubectl(kubeconfig, *namespace), "the namespace")
    for folder in [*wanted, *reversed(wanted)]:
        said = _must(kubectl(kubeconfig, "apply", "--kustomize", str(root / folder)), folder)
        # Pod Security warns of a workload whose pods it would refuse.
        if "would violate PodSecurity" in said.stderr:
            raise Refused(f"{folder}: {said.stderr}")
    yield f"{len(wanted)} folders applied over each other, forth and back: {', '.join(wanted)}"
    if not has_kserve:
        yield "not checked: KServe's folders, since the cluster has no CRDs of KServe"
    count = 0
    for folder in wanted:
        for name, pod in _pods(kubeconfig, root / folder):
            _must(_create(kubeconfig, pod), f"a pod of {folder}, {name}")
            count += 1
    yield f"{count} pods admitted where Pod Security is `restricted` (server-side dry run)"
    refused = _create(kubeconfig, pod | {"spec": pod["spec"] | {"hostNetwork": True}})
    if "violates PodSecurity" not in refused.stderr:
        raise Refused(f"a pod on the host's network was not refused: {refused.stderr}")
    yield "a pod on the host's network refused"
    yield _replicas(kubeconfig, root)
    yield _versions(kubeconfig)


def _without_kserve(root: Path) -> list[str]:
    """All but those with resources of KServe's own."""
    return [each for each in folders(root) if each not in ("kserve/tensorflow", "kserve/embedded")]


def _pods(kubeconfig: Path, folder: Path) -> Iterator[tuple[str, dict]]:
    """The pods that a folder's workloads would make."""
    done = _must(
        kubectl(kubeconfig, "apply", "--kustomize", str(folder), "--dry-run=server", "-o", "json"),
        str(folder),
    )
    answer = json.loads(done.stdout)
    for item in answer.get("items", [answer]):
        spec = item.get("spec", {})
        spec = spec["jobTemplate"]["spec"] if item["kind"] == "CronJob" else spec
        if item["kind"] in ("CronJob", "Deployment"):
            template = spec["template"]
            metadata = template["metadata"] | {"generateName": "checked-", "namespace": NAMESPACE}
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata,
                "spec": template["spec"],
            }
            yield item["metadata"]["name"], pod


def _create(kubeconfig: Path, pod: dict) -> subprocess.CompletedProcess:
    arguments = ("create", "--dry-run=server", "--filename=-")
    return kubectl(kubeconfig, *arguments, text=json.dumps(pod))


def _replicas(kubeconfig: Path, root: Path) -> str:
    """Publishing and applying leave the replicas that an autoscaler has set."""
    base = ("apply", "--kustomize", str(root / "base"))
    scale = ("scale", "deployment/model-server", "--replicas=7")
    get = ("get", "deployment/model-server", "--output=jsonpath={.spec.replicas}")
    inside = f"--namespace={NAMESPACE}"
    _must(kubectl(kubeconfig, *base), "base")
    _must(kubectl(kubeconfig, inside, *scale), "scaling")
    _must(kubectl(kubeconfig, *base), "base again")
    _must(kubectl(kubeconfig, "apply", "--kustomize", str(root / "overlays/embedded")), "embedded")
    replicas = _must(kubectl(kubeconfig, inside, *get), "replicas").stdout
    if replicas != "7":
        raise Refused(f"applying set 7 replicas to {replicas}")
    return "7 replicas stay 7 when folders are applied again"


def _versions(kubeconfig: Path) -> str:
    """A version is a Job of a name of its own."""
    names = ("exporter-1", "exporter-2")
    for name in names:
        create = ("create", "job", name, "--from=cronjob/exporter", f"--namespace={NAMESPACE}")
        _must(kubectl(kubeconfig, *create), name)
    return f"versions published as jobs: {', '.join(names)}"


def _must(done: subprocess.CompletedProcess, what: str) -> subprocess.CompletedProcess:
    if done.returncode:
        raise Refused(f"{what}: {done.stderr.strip()}")
    return done
