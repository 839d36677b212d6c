"""Dashboards and alerts, by a real Prometheus: they fill, and they fire when they should."""

import contextlib
import json
import re
import subprocess
import time
import urllib.parse
import urllib.request

import pytest
import yaml

from tests.support import exports, needs
from tests.support.edge import free_ports
from tests.support.servers import ROOT, ServerProcess

DASHBOARD = json.loads((ROOT / "docker/grafana/dashboards/serving.json").read_text())
ALERTS = ROOT / "docker/prometheus/alerts.yml"
OWN = "(embedded server)"
# TensorFlow Serving's, with their labels.
# Source: tensorflow_serving/servables/tensorflow/util.cc and model_servers/http_rest_api_util.cc
OFFICIAL = {
    ":tensorflow:serving:request_count": {"model_name", "status"},
    ":tensorflow:serving:request_latency": {"model_name", "API", "entrypoint"},
}


def expressions(panel):
    return [target["expr"] for target in panel["targets"]]


def panels(*, own=None):
    return [p for p in DASHBOARD["panels"] if own is None or (OWN in p["title"]) == own]


@contextlib.contextmanager
def prometheus(folder, port, target):
    """Prometheus with the stack's settings, but for where the server is."""
    program = needs.program("prometheus", debian="prometheus")
    config = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text())
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "model-server"]
    job["static_configs"] = [{"targets": [target]}]
    del job["dns_sd_configs"]
    config["scrape_configs"], config["global"] = [job], {"scrape_interval": "1s"}
    config["rule_files"] = [str(ALERTS)]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [program, f"--config.file={folder}/prometheus.yml"]
    command += [f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def query(port, expression):
    words = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}/api/v1/query?{words}", timeout=5
    ) as response:
        return [row["value"][1] for row in json.load(response)["data"]["result"]]


def numbers(port, expression):
    with contextlib.suppress(OSError):  # not up yet
        return [value for value in query(port, expression) if value != "NaN"]
    return []


def test_each_panel_fills_with_the_embedded_server(tmp_path):
    exports.scaled(tmp_path / "models", 1)
    monitoring = ROOT / "docker/serving/monitoring.config"
    flags = ["--model_name=scaled", f"--model_base_path={tmp_path / 'models/scaled'}"]
    flags += [f"--monitoring_config_file={monitoring}"]
    (port,) = free_ports(1)
    with (
        ServerProcess(tmp_path / "log", *flags) as server,
        prometheus(tmp_path, port, f"127.0.0.1:{server.rest_port}"),
    ):
        empty = {(p["title"], e) for p in panels() for e in expressions(p)}
        end = time.monotonic() + 90
        while empty and time.monotonic() < end:
            for body in ({"instances": [[1.0] * 4] * 3}, {"instances": "none"}):
                server.rest("/v1/models/scaled:predict", body)
            empty = {(title, e) for title, e in empty if not numbers(port, e)}
            time.sleep(0.5)
        assert not empty
        firing = f"http://127.0.0.1:{port}/api/v1/alerts"
        with urllib.request.urlopen(firing) as response:
            alerts = json.load(response)["data"]["alerts"]
        assert [alert for alert in alerts if alert["state"] == "firing"] == []


@pytest.mark.parametrize("panel", panels(own=False), ids=lambda panel: panel["title"])
def test_a_panel_for_both_asks_for_what_the_official_server_has(panel):
    for expression in expressions(panel):
        used = set(re.findall(r"(:tensorflow:\w+:\w+?)(?:_bucket|_sum|_count)?[\[{]", expression))
        names = {name if name in OFFICIAL else f"{name}_count" for name in used}
        assert names <= OFFICIAL.keys()
        assert names or "up{" in expression
        by = re.findall(r"by \(([^)]*)\)", expression)
        labels = {label.strip() for group in by for label in group.split(",")} - {"le"}
        assert labels <= {label for name in names for label in OFFICIAL[name]}


COUNT = ":tensorflow:serving:request_count"
STATE = "model_version_state"
JOB = 'job="model-server"'
# Alert: series that raise it, and series that don't.
CASES = {
    "ModelServerDown": ({f'up{{{JOB},instance="a"}}': "0x30"}, {f"up{{{JOB}}}": "1x30"}),
    "NoModelServer": ({'up{job="edge"}': "1x30"}, {f"up{{{JOB}}}": "0x30"}),
    "RequestsFail": (
        {f'{COUNT}{{model_name="m",status="OK"}}': "0+98x30",
         f'{COUNT}{{model_name="m",status="INTERNAL"}}': "0+2x30"},
        {f'{COUNT}{{model_name="m",status="OK"}}': "0+50x30",
         f'{COUNT}{{model_name="m",status="INVALID_ARGUMENT"}}': "0+50x30"},
    ),
    "RequestsRefused": (
        {f'{COUNT}{{model_name="m",status="RESOURCE_EXHAUSTED"}}': "0+1x30"},
        {f'{COUNT}{{model_name="m",status="RESOURCE_EXHAUSTED"}}': "7x30"},
    ),
    "LatencyHigh": (
        {':tensorflow:serving:request_latency_bucket{model_name="m",le="400000"}': "0+98x30",
         ':tensorflow:serving:request_latency_bucket{model_name="m",le="900000"}': "0+100x30",
         ':tensorflow:serving:request_latency_bucket{model_name="m",le="+Inf"}': "0+100x30"},
        {':tensorflow:serving:request_latency_bucket{model_name="m",le="400000"}': "0+100x30",
         ':tensorflow:serving:request_latency_bucket{model_name="m",le="+Inf"}': "0+100x30"},
    ),
    "ModelNotAvailable": (
        {f'{STATE}{{model="m",version="2",state="LOADING"}}': "1x30"},
        {f'{STATE}{{model="m",version="2",state="LOADING"}}': "1x30",
         f'{STATE}{{model="m",version="1",state="AVAILABLE"}}': "1x30"},
    ),
    "MemoryNearLimit": (
        {f"process_resident_memory_bytes{{{JOB}}}": "1900000000x30"},
        {f"process_resident_memory_bytes{{{JOB}}}": "900000000x30"},
    ),
}  # fmt: skip


def test_each_alert_is_tested_and_described():
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    names = {rule["alert"] for rule in group["rules"]}
    assert names == CASES.keys()
    text = (ROOT / "docs/operations.md").read_text()
    assert {name for name in names if f"`{name}`" not in text} == set()


@pytest.mark.parametrize("alert", CASES)
@pytest.mark.parametrize("fires", [True, False])
def test_an_alert_fires_for_what_it_names_alone(tmp_path, alert, fires):
    promtool = needs.program("promtool", debian="prometheus")
    series = CASES[alert][0 if fires else 1]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": v} for name, v in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                "eval_time": "25m",
                "exp_samples": [{"labels": "{}", "value": int(fires)}],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
