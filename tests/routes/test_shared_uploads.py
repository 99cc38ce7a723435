"""GET /uploads with AUTH=anonymous lists only objects that the default policy allows everybody to
list."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from running_cloud import RunningCloud, running_cloud
from scripted_sts import answer as oss_answer
from scripted_sts import scripted_sts
from token_service import warnings
from token_service.app import App
from token_service.grant.policies import Policies
from token_service.http.messages import Request
from token_service.settings.reading import read_settings

Env = dict[str, str]
Statement = dict[str, object]

BUCKET = "acs:oss:*:*:my-bucket"
OWN: dict[str, object] = {"StringLike": {"oss:Prefix": ["uploads/*"]}}
LIST: Statement = {
    "Effect": "Allow",
    "Action": ["oss:ListObjects"],
    "Resource": [BUCKET],
    "Condition": OWN,
}
READ: Statement = {
    "Effect": "Allow",
    "Action": ["oss:GetObject"],
    "Resource": [f"{BUCKET}/uploads/*"],
}
PAGE = (
    b"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
    b"</ListBucketResult>"
)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    folder = tmp_path_factory.mktemp("cloud")
    with running_cloud(folder, AUTH="anonymous", POLICY_FILE="bucket_read_write_policy") as running:
        bucket = running.token().oss2("v4")
        for name in ("a.jpg", "b.jpg", "c/d.jpg"):
            bucket.put_object(f"uploads/{name}", b"x", {"Content-Type": "image/jpeg"})
        yield running


def keys_of(found: dict[str, Any]) -> list[str]:
    assert found["StatusCode"] == 200, found
    return sorted(entry["Key"] for entry in found["Uploads"])


def test_everybody_sees_the_shared_folder_where_the_policy_lets_them_list_it(
    cloud: RunningCloud,
) -> None:
    found = cloud.answer(path="/uploads")
    assert found["Prefix"] == "uploads/"
    assert keys_of(found) == ["uploads/a.jpg", "uploads/b.jpg", "uploads/c/d.jpg"]
    # A token lists the same objects.
    listed = cloud.token().oss2("v4").list_objects_v2(prefix="uploads/")
    assert [one.key for one in listed.object_list] == keys_of(found)


def test_content_types_come_on_request(cloud: RunningCloud) -> None:
    for entry in cloud.answer(path="/uploads", details="1")["Uploads"]:
        assert entry["ContentType"] == "image/jpeg"


def test_pages_go_on_and_no_marker_leads_out_of_the_folder(cloud: RunningCloud) -> None:
    first = cloud.answer(path="/uploads", limit="2")
    rest = cloud.answer(path="/uploads", limit="2", marker=first["Marker"])
    assert keys_of(first) + keys_of(rest) == ["uploads/a.jpg", "uploads/b.jpg", "uploads/c/d.jpg"]
    for text in ("../", "../secret/", "\x00", "~", "b.jpg/../../z"):
        marker = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        for key in keys_of(cloud.answer(path="/uploads", marker=marker)):
            assert key.startswith("uploads/")


def asked(env: Env, tmp_path: Path, statements: Sequence[Statement], **query: str) -> str:
    """Return the outcome with the operator's own policy: StatusCode 200, or the ErrorCode."""
    policy = tmp_path / "own.json.j2"
    policy.write_text(json.dumps({"Version": "1", "Statement": list(statements)}))
    with scripted_sts(oss_answer(200, PAGE)) as oss:
        own = {**env, "POLICY_FILE": str(policy), "OSS_INTERNAL_ENDPOINT": oss.url}
        with closing(App(own)) as app:
            found = json.loads(app.respond(lambda: Request("GET", "/uploads", query)).body)
            health = json.loads(app.respond(lambda: Request("GET", "/health")).body)
    is_listed = found["StatusCode"] == 200
    assert is_listed == bool(oss.received)
    if "details" not in query:
        # /health has a warning if the route answers, and otherwise has none.
        assert (warnings.LISTED in health.get("Warnings", [])) == is_listed
    return "200" if is_listed else str(found["ErrorCode"])


