"""Tests that a stack of commit b291437 keeps all stored objects when it is updated to the current
template.

The resources are compared one by one. Each resource that differs is listed here, and has a row in
docs/upgrade.md. The contents of a stack of b291437 are in tests/upgrade, which compares all other
parts.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from ops import ROOT
from tests.upgrade.files import template_differences
from tests.upgrade.inputs import OLD, PARAMETERS, template
from tests.upgrade.table import read_rows

Template = dict[str, Any]

KEPT = {
    "Bucket": "ALIYUN::OSS::Bucket",
    "FunctionRole": "ALIYUN::RAM::Role",
    "UploadRole": "ALIYUN::RAM::Role",
    "Function": "ALIYUN::FC3::Function",
    "HttpTrigger": "ALIYUN::FC3::Trigger",
}
"""ROS identifies a resource by its logical id. If the id or the type changes, ROS creates a new
resource. It then deletes the old resource, or leaves it behind if it has the policy Retain."""

FIXED = {
    "ALIYUN::FC3::ConcurrencyConfig": "FunctionName ReservedConcurrency",
    # ROS can change the name, but with another name the function has another URL for its callers.
    "ALIYUN::FC3::Function": "FunctionName",
    "ALIYUN::FC3::Trigger": "FunctionName TriggerType TriggerName SourceArn",
    "ALIYUN::OSS::Bucket": "BucketName RedundancyType",
    "ALIYUN::RAM::ManagedPolicy": "PolicyName Description Roles Users Groups IgnoreExisting",
    "ALIYUN::RAM::Role": "RoleName Description IgnoreExisting",
    "ALIYUN::ROS::AutoEnableService": "ServiceName",
    "ALIYUN::SLS::Index": "ProjectName LogstoreName",
    "ALIYUN::SLS::Logstore": "ProjectName LogstoreName",
    "ALIYUN::SLS::Project": "Name Description DataRedundancyType",
}
"""Properties that ROS cannot update in place. If one of them changes, the update fails, or it
replaces the resource (ReplacementOption of UpdateStack).

