"""curl, and FormData in a browser, send signed forms to the sandbox's OSS."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from javascript import need, run
from running_cloud import RunningCloud, running_cloud
from token_service.http.messages import Request

Form = dict[str, Any]
MOST = 1000


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    folder = tmp_path_factory.mktemp("cloud")
    with running_cloud(folder, UPLOAD_MAX_BYTES=str(MOST)) as cloud:
        yield cloud


@pytest.fixture(autouse=True)
def emptied(cloud: RunningCloud) -> Iterator[None]:
    yield
    cloud.cloud.storage.delete(cloud.cloud.bucket, keys(cloud))


def form_for(cloud: RunningCloud, **wishes: str) -> Form:
    request = Request("GET", "/form", wishes)
    answer: Form = json.loads(cloud.app.respond(lambda: request).body)
    assert answer["StatusCode"] == 200, answer
    return answer


def keys(cloud: RunningCloud) -> list[str]:
    """Return the object keys in the bucket."""
    found = cloud.cloud.storage.keys_from(
        cloud.cloud.bucket, b"", inclusive=True, prefix=b"", limit=100
    )
    return [info.key for info in found]


def stored(cloud: RunningCloud, key: str) -> tuple[str, bytes]:
    """Return the content type and the bytes of an object."""
    with cloud.cloud.storage.open(cloud.cloud.bucket, key) as found:
        info = found.info
        return info.headers["content-type"], b"".join(found.chunks(0, info.size))


def curl(
    url: str,
    fields: Mapping[str, str],
    folder: Path,
    *,
    text: str = "Hello",
    name: str = "hello.txt",
    content_type: str = "application/octet-stream",
) -> tuple[int, str]:
    """Post a form with `curl`. The file is the last field. Return the status and the body."""
    file = folder / "file"
    file.write_text(text)
    options = "--silent --show-error --max-time 10 --write-out %{http_code}".split()
    for field, value in fields.items():
        # --form is not used, because a value may begin with "@".
        options += ["--form-string", f"{field}={value}"]
    options += ["--form", f"file=@{file};filename={name};type={content_type}"]
    done = subprocess.run(
        ["curl", *options, url],  # noqa: S607
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return int(done.stdout[-3:]), done.stdout[:-3]


def test_curl_uploads_with_the_fields(cloud: RunningCloud, tmp_path: Path) -> None:
    form = form_for(cloud)
    status, text = curl(form["Url"], form["Fields"], tmp_path, content_type="text/plain")
    assert status == 200, text
    assert stored(cloud, f"{form['Prefix']}hello.txt") == ("text/plain", b"Hello")


def test_curl_uploads_one_object(cloud: RunningCloud, tmp_path: Path) -> None:
    form = form_for(cloud, object="photos/\u7167\u7247 +%.png", content_type="image/png")
    status, text = curl(form["Url"], form["Fields"], tmp_path)
    assert status == 200, text
    # OSS stores the content type that the form has, not the one that the client sends with the
    # file.
    assert stored(cloud, "uploads/photos/\u7167\u7247 +%.png") == ("image/png", b"Hello")


def test_the_front_ends_of_the_vendors_samples_upload_where_nothing_is_bound(
    cloud: RunningCloud, tmp_path: Path
) -> None:
    """The front ends send no Content-Disposition, but a form requires one if the operator has set a
    limit on uploads."""
    data = form_for(cloud)
    assert curl(data["host"], front_end(data), tmp_path, content_type="image/png")[0] == 403
    assert keys(cloud) == []
    with running_cloud(tmp_path) as unbound:
        data = form_for(unbound)
        assert curl(data["host"], front_end(data), tmp_path, content_type="image/png")[0] == 200
        assert keys(unbound) == ["uploads/photo.png"]


def front_end(data: Form) -> dict[str, str]:
    """Return the form fields that the vendor's front ends make from the function's answer."""
    fields = {
        "success_action_status": "200",
        "policy": data["policy"],
        "x-oss-signature": data["signature"],
        "x-oss-signature-version": data["x_oss_signature_version"],
        "x-oss-credential": data["x_oss_credential"],
        "x-oss-date": data["x_oss_date"],
        "key": f"{data['dir']}photo.png",
    }
    if data["security_token"]:
        fields["x-oss-security-token"] = data["security_token"]
    return fields


def test_a_temporary_keys_form_carries_its_token(
    cloud: RunningCloud, tmp_path: Path, mocker: MockerFixture
) -> None:
    """In Function Compute, the function's own key is a temporary key."""
    token = cloud.token()
    names = ("ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN")
    values = (token.access_key_id, token.access_key_secret, token.security_token)
    own = {f"ALIBABA_CLOUD_{name}": value for name, value in zip(names, values, strict=True)}
    mocker.patch.dict(cloud.app.env, own)
    form = form_for(cloud)
    without = {k: v for k, v in form["Fields"].items() if k != "x-oss-security-token"}
    assert curl(form["Url"], without, tmp_path)[0] == 403
    assert keys(cloud) == []
    assert curl(form["Url"], form["Fields"], tmp_path)[0] == 200


def test_no_file_name_leads_out_of_the_prefix(cloud: RunningCloud, tmp_path: Path) -> None:
    form = form_for(cloud)
    curl(form["Url"], form["Fields"], tmp_path, name="../../theirs/x")
    # OSS may use the whole file name or only its last part. In both cases, ".." in the file name
    # does not mean the parent folder.
    assert all(key.startswith("uploads/") for key in keys(cloud))
    assert len(keys(cloud)) == 1


