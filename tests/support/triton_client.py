"""What tritonclient makes of a server: `python … GRPC_PORT HTTP_PORT`; prints an object a face."""

import json
import sys

import ml_dtypes
import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

X = np.array([[1, 2, 3, 4], [-1, 0, 0.5, 2]], np.float32)
STRINGS = np.array([b"\xff\0", b"", "ü".encode()], object)


def tensor(api, name, array, datatype, **more):
    found = api.InferInput(name, list(array.shape), datatype)
    found.set_data_from_numpy(array, **more)
    return found


def refusal(call):
    try:
        call()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return None


def ask(api, port):
    client = api.InferenceServerClient(f"127.0.0.1:{port}")
    is_grpc = api is tritonclient.grpc
    as_json = {"as_json": True} if is_grpc else {}
    x = tensor(api, "inputs", X, "FP32")
    infer = client.infer
    found = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "models": [
            client.is_model_ready(*args)
            for args in (("scaled",), ("scaled", "1"), ("scaled", "2"), ("nope",))
        ],
        "server": client.get_server_metadata(**as_json),
        "metadata": client.get_model_metadata("scaled", **as_json),
        "index": client.get_model_repository_index(**as_json),
        "answer": infer("scaled", [x]).as_numpy("output_0").tolist(),
        "old": infer("scaled", [x], model_version="1").as_numpy("output_0").tolist(),
        "id": refusal(lambda: None) or _id(infer("scaled", [x], request_id="7"), is_grpc),
        "outputs": infer(
            "scaled", [x], outputs=[api.InferRequestedOutput("output_0")]
        ).as_numpy("output_0").tolist(),
        "strings": [
            value.hex()
            for value in infer(
                "every_dtype", [tensor(api, "x", STRINGS, "BYTES")],
                parameters={"signature_name": "string"},
            ).as_numpy("y")
        ],
        "dtypes": {},
        "unknown": refusal(lambda: infer("nope", [x])),
        "wrong": refusal(lambda: infer("scaled", [tensor(api, "inputs", X[:, :3], "FP32")])),
    }  # fmt: skip
    for dtype, datatype in (
        ("bool", "BOOL"), ("int8", "INT8"), ("int16", "INT16"), ("int32", "INT32"),
        ("int64", "INT64"), ("uint8", "UINT8"), ("uint16", "UINT16"), ("uint32", "UINT32"),
        ("uint64", "UINT64"), ("float16", "FP16"), ("float32", "FP32"), ("float64", "FP64"),
    ):  # fmt: skip
        array = np.array([0, 1, 1], dtype)
        answer = infer(
            "every_dtype", [tensor(api, "x", array, datatype)], parameters={"signature_name": dtype}
        ).as_numpy("y")
        found["dtypes"][dtype] = [str(answer.dtype), answer.tolist()]
    array = np.array([0, 1.5, -2], ml_dtypes.bfloat16)
    bf16 = tensor(api, "x", array, "BF16")
    answer = infer("every_dtype", [bf16], parameters={"signature_name": "bfloat16"}).as_numpy("y")
    found["dtypes"]["bfloat16"] = [str(answer.dtype), answer.astype(np.float32).tolist()]
    if not is_grpc:
        plain = tensor(api, "inputs", X, "FP32", binary_data=False)
        outputs = [api.InferRequestedOutput("output_0", binary_data=False)]
        found["json"] = [
            infer("scaled", [plain], outputs=outputs, **how).as_numpy("output_0").tolist()
            for how in (
                {},
                {"request_compression_algorithm": "gzip", "response_compression_algorithm": "gzip"},
                {"request_compression_algorithm": "deflate"},
            )
        ]
    client.unload_model("scaled")
    found["unloaded"] = client.is_model_ready("scaled")
    client.load_model("scaled")
    found["loaded"] = client.is_model_ready("scaled")
    found["load"] = refusal(lambda: client.load_model("nope"))
    client.close()
    return found


def _id(result, is_grpc):
    return result.get_response().id if is_grpc else result.get_response()["id"]


grpc_port, http_port = sys.argv[1:]
for api, port in ((tritonclient.http, http_port), (tritonclient.grpc, grpc_port)):
    print(json.dumps(ask(api, port), default=str))
