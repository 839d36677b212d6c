"""What the stack reads in a Compose file, without Docker."""

import dataclasses
import shutil

import pytest

from exporter import stack
from exporter.errors import UserError
from exporter.stack import variables
from tests.support.compose import ROOT

KNOWN = {"SET": "value", "EMPTY": "", "OTHER": "other"}


@pytest.fixture
def compose(tmp_path):
    """Writes a Compose file with one service, and reads it or the service."""

    def write(text, env="", **settings):
        (tmp_path / "compose.yaml").write_text(text)
        (tmp_path / ".env").write_text(env)
        return stack.read(tmp_path / "compose.yaml", settings, {"SHELL_SET": "from the shell"})

    return write


def service(compose, body, **settings):
    lines = "".join(f"    {line}\n" for line in ["image: i", *body.splitlines()])
    text = f"services:\n  one:\n{lines}volumes:\n  models:\n"
    return compose(text, **settings).service("one")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nothing to do", "nothing to do"),
        ("$SET ${SET}", "value value"),
        ("a${SET}b$SET-c", "avalueb" + "value-c"),
        ("$NOTHING|${NOTHING}|${EMPTY}", "||"),
        ("${SET:-default} ${SET-default}", "value value"),
        ("${NOTHING:-default} ${NOTHING-default}", "default default"),
        ("${EMPTY:-default}|${EMPTY-default}", "default|"),
        ("${SET:+other}|${EMPTY:+other}|${EMPTY+other}|${NOTHING+other}", "other||other|"),
        ("${NOTHING:-${OTHER:-x}}/${NOTHING:-${GONE:-x}}", "other/x"),
        ("${NOTHING:--1}", "-1"),
        ("${NOTHING:-}", ""),
        ("${SET:?why} ${EMPTY?why}", "value "),
        ("$$SET $${SET} $$$SET", "$SET ${SET} $value"),
        ("${NOTHING:-a:b}", "a:b"),
    ],
)
def test_variables_are_put_in(text, found):
    assert variables.interpolate(text, KNOWN) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${SET", "no closing brace"),
        ("${NOTHING:-${SET}", "no closing brace"),
        ("costs 5$", r"write \$\$ for \$"),
        ("$1", r"write \$\$ for \$"),
        ("${}", "is no variable"),
        ("${1}", "is no variable"),
        ("${SET!x}", "is no variable"),
        ("${EMPTY:?say what}", "the variable EMPTY isn't set: say what"),
        ("${NOTHING?say what}", "the variable NOTHING isn't set: say what"),
    ],
)
def test_what_is_no_variable_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        variables.interpolate(text, KNOWN)


def test_an_env_file(tmp_path):
    (tmp_path / ".env").write_text(
        "# a comment\n"
        "\n"
        "PLAIN=a b # a comment\n"
        "HASH=a#b\n"
        "EMPTY=\n"
        "NOTHING= # a comment\n"
        "  export SPACED = x \n"
        "SINGLE='$PLAIN # no comment' # a comment\n"
        'DOUBLE="${PLAIN} \\"$SET\\"\\n"\n'
        "SET=loses\n"
        "AGAIN=${PLAIN}/${SET}/${GONE:-gone}\n"
    )
    assert variables.read_env_file(tmp_path / ".env", {"SET": "wins"}) == {
        "PLAIN": "a b",
        "HASH": "a#b",
        "EMPTY": "",
        "NOTHING": "",
        "SPACED": "x",
        "SINGLE": "$PLAIN # no comment",
        "DOUBLE": 'a b "wins"\n',
        "SET": "loses",
        "AGAIN": "a b/wins/gone",
    }


def test_no_env_file_is_none(tmp_path):
    assert variables.read_env_file(tmp_path / ".env", {}) == {}


@pytest.mark.parametrize("line", ["NAME", "1=2", "A='open", 'A="x" y', "A=${B", "A=5$"])
def test_a_bad_line_of_an_env_file_is_named(tmp_path, line):
    (tmp_path / ".env").write_text(f"GOOD=1\n{line}\n")
    with pytest.raises(UserError, match=r"\.env, line 2: "):
        variables.read_env_file(tmp_path / ".env", {})


def test_flags_win_over_the_shell_which_wins_over_the_env_file(compose):
    text = "services: {one: {image: '${FLAG}, ${SHELL_SET}, ${FILE}, ${NOWHERE:-default}'}}"
    env = "FLAG=file\nSHELL_SET=file\nFILE=file\n"
    read = compose(text, env, FLAG="flag")
    assert read.service("one").image == "flag, from the shell, file, default"


