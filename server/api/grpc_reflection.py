"""Server reflection: what clients like grpcurl ask which services and messages there are.

Source: grpc/reflection/v1/reflection.proto. v1 is v1alpha under another name, message by message,
and grpcio has v1alpha alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool

from server.protocol.grpc.method import Context, Method

_V1ALPHA, _V1 = "grpc.reflection.v1alpha", "grpc.reflection.v1"
SERVICES = tuple(f"{package}.ServerReflection" for package in (_V1ALPHA, _V1))


def methods(
    services: Sequence[str], files: Sequence[Any], pool: descriptor_pool.DescriptorPool
) -> dict[str, Method]:
    """Returns the methods of both versions.

    Args:
        services: Names of what else is offered.
        files: File descriptors of generated code that the pool is to know, too.
        pool: Knows the services' messages; reflection's own are added.
    """
    from grpc_reflection.v1alpha import reflection, reflection_pb2

    source = reflection_pb2.DESCRIPTOR
    for file in (*files, source):
        pool.AddSerializedFile(file.serialized_pb)
    pool.Add(_v1(source.serialized_pb))
    servicer = reflection.aio.ReflectionServicer(  # type: ignore[attr-defined]
        (*services, *SERVICES), pool=pool
    )

    def stream(requests: AsyncIterator[Any], context: Context) -> Any:
        return servicer.ServerReflectionInfo(requests, context)

    method = Method(
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
        stream=stream,
    )
    return {f"/{service}/ServerReflectionInfo": method for service in SERVICES}


def _v1(serialized: bytes) -> descriptor_pb2.FileDescriptorProto:
    """Returns v1's file, made from v1alpha's."""
    file = descriptor_pb2.FileDescriptorProto.FromString(serialized)
    file.name = file.name.replace("v1alpha", "v1")
    file.package = _V1
    for message in file.message_type:
        for field in message.field:
            if not field.type_name:
                continue  # a scalar
            field.type_name = field.type_name.replace(_V1ALPHA, _V1)
    for method in file.service[0].method:
        method.input_type = method.input_type.replace(_V1ALPHA, _V1)
        method.output_type = method.output_type.replace(_V1ALPHA, _V1)
    return file
