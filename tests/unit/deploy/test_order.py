"""Folders of deploy/ may be applied one over the other, and again: nothing immutable changes."""

import copy

import pytest

from tests.support.manifests import FOLDERS, SERVERS, containers, objects, pod, template

# What the API server, or KServe's webhook, refuses to change, by kind. Source: the Validate…Update
# functions of kubernetes, pkg/apis/{core,apps,batch,…}/validation, and kserve,
# pkg/apis/serving/v1beta1/inference_service_validation.go
IMMUTABLE = {
    "ConfigMap": (("immutable",),),
    "CronJob": (),
    "Deployment": (("spec", "selector"),),
    "HorizontalPodAutoscaler": (),
    "InferenceService": (
        ("metadata", "annotations", "serving.kserve.io/deploymentMode"),
        ("spec", "predictor", "name"),
    ),
    "Job": (("spec", "selector"), ("spec", "template"), ("spec", "completionMode")),
    "Namespace": (),
    "NetworkPolicy": (),
    "PersistentVolumeClaim": (
        ("spec", "accessModes"),
        ("spec", "resources"),  # it may grow; here it stays
        ("spec", "selector"),
        ("spec", "storageClassName"),
        ("spec", "volumeMode"),
        ("spec", "volumeName"),
    ),
    "PodDisruptionBudget": (),
    "Service": (("spec", "clusterIP"),),
    "ServiceAccount": (),
    "ServingRuntime": (("spec", "workerSpec"),),
}


def at(item, path):
    for name in path:
        item = item.get(name) if isinstance(item, dict) else None
    return item


def refused(before, after):
    """What of the second folder's objects couldn't be applied over the first's."""
    for key in before.keys() & after.keys():
        old, new = before[key], after[key]
        if old["apiVersion"] != new["apiVersion"]:
            yield key, "apiVersion"
        for path in IMMUTABLE[key[0]]:
            if at(old, path) != at(new, path):
                yield key, ".".join(path)


@pytest.mark.parametrize("folder", FOLDERS)
def test_all_kinds_are_known(folder):
    assert {kind for kind, _ in objects(folder)} <= IMMUTABLE.keys()


@pytest.mark.parametrize("before", FOLDERS)
def test_folders_change_nothing_immutable(before):
    for after in FOLDERS:
        assert list(refused(objects(before), objects(after))) == [], after


def test_the_comparison_sees_a_change():
    before = objects("base")
    after = copy.deepcopy(before)
    after["Deployment", "model-server"]["spec"]["selector"]["matchLabels"] = {"app": "other"}
    after["Service", "model-server-pods"]["spec"].pop("clusterIP")
    after["PersistentVolumeClaim", "models"]["spec"]["accessModes"] = ["ReadWriteOnce"]
    found = dict(refused(before, after))
    assert found == {
        ("Deployment", "model-server"): "spec.selector",
        ("Service", "model-server-pods"): "spec.clusterIP",
        ("PersistentVolumeClaim", "models"): "spec.accessModes",
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_job_is_applied(folder):
    """A Job's template can't be changed: versions are published by Jobs that the CronJob makes."""
    found = objects(folder)
    assert "Job" not in {kind for kind, _ in found}
    exporter = found["CronJob", "exporter"]["spec"]
    assert exporter["suspend"] is True
    assert exporter["concurrencyPolicy"] == "Forbid"


@pytest.mark.parametrize("folder", SERVERS)
def test_applying_again_leaves_the_autoscalers_replicas(folder):
    found = objects(folder)
    scaled = [
        item["spec"]["scaleTargetRef"]
        for (kind, _), item in found.items()
        if kind == "HorizontalPodAutoscaler"
    ]
    assert scaled
    for target in scaled:
        assert "replicas" not in found[target["kind"], target["name"]]["spec"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_pods_refer_to_is_there(folder):
    found = objects(folder)
    from_elsewhere = {("Secret", "edge-certificate")}  # docs/kubernetes.md
    for item in found.values():
        if template(item) is None:
            continue
        volumes = {volume["name"] for volume in pod(item)["volumes"]}
        for wanted in references(item):
            assert wanted in found or wanted in from_elsewhere, wanted
        for container in containers(item):
            mounts = container["volumeMounts"]
            assert {mount["name"] for mount in mounts} <= volumes
            paths = [mount["mountPath"] for mount in mounts]
            assert len(paths) == len(set(paths))


def references(item):
    """The objects that a workload's pods can't start without, by kind and name."""
    spec = pod(item)
    if "serviceAccountName" in spec:
        yield "ServiceAccount", spec["serviceAccountName"]
    for volume in spec["volumes"]:
        if claim := volume.get("persistentVolumeClaim"):
            yield "PersistentVolumeClaim", claim["claimName"]
        if config := volume.get("configMap"):
            yield "ConfigMap", config["name"]
        if secret := volume.get("secret"):
            yield "Secret", secret["secretName"]
    for container in containers(item):
        for source in container.get("envFrom", ()):
            for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                reference = source.get(field)
                if reference and not reference.get("optional"):
                    yield kind, reference["name"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_selectors_find_the_pods_of_their_folder(folder):
    """No budget, autoscaler, Service or policy of a server is left over where the server isn't."""
    found = objects(folder)
    labels = [template(item)["metadata"]["labels"] for item in found.values() if template(item)]
    if ("InferenceService", "mnist-flax") in found or folder == "kserve/common":
        labels.append({"serving.kserve.io/inferenceservice": "mnist-flax"})
    for (kind, name), item in found.items():
        spec = item.get("spec", {})
        if kind == "HorizontalPodAutoscaler":
            assert ("Deployment", spec["scaleTargetRef"]["name"]) in found
        selector = {
            "Service": lambda spec: spec["selector"],
            "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
        }.get(kind)
        if selector:
            wanted = selector(spec).items()
            assert any(wanted <= each.items() for each in labels), (kind, name)
