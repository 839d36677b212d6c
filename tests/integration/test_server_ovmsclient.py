"""A client that others wrote works as it is: ovmsclient, by gRPC and by REST."""

import json
import subprocess
import sys

from tests.support import needs

needs.package("ovmsclient")

# In a process of its own: it registers the official messages once more.
SCRIPT = """
import json, sys
import numpy as np
from ovmsclient import make_grpc_client, make_http_client

for make, port in ((make_grpc_client, sys.argv[1]), (make_http_client, sys.argv[2])):
    client = make(f"localhost:{port}")
    status = client.get_model_status("half_plus_two")[123]["state"]
    metadata = client.get_model_metadata("half_plus_two")
    answers = [
        client.predict({"x": np.float32([[1], [2]])}, "half_plus_two", version).tolist()
        for version in (0, 123)
    ]
    print(json.dumps([status, metadata, answers]))
"""


def test_ovmsclient_works_unmodified(tensorflow_server):
    ports = [str(tensorflow_server.grpc_port), str(tensorflow_server.rest_port)]
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, *ports], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    by_grpc, by_rest = map(json.loads, result.stdout.splitlines())
    for status, _, answers in (by_grpc, by_rest):
        assert status == "AVAILABLE"
        assert answers == [[[2.5], [3.0]]] * 2
    assert by_grpc[1] == {
        "model_version": 123,
        "inputs": {"x": {"shape": [-1, 1], "dtype": "DT_FLOAT"}},
        "outputs": {"y": {"shape": [-1, 1], "dtype": "DT_FLOAT"}},
    }
    assert by_rest[1]["model_spec"]["version"] == "123"
