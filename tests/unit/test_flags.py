"""The command line's spellings, help and exit codes."""

import subprocess
import sys

import pytest

from exporter.__main__ import main
from exporter.commands import COMMANDS
from exporter.commands.flags import FlagParser, listed


@pytest.fixture
def parser():
    parser = FlagParser()
    parser.add_boolean("show_model", default=True, help="")
    parser.add_boolean("overwrite", default=False, help="")
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--dry-run", action="store_true")
    return parser


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--show_model", True),
        ("--show-model", True),
        ("--noshow_model", False),
        ("--noshow-model", False),
        ("--no-show-model", False),
        ("--no_show_model", False),
        ("--show_model=true", True),
        ("--show_model=False", False),
        ("--show-model=0", False),
        ("--noshow_model=true", False),
        ("--noshow_model=false", True),
    ],
)
def test_a_boolean_has_many_spellings(parser, argument, expected):
    assert parser.parse_args([argument]).show_model is expected


def test_the_default_stays_and_the_last_spelling_wins(parser):
    assert parser.parse_args([]).show_model is True
    assert parser.parse_args(["--overwrite", "--nooverwrite"]).overwrite is False


def test_other_flags_take_dashes_underscores_and_negative_numbers(parser):
    assert parser.parse_args(["--batch-size=-1"]).batch_size == -1
    assert parser.parse_args(["--batch_size", "-1"]).batch_size == -1
    assert parser.parse_args(["--dry_run"]).dry_run is True


@pytest.mark.parametrize(
    "argument", ["--show_model=maybe", "--nobatch_size", "--show", "--batch_size=x"]
)
def test_a_bad_flag_is_refused(parser, argument, capsys):
    with pytest.raises(SystemExit) as stop:
        parser.parse_args([argument])
    assert stop.value.code == 2
    assert argument.split("=")[0] in capsys.readouterr().err


def test_a_list_is_separated_by_commas():
    assert listed(int)("1, 16,128") == (1, 16, 128)


def test_an_unknown_command_names_those_there_are(capsys):
    assert main(["train"]) == 2
    error = capsys.readouterr().err
    assert all(name in error for name in COMMANDS)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys; from exporter.__main__ import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(sorted({'jax', 'tensorflow', 'numpy', 'rich', 'matplotlib'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--help"], capture_output=True, text=True
    )
    *text, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    assert text[0].startswith("usage: python -m exporter")
    assert command or all(any(name in line for line in text) for name in COMMANDS)


@pytest.mark.parametrize(
    "flags",
    [
        ["--model=mnist"],
        ["--model_version=0x1"],
        ["--model_version=-1"],
        ["--num_epochs=-1"],
        ["--data_source=web"],
        ["--serving_batch_size=0", "--num_epochs=0"],
        ["--platforms=abacus", "--num_epochs=0"],
        ["--nogenerate_model"],
        ["verify", "nowhere"],
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(flags, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(flags)
        lines = capsys.readouterr().err.splitlines()
        assert lines[-1].startswith("exporter: ")
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert not list(tmp_path.glob("models/*/*"))
