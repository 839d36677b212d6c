"""Small parts of the server: flags, limits, metrics, tokens, errors, warm-up records."""

import asyncio
import os
import struct
import threading

import numpy as np
import pytest

from server.api.tfs_grpc import descriptors
from server.errors import HTTP_STATUS, Code, ServingError
from server.inference.admission import Admission
from server.inference.timeout import Timeout
from server.launch import flags, monitoring
from server.models import model_config, priority, records
from server.protocol import sockets
from server.protocol.guard import Guard, Token, is_forwarded
from server.protocol.tls import Tls
from server.telemetry.metrics import Counter, Gauge, Histogram, exponential
from tests.support import needs
from wire import serving_pb2 as pb


def test_flags_have_the_official_spelling_and_defaults():
    options, warnings = flags.parse(["--model_base_path=/m"])
    assert warnings == []
    assert (options.port, options.rest_api_port, options.model_name) == (8500, 0, "default")
    assert (options.rest_api_timeout_in_ms, options.max_num_load_retries) == (30000, 5)
    assert options.load_retry_interval_micros == 60_000_000
    assert (options.enable_model_warmup, options.xla_cpu_compilation_enabled) == (True, False)
    assert (options.file_system_poll_wait_seconds, options.saved_model_tags) == (1, "serve")


@pytest.mark.parametrize(
    ("text", "value"),
    [("--enable_batching", True), ("--enable_batching=true", True), ("--enable_batching=0", False)],
)
def test_booleans_may_stand_alone(text, value):
    assert flags.parse(["--model_base_path=/m", text])[0].enable_batching is value


def test_both_names_of_the_cors_flag_are_taken():
    for name in ("enable_cors_support", "rest_api_enable_cors_support"):
        options, _ = flags.parse(["--model_base_path=/m", f"--{name}"])
        assert options.rest_api_enable_cors_support


def test_codes_have_the_official_http_statuses():
    expected = {
        "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400,
        "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "ALREADY_EXISTS": 409,
        "ABORTED": 409, "RESOURCE_EXHAUSTED": 429, "CANCELLED": 499, "UNIMPLEMENTED": 501,
        "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504, "OK": 200,
    }  # fmt: skip
    assert {code.name: status for code, status in HTTP_STATUS.items()} == expected
    assert ServingError(Code.DATA_LOSS, "").http_status == 500


def test_admission_limits_what_is_under_way():
    admission = Admission(max_concurrent=1)
    with admission:
        with pytest.raises(ServingError) as caught, admission:
            pass
        assert caught.value.code is Code.RESOURCE_EXHAUSTED
    with admission:
        assert admission.under_way == 1
    assert admission.under_way == 0


def test_metrics_are_written_in_prometheus_format():
    counter = Counter(":a:b", "text", ("model",))
    counter.of('q"\\\n').add()
    counter.of('q"\\\n').add(2)
    assert list(counter.lines()) == [
        "# HELP :a:b text", "# TYPE :a:b counter", ':a:b{model="q\\"\\\\\\n"} 3'
    ]  # fmt: skip
    histogram = Histogram("h", "text", (), [1, 10])
    for value in (0.5, 1, 5, 100):
        histogram.of().add(value)
    assert list(histogram.lines())[2:] == [
        'h_bucket{le="1"} 2', 'h_bucket{le="10"} 3', 'h_bucket{le="+Inf"} 4', "h_sum 106.5",
        "h_count 4",
    ]  # fmt: skip
    assert list(Gauge("g", "text", (), lambda: [((), 1)]).lines())[-1] == "g 1"
    assert exponential(10, 1.8, 3) == [10, 18, pytest.approx(32.4)]


def test_a_token_must_be_borne_exactly():
    guard = Guard(Token("secret"))
    guard.check("/", "Bearer secret", is_local=False)
    for wrong in ("", "secret", "Bearer secre", "Bearer secret2", "bearer secret", "Bearer é"):
        with pytest.raises(ServingError) as caught:
            guard.check("/", wrong, is_local=True)
        assert caught.value.code is Code.UNAUTHENTICATED


def test_what_changes_the_server_takes_an_admin_or_a_local_peer():
    def refused(guard, path, authorization, *, is_local=False):
        with pytest.raises(ServingError) as caught:
            guard.check(path, authorization, is_local=is_local)
        return caught.value.code

    token, admin = Token("user"), Token("admin")
    is_admin = {"/reload"}.__contains__
    both = Guard(token, admin, open_paths=["/open"], is_admin=is_admin)
    for path in ("/open", "/ask", "/reload"):
        both.check(path, "Bearer admin", is_local=False)
    both.check("/open", "", is_local=False)
    both.check("/ask", "Bearer user", is_local=False)
    assert refused(both, "/reload", "Bearer user", is_local=True) is Code.PERMISSION_DENIED
    assert refused(both, "/reload", "", is_local=True) is Code.UNAUTHENTICATED
    assert refused(both, "/ask", "Bearer nobody") is Code.UNAUTHENTICATED
    only_token = Guard(token, is_admin=is_admin)
    only_token.check("/reload", "Bearer user", is_local=True)
    assert refused(only_token, "/reload", "Bearer user") is Code.PERMISSION_DENIED
    assert refused(only_token, "/reload", "", is_local=True) is Code.UNAUTHENTICATED
    nobody = Guard(is_admin=is_admin)
    nobody.check("/ask", "", is_local=False)
    nobody.check("/reload", "", is_local=True)
    assert refused(nobody, "/reload", "") is Code.PERMISSION_DENIED
    only_admin = Guard(admin_token=admin, is_admin=is_admin)
    only_admin.check("/ask", "", is_local=False)
    assert refused(only_admin, "/reload", "", is_local=True) is Code.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", True), (("127.0.0.1", 1), True), (("::1", 1, 0, 0), True), (("127.9.9.9", 1), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True), (("10.0.0.1", 1), False),
        (("::ffff:10.0.0.1", 1, 0, 0), False), (("fe80::1%eth0", 1, 0, 2), False),
    ],
)  # fmt: skip
def test_peers_on_this_machine_are_known(address, expected):
    assert sockets.is_local(address) is expected


