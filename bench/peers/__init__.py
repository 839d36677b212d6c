"""Servers from the package index that a user might take instead, in environments of their own."""

from __future__ import annotations

from collections.abc import Mapping

from bench.peers.peer import Peer

_PEERS = (
    Peer(
        "kserve",
        "KServe",
        needs=("kserve",),
        protocols=("v2-grpc", "v2-binary", "v2-json", "rest"),
        ready="/v2/models/{model}/ready",
        sources=(
            "kserve/website docs/model-serving/predictive-inference/frameworks/custom-predictor/"
            "custom-predictor.md, Arguments",
            "kserve/website docs/concepts/architecture/data-plane/v2-protocol/"
            "binary-tensor-data-extension.md",
            "kserve/kserve python/kserve/kserve/model.py, Model.__call__",
            "kserve/kserve python/kserve/kserve/protocol/infer_type.py, InferResponse",
            "kserve/kserve python/kserve/kserve/protocol/rest/multiprocess/server.py, "
            "RESTServerProcess",
        ),
        notes="An async predict that leaves the event loop to a thread for each core; gc.freeze "
        "after loading; one worker, as more are for REST alone and get the model pickled.",
    ),
    Peer(
        "mlserver",
        "MLServer",
        needs=("mlserver",),
        protocols=("v2-grpc", "v2-json"),
        ready="/v2/models/{model}/ready",
        sources=(
            "SeldonIO/MLServer docs-gb/user-guide/parallel-inference.md, Overhead",
            "SeldonIO/MLServer docs-gb/user-guide/adaptive-batching.md",
            "SeldonIO/MLServer docs-gb/api/Settings.md",
            "SeldonIO/MLServer mlserver/raw.py, unpack",
            "SeldonIO/MLServer mlserver/batching/requests.py, _merge_data",
        ),
        notes="No pool of workers, as its documentation says for light models, but threads; no "
        "adaptive batching, its default, as merging costs more here than it saves; no gzip, no "
        "metrics. It has no binary REST, and makes a list of Python numbers of raw gRPC tensors.",
    ),
    Peer(
        "litserve",
        "LitServe",
        needs=("litserve",),
        protocols=("raw", "rest"),
        ready="/health",
        raw_path="/raw",
        sources=(
            "Lightning-AI/LitServe src/litserve/server.py, LitServer: fast_queue",
            "lightning.ai/docs/litserve/features/batching",
            "Lightning-AI/LitServe src/litserve/loops/simple_loops.py, BatchedLoop",
            "Lightning-AI/LitServe issues 362 and 732, bytes as a request",
        ),
        notes="Answers by ZeroMQ (fast_queue), batches of up to 32 requests whose rows are put "
        "together, one worker, as XLA takes both cores. It reads JSON and forms alone, so bytes "
        "come by a FastAPI dependency.",
    ),
    Peer(
        "bentoml",
        "BentoML",
        needs=("bentoml",),
        protocols=("raw", "rest"),
        ready="/readyz",
        raw_path="/raw",
        variables={"BENTOML_DO_NOT_TRACK": "True"},
        sources=(
            "bentoml/BentoML docs/source/build-with-bentoml/iotypes.rst, Root input",
            "bentoml/BentoML docs/source/get-started/adaptive-batching.rst",
            "bentoml/BentoML src/_bentoml_impl/server/app.py, batch_infer",
        ),
        notes="Bytes as the root input, synchronous methods in a thread for each core, no access "
        "log. No adaptive batching: it takes JSON arrays, or bytes through a second service.",
    ),
    Peer(
        "ray",
        "Ray Serve, Python proxy",
        needs=("ray[serve]",),
        protocols=("v2-grpc", "raw"),
        ready="/ready",
        raw_path="/raw",
        variables={
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_AUTH_MODE": "disabled",  # a token would be written into the user's home
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_raylet_start_wait_time_s": "170",
        },
        sources=(
            "ray-project/ray doc/source/serve/advanced-guides/performance.md",
            "ray-project/ray doc/source/serve/advanced-guides/dyn-req-batch.md",
            "ray-project/ray doc/source/serve/advanced-guides/asyncio-best-practices.md",
            "ray-project/ray doc/source/serve/advanced-guides/grpc-guide.md",
            "ray-project/ray doc/source/serve/advanced-guides/haproxy-guide.md",
        ),
        notes="Its throughput flags; @serve.batch by rows, two batches at once in threads; one "
        "replica, as XLA takes both cores. HAProxy, which its documentation advises, did not get "
        "ready.",
    ),
)

PEERS: Mapping[str, Peer] = {peer.name: peer for peer in _PEERS}
