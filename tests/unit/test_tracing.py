"""What is traced: sampling, headers, and spans as the SDK gets them."""

import asyncio
import subprocess
import sys
from types import SimpleNamespace

import pytest

from server.api import traced as faces
from server.errors import Code, ServingError
from server.inference import traced
from server.inference.predict import EngineCall
from server.protocol.http1.messages import Request, Response
from server.telemetry import otlp, tracing
from server.telemetry.sampling import Sampling
from tests.support import needs

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"


@pytest.fixture
def exported():
    """A tracer whose spans are kept, all sampled; and the spans, as they end."""
    resources = needs.package("opentelemetry.sdk.resources", "tracing")
    export = needs.package("opentelemetry.sdk.trace.export", "tracing")
    memory = needs.package("opentelemetry.sdk.trace.export.in_memory_span_exporter", "tracing")
    exporter = memory.InMemorySpanExporter()
    processor = export.SimpleSpanProcessor(exporter)
    tracer = tracing.Tracer(processor, resources.Resource.create({}), Sampling(1.0))
    return tracer, exporter.get_finished_spans


def test_without_the_flag_nothing_is_imported():
    look = (
        "import sys, server.__main__, server.launch.process; "
        "sys.exit(any(name.split('.')[0] == 'opentelemetry' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", look]).returncode == 0


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("", "", Sampling(0.01, True)),
        ("always_on", "", Sampling(1.0, False)),
        ("parentbased_always_off", "", Sampling(0.0, True)),
        ("parentbased_traceidratio", "0.25", Sampling(0.25, True)),
        ("traceidratio", "", Sampling(1.0, False)),
    ],
)
def test_the_sampler_is_read_from_the_environment(name, argument, expected):
    environment = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}
    assert Sampling.read(environment) == expected


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "jaeger_remote: there are always_on"),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
            "ARG=2 is no share",
        ),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "x"},
            "ARG=x is no share",
        ),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "exports by otlp alone"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "there are http/protobuf and grpc"),
    ],
)
def test_what_there_is_not_is_refused(environment, words):
    with pytest.raises(ServingError, match=words):
        otlp.start(environment)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(ServingError, match=r"pip install 'jax-serving-stack\[tracing\]'"):
        otlp.start({})


def test_the_caller_decides_and_of_the_others_a_share_is_drawn():
    for share in (0.0, 1.0):
        sampling = Sampling(share)
        assert sampling.takes(SAMPLED)
        assert not sampling.takes(UNSAMPLED)
        for none in ("", "nonsense", f"ff-{TRACE}-{PARENT}-01", SAMPLED.upper(), SAMPLED + "x"):
            assert sampling.takes(none) == (share == 1.0), none
    assert Sampling(0.0).takes(f"01-{TRACE}-{PARENT}-01-what-comes-later")
    drawn = sum(Sampling(0.5).takes("") for _ in range(2000))
    assert 800 < drawn < 1200


def test_by_ratio_all_who_see_a_trace_draw_alike():
    low, high = f"00-{'f' * 16}{'0' * 16}-{PARENT}-00", f"00-{'0' * 16}{'f' * 16}-{PARENT}-01"
    sampling = Sampling(0.5, follows_parent=False)
    assert sampling.takes(low)
    assert not sampling.takes(high)


def test_a_log_gets_the_number_of_the_trace(exported):
    tracer, _ = exported
    assert tracing.trace_id("") is None
    assert tracing.trace_id("nonsense") is None
    assert tracing.trace_id(UNSAMPLED) == TRACE
    with tracer.http({}, "GET", "/", "") as trace:
        assert tracing.trace_id("") == trace.id != TRACE
    assert tracing.trace_id("") is None


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/models/a:predict", "/v1/models/{model}:predict"),
        ("/V1/Models/a/versions/3:classify", "/v1/models/{model}/versions/{version}:classify"),
        ("/v1/models/a/labels/b/metadata", "/v1/models/{model}/labels/{label}/metadata"),
        ("/v1/models/a", "/v1/models/{model}"),
        ("/v2/models/a/versions/3/infer", "/v2/models/{model}/versions/{version}/infer"),
        ("/v2/models/a/ready", "/v2/models/{model}/ready"),
        ("/v1/models/a/b/c", ""),
        ("/v2/health/live", ""),
    ],
)
def test_a_route_holds_nothing_that_varies(path, route):
    assert faces.route(path) == route


def answered(tracer, request, response):
    async def front(request):
        return response

    return asyncio.run(faces.Front(front, tracer)(request))


