"""Tests that template.yml follows the vendor's rules and our own. Other tests put a fault into
the template, and check that the rule for this fault reports it.

This file lists which of the vendor's rules we follow, with the reason. Rules for resource types
that we do not use are not listed. If somebody adds a resource of a new type to the template, a test
fails until the vendor's rules for this type are in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import template_rules as rules
from ros_stack import statements_of

Template = dict[str, Any]

ASKED: dict[rules.Rule, tuple[str, str]] = {
    rules.secrets_are_not_echoed: (
        "everybody who may look at the stack can read what the console shows",
        "parameter-sensitive-noecho-check",
    ),
    rules.tags_have_four_parts: (
        "the vendor refuses a template without",
        "metadata-templatetags-check",
    ),
    rules.a_composer_is_there: (
        "the vendor refuses a template without",
        "metadata-ros-composer-check",
    ),
    rules.types_are_judged: (
        "a stack of ours has no network of its own, and no user with a key",
        "security-group-open-ports-except-whitelist",
    ),
    rules.buckets_are_private: (
        "only a token, a signed URL or a form opens anything",
        "oss-bucket-anonymous-prohibited oss-bucket-public-read-prohibited "
        "oss-bucket-public-write-prohibited security-oss-bucket-private-acl",
    ),
    rules.bucket_policies_only_deny: (
        "only the roles grant rights, which are derived and tested there",
        "oss-bucket-policy-no-any-anonymous oss-bucket-policy-outside-organization-check",
    ),
    rules.buckets_encrypt: (
        "AES256 costs nothing",
        "oss-bucket-server-side-encryption-enabled security-oss-bucket-encryption-configured",
    ),
    rules.https_can_be_required: (
        "as a choice, because it would refuse clients that upload by plain HTTP today",
        "oss-bucket-only-https-enabled",
    ),
    rules.versions_can_be_kept: (
        "as a choice, because versions cost storage, and end the rule against overwriting",
        "oss-bucket-backup-enable oss-bucket-versioning-enabled",
    ),
    rules.managed_policies_are_attached: (
        "a policy that nobody has is a mistake; the vendor's own rule ignores Roles",
        "ram-policy-in-use-check",
    ),
    rules.rights_are_the_derived_ones: (
        "these rights have no wildcard",
        "ram-policy-no-has-specified-document ram-policy-no-statements-with-admin-access-check "
        "ram-role-no-product-admin-access ram-user-role-no-product-admin-access",
    ),
    rules.functions_are_configured: (
        "rules for FC 2.0, which also apply to FC 3.0",
        "fc-function-runtime-check fc-function-settings-check fc-function-timeout-configured "
        "fc-service-bind-role fc-service-log-enable",
    ),
    rules.logs_end_and_are_described: (
        "a log that is kept forever costs money, and holds the ids of callers",
        "logstore-ttl-required sls-logstore-hot-ttl-check sls-logstore-ttl-configured "
        "sls-project-description-required",
    ),
}
"""For each of our own rules: the reason, and the names of the vendor's rules that it follows. The
vendor's repository (github:aliyun/ros-templates) runs four of these rules for each pull request:
the rules in the first four rows of this table. It does not run the vendor's other rules."""

NOT_ASKED = {
    "phones have any address, and apps send no Referer; the token gives access": (
        "oss-bucket-authorize-specified-ip oss-bucket-referer-limit"
    ),
    "it needs a second bucket, which costs money; docs/monitoring.md says how to switch it on": (
        "oss-bucket-logging-enabled oss-bucket-operational-access-logging "
        "security-oss-bucket-logging-configured"
    ),
    "KMS has a price, and both roles would need its rights; AES256 encrypts": (
        "oss-default-encryption-kms oss-encryption-byok-check sls-logstore-enabled-encrypt "
        "sls-logstore-encrypt-key-origin-check"
    ),
    "it cannot be changed later, so an update of an old stack would fail or make a new bucket": (
        "oss-storage-class-required oss-zrs-enabled sls-project-multi-zone"
    ),
    "it doubles storage and traffic, so the operator decides": "oss-bucket-remote-replication",
    "the operator chooses tags, and ROS adds them to resources": "oss-bucket-tags-required",
    "ALIYUN::OSS::Bucket has no such property": "oss-bucket-tls-version-check",
    "two shards are the service's default, and more than one function needs": (
        "sls-logstore-shard-count-configured"
    ),
    "the roles here have their own policies, and no policy that is attached by name": (
        "ram-role-has-specified-policy"
    ),
    "SDKs in phones cannot sign for Function Compute, so the function asks for a login; "
    "TriggerAuthType can require a signature": "fc-trigger-http-not-anonymous",
    "a domain needs a certificate, and ICP filing in the mainland: s.domain.yaml has it": (
        "fc-function-custom-domain-and-cert-enable fc-function-custom-domain-and-https-enable "
        "fc-function-custom-domain-and-tls-enable fc-function-internet-and-custom-domain-enable"
    ),
    "in the built-in runtime it is always 1; with Runtime: custom it is 100": (
        "fc-function-instance-concurrency-configured"
    ),
    "the function calls STS and a back end over the internet, and nothing in a VPC": (
        "fc-service-internet-access-disable fc-service-vpc-binding"
    ),
    "it has a price; the log has each request's parts in milliseconds": "fc-service-tracing-enable",
}
"""The vendor's rules that we do not follow, for our resource types. The keys are the reasons."""


