"""Tests the fields of forms. The function `refusals` checks a form as OSS does. `refusals` was
written from OSS's documentation.

test_form_upload.py tests forms with a browser and with curl.
"""

from __future__ import annotations

import base64
import calendar
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configuration import Configuration, configuration
from token_service.app import App
from token_service.grant import object_keys as keys
from token_service.grant.grants import Grant
from token_service.grant.refusals import InvalidParameter
from token_service.http import fc_event
from token_service.login.callers import Login
from token_service.settings.values import AccessKey
from token_service.signing import forms
from tried import examples

Env = dict[str, str]
MakeEvent = Callable[..., bytes]
Form = dict[str, Any]

NOW = 1702743657
KEY = AccessKey("LTAI5tFunctionKeyId", "function-access-key-secret", None)
TEMPORARY = AccessKey("STS.FunctionKeyId", "temporary-secret", "CAIS/token+with=all")
PREFIX = Grant("my-bucket", "uploads/alice/", None, "bucket_write_policy", 900, "alice")


@pytest.fixture
def settings(env: Env) -> Configuration:
    return configuration({**env, "URL_EXPIRE_TIME_MAX": "604800"})


def signed(
    settings: Configuration, grant: Grant = PREFIX, key: AccessKey = KEY, **wishes: str
) -> Form:
    return forms.signed_form(
        grant, forms.read_wish(wishes, settings.limits, key, None), settings.settings, key, NOW
    )


def policy_of(fields: Env) -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(base64.b64decode(fields["policy"], validate=True))
    return policy


OPERATORS: dict[str, Callable[[str, Any], bool]] = {
    "eq": lambda actual, value: bool(actual == value),
    "starts-with": lambda actual, value: actual.startswith(value),
    "in": lambda actual, value: actual in value,
}


def refusals(
    fields: Env, secret: str, *, size: int = 1, content_type: str = "", late: float = 0
) -> set[str]:
    """Return why OSS would refuse a form: "signature", "expiration", or the name of a condition
    that is not met. An empty text means that the form is accepted.

    Field names are compared in lower case. It is not documented whether "$content-type" means the
    field of that name or the object's type. Therefore the form is checked with both meanings, and
    the result has the outcomes of both checks.
    """
    given = {name.lower(): value for name, value in fields.items()}
    given["bucket"] = "my-bucket"
    _, day, region, product, request = given["x-oss-credential"].split("/")
    key = f"aliyun_v4{secret}".encode()
    for part in (day, region, product, request):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    expected = hmac.new(key, given["policy"].encode(), hashlib.sha256).hexdigest()
    if given["x-oss-signature"] != expected or not given["x-oss-date"].startswith(day):
        return {"signature"}
    policy = policy_of(given)
    end = calendar.timegm(time.strptime(policy["expiration"], "%Y-%m-%dT%H:%M:%S.000Z"))
    if NOW + late > end:
        return {"expiration"}
    stored = given.get("x-oss-content-type") or content_type
    return {
        next(failed(policy, reading, size), "")
        for reading in (given, {**given, "content-type": stored})
    }


def failed(policy: dict[str, Any], given: Env, size: int) -> Iterator[str]:
    for condition in policy["conditions"]:
        if isinstance(condition, dict):
            ((name, value),) = condition.items()
            condition = ["eq", f"${name}", value]
        operator, name, *values = condition
        if operator == "content-length-range":
            least, most = condition[1:]
            name, holds = "size", least <= size <= most
        else:
            actual = given.get(name.removeprefix("$"))
            holds = actual is not None and OPERATORS[operator](actual, values[0])
        if not holds:
            yield name.removeprefix("$")


def refusal(fields: Env, secret: str, **more: Any) -> str:
    """Return why OSS refuses the form, or "" if OSS accepts it. Fails if `refusals` has more than
    one result, because then the result depends on what "$content-type" means."""
    (result,) = refusals(fields, secret, **more)
    return result


