"""The files for GitHub and pre-commit run the project's own commands.

No test here needs GitHub. The tests compare commands, versions and rights of these files with
.ci/run, the Makefile and CONTRIBUTING.md. No test checks the files against GitHub's schemas. After
a change, compare the files with these schemas by hand, with `pipx run check-jsonschema
--builtin-schema vendor.github-workflows .github/workflows/test.yml` (vendor.github-issue-forms and
vendor.dependabot for the other files).
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import needs
from ops import ROOT

GITHUB = ROOT / ".github"
FORMS = sorted(path for path in GITHUB.glob("ISSUE_TEMPLATE/*.yml") if path.name != "config.yml")
ACTIONS = {"actions/checkout", "actions/setup-node", "actions/setup-python"}
SHOW = {"format": "ruff format --check .", "lint": "ruff check .", "types": "mypy"}
"""For each hook of pre-commit: the command of `make check` that it runs."""


def loaded(path: Path) -> Any:
    """The content of a YAML file. In this content, the key `on` is True, because PyYAML reads the
    word `on` as a boolean."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of a job."""
    found: list[dict[str, Any]] = job["steps"]
    return found


def runs(job: dict[str, Any]) -> list[str]:
    """The commands of a job."""
    return [step["run"] for step in steps(job) if "run" in step]


def setup_of(job: dict[str, Any], what: str) -> dict[str, Any]:
    """The inputs that a job gives to actions/setup-<what>."""
    (found,) = [step for step in steps(job) if f"/setup-{what}@" in step.get("uses", "")]
    with_: dict[str, Any] = found["with"]
    return with_


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    """The workflow of the public host."""
    found: dict[Any, Any] = loaded(GITHUB / "workflows" / "test.yml")
    return found


