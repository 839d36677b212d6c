"""compose.yaml by itself: its profiles, and what the official image is started with."""

import dataclasses
import json
import subprocess
import sys

import pytest
from docker.utils import parse_bytes

from exporter import stack
from server.launch.options import UNSUPPORTED, ServerOptions
from tests.support.compose import ROOT, SCALE, Compose, image

# Flags of server/launch/options.py that the official server doesn't have.
OURS = {"host", "engine", "compilation_cache_dir"}


def config(*arguments, **variables):
    done = Compose("any", 8500, 8501)(*arguments, "config", "--format", "json", **variables)
    return json.loads(done.stdout)["services"]


@pytest.mark.parametrize("server", ["official", "embedded", "gpu"])
@pytest.mark.parametrize("extra", [(), ("--profile", "monitoring"), ("--profile", "web")])
@pytest.mark.parametrize("files", [(), SCALE])
def test_every_profile_has_exactly_one_model_server(server, extra, files):
    services = config(*files, "--profile", server, *extra)
    servers = [name for name in services if name.startswith("model-server")]
    assert servers == [{"official": "model-server"}.get(server, f"model-server-{server}")]
    assert {"exporter", "client"} <= services.keys()


def test_the_default_is_the_official_image_with_a_pinned_tag():
    services = config()
    assert services.keys() == {"exporter", "progress", "model-server", "client"}
    image, _, tag = services["model-server"]["image"].partition(":")
    assert image == "tensorflow/serving"
    assert tag[0].isdecimal()
    assert "build" not in services["model-server"]


def test_the_official_image_gets_only_flags_that_it_has():
    known = {
        option.name for option in dataclasses.fields(ServerOptions)
    } - OURS | UNSUPPORTED.keys()
    flags = dict(flag[2:].split("=", 1) for flag in config()["model-server"]["command"])
    assert flags.keys() <= known
    assert flags["xla_cpu_compilation_enabled"] == "true"


def test_both_servers_are_started_alike():
    official = config("--profile", "official")["model-server"]
    embedded = config("--profile", "embedded")["model-server-embedded"]
    for key in ("command", "ports", "volumes", "healthcheck", "user"):
        assert official[key] == embedded[key], key


@pytest.mark.parametrize("server", ["official", "embedded", "gpu"])
def test_scaled_servers_leave_the_ports_to_the_balancer(server):
    services = config(*SCALE, "--profile", server)
    publishing = [name for name, settings in services.items() if settings.get("ports")]
    assert publishing == ["balancer"]


def test_models_are_mounted_for_reading_alone():
    for service, settings in config("--profile", "embedded").items():
        assert settings["volumes"]
        mount = next(v for v in settings["volumes"] if v["target"] == "/models")
        if service != "exporter":
            assert mount["read_only"], service
            assert mount["volume"]["nocopy"], service


def test_environment_chooses_model_ports_and_tag():
    services = config(MODEL="mnist_flax", REST_PORT="9501", TF_SERVING_TAG="2.19.1")
    server = services["model-server"]
    assert server["image"].endswith(":2.19.1")
    assert "--model_config_file=/etc/serving/mnist_flax.config" in server["command"]
    assert "9501" in [port["published"] for port in server["ports"]]


@pytest.mark.parametrize("service", ["exporter", "model-server", "client", "prometheus", "grafana"])
def test_containers_are_hardened(service):
    settings = config("--profile", "official", "--profile", "monitoring")[service]
    assert settings["read_only"]
    assert settings["init"]
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert int(settings["mem_limit"]) > 0


def test_images_are_built_and_never_asked_of_a_registry_that_is_not_named():
    services = config("--profile", "*")
    own = {n: s for n, s in services.items() if "build" in s}
    assert own.keys() == {"exporter", "progress", "client", "model-server-embedded", "web"}
    for name, settings in own.items():
        assert settings["image"].startswith("jax-serving-stack/"), name
        assert settings["image"].endswith(":latest"), name
        assert settings["pull_policy"] == "never", name