@pytest.mark.parametrize("key", [KEY, TEMPORARY], ids=["long-lived", "temporary"])
def test_a_form_is_what_oss_accepts(settings: Configuration, key: AccessKey) -> None:
    fields = signed(settings, key=key)["Fields"]
    assert refusal(fields, key.access_key_secret, size=1024**3) == ""
    assert refusal(fields, key.access_key_secret, size=0, late=900) == ""
    assert fields.get("x-oss-security-token") == key.security_token


def test_an_altered_form_is_refused(settings: Configuration) -> None:
    form = signed(settings, key=TEMPORARY)
    fields, secret = form["Fields"], TEMPORARY.access_key_secret
    wider = policy_of(fields)
    wider["conditions"] = [{"bucket": "my-bucket"}]
    altered = base64.b64encode(json.dumps(wider).encode()).decode()
    assert refusal({**fields, "policy": altered}, secret) == "signature"
    assert refusal({**fields, "x-oss-date": "20231216T162058Z"}, secret) == "x-oss-date"
    assert refusal({**fields, "x-oss-security-token": "x"}, secret) == "x-oss-security-token"
    without = {name: value for name, value in fields.items() if name != "x-oss-security-token"}
    assert refusal(without, secret) == "x-oss-security-token"
    other = fields["x-oss-credential"].replace("STS.", "LTAI")
    assert refusal({**fields, "x-oss-credential": other}, secret) == "x-oss-credential"


def test_an_expired_form_is_refused(settings: Configuration) -> None:
    form = signed(settings, expires="60")
    assert form["Expiration"] == "2023-12-16T16:21:57Z"
    assert refusal(form["Fields"], KEY.access_key_secret, late=60) == ""
    assert refusal(form["Fields"], KEY.access_key_secret, late=61) == "expiration"


def test_a_form_is_for_the_callers_prefix(settings: Configuration) -> None:
    form = signed(settings)
    assert form["Prefix"] == "uploads/alice/"
    assert form["Fields"]["key"] == "uploads/alice/${filename}"
    for key in ("uploads/bob/x", "uploads/alice", "uploads/alicex", "", "x/uploads/alice/y"):
        fields = {**form["Fields"], "key": key}
        assert refusal(fields, KEY.access_key_secret) == "key"


@pytest.mark.tries("forms")
@examples(100)
@given(st.text(st.sampled_from("./\\$*?{}a") | st.characters(exclude_categories=["Cs"])))
def test_no_file_name_leads_out_of_the_prefix(name: str) -> None:
    """OSS inserts the file name into the key after the check, and does not resolve "../" in the
    key."""
    form = signed(ANY)
    assert refusal(form["Fields"], KEY.access_key_secret) == ""
    assert form["Fields"]["key"].replace("${filename}", name) == f"uploads/alice/{name}"


def test_a_form_for_one_object_takes_that_key_only(settings: Configuration) -> None:
    form = signed(settings, PREFIX._replace(object_key="uploads/alice/a.jpg"))
    assert form["Fields"]["key"] == form["Scope"]["Object"] == "uploads/alice/a.jpg"
    assert form["Prefix"] == form["dir"] == "uploads/alice/"
    assert refusal(form["Fields"], KEY.access_key_secret) == ""
    for key in ("uploads/alice/a.jpg2", "uploads/alice/", "uploads/alice/${filename}"):
        assert refusal({**form["Fields"], "key": key}, KEY.access_key_secret) == "key"


def test_a_file_that_is_too_large_is_refused(env: Env) -> None:
    settings = configuration({**env, "UPLOAD_MAX_BYTES": "1000"})
    for form, most in ((signed(settings), 1000), (signed(settings, max_bytes="10"), 10)):
        assert form["Scope"]["MaxBytes"] == most
        assert refusal(form["Fields"], KEY.access_key_secret, size=most) == ""
        assert refusal(form["Fields"], KEY.access_key_secret, size=most + 1) == "size"


