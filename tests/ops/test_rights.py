"""template.yml grants exactly the rights that the two roles need, and docs/permissions.md names
exactly these rights. In the sandbox, every way to use the function works with these rights. If one
right is taken away, at least one way fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops import ROOT
from ops.policies_described import offered
from ops.rights import Options, Rights, Statement, known_routes, rights, said
from role_flows import FLOWS, worked
from ros_stack import ACCOUNT, EVERYTHING, REGION, Stack, statements_of
from running_cloud import RunningCloud, running_cloud
from sandbox.ram import Policy
from token_service.app import ROUTES
from token_service.errors import PolicyError

Template = dict[str, Any]
Right = tuple[str, str, str]
"""A right: the action, the resource, and the condition as JSON."""

PATHS = [route.path for route in ROUTES]
UPLOAD_ROLE = f"acs:ram::{ACCOUNT}:role/sts-token-upload"
LOG_STORE = f"acs:log:*:*:project/sts-token-{ACCOUNT}-{REGION}/logstore/function"
ALL = Options("my-bucket", "uploads/", UPLOAD_ROLE, LOG_STORE)
ROLES = ("FunctionRole", "UploadRole")


def needed(role: str, found: Rights) -> set[Right]:
    statements = found.function_role if role == "FunctionRole" else found.upload_role
    assert len({one[:3] for one in statements}) == len(statements)
    return {one[:3] for one in statements}


def granted(policies: Sequence[dict[str, Any]]) -> set[Right]:
    """Return each right that the policies allow."""
    found = set()
    for statement in (one for policy in policies for one in policy["Statement"]):
        assert statement["Effect"] == "Allow"
        condition = json.dumps(statement["Condition"]) if "Condition" in statement else ""
        for action in statement["Action"]:
            for resource in statement["Resource"]:
                found.add((action, resource, condition))
    return found


def check_the_template(template: Template, role: str) -> None:
    """Check that the template grants the rights for all features that it offers. The message says
    what to change."""
    policies = template["Parameters"]["PolicyFile"]["AllowedValues"]
    found = granted(Stack(template, BucketName="my-bucket", **EVERYTHING).policies(role))
    wanted = needed(role, rights(policies, PATHS, ALL))
    assert wanted - found == set(), f"add to {role} of template.yml"
    assert found - wanted == set(), f"{role} of template.yml has what nothing needs"


@pytest.fixture
def template() -> Template:
    found: Template = yaml.safe_load((ROOT / "template.yml").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("role", ROLES)
def test_the_template_grants_what_all_it_offers_needs(template: Template, role: str) -> None:
    check_the_template(template, role)


def test_without_logs_the_template_grants_none(template: Template) -> None:
    stack = Stack(template, BucketName="my-bucket", CreateLogProject=False, **EVERYTHING)
    wanted = rights(offered(), PATHS, ALL._replace(log_store=""))
    assert granted(stack.policies("FunctionRole")) == needed("FunctionRole", wanted)


def too_little(statement: dict[str, Any]) -> None:
    statement["Action"].pop()


def too_much(statement: dict[str, Any]) -> None:
    statement["Action"].append("oss:DeleteObject")


def elsewhere(statement: dict[str, Any]) -> None:
    statement["Resource"] = ["acs:oss:*:*:my-bucket/*"]


def under_a_condition(statement: dict[str, Any]) -> None:
    statement["Condition"] = {"Bool": {"acs:SecureTransport": "true"}}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("plant", [too_little, too_much, elsewhere, under_a_condition])
def test_a_template_that_grants_something_else_is_found(
    template: Template, role: str, plant: Callable[[dict[str, Any]], None]
) -> None:
    plant(statements_of(template, role)[0])
    with pytest.raises(AssertionError, match=r"template\.yml"):
        check_the_template(template, role)


def test_a_policy_that_the_template_would_offer_shows_what_its_role_lacks(
    template: Template, tmp_path: Path
) -> None:
    own = tmp_path / "deleting.json.j2"
    own.write_text(policy_text("oss:DeleteObject"))
    template["Parameters"]["PolicyFile"]["AllowedValues"].append(str(own))
    with pytest.raises(AssertionError, match=r"add to UploadRole of template\.yml"):
        check_the_template(template, "UploadRole")


# The derived rights


def test_every_route_has_a_row() -> None:
    """Even a route that needs no rights must have a row."""
    assert known_routes() == set(PATHS)
    with pytest.raises(ValueError, match=r"ops/rights\.py has no row for /tags"):
        rights(["bucket_write_policy"], ["/", "/tags"], ALL)


READ, WRITE = ["bucket_read_policy"], ["bucket_write_policy"]
QUIET = ALL._replace(log_store="", has_callbacks=False, names_callers=False, has_multipart=False)


@pytest.mark.parametrize(
    ("policies", "routes", "options", "actions"),
    [
        (WRITE, ["/multipart"], QUIET, set()),
        (READ, ["/multipart"], QUIET._replace(has_multipart=True), set()),
        (
            WRITE,
            ["/multipart"],
            QUIET._replace(has_multipart=True),
            {"oss:PutObject", "oss:ListParts", "oss:AbortMultipartUpload"},
        ),
        (WRITE, ["/"], QUIET, {"sts:AssumeRole"}),
        (WRITE, ["/sts"], QUIET, {"sts:AssumeRole"}),
        (WRITE, ["/health"], QUIET, set()),
        (WRITE, ["/"], QUIET._replace(log_store=LOG_STORE), {"sts:AssumeRole", "log:PostLog"}),
        (WRITE, ["/signed-url"], QUIET, {"oss:PutObject"}),
        (READ, ["/signed-url"], QUIET, {"sts:AssumeRole"}),
        (READ + WRITE, ["/signed-url"], QUIET, {"sts:AssumeRole", "oss:PutObject"}),
        (["all_policy"], ["/signed-url"], QUIET, {"sts:AssumeRole", "oss:PutObject"}),
        (WRITE, ["/form"], QUIET, {"oss:PutObject"}),
        (READ, ["/form"], QUIET, set()),
        (WRITE, ["/callback"], QUIET, set()),
        (WRITE, ["/callback"], QUIET._replace(has_callbacks=True), {"oss:GetObject"}),
        # With AUTH=anonymous, /uploads works only if everybody may list the shared folder.
        (WRITE, ["/uploads"], QUIET, set()),
        (WRITE + READ, ["/uploads"], QUIET, set()),
        (READ, ["/uploads"], QUIET, {"oss:ListObjects", "oss:GetObject"}),
        (
            WRITE,
            ["/uploads"],
            QUIET._replace(names_callers=True),
            {"oss:ListObjects", "oss:GetObject"},
        ),
    ],
)
def test_the_function_role_needs_what_its_routes_do(
    policies: list[str], routes: list[str], options: Options, actions: set[str]
) -> None:
    found = rights(policies, routes, options).function_role
    short = {one.action.replace("StoreLogs", "") for one in found}
    assert short == actions


@pytest.mark.parametrize(
    ("policies", "routes", "actions"),
    [
        (READ + WRITE, ["/form", "/multipart", "/uploads", "/callback"], set()),
        (WRITE, ["/signed-url"], set()),
        # A signed URL is for one object, so it needs no right to list objects.
        (READ + WRITE, ["/signed-url", "/form"], {"oss:GetObject"}),
        (["bucket_read_write_policy"], ["/signed-url"], {"oss:GetObject"}),
        (WRITE, ["/"], {"oss:PutObject", "oss:ListParts", "oss:AbortMultipartUpload"}),
        (READ, ["/sts", "/signed-url"], {"oss:GetObject", "oss:ListObjects"}),
    ],
)
def test_the_upload_role_needs_what_it_is_assumed_for(
    policies: list[str], routes: list[str], actions: set[str]
) -> None:
    """The upload role needs only the rights that the enabled routes use. If the routes for tokens
    are closed, nobody can use the other rights."""
    found = rights(policies, routes, ALL)
    assert {one.action for one in found.upload_role} == actions
    assert ("sts:AssumeRole" in {one.action for one in found.function_role}) == bool(actions)


def test_from_an_unbounded_policy_nothing_follows_where_nobody_assumes_the_role() -> None:
    assert rights(["all_policy"], ["/signed-url"], ALL).unbounded == ("all_policy",)
    assert rights(["all_policy"], ["/form"], ALL).unbounded == ()


def test_each_right_is_there_once_and_says_all_reasons() -> None:
    found = rights(READ + WRITE, PATHS, ALL)
    reasons = {one.action: one.reasons for one in found.function_role}
    assert len(reasons["oss:PutObject"]) == 3
    assert reasons["oss:GetObject"] == (
        "a callback is compared with its object",
        "GET /uploads?details=1",
    )
    both = rights([*WRITE, "bucket_read_write_policy"], PATHS, ALL).upload_role
    assert {one.action: one.reasons for one in both}["oss:ListParts"] == (
        "bucket_write_policy",
        "bucket_read_write_policy",
    )


def policy_text(action: str, more: str = "", members: str = "") -> str:
    """Return the template of a policy, with a statement that allows `action` on the caller's own
    keys."""
    resource = "acs:oss:*:*:{{ bucket }}/{{ keys }}"
    statement = f'"Effect": "Allow", "Action": "{action}", "Resource": "{resource}"{members}'
    return f'{{"Version": "1", "Statement": [{{{statement}}}{more}]}}'


def of_own(tmp_path: Path, text: str) -> Rights:
    own = tmp_path / "own.json.j2"
    own.write_text(text)
    return rights([str(own)], PATHS, ALL)


def test_the_upload_role_needs_what_an_operators_own_policy_allows(tmp_path: Path) -> None:
    condition = ', "Condition": {"Bool": {"acs:SecureTransport": "true"}}'
    found = of_own(tmp_path, policy_text("oss:DeleteObject", members=condition))
    (right,) = found.upload_role
    assert right[:3] == (
        "oss:DeleteObject",
        "acs:oss:*:*:my-bucket/uploads/*",
        '{"Bool": {"acs:SecureTransport": "true"}}',
    )
    assert found.unbounded == ()
    # The policy does not allow uploads, so the function role needs no right to upload by signed
    # URLs or forms.
    assert "oss:PutObject" not in {one.action for one in found.function_role}


def test_what_a_policy_denies_no_role_needs(tmp_path: Path) -> None:
    deny = ', {"Effect": "Deny", "Action": "oss:GetObject", "Resource": "*"}'
    found = of_own(tmp_path, policy_text("oss:PutObject", deny))
    assert [one.action for one in found.upload_role] == ["oss:PutObject"]


@pytest.mark.parametrize("action", ["oss:*", "oss:Put*", "*", "oss:GetObjec?"])
def test_from_a_wildcard_no_right_follows(tmp_path: Path, action: str) -> None:
    """If a policy has a wildcard action, the operator must decide which rights the upload role
    gets."""
    found = of_own(tmp_path, policy_text(action))
    assert found.upload_role == ()
    assert [Path(name).name for name in found.unbounded] == ["own.json.j2"]


def test_nor_from_all_actions_but_some(tmp_path: Path) -> None:
    text = policy_text("oss:DeleteObject").replace('"Action"', '"NotAction"')
    found = of_own(tmp_path, text)
    assert (found.upload_role, len(found.unbounded)) == ((), 1)
    # A policy with NotAction may allow reading and writing, so the function role gets the rights
    # for both.
    assert {one.action for one in found.function_role} >= {"sts:AssumeRole", "oss:PutObject"}


def test_a_policy_of_an_unknown_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError):
        of_own(tmp_path, '{"Version": "1", "Statement": [{"Effect": "Allow"}]}')


def test_rights_are_said_by_resource() -> None:
    found = rights(READ, PATHS, ALL)
    assert said(found.function_role, ALL) == (
        "sts:AssumeRole on the upload role; oss:GetObject on uploads/*; "
        f"oss:ListObjects with oss:Prefix uploads/*; log:PostLogStoreLogs on {LOG_STORE}"
    )
    whole = Statement("oss:ListObjects", "acs:oss:*:*:my-bucket", "", ())
    assert said([whole], ALL) == "oss:ListObjects on acs:oss:*:*:my-bucket"


# The pages in docs/


def test_the_docs_name_each_right_and_no_other() -> None:
    text = (ROOT / "docs" / "permissions.md").read_text(encoding="utf-8")
    table = text.partition("| who | may | for |\n|---|---|---|\n")[2].partition("\n\n")[0]
    named: dict[str, set[str]] = {}
    who = ""
    for row in table.splitlines():
        first, may = (cell.strip() for cell in row.split("|")[1:3])
        who = first or who
        named.setdefault(who, set()).update(
            re.findall(r"`((?!oss:Prefix`)(?:oss|sts|log|ram):\w+)`", may)
        )
    found = rights(offered(), PATHS, ALL)
    assert named["function role"] == {one.action for one in found.function_role}
    assert named["upload role"] == {one.action for one in found.upload_role}


# Tests in the sandbox: the rights are enough, and each of them is needed

NEEDING = {
    "sts:AssumeRole": {*FLOWS["/"], "signed get", "callback"},
    "oss:PutObject": {"signed put", "form", "parts", "parts listed", "aborted"},
    "oss:ListParts": {"parts listed"},
    "oss:AbortMultipartUpload": {"aborted"},
    "oss:GetObject": {"callback", "details"},
    "oss:ListObjects": {"list", "details"},
}
"""For each action of the function role: the flows that fail without the right to this action."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    with running_cloud(
        tmp_path_factory.mktemp("cloud"),
        AUTH="jwt",
        POLICY_FILE="bucket_read_write_policy",
        CALLER_TOKENS_PER_MINUTE="0",
    ) as cloud:
        # CALLBACK_URL is set here, because the address of the function is known only after the
        # function has started.
        cloud.env["CALLBACK_URL"] = f"{cloud.url}/callback"
        yield cloud


