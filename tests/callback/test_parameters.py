"""Callback parameters that a client gives to OSS have OSS's documented format and limits."""

from __future__ import annotations

import base64
import re

import pytest

from oss_signer import decoded
from token_service.callback.parameters import (
    BODY,
    MAX_BYTES,
    CallbackParameters,
    CallbackSettings,
    callback_parameters,
    callback_url,
    public_key_url,
    read,
)
from token_service.callback.seals import UPLOAD_SECONDS, Seal, unseal
from token_service.errors import Misconfiguration
from token_service.grant.grants import Grant
from token_service.login.callers import Login
from token_service.settings.addresses import Url
from token_service.settings.parsing import Reader, Refused
from token_service.settings.values import Endpoint

SECRETS = (b"s" * 32, b"o" * 32)
GRANT = Grant("my-bucket", "uploads/alice/", None, "bucket_write_policy", 900, "alice")
EXPIRES = 1_795_511_728
HTTPS = CallbackSettings(Url(Endpoint("https", "app.example.com", 443), "/callback"), None, None)
HTTP = CallbackSettings(Url(Endpoint("http", "127.0.0.1", 7080), "/callback"), None, None)


def sealed(made: CallbackParameters) -> str:
    text: str = decoded(made.variables)["x:seal"]
    return text


def test_a_callback_is_what_oss_documents() -> None:
    made = callback_parameters(GRANT, EXPIRES, HTTPS, SECRETS)
    callback = decoded(made.callback)
    assert callback.pop("callbackBody").startswith("bucket=${bucket}&object=${object}&etag=${etag}")
    assert callback == {
        "callbackUrl": "https://app.example.com/callback",
        "callbackBodyType": "application/x-www-form-urlencoded",
        "callbackSNI": True,
    }
    assert list(decoded(made.variables)) == ["x:seal"]


def test_plain_http_of_a_sandbox_asks_for_no_sni() -> None:
    assert "callbackSNI" not in decoded(callback_parameters(GRANT, 1, HTTP, SECRETS).callback)


def test_each_variable_of_the_body_has_a_name_that_oss_knows() -> None:
    made = callback_parameters(GRANT, EXPIRES, HTTPS, SECRETS)
    body = decoded(made.callback)["callbackBody"]
    known = {"bucket", "object", "etag", "size", "imageInfo.height", "imageInfo.width", "reqId"}
    assert set(re.findall(r"\$\{([^}]*)\}", body)) == {*known, *decoded(made.variables)}


def test_token_and_query_say_the_same() -> None:
    made = callback_parameters(GRANT, EXPIRES, HTTPS, SECRETS)
    assert made.scope() == {"Callback": made.callback, "CallbackVar": made.variables}
    assert made.query() == {"callback": made.callback, "callback-var": made.variables}


def test_a_form_has_one_field_with_the_seal_in_it() -> None:
    """The form must have no other field, because the vendor's samples send only `callback`."""
    made = callback_parameters(GRANT, EXPIRES, HTTPS, SECRETS)
    ((name, value),) = made.form_fields().items()
    assert name == "callback"
    plain = decoded(made.callback)
    body = plain["callbackBody"].replace("${x:seal}", sealed(made))
    assert decoded(value) == {**plain, "callbackBody": body}
    assert "x:" not in body


def test_names_of_variables_are_in_lower_case() -> None:
    made = callback_parameters(GRANT, EXPIRES, HTTPS, SECRETS)
    for name in decoded(made.variables):
        assert name == name.lower()


def test_the_seal_is_the_grants_and_outlives_it_by_an_upload() -> None:
    made = callback_parameters(GRANT, EXPIRES, HTTPS, SECRETS)
    expires = EXPIRES + UPLOAD_SECONDS
    opened = unseal(sealed(made), SECRETS[:1], EXPIRES)
    assert opened == Seal("alice", "my-bucket", "uploads/alice/", True, expires)
    one = GRANT._replace(object_key="uploads/alice/a.jpg")
    made = callback_parameters(one, EXPIRES, HTTPS, SECRETS)
    opened = unseal(sealed(made), SECRETS[:1], EXPIRES)
    assert opened == Seal("alice", "my-bucket", "uploads/alice/a.jpg", False, expires)