@pytest.mark.parametrize(
    "statements",
    [
        [LIST],
        [LIST, READ],
        [{**LIST, "Condition": {"StringLike": {"oss:Prefix": "uploads/*"}}}],
        # These statements allow more than the list of this prefix.
        [{"Effect": "Allow", "Action": "oss:List*", "Resource": "*"}],
        [{"Effect": "Allow", "NotAction": "oss:DeleteObject", "Resource": BUCKET}],
        [LIST, {"Effect": "Deny", "Action": "oss:DeleteObject", "Resource": "*"}],
        [LIST, {"Effect": "Deny", "Action": "*", "Resource": "acs:oss:*:*:other/*"}],
    ],
)
def test_what_lets_everybody_list_the_folder_opens_it(
    env: Env, tmp_path: Path, statements: Sequence[Statement]
) -> None:
    assert asked(env, tmp_path, statements) == "200"


def condition(operator: str, **keys: object) -> Statement:
    return {**LIST, "Condition": {operator: {k.replace("_", ":"): v for k, v in keys.items()}}}


@pytest.mark.parametrize(
    "statements",
    [
        [READ],
        # The condition lacks the condition key oss:Prefix, or has other condition keys besides it.
        [condition("IpAddress", acs_SourceIp="203.0.113.0/24")],
        [condition("StringLike", oss_Delimiter="uploads/*")],
        [condition("StringLike", oss_Prefix="uploads/*", oss_Delimiter="/")],
        [{**LIST, "Condition": {**OWN, "Bool": {"acs:SecureTransport": "true"}}}],
        # The prefix in these conditions is not exactly the prefix of the shared folder.
        [condition("StringLike", oss_Prefix="*")],
        [condition("StringLike", oss_Prefix="upl*")],
        [condition("StringLike", oss_Prefix="up*ads/*")],
        [condition("StringLike", oss_Prefix="uploads/*/x*")],
        [condition("StringLike", oss_Prefix="uploads/")],
        [condition("StringLike", oss_Prefix="uploads/a*")],
        [condition("StringLike", oss_Prefix=["uploads/*", "other/*"])],
        [condition("StringLike", oss_Prefix=[])],
        # Another operator.
        [condition("StringEquals", oss_Prefix="uploads/*")],
        [condition("StringNotLike", oss_Prefix="uploads/*")],
        [condition("StringLikeIfExists", oss_Prefix="uploads/*")],
        [{**LIST, "Condition": None}],
        [{**LIST, "Condition": {}}],
        # Statements that name another bucket, another account, or objects. A listing needs the
        # bucket itself.
        [{**LIST, "Resource": "acs:oss:*:*:other"}],
        [{**LIST, "Resource": "acs:oss:*:999:my-bucket"}],
        [{**LIST, "Resource": f"{BUCKET}/uploads/*"}],
        [{**LIST, "Resource": f"{BUCKET}/*", "Action": "oss:*"}],
        # Another action.
        [{**LIST, "Action": "oss:ListParts"}],
        [{"Effect": "Allow", "NotAction": "oss:ListObjects", "Resource": BUCKET}],
        [{"Effect": "Allow", "NotAction": "oss:List*", "Resource": "*"}],
        # A Deny that may apply to the listing. A Deny counts without a condition, and also with any
        # condition.
        [LIST, {"Effect": "Deny", "Action": "oss:ListObjects", "Resource": BUCKET}],
        [LIST, {"Effect": "Deny", "Action": "oss:List*", "Resource": f"{BUCKET}/uploads/a*"}],
        [LIST, {"Effect": "Deny", "NotAction": "oss:GetObject", "Resource": "*"}],
        [LIST, {**LIST, "Effect": "Deny", "Condition": {"StringLike": {"oss:Prefix": "x*"}}}],
        [{**LIST, "Effect": "Deny"}, LIST],
        # Statements that are not understood.
        [LIST, {"Effect": "Deny", "Action": "oss:ListObjects", "NotResource": "acs:oss:*:*:x"}],
        [LIST, {**LIST, "Principal": "*"}],
        [{**LIST, "Effect": "allow"}],
    ],
)
def test_nothing_else_opens_it(env: Env, tmp_path: Path, statements: Sequence[Statement]) -> None:
    assert asked(env, tmp_path, statements) == "ListingRefused"


