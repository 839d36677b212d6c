"""A load generator: closed and open loop, REST and gRPC, latencies without coordinated omission.

`python -m client.load --help` is the command; `generator.generate` is what it runs.
"""