def test_a_registry_has_prebuilt_images():
    there = {"REGISTRY": "registry.example.com/team", "IMAGE_TAG": "0.1.0"}
    for name, settings in config("--profile", "*", **there).items():
        if "build" in settings:
            assert settings["image"].startswith("registry.example.com/team/"), name
            assert settings["image"].endswith(":0.1.0"), name
            assert settings["pull_policy"] == "missing", name
    read = stack.read(ROOT / "compose.yaml", there)
    assert not read.service("exporter").is_built


def test_selinux_lets_containers_read_the_projects_own_folders_alone():
    mounts = [
        mount
        for settings in config("--profile", "*").values()
        for mount in settings.get("volumes", [])
        if mount["type"] == "bind"
    ]
    assert len(mounts) >= 8
    for mount in mounts:
        is_users = mount["target"] == "/tls"
        assert (mount["bind"].get("selinux") == "z") != is_users, mount


def test_a_page_that_is_not_built_is_an_error_and_no_folder_of_roots(engine, compose, tmp_path):
    """Docker makes what is missing as root, where `make web` couldn't write any more."""
    compose("--profile", "web", "build", "web", BASE_IMAGE=image("base-image"))
    where = ("--project-directory", str(tmp_path), "-f", str(ROOT / "compose.yaml"))
    done = compose(*where, "--profile", "web", "create", "--no-build", "web", check=False)
    compose(*where, "--profile", "web", "rm", "--force", "web", check=False)
    assert done.returncode != 0
    assert "bind source path does not exist" in done.stderr
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize("name", ["exporter", "model-server", "model-server-embedded"])
def test_the_sdk_reads_what_compose_reads(name):
    """Variables, anchors, merges, durations and sizes, as the real Compose resolves them."""
    chosen = {"MODEL": "mnist_flax", "NUM_EPOCHS": "7", "REST_PORT": "9501", "CORS": "true"}
    theirs = config("--profile", "official", "--profile", "embedded", **chosen)[name]
    ours = stack.read(ROOT / "compose.yaml", {**chosen, "GRPC_PORT": "8500"}).service(name)
    settings = ours.settings
    assert ours.image == theirs["image"]
    assert ours.is_built == (theirs.get("pull_policy") == "never")
    assert list(ours.command) == theirs["command"]
    for key in ("cap_drop", "security_opt", "init", "read_only", "pids_limit"):
        assert settings[key] == theirs[key], key
    # Compose writes the dollar twice, so that what it writes can be read again.
    entrypoint = [word.replace("$$", "$") for word in theirs["entrypoint"] or []]
    assert settings.get("entrypoint", []) == entrypoint
    assert settings.get("user") == theirs.get("user")
    assert parse_bytes(settings["mem_limit"]) == int(theirs["mem_limit"])
    assert list(settings["tmpfs"]) == theirs["tmpfs"]
    assert settings.get("restart_policy", {}).get("Name") == theirs.get("restart")
    assert {
        (address, str(port), int(target.removesuffix("/tcp")))
        for target, bindings in settings.get("ports", {}).items()
        for address, port in bindings
    } == {(p["host_ip"], p["published"], p["target"]) for p in theirs.get("ports", [])}
    assert [
        (m.source, m.is_volume, m.target, m.read_only, m.no_copy, m.relabel) for m in ours.mounts
    ] == [
        (
            volume["source"],
            volume["type"] == "volume",
            volume["target"],
            volume.get("read_only", False),
            volume.get("volume", {}).get("nocopy", False),
            volume.get("bind", {}).get("selinux") == "z",
        )
        for volume in theirs["volumes"]
    ]
    assert list(ours.aliases) == (theirs["networks"]["default"] or {}).get("aliases", [])
    check = theirs.get("healthcheck", {})
    seconds = {"2s": 2, "3s": 3, "1m0s": 60}
    assert settings.get("healthcheck", {}) == {
        key: value if key in ("test", "retries") else seconds[value] * 10**9
        for key, value in check.items()
    }


def test_compose_yaml_follows_the_specification(tmp_path):
    """With its variables put in, which the schema doesn't know."""
    resolved = Compose("any", 8500, 8501)("--profile", "*", "config").stdout
    (tmp_path / "compose.yaml").write_text(resolved)
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, "compose.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
