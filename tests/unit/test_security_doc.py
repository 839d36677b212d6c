"""docs/security.md says what the code does: flags, variables, their defaults, and tests."""

import dataclasses
import re
from pathlib import Path

import pytest

from server.launch.options import ServerOptions
from server.protocol.limits import MIB, Limits

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/security.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("|")
]


def row(named):
    """Returns the cells of the one row that names something."""
    (found,) = [cells for cells in ROWS if any(named in cell for cell in cells)]
    return found


def test_flags_are_the_servers():
    known = {field.name for field in dataclasses.fields(ServerOptions)}
    named = set(re.findall(r"`--([a-z_]+)", TEXT)) - {"profile"}
    assert named <= known
    assert {"auth_token_file", "admin_token_file", "max_request_bytes"} <= named


@pytest.mark.parametrize(
    ("flag", "shown"),
    [
        ("max_request_bytes", lambda value: f"{value // MIB} MiB"),
        ("max_bytes_under_way", lambda value: f"{value // MIB} MiB"),
        ("max_connections", lambda value: f"{value:,}"),
        ("rest_api_timeout_in_ms", lambda value: f"{value // 1000} s"),
        ("drain_seconds", lambda value: f"{value:g} s"),
    ],
)
def test_defaults_of_flags_are_the_servers(flag, shown):
    assert row(f"`--{flag}`")[1] == shown(getattr(ServerOptions(), flag))


def test_defaults_without_a_flag_are_the_servers():
    limits = Limits()
    assert row("headers of a request")[1] == (
        f"{limits.header_bytes // 1024} KiB, {limits.header_count} of them"
    )
    assert row("end of the headers")[1] == f"{limits.headers_s:g} s"
    cells = row("gets on by")
    assert f"{limits.progress_bytes // 1024} KiB" in cells[0]
    assert cells[1] == f"{limits.body_s:g} s, {limits.write_s:g} s"
    assert row("a connection without a request")[1] == f"{limits.idle_s:g} s"


def test_variables_of_the_edge_have_their_defaults():
    lines = (ROOT / "docker/edge/envoy.yaml").read_text().splitlines()
    defaults = {
        words[2]: words[3] if len(words) > 3 else ""
        for line in lines
        if (words := line.split())[:2] == ["#%", "default"]
    }
    assert set(re.findall(r"`(EDGE_[A-Z_]+)`", TEXT)) <= defaults.keys()
    assert row("`EDGE_PORT`")[1] == defaults["EDGE_PORT"]
    assert row("`EDGE_MAX_CONNECTIONS`")[1] == f"{int(defaults['EDGE_MAX_CONNECTIONS']):,}"
    assert row("`EDGE_HEAP_BYTES`")[1] == f"{int(defaults['EDGE_HEAP_BYTES']) // MIB} MiB"
    assert row("`EDGE_TIMEOUT_S`")[1] == f"{defaults['EDGE_TIMEOUT_S']} s"
    rates = [f"{int(defaults[name]):,}" for name in ("EDGE_RATE", "EDGE_CLIENT_RATE")]
    assert row("`EDGE_RATE`")[1] == ", ".join(rates)
    for name in ("EDGE_CERTIFICATE", "EDGE_CLIENT_CA", "EDGE_CORS_ORIGINS", "EDGE_OPEN_ADMIN"):
        assert defaults[name] == "", name


def test_the_tests_that_are_named_are_there():
    named = set(re.findall(r"`((?:[a-z]+/)*test_[a-z0-9_]+\.py)`", TEXT))
    there = {path.name for path in ROOT.glob("tests/**/test_*.py")}
    assert {Path(name).name for name in named} <= there
