"""The OpenAPI document against the server: schemathesis makes the requests."""

import subprocess
import sys

import pytest

from tests.support import needs

needs.package("schemathesis")

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "positive_data_acceptance",
)


@pytest.mark.slow
def test_the_server_does_what_its_document_says(scaled_server, tmp_path):
    result = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run"),
            f"http://127.0.0.1:{scaled_server.rest_port}/openapi.json",
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "30"),
            *("--checks", ",".join(CHECKS), "--seed", "1", "--no-color"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in scaled_server.log
