"""The Open Inference Protocol spoken by hand, in each of its four forms: an oracle of its own.

Nothing here goes through `wire.raw_tensors` or `wire.tensor_contents`, which are under test.
"""

import json
import struct

import grpc
import numpy as np

from wire import open_inference_pb2 as pb
from wire.services import INFERENCE_METHODS

DATATYPES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64", "float16": "FP16",
    "bfloat16": "BF16", "float32": "FP32", "float64": "FP64", "object": "BYTES",
}  # fmt: skip
_CODES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
          501: "UNIMPLEMENTED", 504: "DEADLINE_EXCEEDED"}  # fmt: skip
_CONTENTS = {
    "bool": "bool_contents", "int8": "int_contents", "int16": "int_contents",
    "int32": "int_contents", "int64": "int64_contents", "uint8": "uint_contents",
    "uint16": "uint_contents", "uint32": "uint_contents", "uint64": "uint64_contents",
    "object": "bytes_contents",
}  # fmt: skip
_FLOATS = {"float32": ("fp32_contents", "<f"), "float64": ("fp64_contents", "<d")}


class Refused(Exception):
    """A refusal: gRPC's name of the code, by REST that of the status (400: INVALID_ARGUMENT)."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Answer:
    """Outputs by name, and what else an answer says."""

    def __init__(self, outputs, model, version, id):
        self.outputs, self.model, self.version, self.id = outputs, model, version, id

    def __getitem__(self, name):
        return self.outputs[name]


def raw(array):
    """Returns an array in its raw form."""
    if array.dtype == object:
        return b"".join(struct.pack("<I", len(v)) + v for v in array.ravel())
    return np.ascontiguousarray(array).tobytes()


def from_raw(data, datatype, shape):
    """Returns the array of a raw form."""
    if datatype != "BYTES":
        return np.frombuffer(data, numpy_dtype(datatype)).reshape(shape)
    values, position = [], 0
    while position < len(data):
        (length,) = struct.unpack_from("<I", data, position)
        values.append(data[position + 4 : position + 4 + length])
        position += 4 + length
    return strings(values).reshape(shape)


def strings(values):
    """Returns bytes as an array of objects."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def numpy_dtype(datatype):
    """Returns the dtype of a data type's arrays."""
    import ml_dtypes

    name = next(name for name, known in DATATYPES.items() if known == datatype)
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


class Rest:
    """REST, with tensors as JSON or as binary data."""

    def __init__(self, server, *, binary):
        self._server, self._binary = server, binary

    def infer(self, model, inputs, *, version="", signature="", id=None, outputs=(), **more):
        """Returns the answer to arrays by name."""
        head, pieces = {"inputs": []}, []
        parameters = {"binary_data_output": True} if self._binary else {}
        if signature:
            parameters["signature_name"] = signature
        if parameters:
            head["parameters"] = parameters
        if id is not None:
            head["id"] = id
        if outputs:
            head["outputs"] = [{"name": name} for name in outputs]
        for name, array in inputs.items():
            tensor = {
                "name": name,
                "datatype": DATATYPES[array.dtype.name],
                "shape": list(array.shape),
            }
            if self._binary:
                pieces.append(raw(array))
                tensor["parameters"] = {"binary_data_size": len(pieces[-1])}
            else:
                tensor["data"] = _json(array)
            head["inputs"].append(tensor | more.get("overrides", {}))
        path = f"/v2/models/{model}" + f"/versions/{version}" * bool(version) + "/infer"
        return self.post(path, head, pieces)

    def post(self, path, head, pieces=(), headers=None):
        """Sends a request's JSON, and the binary data behind it."""
        text = json.dumps(head).encode()
        headers = dict(headers or {})
        if pieces:
            headers["Inference-Header-Content-Length"] = str(len(text))
        status, found, body = self._server.rest(path, b"".join((text, *pieces)), headers=headers)
        return read_rest(status, found, body)


