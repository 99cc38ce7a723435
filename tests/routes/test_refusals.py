"""The message of a refusal names the variable that would allow the request, but strangers do not
see the name."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ops.policies_described import names
from signed_logins import SECRET, login
from token_service.app import App
from token_service.grant import permissions
from token_service.grant.grants import Grant
from token_service.grant.policies import Policies
from token_service.http.messages import Request
from token_service.signing import forms, multipart, signed_urls
from token_service.signing.signer import MAX_TEMPORARY_SECONDS

Env = dict[str, str]
ORIGIN = {"origin": "https://stranger.example", "access-control-request-method": "GET"}


def alice() -> dict[str, str]:
    """Return a new login for each use, because a login expires and the tests may take long."""
    return {"access_token": login(sub="alice")}


def answer(env: Env, request: Request) -> dict[str, Any]:
    with closing(App(env)) as app:
        found: dict[str, Any] = json.loads(app.respond(lambda: request).body)
    return found


@pytest.fixture(params=["anonymous", "jwt"])
def either(request: pytest.FixtureRequest, jwt_env: Env) -> Env:
    """The variables of AUTH=jwt and of AUTH=anonymous. The tests below always send a login, but
    AUTH=anonymous does not read it."""
    return {**jwt_env, "AUTH": request.param, "JWT_SECRET": SECRET}


@pytest.mark.parametrize(
    ("path", "wishes", "more", "code", "message"),
    [
        (
            "/signed-url",
            {"object": "a.jpg", "method": "GET"},
            {},
            "NotAllowed",
            "the policy of this grant does not allow oss:GetObject on the object. "
            "Set bucket_read_policy or bucket_read_write_policy "
            "as POLICY_FILE, or put it into POLICY_CHOICES and send its name as policy",
        ),
        (
            "/form",
            {},
            {"POLICY_FILE": "bucket_read_policy"},
            "NotAllowed",
            "the policy of this grant does not allow oss:PutObject on the object. "
            "Set bucket_write_policy or bucket_read_write_policy "
            "as POLICY_FILE, or put it into POLICY_CHOICES and send its name as policy",
        ),
        (
            "/",
            {"policy": "bucket_read_policy"},
            {},
            "InvalidParameter.Policy",
            "policy: must be one of bucket_write_policy (POLICY_CHOICES)",
        ),
        (
            "/",
            {"duration": "1000"},
            {},
            "InvalidParameter.Duration",
            "duration: must be whole seconds, 900 to 900 (TOKEN_EXPIRE_TIME_MAX)",
        ),
        (
            "/form",
            {"expires": "901"},
            {},
            "InvalidParameter.Expires",
            "expires: must be whole seconds, 1 to 900 (URL_EXPIRE_TIME_MAX)",
        ),
        (
            "/signed-url",
            {"object": "a.jpg", "content_type": "text/html"},
            {"UPLOAD_CONTENT_TYPES": "image/png,image/jpeg"},
            "InvalidParameter.ContentType",
            "content_type: must be one of image/png, image/jpeg (UPLOAD_CONTENT_TYPES)",
        ),
        (
            "/form",
            {"content_type": "image/*"},
            {"UPLOAD_CONTENT_TYPES": "image/*"},
            "InvalidParameter.ContentType",
            "content_type: must be one exact type that begins with image/ and is not SVG "
            "(UPLOAD_CONTENT_TYPES)",
        ),
        (
            "/form",
            {"content_type": "x"},
            {},
            "InvalidParameter.ContentType",
            "content_type: must be a content type like image/jpeg",
        ),
        (
            "/form",
            {"name": "auto", "ext": "html"},
            {"UPLOAD_CONTENT_TYPES": "image/png"},
            "InvalidParameter.Ext",
            "ext: must be png or left out (UPLOAD_CONTENT_TYPES)",
        ),
        (
            "/form",
            {"max_bytes": "11"},
            {"UPLOAD_MAX_BYTES": "10"},
            "InvalidParameter.MaxBytes",
            "max_bytes: must be whole bytes, 1 to 10 (UPLOAD_MAX_BYTES)",
        ),
        (
            "/signed-url",
            {"object": "a", "size": "11"},
            {"UPLOAD_MAX_BYTES": "10"},
            "InvalidParameter.Size",
            "size: must be whole bytes, 0 to 10 (UPLOAD_MAX_BYTES)",
        ),
        (
            "/signed-url",
            {"object": "a"},
            {"UPLOAD_MAX_BYTES": "10", "ENABLED_ROUTES": "signed-url"},
            "InvalidParameter.Size",
            "size: must be given, in bytes, 0 to 10 (UPLOAD_MAX_BYTES)",
        ),
        (
            "/signed-url",
            {"object": "a", "size": "x"},
            {},
            "InvalidParameter.Size",
            "size: must be whole bytes, 0 to 5368709120",
        ),
        (
            "/multipart",
            {"object": "a", "size": "11"},
            {"UPLOAD_MAX_BYTES": "10", "MULTIPART_SECRET": "m" * 32},
            "InvalidParameter.Size",
            "size: must be whole bytes, 1 to 10 (UPLOAD_MAX_BYTES)",
        ),
        (
            "/multipart",
            {"object": "a", "size": "1"},
            {},
            "NotFound",
            "multipart uploads are not configured: MULTIPART_SECRET is not set",
        ),
    ],
)
def test_a_refusal_names_the_variable_that_would_allow_it(
    either: Env, path: str, wishes: dict[str, str], more: Env, code: str, message: str
) -> None:
    method = "POST" if path == "/multipart" else "GET"
    found = answer({**either, **more}, Request(method, path, {**alice(), **wishes}))
    assert (found["ErrorCode"], found["ErrorMessage"]) == (code, message)
    stranger = answer({**either, **more}, Request(method, path, wishes))
    assert stranger["ErrorMessage"] == (
        message
        if either["AUTH"] == "anonymous"
        else "no login; send it as 'Authorization: Bearer <JWT>' or as access_token in the query"
    )


def test_no_variable_is_named_that_would_not_help(env: Env) -> None:
    """A URL expires at the latest when the function's own key expires, even if URL_EXPIRE_TIME_MAX
    is longer."""
    temporary = {
        **env,
        "ALIBABA_CLOUD_SECURITY_TOKEN": "a-token-of-the-platform",
        "URL_EXPIRE_TIME_MAX": "7200",
    }
    found = answer(temporary, Request("GET", "/form", {"expires": "7200"}))
    assert found["ErrorMessage"] == (
        f"expires: must be whole seconds, 1 to {MAX_TEMPORARY_SECONDS} "
        "(the function's key is temporary)"
    )


def test_a_rate_limit_names_its_variable(either: Env) -> None:
    limited = {**either, "CALLER_URLS_PER_MINUTE": "1"}
    with closing(App(limited)) as app:
        for _ in range(2):
            body = app.respond(lambda: Request("GET", "/form", alice())).body
    found = json.loads(body)
    assert found["ErrorCode"] == "Throttling.Caller"
    assert "at most 1 signed URLs and forms a minute (CALLER_URLS_PER_MINUTE)" in body


@pytest.mark.parametrize(
    ("request_", "told", "hint"),
    [
        (Request("POST", "/callback"), "callbacks are not configured", "CALLBACK_URL is not set"),
        (
            Request("OPTIONS", "/", headers=ORIGIN),
            "the origin is not allowed",
            "ALLOWED_ORIGINS does not name it",
        ),
    ],
    ids=["callback", "preflight"],
)
def test_nobody_is_logged_in_there_so_only_the_log_names_the_variable(
    either: Env,
    request_: Request,
    told: str,
    hint: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO", logger="sts_token"):
        found = answer(either, request_)
    whole = f"{told}; {hint}"
    assert found["ErrorMessage"] == (whole if either["AUTH"] == "anonymous" else told)
    assert json.loads(caplog.records[-1].message)["reason"] == whole


def test_what_is_wrong_with_a_preflight_beside_its_origin_names_no_variable(env: Env) -> None:
    headers = {**ORIGIN, "access-control-request-method": "DELETE"}
    env = {**env, "ALLOWED_ORIGINS": "https://stranger.example"}
    found = answer(env, Request("OPTIONS", "/", headers=headers))
    assert found["ErrorMessage"] == "the method must be one of GET, POST, HEAD"


def test_an_audience_that_nobody_expects_is_explained_in_the_log(
    jwt_env: Env, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = Request("GET", "/", {"access_token": login(sub="alice", aud="other")})
    with caplog.at_level("INFO", logger="sts_token"):
        found = answer(jwt_env, foreign)
    assert found["ErrorMessage"] == "the login is not accepted: it is for another audience"
    reason = json.loads(caplog.records[-1].message)["reason"]
    assert reason.endswith("; it has an audience (aud), and JWT_AUDIENCE is not set")


ACTIONS = {*signed_urls.ACTIONS.values(), *multipart.ACTIONS.values(), forms.ACTION}


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_the_policies_that_are_named_are_those_that_allow_it(action: str) -> None:
    """The message names the bundled policies that allow the action, except all_policy, which is
    never for users."""
    policies = Policies(names())

    def allows(name: str) -> bool:
        text = policies.render(Grant("my-bucket", "uploads/", None, name, 900, "alice"))
        return permissions.allows(text, action, "1", "my-bucket/uploads/*")

    with pytest.raises(permissions.NotAllowed) as refused:
        permissions.require('{"Version": "1", "Statement": []}', action, "1", "my-bucket/a")
    named = {name for name in names() if f"{name} " in refused.value.message}
    assert named == {name for name in names() if allows(name)} - {"all_policy"}


@pytest.fixture
def vendor_file(tmp_path: Path) -> str:
    path = tmp_path / "own.txt"
    path.write_text(
        '{"Version": "1", "Statement": [{"Effect": "Allow", "Action": ["oss:PutObject"], '
        '"Resource": ["acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX/photos/*"]}]}'
    )
    return str(path)


def test_an_object_that_a_vendors_policy_does_not_open_names_both(
    jwt_env: Env, vendor_file: str
) -> None:
    request = Request("GET", "/", {**alice(), "object": "a.jpg"})
    found = answer({**jwt_env, "POLICY_FILE": vendor_file}, request)
    assert found["ErrorMessage"] == (
        "object: the policy allows nothing on this object (POLICY_FILE or POLICY_CHOICES)"
    )
