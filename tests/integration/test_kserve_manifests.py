"""KServe's resources in deploy/, held against the models of KServe's own package."""

import copy

import jsonschema
import pytest

from tests.support import kserve_schema
from tests.support.manifests import KSERVE, objects

pytestmark = pytest.mark.slow  # KServe's package is in an environment of its own


def errors(item, version="1.37"):
    schema = kserve_schema.schema(item["kind"], version)
    checked = jsonschema.Draft202012Validator(schema).iter_errors(item)
    return sorted(f"{error.json_path}: {error.message}" for error in checked)


def own(folder):
    return [item for item in objects(folder).values() if "kserve.io" in item["apiVersion"]]


@pytest.mark.parametrize("version", ["1.33", "1.37"])
def test_resources_follow_the_schemas(version):
    found = [item for folder in KSERVE for item in own(folder)]
    assert sorted(item["kind"] for item in found) == [
        *("InferenceService", "InferenceService", "ServingRuntime"),
    ]
    for item in found:
        assert errors(item, version) == []


def test_mistakes_are_seen():
    service, runtime = (
        copy.deepcopy(objects("kserve/embedded")[key])
        for key in (("InferenceService", "mnist-flax"), ("ServingRuntime", "jax-serving-stack"))
    )
    model = service["spec"]["predictor"]["model"]
    del model["modelFormat"]
    model["storageUrl"] = model.pop("storageUri")
    service["spec"]["predictor"]["minReplicas"] = "two"
    found = "\n".join(errors(service))
    assert "'modelFormat' is a required property" in found
    assert "'storageUrl'" in found
    assert "'two' is not of type 'integer'" in found
    runtime["spec"]["protocolVersion"] = "v2"
    runtime["spec"]["containers"][0]["ports"][0]["number"] = 80
    found = "\n".join(errors(runtime))
    assert "'protocolVersion' was unexpected" in found
    assert "'number' was unexpected" in found
