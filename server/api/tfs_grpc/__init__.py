"""The gRPC face: TensorFlow Serving's services, without its generated code."""
