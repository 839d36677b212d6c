"""MLServer: `python -m bench.peers.mlserver_server NAME BUNDLE http=PORT grpc=PORT`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse

from bench.peers import bundle


class Served(MLModel):
    """Answers by the jitted program, off the event loop."""

    async def load(self) -> bool:
        """Reads the bundle that the settings name, in MLServer's worker if it has one."""
        parameters = self.settings.parameters
        assert parameters is not None
        assert parameters.uri is not None
        self._program = bundle.Program(Path(parameters.uri)).warm_up()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Returns the output."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        outputs = await asyncio.to_thread(self._program.run, rows)
        output = NumpyCodec.encode_output(self._program.about.output.name, outputs)
        return InferenceResponse(model_name=self.name, outputs=[output])


async def _serve(model: str, folder: Path, ports: dict[str, int]) -> None:
    settings = Settings(
        host="127.0.0.1",
        http_port=ports["http"],
        grpc_port=ports["grpc"],
        metrics_endpoint=None,
        parallel_workers=0,
        gzip_enabled=False,
    )
    served = ModelSettings(
        name=model,
        implementation=Served,
        parameters=ModelParameters(uri=str(folder)),
    )
    await MLServer(settings).start([served])


if __name__ == "__main__":
    asyncio.run(_serve(*bundle.arguments()))
