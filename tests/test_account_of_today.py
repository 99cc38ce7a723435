"""Runs the first commands and the code of docs/integrate unchanged, with a new account and with an
old account.

In a new account, OSS refuses signature V1, and its public endpoint refuses uploads and downloads.
An old account allows both. The same commands and code work with both accounts.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import needs
from documented_code import blocks, code_with
from javascript import need, run
from running_sandbox import ROOT, Sandbox, environment, running

ACCOUNTS = {
    "of today": {"PUBLIC_ENDPOINT": "closed"},
    "of before": {"SIGNATURE_V1": "1"},
}
# Browsers and curl resolve names below localhost by themselves. Some C libraries do not resolve
# these names, so Python needs this code.
FINDS_NAMES = """
import socket
find = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **options: find(
    "127.0.0.1" if str(host).endswith(".localhost") else host, *more, **options)
"""


@dataclass(frozen=True)
class Account:
    """Two sandboxes: `anybody` is started by `make run`, and `users` by `make run AUTH=jwt`. A new
    user works in `folder`."""

    anybody: Sandbox
    users: Sandbox
    folder: Path
    is_of_today: bool

    def shell(self, commands: str, sandbox: Sandbox) -> subprocess.CompletedProcess[str]:
        """Run commands of a document in `folder`."""
        # `folder` is also on PYTHONPATH, so that Python runs the sitecustomize.py of this folder.
        known = environment(self.folder)
        commands = commands.replace("7080", str(sandbox.port))
        return subprocess.run(
            ["sh", "-c", commands.replace(".venv/bin/python", sys.executable)],  # noqa: S607
            cwd=self.folder,
            env={**known, "PYTHONPATH": f"{self.folder}:{known['PYTHONPATH']}"},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )


@pytest.fixture(
    scope="module", params=["of today", pytest.param("of before", marks=pytest.mark.slow)]
)
def account(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "sitecustomize.py").write_text(FINDS_NAMES)
    variables = ACCOUNTS[request.param]
    with (
        running(tmp_path_factory.mktemp("run") / "state", **variables) as anybody,
        running(tmp_path_factory.mktemp("users") / "state", AUTH="jwt", **variables) as users,
    ):
        yield Account(anybody, users, folder, "PUBLIC_ENDPOINT" in variables)


AN_SDK = ("start.md", "cat > upload.py")


def commands(page: str, text: str) -> str:
    """Return the only block of commands on this page that contains `text`."""
    needs.program("curl")
    return code_with("sh", page, text)


def test_the_first_upload_is_stored(account: Account) -> None:
    done = account.shell(commands(*AN_SDK), account.anybody)
    assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr


@pytest.mark.parametrize("page", ["../README.md", "start.md"])
def test_a_signed_url_takes_the_upload(account: Account, page: str) -> None:
    done = account.shell(commands(page, "echo 'Hello from a phone'"), account.anybody)
    assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr


def test_alice_uploads_into_her_folder_and_not_into_bobs(account: Account) -> None:
    script = commands(*AN_SDK).partition("cat >")
    account.shell(script[1] + script[2], account.anybody)
    done = account.shell(commands("users.md", "uploads/bob/"), account.users)
    assert (done.returncode, done.stdout) == (1, "200\n"), done.stderr
    assert "oss2.exceptions.AccessDenied: {'status': 403" in done.stderr.splitlines()[-1]


def spoiled(old: str, new: str, account: Account) -> str:
    """Run the documented commands for the first upload with an SDK, but with the line `new` in
    place of the line `old`. Return their output."""
    before = commands(*AN_SDK)
    assert old in before
    done = account.shell(before.replace(old, new), account.anybody)
    return done.stdout + done.stderr


def test_the_line_of_before_with_v1_works_for_old_buckets_only(account: Account) -> None:
    said = spoiled(', auth_version="v4"', "", account)
    assert ("SignatureV1Refused" in said, "200\n" in said) == (
        account.is_of_today,
        not account.is_of_today,
    )


def test_the_public_endpoint_takes_data_of_old_accounts_only(account: Account) -> None:
    public = f'"http://127.0.0.1:{account.anybody.port + 1}"'
    said = spoiled('scope["Endpoint"]', public, account)
    assert ("PublicEndpointForbidden" in said, "200\n" in said) == (
        account.is_of_today,
        not account.is_of_today,
    )


SNIPPETS = {
    "ali-oss in Node": (
        "node",
        "integrate/browser.md",
        "refreshSTSToken",
        ("a.jpg", "b.jpg", "c.jpg", "d.jpg"),
    ),
    "ali-oss in a page": (
        "browser",
        "integrate/browser.md",
        "refreshSTSToken",
        ("a.jpg", "b.jpg", "c.jpg", "d.jpg"),
    ),
    "a signed URL": ("browser", "signed-urls.md", "/signed-url?$", ("a.jpg",)),
    "a form": ("browser", "signed-urls.md", "new FormData()", ("a.jpg",)),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if SNIPPETS[name][0] == "node" else pytest.mark.slow)
        for name in SNIPPETS
    ],
)
def test_the_javascript_of_the_docs_uploads(account: Account, name: str) -> None:
    where, page, text, files = SNIPPETS[name]
    need(f"the JavaScript of the docs in {where}", browser=where == "browser")
    user = name.replace(" ", "-")
    login = account.users.answer(path=f"/sandbox/login?user={user}")["access_token"]
    service = f"http://127.0.0.1:{account.users.port}"
    job: dict[str, Any] = {
        "code": code_with("js", page, text),
        "names": {"tokenUrl": f"{service}/", "service": service, "login": login},
        "files": [{"name": file, "type": "image/jpeg", "text": "a picture"} for file in files],
    }
    (done,) = run("documented.mjs", {"where": where, "jobs": [job]})["outcomes"]
    assert done["code"] == {}, done
    listed = account.users.answer(path=f"/uploads?access_token={login}")["Uploads"]
    assert {found["Key"] for found in listed} == {f"uploads/{user}/{file}" for file in files}


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("kotlin", r"signVersion = SignVersion\.V4(.|\n)*setRegion\(.*Region.*\)"),
        ("swift", r"signVersion = \.v4(.|\n)*\.region = (.*Region|region)"),
        ("objc", r"signVersion = OSSSignVersionV4;(.|\n)*\.region = .*Region"),
    ],
)
def test_what_no_test_can_run_signs_with_v4_and_goes_where_the_scope_leads(
    language: str, line: str
) -> None:
    """For Kotlin, Swift and Objective-C, only the names in the code are checked.
    test_mobile_snippets.py compares these names with the SDKs."""
    pages = sorted((ROOT / "docs" / "integrate").glob("*.md"))
    uploads = [code for page in pages for code in blocks(language, page) if "OSSClient" in code]
    assert uploads
    for code in uploads:
        assert re.search(line, code)
        assert '"Endpoint"' in code
