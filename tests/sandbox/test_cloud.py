"""Tests of the sandbox's cloud: its secrets, the rights of its role, its bucket for browsers."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import sqlite3
import stat
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import oss2
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pytest_mock import MockerFixture

from running_cloud import running_cloud
from sandbox import cloud
from sandbox.environment import ACCOUNT, sandbox_environment
from sandbox.identities import Identities, Identity
from sandbox.oss.overwrite import OverwriteRule, read_rules, store_rules
from sandbox.ram import Access

ROLE_ARN = f"acs:ram::{ACCOUNT}:role/sandbox-upload"
SEAL_KEY = "5ea1" * 16
SECRETS = cloud.Secrets("LTAIfunction", "secret", SEAL_KEY)
URL = "http://127.0.0.1:7080/key"


def test_state_lives_in_the_checkout_unless_a_folder_is_given() -> None:
    assert cloud.state_folder({}) == Path(__file__).parents[2] / ".sandbox"
    assert cloud.state_folder({"SANDBOX_DIR": ""}) == cloud.state_folder({})
    assert cloud.state_folder({"SANDBOX_DIR": "/somewhere"}) == Path("/somewhere")


def test_secrets_are_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    made = cloud.load_secrets(folder)
    assert cloud.load_secrets(folder) == made
    assert cloud.load_secrets(tmp_path / "another") != made
    assert [file.name for file in folder.iterdir()] == ["secrets.json"]


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    cloud.load_secrets(tmp_path)
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_secrets_are_hidden_in_repr(tmp_path: Path) -> None:
    made = cloud.load_secrets(tmp_path)
    for secret in vars(made).values():
        assert secret not in f"{made!r} {made}"


def test_seal_keys_have_256_bits(tmp_path: Path) -> None:
    assert len(bytes.fromhex(cloud.load_secrets(tmp_path).seal_key)) == 32


def test_secrets_of_a_version_without_logins_have_a_key_for_them_and_stay(tmp_path: Path) -> None:
    kept = {"access_key_id": "LTAIold", "access_key_secret": "old", "seal_key": SEAL_KEY}
    (tmp_path / "secrets.json").write_text(json.dumps(kept))
    made = cloud.load_secrets(tmp_path)
    assert len(made.jwt_secret) >= 32
    assert made.jwt_secret == cloud.load_secrets(tmp_path).jwt_secret
    assert json.loads((tmp_path / "secrets.json").read_text()) == kept


def test_the_key_of_logins_tells_nothing_of_the_seal_key_and_is_each_sandboxs_own(
    tmp_path: Path,
) -> None:
    one, other = (cloud.load_secrets(tmp_path / name) for name in ("one", "other"))
    assert one.jwt_secret != other.jwt_secret
    assert one.jwt_secret not in (one.seal_key, f"{one!r}")


def test_the_callback_key_is_made_once_beside_older_secrets(tmp_path: Path) -> None:
    secrets = cloud.load_secrets(tmp_path)
    signer = cloud.load_signer(tmp_path, URL)
    assert cloud.load_signer(tmp_path, URL).public_key == signer.public_key
    assert cloud.load_secrets(tmp_path) == secrets
    assert {file.name for file in tmp_path.iterdir()} == {"secrets.json", "callback_key.pem"}
    assert stat.S_IMODE((tmp_path / "callback_key.pem").stat().st_mode) == 0o600
    key = load_pem_private_key((tmp_path / "callback_key.pem").read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    assert key.key_size == 2048


def test_first_runs_at_once_agree_on_the_callback_key(tmp_path: Path) -> None:
    with threads() as executor:
        made = executor.map(lambda _: cloud.load_signer(tmp_path, URL).public_key, range(8))
    assert set(made) == {cloud.load_signer(tmp_path, URL).public_key}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"access_key_id": "a", "access_key_secret": "b", "seal_key": "c"}'],
)
def test_damaged_secrets_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "secrets.json").write_text(text)
    with pytest.raises(cloud.Damaged, match=r"secrets.json is damaged; `make clean`"):
        cloud.load_secrets(tmp_path)


def test_a_damaged_callback_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "callback_key.pem").write_text("-----BEGIN")
    with pytest.raises(cloud.Damaged, match=r"callback_key.pem is damaged"):
        cloud.load_signer(tmp_path, URL)


def test_a_damaged_index_is_named(tmp_path: Path) -> None:
    env = sandbox_environment({}, key=("LTAIfunction", "secret"), oss_port=7081, sts_port=7082)
    (tmp_path / "oss").mkdir()
    (tmp_path / "oss" / "index.sqlite3").write_bytes(b"x" * 5000)
    with pytest.raises(cloud.Damaged, match=r"oss is damaged"):
        cloud.create(env, tmp_path, SECRETS)


def test_a_locked_index_is_not_called_damaged(tmp_path: Path, mocker: MockerFixture) -> None:
    """Another process may be using the index, so nobody should be told to remove it."""
    env = sandbox_environment({}, key=("LTAIfunction", "secret"), oss_port=7081, sts_port=7082)
    mocker.patch.object(cloud, "Storage", side_effect=sqlite3.OperationalError("locked"))
    with pytest.raises(sqlite3.OperationalError):
        cloud.create(env, tmp_path, SECRETS)


def test_the_accounts_key_follows_from_the_seal_key_and_tells_nothing_of_it(
    identities: Identities,
) -> None:
    key_id, secret = SECRETS.account_key
    assert (
        identities.find(key_id, None).decide(Access("oss:PutBucket", "acs:oss:*:*:b", {})).allowed
    )
    assert SECRETS.seal_key not in key_id + secret
    assert replace(SECRETS, seal_key="0" * 64).account_key != (key_id, secret)


def threads() -> Executor:
    return ThreadPoolExecutor(8)


def processes() -> Executor:
    return ProcessPoolExecutor(3, multiprocessing.get_context("spawn"))


@pytest.mark.parametrize("workers", [threads, processes])
def test_first_runs_at_once_agree_on_the_secrets(
    tmp_path: Path, workers: Callable[[], Executor]
) -> None:
    folders = [tmp_path / str(number) for number in range(20) for _ in range(4)]
    with workers() as executor:
        made = list(executor.map(cloud.load_secrets, folders))
    for folder, secrets in zip(folders, made, strict=True):
        assert secrets == cloud.load_secrets(folder)
        assert [file.name for file in folder.iterdir()] == ["secrets.json"]


@pytest.fixture
def identities() -> Identities:
    env = sandbox_environment({}, key=("LTAIfunction", "secret"), oss_port=7081, sts_port=7082)
    return cloud.identities(env, SECRETS)


@pytest.fixture
def upload_role(identities: Identities) -> Identity:
    """A session of the role without a session policy. No token can have more rights than this
    session."""
    role = identities.role(ROLE_ARN)
    assert role is not None
    session = identities.assume(role, "phone", None, 900)
    return identities.find(session.access_key_id, session.security_token)


@pytest.fixture
def function_key(identities: Identities) -> Identity:
    return identities.find("LTAIfunction", None)


def oss(action: str, path: str, **context: str) -> Access:
    return Access(f"oss:{action}", f"acs:oss:*:{ACCOUNT}:{path}", context)


def listing(bucket: str, prefix: str) -> Access:
    return Access(
        "oss:ListObjects",
        f"acs:oss:*:{ACCOUNT}:{bucket}",
        {"oss:Prefix": prefix, "oss:Delimiter": ""},
    )


@pytest.mark.parametrize(
    "access",
    [
        oss("PutObject", "sandbox-bucket/uploads/a"),
        oss("GetObject", "sandbox-bucket/uploads/a/b ü:c"),
        oss("DeleteObject", "sandbox-bucket/uploads/a"),
        oss("PutObjectAcl", "sandbox-bucket/uploads/a"),
        oss("AbortMultipartUpload", "sandbox-bucket/uploads/"),
        listing("sandbox-bucket", "uploads/"),
        listing("sandbox-bucket", "uploads/a/"),
    ],
    ids=lambda access: f"{access.action} {access.resource} {access.context.get('oss:Prefix', '')}",
)
def test_the_role_may_do_everything_under_the_prefix(upload_role: Identity, access: Access) -> None:
    assert upload_role.decide(access).allowed


@pytest.mark.parametrize(
    "access",
    [
        oss("PutObject", "another-bucket/uploads/a"),
        oss("PutObject", "sandbox-bucket2/uploads/a"),
        oss("PutObject", "another-bucket/x:sandbox-bucket/uploads/a"),
        oss("PutObject", "sandbox-bucket/uploads2/a"),
        oss("PutObject", "sandbox-bucket/uploads"),
        oss("PutObject", "sandbox-bucket/Uploads/a"),
        oss("PutObject", "sandbox-bucket/a/uploads/a"),
        oss("GetObject", "sandbox-bucket/a"),
        oss("DeleteObject", "sandbox-bucket/uploads2/a"),
        listing("sandbox-bucket", ""),
        listing("sandbox-bucket", "upload"),
        listing("sandbox-bucket", "uploads"),
        listing("sandbox-bucket", "uploads2/"),
        listing("another-bucket", "uploads/"),
        # A listing without a prefix lists everything.
        oss("ListObjects", "sandbox-bucket"),
        oss("ListMultipartUploads", "sandbox-bucket", **{"oss:Prefix": "uploads/"}),
        oss("GetBucketInfo", "sandbox-bucket"),
        oss("PutBucketAcl", "sandbox-bucket"),
        oss("DeleteBucket", "sandbox-bucket"),
        oss("PutBucket", "another-bucket"),
        oss("ListBuckets", "*"),
        Access("sts:AssumeRole", ROLE_ARN, {}),
    ],
    ids=lambda access: f"{access.action} {access.resource} {access.context.get('oss:Prefix', '-')}",
)
def test_the_role_may_do_nothing_else(upload_role: Identity, access: Access) -> None:
    assert not upload_role.decide(access).allowed


def test_the_functions_key_may_assume_the_role_sign_uploads_and_list_them_and_nothing_else(
    identities: Identities, function_key: Identity
) -> None:
    for access in (
        Access("sts:AssumeRole", ROLE_ARN, {}),
        oss("PutObject", "sandbox-bucket/uploads/a"),
        oss("GetObject", "sandbox-bucket/uploads/a"),
        listing("sandbox-bucket", "uploads/"),
    ):
        assert function_key.decide(access).allowed
    for access in (
        Access("sts:AssumeRole", f"{ROLE_ARN}2", {}),
        Access("sts:AssumeRole", f"acs:ram::1:{ROLE_ARN.rpartition(':')[2]}", {}),
        Access("sts:GetCallerIdentity", ROLE_ARN, {}),
        oss("PutObject", "sandbox-bucket/uploads2/a"),
        oss("GetObject", "another-bucket/uploads/a"),
        oss("PutObjectAcl", "sandbox-bucket/uploads/a"),
        oss("DeleteObject", "sandbox-bucket/uploads/a"),
        listing("sandbox-bucket", ""),
        oss("ListMultipartUploads", "sandbox-bucket"),
        oss("ListBuckets", "*"),
    ):
        assert not function_key.decide(access).allowed


def test_the_role_trusts_the_function_alone(
    identities: Identities, function_key: Identity, upload_role: Identity
) -> None:
    role = identities.role(ROLE_ARN)
    assert role is not None
    assert role.trusts(function_key)
    assert not role.trusts(upload_role)


def test_the_cloud_holds_what_the_environment_names_as_the_function_reads_it() -> None:
    """The function strips spaces around values, so the sandbox's STS and OSS do too."""
    variables = {
        "ROLE_ARN": " acs:ram::42:role/mine ",
        "BUCKET_NAME": "my-bucket ",
        "OBJECT_PREFIX": "photos/",
    }
    env = sandbox_environment(variables, variables, key=("", ""), oss_port=7081, sts_port=7082)
    env.update(
        ALIBABA_CLOUD_ACCESS_KEY_ID="LTAImine ",
        ALIBABA_CLOUD_ACCESS_KEY_SECRET="secret",
        ALIBABA_CLOUD_SECURITY_TOKEN="CAISmine",
    )
    made = cloud.identities(env, SECRETS)
    assert made.account_id == "42"
    role = made.role("acs:ram::42:role/mine")
    assert role is not None
    assert role.trusts(made.find("LTAImine", "CAISmine"))
    session = made.assume(role, "phone", None, 900)
    identity = made.find(session.access_key_id, session.security_token)
    allowed = Access("oss:PutObject", "acs:oss:*:42:my-bucket/photos/a", {})
    refused = Access("oss:PutObject", "acs:oss:*:42:my-bucket/uploads/a", {})
    assert identity.decide(allowed).allowed
    assert not identity.decide(refused).allowed


