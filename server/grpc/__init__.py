"""The gRPC face: TensorFlow Serving's services on grpc.aio, without its generated code."""
