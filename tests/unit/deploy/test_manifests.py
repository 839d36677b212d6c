"""The Kubernetes manifests, rendered by kubectl and held against Kubernetes' own rules."""

import copy
import re

import kubernetes_validate
import pytest
import yaml

from scripts.cluster import end_to_end
from tests.support import pod_security
from tests.support.manifests import (
    FOLDERS,
    KSERVE,
    ROOT,
    SERVERS,
    containers,
    kserve_pod,
    objects,
    pod,
    render,
    template,
)

# KServe's runtime for TensorFlow Serving, as far as Pod Security looks at it. Source: kserve,
# config/runtimes/kserve-tensorflow-serving.yaml
TENSORFLOW_RUNTIME = {
    "containers": [
        {
            "name": "kserve-container",
            "args": ["--model_base_path=/mnt/models"],
            "securityContext": {
                "runAsUser": 1000,
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
            },
        }
    ]
}


def workloads(folder):
    return {name: item for (_, name), item in objects(folder).items() if template(item)}


def predictor(folder):
    """The pod that KServe makes in a folder's InferenceService."""
    found = objects(folder)
    service = found["InferenceService", "mnist-flax"]
    name = service["spec"]["predictor"]["model"]["runtime"]
    own = found.get(("ServingRuntime", name))
    return kserve_pod(service, own["spec"] if own else TENSORFLOW_RUNTIME)