def test_a_page_of_any_origin_may_upload(tmp_path: Path) -> None:
    """A browser's preflights before an upload, and the headers that ali-oss has to read."""
    with running_cloud(tmp_path) as running:
        port = int(running.env["OSS_ENDPOINT"].rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        headers = {
            "Origin": "http://localhost:5173",
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "authorization,x-oss-date,x-oss-security-token",
        }
        connection.request("OPTIONS", "/sandbox-bucket/uploads/a", headers=headers)
        preflight = connection.getresponse()
        preflight.read()
        connection.request("PUT", "/sandbox-bucket/uploads/a", b"x", {"Origin": "null"})
        upload = connection.getresponse()
        upload.read()
        connection.close()
    assert preflight.status == 200
    assert preflight.headers["Access-Control-Allow-Origin"] in ("*", "http://localhost:5173")
    assert "PUT" in preflight.headers["Access-Control-Allow-Methods"]
    assert "x-oss-security-token" in preflight.headers["Access-Control-Allow-Headers"]
    # Without a token the upload is refused, and the page can read the refusal.
    assert upload.status == 403
    assert upload.headers["Access-Control-Allow-Origin"] == "*"
    assert "ETag" in upload.headers["Access-Control-Expose-Headers"]


def test_the_buckets_own_rules_outlive_a_run(tmp_path: Path) -> None:
    env = sandbox_environment({}, key=("LTAIfunction", "secret"), oss_port=7081, sts_port=7082)
    for _ in range(2):
        made = cloud.create(env, tmp_path, cloud.load_secrets(tmp_path))
        bucket = made.storage.bucket("sandbox-bucket")
        assert bucket is not None
        rules = json.loads(bucket.cors)
        made.storage.set_cors("sandbox-bucket", "[]")
        made.storage.close()
    assert rules == []


# OVERWRITE=no


def test_with_overwrite_no_a_token_cannot_overwrite_in_its_folder(tmp_path: Path) -> None:
    with running_cloud(tmp_path, OVERWRITE="no", POLICY_FILE="all_policy") as running:
        bucket = running.token().oss2("v4")
        bucket.put_object("uploads/a", b"first")
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            bucket.put_object("uploads/a", b"second")
        assert (caught.value.status, caught.value.code) == (409, "FileAlreadyExists")
        assert bucket.get_object("uploads/a").read() == b"first"


def test_with_overwrite_no_who_holds_another_key_still_overwrites(tmp_path: Path) -> None:
    """The rule names only the upload role. The function's own URLs are limited by their signed
    headers instead."""
    with running_cloud(tmp_path, OVERWRITE="no") as running:
        running.token().oss2("v4").put_object("uploads/a", b"first")
        names = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET")
        function = tuple(running.env[name] for name in names)
        for key in (function, cloud.load_secrets(tmp_path).account_key):
            auth = oss2.AuthV4(*key)
            endpoint, region = running.env["OSS_ENDPOINT"], running.cloud.region
            oss2.Bucket(auth, endpoint, running.cloud.bucket, region=region).put_object(
                "uploads/a", b"second"
            )


def test_the_rule_comes_and_goes_with_overwrite_and_others_stay(tmp_path: Path) -> None:
    own = OverwriteRule("own", "elsewhere/")
    found = []
    for value in ("", "no", "no", "yes"):
        variables = {"OVERWRITE": value}
        env = sandbox_environment(
            variables, variables, key=("LTAIfunction", "secret"), oss_port=7081, sts_port=7082
        )
        storage = cloud.create(env, tmp_path, cloud.load_secrets(tmp_path)).storage
        bucket = storage.bucket("sandbox-bucket")
        assert bucket is not None
        found.append([rule.id for rule in read_rules(bucket.overwrite)])
        if not value:
            storage.set_overwrite_rules("sandbox-bucket", store_rules([own]))
        storage.close()
    assert found == [[], ["own", cloud.RULE_ID], ["own", cloud.RULE_ID], ["own"]]
