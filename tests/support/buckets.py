"""Buckets to publish in and to read from, and tiny versions for them."""

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

from artifact.buckets.address import Address
from artifact.manifest import Manifest, digest_files
from tests.support import hub_server, needs, object_servers

SECRET = "do-not-tell-this"


@dataclass
class Stand:
    """A store of one kind, where the environment says.

    Attributes:
        proxy: Before an object store: faults, and what was asked for.
        hub: The hub's server.
        environment: What names the store and the credentials.
    """

    model: Address
    environment: dict
    proxy: object_servers.Proxy | None = None
    hub: hub_server.HubServer | None = None

    def store(self, model=None):
        from artifact.buckets.store import open_store

        return open_store(model or self.model)

    @property
    def requests(self):
        return self.proxy.requests if self.proxy else self.hub.requests

    def delete(self, number):
        """Deletes a version as an operator does: all its files, in the order of their names."""
        if self.hub is not None:
            self.hub.delete(f"{self.model.path}/{number}")
            return
        store = self.store()
        for entry in sorted(store.entries(), key=lambda entry: entry.name):
            if entry.name.startswith(f"{number}/"):
                store.delete(entry.name)


@contextlib.contextmanager
def stand(kind):
    """Gives an empty store of a kind: `s3`, `gs` or `hf`."""
    with contextlib.ExitStack() as stack:
        if kind == "hf":
            needs.package("huggingface_hub")
            hub = hub_server.HubServer()
            stack.callback(hub.close)
            environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": SECRET, "HF_HUB_DISABLE_XET": "1"}
            found = Stand(Address("hf", hub_server.REPOSITORY, "nets/scaled"), environment, hub=hub)
        else:
            needs.package("obstore")
            port = stack.enter_context({"s3": object_servers.s3, "gs": object_servers.gcs}[kind]())
            proxy = object_servers.Proxy(port, speaks_gcs=kind == "gs")
            stack.callback(proxy.close)
            environment = {
                "AWS_ENDPOINT_URL": proxy.url,
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "GOOGLE_BASE_URL": proxy.url,
                "GOOGLE_BEARER_TOKEN": SECRET,
                "NO_PROXY": "127.0.0.1",
            }
            model = Address(kind, object_servers.BUCKET, "nets/scaled")
            found = Stand(model, environment, proxy=proxy)
        stack.enter_context(mock.patch.dict(os.environ, environment))
        yield found


def tiny(directory, content=b"content", **more):
    """Writes the files of a version that no engine loads; returns the directory and its `seal`."""
    directory = Path(directory)
    (directory / "assets.extra").mkdir(parents=True)
    (directory / "variables").mkdir()
    (directory / "saved_model.pb").write_bytes(content)
    (directory / "empty").touch()
    (directory / "variables" / "variables.data-00000-of-00001").write_bytes(content[:64] * 1000)
    manifest = Manifest("scaled", 0, "now", {}, (), **{"digests": digest_files(directory), **more})

    def seal(version):
        replace(manifest, version=version).write(directory)

    seal(0)
    return directory, seal
