"""Tests `make roles`: with exactly the rights that it prints, every enabled route works. If one of
these rights is missing, the flows that use it fail. The roles of template.yml have the rights
that `make roles` prints."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from operators_tool import run_tool
from ops import ROOT
from ops.roles import Document, read
from role_flows import FLOWS, worked
from ros_stack import ACCOUNT, REGION, Stack
from running_cloud import RunningCloud, running_cloud
from running_sandbox import make
from sandbox.ram import Policy
from signed_logins import SECRET
from token_service.errors import Misconfiguration

Env = dict[str, str]
Documents = dict[str, Any]
Right = tuple[str, str, str]

SOUND = {"BUCKET_NAME": "my-bucket", "AccountID": ACCOUNT}
ANOTHER = SECRET[::-1]
READ_WRITE = "bucket_read_write_policy"
TOKEN_WRITES = {"token put", "token parts", "token aborted"}

# Tests in the sandbox: the rights are enough, and each of them is needed

DEPLOYMENTS: dict[str, tuple[Env, set[str], dict[str, set[str]]]] = {
    "everything": (
        {"AUTH": "jwt", "POLICY_FILE": READ_WRITE, "MULTIPART_SECRET": ANOTHER, "CALLBACK_URL": ""},
        set().union(*FLOWS.values()),
        {
            "function sts:AssumeRole": {*FLOWS["/"], "callback", "signed get"},
            "function oss:PutObject": {"signed put", "form", *FLOWS["/multipart"]},
            "function oss:ListParts": {"parts listed"},
            "function oss:AbortMultipartUpload": {"aborted"},
            "function oss:GetObject": {"callback", "details"},
            "function oss:ListObjects": {"list", "details"},
            "upload oss:PutObject": {*TOKEN_WRITES, "callback"},
            "upload oss:ListParts": {"token parts"},
            "upload oss:AbortMultipartUpload": {"token aborted"},
            "upload oss:GetObject": {"token get", "signed get"},
            "upload oss:ListObjects": {"token list"},
        },
    ),
    "the defaults": (
        {"AUTH": "jwt", "POLICY_FILE": "bucket_write_policy"},
        {*TOKEN_WRITES, "signed put", "form", "list", "details"},
        {
            "function sts:AssumeRole": TOKEN_WRITES,
            "function oss:PutObject": {"signed put", "form"},
            "function oss:GetObject": {"details"},
            "function oss:ListObjects": {"list", "details"},
            "upload oss:PutObject": TOKEN_WRITES,
            "upload oss:ListParts": {"token parts"},
            "upload oss:AbortMultipartUpload": {"token aborted"},
        },
    ),
    "signed URLs alone": (
        {"AUTH": "jwt", "POLICY_FILE": READ_WRITE, "ENABLED_ROUTES": "signed-url"},
        {"signed put", "signed get"},
        {
            "function sts:AssumeRole": {"signed get"},
            "function oss:PutObject": {"signed put"},
            "upload oss:GetObject": {"signed get"},
        },
    ),
    "forms for anybody": (
        {"AUTH": "anonymous", "POLICY_FILE": "bucket_write_policy", "ENABLED_ROUTES": "form"},
        {"form"},
        {"function oss:PutObject": {"form"}},
    ),
    "tokens that read": (
        {"AUTH": "jwt", "POLICY_FILE": "bucket_read_policy", "ENABLED_ROUTES": "token"},
        {"token get", "token list"},
        {
            "function sts:AssumeRole": {"token get", "token list"},
            "upload oss:GetObject": {"token get"},
            "upload oss:ListObjects": {"token list"},
        },
    ),
}
"""For each deployment: its variables, the uses of the function that work, and its rights. For each
right (role and action): the uses that fail without it."""


@contextmanager
def deployed(folder: Path, variables: Env) -> Iterator[RunningCloud]:
    """Run the function with these variables. If CALLBACK_URL is an empty text, the function's own
    /callback is used."""
    given = {**variables, "CALLER_TOKENS_PER_MINUTE": "0"}
    has_callbacks = given.pop("CALLBACK_URL", None) is not None
    with running_cloud(folder, is_public_closed=False, **given) as cloud:
        if has_callbacks:
            # The variable is set here, because the address of the function is known only after the
            # function has started.
            cloud.env["CALLBACK_URL"] = f"{cloud.url}/callback"
        if "MULTIPART_SECRET" not in given:
            del cloud.env["MULTIPART_SECRET"]
        yield cloud


def give(cloud: RunningCloud, documents: Documents) -> None:
    """Give the function and the upload role in the sandbox exactly the printed rights."""
    role = cloud.env["ROLE_ARN"]
    for arn, name in (
        (f"acs:ram::{role.split(':')[3]}:user/token-function", "function-policy"),
        (role, "upload-policy"),
    ):
        document = documents[name]
        policies = [] if document is None else [Policy.parse(json.dumps(document))]
        cloud.cloud.identities.attach(arn, *policies)


def with_one_right_less(documents: Documents) -> Iterator[tuple[str, Documents]]:
    """Take away one right at a time. For each right, yield its role and its action, and all
    documents without this right."""
    for name in ("function", "upload"):
        policy = documents[f"{name}-policy"] or {"Statement": []}
        for place, statement in enumerate(policy["Statement"]):
            for action in statement["Action"]:
                changed = copy.deepcopy(policy)
                # A statement must have an action. If `action` is its only action, another action
                # replaces it. The other action has no effect here.
                left = [one for one in statement["Action"] if one != action]
                changed["Statement"][place]["Action"] = left or ["oss:GetBucketInfo"]
                yield f"{name} {action}", {**documents, f"{name}-policy": changed}


@pytest.mark.parametrize(
    "deployment",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "everything" else ())
        for name in DEPLOYMENTS
    ],
)
def test_every_right_is_enough_and_none_is_too_much(tmp_path: Path, deployment: str) -> None:
    variables, flows, needing = DEPLOYMENTS[deployment]
    with deployed(tmp_path, variables) as cloud:
        documents = read(cloud.env).documents()
        give(cloud, documents)
        assert worked(cloud) == flows
        lost = {}
        for right, changed in with_one_right_less(documents):
            give(cloud, changed)
            lost[right] = flows - worked(cloud)
    assert lost == needing


# The roles of template.yml


@pytest.fixture
def template() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "template.yml").read_text(encoding="utf-8"))
    return found


def granted(*policies: Document | None) -> set[Right]:
    return {
        (action, resource, json.dumps(statement.get("Condition")))
        for policy in policies
        if policy is not None
        for statement in policy["Statement"]
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


LOG_PROJECT = f"sts-token-{ACCOUNT}-{REGION}"
STACKS: dict[str, tuple[Env, dict[str, object]]] = {
    "everything": (
        {
            **{"POLICY_FILE": READ_WRITE, "MULTIPART_SECRET": ANOTHER, "LOG_PROJECT": LOG_PROJECT},
            "CALLBACK_URL": "https://a.example.com/callback",
        },
        {
            **{"PolicyFile": READ_WRITE, "MultipartSecret": ANOTHER},
            **{"CallbackUrl": "https://a.example.com/callback", "CallbackSecret": ANOTHER},
        },
    ),
    "the defaults": ({"LOG_PROJECT": LOG_PROJECT}, {}),
    "other names, no logs": (
        {"FUNCTION_NAME": "photos", "OBJECT_PREFIX": "a/b/"},
        {"Name": "photos", "ObjectPrefix": "a/b/", "CreateLogProject": False},
    ),
}


@pytest.mark.parametrize("stack", STACKS)
def test_it_prints_what_the_templates_roles_have(template: dict[str, Any], stack: str) -> None:
    variables, parameters = STACKS[stack]
    made = Stack(template, BucketName="my-bucket", JwtSecret=SECRET, **parameters)
    documents = read({**SOUND, **variables}).documents()
    for name, role in (("function", "FunctionRole"), ("upload", "UploadRole")):
        printed, has = granted(documents[f"{name}-policy"]), granted(*made.policies(role))
        assert printed == has
        trust = made.properties(role)["AssumeRolePolicyDocument"]
        assert documents[f"{name}-trust"] == trust


# The command, run as users run it


def test_stdout_is_json_and_stderr_says_where_each_document_goes() -> None:
    variables = {**SOUND, "AUTH": "jwt", "JWT_SECRET": SECRET, "MULTIPART_SECRET": ANOTHER}
    done = run_tool("ops.roles", *make("-s", "roles"), seconds=30, **variables)
    assert done.returncode == 0, done.stderr
    names = ["function-trust", "function-policy", "upload-trust", "upload-policy"]
    assert list(json.loads(done.stdout)) == names
    for name in (*names, "sts-token-function", "sts-token-upload", "3600 s"):
        assert name in done.stderr
    assert "oss:ListParts on uploads/*: resumable uploads" in done.stderr
    for secret in (SECRET, ANOTHER):
        assert secret not in done.stdout + done.stderr


def test_one_document_is_ready_to_paste() -> None:
    done = run_tool("ops.roles", seconds=30, DOCUMENT="upload-policy", **SOUND)
    document = json.loads(done.stdout)
    Policy.parse(json.dumps(document))
    assert granted(document) == {
        (f"oss:{action}", "acs:oss:*:*:my-bucket/uploads/*", "null")
        for action in ("PutObject", "ListParts", "AbortMultipartUpload")
    }


def test_the_deployments_env_file_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BUCKET_NAME=my-bucket\nROLE_ARN=acs:ram::42:role/mine\n")
    shell = ("sh", "-c", 'cd "$FOLDER" && exec "$@"', "sh", sys.executable, "-m", "ops.roles")
    done = run_tool("ops.roles", *shell, seconds=30, FOLDER=str(tmp_path))
    assert json.loads(done.stdout)["upload-trust"]["Statement"][0]["Principal"] == {
        "RAM": ["acs:ram::42:role/sts-token-function"]
    }


def test_the_names_are_the_deployments() -> None:
    own = {"ROLE_ARN": "acs:ram::42:role/up", "FUNCTION_ROLE_ARN": "acs:ram::42:role/runner"}
    roles = read({**SOUND, **own})
    assert (roles.upload_arn, roles.function_arn) == (own["ROLE_ARN"], own["FUNCTION_ROLE_ARN"])
    assert ("sts:AssumeRole", own["ROLE_ARN"], "null") in granted(
        roles.documents()["function-policy"]
    )
    assert read({**SOUND, "TOKEN_EXPIRE_TIME_MAX": "43200"}).session_seconds == 43200


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"AccountID": ""}, ["ROLE_ARN: not set", "AccountID"]),
        ({"AccountID": "me"}, ["AccountID: ", "digits"]),
        ({"ROLE_ARN": "acs:ram::1:user/me"}, ["ROLE_ARN: ", ":role/"]),
        ({"FUNCTION_ROLE_ARN": "runner"}, ["FUNCTION_ROLE_ARN: ", ":role/"]),
        # With a *, the role would get access to other logs.
        ({"LOG_PROJECT": "*"}, ["LOG_PROJECT: ", "2 to 63"]),
        ({"LOG_PROJECT": "mine", "LOG_STORE": "a/logstore/*"}, ["LOG_STORE: ", "2 to 63"]),
        ({"FUNCTION_NAME": "a b"}, ["FUNCTION_NAME: ", "1 to 50"]),
        (
            {"ROLE_ARN": "acs:ram::1:role/a", "FUNCTION_ROLE_ARN": "acs:ram::1:role/a"},
            ["ROLE_ARN: ", "must be another"],
        ),
        ({"BUCKET_NAME": ""}, ["BUCKET_NAME: not set"]),
        ({"OBJECT_PREFIX": "uploads"}, ["OBJECT_PREFIX: ", "end with '/'"]),
        ({"OBJECT_PREFIX": "*/"}, ["OBJECT_PREFIX: "]),
        ({"POLICY_FILE": "no_such_policy"}, ["POLICY_FILE: ", "bucket_write_policy"]),
        ({"ENABLED_ROUTES": "tokens"}, ["ENABLED_ROUTES: "]),
        ({"AUTH": "none"}, ["AUTH: ", "anonymous"]),
    ],
)
def test_what_is_wrong_is_said_with_what_is_accepted(changes: Env, says: list[str]) -> None:
    with pytest.raises(Misconfiguration) as caught:
        read({**SOUND, **changes})
    for words in says:
        assert words in caught.value.message


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"DOCUMENT": "upload"}, "must be one of function-trust, function-policy, upload-trust"),
        (
            {"DOCUMENT": "upload-policy", "ENABLED_ROUTES": "form"},
            "there is no upload-policy: with these variables it would have no rights",
        ),
        ({"BUCKET_NAME": "X"}, "BUCKET_NAME: must be 3 to 63"),
    ],
)
def test_a_wrong_wish_is_one_line_on_stderr(variables: Env, says: str) -> None:
    done = run_tool("ops.roles", seconds=30, **{**SOUND, **variables})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("make roles: ")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_follows_from_no_policy_is_said_and_not_guessed() -> None:
    done = run_tool("ops.roles", seconds=30, POLICY_FILE="all_policy", **SOUND)
    assert json.loads(done.stdout)["upload-policy"] is None
    assert "rights for the policy all_policy cannot be derived: add them yourself" in done.stderr


# Deliberate faults, which the test in the sandbox must detect


@pytest.mark.parametrize(
    ("name", "actions", "fails", "idle"),
    [
        ("upload-policy", ["oss:PutObject", "oss:DeleteObject"], {"token parts"}, "DeleteObject"),
        ("function-policy", ["oss:GetObject"], {"form"}, "GetObject"),
    ],
)
def test_a_right_that_lacks_and_one_that_is_idle_are_found(
    tmp_path: Path, name: str, actions: list[str], fails: set[str], idle: str
) -> None:
    variables, _, _ = DEPLOYMENTS["forms for anybody"]
    with deployed(tmp_path, {**variables, "ENABLED_ROUTES": "form,token"}) as cloud:
        documents: Documents = read(cloud.env).documents()
        give(cloud, documents)
        everything = worked(cloud)
        documents[name]["Statement"][-1]["Action"] = actions
        give(cloud, documents)
        found = worked(cloud)
        without = {}
        for right, changed in with_one_right_less(documents):
            give(cloud, changed)
            without[right] = worked(cloud)
    assert fails <= everything - found
    assert [right for right, left in without.items() if left == found] == [
        f"{name.partition('-')[0]} oss:{idle}"
    ]
