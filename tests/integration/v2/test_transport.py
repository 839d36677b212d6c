"""The protocol on the libraries' transport: as on our own, in each form."""

import numpy as np
import pytest

from tests.integration.v2.conftest import FORMS, make_form
from tests.support import exports, needs
from tests.support.open_inference import Refused
from tests.support.servers import ServerProcess
from wire import services

needs.package("uvicorn", "library")
X = np.float32([[1, 2, 3, 4]])


def test_each_form_by_the_libraries_transport(tmp_path):
    exports.scaled(tmp_path, 1)
    flags = [
        "--transport=library", "--model_name=scaled", f"--model_base_path={tmp_path / 'scaled'}"
    ]  # fmt: skip
    with ServerProcess(tmp_path / "log", *flags) as server, server.channel() as channel:
        for name in FORMS:
            form = make_form(name, server, channel)
            answer = form.infer("scaled", {"inputs": X}, id="7")
            assert (answer.version, answer.id) == ("1", "7")
            np.testing.assert_allclose(
                answer["output_0"], exports.scaled_answer(X, 1), rtol=1e-5, atol=1e-5
            )
            with pytest.raises(Refused, match="INVALID_ARGUMENT: input inputs has shape"):
                form.infer("scaled", {"inputs": X[:, :3]})
        assert server.rest("/v2/health/ready")[0] == 200
        live = services.INFERENCE_METHODS["ServerLive"]
        assert live.stub(channel)(live.request(), timeout=30).live
        for verb, status in (("unload", 503), ("load", 200)):
            assert server.rest(f"/v2/repository/models/scaled/{verb}", method="POST")[0] == 200
            assert server.rest("/v2/models/scaled/ready")[0] == status