@pytest.mark.parametrize(
    ("size", "status"), [(MOST, 200), (MOST + 1, 400)], ids=["as large as may be", "too large"]
)
def test_a_file_that_is_too_large_is_refused(
    cloud: RunningCloud, tmp_path: Path, size: int, status: int
) -> None:
    form = form_for(cloud)
    got, text = curl(form["Url"], form["Fields"], tmp_path, text="x" * size)
    assert got == status, text
    assert ("EntityTooLarge" in text) == (status == 400)
    assert len(keys(cloud)) == (status == 200)


def test_a_caller_may_wish_for_less_than_the_operators_size(
    cloud: RunningCloud, tmp_path: Path
) -> None:
    form = form_for(cloud, max_bytes="4")
    assert curl(form["Url"], form["Fields"], tmp_path)[0] == 400
    assert keys(cloud) == []


def test_a_file_of_another_type_is_refused(cloud: RunningCloud, tmp_path: Path) -> None:
    names = ("content-type", "x-oss-content-type")
    for wish, good, bad in (
        ("text/plain", "text/plain", "text/html"),
        ("image/png", "image/png", "image/png,text/html"),
    ):
        form = form_for(cloud, content_type=wish)
        url, fields = form["Url"], form["Fields"]
        for name in names:
            sent = {**fields, **dict.fromkeys(names, good), name: bad}
            assert curl(url, sent, tmp_path, content_type=good)[0] == 403
        assert keys(cloud) == []
        status, text = curl(url, {**fields, **dict.fromkeys(names, good)}, tmp_path)
        assert status == 200, text
        assert stored(cloud, "uploads/hello.txt")[0] == good
        cloud.cloud.storage.delete(cloud.cloud.bucket, keys(cloud))


@pytest.mark.parametrize(
    "key", ["theirs", "uploads2/x", "upload", "x/uploads/y", "../uploads/x", "${filename}"]
)
def test_another_key_is_refused(cloud: RunningCloud, tmp_path: Path, key: str) -> None:
    form = form_for(cloud)
    status, text = curl(form["Url"], {**form["Fields"], "key": key}, tmp_path)
    assert (status, "Policy Condition failed" in text) == (403, True)
    assert keys(cloud) == []


def test_a_field_that_makes_the_object_public_is_refused(
    cloud: RunningCloud, tmp_path: Path
) -> None:
    """A form may have fields that its policy does not name, so the role must forbid an ACL."""
    form = form_for(cloud)
    fields = {**form["Fields"], "x-oss-object-acl": "public-read"}
    assert curl(form["Url"], fields, tmp_path)[0] == 403
    assert keys(cloud) == []


def test_a_form_for_one_object_takes_no_other(cloud: RunningCloud, tmp_path: Path) -> None:
    form = form_for(cloud, object="a")
    for key in ("uploads/a2", "uploads/${filename}", "uploads/"):
        assert curl(form["Url"], {**form["Fields"], "key": key}, tmp_path)[0] == 403
    assert keys(cloud) == []


def test_an_altered_policy_is_refused(cloud: RunningCloud, tmp_path: Path) -> None:
    form = form_for(cloud)
    policy = json.loads(base64.b64decode(form["Fields"]["policy"]))
    policy["conditions"] = [c for c in policy["conditions"] if "$key" not in c]
    altered = base64.b64encode(json.dumps(policy).encode()).decode()
    fields = {**form["Fields"], "policy": altered, "key": "theirs"}
    status, text = curl(form["Url"], fields, tmp_path)
    assert (status, "SignatureDoesNotMatch" in text) == (403, True)
    assert keys(cloud) == []


def test_an_expired_form_is_refused(
    cloud: RunningCloud, tmp_path: Path, mocker: MockerFixture
) -> None:
    clock = mocker.patch("token_service.routes.form.time.time", return_value=time.time() - 10)
    form = form_for(cloud, expires="9")
    mocker.stop(clock)
    status, text = curl(form["Url"], form["Fields"], tmp_path)
    assert (status, "Policy expired" in text) == (403, True)
    assert keys(cloud) == []


@pytest.mark.slow
def test_a_page_uploads_by_formdata(cloud: RunningCloud) -> None:
    need("a form in a browser", browser=True)
    form = form_for(cloud, content_type="text/plain")
    fields = form["Fields"]
    file = {"name": "h\u00e9llo w.txt", "type": "text/plain", "text": "Hello from a page"}
    posts = [
        {"url": form["Url"], "fields": sent, "file": {**file, "text": text}}
        for sent, text in (
            (fields, file["text"]),
            ({**fields, "key": "theirs"}, "x"),
            ({**fields, "x-oss-content-type": "image/svg+xml"}, "x"),
            (fields, "x" * (MOST + 1)),
        )
    ]
    outcomes = run("browser_form.mjs", {"posts": posts})["outcomes"]
    assert [outcome["status"] for outcome in outcomes] == [200, 403, 403, 400], outcomes
    assert keys(cloud) == ["uploads/h\u00e9llo w.txt"]
    content_type, data = stored(cloud, "uploads/h\u00e9llo w.txt")
    assert (content_type, data) == ("text/plain", b"Hello from a page")