def give(cloud: RunningCloud, without: str = "") -> None:
    """Give both roles exactly the rights that they need. Leave out one action of the function
    role."""
    settings = cloud.app.settings
    options = Options(settings.bucket, settings.prefix, settings.role_arn)
    found = rights(settings.policy_choices, PATHS, options)
    for arn, statements in (
        (f"acs:ram::{settings.role_arn.split(':')[3]}:user/token-function", found.function_role),
        (settings.role_arn, found.upload_role),
    ):
        document = {
            "Version": "1",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": one.action,
                    "Resource": one.resource,
                    **({"Condition": json.loads(one.condition)} if one.condition else {}),
                }
                for one in statements
                if one.action != without or arn == settings.role_arn
            ],
        }
        cloud.cloud.identities.attach(arn, Policy.parse(json.dumps(document)))


def test_every_flow_works_with_just_the_rights(cloud: RunningCloud) -> None:
    give(cloud)
    assert worked(cloud) == set().union(*FLOWS.values())
    assert FLOWS.keys() | {"/sts"} == set(PATHS)


@pytest.mark.parametrize("action", NEEDING)
def test_without_one_of_them_something_fails(cloud: RunningCloud, action: str) -> None:
    everything = set().union(*FLOWS.values())
    give(cloud, without=action)
    assert everything - worked(cloud) == NEEDING[action]
