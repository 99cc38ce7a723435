"""Vulnerabilities of earlier versions. The tests repeat the attacks that found these
vulnerabilities.

If a fault can be shown with one module, its test is among the tests of that module. PAST_FAULTS
lists all faults and their tests, and why some faults are not fixed yet.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import oss2
import pytest

from running_cloud import RunningCloud, Token, running_cloud
from sandbox.identities import AccessKey
from sandbox.ram import Policy
from scripted_sts import scripted_sts, success
from signed_logins import SECRET, login
from token_service.app import App
from token_service.http.messages import Request

Env = dict[str, str]
ROOT = Path(__file__).parents[1]

HERE = "tests/test_past_faults.py"
PAST_FAULTS = {
    "A1 the sandbox signed for production": (
        "tests/sandbox/test_nothing_real.py",
        "tests/sandbox/test_private_url.py",
        "tests/sandbox/test_command_line.py",
        "tests/sandbox/test_environment.py",
    ),
    "A2 a signed GET followed a link to a neighbour's object": (
        f"{HERE}::test_a2_a_link_made_before_reads_no_neighbours_object",
        f"{HERE}::test_a2_nor_does_a_chain_of_links",
        f"{HERE}::test_a2_nor_does_an_image_that_is_a_link",
        "tests/test_users.py::test_a_link_of_a_read_only_caller_leads_to_nobody_elses_object",
    ),
    "A3 the same, out of the prefix": (f"{HERE}::test_a3_a_wide_function_role_is_lent_to_nobody",),
    "A3b the emergency stop stopped half": (
        f"{HERE}::test_a3b_after_the_emergency_stop_nothing_works_and_nothing_is_given_out",
        "tests/login/test_brakes.py",
        "tests/callback/test_callback_route.py::test_an_upload_of_a_denied_caller_is_reported_as_denied",
    ),
    "A4 one caller emptied the cache and spent the quota": (
        f"{HERE}::test_a4_a_thousand_wishes_of_one_caller_cost_the_others_nothing",
        f"{HERE}::test_a4_urls_forms_and_listings_are_shared_out_too",
        "tests/token/test_cache.py::test_one_caller_evicts_nobody_elses_credentials",
        "tests/ops/test_doctor.py::test_a_missing_rate_limit_is_warned_of",
    ),
    "A5 limits bound forms only": (
        "tests/test_limits.py",
        "tests/routes/test_enabled_routes.py",
        "tests/settings/test_values.py::test_limits_that_do_not_bind_tokens_are_warned_of",
    ),
    "A6 an ACL in an upload was said to be refused": (
        "tests/ops/test_smoke_acl.py",
        "tests/ops/test_explain.py",
        "tests/test_documents.py::test_what_an_acl_does_on_the_real_oss_is_no_fact",
    ),
    "A7 overwriting is deleting": (
        "tests/test_limits.py::test_nothing_that_is_there_is_replaced",
        "tests/grant/test_auto_names.py",
    ),
    "A8 packages were pinned by version, not by hash": (
        "tests/ops/test_install.py::test_a_file_that_is_not_the_locked_one_is_never_installed",
        "tests/ops/test_install.py::test_a_source_that_is_not_named_is_never_built",
        "tests/ops/test_lock.py",
        "tests/ops/test_own_files.py",
        "tests/ops/test_audit.py",
    ),
    "A9 a token outlived its login": (
        f"{HERE}::test_a9_sixty_asks_of_a_login_with_five_minutes_left_cost_one_call_of_sts",
        f"{HERE}::test_a9_a_wish_is_cut_to_what_is_left_of_the_login",
        f"{HERE}::test_a9_urls_and_forms_are_cut_too_but_never_under_a_minute",
        "tests/grant/test_grants.py::test_no_wish_outlives_its_login_by_more_than_the_shortest_session",
    ),
    "A10 types that run in a browser": (
        "tests/signing/test_signed_url_use.py::test_a_page_that_was_uploaded_runs_in_no_browser",
        "tests/signing/test_upload_headers.py",
        "tests/grant/test_content_types.py",
    ),
    "A11 plain HTTP": ("tests/test_documents.py::test_apps_are_told_that_the_url_is_https",),
    "A12 roles are wider than the configuration": "needs roles derived from the policies",
    "A13 one object, many ids": (
        "tests/callback/test_verify.py::test_an_uploader_cannot_multiply_the_id_of_one_stored_object",
    ),
    "A14 between the check and the use": ("tests/callback/test_callback_round_trip.py",),
    "A15 x-oss-process": ("tests/signing/test_image_operations.py",),
    "A16 secrets that can be guessed": ("tests/ops/test_entropy.py",),
    "A17 the snippet that verifies": ("tests/callback/test_webhook.py",),
    "A18 no way to report a hole": ("tests/test_documents.py",),
    "A19 said twice, empty aud, key_ops, names": (
        "tests/grant/test_grants.py",
        "tests/grant/test_object_keys.py",
        "tests/login/test_logins.py",
        "tests/login/test_jwks.py",
    ),
}
"""For each finding: the tests that would detect it again, or why it is not fixed. Without the fix,
each of these tests failed."""

SECRET_TEXT = b"BOB-SECRET"


def test_every_past_fault_has_its_tests_or_its_reason() -> None:
    assert [key.split()[0] for key in PAST_FAULTS] == [
        *("A1", "A2", "A3", "A3b"),
        *(f"A{number}" for number in range(4, 20)),
    ]
    for tests in PAST_FAULTS.values():
        for test in () if isinstance(tests, str) else tests:
            name, _, function = test.partition("::")
            text = (ROOT / name).read_text(encoding="utf-8")
            assert f"def {function or 'test_'}" in text, test


def ask(app: App, path: str = "/", **query: str) -> dict[str, Any]:
    request = Request("GET", path, query)
    answer: dict[str, Any] = json.loads(app.respond(lambda: request).body)
    return answer


def fetch(url: str, method: str = "GET") -> tuple[int, bytes]:
    """Fetch a URL with curl. Return the status and the body."""
    head = ["--head"] if method == "HEAD" else []
    done = subprocess.run(
        ["curl", "-s", "--max-time", "10", *head, "-w", "\n%{http_code}", url],  # noqa: S607
        capture_output=True,
        check=True,
    )
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def signed(app: App, name: str, method: str = "GET", **query: str) -> tuple[int, bytes]:
    """Get a signed URL for an object, and send a request to it. Return the status and the body."""
    answer = ask(app, "/signed-url", object=name, method=method, **query)
    assert answer["StatusCode"] == 200, answer
    return fetch(answer["Url"], method)


# A2: a signed GET followed a symbolic link to a neighbour's object


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[RunningCloud]:
    """A cloud with the default policy of a deployment, by which each user may write."""
    with running_cloud(tmp_path / "cloud", AUTH="jwt") as cloud:
        bob = cloud.token(access_token=cloud.login("bob")).oss2("v4")
        bob.put_object("uploads/bob/secret.txt", SECRET_TEXT)
        bob.put_object("uploads/bob/secret.png", picture())
        yield cloud


def picture() -> bytes:
    """The smallest PNG."""
    return bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360"
        "6060600000000500015ad4d1c40000000049454e44ae426082"
    )


@pytest.fixture(params=["another deployment", "the policy changed"])
def reader(request: pytest.FixtureRequest, cloud: RunningCloud) -> Iterator[App]:
    """A function whose callers may read, but not write. There are two cases: a second function for
    the same bucket, and the same function after its POLICY_FILE was changed from write to read."""
    env = {**cloud.env, "POLICY_FILE": "bucket_read_policy"}
    if request.param == "another deployment":
        env["ROLE_ARN"] = cloud.env["ROLE_ARN"]
        env["OBJECT_PREFIX"] = "uploads/"
    with closing(App(env)) as app:
        yield app


def link(cloud: RunningCloud, target: str, name: str) -> None:
    """Make a symbolic link in alice's folder, with a token of alice, who may write there."""
    alice = cloud.token(access_token=cloud.login("alice")).oss2("v4")
    alice.put_symlink(target, f"uploads/alice/{name}")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a2_a_link_made_before_reads_no_neighbours_object(
    cloud: RunningCloud, reader: App, method: str
) -> None:
    link(cloud, "uploads/bob/secret.txt", "link.txt")
    status, body = signed(reader, "link.txt", method, access_token=cloud.login("alice"))
    assert (status, SECRET_TEXT in body) == (403, False)


