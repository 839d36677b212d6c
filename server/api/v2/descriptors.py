"""The protocol's descriptors under their official names, for reflection."""

from __future__ import annotations

from google.protobuf import descriptor_pb2

from wire import open_inference_pb2, services

_FILE = "open_inference_grpc.proto"
_PACKAGE, _, _SERVICE = services.INFERENCE_SERVICE.partition(".")

_Field = descriptor_pb2.FieldDescriptorProto
_PACKED = {"fp32_contents": _Field.TYPE_FLOAT, "fp64_contents": _Field.TYPE_DOUBLE}


def file() -> descriptor_pb2.FileDescriptorProto:
    """Returns the protocol's file, made from `wire`'s."""
    source = open_inference_pb2.DESCRIPTOR
    found = descriptor_pb2.FileDescriptorProto.FromString(source.serialized_pb)
    found.name = _FILE
    found.package = _PACKAGE
    for message in found.message_type:
        _restore(message, source.package)
    service = found.service.add(name=_SERVICE)
    for name, method in services.INFERENCE_METHODS.items():
        service.method.add(
            name=name,
            input_type=f".{_PACKAGE}.{method.request.DESCRIPTOR.name}",
            output_type=f".{_PACKAGE}.{method.response.DESCRIPTOR.name}",
        )
    return found


def _restore(message: descriptor_pb2.DescriptorProto, package: str) -> None:
    """Gives fields their official types, in place."""
    for field in message.field:
        if field.name in _PACKED:
            field.type = _PACKED[field.name]
        if field.type_name:  # of a message; setting it on a number is an error
            field.type_name = field.type_name.replace(f".{package}.", f".{_PACKAGE}.")
    for nested in message.nested_type:
        _restore(nested, package)