def test_requests_that_a_proxy_hands_on_are_known():
    assert is_forwarded({"x-forwarded-for": "127.0.0.1"})
    assert is_forwarded(["te", "forwarded"])
    assert is_forwarded(["via"])
    assert not is_forwarded({"host": "x", "authorization": "Bearer via"})


def test_configs_that_cant_be_read_are_named(tmp_path):
    file = tmp_path / "config"
    for read, text in (
        (monitoring.read_path, "prometheus_config { nonsense: 1 }"),
        (monitoring.read_path, 'prometheus_config { enable: true path: "x" }'),
        (Tls.read, "server_key: 1"),
        (Tls.read, 'server_key: "k"'),
        (Token.read, " \n"),
    ):
        file.write_text(text)
        with pytest.raises(ServingError):
            read(file)
    file.write_text("prometheus_config { enable: true }")
    assert monitoring.read_path(file) == "/monitoring/prometheus/metrics"
    file.write_text("")
    assert monitoring.read_path(file) == ""


def record(data):
    return struct.pack("<QI", len(data), 0) + data + bytes(4)


def test_warmup_records_are_read(tmp_path):
    file = tmp_path / "records"
    file.write_bytes(record(b"one") + record(b"") + record(b"three"))
    assert list(records.read(file)) == [b"one", b"", b"three"]


@pytest.mark.parametrize("cut", [1, 3, 5, 14])
def test_truncated_warmup_records_are_refused(tmp_path, cut):
    file = tmp_path / "records"
    file.write_bytes(record(b"one")[:-cut])
    with pytest.raises(ServingError, match="truncated"):
        list(records.read(file))


def test_descriptors_have_official_names_and_the_same_bytes():
    from google.protobuf import message_factory

    pool = descriptors.pool()
    request = pb.PredictRequest(output_filter=["y"])
    request.model_spec.name = "m"
    request.inputs["x"].dtype = 1
    request.inputs["x"].float_val.append(np.float32([1.5, 2]).tobytes())
    theirs = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("tensorflow.serving.PredictRequest")
    ).FromString(request.SerializeToString())
    assert list(theirs.inputs["x"].float_val) == [1.5, 2]
    assert theirs.inputs["x"].DESCRIPTOR.full_name == "tensorflow.TensorProto"
    methods = pool.FindServiceByName("tensorflow.serving.ModelService").methods_by_name
    assert set(methods) == {
        "GetModelStatus", "HandleReloadConfigRequest"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ('base_path: "hdfs://host/m"', "hdfs:// isn't read or written by this server"),
        ('base_path: "s3://key:secret@bucket/m"', "credentials belong into the environment"),
        (
            'base_path: "/m" logging_config { log_collector_config { filename_prefix: "s3://b/l" } '
            "sampling_config { sampling_rate: 1 } }",
            "s3:// isn't read or written by this server",
        ),
        (
            'base_path: "/m" logging_config { log_collector_config { type: "bigquery" } }',
            "Cannot find LogCollector::Factory for type: bigquery",
        ),
        ('base_path: "/m" logging_config { }', "has no filename_prefix"),
        (
            'base_path: "/m" logging_config { log_collector_config { filename_prefix: "/l" } '
            "sampling_config { sampling_rate: 2 } }",
            "sampling_rate 2 isn't within 0 and 1",
        ),
    ],
)
def test_models_that_cant_be_served_as_configured_are_refused(entry, problem):
    with pytest.raises(ServingError) as caught:
        model_config.parse(f'model_config_list {{ config {{ name: "m" {entry} }} }}')
    assert problem in caught.value.message


def test_a_base_path_may_be_a_local_uri():
    text = 'model_config_list { config { name: "m" base_path: "file:///m" } }'
    assert str(model_config.parse(text)[0].base_path) == "/m"


def test_one_timer_ends_all_tasks_that_take_too_long_and_no_others():
    async def work(timeout, seconds):
        try:
            return await timeout.run(lambda deadline: asyncio.sleep(seconds, "done"))
        except TimeoutError:
            return "late"
        except asyncio.CancelledError:
            return "cancelled by somebody else"

    async def test():
        timeout = Timeout(0.05)
        tasks = [asyncio.create_task(work(timeout, seconds)) for seconds in (30, 0.001, 30, 30)]
        await asyncio.sleep(0.01)
        tasks[2].cancel()
        first = await asyncio.wait_for(asyncio.gather(*tasks), 10)
        assert not any(task.cancelling() for task in tasks[:2])
        again = asyncio.create_task(work(timeout, 30))
        return [*first, await asyncio.wait_for(again, 10)]

    expected = ["late", "done", "cancelled by somebody else", "late", "late"]
    assert asyncio.run(test()) == expected


def test_threads_that_compute_and_those_that_they_start_give_way_and_no_others():
    needs.linux("for its scheduling policies")
    seen = []

    def note():
        seen.append(os.sched_getscheduler(0))

    def compute():
        priority.give_way()
        note()
        child = threading.Thread(target=note)
        child.start()
        child.join()

    before = os.sched_getscheduler(0)
    thread = threading.Thread(target=compute)
    thread.start()
    thread.join()
    assert seen == [os.SCHED_BATCH, os.SCHED_BATCH]
    assert os.sched_getscheduler(0) == before
