"""Tests web/client/, the JavaScript client, in Node with the function and the sandbox's OSS. A
script simulates faults that the function and the sandbox cannot cause, for example the platform's
own 429 or a lost connection."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from documented_code import code_with
from javascript import PAGE, need, run
from running_cloud import RunningCloud, running_cloud

POLICY = "bucket_read_write_policy"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    folder = tmp_path_factory.mktemp("cloud")
    with running_cloud(folder, AUTH="jwt", POLICY_FILE=POLICY) as running:
        yield running


@pytest.fixture(scope="module")
def login(cloud: RunningCloud) -> str:
    return cloud.login("alice")


@pytest.fixture(scope="module")
def came_to(cloud: RunningCloud, login: str) -> dict[str, Any]:
    need("the JavaScript client", browser=False)
    return run("client.mjs", {"url": cloud.url, "login": login, "other": cloud.login("alice")})


def stored(cloud: RunningCloud, name: str) -> int:
    found = cloud.cloud.storage.find(cloud.cloud.bucket, f"uploads/alice/{name}")
    assert found is not None, name
    return found.size


def test_many_callers_share_one_request_for_a_token(came_to: dict[str, Any]) -> None:
    assert came_to["many callers"] == {"requests": 1, "same": 1}


def test_a_token_is_asked_for_anew_when_300_seconds_are_left(came_to: dict[str, Any]) -> None:
    """The client computes how long a token is still valid by the server's clock, because a phone's
    clock may be wrong by years."""
    assert came_to["renewal"] == [1, 2, 3]


def test_a_failure_is_not_kept_for_the_next_caller(came_to: dict[str, Any]) -> None:
    assert came_to["a failure is not kept"] == {"codes": ["InvalidToken"] * 2, "requests": 2}


def test_each_wish_has_a_token_of_its_own_and_unknown_ones_pass_through(
    came_to: dict[str, Any],
) -> None:
    always = "duration=900&unknown=%C3%BC%20%26%3D"
    assert came_to["wishes"]["urls"] == [f"/?{always}", f"/?{always}&object=x.txt"]


def test_a_login_that_ended_is_asked_for_again_once(came_to: dict[str, Any]) -> None:
    assert came_to["a login that ended"] == {"asked": [False, True], "prefix": "uploads/alice/"}
    wrong = came_to["a login that stays wrong"]
    assert (wrong["asked"], wrong["code"], wrong["status"]) == ([False, True], "InvalidToken", 401)


def test_a_fault_that_may_pass_is_tried_again_and_waited_for(came_to: dict[str, Any]) -> None:
    """The faults are the platform's own 429, a lost connection and a 502. The random part of the
    waits is 0.5, 1 and 2 s here. The Retry-After of the 502 adds 3 s to the last wait."""
    found = came_to["faults that pass"]
    assert found == {"prefix": "uploads/alice/", "waits": [500, 1000, 5000]}


@pytest.mark.parametrize(
    ("fault", "code", "status", "requests"),
    [
        ("platform", "Throttling", 429, 4),
        ("busy", "Throttling.Caller", 429, 4),
        ("broken", "Misconfiguration", 500, 1),
        ("proxy", "InvalidAnswer", 200, 1),
        ("cut", "InvalidAnswer", 200, 1),
        ("no text", "InvalidAnswer", 200, 1),
    ],
)
def test_a_fault_that_stays_is_told_after_few_requests(
    came_to: dict[str, Any], fault: str, code: str, status: int, requests: int
) -> None:
    found = came_to["faults that stay"][fault]
    assert (found["code"], found["status"], found["requests"]) == (code, status, requests)
    assert found["retryable"] is (requests > 1)


def test_a_refusal_is_not_tried_again(came_to: dict[str, Any]) -> None:
    found = came_to["refusals"]
    assert (found["name"], found["code"]) == ("UploadError", "InvalidParameter.Object")
    assert (found["status"], found["requests"]) == (400, 1)
    assert "object" in found["message"]


def test_a_form_uploads_whatever_the_files_name_is(
    came_to: dict[str, Any], cloud: RunningCloud
) -> None:
    name = "ü \"<b>'+%2F.txt"
    assert came_to["form"] == {"key": f"uploads/alice/{name}", "status": 200, "text": ""}
    assert stored(cloud, name) == 3
    assert came_to["form, too large"]["code"] == "EntityTooLarge"


def test_a_mini_programs_upload_file_sends_the_form(
    came_to: dict[str, Any], cloud: RunningCloud
) -> None:
    found = came_to["mini program"]
    assert found["given"] == [{"filePath": "wxfile://tmp.jpg", "name": "file"}]
    assert (found["done"]["status"], stored(cloud, "mini.jpg")) == (200, 5)
    assert (found["lost"]["code"], found["lost"]["retryable"]) == ("Network", True)


def test_an_upload_goes_on_without_the_parts_that_were_sent(
    came_to: dict[str, Any], cloud: RunningCloud
) -> None:
    found = came_to["parts"]
    assert found["broken"]["code"] == "AccessDenied"
    assert (found["first"], found["second"]) == ([1, 2, 3], [2])
    assert found["progress"] == [pytest.approx(2 / 3), 1]
    assert (found["done"]["key"], found["left"]) == ("uploads/alice/parts.bin", 0)
    assert stored(cloud, "parts.bin") == 2 * 5 * 1024 * 1024 + 9


def test_what_is_kept_of_an_upload_holds_no_url_and_no_login(came_to: dict[str, Any]) -> None:
    found = came_to["parts"]
    assert (found["keepsUrl"], found["keepsLogin"]) == (False, False)


def test_an_upload_that_is_given_up_leaves_no_parts(
    came_to: dict[str, Any], cloud: RunningCloud
) -> None:
    found = came_to["parts given up"]
    assert found == {"stopped": "Aborted", "method": "DELETE", "isLast": True}
    assert cloud.cloud.storage.find(cloud.cloud.bucket, "uploads/alice/given-up.bin") is None


def test_a_file_without_an_id_is_not_remembered(came_to: dict[str, Any]) -> None:
    """If the client used a Blob's size as the id, a second Blob of the same size would continue the
    upload of the first Blob. The stored object would then mix both Blobs."""
    assert came_to["parts without an id"] == {"stopped": "InvalidAnswer", "kept": 0}


def test_what_was_remembered_and_is_refused_is_forgotten(came_to: dict[str, Any]) -> None:
    assert came_to["what is kept is spoilt"] == [200, "UploadRefused", 200]


def test_two_files_of_one_name_go_on_each_by_its_own_upload(came_to: dict[str, Any]) -> None:
    """If the client kept one entry for both files, the `Upload` of the second file would replace
    the `Upload` of the first file. The parts of the first file would then be signed for the size of
    the second file."""
    found = came_to["two files of one name"]
    assert found["keys"] == ["uploads/alice/same.bin", "2"]
    assert (found["large"], found["small"]) == (True, "InvalidParameter.Parts")


def test_an_empty_file_goes_by_a_signed_url(came_to: dict[str, Any], cloud: RunningCloud) -> None:
    assert (came_to["an empty file"], stored(cloud, "empty.txt")) == (200, 0)


def test_what_sign_makes_leads_to_the_scope_and_nowhere_else(came_to: dict[str, Any]) -> None:
    """Without the endpoint of the token's Scope, an SDK would sign for plain HTTP, or for another
    host."""
    found = came_to["a sign that leads elsewhere"]
    assert found == ["InvalidAnswer", "InvalidAnswer", "InvalidParameter.Object"]


def test_half_of_a_character_is_refused_by_name(came_to: dict[str, Any]) -> None:
    """An earlier version of the client raised a URIError, which did not name the cause."""
    found = came_to["half of a character"]
    assert (found["code"], found["status"]) == ("InvalidParameter", 400)


def test_an_answer_that_tells_what_it_was_sent_is_not_passed_on(
    came_to: dict[str, Any], login: str
) -> None:
    told = came_to["answers that tell what they were sent"]
    assert len(told) == 4
    for error in told:
        assert login not in error
        assert "Bearer" not in error
        assert "x-oss-" not in error


def test_a_mini_program_needs_no_url_no_fetch_and_nothing_newer_than_es2020(
    came_to: dict[str, Any],
) -> None:
    where = "https://b.oss-cn-hangzhou.aliyuncs.com/"
    assert came_to["a mini program has little"] == {"key": "k", "where": where}


def test_a_203_is_an_upload_that_is_stored(came_to: dict[str, Any]) -> None:
    found = came_to["203"]
    assert (found["status"], found["key"]) == (203, "uploads/alice/told.txt")
    assert "CallbackFailed" in found["text"]


def test_an_oss_that_is_busy_is_asked_again(came_to: dict[str, Any]) -> None:
    assert came_to["the oss that is busy"]["status"] == 200


def test_more_headers_go_with_each_request(came_to: dict[str, Any]) -> None:
    assert came_to["headers"] == ["ab", "ab"]


def test_a_callers_uploads_are_listed(came_to: dict[str, Any]) -> None:
    assert came_to["uploads"]["Prefix"] == "uploads/alice/"
    assert {"parts.bin", "mini.jpg"} <= set(came_to["uploads"]["keys"])


def test_where_objects_are_follows_from_the_scope(came_to: dict[str, Any]) -> None:
    assert came_to["scope urls"] == [
        "https://b.oss-cn-hangzhou.aliyuncs.com/",
        "https://files.example.com/",
        "http://192.168.1.5:7081/b/",
        "http://files.localhost:7081/",
    ]


def test_no_error_holds_a_login_or_a_url(came_to: dict[str, Any], login: str) -> None:
    told = json.dumps(came_to)
    assert login not in told
    assert "x-oss-signature" not in told.lower()
    assert "http://127.0.0.1" not in json.dumps(
        [came_to["mini program"]["lost"], came_to["refusals"], came_to["parts"]["broken"]]
    )


@pytest.mark.slow
def test_the_types_are_those_of_the_module(tmp_path: Path) -> None:
    """TypeScript in strict mode compiles a program that uses all types, and refuses a program that
    uses one of them wrongly."""
    need("TypeScript", browser=False)
    use = (PAGE.parent / "tests" / "web" / "client_types.mts").read_text()
    assert compiled(tmp_path, use) == ""
    wrong = use.replace("uppy('form'", "uppy('fax'")
    assert "'\"fax\"'" in compiled(tmp_path, wrong)
    module = (PAGE / "client" / "oss_upload.js").read_text()
    types = (PAGE / "client" / "oss_upload.d.ts").read_text()
    exported = r"^export (?:async )?(?:function|class|const) (\w+)"
    assert sorted(re.findall(exported, module, re.M)) == sorted(re.findall(exported, types, re.M))


def compiled(folder: Path, text: str) -> str:
    file = folder / "use.mts"
    file.write_text(text.replace("'../../web/client/", f"'{PAGE / 'client'}/"))
    done = subprocess.run(
        [
            *("node", str(PAGE / "node_modules/typescript/bin/tsc"), "--noEmit", "--strict"),
            *("--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom", str(file)),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return done.stdout


def documented(cloud: RunningCloud, login: str, text: str, size: int = 9) -> dict[str, Any]:
    need("a block of docs/web.md", browser=False)
    code = code_with("js", "web.md", text)
    job = {"code": code, "tokenUrl": cloud.url, "login": login, "size": size}
    return run("client_documented.mjs", job)


def test_the_documented_form_uploads(cloud: RunningCloud, login: str) -> None:
    found = documented(cloud, login, "client.postForm(file,")
    assert found["logged"] == ["stored as uploads/alice/photo.jpg"]
    assert stored(cloud, "photo.jpg") == 9


def test_the_documented_parts_upload(cloud: RunningCloud, login: str) -> None:
    size = 5 * 1024 * 1024 + 1
    found = documented(cloud, login, "client.uploadParts(", size)
    assert found["logged"] == ["0 %", "50 %", "100 %"]
    assert stored(cloud, "photo.jpg") == size


def test_the_documented_mini_program_uploads(cloud: RunningCloud, login: str) -> None:
    found = documented(cloud, login, "wx.uploadFile")
    assert found["stored"]["status"] == 200
    assert found["stored"]["key"].endswith(".jpg")
    assert "policy" in found["fields"]
    assert "file" not in found["fields"]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["multipart", "signed-url", "form", "token"])
def test_the_documented_uppy_uploads_in_each_way(cloud: RunningCloud, login: str, way: str) -> None:
    need("Uppy in a page", browser=True)
    code = code_with("js", "web.md", "uppy.use(AwsS3")
    assert "client.uppy('multipart', wishes)" in code
    code = code.replace("client.uppy('multipart', wishes)", f"client.uppy('{way}', wishes, sign)")
    size = {"multipart": 5 * 1024 * 1024 + 7, "token": 70, "signed-url": 71, "form": 72}[way]
    job = {"code": code, "tokenUrl": cloud.url, "login": login, "size": size}
    keys = ["uploads/alice/photo.jpg"]
    assert run("client_uppy.mjs", job) == {"keys": keys, "errors": [], "kept": []}
    assert stored(cloud, "photo.jpg") == size