@pytest.mark.parametrize("wish", ["1001", "0", "-1", "", "1e3", "\u0661", "9" * 5000])
def test_a_wish_for_other_sizes_is_refused(env: Env, wish: str) -> None:
    settings = configuration({**env, "UPLOAD_MAX_BYTES": "1000"})
    with pytest.raises(
        InvalidParameter, match=r"max_bytes: must be whole bytes, 1 to 1000 \(UPLOAD_MAX_BYTES\)"
    ):
        signed(settings, max_bytes=wish)


@pytest.mark.parametrize(
    ("allowed", "wish", "good", "bad"),
    [
        ("image/png,image/jpeg", None, "image/jpeg", "text/html"),
        ("image/*", "image/webp", "image/webp", "imagex/png"),
        ("image/*", "image/webp", "image/webp", "image/webp,text/html"),
        ("", "video/mp4", "video/mp4", "image/png"),
    ],
)
def test_a_file_of_another_type_is_refused(
    env: Env, allowed: str, wish: str | None, good: str, bad: str
) -> None:
    settings = configuration({**env, "UPLOAD_CONTENT_TYPES": allowed})
    fields = (signed(settings, content_type=wish) if wish else signed(settings))["Fields"]
    secret = KEY.access_key_secret

    def refused(field: str, stored: str, own: str) -> set[str]:
        types = {"Content-Type": field, "x-oss-content-type": stored}
        return refusals({**fields, **types}, secret, content_type=own)

    assert refused(good, good, good) == refused(good, good, bad) == {""}
    for field, own in ((good, good), (bad, good), (bad, bad)):
        assert "" not in refused(field, bad, own)
    # Without the fields for the type, it would be unclear which type OSS checks and stores.
    bare = {name: value for name, value in fields.items() if name not in TYPE_FIELDS}
    assert "" not in refusals(bare, secret, content_type=good)


TYPE_FIELDS = ("content-type", "x-oss-content-type")


def test_the_one_type_of_a_form_is_in_its_fields(settings: Configuration) -> None:
    """Browsers choose the type that they send with the file."""
    form = signed(settings, content_type="image/png")
    fields, secret = form["Fields"], KEY.access_key_secret
    assert fields["content-type"] == fields["x-oss-content-type"] == "image/png"
    assert form["Scope"]["ContentTypes"] == ["image/png"]
    assert refusal(fields, secret, content_type="x/y") == ""
    for name in ("content-type", "x-oss-content-type"):
        assert refusals({**fields, name: "text/html"}, secret) - {""}


def test_fields_of_the_operator_cannot_be_left_out_or_changed(settings: Configuration) -> None:
    wish = forms.read_wish({}, settings.limits, KEY, None)
    more = {"callback": "eyJ9", "x:caller": "alice"}
    form: Form = forms.signed_form(PREFIX, wish, settings.settings, KEY, NOW, more)
    fields, secret = form["Fields"], KEY.access_key_secret
    assert form["callback"] == fields["callback"] == "eyJ9"
    assert refusal(fields, secret) == ""
    assert refusal({**fields, "x:caller": "bob"}, secret) == "x:caller"
    without = {name: value for name, value in fields.items() if name != "callback"}
    assert refusal(without, secret) == "callback"


@pytest.mark.parametrize("key", [KEY, TEMPORARY], ids=["long-lived", "temporary"])
def test_the_front_ends_of_the_vendors_samples_work_unchanged(
    settings: Configuration, key: AccessKey
) -> None:
    """The test uses the answer as the vendor's front ends for web pages and mini programs do."""
    data = signed(settings, key=key)
    form = {
        "success_action_status": "200",
        "policy": data["policy"],
        "x-oss-signature": data["signature"],
        "x-oss-signature-version": data["x_oss_signature_version"],
        "x-oss-credential": data["x_oss_credential"],
        "x-oss-date": data["x_oss_date"],
        "key": data["dir"] + "photo.jpg",
        "x-oss-security-token": data["security_token"],
    }
    assert refusal(form, key.access_key_secret) == ""
    assert data["host"] == "https://my-bucket.oss-cn-hangzhou.aliyuncs.com"
    assert data["Url"] == f"{data['host']}/"
    assert form["x-oss-security-token"] == (key.security_token or "")


