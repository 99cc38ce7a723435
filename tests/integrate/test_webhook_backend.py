"""Runs the back ends of docs/integrate/webhook-backend.md unchanged. A real SDK uploads, the
sandbox's OSS calls the real function, and the function calls the back ends."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from integration import PACKAGES, post, run_in, serving, write_files
from javascript import need
from running_cloud import RunningCloud, Token, running_cloud

PAGE = "webhook-backend.md"
OLD, NEW = "o" * 32, "n" * 32
COMMANDS = {
    "heard.py": [sys.executable, "-m", "flask", "--app", "heard", "run", "--port", "{port}"],
    "webhook.py": [sys.executable, "-m", "flask", "--app", "webhook", "run", "--port", "{port}"],
    "webhook.mjs": ["node", "webhook.mjs"],
}
# The shortest back end stores nothing, so it is not in this list.
COMPLETE = ["webhook.py", "webhook.mjs"]
STORED = {"Status": "stored", "Object": "uploads/alice/photo.jpg"}


@dataclass(frozen=True)
class BackEnd:
    """A running back end, and the function that calls it."""

    name: str
    folder: Path
    url: str
    cloud: RunningCloud

    def heard(self) -> list[dict[str, Any]]:
        """Return the uploads that the back end stored."""
        if self.name == "webhook.py":
            with closing(sqlite3.connect(self.folder / "uploads.db")) as database:
                rows = database.execute("SELECT upload FROM uploads")
                return [json.loads(upload) for (upload,) in rows]
        files = sorted((self.folder / "uploads").glob("*.json"))
        return [json.loads(file.read_text()) for file in files]

    def call(self, body: bytes, secret: str = NEW, **headers: str) -> tuple[int, Any]:
        """Call the back end as the function does. To make a wrong call, a test passes other headers
        or another secret."""
        moment = headers.pop("X_Upload_Time", str(int(time.time())))
        made = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256)
        signed = {
            "X_Upload_Time": moment,
            "X_Upload_Signature": f"sha256={made.hexdigest()}",
            "Idempotency_Key": json.loads(body)["Id"],
        }
        status, answer, _ = post(f"{self.url}/uploaded", body, **{**signed, **headers})
        return status, answer


@pytest.fixture(scope="module", params=COMMANDS)
def back_end(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BackEnd]:
    name, folder = request.param, tmp_path_factory.mktemp("back-end")
    prepare(name, folder)
    secrets = NEW if name == "heard.py" else f"{OLD},{NEW}"
    with (
        serving(folder, COMMANDS[name], UPLOAD_HOOK_SECRET=secrets) as url,
        running_cloud(tmp_path_factory.mktemp("cloud"), AUTH="jwt") as cloud,
    ):
        # These variables are set here, because the function's URL was not known before the function
        # started.
        cloud.env.update(
            CALLBACK_URL=f"{cloud.url}/callback",
            CALLBACK_SECRET="s" * 32,
            UPLOAD_HOOK_URL=f"{url}/uploaded",
            UPLOAD_HOOK_SECRET=NEW,
        )
        yield BackEnd(name, folder, url, cloud)


def prepare(name: str, folder: Path) -> None:
    """Write the page's program of this name into the folder."""
    if name.endswith(".mjs"):
        need(f"docs/integrate/{PAGE} with Express", browser=False, folder=PACKAGES)
        (folder / "node_modules").symlink_to(PACKAGES / "node_modules")
    assert name in write_files(folder, "python", PAGE) + write_files(folder, "js", PAGE)


def upload(back_end: BackEnd, content: bytes = b"a picture") -> tuple[int, dict[str, Any]]:
    """Upload with oss2 and the callback of the token."""
    answer = back_end.cloud.answer(access_token=back_end.cloud.login("alice"))
    scope = answer["Scope"]
    headers = {"x-oss-callback": scope["Callback"], "x-oss-callback-var": scope["CallbackVar"]}
    bucket = Token.of(answer).oss2("v4")
    done = bucket.put_object(f"{scope['Prefix']}photo.jpg", content, headers)
    return done.status, json.loads(done.resp.read())


def test_an_upload_is_heard_of_and_the_app_gets_the_answer(back_end: BackEnd) -> None:
    status, answer = upload(back_end)
    assert (status, answer["Status"]) == (200, "stored")
    if back_end.name == "heard.py":
        assert "'Caller': 'alice'" in (back_end.folder / "output").read_text()
        return
    assert answer == STORED
    (heard,) = back_end.heard()
    assert (heard["Caller"], heard["Size"]) == ("alice", len(b"a picture"))