def test_the_template_keeps_all_rules(template: Template) -> None:
    assert rules.findings(template) == []


def test_each_rule_of_the_vendor_is_asked_or_not_and_by_a_rule_that_runs() -> None:
    names = [name for _, text in ASKED.values() for name in text.split()]
    names += [name for text in NOT_ASKED.values() for name in text.split()]
    assert len(names) == len({*names})
    assert {*ASKED} <= {*rules.RULES}


# Faults, planted


def properties(template: Template, name: str) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"][name]["Properties"]
    return found


def statement(template: Template, role: str) -> dict[str, Any]:
    """A new statement of a role, to fill."""
    made: dict[str, Any] = {"Effect": "Allow", "Resource": ["acs:oss:*:*:my-bucket/uploads/*"]}
    statements_of(template, role).append(made)
    return made


def a_secret_that_is_shown(template: Template) -> None:
    del template["Parameters"]["CallbackSecret"]["NoEcho"]


def a_name_of_a_secret(template: Template) -> None:
    template["Parameters"]["TokenSeconds"] = template["Parameters"]["MaxInstances"]


def a_tag_of_three_parts(template: Template) -> None:
    interface(template)["TemplateTags"] = ["acs:oss:uploads"]


def a_tag_with_an_empty_part(template: Template) -> None:
    interface(template)["TemplateTags"] = ["acs:document-help:oss:uploads", "acs::oss:uploads"]


def a_tag_that_is_a_text(template: Template) -> None:
    interface(template)["TemplateTags"] = "acs:document-help:oss:uploads"


def no_tags(template: Template) -> None:
    del interface(template)["TemplateTags"]


def no_composer(template: Template) -> None:
    del template["Metadata"]["ALIYUN::ROS::Composer"]


def a_composer_that_is_a_list(template: Template) -> None:
    template["Metadata"]["ALIYUN::ROS::Composer"] = []


def an_open_port(template: Template) -> None:
    rule = {"IpProtocol": "all", "PortRange": "-1/-1", "SourceCidrIp": "0.0.0.0/0"}
    template["Resources"]["Ports"] = {
        "Type": "ALIYUN::ECS::SecurityGroup",
        "Properties": {"SecurityGroupIngress": [rule]},
    }


def a_user_with_a_key(template: Template) -> None:
    template["Resources"]["Key"] = {"Type": "ALIYUN::RAM::AccessKey", "Properties": {}}


def a_bucket_for_readers(template: Template) -> None:
    properties(template, "Bucket")["AccessControl"] = "public-read"


def a_bucket_that_may_be_opened(template: Template) -> None:
    del properties(template, "Bucket")["BlockPublicAccess"]


def a_bucket_policy_for_everybody(template: Template) -> None:
    allowing = {"Effect": "Allow", "Principal": ["*"], "Action": ["oss:GetObject"]}
    given = {"Fn::If": ["WithBrowsers", {"Statement": [allowing]}, {"Ref": "ALIYUN::NoValue"}]}
    properties(template, "Bucket")["Policy"] = given


def no_encryption(template: Template) -> None:
    del properties(template, "Bucket")["ServerSideEncryptionConfiguration"]


def plain_http_always(template: Template) -> None:
    del properties(template, "Bucket")["Policy"]


def a_deny_of_https(template: Template) -> None:
    for found in rules.objects(properties(template, "Bucket")["Policy"]):
        if "acs:SecureTransport" in found:
            found["acs:SecureTransport"] = ["true"]


def no_versions(template: Template) -> None:
    del properties(template, "Bucket")["VersioningConfiguration"]


def a_policy_that_nobody_has(template: Template) -> None:
    properties(template, "WriteLogs")["Roles"] = []


def no_time_limit(template: Template) -> None:
    del properties(template, "Function")["Timeout"]


