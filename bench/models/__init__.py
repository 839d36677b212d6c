"""The models of the benchmarks: what serving costs depends on them.

`mnist_flax`, trained by the exporter, is bound by latency: one answer takes a fraction of a
millisecond. `resnet` sends 150,528 bytes an example and computes for long; `encoder` sends few
bytes and computes. The last two have random weights from a fixed seed: speed depends on shapes.
"""