def test_a2_nor_does_a_chain_of_links(cloud: RunningCloud, reader: App) -> None:
    link(cloud, "uploads/bob/secret.txt", "first")
    link(cloud, "uploads/alice/first", "second")
    link(cloud, "uploads/alice/second", "third")
    for name in ("first", "second", "third"):
        status, body = signed(reader, name, access_token=cloud.login("alice"))
        assert status in (400, 403)
        assert SECRET_TEXT not in body


def test_a2_nor_does_an_image_that_is_a_link(cloud: RunningCloud, reader: App) -> None:
    link(cloud, "uploads/bob/secret.png", "link.png")
    wishes = {"x-oss-process": "image/info", "access_token": cloud.login("alice")}
    status, body = signed(reader, "link.png", **wishes)
    assert (status, b"ImageWidth" in body) == (403, False)
    # For an object that alice stored herself, the same request succeeds.
    alice = cloud.token(access_token=cloud.login("alice")).oss2("v4")
    alice.put_object("uploads/alice/own.png", picture())
    status, body = signed(reader, "own.png", **wishes)
    assert (status, b"ImageWidth" in body) == (200, True)


def test_a2_a_link_to_ones_own_object_leads_there(cloud: RunningCloud, reader: App) -> None:
    alice = cloud.token(access_token=cloud.login("alice")).oss2("v4")
    alice.put_object("uploads/alice/own.txt", b"alice's")
    link(cloud, "uploads/alice/own.txt", "link.txt")
    assert signed(reader, "link.txt", access_token=cloud.login("alice")) == (200, b"alice's")


