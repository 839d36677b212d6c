"""Traces of a real server, as a collector gets them by OTLP."""

import concurrent.futures
import http.server
import json
import threading
import time

import grpc
import numpy as np
import pytest

from tests.support import exports, needs
from tests.support.edge import Edge
from tests.support.servers import ServerProcess
from wire import services, tensors
from wire import serving_pb2 as pb

needs.package("opentelemetry.sdk", "tracing")
collector_pb2 = needs.package("opentelemetry.proto.collector.trace.v1.trace_service_pb2", "tracing")
collector_grpc = needs.package(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc", "tracing"
)

PREDICT = "/v1/models/scaled:predict"
BODY = {"instances": [[0.5] * 4, [0.25] * 4]}
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"


class Collector:
    """A receiver of OTLP by HTTP and by gRPC that keeps what it gets."""

    def __init__(self):
        self.exports = []
        self.paths = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.body()
                outer.paths.append(self.path)
                outer.exports.append(collector_pb2.ExportTraceServiceRequest.FromString(body))
                answer = collector_pb2.ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def body(self):
                if "Content-Length" in self.headers:
                    return self.rfile.read(int(self.headers["Content-Length"]))
                chunks = []  # as Envoy sends them
                while size := int(self.rfile.readline(), 16):
                    chunks.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(chunks)

            def log_message(self, *_):
                pass

        class Service(collector_grpc.TraceServiceServicer):
            def Export(self, request, context):
                outer.exports.append(request)
                return collector_pb2.ExportTraceServiceResponse()

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.grpc = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
        collector_grpc.add_TraceServiceServicer_to_server(Service(), self.grpc)
        self.grpc_port = self.grpc.add_insecure_port("127.0.0.1:0")
        self.grpc.start()

    @property
    def http_port(self):
        return self.http.server_address[1]

    @property
    def resources(self):
        return [attributes(r.resource) for each in self.exports for r in each.resource_spans]

    @property
    def spans(self):
        return [
            span
            for each in list(self.exports)
            for resource in each.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait_for(self, count, wait_s=60):
        """Returns the spans once there are so many."""
        deadline = time.monotonic() + wait_s
        while len(self.spans) < count:
            assert time.monotonic() < deadline, [span.name for span in self.spans]
            time.sleep(0.05)
        return self.spans

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.grpc.stop(0).wait()


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    exports.scaled(base, 3)
    return base


@pytest.fixture
def serve(models, collector, tmp_path):
    """Starts a server that sends its spans to the collector; closed at the end."""
    started = []

    def start(*flags, **environment):
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.http_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            **environment,
        }
        flags = ["--tracing", "--model_name=scaled", f"--model_base_path={models / 'scaled'}",
                 f"--access_log={tmp_path / 'access.log'}", *flags]  # fmt: skip
        started.append(ServerProcess(tmp_path / f"log{len(started)}", *flags, env=environment))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def attributes(message):
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in message.attributes
    }


def by_name(spans):
    found = {span.name: span for span in spans}
    assert len(found) == len(spans), [span.name for span in spans]
    return found


def predict(server, metadata=(), **more):
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name="scaled"))
    request.inputs["inputs"].CopyFrom(tensors.from_array(np.full((2, 4), 0.5, np.float32)))
    with server.channel() as channel:
        stub = services.PREDICTION_METHODS["Predict"].stub(channel)
        return stub(request, timeout=60, metadata=metadata, **more)


def log_entries(tmp_path, count):
    """Returns the access log's lines, once there are so many."""
    for _ in range(600):
        lines = (tmp_path / "access.log").read_text().splitlines()
        if len(lines) >= count:
            return [json.loads(line) for line in lines]
        time.sleep(0.05)
    raise AssertionError(f"{len(lines)} lines")


def test_a_rest_request_continues_its_callers_trace(serve, collector, tmp_path):
    server = serve()
    headers = {"traceparent": SAMPLED, "tracestate": "vendor=1"}
    assert server.rest(PREDICT, BODY, headers=headers)[0] == 200
    spans = by_name(collector.wait_for(5))
    top = spans.pop("POST /v1/models/{model}:predict")
    assert top.trace_id.hex() == TRACE
    assert top.parent_span_id.hex() == PARENT
    assert top.trace_state == "vendor=1"
    found = attributes(top)
    assert found["http.route"] == "/v1/models/{model}:predict"
    assert found["http.response.status_code"] == 200
    assert (found["model.name"], found["model.version"]) == ("scaled", 3)
    assert found["model.signature"] == "serving_default"
    assert spans.keys() == {"parse", "queue", "execute", "render"}
    previous = top.start_time_unix_nano
    for name in ("parse", "queue", "execute", "render"):
        span = spans[name]
        assert span.parent_span_id == top.span_id
        assert span.trace_id == top.trace_id
        assert previous <= span.start_time_unix_nano <= span.end_time_unix_nano
        previous = span.end_time_unix_nano
    assert previous <= top.end_time_unix_nano
    assert attributes(spans["execute"])["model.batch.requests"] == 1
    assert attributes(spans["execute"])["model.batch.size"] >= 2
    assert collector.paths[0] == "/v1/traces"
    assert collector.resources[0]["service.name"] == "model-server"
    (entry,) = log_entries(tmp_path, 1)
    assert entry["trace"] == TRACE


