"""`curl` uses signed URLs on the sandbox's OSS, which verifies them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pytest_mock import MockerFixture

from javascript import need, run
from running_cloud import RunningCloud, running_cloud
from token_service.http.messages import Request

DISPOSITION = "response-content-disposition"
NAME = "photos/\u7167\u7247 +%2F.jpg"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    folder = tmp_path_factory.mktemp("cloud")
    with running_cloud(folder, POLICY_FILE="bucket_read_write_policy") as cloud:
        yield cloud


def url_for(cloud: RunningCloud, name: str, **wishes: str) -> dict[str, Any]:
    request = Request("GET", "/signed-url", {"object": name, **wishes})
    answer: dict[str, Any] = json.loads(cloud.app.respond(lambda: request).body)
    assert answer["StatusCode"] == 200, answer
    return answer


def curl(*arguments: str) -> tuple[int, str]:
    """Run curl. Return the status of the answer, and its headers and body as text."""
    options = "--silent --show-error --include --max-time 10".split()
    done = subprocess.run(
        ["curl", *options, "--write-out", "%{http_code}", *arguments],  # noqa: S607
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return int(done.stdout[-3:]), done.stdout[:-3]


def put(answer: dict[str, Any], url: str = "", **headers: str) -> tuple[int, str]:
    """Upload this file by PUT. The request has the headers that the answer names, or `headers` if
    any are given."""
    options = []
    for name, value in (headers or answer["Headers"]).items():
        options += ["--header", f"{name.replace('_', '-')}: {value}"]
    return curl("--upload-file", __file__, *options, url or answer["Url"])


def get(answer: dict[str, Any], url: str = "") -> tuple[int, str]:
    return curl(*(["--head"] if answer["Method"] == "HEAD" else []), url or answer["Url"])


def is_stored(cloud: RunningCloud, key: str) -> bool:
    found = cloud.cloud.storage.keys_from(
        cloud.cloud.bucket, key.encode(), inclusive=True, prefix=key.encode(), limit=1
    )
    return bool(found)


@pytest.mark.parametrize("content_type", [None, "image/jpeg", "text/plain; charset=utf-8"])
def test_curl_puts_and_gets(cloud: RunningCloud, content_type: str | None) -> None:
    wishes = {} if content_type is None else {"content_type": content_type}
    status, text = put(url_for(cloud, NAME, **wishes))
    assert status == 200, text
    status, text = get(url_for(cloud, NAME, method="GET"))
    assert status == 200
    assert text.endswith(Path(__file__).read_text(encoding="utf-8"))
    if content_type is not None:
        assert f"content-type: {content_type}" in text.lower()
    status, text = get(url_for(cloud, NAME, method="HEAD"))
    assert status == 200
    assert f"content-length: {Path(__file__).stat().st_size}\n" in text.lower()


def test_a_download_gets_the_name_that_was_wished_for(cloud: RunningCloud) -> None:
    put(url_for(cloud, "named.txt"))
    disposition = "attachment; filename*=UTF-8''%C3%A9+ %26.txt"
    wishes = {"method": "GET", "response-content-disposition": disposition}
    status, text = get(url_for(cloud, "named.txt", **wishes))
    assert status == 200
    assert f"content-disposition: {disposition}\n" in text


PAGE = "<!doctype html><title>Upload</title><script>document.title = 'It runs'</script>"


@pytest.mark.slow
def test_a_page_that_was_uploaded_runs_in_no_browser(cloud: RunningCloud) -> None:
    """A client with a token can store an object with any type and disposition, but a signed URL
    overrides both (finding A10)."""
    need("opening a download in a browser", browser=True)
    store = cloud.token().oss2("v4")
    stored_as = {"Content-Type": "text/html", "Content-Disposition": "inline"}
    urls, get = [], {"method": "GET"}
    for name in ("page.html", "photo.jpg"):
        store.put_object(f"uploads/{name}", PAGE, headers=stored_as)
        urls.append(url_for(cloud, name, **get)["Url"])
    urls.append(url_for(cloud, "photo.jpg", **get, **{DISPOSITION: "inline; filename=a"})["Url"])
    shown = run("browser_open.mjs", {"urls": urls})["outcomes"]
    assert shown[:2] == ["download", "download"]
    # The browser tries to show the page as a picture, and fails.
    assert "Upload" not in shown[2]
    assert "It runs" not in shown[2]
    # If a URL sets no type and no disposition, the browser runs the script of the page. A client
    # with a token can make a URL like this.
    open_url = store.sign_url("GET", "uploads/page.html", 60, slash_safe=True)
    assert run("browser_open.mjs", {"urls": [open_url]})["outcomes"] == ["It runs"]


def test_an_expired_url_is_refused(cloud: RunningCloud, mocker: MockerFixture) -> None:
    clock = mocker.patch("token_service.routes.signed_url.time.time", return_value=time.time() - 10)
    ends = url_for(cloud, "expired", expires="9")
    still = url_for(cloud, "not-expired", expires="60")
    mocker.stop(clock)
    status, text = put(ends)
    assert (status, "0002-00000069" in text) == (403, True)
    assert not is_stored(cloud, "uploads/expired")
    assert put(still)[0] == 200


ALTERED = {
    "another object": ("/altered?", "/altered2?"),
    "another folder": ("/uploads/", "/uploads2/"),
    "a longer life": ("x-oss-expires=900", "x-oss-expires=901"),
    "another date": ("x-oss-date=2", "x-oss-date=3"),
    "a parameter more": ("x-oss-expires", "acl&x-oss-expires"),
    "a parameter less": ("&x-oss-expires=900", ""),
    "another signature": ("x-oss-signature=", "x-oss-signature=0"),
    "no signature": ("x-oss-signature=", "x-oss-other="),
}


@pytest.mark.parametrize("change", ALTERED)
def test_an_altered_url_is_refused(cloud: RunningCloud, change: str) -> None:
    answer = url_for(cloud, "altered")
    altered = answer["Url"].replace(*ALTERED[change])
    assert altered != answer["Url"]
    status, text = put(answer, altered)
    assert status in (400, 403), text
    assert not is_stored(cloud, "uploads/altered")
    assert not is_stored(cloud, "uploads2/")


def test_another_method_is_refused(cloud: RunningCloud) -> None:
    put(url_for(cloud, "method"))
    for mine, theirs in (("PUT", "GET"), ("GET", "PUT"), ("GET", "DELETE"), ("HEAD", "GET")):
        answer = url_for(cloud, "method", method=mine)
        status, text = curl("--request", theirs, answer["Url"])
        assert (status, "SignatureDoesNotMatch" in text) == (403, True)
    assert is_stored(cloud, "uploads/method")


@pytest.mark.parametrize("sent", ["text/html", "image/jpeg2", ""])
def test_another_content_type_is_refused(cloud: RunningCloud, sent: str) -> None:
    answer = url_for(cloud, "typed", content_type="image/jpeg")
    headers = {"Content_Type": sent} if sent else {"X_Other": "x"}
    status, text = put(answer, **headers)
    assert (status, "SignatureDoesNotMatch" in text) == (403, True)
    assert not is_stored(cloud, "uploads/typed")


def test_a_content_type_that_was_not_wished_for_is_refused(cloud: RunningCloud) -> None:
    assert put(url_for(cloud, "untyped"), Content_Type="text/html")[0] == 403
    assert not is_stored(cloud, "uploads/untyped")


def test_no_header_of_oss_can_be_added(cloud: RunningCloud) -> None:
    """For example, a client cannot make the object public. V4 signs all headers of OSS, so adding
    one breaks the signature."""
    assert put(url_for(cloud, "public"), x_oss_object_acl="public-read")[0] == 403
    assert not is_stored(cloud, "uploads/public")


def test_a_temporary_keys_url_carries_its_token(cloud: RunningCloud, mocker: MockerFixture) -> None:
    """In Function Compute, the function's own key is a temporary key."""
    token, other = cloud.token(), cloud.token(object="x")
    names = ("ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN")
    values = (token.access_key_id, token.access_key_secret, token.security_token)
    own = {f"ALIBABA_CLOUD_{name}": value for name, value in zip(names, values, strict=True)}
    mocker.patch.dict(cloud.app.env, own)
    answer = url_for(cloud, "temporary")
    assert put(answer)[0] == 200
    altered = answer["Url"].replace(quote(token.security_token), quote(other.security_token))
    assert altered != answer["Url"]
    assert put(answer, altered)[0] == 403