@pytest.mark.parametrize("version", ["1.33", "1.37"])
def test_manifests_follow_the_schemas(version):
    distinct = {
        yaml.safe_dump(item): (folder, item)
        for folder in FOLDERS
        for item in objects(folder).values()
    }
    looked_at = 0
    for folder, item in distinct.values():
        # KServe's own: tests/integration/test_kserve_manifests.py
        if "kserve.io" not in item["apiVersion"]:
            try:
                kubernetes_validate.validate(item, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                pytest.fail(f"{folder}, {item['kind']} {item['metadata']['name']}: {error.message}")
            looked_at += 1
    assert looked_at > 30


def test_the_schemas_refuse_an_unknown_field():
    item = copy.deepcopy(objects("base")["Deployment", "model-server"])
    item["spec"]["template"]["spec"]["containers"][0]["imagePolicy"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError, match="imagePolicy"):
        kubernetes_validate.validate(item, "1.37", strict=True)


def test_all_folders_are_among_those_that_are_looked_at():
    assert {"models", "base", "overlays/single-node", "kserve/embedded"} <= set(FOLDERS)
    assert len(SERVERS) == 7
    assert len(KSERVE) == 3


@pytest.mark.parametrize("folder", SERVERS)
def test_a_server_has_all_that_a_service_needs(folder):
    found = objects(folder)
    kinds = {kind for kind, _ in found}
    assert kinds >= {
        *("CronJob", "Deployment", "Service", "ConfigMap", "Namespace"),
        *("PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy"),
    }
    assert ("PersistentVolumeClaim" in kinds) == (folder != "overlays/object-storage")
    assert found["Namespace", "serving"]["metadata"]["labels"] == {
        "app.kubernetes.io/part-of": "jax-serving-stack",
        "pod-security.kubernetes.io/enforce": "restricted",
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_pods_are_admitted_where_pod_security_is_restricted(folder):
    assert workloads(folder)
    for name, item in workloads(folder).items():
        annotations = template(item)["metadata"].get("annotations")
        assert pod_security.violations(pod(item), annotations) == [], name


@pytest.mark.parametrize("folder", FOLDERS)
def test_pods_are_locked_down(folder):
    for name, item in workloads(folder).items():
        assert pod(item)["automountServiceAccountToken"] is False, name
        for container in containers(item):
            assert container["securityContext"]["readOnlyRootFilesystem"], container["name"]
            assert container["resources"]["limits"]["memory"], container["name"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_images_have_tags(folder):
    images = re.findall(r"^ *(?:- )?image: (\S+)$", render(folder), re.MULTILINE)
    assert images
    for image in images:
        assert re.fullmatch(r"[\w./-]+:v?[0-9][\w.-]*", image), image


@pytest.mark.parametrize("folder", ["kserve/tensorflow", "kserve/embedded"])
def test_predictors_are_admitted_where_pod_security_is_restricted(folder):
    spec = predictor(folder)
    assert pod_security.violations(spec) == []
    without = {name: value for name, value in spec.items() if name != "securityContext"}
    refused = pod_security.violations(without)
    # KServe's own runtime has no profile, which is why its pods were refused.
    assert bool(refused) == (folder == "kserve/tensorflow")


def test_overlay_has_three_replicas():
    found = objects("overlays/three-replicas")
    assert found["HorizontalPodAutoscaler", "model-server"]["spec"]["minReplicas"] == 3
    assert found["PodDisruptionBudget", "model-server"]["spec"]["minAvailable"] == 2


def test_gpu_overlay_exports_for_the_gpu_and_asks_for_one():
    found = objects("overlays/gpu")
    assert "--platforms=cpu,cuda" in containers(found["CronJob", "exporter"])[0]["args"]
    server = containers(found["Deployment", "model-server"])[0]
    assert server["image"].endswith("-gpu")
    assert server["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_object_storage_needs_no_shared_volume():
    found = objects("overlays/object-storage")
    for key in (("CronJob", "exporter"), ("Deployment", "model-server")):
        volumes = {volume["name"]: volume for volume in pod(found[key])["volumes"]}
        assert volumes["models"] == {"name": "models", "emptyDir": {}}


def test_object_storage_lets_both_ask_who_they_are():
    found = objects("overlays/object-storage")
    for name in ("model-server", "exporter"):
        egress = found["NetworkPolicy", name]["spec"]["egress"]
        store, identity = egress
        assert {"port": 443, "protocol": "TCP"} in store["ports"]
        blocks = {each["ipBlock"]["cidr"] for each in identity["to"]}
        assert blocks >= {"169.254.169.254/32", "169.254.169.252/32", "169.254.170.23/32"}
        assert {port["port"] for port in identity["ports"]} == {80, 988}
    for key in (("CronJob", "exporter"), ("Deployment", "model-server")):
        assert ("ServiceAccount", pod(found[key])["serviceAccountName"]) in found


def test_one_node_needs_no_shared_volume():
    found = objects("overlays/single-node")
    (claim,) = (item for (kind, _), item in found.items() if kind == "PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert found["HorizontalPodAutoscaler", "model-server"]["spec"]["minReplicas"] == 1
    budget = found["PodDisruptionBudget", "model-server"]["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget


@pytest.mark.parametrize("folder", SERVERS)
def test_servers_end_on_sigterm(folder):
    """TensorFlow Serving has no handler; as the first process of a namespace it would ignore it."""
    spec = pod(objects(folder)["Deployment", "model-server"])
    server = spec["containers"][0]
    assert server["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "15"]
    if server["image"].startswith("tensorflow/serving:"):
        assert spec["shareProcessNamespace"] is True
        assert server["command"][0] == "/usr/bin/tensorflow_model_server"
    else:
        assert folder == "overlays/embedded"
        drain_seconds = 30  # --drain_seconds' default
        assert spec["terminationGracePeriodSeconds"] >= 15 + drain_seconds + 5


def test_the_embedded_server_takes_the_same_flags_and_ports():
    ours, theirs = (
        containers(objects(folder)["Deployment", "model-server"])[0]
        for folder in ("overlays/embedded", "base")
    )
    assert ours["args"] == theirs["args"]
    assert ours["ports"] == theirs["ports"]
    # The image's entrypoint has the ports, as docker/Dockerfile says.
    assert "command" not in ours
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    assert '"--port=8500", "--rest_api_port=8501"' in dockerfile
    assert theirs["command"][1:] == ["--port=8500", "--rest_api_port=8501"]


def test_the_embedded_server_runs_on_one_node_too():
    """As scripts/cluster/end_to_end.py does in kind."""
    folder = ROOT / "build" / "tests" / "embedded-on-one-node"
    folder.mkdir(parents=True, exist_ok=True)
    text = end_to_end.EMBEDDED.replace("../../deploy", "../../../deploy")
    (folder / "kustomization.yaml").write_text(text)
    found = objects("../build/tests/embedded-on-one-node")
    (server,) = containers(found["Deployment", "model-server"])
    assert server["image"].startswith("jax-serving-stack/server:")
    volumes = {
        volume["name"]: volume for volume in pod(found["Deployment", "model-server"])["volumes"]
    }
    assert volumes["models"]["persistentVolumeClaim"]["claimName"] == "models-single-node"
    assert {"compiled", "tmp", "config"} <= volumes.keys()


def test_the_edge_is_the_one_of_compose():
    for name in ("envoy.yaml", "certificate.yaml", "render.awk", "start"):
        ours = (ROOT / "deploy/overlays/edge" / name).read_text()
        assert ours == (ROOT / "docker/edge" / name).read_text(), name
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["edge"]
    (edge,) = containers(objects("overlays/edge")["Deployment", "edge"])
    assert edge["command"] == compose["entrypoint"]
    assert edge["image"] == re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", compose["image"])
    env = {each["name"]: each["value"] for each in edge["env"]}
    assert env["EDGE_HEALTH_PATH"] == "/v1/models/mnist_flax"


def test_servers_behind_the_edge_answer_it_alone():
    found = objects("overlays/edge")
    (rule,) = found["NetworkPolicy", "model-server"]["spec"]["ingress"]
    edge = {"app.kubernetes.io/name": "edge"}
    assert {"podSelector": {"matchLabels": edge}} in rule["from"]
    assert {"podSelector": {}} not in rule["from"]
    assert found["Service", "edge"]["spec"]["selector"] == edge
    ports = {p["name"] for p in containers(found["Deployment", "edge"])[0]["ports"]}
    assert found["Service", "edge"]["spec"]["ports"][0]["targetPort"] in ports


def test_server_is_the_one_of_compose():
    server = containers(objects("base")["Deployment", "model-server"])[0]
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
    assert {*server["args"]} - {"--grpc_max_threads=256"} == {*command} - {"--grpc_max_threads=256"}
    assert "--grpc_max_threads=256" in server["args"]
    assert server["image"] == f"tensorflow/serving:{defaults['TF_SERVING_TAG']}"
    for name in ("mnist_flax.config", "batching.config", "monitoring.config"):
        ours = (ROOT / "deploy/base" / name).read_text()
        assert ours == (ROOT / "docker/serving" / name).read_text(), name


@pytest.mark.parametrize("folder", ["kserve/tensorflow", "kserve/embedded"])
def test_kserve_serves_what_the_exporter_publishes(folder):
    found = objects(folder)
    service = found["InferenceService", "mnist-flax"]
    model = service["spec"]["predictor"]["model"]
    (claim,) = (name for kind, name in found if kind == "PersistentVolumeClaim")
    assert model["storageUri"] == f"pvc://{claim}/mnist_flax"
    (args,) = (each["args"] for each in predictor(folder)["containers"])
    assert "--model_base_path=/mnt/models" in args
    if folder == "kserve/tensorflow":
        assert args[-2:] == ["--xla_cpu_compilation_enabled=true", "--grpc_max_threads=256"]


def test_the_serving_runtime_is_one_of_the_open_inference_protocol():
    found = objects("kserve/embedded")
    runtime = found["ServingRuntime", "jax-serving-stack"]["spec"]
    model = found["InferenceService", "mnist-flax"]["spec"]["predictor"]["model"]
    assert model["protocolVersion"] in runtime["protocolVersions"]
    formats = {each["name"] for each in runtime["supportedModelFormats"]}
    assert model["modelFormat"]["name"] in formats
    (container,) = runtime["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert f"--rest_api_port={ports['http']}" in container["args"]
    assert f"--port={ports['grpc']}" in container["args"]
    policy = found["NetworkPolicy", "predictor"]["spec"]["ingress"][0]["ports"]
    assert {port["port"] for port in policy} == set(ports.values())
