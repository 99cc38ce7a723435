"""Runs the JavaScript of docs/integrate/browser.md and docs/signed-urls.md, unchanged, in Node and
Chromium. The code uses the real ali-oss, the function, and the sandbox's OSS."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from documented_code import code_with
from javascript import need, run
from running_cloud import RunningCloud, running_cloud

SHORT = code_with("js", "integrate/browser.md", "client.put(scope.Prefix")
UPLOAD = code_with("js", "integrate/browser.md", "refreshSTSToken")
LARGE = code_with("js", "integrate/browser.md", "multipartUpload")
SIGNED_URL = code_with("js", "signed-urls.md", "/signed-url?$")
FORM = code_with("js", "signed-urls.md", "new FormData()")
# The tests in a browser take long, so `make test-web` runs them.
PLACES = ["node", pytest.param("browser", marks=pytest.mark.slow)]
FOUR = [{"name": f"{name}.txt", "text": f"I am {name}"} for name in ("one", "two", "three", "four")]
TEXTS = {file["name"]: file["text"].encode() for file in FOUR}
REFUSED = {"StatusCode": 401, "ErrorCode": "ExpiredToken", "ErrorMessage": "the login has expired"}
NO_ANSWER = {"status": 0}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    folder = tmp_path_factory.mktemp("cloud")
    with running_cloud(
        folder,
        AUTH="jwt",
        POLICY_CHOICES="bucket_write_policy,bucket_read_write_policy",
        UPLOAD_MAX_BYTES="1000",
    ) as cloud:
        yield cloud


@pytest.fixture(params=PLACES)
def where(request: pytest.FixtureRequest) -> str:
    place: str = request.param
    need(f"the JavaScript of the docs in {place}", browser=place == "browser")
    return place


def use(where: str, *jobs: Mapping[str, object]) -> list[dict[str, Any]]:
    """Run code of the docs. tests/web/app_use.mjs describes the jobs and their results."""
    names = {"tokenUrl": "http://127.0.0.1:9/", "login": "x"}
    full = [{"code": UPLOAD, "names": names, **job} for job in jobs]
    outcomes: list[dict[str, Any]] = run("documented.mjs", {"where": where, "jobs": full})[
        "outcomes"
    ]
    return outcomes


def answer_of(cloud: RunningCloud, user: str = "alice", **wishes: str) -> dict[str, Any]:
    """The token URL's answer to a user."""
    answer = cloud.answer(access_token=cloud.login(user), **wishes)
    assert answer["StatusCode"] == 200, answer
    return answer


def led(answer: dict[str, Any], **scope: object) -> dict[str, Any]:
    """Return the answer with these changes to the members of its Scope."""
    return {**answer, "Scope": {**answer["Scope"], **scope}}


def ended(cloud: RunningCloud, answer: dict[str, Any]) -> dict[str, Any]:
    """Return an expired token in place of the token in `answer`. OSS refuses the expired token, and
    its Expiration is in the past."""
    role = cloud.cloud.identities.role(cloud.env["ROLE_ARN"])
    assert role is not None
    session = cloud.cloud.identities.assume(role, "phone", None, 0)
    return {
        **answer,
        "AccessKeyId": session.access_key_id,
        "AccessKeySecret": session.access_key_secret,
        "SecurityToken": session.security_token,
        "Expiration": answer["LastUpdated"],
    }


def timed(answer: dict[str, Any], updated: float, seconds: float) -> dict[str, Any]:
    """Return a copy of the token that says it was made at `updated` and is valid for `seconds`. OSS
    still accepts this token."""
    made, ends = (
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (updated, updated + seconds)
    )
    return {**answer, "LastUpdated": made, "Expiration": ends}