def test_the_answer_has_the_fields_the_vendors_names_and_its_scope(
    settings: Configuration,
) -> None:
    answer = signed(settings, key=TEMPORARY, content_type="image/png", disposition="inline")
    fields = answer["Fields"]
    exact = {
        "x-oss-signature-version": "OSS4-HMAC-SHA256",
        "x-oss-credential": "STS.FunctionKeyId/20231216/cn-hangzhou/oss/aliyun_v4_request",
        "x-oss-date": "20231216T162057Z",
        "x-oss-security-token": "CAIS/token+with=all",
        "content-disposition": "inline",
    }
    assert fields == {
        "key": "uploads/alice/${filename}",
        "success_action_status": "200",
        "policy": answer["policy"],
        **exact,
        "x-oss-signature": answer["signature"],
        "content-type": "image/png",
        "x-oss-content-type": "image/png",
    }
    assert refusal(fields, TEMPORARY.access_key_secret) == ""
    assert {name: value for name, value in answer.items() if name != "Fields"} == {
        "StatusCode": 200,
        "Url": "https://my-bucket.oss-cn-hangzhou.aliyuncs.com/",
        "Expiration": "2023-12-16T16:35:57Z",
        "Prefix": "uploads/alice/",
        "policy": fields["policy"],
        "x_oss_signature_version": exact["x-oss-signature-version"],
        "x_oss_credential": exact["x-oss-credential"],
        "x_oss_date": exact["x-oss-date"],
        "signature": fields["x-oss-signature"],
        "security_token": exact["x-oss-security-token"],
        "dir": "uploads/alice/",
        "host": "https://my-bucket.oss-cn-hangzhou.aliyuncs.com",
        "Scope": {
            "Bucket": "my-bucket",
            "Region": "cn-hangzhou",
            "Policy": "bucket_write_policy",
            "MaxBytes": 1024**3,
            "ContentTypes": ["image/png"],
        },
    }


def test_a_form_for_one_object_names_it_and_one_of_any_type_names_none(
    settings: Configuration,
) -> None:
    plain, one = (
        signed(settings, grant)
        for grant in (PREFIX, PREFIX._replace(object_key="uploads/alice/a.jpg"))
    )
    assert set(one) - set(plain) == set(one["Scope"]) - set(plain["Scope"]) == {"Object"}
    assert one["Object"] == one["Scope"]["Object"] == "uploads/alice/a.jpg"
    assert set(plain["Scope"]) == {"Bucket", "Region", "Policy", "MaxBytes"}
    assert "callback" not in plain
    assert not {"content-type", "x-oss-content-type"} & set(plain["Fields"])


def test_a_wish_for_a_forms_life_is_cut_to_the_logins_and_to_the_keys(
    settings: Configuration,
) -> None:
    wishes = {"expires": "7200"}
    assert forms.read_wish(wishes, settings.limits, KEY, None).seconds == 7200
    login = Login("alice", None, 300)
    assert forms.read_wish(wishes, settings.limits, KEY, login).seconds == 300
    with pytest.raises(InvalidParameter, match="expires: "):
        forms.read_wish(wishes, settings.limits, TEMPORARY, None)


def test_the_policy_is_that_of_the_vendors_documentation(settings: Configuration) -> None:
    assert policy_of(signed(settings, key=TEMPORARY)["Fields"]) == {
        "expiration": "2023-12-16T16:35:57.000Z",
        "conditions": [
            {"bucket": "my-bucket"},
            {"x-oss-signature-version": "OSS4-HMAC-SHA256"},
            {
                "x-oss-credential": "STS.FunctionKeyId/20231216/cn-hangzhou/oss/aliyun_v4_request",
            },
            {"x-oss-date": "20231216T162057Z"},
            {"x-oss-security-token": "CAIS/token+with=all"},
            ["starts-with", "$key", "uploads/alice/"],
            ["content-length-range", 0, 1024**3],
        ],
    }