def test_another_secret_is_refused(back_end: BackEnd) -> None:
    body = json.dumps({"Id": "f" * 64, "Object": "a"}).encode()
    assert back_end.call(body, secret="x" * 32) == (403, {"Status": "refused"})


@pytest.mark.parametrize("back_end", COMPLETE, indirect=True)
def test_an_upload_counts_once_and_an_old_secret_is_good_while_it_is_rotated(
    back_end: BackEnd,
) -> None:
    before = len(back_end.heard())
    body = json.dumps({"Id": "a" * 64, "Object": "uploads/alice/photo.jpg"}).encode()
    assert back_end.call(body) == back_end.call(body, secret=OLD) == (200, STORED)
    assert len(back_end.heard()) == before + 1
    assert not list(back_end.folder.glob("uploads/*.draft"))


@pytest.mark.parametrize("back_end", COMPLETE, indirect=True)
@pytest.mark.parametrize(
    "fault",
    [
        {"X_Upload_Time": str(int(time.time()) - 3600)},
        {"X_Upload_Time": "now"},
        {"X_Upload_Signature": "sha256=é"},
        {"X_Upload_Signature": ""},
        {"Idempotency_Key": "b" * 64},
    ],
    ids=["old", "no time", "no hex", "no signature", "another key"],
)
def test_what_is_not_whole_is_refused(back_end: BackEnd, fault: dict[str, str]) -> None:
    before = back_end.heard()
    body = json.dumps({"Id": "c" * 64, "Object": "a"}).encode()
    assert back_end.call(body, **fault) == (403, {"Status": "refused"})
    assert back_end.heard() == before


@pytest.mark.parametrize("back_end", COMPLETE, indirect=True)
def test_a_change_of_the_body_is_refused(back_end: BackEnd) -> None:
    body = json.dumps({"Id": "d" * 64, "Object": "mine"}).encode()
    made = hmac.new(NEW.encode(), b"1." + body, hashlib.sha256).hexdigest()
    headers = {"X_Upload_Signature": f"sha256={made}"}
    assert back_end.call(body.replace(b"mine", b"else"), **headers)[0] == 403


def test_a_body_of_more_than_64_kb_is_refused(back_end: BackEnd) -> None:
    request = Request(f"{back_end.url}/uploaded", b"a" * 65537, {"X-Upload-Time": "1"})  # noqa: S310 (its own server)
    with pytest.raises(HTTPError) as refused:
        urlopen(request, timeout=10)  # noqa: S310
    with refused.value as error:
        assert error.code == 413


BAD_SECRETS = [
    (name, secrets)
    for name in COMMANDS
    for secrets in ("", f"{NEW},", "short")
    # heard.py accepts only one secret, so a comma is part of the secret.
    if (name, secrets) != ("heard.py", f"{NEW},")
]


@pytest.mark.parametrize(("name", "secrets"), BAD_SECRETS)
def test_a_secret_that_anyone_can_guess_stops_the_start(
    name: str, secrets: str, tmp_path: Path
) -> None:
    """An HMAC accepts an empty key. With an empty key anyone could sign an upload."""
    prepare(name, tmp_path)
    if name.endswith(".mjs"):
        command = ["node", name]
    else:
        command = [sys.executable, "-c", f"import {Path(name).stem}"]
    done = run_in(tmp_path, command, UPLOAD_HOOK_SECRET=secrets, PORT="0")
    assert done.returncode == 1
    assert "must have at least 32 characters" in done.stderr


def test_an_upload_that_met_a_full_disk_is_stored_when_it_is_sent_again(tmp_path: Path) -> None:
    """The first call finds a full disk and leaves an incomplete file. If the back end
    treated this file as a stored upload, it would store nothing when the call is repeated, and the
    upload would be lost."""
    prepare("webhook.mjs", tmp_path)
    body = json.dumps({"Id": "a" * 64, "Object": "uploads/alice/a.jpg"}).encode()
    full = "trap '' XFSZ; ulimit -f 0; exec node webhook.mjs >/dev/null 2>&1"
    cloud: Any = None
    # When the disk is full, Express answers with an HTML page, which is not JSON.
    with (
        serving(tmp_path, ["sh", "-c", full], UPLOAD_HOOK_SECRET=NEW) as url,
        pytest.raises(ValueError, match="Expecting value"),
    ):
        BackEnd("webhook.mjs", tmp_path, url, cloud).call(body)
    with serving(tmp_path, COMMANDS["webhook.mjs"], UPLOAD_HOOK_SECRET=NEW) as url:
        back_end = BackEnd("webhook.mjs", tmp_path, url, cloud)
        assert back_end.call(body)[0] == 200
        assert back_end.heard() == [json.loads(body)]