def test_a2_a_listing_says_nothing_of_what_a_link_leads_to(
    cloud: RunningCloud, reader: App
) -> None:
    for target in ("uploads/bob/secret.txt", "uploads/bob/nothing"):
        link(cloud, target, "link.txt")
        (entry,) = ask(reader, "/uploads", details="1", access_token=cloud.login("alice"))[
            "Uploads"
        ]
        assert "ContentType" not in entry
        assert entry["Size"] == 0


# A3: a signed GET also followed links to objects outside the prefix, if the function's own key
# could read them


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a3_a_wide_function_role_is_lent_to_nobody(tmp_path: Path, method: str) -> None:
    policy = "bucket_read_write_policy"
    with running_cloud(tmp_path, AUTH="anonymous", POLICY_FILE=policy) as cloud:
        identities, account = cloud.cloud.identities, "acs:ram::1234567890123456"
        identities.attach(f"{account}:user/token-function", anything())
        owner = next(key for key in identities._keys.values() if key.policies is None)
        bucket_of(cloud, owner).put_object("private/payroll.csv", SECRET_TEXT)
        cloud.token().oss2("v4").put_symlink("private/payroll.csv", "uploads/x")
        status, body = signed(cloud.app, "x", method)
        assert (status, SECRET_TEXT in body) == (403, False)


def anything(effect: str = "Allow") -> Policy:
    statement = {"Effect": effect, "Action": ["oss:*", "sts:AssumeRole"], "Resource": "*"}
    return Policy.parse(json.dumps({"Version": "1", "Statement": [statement]}))


def bucket_of(cloud: RunningCloud, key: AccessKey) -> oss2.Bucket:
    token = cloud.token()
    auth = oss2.AuthV4(key.access_key_id, key.access_key_secret)
    return oss2.Bucket(auth, token.endpoint, token.bucket, region=token.region)


# A3b: the emergency stop only stopped tokens, not signed URLs and forms


def put(answer: dict[str, Any]) -> int:
    """Upload one byte by a signed URL or a form. Return the status."""
    fields = [f"{name}={value}" for name, value in answer.get("Fields", {}).items()]
    options = [option for field in fields for option in ("--form-string", field)]
    options += ["-F", "file=@-"] if fields else ["--upload-file", "-"]
    done = subprocess.run(
        ["curl", "-s", "--max-time", "10", "-w", "\n%{http_code}", *options, answer["Url"]],  # noqa: S607
        input=b"x",
        capture_output=True,
        check=True,
    )
    return int(done.stdout.rpartition(b"\n")[2])