def test_anchors_and_merges(compose):
    read = compose(
        "x-base: &base {init: true, user: a, command: [a, b]}\n"
        "x-build: &build {context: ., args: {A: b}}\n"
        "services:\n"
        "  one: {<<: *base, image: i, user: b, build: {<<: *build, target: t}}\n"
        "  two: {<<: *base, image: i}\n"
    )
    one, two = read.service("one"), read.service("two")
    assert one.settings == {"init": True, "user": "b"}
    assert two.settings == {"init": True, "user": "a"}
    assert one.command == two.command == ("a", "b")
    assert (one.is_built, two.is_built) == (True, False)


def test_names_of_the_project(compose, tmp_path):
    services = "services: {one: {image: i}}"
    assert compose(f"name: given\n{services}").project == "given"
    assert compose(f"name: ${{NAME:-other}}\n{services}").project == "other"
    folder = "".join(c for c in tmp_path.name.lower() if c.isalnum() or c in "_-")
    assert compose(services).project == folder
    read = compose(f"name: given\n{services}", "COMPOSE_PROJECT_NAME=variable")
    assert read.project == "variable"


@pytest.mark.parametrize(
    ("body", "settings"),
    [
        ("cap_drop: [ALL]", {"cap_drop": ["ALL"]}),
        ("security_opt: ['a:b']", {"security_opt": ["a:b"]}),
        ("init: ${YES:-true}", {"init": True}),
        ("read_only: false", {"read_only": False}),
        ("mem_limit: ${NONE:-2g}", {"mem_limit": "2g"}),
        ("mem_limit: 1000000000", {"mem_limit": "1000000000"}),
        ("pids_limit: ${NONE:-64}", {"pids_limit": 64}),
        ("user: 10001", {"user": "10001"}),
        ("tmpfs: /tmp", {"tmpfs": {"/tmp": ""}}),
        ("tmpfs: ['/tmp', '/a:size=64m']", {"tmpfs": {"/tmp": "", "/a": "size=64m"}}),
        ("restart: unless-stopped", {"restart_policy": {"Name": "unless-stopped"}}),
        (
            "restart: on-failure:3",
            {"restart_policy": {"Name": "on-failure", "MaximumRetryCount": 3}},
        ),
        ("ports: ['80:8080']", {"ports": {"8080/tcp": [("0.0.0.0", 80)]}}),
        ("ports: ['127.0.0.1:80:8080/udp']", {"ports": {"8080/udp": [("127.0.0.1", 80)]}}),
        (
            "ports: ['[::1]:80:8080', '81:8080']",
            {"ports": {"8080/tcp": [("::1", 80), ("0.0.0.0", 81)]}},
        ),
        ("healthcheck: {interval: 1s}", {"healthcheck": {"interval": 1_000_000_000}}),
        ("healthcheck: {test: true x}", {"healthcheck": {"test": ["CMD-SHELL", "true x"]}}),
        (
            "healthcheck: {test: [CMD, a, b], interval: 1m30s, timeout: 500ms, retries: 3}",
            {
                "healthcheck": {
                    "test": ["CMD", "a", "b"],
                    "interval": 90_000_000_000,
                    "timeout": 500_000_000,
                    "retries": 3,
                }
            },
        ),
        ("x-note: anything\nattach: false\nprofiles: [p]\ndepends_on: {two: {}}", {}),
    ],
)
def test_settings_of_a_container(compose, body, settings):
    assert service(compose, body).settings == settings


def test_commands(compose):
    assert service(compose, "command: [a, 1, 'b c']").command == ("a", "1", "b c")
    assert service(compose, "command: a 'b c' ${D:-d}").command == ("a", "b c", "d")
    assert service(compose, "").command == ()


def test_mounts_of_volumes_and_folders(compose, tmp_path):
    body = "volumes: ['models:/models', 'models:/ro:ro,nocopy', './a:/a:ro,z', '/b:/b']"
    mounts = [dataclasses.astuple(mount) for mount in service(compose, body).mounts]
    assert mounts == [
        ("models", True, "/models", False, False, False),
        ("models", True, "/ro", True, True, False),
        (str(tmp_path / "a"), False, "/a", True, False, True),
        ("/b", False, "/b", False, False, False),
    ]