@pytest.fixture(scope="module")
def hooks() -> dict[str, dict[str, Any]]:
    """The hooks of pre-commit, by id."""
    (repository,) = loaded(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    return {hook["id"]: hook for hook in repository["hooks"]}


def test_the_workflow_runs_the_commands_of_ci_run(workflow: dict[Any, Any]) -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    expected = re.findall(r"^make .+$", script, re.MULTILINE)
    assert sorted(line for job in workflow["jobs"].values() for line in runs(job)) == sorted(
        expected
    )


def test_make_test_runs_on_each_python_that_contributing_names(workflow: dict[Any, Any]) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.search(r"Python 3\.(\d+) to 3\.(\d+)", text)
    assert named
    expected = [f"3.{minor}" for minor in range(int(named[1]), int(named[2]) + 1)]
    job = workflow["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == expected
    # The deployed Python is first, because the tests build a package with it. The last one is
    # `python3`.
    pythons = setup_of(job, "python")["python-version"].split("\n")
    assert pythons[0] == expected[0]
    assert [line for line in pythons if line][-1] == "${{ matrix.python }}"


def test_the_oldest_python_of_the_workflow_is_that_of_the_project(workflow: dict[Any, Any]) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (oldest,) = re.findall(r'^requires-python = ">=(.+)"$', text, re.MULTILINE)
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"][0] == oldest
    for name in ("check", "test-web"):
        assert setup_of(workflow["jobs"][name], "python")["python-version"] == oldest


def test_the_workflow_may_only_read_and_knows_no_secret(workflow: dict[Any, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    text = (GITHUB / "workflows" / "test.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        checkout = steps(job)[0]
        assert checkout["uses"].startswith("actions/checkout@")
        assert checkout["with"] == {"persist-credentials": False}
    # With the event pull_request, a stranger's code runs without our rights. With the event
    # pull_request_target, it would run with our rights.
    assert workflow[True] == {"push": {"branches": ["main"]}, "pull_request": None}


def test_each_job_ends_by_itself_and_an_older_run_is_cancelled(workflow: dict[Any, Any]) -> None:
    for job in workflow["jobs"].values():
        assert 5 <= job["timeout-minutes"] <= 60
    assert "github.ref" in workflow["concurrency"]["group"]


def test_actions_are_pinned_by_commit_with_their_version_beside(workflow: dict[Any, Any]) -> None:
    """Actions are pinned by commit, because a tag can be moved to other code, but a commit
    cannot."""
    text = (GITHUB / "workflows" / "test.yml").read_text(encoding="utf-8")
    pinned = re.findall(r"uses: ([\w/-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+$", text, re.MULTILINE)
    used = [step for job in workflow["jobs"].values() for step in steps(job) if "uses" in step]
    assert len(pinned) == len(used)
    # All uses of one action have the same commit.
    assert len({name for name, _ in pinned}) == len(set(pinned))
    assert {name for name, _ in pinned} == ACTIONS


def test_the_jobs_that_run_tests_have_the_node_that_the_tests_ask_for(
    workflow: dict[Any, Any],
) -> None:
    readme = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    least = re.search(r"Node\.js (\d+)", readme)
    assert least
    for name in ("test", "test-web"):
        assert setup_of(workflow["jobs"][name], "node")["node-version"] == int(least[1])


def test_the_hooks_are_the_lines_of_make_check(hooks: dict[str, dict[str, Any]]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe
    lines = [line.removeprefix("@$(BIN)/") for line in recipe[1].split("\t") if line]
    assert [line.strip() for line in lines] == list(SHOW.values())
    for name, line in SHOW.items():
        assert hooks[name]["entry"] == f".venv/bin/{line.removesuffix(' .')}"
        assert hooks[name]["language"] == "system"


def test_every_hook_runs_a_tool_that_the_lock_installs(hooks: dict[str, dict[str, Any]]) -> None:
    """No hook installs a package, so a commit needs no network."""
    lock = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    for hook in hooks.values():
        assert "additional_dependencies" not in hook
        if hook["language"] == "system":
            tool = Path(hook["entry"].split()[0]).name
            assert re.search(rf"^{tool}==", lock, re.MULTILINE), tool
        else:
            assert hook["language"] == "pygrep"


@pytest.mark.parametrize("name", ["format", "lint"])
def test_a_hook_takes_sound_code_and_refuses_broken_code(
    name: str, hooks: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("import os\nx = {  'a':1 }\n", encoding="utf-8")
    command = hooks[name]["entry"].split()
    program = ROOT / command[0]
    if not program.exists():
        needs.left_out("the hooks", "there is no .venv")
    for path, status in ((ROOT / "ops" / "__init__.py", 0), (bad, 1)):
        done = subprocess.run(
            [program, *command[1:], path], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == status, done.stdout


@pytest.mark.parametrize(
    ("message", "is_refused"),
    [
        ("x" * 72, False),
        ("x" * 73, True),
        ("A short subject\n\n" + "A long line of the body. " * 9, False),
        ("x" * 72 + "\n" + "x" * 99, False),
    ],
    ids=["72", "73", "a long body", "a long second line"],
)
def test_the_hook_of_subjects_looks_at_the_first_line_only(
    message: str, is_refused: bool, hooks: dict[str, dict[str, Any]]
) -> None:
    hook = hooks["subject"]
    assert hook["args"] == ["--multiline"]
    assert hook["stages"] == ["commit-msg"]
    # With --multiline, pre-commit's pygrep searches in the same way as re.search here.
    found = re.search(hook["entry"].encode(), message.encode(), re.MULTILINE | re.DOTALL)
    assert bool(found) is is_refused


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_a_form_has_a_name_and_fields_that_can_be_told_apart(form: Path) -> None:
    said = loaded(form)
    assert said["name"]
    assert said["description"]
    fields = [field for field in said["body"] if field["type"] != "markdown"]
    names = [field["id"] for field in fields]
    assert len(set(names)) == len(names)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_the_bug_form_asks_for_what_finds_a_fault_and_for_no_secret() -> None:
    said = loaded(GITHUB / "ISSUE_TEMPLATE" / "bug.yml")
    fields = {field["id"]: field for field in said["body"] if "id" in field}
    assert {"version", "route", "error-code", "request-id"} <= fields.keys()
    (head,) = [field for field in said["body"] if field["type"] == "markdown"]
    assert "Never paste a secret" in head["attributes"]["value"]
    assert "SECURITY.md" in head["attributes"]["value"]
    (promise,) = fields["no-secret"]["attributes"]["options"]
    assert promise["required"] is True


def test_a_blank_issue_stays_possible_for_who_cannot_report_in_private() -> None:
    """Blank issues must be enabled, because SECURITY.md asks for an issue without details if there
    is no button for private reports."""
    assert loaded(GITHUB / "ISSUE_TEMPLATE" / "config.yml") == {"blank_issues_enabled": True}


def test_documents_that_the_templates_name_are_there() -> None:
    found = set()
    for path in (*GITHUB.rglob("*.yml"), *GITHUB.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r"\b(?:docs/)?\w+\.md\b|\btests/\w+\.py\b|\.ci/run", text))
    assert {"SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/upgrade.md"} <= found
    assert [name for name in sorted(found) if not (ROOT / name).exists()] == []
