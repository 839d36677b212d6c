"""What KServe's clients make of a server: `python … GRPC_PORT HTTP_PORT`; prints an object each."""

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

X = np.array([[1, 2, 3, 4], [-1, 0, 0.5, 2]], np.float32)


def request(binary, model="scaled", x=X, **parameters):
    tensor = InferInput("inputs", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x, binary_data=binary)
    return InferRequest(model, [tensor], request_id="7", parameters=parameters or None)


def told(response):
    (output,) = response.outputs
    return [response.id, response.model_name, output.name, output.as_numpy().tolist()]


async def refusal(call):
    try:
        await call
    except Exception as error:
        return f"{type(error).__name__}: {error}"


async def by_rest(port):
    url = f"http://127.0.0.1:{port}"
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:

        async def infer(message, model="scaled"):
            return await client.infer(url, message, model_name=model)

        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "models": [await client.is_model_ready(url, name) for name in ("scaled", "nope")],
            "answers": [
                told(await infer(request(False))),
                told(await infer(request(True))),
                told(await infer(request(True, binary_data_output=True))),
                told(await infer(request(False, binary_data_output=True))),
            ],
            "unknown": await refusal(infer(request(True), "nope")),
            "wrong": await refusal(infer(request(True, x=X[:, :3]))),
        }


async def by_grpc(port):
    async with InferenceGRPCClient(f"127.0.0.1:{port}") as client:
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "models": [await client.is_model_ready(name) for name in ("scaled", "nope")],
            "answers": [told(await client.infer(request(binary))) for binary in (False, True)],
            "unknown": await refusal(client.infer(request(True, "nope"))),
            "wrong": await refusal(client.infer(request(True, x=X[:, :3]))),
        }


grpc_port, http_port = sys.argv[1:]
print(json.dumps(asyncio.run(by_rest(http_port))))
print(json.dumps(asyncio.run(by_grpc(grpc_port))))