def test_aliases_in_the_default_network(compose):
    assert service(compose, "networks: {default: {aliases: [a, b]}}").aliases == ("a", "b")
    assert service(compose, "networks: {default: }").aliases == ()
    assert service(compose, "networks: [default]").aliases == ()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("privileged: true", "privileged: not known to the SDK's stack; use docker compose"),
        ("init: maybe", "init: 'maybe' is neither true nor false"),
        ("mem_limit: much", "mem_limit: 'much' is no size"),
        ("pids_limit: few", "pids_limit: 'few' is no whole number"),
        ("cap_drop: ALL", "cap_drop: 'ALL' is no list"),
        ("command: [{a: b}]", "command: {'a': 'b'} is no text"),
        ("user: true", "user: True is no text"),
        ("restart: sometimes", "restart: 'sometimes' is none of"),
        ("restart: always:3", "restart: 'always:3' is none of"),
        ("ports: ['8080']", r"ports: '8080' is no \[ADDRESS:\]PUBLISHED:TARGET"),
        ("ports: ['${PORT:-x}:8080']", "ports: 'x:8080' is no"),
        ("ports: ['70000:8080']", "ports: '70000:8080' is no"),
        ("ports: [{target: 80}]", "ports: .* is no text"),
        ("volumes: ['/models']", r"volumes: '/models' is no SOURCE:TARGET\[:MODE\]"),
        ("volumes: ['other:/models']", "volumes: .* the file declares no volume other"),
        ("volumes: ['models:/models:z']", "volumes: .* 'z' is not known"),
        ("volumes: ['/a:/a:nocopy']", "volumes: .* 'nocopy' is not known"),
        ("networks: [front]", "networks: .* only the network default"),
        ("networks: {default: {priority: 1}}", "networks: .* only aliases"),
        ("healthcheck: {test: [CMD, a], interval: soon}", "healthcheck: 'soon' is no time"),
        ("healthcheck: {disable: true}", "healthcheck: .* has more than test"),
        ("healthcheck: {test: 1}", "healthcheck: 1 is no list"),
    ],
)
def test_what_cant_be_translated_is_named(compose, body, words):
    with pytest.raises(UserError, match=rf"compose\.yaml: services\.one\.{words}"):
        service(compose, body)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services: [", "line 1: "),
        ("services:\n  a: !reset []", "line 2: could not determine a constructor for the tag"),
        ("services: {a: *nothing}", "line 1: found undefined alias"),
        ("", "is no Compose file: it has no services"),
        ("- a", "is no Compose file"),
        ("services: [a]", "is no Compose file"),
        ("services: {a: b}", "services.a: 'b' is no service"),
        ("services: {}\ninclude: [other.yaml]", "include: not known"),
        ("services: {}\nvolumes: {a: {external: true}}", "volumes.a: "),
        ("services: {a: {image: '${B'}}", r"services\.a\.image: no closing brace"),
        ("services: {a: {image: '${B:?missing}'}}", "the variable B isn't set: missing"),
    ],
)
def test_what_is_no_compose_file_is_refused(compose, text, words):
    with pytest.raises(UserError, match=words) as caught:
        compose(text)
    assert "compose.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_service_needs_an_image_and_a_name(compose):
    read = compose("services: {one: {command: [a]}}")
    with pytest.raises(UserError, match=r"services\.one\.image: missing"):
        read.service("one")
    with pytest.raises(UserError, match=r"there is no service two \(there are: one\)"):
        read.service("two")


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"there is no such file; .* --compose_file"):
        stack.read(tmp_path / "compose.yaml")


def test_the_projects_own_file(tmp_path):
    """Its defaults stand in the file itself, too: a copy without .env says the same."""
    shutil.copy(ROOT / "compose.yaml", tmp_path)
    for path in (ROOT / "compose.yaml", tmp_path / "compose.yaml"):
        read = stack.read(path, environment={})
        exporter, official, embedded = (
            read.service(name) for name in ("exporter", "model-server", "model-server-embedded")
        )
        assert read.project == "jax-serving-stack"
        assert exporter.is_built
        assert "--model=mnist_flax" in exporter.command
        assert embedded.is_built
        assert not official.is_built
        assert official.image.startswith("tensorflow/serving:")
        assert official.settings == embedded.settings
        assert official.command == embedded.command
        assert official.aliases == embedded.aliases == ("model-server",)
        folder = next(mount for mount in embedded.mounts if not mount.is_volume)
        assert folder.source == str(path.parent / "docker" / "serving")
        for service in (exporter, official):
            assert service.settings["cap_drop"] == ["ALL"]
            assert service.settings["read_only"]
        with pytest.raises(UserError, match="deploy: not known to the SDK's stack"):
            read.service("model-server-gpu")


def test_the_variables_of_the_flags_are_in_the_projects_own_file():
    from exporter.commands.stack import _VARIABLES

    settings = {name: str(n) for n, (name, _) in enumerate(_VARIABLES.values(), start=9000)}
    read = stack.read(ROOT / "compose.yaml", settings, {})
    texts = repr([read.service(name) for name in ("exporter", "model-server")])
    assert all(value in texts for value in settings.values())