def test_a_grpc_call_continues_its_callers_trace(serve, collector, tmp_path):
    predict(serve(), metadata=[("traceparent", SAMPLED), ("tracestate", "vendor=1")])
    spans = by_name(collector.wait_for(5))
    top = spans["tensorflow.serving.PredictionService/Predict"]
    assert (top.trace_id.hex(), top.parent_span_id.hex()) == (TRACE, PARENT)
    found = attributes(top)
    assert found["rpc.system.name"] == "grpc"
    assert found["rpc.method"] == "tensorflow.serving.PredictionService/Predict"
    assert found["rpc.response.status_code"] == "OK"
    assert (found["model.name"], found["model.version"]) == ("scaled", 3)
    assert spans.keys() == {top.name, "parse", "queue", "execute", "render"}
    (entry,) = log_entries(tmp_path, 1)
    assert entry["trace"] == TRACE


@pytest.mark.parametrize("flags", [(), ("--enable_batching",), ("--adaptive_batching=false",)])
def test_calls_that_are_merged_have_each_their_spans(serve, collector, flags):
    server = serve(*flags, OTEL_TRACES_SAMPLER="always_on")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: predict(server), range(40)))
    spans = collector.wait_for(200)
    assert len(spans) == 200
    for name in ("parse", "queue", "execute", "render"):
        assert sum(span.name == name for span in spans) == 40
    assert len({span.trace_id for span in spans}) == 40


def test_an_error_tells_in_which_phase_it_arose(serve, collector):
    server = serve()
    headers = {"traceparent": SAMPLED}
    assert server.rest(PREDICT, b"{", headers=headers)[0] == 400
    spans = by_name(collector.wait_for(2))
    assert attributes(spans["parse"])["error.type"] == "INVALID_ARGUMENT"
    top = spans["POST /v1/models/{model}:predict"]
    assert attributes(top)["http.response.status_code"] == 400
    assert top.status.code == 0  # the client's fault is no error of the server's


def test_what_is_not_sampled_is_not_sent_but_logged(serve, collector, tmp_path):
    server = serve(OTEL_TRACES_SAMPLER="parentbased_always_off")
    for headers in ({}, {"traceparent": UNSAMPLED}, {"traceparent": "nonsense"}):
        assert server.rest(PREDICT, BODY, headers=headers)[0] == 200
    predict(server, metadata=[("traceparent", UNSAMPLED)])
    server.rest(PREDICT, BODY, headers={"traceparent": SAMPLED})
    assert server.stop() == 0  # sends what is left
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert len(collector.spans) == 5
    found = [entry["trace"] for entry in log_entries(tmp_path, 5)]
    assert found == [None, TRACE, None, TRACE, TRACE]


def test_spans_go_by_grpc_where_the_environment_says_so(serve, collector):
    server = serve(
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.grpc_port}",
        OTEL_SERVICE_NAME="mine",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
    )
    server.rest(PREDICT, BODY, headers={"traceparent": SAMPLED})
    collector.wait_for(5)
    assert collector.paths == []
    assert collector.resources[0]["service.name"] == "mine"
    assert collector.resources[0]["deployment.environment.name"] == "test"


def test_a_collector_that_is_gone_fails_no_request_and_holds_up_no_end(serve):
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    for _ in range(20):
        assert server.rest(PREDICT, BODY, headers={"traceparent": SAMPLED})[0] == 200
    assert server.stop(wait_s=30) == 0


def test_wrong_variables_end_the_server_at_once(models, tmp_path):
    flags = ["--tracing", "--model_name=scaled", f"--model_base_path={models / 'scaled'}"]
    environment = {"OTEL_TRACES_SAMPLER": "jaeger_remote"}
    server = ServerProcess(tmp_path / "log", *flags, env=environment, wait_s=0)
    assert server.process.wait(60) == 2
    assert "there are always_on" in server.log


def test_the_edges_span_is_the_parent_of_the_servers(serve, collector, tmp_path):
    server = serve()
    folder = tmp_path / "edge"
    folder.mkdir()
    otlp = {"EDGE_OTLP_HOST": "127.0.0.1", "EDGE_OTLP_PORT": collector.http_port}
    with Edge(folder, server, **otlp, EDGE_TRACE_PERCENT=0) as edge:
        edge.wait_until_ready()
        assert edge.rest(PREDICT, BODY)[0] == 200  # not sampled
        assert edge.rest(PREDICT, BODY, headers={"traceparent": SAMPLED})[0] == 200
        spans = collector.wait_for(7)
        edge.wait_for(lambda: len(edge.entries) >= 2)
        entries = edge.entries
    ids = {span.span_id for span in spans}
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    (top,) = [span for span in spans if span.name == "POST /v1/models/{model}:predict"]
    assert top.parent_span_id in ids  # the edge's
    assert top.parent_span_id.hex() != PARENT
    assert TRACE in {entry["trace"] for entry in entries}