def a_runtime_of_yesterday(template: Template) -> None:
    properties(template, "Function")["Runtime"]["Fn::If"][2] = "python2.7"


def logs_for_a_week(template: Template) -> None:
    properties(template, "LogStore")["TTL"] = 7


def a_project_without_description(template: Template) -> None:
    del properties(template, "LogProject")["Description"]


def one_text_twice(template: Template) -> None:
    label = template["Parameters"]["Auth"]["Label"]
    label["zh-cn"] = label["en"]


def a_text_in_the_other_language(template: Template) -> None:
    description = template["Outputs"]["TokenUrl"]["Description"]
    description["en"] = description["zh-cn"]


def a_group_in_english(template: Template) -> None:
    interface(template)["ParameterGroups"][0]["Label"]["default"] = "Storage"


def an_assertion_in_english(template: Template) -> None:
    (assertion,) = template["Rules"]["BoundDomain"]["Assertions"]
    assertion["AssertDescription"] = "To bind a domain, give one."


def an_assertion_in_chinese(template: Template) -> None:
    (assertion,) = template["Rules"]["BoundDomain"]["Assertions"]
    assertion["AssertDescription"] = "绑定域名时请填写 OssEndpoint。"


def an_assertion_without_text(template: Template) -> None:
    del template["Rules"]["BoundDomain"]["Assertions"][0]["AssertDescription"]


def hidden_by(template: Template, condition: object, name: str = "JwtSecret") -> None:
    metadata = template["Parameters"][name].setdefault("AssociationPropertyMetadata", {})
    metadata["Visible"] = {"Condition": condition}


def hidden_by_nothing(template: Template) -> None:
    hidden_by(template, {"Fn::Equals": ["${Login}", "jwt"]})


def hidden_by_itself(template: Template) -> None:
    hidden_by(template, {"Fn::Not": {"Fn::Equals": ["${JwtSecret}", ""]}})


def hidden_by_a_value_that_never_comes(template: Template) -> None:
    hidden_by(template, {"Fn::Or": [{"Fn::Equals": ["${Auth}", "token"]}]})


def hidden_by_a_text_for_a_boolean(template: Template) -> None:
    hidden_by(template, {"Fn::Equals": ["${CreateFunction}", "true"]})


def hidden_by_a_reference(template: Template) -> None:
    hidden_by(template, {"Fn::Equals": [{"Ref": "Auth"}, "jwt"]})


def hidden_by_a_condition_of_the_stack(template: Template) -> None:
    hidden_by(template, "IsAnonymous")


def hidden_by_a_list_of_not(template: Template) -> None:
    hidden_by(template, {"Fn::Not": [{"Fn::Equals": ["${Auth}", "jwt"]}]})


def hidden_without_a_value(template: Template) -> None:
    hidden_by(template, {"Fn::Equals": ["${Auth}", "jwt"]})
    del template["Parameters"]["JwtSecret"]["Default"]


def a_service_that_is_not_enabled(template: Template) -> None:
    for name, resource in template["Resources"].items():
        if resource.get("Properties", {}).get("ServiceName") == "OSS":
            del template["Resources"][name]
            break


def a_resource_that_waits_for_nothing(template: Template) -> None:
    template["Resources"]["Function"]["DependsOn"] = ["AssumeUploadRole"]


def a_secret_in_an_output(template: Template) -> None:
    template["Outputs"]["TokenUrl"]["Value"] = {"Fn::Sub": "https://x/?secret=${JwtSecret}"}


def every_right(template: Template) -> None:
    statement(template, "UploadRole").update(Action=["*"], Resource=["*"])


def a_right_that_nothing_needs(template: Template) -> None:
    statement(template, "FunctionRole")["Action"] = ["oss:DeleteObject"]


def reading_with_tokens_that_write(template: Template) -> None:
    statement(template, "UploadRole")["Action"] = ["oss:GetObject"]


def a_right_that_is_missing(template: Template) -> None:
    del template["Resources"]["AssumeUploadRole"]


def interface(template: Template) -> dict[str, Any]:
    found: dict[str, Any] = template["Metadata"]["ALIYUN::ROS::Interface"]
    return found


