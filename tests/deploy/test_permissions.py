"""The roles of template.yml may do only what the function needs, and only in the bucket's folder.

Two policy evaluators must agree."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from ops.policies_described import offered
from ros_stack import ACCOUNT, EVERYTHING, REGION, Stack, statements_of
from sandbox import cloud
from sandbox.environment import sandbox_environment
from sandbox.identities import Identity
from sandbox.oss.overwrite import read_rules
from sandbox.ram import Access, Effect
from token_service.grant.grants import Grant
from token_service.grant.policies import Policies
from two_judges import Judges

Template = dict[str, Any]

BUCKET, PREFIX = "my-bucket", "uploads/"
KEYS = [f"{PREFIX}a", f"{PREFIX}alice/b/c"]
OTHER_KEYS = ["", "a", "uploads", "uploads2/a", "other/uploads/a", "Uploads/a"]
PREFIXES = [PREFIX, f"{PREFIX}alice/"]
OTHER_PREFIXES = ["", "u", "uploads", "uploads2/", "other/"]
LOG_STORE = f"acs:log:{REGION}:{ACCOUNT}:project/sts-token-{ACCOUNT}-{REGION}/logstore/function"
FUNCTION_ROLE = f"acs:ram::{ACCOUNT}:role/sts-token-function"
UPLOAD_ROLE = f"acs:ram::{ACCOUNT}:role/sts-token-upload"

# Actions that no role needs, from the vendor documentation of OSS, STS, RAM and SLS. If a role's
# policy has a wildcard that allows one of these actions, a test fails.
OTHER_ACTIONS = """
oss:DeleteObject oss:DeleteMultipleObjects oss:GetObjectAcl oss:PutObjectAcl oss:RestoreObject
oss:PutObjectTagging oss:GetObjectTagging oss:DeleteObjectTagging oss:GetObjectVersion
oss:DeleteObjectVersion oss:PostProcessTask oss:ListMultipartUploads oss:ListObjectVersions
oss:ListBuckets oss:PutBucket oss:DeleteBucket oss:GetBucketInfo oss:GetBucketAcl oss:PutBucketAcl
oss:PutBucketPolicy oss:GetBucketPolicy oss:PutBucketCors oss:PutBucketLifecycle
oss:PutBucketPublicAccessBlock oss:PutBucketReplication oss:PutBucketLogging
oss:PutBucketOverwriteConfig oss:DeleteBucketOverwriteConfig oss:PutBucketVersioning
sts:GetCallerIdentity ram:PassRole ram:CreateAccessKey ram:AttachPolicyToRole
log:GetLogStoreLogs log:DeleteLogStore log:CreateProject fc:InvokeFunction
""".split()

WRITING = "oss:PutObject oss:ListParts oss:AbortMultipartUpload"
READING = "oss:GetObject oss:ListObjects"
CALLBACKS = {"CallbackUrl": "https://uploads.example.com/callback", "CallbackSecret": "c" * 32}

Allowed = set[tuple[str, str]]
"""Pairs of an action and the place where it is allowed."""


def accesses() -> Iterator[tuple[Access, str]]:
    """Yield all requests that the tests try. For each request, also yield the place where it
    would act. For example, "folder" means all keys in the folder of the uploads."""
    actions = [*OTHER_ACTIONS, *needed_on_objects(), "oss:ListObjects"]
    actions += ["sts:AssumeRole", "log:PostLogStoreLogs"]
    for action in actions:
        context = {"oss:Prefix": "", "oss:Delimiter": ""} if action == "oss:ListObjects" else {}
        for bucket, key in product((BUCKET, "my-bucket2", "other"), [*KEYS, *OTHER_KEYS]):
            inside = bucket == BUCKET and key in KEYS
            resource = f"acs:oss:*:{ACCOUNT}:{bucket}/{key}"
            yield Access(action, resource, context), "folder" if inside else resource
        resource = f"acs:oss:*:{ACCOUNT}:{BUCKET}"
        for prefix in [*PREFIXES, *OTHER_PREFIXES]:
            place = "listing the folder" if prefix in PREFIXES else f"listing {prefix!r}"
            yield Access(action, resource, {"oss:Prefix": prefix, "oss:Delimiter": ""}), place
        yield Access(action, resource, {}), "the bucket"
        for name in (UPLOAD_ROLE, FUNCTION_ROLE, f"{UPLOAD_ROLE}2", f"{UPLOAD_ROLE}/x"):
            yield Access(action, name, {}), name
        for store in (LOG_STORE, f"{LOG_STORE}2", LOG_STORE.replace("sts-token", "other")):
            yield Access(action, store, {}), store


def needed_on_objects() -> list[str]:
    """Return the actions on objects that the function's policies can grant. all_policy is left out,
    because it grants everything that the role allows."""
    names = offered()
    assert len(names) >= 3
    found = set()
    for name in names:
        grant = Grant(BUCKET, f"{PREFIX}alice/", None, name, 900, "alice")
        for statement in json.loads(Policies(names).render(grant))["Statement"]:
            if "Condition" not in statement:
                found.update(statement["Action"])
            else:
                assert statement["Action"] == ["oss:ListObjects"]
    return sorted(found)


def allowed(stack: Stack, role: str) -> Allowed:
    judges = Judges(*map(json.dumps, stack.policies(role)))
    return {
        (access.action, place)
        for access, place in accesses()
        if judges.evaluate(access) is Effect.ALLOW
    }


def wanted_of_the_upload_role() -> Allowed:
    return {
        *((action, "folder") for action in needed_on_objects()),
        ("oss:ListObjects", "listing the folder"),
    }


def wanted_of_the_function_role() -> Allowed:
    return {
        ("sts:AssumeRole", UPLOAD_ROLE),
        # The next actions are for signed URLs, forms, resumable uploads and GET /uploads.
        ("oss:PutObject", "folder"),
        ("oss:ListParts", "folder"),
        ("oss:AbortMultipartUpload", "folder"),
        ("oss:GetObject", "folder"),
        ("oss:ListObjects", "listing the folder"),
        ("log:PostLogStoreLogs", LOG_STORE),
    }


def test_the_upload_role_may_do_what_the_policies_grant_and_nothing_else(
    template: Template,
) -> None:
    stack = Stack(template, BucketName=BUCKET, **EVERYTHING)
    assert allowed(stack, "UploadRole") == wanted_of_the_upload_role()


def test_the_function_role_may_do_what_the_function_does_and_nothing_else(
    template: Template,
) -> None:
    stack = Stack(template, BucketName=BUCKET, **EVERYTHING)
    assert allowed(stack, "FunctionRole") == wanted_of_the_function_role()


def test_in_an_existing_bucket_both_roles_may_do_the_same(template: Template) -> None:
    given = {"BucketChoice": "existing", "ExistingBucketName": BUCKET, "BucketName": "other"}
    stack = Stack(template, **given, **EVERYTHING)
    assert allowed(stack, "UploadRole") == wanted_of_the_upload_role()
    assert allowed(stack, "FunctionRole") == wanted_of_the_function_role()


@pytest.mark.parametrize(
    ("given", "function", "sessions"),
    [
        # With the defaults, callers get tokens for writing, signed URLs, forms, and the list of
        # their own uploads.
        ({}, "sts:AssumeRole oss:PutObject oss:GetObject oss:ListObjects", WRITING),
        ({"MultipartSecret": "m" * 32}, f"sts:AssumeRole {WRITING} {READING}", WRITING),
        ({"Auth": "anonymous"}, "sts:AssumeRole oss:PutObject", WRITING),
        (
            {"Auth": "anonymous", "PolicyFile": "bucket_read_policy"},
            f"sts:AssumeRole {READING}",
            READING,
        ),
        ({"PolicyFile": "bucket_read_policy"}, f"sts:AssumeRole {READING}", READING),
        (
            {"PolicyChoices": "bucket_read_policy"},
            f"sts:AssumeRole oss:PutObject {READING}",
            f"{WRITING} {READING}",
        ),
        ({"EnabledRoutes": "token"}, "sts:AssumeRole", WRITING),
        ({"EnabledRoutes": "token", **CALLBACKS}, "sts:AssumeRole oss:GetObject", WRITING),
        # Nobody assumes the upload role.
        ({"EnabledRoutes": "form"}, "oss:PutObject", ""),
        ({"EnabledRoutes": "signed-url,uploads"}, f"oss:PutObject {READING}", ""),
        ({"EnabledRoutes": "multipart", "MultipartSecret": "m" * 32}, WRITING, ""),
        # The route /multipart is closed without MULTIPART_SECRET.
        ({"EnabledRoutes": "multipart"}, "", ""),
        (
            {"EnabledRoutes": "signed-url", "PolicyFile": "bucket_read_write_policy"},
            "sts:AssumeRole oss:PutObject",
            "oss:GetObject",
        ),
    ],
)
def test_both_roles_have_the_rights_that_the_parameters_need_and_no_other(
    template: Template, given: dict[str, str], function: str, sessions: str
) -> None:
    stack = Stack(template, BucketName=BUCKET, CreateLogProject=False, **given)
    for role, wanted in (("FunctionRole", function), ("UploadRole", sessions)):
        actions = {action for action, _ in allowed(stack, role)}
        assert actions == {*wanted.split()}, role


def test_without_the_function_the_roles_have_all_rights(template: Template) -> None:
    """A stack does not know the settings of a function that another tool deploys.

    Therefore the roles of such a stack may get more rights than they need. In version 1.0.0,
    the roles of a stack with these parameters also had all rights.
    """
    stack = Stack(template, BucketName=BUCKET, CreateFunction=False)
    assert allowed(stack, "UploadRole") == wanted_of_the_upload_role()
    assert allowed(stack, "FunctionRole") == wanted_of_the_function_role()


def test_without_logs_the_function_role_writes_none(template: Template) -> None:
    stack = Stack(template, BucketName=BUCKET, CreateLogProject=False, **EVERYTHING)
    missing = wanted_of_the_function_role() - allowed(stack, "FunctionRole")
    assert missing == {("log:PostLogStoreLogs", LOG_STORE)}


def check_who_may_be_what(template: Template) -> None:
    """Check that only the roles grant rights, and that only the named principals may assume these
    roles."""
    stack = Stack(template, BucketName=BUCKET)
    trusts = {
        name: stack.properties(name)["AssumeRolePolicyDocument"]["Statement"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "ALIYUN::RAM::Role"
    }
    principals = {
        "FunctionRole": {"Service": ["fc.aliyuncs.com"]},
        "UploadRole": {"RAM": [FUNCTION_ROLE]},
    }
    assert trusts == {
        name: [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}]
        for name, principal in principals.items()
    }
    managed = {
        name
        for name, resource in template["Resources"].items()
        if resource["Type"] == "ALIYUN::RAM::ManagedPolicy"
    }
    assert managed == {"AssumeUploadRole", "WriteLogs"}
    assert "Policy" not in stack.properties("Bucket")


def test_nobody_else_gets_a_right(template: Template) -> None:
    check_who_may_be_what(template)


def trust_of_a_service(resources: Template) -> None:
    document = resources["UploadRole"]["Properties"]["AssumeRolePolicyDocument"]
    document["Statement"][0]["Principal"]["Service"] = ["ecs.aliyuncs.com"]


def trust_of_everybody(resources: Template) -> None:
    document = resources["UploadRole"]["Properties"]["AssumeRolePolicyDocument"]
    document["Statement"][0]["Principal"]["RAM"].append("*")


def a_bucket_policy_for_all(resources: Template) -> None:
    resources["Bucket"]["Properties"]["Policy"] = {
        "Version": "1",
        "Statement": [
            {"Effect": "Allow", "Principal": ["*"], "Action": ["oss:*"], "Resource": ["*"]}
        ],
    }


def a_third_role(resources: Template) -> None:
    resources["Other"] = {**resources["UploadRole"]}


def a_third_policy(resources: Template) -> None:
    resources["Other"] = {**resources["AssumeUploadRole"]}


@pytest.mark.parametrize(
    "plant",
    [
        trust_of_a_service,
        trust_of_everybody,
        a_bucket_policy_for_all,
        a_third_role,
        a_third_policy,
    ],
)
def test_a_right_for_somebody_else_is_found(
    template: Template, plant: Callable[[Template], None]
) -> None:
    plant(template["Resources"])
    with pytest.raises(AssertionError):
        check_who_may_be_what(template)


def test_only_the_function_role_assumes_the_upload_role(template: Template) -> None:
    stack = Stack(template, BucketName=BUCKET)
    upload = stack.role("UploadRole")
    session = Identity("STS.x", "secret", f"{FUNCTION_ROLE}/session", (), None)
    assert upload.trusts(session)
    for arn in (
        f"acs:ram::{ACCOUNT}:root",
        f"acs:ram::{ACCOUNT}:user/somebody",
        f"{FUNCTION_ROLE}2/session",
        f"{UPLOAD_ROLE}/session",
        "acs:ram::42:role/sts-token-function/session",
    ):
        assert not upload.trusts(Identity("STS.x", "secret", arn, (), None))


def test_only_function_compute_assumes_the_function_role(template: Template) -> None:
    trust = Stack(template, BucketName=BUCKET).properties("FunctionRole")
    assert trust["AssumeRolePolicyDocument"]["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": ["fc.aliyuncs.com"]},
        }
    ]


def test_nothing_permanent_is_made(template: Template) -> None:
    """The vendor's own one-click template creates a user with a permanent key. Our template must
    not create a user or a permanent key."""
    kinds = {resource["Type"] for resource in template["Resources"].values()}
    assert not any("AccessKey" in kind or "RAM::User" in kind or "ECS" in kind for kind in kinds)


def test_the_bucket_is_private_and_survives(template: Template) -> None:
    bucket = Stack(template, BucketName=BUCKET).properties("Bucket")
    assert (bucket["AccessControl"], bucket["BlockPublicAccess"]) == ("private", True)
    assert template["Resources"]["Bucket"]["DeletionPolicy"] == "Retain"


def test_pages_upload_only_from_the_origins_that_are_named(template: Template) -> None:
    assert "CORSConfiguration" not in Stack(template, BucketName=BUCKET).properties("Bucket")
    origins = "https://a.example.com,https://b.example.com:8443,capacitor://localhost"
    stack = Stack(template, BucketName=BUCKET, AllowedOrigins=origins)
    (rule,) = stack.properties("Bucket")["CORSConfiguration"]["CORSRule"]
    assert rule["AllowedOrigin"] == origins.split(",")
    # DELETE is for aborting an upload in parts. The policies do not allow deleting an object.
    assert set(rule["AllowedMethod"]) == {"PUT", "POST", "GET", "HEAD", "DELETE"}


def test_with_overwrite_no_the_bucket_has_the_sandboxes_rule(
    template: Template, tmp_path: Path
) -> None:
    """The rule applies to the stack's own upload role. The tests of the sandbox show the effect of
    the rule on real SDKs."""
    assert "OverwriteRule" not in Stack(template, BucketName=BUCKET)
    stack = Stack(template, BucketName=BUCKET, ObjectPrefix="photos/", Overwrite="no")
    made = stack.properties("OverwriteRule")
    env = {
        **sandbox_environment({}, key=("LTAIfunction", "secret"), oss_port=1, sts_port=2),
        "BUCKET_NAME": made["Bucket"],
        "OBJECT_PREFIX": "photos/",
        "OVERWRITE": "no",
        "ROLE_ARN": UPLOAD_ROLE,
    }
    sandbox = cloud.create(env, tmp_path, cloud.load_secrets(tmp_path))
    found = sandbox.storage.bucket(BUCKET)
    sandbox.storage.close()
    assert found is not None
    (theirs,), (ours,) = read_rules(found.overwrite), made["Rule"]
    assert (ours["Id"], ours["Action"], ours["Prefix"]) == (theirs.id, "forbid", theirs.prefix)
    assert ours["Principals"]["Principal"] == theirs.principals
    assert ours.keys() == {"Id", "Action", "Prefix", "Principals"}


def test_the_bucket_has_no_versioning_which_would_end_the_rule(template: Template) -> None:
    """OSS ignores a rule against overwriting if versioning is enabled, or was enabled before
    (vendor documentation)."""
    stack = Stack(template, BucketName=BUCKET, Overwrite="no")
    assert "VersioningConfiguration" not in stack.properties("Bucket")
    given = {"BucketName": BUCKET, "Auth": "anonymous", "BucketVersioning": True}
    versions = Stack(template, **given)
    assert versions.properties("Bucket")["VersioningConfiguration"] == {"Status": "Enabled"}
    assert versions.broken_rules() == []
    (broken,) = Stack(template, **given, Overwrite="no").broken_rules()
    assert "ignores the rule against overwriting" in broken


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_plain_http_is_refused_where_that_is_chosen(template: Template, scheme: str) -> None:
    """OSS refuses plain HTTP from everybody, even from the roles of the stack and from the account
    itself."""
    bucket = Stack(template, BucketName=BUCKET, RequireHttps=True).properties("Bucket")
    (statement,) = bucket["Policy"]["Statement"]
    assert statement.pop("Principal") == ["*"]
    judges = Judges(json.dumps({"Version": "1", "Statement": [statement]}))
    is_https = json.dumps(scheme == "https")
    for action, place in (("oss:PutObject", f"{BUCKET}/{KEYS[0]}"), ("oss:ListObjects", BUCKET)):
        access = Access(
            action,
            f"acs:oss:*:{ACCOUNT}:{place}",
            {"acs:SecureTransport": is_https, "oss:Prefix": "", "oss:Delimiter": ""},
        )
        # Over https, the bucket's policy has no effect, so only the roles decide.
        wanted = Effect.EXPLICIT_DENY if scheme == "http" else Effect.IMPLICIT_DENY
        assert judges.evaluate(access) is wanted, access


def test_secrets_are_not_echoed(template: Template) -> None:
    for name, parameter in template["Parameters"].items():
        assert parameter.get("NoEcho", False) == name.endswith("Secret"), name


# Planted faults, which the tests above detect


def every_oss_action(template: Template) -> None:
    statements_of(template, "UploadRole")[0]["Action"] = ["oss:*"]


def every_reading_action(template: Template) -> None:
    statements_of(template, "UploadRole")[0]["Action"].append("oss:Get*")


def the_whole_bucket(template: Template) -> None:
    statements_of(template, "UploadRole")[0]["Resource"] = [
        {"Fn::Sub": "acs:oss:*:*:${BucketName}/*"}
    ]


def a_neighbour_folder(template: Template) -> None:
    statements_of(template, "UploadRole")[0]["Resource"] = ["acs:oss:*:*:my-bucket/uploads*"]


def every_bucket(template: Template) -> None:
    statements_of(template, "UploadRole")[0]["Resource"] = ["*"]


def listing_everything(template: Template) -> None:
    del statements_of(template, "UploadRole")[1]["Fn::If"][1]["Condition"]


def too_little(template: Template) -> None:
    actions = statements_of(template, "UploadRole")[0]["Action"]
    (at,) = (number for number, action in enumerate(actions) if "oss:ListParts" in str(action))
    del actions[at]


@pytest.mark.parametrize(
    "plant",
    [
        every_oss_action,
        every_reading_action,
        the_whole_bucket,
        a_neighbour_folder,
        every_bucket,
        listing_everything,
        too_little,
    ],
)
def test_a_planted_permission_of_the_upload_role_is_found(
    template: Template, plant: Callable[[Template], None]
) -> None:
    plant(template)
    stack = Stack(template, BucketName=BUCKET, **EVERYTHING)
    assert allowed(stack, "UploadRole") != wanted_of_the_upload_role()


def every_role(template: Template) -> None:
    policy = template["Resources"]["AssumeUploadRole"]["Properties"]["PolicyDocument"]
    policy["Statement"][0]["Resource"] = ["*"]


def deleting(template: Template) -> None:
    statements_of(template, "FunctionRole")[0]["Action"].append("oss:DeleteObject")


def every_log(template: Template) -> None:
    policy = template["Resources"]["WriteLogs"]["Properties"]["PolicyDocument"]
    policy["Statement"][0]["Resource"] = ["acs:log:*:*:*"]


def not_to_assume(template: Template) -> None:
    template["Resources"]["AssumeUploadRole"]["Properties"]["Roles"] = []


@pytest.mark.parametrize("plant", [every_role, deleting, every_log, not_to_assume])
def test_a_planted_permission_of_the_function_role_is_found(
    template: Template, plant: Callable[[Template], None]
) -> None:
    plant(template)
    stack = Stack(template, BucketName=BUCKET, **EVERYTHING)
    assert allowed(stack, "FunctionRole") != wanted_of_the_function_role()