Vendor documentation: *Editable: No* in https://www.alibabacloud.com/help/en/ros/developer-reference/
aliyun-oss-bucket (2026-02-06), aliyun-ram-role (2026-02-06), aliyun-ram-managedpolicy (2026-07-24),
aliyun-fc3-trigger (2025-01-03), aliyun-fc3-concurrencyconfig (2025-02-25), aliyun-sls-project
(2025-04-07), aliyun-sls-logstore and aliyun-sls-index (2025-02-10)."""

RENAMED = {
    "TokenExpireTime": "SessionSeconds",
    "TokenExpireTimeMax": "SessionSecondsMax",
    "CallerTokensPerMinute": "SessionsPerCallerPerMinute",
}
"""The old and the new names of parameters. If an operator has set a value under an old name, he
must enter the value again under the new name (docs/upgrade.md)."""

BUCKET = "template:Resources.Bucket"
FUNCTION = "template:Resources.Function"
STATEMENTS = "Policies.0.PolicyDocument.Statement"
VARIABLES = f"{FUNCTION}.EnvironmentVariables"
LISTED = {
    f"{BUCKET}.CORSConfiguration.CORSRule.0.AllowedMethod": (
        "pages may abort uploads in parts, and this deletes no object"
    ),
    f"template:Resources.FunctionRole.{STATEMENTS}.0.Action": (
        "the function role may also list and abort parts"
    ),
    f"template:Resources.UploadRole.{STATEMENTS}": (
        "the upload role may read only if a policy needs it"
    ),
    f"template:Resources.UploadRole.{STATEMENTS}.0.Action": (
        "the upload role may write only if a policy needs it"
    ),
    "template:Resources.LogIndex.KeyIndices": (
        "one more index, for lines that are written after the update"
    ),
    "template:Resources.EnableObjectStorage": "new: the stack activates OSS if it is not active",
    f"{FUNCTION}.Description": "the description says the version",
    f"{VARIABLES}.CALLER_TOKENS_PER_MINUTE": (
        "a stack that never set this parameter gets the new default"
    ),
}
"""All other differences, by the id of their row in docs/upgrade.md. The sentence under each id says
why the stack loses nothing by this difference."""


def changes(new: Template) -> dict[str, str]:
    """Compare the resources of old stacks before and after an update to the template `new`. Return
    what differs, by the id of the difference."""
    given = {
        name: {**old, **{RENAMED[key]: value for key, value in old.items() if key in RENAMED}}
        for name, old in PARAMETERS.items()
    }
    found = template_differences(template(OLD), new, given, defaultdict(list))
    return {one.id: one.what for one in found if one.id.startswith("template:Resources.")}


def losses(new: Template) -> list[str]:
    """Return what an update loses: resources that are replaced or removed, and a bucket that could
    be removed."""
    found = []
    for one, what in changes(new).items():
        _, name, *members = one.split(".")
        resource = template(OLD)["Resources"].get(name)
        fixed = FIXED[resource["Type"]].split() if resource else ()
        if resource and (not members or members[0] in ("Type", "DeletionPolicy", *fixed)):
            found.append(f"{one}: {what}")
    return found


def test_what_must_stay_was_there_and_is_the_same() -> None:
    for folder in (OLD, ROOT):
        resources = template(folder)["Resources"]
        assert {name: resources[name]["Type"] for name in KEPT} == KEPT
        assert resources["Bucket"]["DeletionPolicy"] == "Retain"


def test_an_update_replaces_nothing_and_deletes_nothing() -> None:
    assert losses(template(ROOT)) == []


def test_what_cannot_be_updated_is_known_of_every_type() -> None:
    types = {resource["Type"] for resource in template(OLD)["Resources"].values()}
    assert types <= FIXED.keys()


def test_every_other_difference_is_listed_and_has_its_row() -> None:
    found = changes(template(ROOT))
    assert sorted(found) == sorted(LISTED), found
    rows = read_rows((ROOT / "docs" / "upgrade.md").read_text(encoding="utf-8"))
    ids = {one for row in rows for one in row.ids}
    assert [one for one in LISTED if one not in ids] == []


# Faults that the tests put into the old template


def of(document: Template, name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["Resources"][name]["Properties"]
    return found


def another_bucket(document: Template) -> None:
    of(document, "Bucket")["BucketName"] = {"Fn::Sub": "${BucketName}-2"}


def a_trigger_under_another_condition(document: Template) -> None:
    document["Resources"]["HttpTrigger"]["Condition"] = "IsAnonymous"
    document["Outputs"] = {}


def a_bucket_that_goes_with_its_stack(document: Template) -> None:
    del document["Resources"]["Bucket"]["DeletionPolicy"]


def another_redundancy(document: Template) -> None:
    of(document, "Bucket")["RedundancyType"] = "ZRS"


def another_name_of_a_role(document: Template) -> None:
    of(document, "UploadRole")["RoleName"] = {"Fn::Sub": "${Name}-uploads"}


def another_description_of_a_role(document: Template) -> None:
    of(document, "FunctionRole")["Description"] = "The token function."


def another_type_of_function(document: Template) -> None:
    document["Resources"]["Function"]["Type"] = "ALIYUN::FC::Function"


def another_name_of_the_function(document: Template) -> None:
    of(document, "Function")["FunctionName"] = {"Fn::Sub": "${Name}-2"}


def another_name_of_the_trigger(document: Template) -> None:
    of(document, "HttpTrigger")["TriggerName"] = "url"


def another_id_of_the_trigger(document: Template) -> None:
    resources = document["Resources"]
    resources["Url"] = resources.pop("HttpTrigger")
    document["Outputs"] = {}


def another_policys_roles(document: Template) -> None:
    of(document, "WriteLogs")["Roles"].append({"Fn::GetAtt": ["UploadRole", "RoleName"]})


LOST: dict[Callable[[Template], None], str] = {
    another_bucket: "template:Resources.Bucket.BucketName: was",
    a_trigger_under_another_condition: "template:Resources.HttpTrigger: was {",
    a_bucket_that_goes_with_its_stack: 'template:Resources.Bucket.DeletionPolicy: was "Retain"',
    another_redundancy: 'template:Resources.Bucket.RedundancyType: was missing, is "ZRS"',
    another_name_of_a_role: 'template:Resources.UploadRole.RoleName: was "sts-token-upload"',
    another_description_of_a_role: "template:Resources.FunctionRole.Description: was",
    another_type_of_function: 'template:Resources.Function.Type: was "ALIYUN::FC3::Function"',
    another_name_of_the_function: 'template:Resources.Function.FunctionName: was "sts-token"',
    another_name_of_the_trigger: 'template:Resources.HttpTrigger.TriggerName: was "http", is "url"',
    another_id_of_the_trigger: "template:Resources.HttpTrigger: was {",
    another_policys_roles: "template:Resources.WriteLogs.Roles: was",
}


@pytest.mark.parametrize("plant", LOST)
def test_an_update_that_loses_something_is_found(plant: Callable[[Template], None]) -> None:
    document = copy.deepcopy(template(OLD))
    assert losses(document) == []
    plant(document)
    assert [one for one in losses(document) if one.startswith(LOST[plant])], losses(document)


def a_public_bucket(document: Template) -> None:
    of(document, "Bucket")["AccessControl"] = "public-read"


def objects_that_expire(document: Template) -> None:
    rule = of(document, "Bucket")["LifecycleConfiguration"]["Rule"][0]
    rule["Expiration"] = {"Days": 30}


def a_third_role(document: Template) -> None:
    document["Resources"]["Other"] = copy.deepcopy(document["Resources"]["FunctionRole"])


def a_variable_that_is_not_passed(document: Template) -> None:
    del of(document, "Function")["EnvironmentVariables"]["JWT_AUDIENCE"]


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (a_public_bucket, "template:Resources.Bucket.AccessControl"),
        (objects_that_expire, "template:Resources.Bucket.LifecycleConfiguration.Rule.0.Expiration"),
        (a_third_role, "template:Resources.Other"),
        (a_variable_that_is_not_passed, f"{VARIABLES}.JWT_AUDIENCE"),
    ],
)
def test_a_difference_that_is_not_listed_is_found(
    plant: Callable[[Template], None], found: str
) -> None:
    document = copy.deepcopy(template(OLD))
    assert changes(document) == {}
    plant(document)
    assert [*changes(document)] == [found]
    assert found not in LISTED