@pytest.mark.parametrize("fill", ["a", '"', "\u00e9", "\u65e5", "\U0001f600"])
def test_the_longest_grant_stays_within_the_limits_of_oss(fill: str) -> None:
    key = "uploads/" + fill * (1015 // len(fill.encode()))
    grant = GRANT._replace(bucket="b" * 63, object_key=key, session_name="n" * 64)
    url = Url(Endpoint("https", "a" * 253, 44300), f"{'/' + 'p' * 50}" * 4 + "/callback")
    made = callback_parameters(grant, EXPIRES, CallbackSettings(url, None, None), SECRETS)
    assert unseal(sealed(made), SECRETS, EXPIRES).key == key
    for parameter in made:
        assert len(parameter) <= MAX_BYTES


def test_a_callback_is_base64_as_headers_take_it() -> None:
    made = callback_parameters(GRANT, EXPIRES, HTTPS, SECRETS)
    for parameter in (made.callback, made.variables):
        assert base64.b64encode(base64.b64decode(parameter, validate=True)).decode() == parameter


def test_no_secret_is_in_what_is_given_out() -> None:
    made = callback_parameters(GRANT, EXPIRES, HTTPS, SECRETS)
    assert SECRETS[0].decode() not in f"{made!r}{base64.b64decode(made.variables)!r}"


@pytest.mark.parametrize(
    "path",
    [
        "/callback",
        "/a/callback",
        "/a/b/c/d/callback",
        f"/{'p' * 50}/callback",
        "/AZ09._~-/callback",
        "/callback/callback",
    ],
)
def test_a_callback_url_ends_with_callback(path: str) -> None:
    assert str(callback_url(f"https://app.example.com{path}")) == f"https://app.example.com{path}"
    assert callback_url(f"http://127.0.0.1:7080{path}").path == path


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com",
        "https://app.example.com/",
        "https://app.example.com/sts",
        "https://app.example.com/xcallback",
        "https://app.example.com/callback/",
        "https://app.example.com/callbacks",
        "https://app.example.com/Callback",
        "https://app.example.com//callback",
        "https://app.example.com/a//callback",
        "https://app.example.com/a/b/c/d/e/callback",
        f"https://app.example.com/{'p' * 51}/callback",
        "https://app.example.com/%61/callback",
        "https://app.example.com/a+b/callback",
        "https://app.example.com/callback?a=b",
        "https://app.example.com/callback#a",
        "https://user@app.example.com/callback",
        "http://app.example.com/callback",
    ],
)
def test_no_other_url_is_a_callbacks(url: str) -> None:
    with pytest.raises(Refused, match=r"^must "):
        callback_url(url)


def test_a_question_mark_with_nothing_behind_it_is_not_sent() -> None:
    assert callback_url("https://app.example.com/callback?").path == "/callback"


@pytest.mark.parametrize("host", ["127.0.0.1:7081", "127.9.9.9", "localhost:7081", "[::1]:7081"])
def test_a_sandboxs_public_key_lies_on_loopback(host: str) -> None:
    for scheme in ("http", "https"):
        assert public_key_url(f"{scheme}://{host}/key.pem").path == "/key.pem"


@pytest.mark.parametrize(
    "host",
    [
        "gosspublic.alicdn.com",
        "evil.example",
        "127.evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.2.2",
        "192.168.1.5",
        "128.0.0.1",
        "files.localhost",
    ],
)
def test_nobody_elses_key_verifies_callbacks(host: str) -> None:
    """If OSS's key were read from one of these hosts, the owner of the host could sign any
    callback."""
    for scheme in ("http", "https"):
        with pytest.raises(Refused, match="loopback"):
            public_key_url(f"{scheme}://{host}/key.pem")


def test_all_of_callbacks_is_read_where_it_is_set() -> None:
    env = {
        "CALLBACK_URL": "https://app.example.com/callback",
        "CALLBACK_SECRET": "s" * 32,
        "UPLOAD_HOOK_URL": "https://app.example.com/hook?key=1",
        "UPLOAD_HOOK_SECRET": "h" * 32,
        "CALLBACK_PUBLIC_KEY_URL": "http://127.0.0.1:7081/key.pem",
    }
    made = read(Reader(env))
    assert str(made.url) == env["CALLBACK_URL"]
    assert str(made.hook) == env["UPLOAD_HOOK_URL"]
    assert str(made.public_key_url) == env["CALLBACK_PUBLIC_KEY_URL"]
    without = read(Reader({**env, "UPLOAD_HOOK_URL": "", "CALLBACK_PUBLIC_KEY_URL": ""}))
    assert (without.hook, without.public_key_url) == (None, None)
    for name in ("CALLBACK_URL", "CALLBACK_SECRET", "UPLOAD_HOOK_SECRET"):
        with pytest.raises(Misconfiguration) as caught:
            read(Reader({**env, name: ""}))
        assert caught.value.variable == name
    # Without a webhook, no secret for a webhook is needed.
    read(Reader({**env, "UPLOAD_HOOK_URL": "", "UPLOAD_HOOK_SECRET": ""}))


def test_the_seal_says_when_the_login_was_made() -> None:
    """The operator may set LOGINS_NOT_BEFORE during an upload. So the callback must contain the
    time when the login was made."""
    for issued, sealed_as in ((1_795_511_000, 1_795_511_000), (1.9, 1), (-5, 0), (None, None)):
        grant = GRANT._replace(login=Login("alice", issued, 600))
        made = callback_parameters(grant, EXPIRES, HTTPS, SECRETS)
        assert unseal(sealed(made), SECRETS, EXPIRES).issued == sealed_as
    assert unseal(sealed(callback_parameters(GRANT, 1, HTTPS, SECRETS)), SECRETS, 1).issued is None


def test_an_apps_own_variables_stand_behind_ours() -> None:
    own = "&order=7&color=${x:color}"
    made = callback_parameters(GRANT, EXPIRES, HTTPS, SECRETS, own)
    assert decoded(made.callback)["callbackBody"] == BODY + own
    assert decoded(made.variables) == {"x:seal": sealed(made)}
    ((_, form),) = made.form_fields().items()
    assert decoded(form)["callbackBody"].endswith(f"&seal={sealed(made)}{own}")