def test_a3b_after_the_emergency_stop_nothing_works_and_nothing_is_given_out(
    tmp_path: Path,
) -> None:
    """Follow the steps of docs/security.md in their order. After each step, try the token, the URLs
    and the form that were issued before the first step."""
    policy = "bucket_read_write_policy"
    with running_cloud(tmp_path, AUTH="jwt", POLICY_FILE=policy) as cloud:
        token, url, form, download = (
            ask(cloud.app, path, access_token=cloud.login("alice"), **wishes)
            for path, wishes in (
                ("/", {}),
                ("/signed-url", {"object": "a"}),
                ("/form", {}),
                ("/signed-url", {"object": "a", "method": "GET"}),
            )
        )
        bucket = Token.of(token).oss2("v4")
        bucket.put_object("uploads/alice/a", b"x")
        assert fetch(download["Url"]) == (200, b"x")
        assert (put(url), put(form)) == (200, 200)

        identities, account = cloud.cloud.identities, "acs:ram::1234567890123456"
        # 1. The function role loses its rights. No new tokens are issued, and OSS refuses URLs and
        # forms that the function has signed.
        identities.attach(f"{account}:user/token-function")
        assert (put(url), put(form)) == (403, 403)
        cloud.app.close()
        with closing(App(cloud.env)) as fresh:
            refused = ask(fresh, access_token=cloud.login("bob"))
        assert refused["StatusCode"] != 200
        # 2. The upload role loses its rights. OSS then refuses all tokens that were issued before,
        # and the download URLs that were signed with a session of this role.
        assert fetch(download["Url"])[0] == 200
        identities.attach(cloud.env["ROLE_ARN"])
        assert fetch(download["Url"])[0] == 403
        with pytest.raises(oss2.exceptions.AccessDenied):
            bucket.put_object("uploads/alice/a", b"x")
        # 3. The secrets change, and LOGINS_NOT_BEFORE refuses every earlier login. For these
        # logins, the function issues no tokens, URLs or forms.
        stopped = {**cloud.env, "JWT_SECRET": "n" * 32, "LOGINS_NOT_BEFORE": str(int(time.time()))}
        with closing(App(stopped)) as app:
            for path in ("/", "/sts", "/signed-url", "/form", "/uploads"):
                answer = ask(app, path, object="a", access_token=cloud.login("alice"))
                assert answer["StatusCode"] == 401
                assert set(answer) == {"StatusCode", "ErrorCode", "ErrorMessage"}


# A4: one login evicted everybody's credentials from the cache, and used up the account's calls to
# STS


def test_a4_a_thousand_wishes_of_one_caller_cost_the_others_nothing(env: Env) -> None:
    with scripted_sts(success()) as server:
        env.update(AUTH="jwt", JWT_SECRET=SECRET, STS_ENDPOINT=server.url)
        with closing(App(env)) as app:
            victims = [login(sub=f"victim{number}") for number in range(200)]
            mallory = login(sub="mallory")
            for victim in victims:
                assert ask(app, access_token=victim)["StatusCode"] == 200
            asked = [ask(app, access_token=mallory, object=f"x{n}") for n in range(1000)]
            assert len(server.requests) == 200 + 60
            codes = {answer.get("ErrorCode") for answer in asked}
            assert codes == {None, "Throttling.Caller"}
            for victim in victims:
                assert ask(app, access_token=victim)["StatusCode"] == 200
            assert len(server.requests) == 260


def test_a4_without_the_rate_limit_the_others_keep_their_tokens_all_the_same(env: Env) -> None:
    with scripted_sts(success()) as server:
        env.update(AUTH="jwt", JWT_SECRET=SECRET, STS_ENDPOINT=server.url)
        env["CALLER_TOKENS_PER_MINUTE"] = "0"
        with closing(App(env)) as app:
            victims = [login(sub=f"victim{number}") for number in range(200)]
            mallory = login(sub="mallory")
            for victim in victims:
                ask(app, access_token=victim)
            for number in range(1000):
                ask(app, access_token=mallory, object=f"x{number}")
            for victim in victims:
                ask(app, access_token=victim)
            assert len(server.requests) == 1200


