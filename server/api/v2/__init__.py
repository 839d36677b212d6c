"""The Open Inference Protocol v2, as Triton, KServe, MLServer and OpenVINO speak it."""