def short(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the token with five minutes left. With five minutes left, the client requests the next
    token."""
    return timed(answer, time.time(), 300)


def said(*answers: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the responses of the token URL, one for each request."""
    return [
        {"status": 200, "body": json.dumps(answer)} if "StatusCode" in answer else answer
        for answer in answers
    ]


def stored(cloud: RunningCloud, user: str) -> dict[str, bytes]:
    """The objects in the folder of a user, by name."""
    storage, prefix, found = cloud.cloud.storage, f"uploads/{user}/", {}
    for info in storage.keys_from(
        cloud.cloud.bucket, b"", inclusive=True, prefix=prefix.encode(), limit=100
    ):
        with storage.open(cloud.cloud.bucket, info.key) as opened:
            data = b"".join(opened.chunks(0, opened.info.size))
        found[info.key.removeprefix(prefix)] = data
    return found


def test_the_snippet_uploads(where: str, cloud: RunningCloud) -> None:
    """The snippet calls the function through its URL with a login in a header. In a browser, CORS
    applies."""
    user = f"plain-{where}"
    names = {"tokenUrl": f"{cloud.url}/", "login": cloud.login(user)}
    (done,) = use(where, {"names": names, "files": FOUR})
    assert done["code"] == {}, done
    assert done["fetches"] == 1
    assert stored(cloud, user) == TEXTS


def test_the_shortest_uploads(where: str, cloud: RunningCloud) -> None:
    user = f"short-{where}"
    names = {"tokenUrl": f"{cloud.url}/", "login": cloud.login(user)}
    (done,) = use(where, {"code": SHORT, "names": names, "files": FOUR[:1]})
    assert done["code"] == {}, done
    assert stored(cloud, user) == {"one.txt": TEXTS["one.txt"]}


BREAKS = """
const send = client._uploadPart.bind(client), sent = [], seen = [];
client._uploadPart = async (name, uploadId, number, data) => {
  sent.push(number);
  if (sent.length === 2) throw Object.assign(new Error('gone'), {status: STATUS});
  return send(name, uploadId, number, data);
};
await uploadLarge(files[0], (done) => seen.push(done));
if (seen.at(-1) !== 1) throw new Error(`progress: ${seen}`);
throw new Error(`sent: ${sent}`);
"""
# More than partSize: three parts.
LARGE_FILE = {"name": "film.mp4", "type": "video/mp4", "text": "x" * (2 * 1024 * 1024 + 5)}


@pytest.mark.parametrize("status", [-1, 403], ids=["lost", "refused"])
def test_a_large_file_goes_on_when_the_network_broke_and_not_when_it_was_refused(
    where: str, cloud: RunningCloud, status: int
) -> None:
    user = f"large{status}-{where}"
    names = {"tokenUrl": f"{cloud.url}/", "login": cloud.login(user)}
    code = UPLOAD.replace("await Promise", "// ") + LARGE + BREAKS.replace("STATUS", str(status))
    code = code.replace("parallel: 4", "parallel: 1").replace("1000 * attempt", "1")
    (done,) = use(where, {"code": code, "names": names, "files": [LARGE_FILE]})
    message = done["code"]["error"]["message"]
    if status == -1:
        # Part 1 is not sent again.
        assert message == "sent: 1,2,2,3"
        assert stored(cloud, user) == {"film.mp4": LARGE_FILE["text"].encode()}
    else:
        assert "gone" in message
        assert stored(cloud, user) == {}


def test_uploads_that_start_with_an_ended_token_share_one_fetch(
    where: str, cloud: RunningCloud
) -> None:
    """If ali-oss itself refreshed the token, one upload would succeed and the others would fail
    (ali-sdk/ali-oss#1363, #1391)."""
    user = f"ended-{where}"
    good = answer_of(cloud, user)
    (done,) = use(where, {"answers": said(ended(cloud, good), good), "files": FOUR})
    assert done["code"] == {}, done
    # The app fetches a token twice: once at the start, and once more for all four uploads together.
    assert done["fetches"] == 2
    assert stored(cloud, user) == TEXTS


def test_by_its_own_refresh_ali_oss_would_fail_three_of_four(
    where: str, cloud: RunningCloud
) -> None:
    """Because ali-oss has this fault, the snippet refreshes tokens itself. If this test fails,
    ali-oss has fixed the fault, and the snippet can be shorter."""
    user = f"alone-{where}"
    good = answer_of(cloud, user)
    own = (
        UPLOAD.replace("refreshSTSToken: fresh", "refreshSTSToken: fetchToken")
        .replace("refreshSTSTokenInterval: 0", "refreshSTSTokenInterval: 300000")
        .replace("(await fresh()).scope", "scope")
        # With this time, ali-oss believes that it got its token long ago. Therefore ali-oss
        # refreshes the token.
        .replace("const upload", "client.stsTokenFreshTime = 1;\nconst upload")
    )
    answers = said(ended(cloud, good), good)
    (done,) = use(where, {"code": own, "answers": answers, "rounds": 1, "again": FOUR})
    outcomes = done["rounds"][0]["outcomes"]
    codes = [outcome["error"]["code"] for outcome in outcomes if "error" in outcome]
    assert (codes, len(stored(cloud, user))) == (["SecurityTokenExpired"] * 3, 1), done


def test_a_refresh_that_fails_fails_all_who_wait_and_the_next_upload_asks_again(
    where: str, cloud: RunningCloud
) -> None:
    user = f"refused-{where}"
    good = answer_of(cloud, user)
    answers = said(ended(cloud, good), REFUSED, NO_ANSWER, good)
    (done,) = use(where, {"answers": answers, "rounds": 3, "again": FOUR})
    assert done["code"] == {}, done
    refused, offline, fine = done["rounds"]
    message = {"message": REFUSED["ErrorMessage"]}
    assert refused == {"outcomes": [{"error": message}] * 4, "fetches": 2}
    assert offline == {"outcomes": [{"error": {"message": "Failed to fetch"}}] * 4, "fetches": 3}
    assert fine == {"outcomes": [{"value": 200}] * 4, "fetches": 4}
    assert stored(cloud, user) == TEXTS


def test_a_device_whose_clock_is_wrong_asks_no_more_often(where: str, cloud: RunningCloud) -> None:
    """The device's clock is two hours ahead, so every new token seems to have expired."""
    user = f"clock-{where}"
    answers = said(timed(answer_of(cloud, user), time.time() - 7200, 900))
    (done,) = use(where, {"answers": answers, "files": FOUR})
    assert (done["code"], done["fetches"]) == ({}, 1)
    assert stored(cloud, user) == TEXTS


def test_the_parts_of_one_upload_go_on_over_new_tokens(where: str, cloud: RunningCloud) -> None:
    user = f"parts-{where}"
    good = answer_of(cloud, user)
    answers = said(
        short(good), short(answer_of(cloud, user, policy="bucket_read_write_policy")), short(good)
    )
    prefix = good["Scope"]["Prefix"]
    (done,) = use(where, {"answers": answers, "parts": 5, "prefix": prefix})
    assert done["parts"] == {"value": 200}, done
    assert done["fetches"] > 3
    assert len(stored(cloud, user)["parts"]) == 5 * 100 * 1024


def test_an_object_lies_under_the_prefix_of_the_token_that_it_is_sent_with(
    where: str, cloud: RunningCloud
) -> None:
    """Another user logs in before the token is renewed. No file goes to the previous user's
    folder."""
    before, after = f"before-{where}", f"after-{where}"
    answers = said(ended(cloud, answer_of(cloud, before)), answer_of(cloud, after))
    (done,) = use(where, {"answers": answers, "files": FOUR})
    assert done["code"] == {}, done
    assert (stored(cloud, before), stored(cloud, after)) == ({}, TEXTS)


NO_TOKEN = {
    "a refusal, as HTTP 200": (said(REFUSED), "the login has expired"),
    "what is no answer of the function": (
        [{"status": 429, "body": "<h1>Too many requests</h1>"}],
        "No token: HTTP 429",
    ),
}


def test_why_there_is_no_token_is_said(where: str) -> None:
    jobs = [{"answers": answers, "files": FOUR} for answers, _ in NO_TOKEN.values()]
    said_to_the_user = [done["code"] for done in use(where, *jobs)]
    assert said_to_the_user == [{"error": {"message": text}} for _, text in NO_TOKEN.values()]


def test_why_an_upload_is_refused_is_said(where: str, cloud: RunningCloud) -> None:
    answer = led(answer_of(cloud, f"mine-{where}"), Prefix="uploads/theirs/")
    (done,) = use(where, {"answers": said(answer), "files": FOUR})
    assert done["code"]["error"]["code"] == "AccessDenied"
    assert stored(cloud, "theirs") == {}


SCOPES: dict[str, tuple[dict[str, object], str]] = {
    "a region's endpoint": (
        {"Endpoint": "https://oss-cn-hangzhou.aliyuncs.com", "Cname": False},
        "https://sandbox-bucket.oss-cn-hangzhou.aliyuncs.com/uploads/alice/one.txt",
    ),
    "an answer without Cname": (
        {"Endpoint": "https://oss-cn-hangzhou.aliyuncs.com"},
        "https://sandbox-bucket.oss-cn-hangzhou.aliyuncs.com/uploads/alice/one.txt",
    ),
    "a domain of one's own": (
        {"Endpoint": "https://files.example.com", "Cname": True},
        "https://files.example.com/uploads/alice/one.txt",
    ),
    "the sandbox": (
        {"Endpoint": "http://127.0.0.1:7081", "Cname": False},
        "http://127.0.0.1:7081/sandbox-bucket/uploads/alice/one.txt",
    ),
    "the sandbox, playing a domain of one's own": (
        {"Endpoint": "http://files.localhost:7081", "Cname": True},
        "http://files.localhost:7081/uploads/alice/one.txt",
    ),
}


def test_the_snippet_asks_where_the_scope_leads(where: str, cloud: RunningCloud) -> None:
    """The scheme is https, even in a page that was loaded without https, and in Node. This test
    sends no request to OSS."""
    answer = answer_of(cloud)
    kept = {n: v for n, v in answer["Scope"].items() if n not in ("Endpoint", "Cname")}
    jobs = [
        {"answers": said({**answer, "Scope": {**kept, **scope}}), "files": FOUR[:1], "record": True}
        for scope, _ in SCOPES.values()
    ]
    found = [(done["code"], done["urls"]) for done in use(where, *jobs)]
    assert found == [({}, [url]) for _, url in SCOPES.values()]


def test_the_sandbox_is_reached_by_localhost_too(where: str, cloud: RunningCloud) -> None:
    user = f"localhost-{where}"
    answer = answer_of(cloud, user)
    local = answer["Scope"]["Endpoint"].replace("127.0.0.1", "localhost")
    (done,) = use(where, {"answers": said(led(answer, Endpoint=local)), "files": FOUR})
    assert done["code"] == {}, done
    assert stored(cloud, user) == TEXTS


def use_service(cloud: RunningCloud, code: str, user: str, text: str) -> dict[str, Any]:
    """Run code of docs/signed-urls.md in a page. If `user` is an empty text, the login is
    invalid."""
    need("the JavaScript of the docs in browser", browser=True)
    names = {"service": cloud.url, "login": cloud.login(user) if user else "x"}
    files = [{"name": "a.jpg", "type": "image/jpeg", "text": text}]
    (done,) = use("browser", {"code": code, "names": names, "files": files})
    outcome: dict[str, Any] = done["code"]
    return outcome


@pytest.mark.slow
@pytest.mark.parametrize("code", [SIGNED_URL, FORM], ids=["signed URL", "form"])
def test_a_page_uploads_without_an_sdk(cloud: RunningCloud, code: str) -> None:
    user = f"page-{len(code)}"
    assert use_service(cloud, code, user, "a picture") == {}
    assert stored(cloud, user) == {"a.jpg": b"a picture"}


@pytest.mark.slow
@pytest.mark.parametrize("code", [SIGNED_URL, FORM], ids=["signed URL", "form"])
def test_a_page_says_why_the_function_refuses(cloud: RunningCloud, code: str) -> None:
    """An earlier version of this documented code did not show the function's reason. It only
    reported "Cannot convert undefined or null to object"."""
    reason = cloud.answer(path="/form", access_token="x")["ErrorMessage"]
    assert use_service(cloud, code, "", "a picture") == {"error": {"message": reason}}


OSS_REFUSES = {
    "signed URL, with another type": (
        SIGNED_URL.replace("headers: Headers", "headers: {...Headers, 'Content-Type': 'a/b'}"),
        "SignatureDoesNotMatch",
        1,
    ),
    "form, too large": (FORM, "EntityTooLarge", 1001),
}


@pytest.mark.slow
@pytest.mark.parametrize(("code", "reason", "size"), OSS_REFUSES.values(), ids=OSS_REFUSES)
def test_a_page_says_why_oss_refuses(
    cloud: RunningCloud, code: str, reason: str, size: int
) -> None:
    """An earlier version of the snippet did not check the answer to the upload."""
    outcome = use_service(cloud, code, "refused", "x" * size)
    assert reason in outcome["error"]["message"]
    assert stored(cloud, "refused") == {}