def read_rest(status, headers, body):
    """Returns the answer that an HTTP response holds."""
    if status != 200:
        document = json.loads(body)
        assert list(document) == ["error"], document
        raise Refused(_CODES[status], document["error"])
    size = int(headers.get("Inference-Header-Content-Length", len(body)))
    document, rest = json.loads(body[:size]), body[size:]
    outputs = {}
    for output in document["outputs"]:
        datatype, shape = output["datatype"], output["shape"]
        if "data" in output:
            assert "parameters" not in output
            outputs[output["name"]] = _from_json(output["data"], datatype, shape)
        else:
            length = output["parameters"]["binary_data_size"]
            outputs[output["name"]] = from_raw(rest[:length], datatype, shape)
            rest = rest[length:]
    assert not rest
    is_binary = "Inference-Header-Content-Length" in headers
    kind = "application/octet-stream" if is_binary else "application/json"
    assert headers["Content-Type"] == kind
    assert headers["X-Model-Version"] == document["model_version"]
    return Answer(outputs, document["model_name"], document["model_version"], document.get("id"))


class Grpc:
    """gRPC, with tensors in their raw form or in typed fields."""

    def __init__(self, channel, *, is_raw):
        self._is_raw = is_raw
        self._infer = INFERENCE_METHODS["ModelInfer"].stub(channel)

    def infer(self, model, inputs, *, version="", signature="", id=None, outputs=(), **more):
        """Returns the answer to arrays by name."""
        request = pb.ModelInferRequest(model_name=model, model_version=version, id=id or "")
        if signature:
            request.parameters["signature_name"].string_param = signature
        for name in outputs:
            request.outputs.add(name=name)
        for name, array in inputs.items():
            tensor = request.inputs.add(
                name=name, datatype=DATATYPES[array.dtype.name], shape=array.shape
            )
            for key, value in more.get("overrides", {}).items():
                if key == "shape":
                    del tensor.shape[:]
                    tensor.shape.extend(value)
                elif key == "datatype":
                    tensor.datatype = value
            if self._is_raw or array.dtype.name in ("float16", "bfloat16"):
                request.raw_input_contents.append(raw(array))
            else:
                _fill(tensor.contents, array)
        return self.send(request)

    def send(self, request):
        """Sends a message."""
        try:
            response = self._infer(request, timeout=60)
        except grpc.RpcError as error:
            raise Refused(error.code().name, error.details()) from None
        if request.raw_input_contents:
            assert len(response.raw_output_contents) == len(response.outputs)
        found = {}
        for index, output in enumerate(response.outputs):
            shape = tuple(output.shape)
            if response.raw_output_contents:
                assert not output.HasField("contents")
                data = response.raw_output_contents[index]
                found[output.name] = from_raw(data, output.datatype, shape)
            else:
                found[output.name] = _from_contents(output.contents, output.datatype, shape)
        return Answer(found, response.model_name, response.model_version, response.id or None)


def _json(array):
    if array.dtype == object:
        return [value.decode() for value in array.ravel()]
    if array.dtype.name in ("float16", "bfloat16"):
        array = array.astype(np.float32)
    return array.ravel().tolist()


def _from_json(data, datatype, shape):
    if datatype == "BYTES":
        return strings([value.encode() for value in data]).reshape(shape)
    return np.array(data, numpy_dtype(datatype)).reshape(shape)


def _fill(contents, array):
    name = array.dtype.name
    if name in _FLOATS:
        field, form = _FLOATS[name]
        packed = b"".join(struct.pack(form, value) for value in array.ravel().tolist())
        if packed:
            getattr(contents, field).append(packed)
    else:
        getattr(contents, _CONTENTS[name]).extend(array.ravel().tolist())


def _from_contents(contents, datatype, shape):
    dtype = numpy_dtype(datatype)
    if dtype.name in _FLOATS:
        field, form = _FLOATS[dtype.name]
        packed = b"".join(getattr(contents, field))
        return np.array([v for (v,) in struct.iter_unpack(form, packed)], dtype).reshape(shape)
    values = list(getattr(contents, _CONTENTS[dtype.name]))
    if datatype == "BYTES":
        return strings(values).reshape(shape)
    return np.array(values, dtype).reshape(shape)
