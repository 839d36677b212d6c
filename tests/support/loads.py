"""Load on servers that are no model servers, by the generator of `client.load`."""

from client.codec import HttpBody
from client.endpoint import Endpoint
from client.load import http1, http2
from client.load.generator import generate
from client.load.plan import LoadPlan
from client.load.workload import Workload
from client.model_spec import ModelSpec
from tests.support import delayed

BODY = b"x" * 300
REST_PATH = "/v1/models/m:predict"


def load(api, port, **plan):
    """Returns the result of a run with one request, again and again."""
    endpoint = Endpoint("127.0.0.1", port, api)
    brief = {"duration": 1.0, "warmup": 0.0, "timeout": 30.0} | plan
    if api == "grpc":
        requests, path = [http2.message(BODY)], delayed.PATH
    else:
        requests, path = [http1.request(endpoint, REST_PATH, HttpBody(BODY, {}))], REST_PATH
    made = LoadPlan(endpoint, ModelSpec("m"), **brief)
    return generate(made, Workload(0, requests, None, path))
