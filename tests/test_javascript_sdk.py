"""Tests ali-oss, the JavaScript SDK, with a token and the sandbox's OSS, in Node and in a real
browser with real CORS. The scripts that use ali-oss are in tests/web."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from javascript import need, run
from pictures import encoded, quarters
from running_oss import BUCKET, Oss, running_oss
from sandbox.oss.cors import ANY_ORIGIN, store_rules
from token_service.grant.grants import Grant
from token_service.grant.policies import Policies

CLOSED_BUCKET = "without-cors"
CNAME = "files.localhost"
OUTSIDE = "someone-else/"
NAME = "hello ü+%2F.txt"
LARGE = bytes(place % 251 for place in range(4 * 100 * 1024 + 5))
POLICY = "bucket_read_write_policy"


@dataclass(frozen=True)
class Run:
    """The results of a script, and the OSS that the script used."""

    outcomes: dict[str, Any]
    prefix: str
    oss: Oss

    def value(self, step: str) -> Any:
        """The value that a step returned."""
        outcome = self.outcomes[step]
        assert "error" not in outcome, outcome["error"]
        return outcome["value"]

    def stored(self, name: str) -> bytes:
        """The bytes of the object with this name."""
        with self.oss.storage.open(BUCKET, self.prefix + name) as found:
            return b"".join(found.chunks(0, found.info.size))


@pytest.fixture(scope="module")
def oss(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oss]:
    with running_oss(tmp_path_factory.mktemp("oss")) as oss:
        prepare(oss)
        yield oss


@pytest.fixture(scope="module")
def old_oss(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oss]:
    with running_oss(tmp_path_factory.mktemp("old"), takes_v1=True) as oss:
        prepare(oss)
        yield oss


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oss]:
    """An OSS whose public endpoint refuses data calls. The bucket has its own domain."""
    folder = tmp_path_factory.mktemp("closed")
    with running_oss(folder, cname=CNAME, is_public_closed=True) as oss:
        oss.storage.set_cors(BUCKET, store_rules([ANY_ORIGIN]))
        yield oss


def prepare(oss: Oss) -> None:
    oss.storage.set_cors(BUCKET, store_rules([ANY_ORIGIN]))
    oss.storage.create_bucket(CLOSED_BUCKET)
    oss.oss2().put_object(f"{OUTSIDE}theirs", b"secret")


def use_token(
    oss: Oss, where: str, version: str, bucket: str = BUCKET, host: str = "localhost"
) -> Run:
    """Run a script with a token for a folder that only this run uses. `host` is the host of OSS, or
    the bucket's own domain (CNAME)."""
    need(f"ali-oss in {where}", browser=where == "browser")
    prefix = f"uploads/{where}-{version}/"
    grant = Grant(bucket, prefix, None, POLICY, 900, "phone")
    session = oss.session(Policies([POLICY]).render(grant))
    job: dict[str, Any] = {
        "token": {
            "AccessKeyId": session.access_key_id,
            "AccessKeySecret": session.access_key_secret,
            "SecurityToken": session.security_token,
        },
        "endpoint": f"http://{host}:{oss.port}",
        "cname": host == CNAME,
        "bucket": bucket,
        "prefix": prefix,
        "outside": OUTSIDE,
        "image": base64.b64encode(encoded(quarters())).decode(),
    }
    if version != "default":
        job["authorizationV4"] = version == "V4"
    return Run(run(f"{where}_upload.mjs", job), prefix, oss)


@pytest.fixture(
    scope="module",
    params=[
        *("node-V1", "node-V4", "node-cname", "browser-V4"),
        pytest.param("browser-V1", marks=pytest.mark.slow),
        pytest.param("browser-cname", marks=pytest.mark.slow),
    ],
)
def used(request: pytest.FixtureRequest) -> Run:
    where, way = request.param.split("-")
    if way == "cname":
        return use_token(request.getfixturevalue("closed"), where, "V4", host=CNAME)
    oss = request.getfixturevalue("old_oss" if way == "V1" else "oss")
    return use_token(oss, where, way)


def test_ali_oss_puts_and_gets(used: Run) -> None:
    assert used.value("put")["status"] == 200
    assert used.value("get") == "Hello from a phone"
    assert used.stored(NAME) == b"Hello from a phone"
    found = used.oss.storage.get(BUCKET, used.prefix + NAME)
    assert found.headers["x-oss-meta-from"] == "phone"


