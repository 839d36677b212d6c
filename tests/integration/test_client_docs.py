"""The examples of docs/client.md run as they stand, but for the addresses."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.support import needs

needs.package("tensorflow_serving", "exporter")

from tests.support import peer as official

DOCUMENT = Path(__file__).parents[2] / "docs" / "client.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def peer():
    with official.serve() as peer:
        yield peer


def test_there_are_examples():
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example, peer, certificate):
    code = example.replace('"https://models.example/eu"', f'"https://localhost{official.PREFIX}"')
    for old, new in (
        ("dns:///models.example:8500", f"dns:///localhost:{peer.grpc_port}"),
        ("ca.pem", str(certificate[0])),
        ("8501", str(peer.rest_port)),
        ("8500", str(peer.grpc_port)),
        ("mnist_flax", "half_plus_two"),
        ("output_0", "y"),
    ):
        code = code.replace(old, new)
    seen = len(peer.seen)
    images = np.ones(3, np.float32)
    exec(compile(code, str(DOCUMENT), "exec"), {"images": images, "batches": [images] * 4})
    assert len(peer.seen) > seen or ".predict" not in code
