"""JSON schemas of KServe's resources, made from the models of its Python package.

The package's models are generated from the API's OpenAPI document, as the CRDs are from the same Go
types. Objects of Kubernetes inside of them take its strict schemas.
"""

import ast
import functools
import json
import re
import subprocess
from pathlib import Path

import kubernetes_validate

from tests.support import environments

KINDS = {"InferenceService": "V1beta1InferenceService", "ServingRuntime": "V1alpha1ServingRuntime"}
_SIMPLE = {"str": "string", "int": "integer", "bool": "boolean", "float": "number"}
_REQUIRED = re.compile(r"Invalid value for `(\w+)`, must not be `None`")
_GROUPS = {
    "V1ObjectMeta": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "ResourceQuantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "K8sIoApiAppsV1DeploymentStrategy": "io.k8s.api.apps.v1.DeploymentStrategy",
    "K8sIoApiAutoscalingV2HorizontalPodAutoscalerBehavior": (
        "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerBehavior"
    ),
}


@functools.cache
def schema(kind, version):
    """Returns the JSON schema of a kind, with Kubernetes' own of a version such as `1.33`."""
    models = _models()
    kubernetes = _kubernetes(version)
    used = {}

    def of(type_name):
        if type_name in _SIMPLE:
            return {"type": _SIMPLE[type_name]}
        if match := re.fullmatch(r"list\[(.+)\]", type_name):
            return {"type": "array", "items": of(match[1])}
        if match := re.fullmatch(r"dict\(str, (.+)\)", type_name):
            return {"type": "object", "additionalProperties": of(match[1])}
        if type_name not in models:
            name = _GROUPS.get(type_name, f"io.k8s.api.core.v1.{type_name.removeprefix('V1')}")
            # What neither knows, such as KEDA's triggers, stays open.
            return {"$ref": f"#/$defs/{name}"} if name in kubernetes else {}
        if type_name not in used:
            used[type_name] = {}
            types, names, required = models[type_name]
            used[type_name].update(
                type="object",
                properties={names[field]: of(type_) for field, type_ in types.items()},
                required=sorted(names[field] for field in required),
                additionalProperties=False,
            )
        return {"$ref": f"#/$defs/{type_name}"}

    top = of(KINDS[kind])
    return {**top, "$defs": kubernetes | used}


@functools.cache
def _models():
    """What each model's source says: types of its fields, their JSON names, which are required."""
    find = "import importlib.util as u; print(*u.find_spec('kserve').submodule_search_locations)"
    done = subprocess.run(
        [environments.kserve(), "-c", find], capture_output=True, text=True, check=True
    )
    found = {}
    for path in Path(done.stdout.strip(), "models").glob("*.py"):
        source = path.read_text()
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef):
                types, names = _table(node, "openapi_types"), _table(node, "attribute_map")
                required = set(_REQUIRED.findall(source)) & types.keys()
                found[node.name] = types, names, required
    return found


def _table(model, name):
    for node in model.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            return ast.literal_eval(node.value)
    return {}


@functools.cache
def _kubernetes(version):
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    text = (folder / f"v{version}.0-local-strict" / "_definitions.json").read_text()
    definitions = json.loads(text)["$defs"]
    assert "io.k8s.api.core.v1.Container" in definitions
    return definitions