# Links that a caller made


@pytest.fixture
def users(tmp_path: Path) -> Iterator[RunningCloud]:
    policy = "bucket_read_write_policy"
    with running_cloud(tmp_path / "users", AUTH="jwt", POLICY_FILE=policy) as cloud:
        yield cloud


def store(cloud: RunningCloud, user: str, name: str) -> None:
    bucket = cloud.token(access_token=cloud.login(user)).oss2("v4")
    bucket.put_object(f"uploads/{user}/{name}", f"{user}'s")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", ["secret", "nothing"])
def test_a_link_to_a_neighbours_object_leads_nowhere_by_a_signed_url(
    users: RunningCloud, method: str, target: str
) -> None:
    """OSS follows a link with the rights of the signer, and our own key may read everybody's
    objects."""
    store(users, "bob", "secret")
    store(users, "alice", "own")
    login = users.login("alice")
    bucket = users.token(access_token=login).oss2("v4")
    for name, key, status in (("away", f"bob/{target}", 403), ("home", "alice/own", 200)):
        bucket.put_symlink(f"uploads/{key}", f"uploads/alice/{name}")
        signed = url_for(users, name, method=method, access_token=login)
        found, text = get(signed)
        assert (found, "bob's" in text) == (status, False)


def test_a_link_does_not_tell_of_a_neighbours_object_in_a_listing(users: RunningCloud) -> None:
    store(users, "bob", "secret")
    login = users.login("alice")
    bucket = users.token(access_token=login).oss2("v4")
    bucket.put_symlink("uploads/bob/secret", "uploads/alice/there")
    bucket.put_symlink("uploads/bob/nothing", "uploads/alice/not-there")
    answer = users.answer(path="/uploads", access_token=login, details="1")
    told = [{k: v for k, v in entry.items() if k != "Key"} for entry in answer["Uploads"]]
    assert len(told) == 2
    assert told[0] == told[1] | {"LastModified": told[0]["LastModified"]}
    assert "ContentType" not in told[0]