def test_a_rest_request_is_a_server_span_of_its_caller(exported):
    tracer, spans = exported
    headers = {"traceparent": SAMPLED, "tracestate": "vendor=1"}
    path = "/v1/models/a:predict"
    answered(tracer, Request("POST", path, headers=headers, peer="1.2.3.4:5"), Response(b""))
    (span,) = spans()
    assert (span.name, span.kind.name) == ("POST /v1/models/{model}:predict", "SERVER")
    assert format(span.context.trace_id, "032x") == TRACE
    assert format(span.parent.span_id, "016x") == PARENT
    assert span.parent.is_remote
    assert span.context.trace_state["vendor"] == "1"
    assert dict(span.attributes) == {
        "http.request.method": "POST",
        "http.route": "/v1/models/{model}:predict",
        "http.response.status_code": 200,
        "url.path": path,
        "client.address": "1.2.3.4",
    }
    assert span.status.status_code.name == "UNSET"


def test_what_a_client_writes_is_cut_off_and_pages_are_not_traced(exported):
    tracer, spans = exported
    answered(tracer, Request("GET", "/v1/" + "x" * 60_000), Response(b"", 404))
    answered(tracer, Request("GET", "/healthz"), Response(b""))
    (span,) = spans()
    assert len(span.attributes["url.path"]) == 256
    assert (span.name, span.status.status_code.name) == ("GET", "UNSET")


def test_the_servers_faults_are_errors(exported):
    tracer, spans = exported
    answered(tracer, Request("GET", "/v1/models/a"), Response(b"", 503))
    for code in (Code.UNAVAILABLE, Code.NOT_FOUND):
        with tracer.grpc((), "/a.B/C", "ipv6:[::1]:5") as trace:
            trace.grpc_status(code)
    rest, fault, not_found = spans()
    assert (rest.status.status_code.name, rest.attributes["error.type"]) == ("ERROR", "503")
    assert fault.status.status_code.name == "ERROR"
    assert fault.attributes["rpc.response.status_code"] == "UNAVAILABLE"
    assert not_found.status.status_code.name == "UNSET"
    assert (fault.name, fault.attributes["rpc.method"]) == ("a.B/C", "a.B/C")
    assert fault.attributes["client.address"] == "::1"


def test_a_request_that_is_cancelled_ends_its_span(exported):
    tracer, spans = exported

    async def run():
        async def front(request):
            await asyncio.sleep(60)

        answering = asyncio.create_task(faces.Front(front, tracer)(Request("GET", "/v1/models/a")))
        await asyncio.sleep(0)
        answering.cancel()
        await asyncio.wait([answering])

    asyncio.run(run())
    (span,) = spans()
    assert span.attributes["error.type"] == "cancelled"


def executed(tracer, execute):
    """Runs an `Execute` in a trace and returns what it raised."""

    async def run():
        with tracer.http({}, "POST", "/v1/models/a:predict", "") as trace:
            call = EngineCall("serving_default", {}, ())
            try:
                await traced.executing(execute, trace)(SimpleNamespace(), call)
            except ServingError as error:
                return error
        return None

    return asyncio.run(run())


def test_waiting_and_execution_are_spans_of_their_own(exported):
    tracer, spans = exported

    async def execute(servable, call):
        await asyncio.sleep(0.02)
        call.started(8, 3)
        call.started(4, 1)
        await asyncio.sleep(0.01)
        return {}

    assert executed(tracer, execute) is None
    queue, execution, server = spans()
    assert (queue.name, execution.name) == ("queue", "execute")
    assert queue.end_time == execution.start_time
    assert queue.end_time - queue.start_time >= 0.02e9
    assert execution.end_time - execution.start_time >= 0.01e9
    assert execution.attributes["model.batch.size"] == 12
    assert execution.attributes["model.batch.requests"] == 3
    for span in (queue, execution):
        assert span.parent.span_id == server.context.span_id


def test_a_call_that_fails_tells_where(exported):
    tracer, spans = exported

    async def full(servable, call):
        raise ServingError(Code.UNAVAILABLE, "full")

    async def broken(servable, call):
        call.started(1, 1)
        raise ServingError(Code.INTERNAL, "broken")

    assert executed(tracer, full).code is Code.UNAVAILABLE
    assert executed(tracer, broken).code is Code.INTERNAL
    found = {span.name: span for span in spans()}
    first, _, _, execution, _ = spans()
    assert (first.name, first.attributes["error.type"]) == ("queue", "UNAVAILABLE")
    assert execution.attributes["error.type"] == "INTERNAL"
    assert found["execute"].status.status_code.name == "ERROR"