def test_ali_oss_uploads_in_parts_and_tells_how_far_it_is(used: Run) -> None:
    done = used.value("multipart")
    assert (done["status"], done["length"]) == (200, len(LARGE))
    assert done["progress"] == sorted(done["progress"])
    assert len(done["progress"]) > 5
    assert used.stored("parts") == LARGE


def test_ali_oss_goes_on_from_a_checkpoint(used: Run) -> None:
    resumed = used.value("resume")
    assert resumed["stopped"]["name"] == "cancel"
    assert resumed["before"] == 2
    # Two of the five parts had arrived before the upload was stopped. When the upload was resumed,
    # only the other three parts were sent.
    assert resumed["progress"][:3] == [3 / 6, 4 / 6, 5 / 6]
    assert used.stored("resumed") == LARGE


def test_an_upload_that_ali_oss_aborts_is_gone(used: Run) -> None:
    aborted = used.value("abort")
    assert (aborted["parts"], aborted["status"]) == (1, 204)
    assert aborted["after"]["code"] == "NoSuchUpload"


@pytest.mark.parametrize("version", ["list", "listV2"])
def test_ali_oss_lists_the_folder_page_by_page(used: Run, version: str) -> None:
    names = [used.prefix + name for name in (NAME, "parts", "resumed")]
    assert used.value(version) == [names[:2], names[2:]]


def test_ali_oss_gets_a_smaller_image(used: Run) -> None:
    found = used.value("image")
    assert (found["type"], bytes(found["head"])) == ("image/webp", b"WEBP")
    assert found["signed"] == [200, True]
    assert (found["info"]["Format"], found["info"]["ImageWidth"]) == (
        {"value": "png"},
        {"value": "200"},
    )


def test_the_token_opens_nothing_else_to_ali_oss(used: Run) -> None:
    refused = used.outcomes["refused"]
    answers = {name: outcome.get("error", {}).get("code") for name, outcome in refused.items()}
    assert len(answers) == 9
    assert answers == dict.fromkeys(answers, "AccessDenied")


@pytest.mark.parametrize("where", ["node", pytest.param("browser", marks=pytest.mark.slow)])
def test_ali_oss_is_told_the_line_that_makes_it_v4(oss: Oss, where: str) -> None:
    """In its version `default`, the app does not set ali-oss's option for V4. The author of a real
    app may not know this option."""
    refused = use_token(oss, where, "default").outcomes["put"]["error"]
    assert (refused["status"], refused["code"]) == (403, "SignatureV1Refused")
    assert "\nali-oss: authorizationV4: true, region: 'oss-cn-hangzhou' (" in refused["message"]


@pytest.mark.slow
def test_a_page_gets_nowhere_with_a_bucket_that_has_no_cors_rule(oss: Oss) -> None:
    page = use_token(oss, "browser", "V4", CLOSED_BUCKET).outcomes
    assert page["put"]["error"]["status"] == -1
    assert page["list"]["error"]["status"] == -1
    assert any("blocked by CORS policy" in line for line in page["console"])
    stored = oss.storage.keys_from(CLOSED_BUCKET, b"", inclusive=True, prefix=b"", limit=1)
    assert stored == []


@pytest.mark.parametrize("where", ["node", pytest.param("browser", marks=pytest.mark.slow)])
def test_ali_oss_is_told_that_the_public_endpoint_is_closed_and_asks_once(
    closed: Oss, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "sandbox.oss"):
        run = use_token(closed, where, "V4")
    for step in ("put", "get", "multipart", "list", "listV2", "image"):
        error = run.outcomes[step]["error"]
        assert (error["code"], error["status"]) == ("PublicEndpointForbidden", 400), step
    sent = [
        line
        for line in caplog.messages
        if line.startswith("PUT ") and "hello" in line and run.prefix in line
    ]
    assert len(sent) == 1


def test_what_is_missing_is_skipped_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"left out: .*Node.*apt-get install chromium"):
        need("ali-oss", browser=True)


def test_what_is_missing_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"left out: .*CI is set"):
        need("ali-oss", browser=True)
