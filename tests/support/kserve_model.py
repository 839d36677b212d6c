"""KServe's server of the Open Inference Protocol, with a model that JAX runs.

`python -m tests.support.kserve_model NAME VERSION_DIR HTTP_PORT GRPC_PORT`, in an environment with
KServe and JAX.
"""

import sys
from pathlib import Path

import kserve
from kserve import InferOutput, InferResponse

from artifact import program


class Served(kserve.Model):
    """The jitted program as KServe's documentation has custom models."""

    def __init__(self, name, folder):
        super().__init__(name)
        self._program = program.load(folder, "serving_default")
        self.ready = True

    def get_input_types(self):
        return [{"name": "inputs", "datatype": "FP32", "shape": [-1, 4]}]

    def get_output_types(self):
        return [{"name": "output_0", "datatype": "FP32", "shape": [-1, 3]}]

    def predict(self, payload, headers=None, response_headers=None):
        rows = self._program.run({"inputs": payload.inputs[0].as_numpy()})["output_0"]
        output = InferOutput("output_0", list(rows.shape), "FP32")
        output.set_data_from_numpy(rows, binary_data=payload.use_binary_outputs)
        return InferResponse(payload.id, self.name, [output])


if __name__ == "__main__":
    model, folder, *ports = sys.argv[1:]
    http_port, grpc_port = map(int, ports)
    kserve.ModelServer(http_port=http_port, grpc_port=grpc_port, workers=1).start(
        [Served(model, Path(folder))]
    )
