"""Tests that the commands in docs/deploy.md and similar pages do what the pages promise to readers
who copy them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import documented_code
from documented_code import DOCS, blocks
from ops import ROOT
from running_cloud import running_cloud
from token_service.settings.variables import VARIABLES

PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
SECRETS = {variable.name for variable in VARIABLES if variable.name.endswith("_SECRET")} - {
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
}


def commands(page: Path) -> list[str]:
    """The lines in a page's blocks of code, and the texts in backticks. Comments are left out."""
    text = page.read_text(encoding="utf-8")
    found = [
        line
        for language in ("sh", "yaml")
        for b in blocks(language, page)
        for line in b.splitlines()
    ]
    found += re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```$", "", text, flags=re.M | re.S))
    return [re.sub(r"\s+#.*", "", one.strip()) for one in found]


S_WRITES = re.compile(r"(?:^|\s)s (?:deploy|remove)\b")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_s_writes_it_writes_without_asking(page: Path) -> None:
    """Finding B1: without a terminal, `s` gets no answer to its question. It then writes nothing,
    and its exit status is 0.

    In these pages, `s deploy` without options is the name of a way to deploy, and not a command."""
    for command in commands(page):
        if S_WRITES.search(command) and command not in {"s deploy", "s remove"}:
            assert re.search(r"\bs (deploy|remove) -y\b", command), command


def test_what_s_prints_goes_nowhere() -> None:
    """Finding B2: `s` prints every variable of the function. After a rotation, `s` also prints
    the old secret."""
    page = DOCS / "deploy.md"
    lines = [
        line
        for language in ("sh", "yaml")
        for b in blocks(language, page)
        for line in b.splitlines()
    ]
    printing = [line for line in lines if S_WRITES.search(line) or re.search(r"\bs info\b", line)]
    assert len(printing) >= 3
    for line in printing:
        assert ">/dev/null" in line or "| grep system_url" in line, line


def test_a_command_on_the_own_domain_names_the_domain() -> None:
    """Without DOMAIN_NAME, `s` ends at once, and nobody sees why, because its output goes to
    /dev/null."""
    found = [c for c in commands(DOCS / "deploy.md") if "-t s.domain.yaml" in c]
    assert len(found) >= 3
    assert [command for command in found if "DOMAIN_NAME=" not in command] == []


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_what_s_prints_is_said_of_each_secret_and_where_it_is_set(name: str) -> None:
    said = (DOCS / "deploy.md").read_text("utf-8").partition("## What `s` prints and keeps")[2]
    assert f"`{name}`" in said.partition("\n## ")[0]
    assert "deploy.md#what-s-prints-and-keeps" in (DOCS / "configuration.md").read_text("utf-8")


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_each_secret_can_be_changed(name: str) -> None:
    table = (DOCS / "deploy.md").read_text("utf-8").partition("## Change a key")[2]
    assert f"| `{name}` |" in table.partition("\n## ")[0]


def test_each_target_of_make_that_is_named_is_one() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    named = {
        target
        for page in PAGES
        for command in commands(page)
        for target in re.findall(r"(?:^|[\s(])make (?:-s )?([a-z][a-z-]*)(?=\s|$|\))", command)
    }
    assert named >= {"login", "roles", "release", "doctor", "smoke", "template", "build"}
    assert named <= targets


def test_each_way_is_upgraded_once() -> None:
    """Each way to deploy must have one row. A merge in git once left two rows with different texts
    for one way."""
    for page, head in (
        ("upgrade.md", "   | deployed by | do |\n   |---|---|\n"),
        ("deploy.md", "| deployed by | do | what stays |\n|---|---|---|\n"),
    ):
        table = (DOCS / page).read_text(encoding="utf-8").partition(head)[2].partition("\n\n")[0]
        ways = [row.split("|")[1].strip() for row in table.splitlines()]
        assert len(ways) == len(set(ways)) == 3


def pipeline() -> dict[str, Any]:
    (block,) = blocks("yaml", DOCS / "deploy.md")
    job: dict[str, Any] = yaml.safe_load(block)["deploy"]
    return job


def test_the_pipeline_holds_no_secret_and_prints_none() -> None:
    job = pipeline()
    places = [job["env"], *(step.get("env", {}) for step in job["steps"])]
    for name, value in ((name, value) for env in places for name, value in env.items()):
        if re.search("secret|key|token", name.replace("_URL", "").lower()):
            assert re.fullmatch(r"\$\{\{ secrets\.[A-Z_]+ \}\}", value), name
    for command in (step["run"] for step in job["steps"] if "run" in step):
        # The CI host would insert the value of an expression into the script, and the shell would
        # run this value as code.
        assert "${{" not in command
        assert "set -x" not in command


def test_the_pipeline_deploys_checks_and_removes_what_s_kept() -> None:
    steps = [step["run"] for step in pipeline()["steps"] if "run" in step]
    no_log, look, build, deploy, smoke, remove = steps[-6:]
    assert (no_log, look, build) == ("s set log disable", "make doctor", "make build")
    assert deploy == "s deploy -y >/dev/null"
    assert smoke.startswith("make smoke URL=https://")
    assert remove == "s clean --logs"
    assert pipeline()["steps"][-1]["if"] == "always()"


def test_the_pipeline_sets_variables_that_there_are() -> None:
    assert pipeline()["env"].keys() <= {variable.name for variable in VARIABLES}


def bash(script: str, home: Path, secret: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a block of the page in the checkout, which is already set up. The script reads the secret
    from stdin, as if it were typed."""
    return subprocess.run(
        ["/bin/bash", "-ec", script.replace("make ", "make -o .venv/.ready -o .venv/.ready-run ")],
        cwd=ROOT,
        input=f"{secret}\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **env},
    )


@pytest.mark.slow
def test_the_first_login_gets_a_token(tmp_path: Path) -> None:
    """Finding B7: in an earlier version, no page showed how to make a login. docs/deploy.md has the
    commands for this, and the test runs these commands with a sandbox."""
    secret = "j" * 40
    script = documented_code.code_with("sh", "deploy.md", "make -s login")
    with running_cloud(tmp_path, AUTH="jwt", JWT_SECRET=secret) as cloud:
        done = bash(script, tmp_path, secret, URL=cloud.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"StatusCode":200' in done.stdout
    assert "uploads/alice/" in done.stdout
    assert secret not in done.stdout + done.stderr


def test_a_login_that_was_made_without_a_checkout_is_one(tmp_path: Path) -> None:
    secret = "j" * 40
    script = documented_code.code_with("sh", "deploy.md", "hmac.new")
    made = bash(script, tmp_path, secret).stdout.strip()
    assert secret not in made
    with running_cloud(tmp_path, AUTH="jwt", JWT_SECRET=secret) as cloud:
        assert cloud.answer(access_token=made)["Scope"]["Prefix"] == "uploads/alice/"
        assert cloud.answer(access_token=made[:-2] + "xx")["ErrorCode"] == "InvalidToken"


@pytest.mark.slow
def test_the_roles_are_printed_as_json(tmp_path: Path) -> None:
    """Finding B6: no command printed the JSON of the roles, which a manual deployment needs."""
    script = documented_code.code_with("sh", "deploy.md", "make roles")
    done = bash(script, tmp_path, "", BUCKET_NAME="my-bucket", AccountID="1234567890123456")
    assert done.returncode == 0, done.stderr
    read, end = json.JSONDecoder().raw_decode(done.stdout)
    assert read["upload-policy"] == json.loads(done.stdout[end:])
    assert {"function-trust", "function-policy", "upload-trust", "upload-policy"} == read.keys()