def test_content_types_need_the_right_to_read(env: Env, tmp_path: Path) -> None:
    """The function's own key may always read content types, so the function must check whether the
    policy allows it."""
    assert asked(env, tmp_path, [LIST], details="1") == "ListingRefused"
    assert asked(env, tmp_path, [LIST, READ], details="1") == "200"
    less = {**READ, "Resource": f"{BUCKET}/uploads/a/*"}
    assert asked(env, tmp_path, [LIST, less], details="1") == "ListingRefused"
    secret: Statement = {"Effect": "Deny", "Action": "*", "Resource": f"{BUCKET}/uploads/secret/*"}
    assert asked(env, tmp_path, [LIST, READ, secret], details="1") == "ListingRefused"


def test_a_policy_that_only_a_wish_chooses_opens_nothing(env: Env) -> None:
    """/uploads does not accept the wish `policy` either."""
    chosen = {**env, "POLICY_CHOICES": "bucket_read_write_policy,all_policy"}
    with closing(App(chosen)) as app:
        for query in ({}, {"policy": "bucket_read_write_policy"}):
            body = app.respond(partial(Request, "GET", "/uploads", query)).body
            assert json.loads(body)["StatusCode"] in (400, 403), body
        assert warnings.LISTED not in app.respond(lambda: Request("GET", "/health")).body


def test_a_template_that_fails_refuses_and_stops_nothing_else(env: Env, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json.j2"
    broken.write_text('{"Version": "1", "Statement": "{{ nobody }}"}')
    both = {**env, "POLICY_FILE": str(broken), "POLICY_CHOICES": "bucket_write_policy"}
    with closing(App(both)) as app:
        refused = json.loads(app.respond(lambda: Request("GET", "/uploads")).body)
        assert refused["ErrorCode"] == "ListingRefused"
        chosen = Request("GET", "/form", {"policy": "bucket_write_policy"})
        assert json.loads(app.respond(lambda: chosen).body)["StatusCode"] == 200


def test_a_refusal_says_what_would_allow_it(env: Env) -> None:
    with closing(App(env)) as app:
        found = json.loads(app.respond(lambda: Request("GET", "/uploads")).body)
    assert found["ErrorMessage"] == (
        "with AUTH=anonymous all callers share one folder, so one caller's uploads cannot be "
        "listed separately. To let everybody list the folder, set POLICY_FILE to "
        "bucket_read_policy or bucket_read_write_policy"
    )
    for name in ("bucket_read_policy", "bucket_read_write_policy", "all_policy"):
        settings = read_settings({**env, "POLICY_FILE": name})
        assert warnings.is_listed(settings, Policies([name]), with_details=True)
    settings = read_settings(env)
    assert not warnings.is_listed(settings, Policies(settings.policy_choices))


def test_the_log_warns_at_the_start(env: Env, caplog: pytest.LogCaptureFixture) -> None:
    with closing(App({**env, "POLICY_FILE": "bucket_read_policy"})) as app:
        app.warm()
    assert warnings.LISTED in caplog.messages


def test_with_logins_the_policy_of_all_opens_no_neighbours_folder(jwt_env: Env) -> None:
    env = {**jwt_env, "POLICY_FILE": "bucket_read_policy"}
    settings = read_settings(env)
    assert warnings.LISTED not in warnings.of(settings, Policies(settings.policy_choices), env)
