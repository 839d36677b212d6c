"""The API's descriptors under their official names, for reflection.

The messages of `wire` live in a package of their own; here they are put where the official
ones are, with the types that `wire` simplifies put back, in a pool that nothing else sees.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, wrappers_pb2

from server.errors import Code
from server.models.version import VersionState
from wire import dtypes, services, serving_pb2

_FILE = "tensorflow_serving/apis/serving.proto"
_CORE_FILE = "tensorflow/core/serving.proto"
_PACKAGE, _CORE_PACKAGE = "tensorflow.serving", "tensorflow"
_CORE_MESSAGES = {
    "TensorShapeProto", "TensorProto", "TensorInfo", "SignatureDef", "MetaGraphDef", "SavedModel",
    "MetaInfoDef", "BytesList", "FloatList", "Int64List", "Feature", "Features", "Example",
    "BundleEntryProto",
}  # fmt: skip

_Field = descriptor_pb2.FieldDescriptorProto
_PACKED = {
    "float_val": _Field.TYPE_FLOAT,
    "double_val": _Field.TYPE_DOUBLE,
    "scomplex_val": _Field.TYPE_FLOAT,
    "dcomplex_val": _Field.TYPE_DOUBLE,
}
_ENUMS = {
    ("TensorProto", "dtype"): ".tensorflow.DataType",
    ("TensorInfo", "dtype"): ".tensorflow.DataType",
    ("BundleEntryProto", "dtype"): ".tensorflow.DataType",
    ("StatusProto", "error_code"): ".tensorflow.Code",
    ("ModelVersionStatus", "state"): ".tensorflow.serving.ModelVersionStatus.State",
}


def pool() -> descriptor_pool.DescriptorPool:
    """Returns a pool with the messages and services of the API."""
    found = descriptor_pool.DescriptorPool()
    for module in (any_pb2, wrappers_pb2):
        found.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    source = descriptor_pb2.FileDescriptorProto.FromString(serving_pb2.DESCRIPTOR.serialized_pb)
    core = _file(_CORE_FILE, _CORE_PACKAGE)
    serving = _file(_FILE, _PACKAGE)
    serving.dependency.append(_CORE_FILE)
    for message in source.message_type:
        _restore(message, message.name)
        (core if message.name in _CORE_MESSAGES else serving).message_type.append(message)
    numbers = {dtypes.enum_name(n): n for n in range(32) if not dtypes.enum_name(n).isdigit()}
    _add_enum(core.enum_type.add(), "DataType", numbers)
    _add_enum(core.enum_type.add(), "Code", {code.name: code.value for code in Code})
    for message in serving.message_type:
        if message.name == "ModelVersionStatus":
            states = {"UNKNOWN": 0} | {state.name: state.value for state in VersionState}
            _add_enum(message.enum_type.add(), "State", states)
    _add_service(serving, services.PREDICTION_SERVICE, services.PREDICTION_METHODS)
    _add_service(serving, services.MODEL_SERVICE, services.MODEL_METHODS)
    found.Add(core)
    found.Add(serving)
    return found


def _file(name: str, package: str) -> descriptor_pb2.FileDescriptorProto:
    dependencies = [any_pb2.DESCRIPTOR.name, wrappers_pb2.DESCRIPTOR.name]
    return descriptor_pb2.FileDescriptorProto(
        name=name, package=package, syntax="proto3", dependency=dependencies
    )


def _restore(message: descriptor_pb2.DescriptorProto, name: str) -> None:
    """Gives fields their official types and names, in place."""
    for field in message.field:
        if field.name in _PACKED:
            field.type = _PACKED[field.name]
        elif (name, field.name) in _ENUMS:
            field.type = _Field.TYPE_ENUM
            field.type_name = _ENUMS[name, field.name]
        elif field.type_name.startswith(".wire."):
            target = field.type_name.removeprefix(".wire.")
            is_core = target.split(".")[0] in _CORE_MESSAGES
            field.type_name = f".{_CORE_PACKAGE if is_core else _PACKAGE}.{target}"
    for nested in message.nested_type:
        _restore(nested, nested.name)


def _add_enum(
    enum: descriptor_pb2.EnumDescriptorProto, name: str, values: Mapping[str, int]
) -> None:
    enum.name = name
    for key, number in sorted(values.items(), key=lambda item: item[1]):
        enum.value.add(name=key, number=number)


def _add_service(
    file: descriptor_pb2.FileDescriptorProto, name: str, methods: Mapping[str, services.Method]
) -> None:
    service = file.service.add(name=name.removeprefix(f"{_PACKAGE}."))
    for key, method in methods.items():
        service.method.add(
            name=key,
            input_type=f".{_PACKAGE}.{method.request.DESCRIPTOR.name}",
            output_type=f".{_PACKAGE}.{method.response.DESCRIPTOR.name}",
        )
