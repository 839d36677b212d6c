"""The client while the embedded server swaps versions whose outputs have other names."""

import asyncio
import threading

import numpy as np
import pytest

from client import AsyncClient, Client
from tests.support import exports, needs
from tests.support.servers import ServerProcess

needs.package("jax", "exporter")
VERSIONS = (1, 2, 3)


def publish(base, version):
    """Publishes a model whose only output's name and values are the version's number."""
    from exporter.model import Model, TensorSpec
    from exporter.publish.options import ExportOptions

    model = Model(
        "renamed",
        lambda params, x: {f"output_{version}": x * 0 + params},
        np.float32(version),
        TensorSpec(("b",)),
    )
    options = ExportOptions(version=version, serving_batch_size=-1, verify=False)
    exports.publish(model, base, options)


@pytest.fixture
def renamed(tmp_path):
    """A models directory with version 1, and a server that looks for more."""
    publish(tmp_path, 1)
    flags = ["--model_name=renamed", f"--model_base_path={tmp_path / 'renamed'}"]
    with ServerProcess(tmp_path / "log", *flags, "--file_system_poll_wait_seconds=0.1") as server:
        yield tmp_path, server


def check(prediction):
    ((name, values),) = prediction.outputs.items()
    assert name == f"output_{values[0]:g}"
    assert prediction.version == values[0]
    return prediction.version


def test_no_answer_has_another_versions_name(renamed):
    base, server = renamed
    over = threading.Event()
    seen = {}
    problems = []

    def ask(api, port):
        found = seen[api] = []
        try:
            with Client("localhost", port, api) as client:
                while not over.is_set():
                    found.append(check(client.predict("renamed", [1.0, 2.0])))
        except BaseException as error:
            problems.append(error)

    async def ask_too(port):
        async with AsyncClient("localhost", port) as client:
            while not over.is_set():
                many = client.predict_many("renamed", [[1.0]] * 10, in_flight=4)
                seen.setdefault("many", []).extend([check(each) async for each in many])

    def ask_asynchronously(port):
        try:
            asyncio.run(ask_too(port))
        except BaseException as error:
            problems.append(error)

    threads = [
        threading.Thread(target=ask, args=["rest", server.rest_port]),
        threading.Thread(target=ask, args=["grpc", server.grpc_port]),
        threading.Thread(target=ask_asynchronously, args=[server.rest_port]),
    ]
    for thread in threads:
        thread.start()
    try:
        for version in VERSIONS[1:]:
            publish(base, version)
            server.wait_for("renamed", version)
            server.wait_for("renamed", version - 1, "END")
            before = {api: len(found) for api, found in seen.items()}
            for _ in range(600):  # until each client has heard from it
                if problems or all(len(seen[api]) > before[api] + 20 for api in before):
                    break
                over.wait(0.1)
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    assert not problems, problems
    for api, found in seen.items():
        assert set(found) == set(VERSIONS), api
        assert found[-1] == VERSIONS[-1], api
