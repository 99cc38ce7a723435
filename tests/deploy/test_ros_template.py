"""template.yml, and the template that `make template` makes, follow the vendor's specifications.

The check finds each kind of planted fault."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from fetched import specifications
from ops.ros_specifications import Specifications
from ops.ros_template import faults
from ops.template import TEMPLATE
from ros_stack import statements_of

Template = dict[str, Any]


@pytest.fixture(scope="module")
def known() -> Specifications:
    return specifications()


@pytest.fixture
def faults_of(known: Specifications) -> Callable[[Template], list[str]]:
    return lambda template: faults(template, 1000, known)


def test_the_template_is_what_ros_accepts(known: Specifications) -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert faults(yaml.safe_load(text), len(text.encode()), known) == []


@pytest.mark.slow
def test_the_template_with_the_code_is_what_ros_accepts(
    known: Specifications, inlined_text: str
) -> None:
    assert faults(yaml.safe_load(inlined_text), len(inlined_text.encode()), known) == []


# The specifications, read


def test_the_specifications_say_what_the_vendor_documents(known: Specifications) -> None:
    """If the parser read no specifications, the check of the template would find no faults and
    pass. Therefore this test checks some facts of the specifications."""
    function = known.resources["ALIYUN::FC3::Function"]
    assert function.attributes == {"ARN", "FunctionId", "FunctionName"}
    required = {name for name, found in function.properties.items() if found.required}
    assert required == {"FunctionName", "Handler", "Runtime"}
    assert function.properties["Timeout"].bounds == (1, 86400)
    assert function.properties["Layers"].inner is not None
    assert function.properties["Code"].kind == "struct"
    assert "ZipFile" in known.structs[function.properties["Code"].struct]
    access = known.resources["ALIYUN::OSS::Bucket"].properties["AccessControl"]
    assert access.allowed == ("private", "public-read", "public-read-write")
    assert len(known.resources) > 60


# Faults, planted


def resource(template: Template, name: str) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"][name]["Properties"]
    return found


def unknown_property(template: Template) -> None:
    resource(template, "Function")["MemmorySize"] = 128


def unknown_nested_property(template: Template) -> None:
    resource(template, "Bucket")["LifecycleConfiguration"]["Rule"][0]["Abort"] = {"Days": 7}


def unknown_property_in_a_branch(template: Template) -> None:
    resource(template, "Bucket")["CORSConfiguration"]["Fn::If"][1]["CORSRules"] = []


def missing_property(template: Template) -> None:
    del resource(template, "Function")["Handler"]


def missing_role(template: Template) -> None:
    del template["Resources"]["UploadRole"]


def wrong_type(template: Template) -> None:
    resource(template, "Function")["Timeout"] = "10"


def a_boolean_for_a_number(template: Template) -> None:
    resource(template, "Function")["Timeout"] = True


def a_text_for_a_list(template: Template) -> None:
    resource(template, "AssumeUploadRole")["Roles"] = "sts-token-function"


def out_of_range(template: Template) -> None:
    resource(template, "Function")["MemorySize"] = 64


def not_allowed(template: Template) -> None:
    resource(template, "Bucket")["AccessControl"] = "public"


def unknown_type(template: Template) -> None:
    template["Resources"]["Function"]["Type"] = "ALIYUN::FC::Function"


def unknown_member(template: Template) -> None:
    template["Resources"]["Bucket"]["DeletionPolice"] = "Retain"


def dangling_ref(template: Template) -> None:
    resource(template, "Function")["FunctionName"] = {"Ref": "FunctionName"}


def dangling_sub(template: Template) -> None:
    resource(template, "UploadRole")["RoleName"] = {"Fn::Sub": "${Nmae}-upload"}


def dangling_attribute(template: Template) -> None:
    resource(template, "Function")["Role"] = {"Fn::GetAtt": ["FunctionRole", "ARN"]}


def dangling_condition(template: Template) -> None:
    template["Resources"]["LogIndex"]["Condition"] = "WithLog"


def dangling_condition_of_a_condition(template: Template) -> None:
    template["Conditions"]["WithBoundDomain"]["Fn::And"][0] = "ANewBucket"


def dangling_dependency(template: Template) -> None:
    template["Resources"]["Function"]["DependsOn"].append("Policy")


def unused_parameter(template: Template) -> None:
    del resource(template, "Function")["EnvironmentVariables"]["JWT_ISSUER"]


def unused_condition(template: Template) -> None:
    template["Conditions"]["Never"] = {"Fn::Equals": [1, 2]}


def what_is_not_always_there(template: Template) -> None:
    resource(template, "UploadRole")["Description"] = {"Fn::GetAtt": ["Function", "ARN"]}


def a_bucket_that_may_be_another(template: Template) -> None:
    name = {"Fn::GetAtt": ["Bucket", "Name"]}
    resource(template, "Function")["EnvironmentVariables"]["BUCKET_NAME"] = name


def a_domain_for_any_bucket(template: Template) -> None:
    del template["Conditions"]["WithBoundDomain"]["Fn::And"][0]


def a_circle(template: Template) -> None:
    """Without the separate policy AssumeUploadRole, the two roles would refer to each other like
    this."""
    statement = statements_of(template, "FunctionRole")[0]
    statement["Resource"] = [{"Fn::GetAtt": ["UploadRole", "Arn"]}]


def a_parameter_in_no_group(template: Template) -> None:
    groups = template["Metadata"]["ALIYUN::ROS::Interface"]["ParameterGroups"]
    groups[1]["Parameters"].remove("BucketName")


def a_default_that_is_refused(template: Template) -> None:
    template["Parameters"]["ObjectPrefix"]["Default"] = "uploads"


def a_default_of_another_type(template: Template) -> None:
    template["Parameters"]["MaxInstances"]["Default"] = "10"


def a_label_in_one_language(template: Template) -> None:
    del template["Parameters"]["BucketName"]["Label"]["zh-cn"]


def an_output_without_description(template: Template) -> None:
    del template["Outputs"]["TokenUrl"]["Description"]


def interface(template: Template) -> dict[str, Any]:
    found: dict[str, Any] = template["Metadata"]["ALIYUN::ROS::Interface"]
    return found


def a_group_in_one_language(template: Template) -> None:
    interface(template)["ParameterGroups"][0]["Label"]["default"] = "Storage"


def an_output_that_is_not_listed(template: Template) -> None:
    interface(template)["Outputs"].remove("TokenUrl")


def an_output_that_is_not_there(template: Template) -> None:
    del template["Outputs"]["FirstCall"]


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (unknown_property, "Resources.Function: unknown property MemmorySize"),
        (unknown_nested_property, r"Bucket.LifecycleConfiguration.Rule.0: unknown property Abort"),
        (unknown_property_in_a_branch, "CORSConfiguration: unknown property CORSRules"),
        (missing_property, "Resources.Function: missing property Handler"),
        (missing_role, "Resources.AssumeUploadRole.* there is no UploadRole"),
        (wrong_type, "Resources.Function.Timeout: must be a number"),
        (a_boolean_for_a_number, "Resources.Function.Timeout: must be a number"),
        (a_text_for_a_list, "AssumeUploadRole.Roles: must be a list"),
        (out_of_range, "Function.MemorySize: must be between 128 and 65536"),
        (not_allowed, "Bucket.AccessControl: must be one of private"),
        (unknown_type, "Resources.Function: unknown type ALIYUN::FC::Function"),
        (unknown_member, "Resources.Bucket: unknown member DeletionPolice"),
        (dangling_ref, "Resources.Function.* there is no FunctionName"),
        (dangling_sub, "Resources.UploadRole.* there is no Nmae"),
        (dangling_attribute, "FunctionRole has no attribute ARN"),
        (dangling_condition, "there is no condition WithLog"),
        (dangling_condition_of_a_condition, "Conditions.* there is no condition ANewBucket"),
        (dangling_dependency, "Resources.Function.DependsOn: there is no Policy"),
        (unused_parameter, "JwtIssuer: nothing uses it"),
        (unused_condition, "Never: nothing uses it"),
        (what_is_not_always_there, "Function exists only if WithFunction is true"),
        (a_bucket_that_may_be_another, "Function.*: Bucket exists only if NewBucket is true"),
        (a_domain_for_any_bucket, "BucketDomain.*: Bucket exists only if NewBucket is true"),
        (a_circle, "FunctionRole.* depend on each other"),
        (a_parameter_in_no_group, "Metadata: BucketName must be a parameter that is in one group"),
        (
            a_default_that_is_refused,
            "Parameters.ObjectPrefix.Default: the parameter does not accept this value",
        ),
        (a_default_of_another_type, "Parameters.MaxInstances.Default: not a Number"),
        (a_label_in_one_language, "Parameters.BucketName.Label: .*zh-cn"),
        (an_output_without_description, "Outputs.TokenUrl.Description: "),
        (a_group_in_one_language, "Metadata: the label Storage must be in en and zh-cn"),
        (an_output_that_is_not_listed, "Metadata: TokenUrl must be an output that is listed once"),
        (an_output_that_is_not_there, "Metadata: FirstCall must be an output"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_planted_fault_is_found(
    template: Template,
    faults_of: Callable[[Template], list[str]],
    plant: Callable[[Template], None],
    found: str,
) -> None:
    assert faults_of(template) == []
    plant(template)
    assert any(re.search(found, fault) for fault in faults_of(template)), faults_of(template)


def test_a_template_that_ros_would_not_take_for_its_size_is_found(
    template: Template, known: Specifications
) -> None:
    assert faults(template, 524_288, known) == []
    assert "524288" in faults(template, 524_289, known)[0]