@pytest.mark.tries("forms")
@examples(100)
@given(st.text(st.sampled_from("\"'\\]}/\u7167\u00e9 %") | st.characters(), min_size=1))
def test_a_hostile_key_stays_in_its_condition(name: str) -> None:
    key = f"uploads/alice/{name}"
    if keys.fault(key):
        return
    form = signed(ANY, PREFIX._replace(object_key=key))
    policy = policy_of(form["Fields"])
    assert ["eq", "$key", key] in policy["conditions"]
    assert len(policy["conditions"]) == 6
    assert refusal(form["Fields"], KEY.access_key_secret) == ""


SOUND = {
    "ROLE_ARN": "acs:ram::1234567890123456:role/upload",
    "BUCKET_NAME": "my-bucket",
    "OSS_REGION": "cn-hangzhou",
    "AUTH": "anonymous",
}
ANY = configuration(SOUND)
BOUND = configuration({**SOUND, "UPLOAD_MAX_BYTES": "100", "UPLOAD_CONTENT_TYPES": "image/*"})
OTHER_TYPES = ["", "image/gif", "image/svg+xml", "image/png,text/html", "image/*"]
OUTSIDE = ["uploads/bob/a", "uploads/alice", "uploads/alicex/a", "", "x/uploads/alice/a"]


@pytest.mark.tries("forms")
@examples(100)
@given(
    wishes=st.fixed_dictionaries(
        {"content_type": st.sampled_from(["image/png", "image/jpeg"])},
        optional={"max_bytes": st.integers(1, 100), "expires": st.integers(1, 900)},
    ),
    name=st.none() | st.text("ab/.", min_size=1, max_size=6),
    wider=st.sampled_from(["", "size", "expiration", "key", "content-type"]),
    data=st.data(),
)
def test_a_form_takes_what_was_wished_for_and_nothing_wider(
    wishes: dict[str, object], name: str | None, wider: str, data: st.DataObject
) -> None:
    """Sizes are limited to the byte, and times to the second. A form that exceeds one limit is
    refused because of this limit."""
    texts: dict[str, Any] = {wish: str(value) for wish, value in wishes.items()}
    grant = PREFIX if name is None else PREFIX._replace(object_key=PREFIX.prefix + name)
    fields = dict(signed(BOUND, grant, **texts)["Fields"])
    if name is None:
        fields["key"] = PREFIX.prefix + data.draw(st.text(max_size=6))
    if wider == "key":
        fields["key"] = data.draw(st.sampled_from(OUTSIDE))
    if wider == "content-type":
        other = data.draw(st.sampled_from(OTHER_TYPES))
        fields.update(dict.fromkeys(["content-type", "x-oss-content-type"], other))
    size = int(texts.get("max_bytes", 100)) + (wider == "size")
    late = int(texts.get("expires", 900)) + (wider == "expiration")
    assert refusal(fields, KEY.access_key_secret, size=size, late=late) == wider


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_form_is_answered_while_sts_is_down(env: Env, make_event: MakeEvent, method: str) -> None:
    event = make_event(method, "/form", queryParameters={"expires": "60"})
    answer = json.loads(App(env).respond(lambda: fc_event.read(event)).body)
    assert answer["StatusCode"] == 200
    assert set(answer) == {
        "StatusCode",
        "Url",
        "Fields",
        "Expiration",
        "Prefix",
        "policy",
        "x_oss_signature_version",
        "x_oss_credential",
        "x_oss_date",
        "signature",
        "security_token",
        "dir",
        "host",
        "Scope",
    }


def test_a_caller_who_may_not_write_gets_no_form(env: Env, make_event: MakeEvent) -> None:
    event = make_event("GET", "/form")
    app = App({**env, "POLICY_FILE": "bucket_read_policy"})
    answer = json.loads(app.respond(lambda: fc_event.read(event)).body)
    assert (answer["StatusCode"], answer["ErrorCode"]) == (403, "NotAllowed")