PLANTED: dict[rules.Rule, dict[Callable[[Template], None], str]] = {
    rules.secrets_are_not_echoed: {
        a_secret_that_is_shown: "Parameters.CallbackSecret",
        a_name_of_a_secret: "Parameters.TokenSeconds",
    },
    rules.tags_have_four_parts: {
        no_tags: "Metadata.ALIYUN::ROS::Interface.TemplateTags",
        a_tag_that_is_a_text: "Metadata.ALIYUN::ROS::Interface.TemplateTags",
        a_tag_of_three_parts: "Metadata.ALIYUN::ROS::Interface.TemplateTags.0",
        a_tag_with_an_empty_part: "Metadata.ALIYUN::ROS::Interface.TemplateTags.1",
    },
    rules.a_composer_is_there: {
        no_composer: "Metadata.ALIYUN::ROS::Composer",
        a_composer_that_is_a_list: "Metadata.ALIYUN::ROS::Composer",
    },
    rules.types_are_judged: {
        an_open_port: "Resources.Ports",
        a_user_with_a_key: "Resources.Key",
    },
    rules.buckets_are_private: {
        a_bucket_for_readers: "Resources.Bucket.AccessControl",
        a_bucket_that_may_be_opened: "Resources.Bucket.BlockPublicAccess",
    },
    rules.bucket_policies_only_deny: {a_bucket_policy_for_everybody: "Resources.Bucket.Policy"},
    rules.buckets_encrypt: {no_encryption: "Resources.Bucket.ServerSideEncryptionConfiguration"},
    rules.https_can_be_required: {
        plain_http_always: "Resources.Bucket.Policy",
        a_deny_of_https: "Resources.Bucket.Policy",
    },
    rules.versions_can_be_kept: {no_versions: "Resources.Bucket.VersioningConfiguration"},
    rules.managed_policies_are_attached: {a_policy_that_nobody_has: "Resources.WriteLogs.Roles"},
    rules.functions_are_configured: {
        no_time_limit: "Resources.Function.Timeout",
        a_runtime_of_yesterday: "Resources.Function.Runtime",
    },
    rules.logs_end_and_are_described: {
        logs_for_a_week: "Resources.LogStore.TTL",
        a_project_without_description: "Resources.LogProject.Description",
    },
    rules.texts_are_in_two_languages: {
        one_text_twice: "Parameters.Auth.Label.zh-cn",
        a_text_in_the_other_language: "Outputs.TokenUrl.Description.en",
        a_group_in_english: "ParameterGroups.0.Label",
    },
    rules.assertions_are_in_two_languages: {
        an_assertion_in_english: "Rules.BoundDomain.Assertions.0.AssertDescription",
        an_assertion_in_chinese: "Rules.BoundDomain.Assertions.0.AssertDescription",
        an_assertion_without_text: "Rules.BoundDomain.Assertions.0.AssertDescription",
    },
    rules.what_is_hidden_can_be_left_out: {
        hidden_by_nothing: "Parameters.JwtSecret.AssociationPropertyMetadata",
        hidden_by_itself: "Parameters.JwtSecret.AssociationPropertyMetadata",
        hidden_by_a_value_that_never_comes: "Parameters.JwtSecret.Visible",
        hidden_by_a_text_for_a_boolean: "Parameters.JwtSecret.Visible",
        hidden_by_a_reference: "Parameters.JwtSecret.Visible",
        hidden_by_a_condition_of_the_stack: "Parameters.JwtSecret.Visible",
        hidden_by_a_list_of_not: "Parameters.JwtSecret.Visible",
        hidden_without_a_value: "Parameters.JwtSecret.Default",
    },
    rules.services_are_enabled: {
        a_service_that_is_not_enabled: "Resources.Bucket.DependsOn",
        a_resource_that_waits_for_nothing: "Resources.Function.DependsOn",
    },
    rules.outputs_show_no_secret: {a_secret_in_an_output: "Outputs.TokenUrl"},
    rules.rights_are_the_derived_ones: {
        every_right: "Resources.UploadRole: no * on *",
        a_right_that_nothing_needs: "Resources.FunctionRole: no oss:DeleteObject on ",
        reading_with_tokens_that_write: "Resources.UploadRole: no oss:GetObject on ",
        a_right_that_is_missing: "Resources.FunctionRole: sts:AssumeRole on ",
    },
}


@pytest.mark.parametrize(
    ("rule", "plant"),
    [(rule, plant) for rule, found in PLANTED.items() for plant in found],
)
def test_a_planted_fault_is_found_by_its_rule(
    template: Template, rule: rules.Rule, plant: Callable[[Template], None]
) -> None:
    plant(template)
    place, _, accepted = PLANTED[rule][plant].partition(": ")
    found = rules.findings(template, rule)
    assert [one for one in found if one.startswith(f"{place}: {rule.__name__}: {accepted}")], found


def test_each_rule_is_shown_to_find_something() -> None:
    assert [*PLANTED] == [*rules.RULES]