def test_a4_urls_forms_and_listings_are_shared_out_too(env: Env) -> None:
    with scripted_sts(success()) as server:
        env.update(AUTH="jwt", JWT_SECRET=SECRET, STS_ENDPOINT=server.url)
        env.update(CALLER_URLS_PER_MINUTE="5", OSS_INTERNAL_ENDPOINT=server.url)
        with closing(App(env)) as app:
            mallory, alice = login(sub="mallory"), login(sub="alice")
            paths = ["/signed-url", "/form"] * 3
            statuses = [
                ask(app, path, object="x", access_token=mallory)["StatusCode"] for path in paths
            ]
            assert statuses == [200] * 5 + [429]
            assert ask(app, "/form", access_token=alice)["StatusCode"] == 200
            listings = [ask(app, "/uploads", access_token=mallory) for _ in range(61)]
            assert [a.get("ErrorCode") == "Throttling.Caller" for a in listings] == (
                [False] * 60 + [True]
            )


# A9: with a wish, a token was valid for hours longer than its login


def test_a9_sixty_asks_of_a_login_with_five_minutes_left_cost_one_call_of_sts(env: Env) -> None:
    with scripted_sts(success()) as server:
        env.update(AUTH="jwt", JWT_SECRET=SECRET, STS_ENDPOINT=server.url)
        env["TOKEN_EXPIRE_TIME_MAX"] = "43200"
        ends = login(exp=int(time.time()) + 300)
        with closing(App(env)) as app:
            for number in range(60):
                wish = str(43200 - number)
                assert ask(app, access_token=ends, duration=wish)["StatusCode"] == 200
        assert [request["DurationSeconds"] for request in server.requests] == ["900"]


@pytest.mark.parametrize(
    ("left", "wish", "given"),
    [(2, 43200, 900), (1799, 1800, 900), (1801, 1800, 1800), (7300, 43200, 7200), (950, 1000, 900)],
)
def test_a9_a_wish_is_cut_to_what_is_left_of_the_login(
    env: Env, left: int, wish: int, given: int
) -> None:
    with scripted_sts(success()) as server:
        env.update(AUTH="jwt", JWT_SECRET=SECRET, STS_ENDPOINT=server.url)
        env["TOKEN_EXPIRE_TIME_MAX"] = "43200"
        with closing(App(env)) as app:
            ends = login(exp=int(time.time()) + left)
            assert ask(app, access_token=ends, duration=str(wish))["StatusCode"] == 200
        assert [request["DurationSeconds"] for request in server.requests] == [str(given)]


def test_a9_credentials_of_a_longer_login_are_not_served_to_one_that_ends(env: Env) -> None:
    with scripted_sts(success()) as server:
        env.update(AUTH="jwt", JWT_SECRET=SECRET, STS_ENDPOINT=server.url)
        env["TOKEN_EXPIRE_TIME_MAX"] = "43200"
        with closing(App(env)) as app:
            for left in (20_000, 300):
                ask(app, access_token=login(exp=int(time.time()) + left), duration="18000")
        assert [request["DurationSeconds"] for request in server.requests] == ["18000", "900"]


@pytest.mark.parametrize("path", ["/signed-url", "/form"])
@pytest.mark.parametrize(("left", "longest"), [(2, 60), (500, 500), (5000, 3600)])
def test_a9_urls_and_forms_are_cut_too_but_never_under_a_minute(
    env: Env, path: str, left: int, longest: int
) -> None:
    env.update(AUTH="jwt", JWT_SECRET=SECRET, URL_EXPIRE_TIME_MAX="86400")
    with closing(App(env)) as app:
        began = time.time()
        ends = login(exp=int(began) + left)
        made = ask(app, path, object="a", access_token=ends, expires="3600")
        expiration = time.mktime(time.strptime(made["Expiration"], "%Y-%m-%dT%H:%M:%SZ"))
        lives = expiration - time.timezone - began
        assert longest - 2 <= lives <= longest + 2
        # Without a wish, a URL or form lives as long as the operator has set. A login that expires
        # sooner does not shorten this time.
        own = ask(app, path, object="a", access_token=ends)
        assert own["Expiration"] > made["Expiration"] or longest >= 900
