"""Checks a template by rules that ROS itself does not check: the vendor's rules, and ours.

The vendor's rules come from two repositories: github:aliyun/ros-templates (.infraguard-policies,
run for each pull request, as of 2026-08-20) and github:aliyun/infraguard
(policies/aliyun/rules/ros, as of 2026-06-30). test_vendor_rules.py says which of these rules are
checked here, and why others are not. ops/ros_template.py checks that each text exists in both
languages, and that each parameter is in one group.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from ops.rights import Options, Statement, rights
from ros_stack import ACCOUNT, REGION, Stack
from token_service.app import ROUTES
from token_service.settings.values import ROUTE_WORDS

Template = dict[str, Any]
Found = Iterator[tuple[str, str]]
"""Each fault is a pair: a place in the template, and the value that the rule accepts there."""
Rule = Callable[[Template], Found]

NAMES_OF_SECRETS = (
    "password passwd pwd secret apikey api_key accesskey access_key secretkey secret_key token "
    "credential privatekey private_key"
).split()
"""The vendor's check treats a parameter as a secret if its name contains one of these words."""

JUDGED = frozenset(
    f"ALIYUN::{name}"
    for name in (
        "FC3::ConcurrencyConfig FC3::Function FC3::Trigger OSS::Bucket OSS::BucketOverwriteConfig "
        "OSS::Domain RAM::ManagedPolicy RAM::Role ROS::AutoEnableService SLS::Index SLS::Logstore "
        "SLS::Project"
    ).split()
)
"""The types of resources that test_vendor_rules.py covers. If the template gets another type, the
vendor may have more rules for it."""

ENABLED_BY = {"OSS": "OSS", "FC3": "FC", "SLS": "SLS"}
"""The name of the service of ALIYUN::<service>::… for AutoEnableService. RAM is always enabled."""

DEPRECATED_RUNTIMES = {
    "dotnetcore2.1",
    "nodejs10",
    "nodejs12",
    "nodejs4.4",
    "nodejs6",
    "nodejs8",
    "python2.7",
}

_CHINESE = re.compile("[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
"""Chinese characters and punctuation. A Chinese text that is only a range of numbers has Chinese
punctuation, but no Chinese characters."""
_LATIN = re.compile("[A-Za-z]{2}")


def findings(template: Template, *asked: Rule) -> list[str]:
    """The places where a template breaks one of the rules in `asked`. If `asked` is empty, all
    RULES are checked. Each line has the place, the rule, and what is accepted."""
    return [
        f"{place}: {rule.__name__}: {accepted}"
        for rule in asked or RULES
        for place, accepted in rule(template)
    ]


# The four rules that the vendor runs for each pull request


def secrets_are_not_echoed(template: Template) -> Found:
    for name, parameter in template["Parameters"].items():
        words = [word for word in NAMES_OF_SECRETS if word in name.lower()]
        if words and parameter.get("NoEcho") is not True:
            yield f"Parameters.{name}", f"NoEcho: true, or a name without {words[0]!r}"


def tags_have_four_parts(template: Template) -> Found:
    metadata = template.get("Metadata") or {}
    interface = metadata.get("ALIYUN::ROS::Interface") or {}
    tags = metadata.get("TemplateTags", interface.get("TemplateTags"))
    place, accepted = "Metadata.ALIYUN::ROS::Interface.TemplateTags", "a list of acs:a:b:c"
    if not isinstance(tags, list) or not tags:
        yield place, accepted
        return
    for number, tag in enumerate(tags):
        if not re.fullmatch("acs(:[^:]+){3}", str(tag)):
            yield f"{place}.{number}", f"{accepted}, none of the four parts empty"


def a_composer_is_there(template: Template) -> Found:
    composer = (template.get("Metadata") or {}).get("ALIYUN::ROS::Composer")
    if not isinstance(composer, dict):
        yield "Metadata.ALIYUN::ROS::Composer", "an object; {} is one"


def types_are_judged(template: Template) -> Found:
    """The vendor's fourth rule is about security groups. This check ensures that the template has
    no security group."""
    for name, resource in template["Resources"].items():
        if resource["Type"] not in JUDGED:
            yield (
                f"Resources.{name}",
                f"a type of {', '.join(sorted(JUDGED))}; for {resource['Type']} first add the "
                "vendor's rules to test_vendor_rules.py",
            )


# Rules out of the vendor's 392


def buckets_are_private(template: Template) -> Found:
    for place, properties in _of_type(template, "ALIYUN::OSS::Bucket"):
        for name, wanted in (("AccessControl", "private"), ("BlockPublicAccess", True)):
            if properties.get(name) != wanted:
                yield f"{place}.{name}", json.dumps(wanted)


def bucket_policies_only_deny(template: Template) -> Found:
    """The vendor's rules check only the principals of a policy. Our rule is stricter: the bucket
    policy gives no rights, because only roles get rights."""
    for place, properties in _of_type(template, "ALIYUN::OSS::Bucket"):
        for statement in objects(properties.get("Policy")):
            if statement.get("Effect", "Deny") != "Deny":
                yield f"{place}.Policy", "statements that deny"


def buckets_encrypt(template: Template) -> Found:
    for place, properties in _of_type(template, "ALIYUN::OSS::Bucket"):
        found = properties.get("ServerSideEncryptionConfiguration", {})
        if found.get("SSEAlgorithm") not in ("AES256", "KMS"):
            yield f"{place}.ServerSideEncryptionConfiguration", "SSEAlgorithm: AES256, or KMS"


def https_can_be_required(template: Template) -> Found:
    """The stack can require HTTPS, but does not have to, because some clients may upload by plain
    HTTP."""
    for place, properties in _of_type(template, "ALIYUN::OSS::Bucket"):
        insecure = [
            statement
            for statement in objects(properties.get("Policy"))
            if statement.get("Effect") == "Deny"
            and "false" in json.dumps(statement.get("Condition", {}).get("Bool", {})).lower()
            and "acs:SecureTransport" in statement["Condition"]["Bool"]
        ]
        if not insecure:
            yield (
                f"{place}.Policy",
                "a Deny with Condition Bool acs:SecureTransport false, in an Fn::If",
            )


def versions_can_be_kept(template: Template) -> Found:
    """The stack can keep versions, but does not have to. Versions cost storage, and they disable
    the rule that prevents overwriting."""
    for place, properties in _of_type(template, "ALIYUN::OSS::Bucket"):
        found = properties.get("VersioningConfiguration")
        if not any(one.get("Status") == "Enabled" for one in objects(found)):
            yield f"{place}.VersioningConfiguration", "Status: Enabled, in an Fn::If"


def managed_policies_are_attached(template: Template) -> Found:
    for place, properties in _of_type(template, "ALIYUN::RAM::ManagedPolicy"):
        if not properties.get("Roles"):
            yield f"{place}.Roles", "a role of the stack"


def functions_are_configured(template: Template) -> Found:
    for place, properties in _of_type(template, "ALIYUN::FC3::Function"):
        for name in ("Handler", "Timeout", "Role", "LogConfig"):
            if not properties.get(name):
                yield f"{place}.{name}", "a value"
        for runtime in sorted({*_texts(properties.get("Runtime"))} & DEPRECATED_RUNTIMES):
            yield f"{place}.Runtime", f"a supported runtime; {runtime} is no longer supported"


def logs_end_and_are_described(template: Template) -> Found:
    for place, properties in _of_type(template, "ALIYUN::SLS::Logstore"):
        if not 7 < properties.get("TTL", 0) <= 3600:
            yield f"{place}.TTL", "8 to 3600 days"
    for place, properties in _of_type(template, "ALIYUN::SLS::Project"):
        if not properties.get("Description"):
            yield f"{place}.Description", "a text"


# Our own rules


def texts_are_in_two_languages(template: Template) -> Found:
    for place, text in _said(template):
        accepted = "en and zh-cn, each in its own language"
        if not isinstance(text, dict):
            yield place, accepted
        elif _CHINESE.search(str(text.get("en", ""))) or not _LATIN.search(str(text.get("en", ""))):
            yield f"{place}.en", accepted
        elif not _CHINESE.search(str(text.get("zh-cn", ""))):
            yield f"{place}.zh-cn", accepted


def assertions_are_in_two_languages(template: Template) -> Found:
    """The form shows the same text of an assertion in all languages. So this text must contain both
    English and Chinese."""
    for name, rule in template.get("Rules", {}).items():
        for number, assertion in enumerate(rule["Assertions"]):
            text = json.dumps(assertion.get("AssertDescription"), ensure_ascii=False)
            if not (_CHINESE.search(text) and re.search("[A-Za-z]{2,} [a-z]{2,}", text)):
                yield f"Rules.{name}.Assertions.{number}.AssertDescription", "English and Chinese"


def what_is_hidden_can_be_left_out(template: Template) -> Found:
    """A parameter that a condition can hide must have a default. The condition may name only
    parameters and values that exist.

    Conditions of Visible have their own syntax (vendor documentation, document_detail/357710).
    """
    parameters = template["Parameters"]
    for name, parameter in parameters.items():
        place = f"Parameters.{name}"
        metadata = parameter.get("AssociationPropertyMetadata", {})
        for other in re.findall(r"\$\{([^}]*)\}", json.dumps(metadata)):
            if other == name or (other not in parameters and not other.startswith("ALIYUN::")):
                yield f"{place}.AssociationPropertyMetadata", "another parameter in ${…}"
        if "Visible" in metadata:
            if "Default" not in parameter:
                yield f"{place}.Default", "a value, because the parameter may be hidden"
            condition = metadata["Visible"].get("Condition")
            yield from _condition(f"{place}.Visible", condition, parameters)


def services_are_enabled(template: Template) -> Found:
    """Each resource of a service must depend on the resource that enables this service, because a
    new account has no enabled service."""
    resources = template["Resources"]
    reached = {name: {*_mentioned(resource)} for name, resource in resources.items()}
    for name, resource in resources.items():
        service = ENABLED_BY.get(resource["Type"].split("::")[1])
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            seen.add(waiting[-1])
            waiting += (reached[waiting.pop()] & resources.keys()) - seen
        if service and service not in {
            resources[one].get("Properties", {}).get("ServiceName") for one in seen
        }:
            yield (
                f"Resources.{name}.DependsOn",
                f"an ALIYUN::ROS::AutoEnableService of {service}, or a resource that depends on it",
            )


def outputs_show_no_secret(template: Template) -> Found:
    secret = {name for name, parameter in template["Parameters"].items() if parameter.get("NoEcho")}
    for name, output in template.get("Outputs", {}).items():
        for shown in sorted({*_mentioned(output)} & secret):
            yield f"Outputs.{name}", f"a value without {shown}"


def rights_are_the_derived_ones(template: Template) -> Found:
    """The roles have exactly the rights that ops/rights.py derives from a configuration.

    This check reports a right that a role has but does not need, and a right that it needs but does
    not have. Each of these rights is reported once.
    """
    found: dict[tuple[str, str], str] = {}
    for given in _configurations():
        stack = Stack(template, **{"BucketName": "my-bucket", **given})
        for role, derived in _derived(given, stack.properties("UploadRole")["RoleName"]).items():
            has, needs = _rights(stack.policies(role)), {one[:3] for one in derived}
            for right in sorted(has ^ needs):
                text = f"{'no ' if right in has else ''}{right[0]} on {right[1]}"
                example = ", ".join(f"{name}={value}" for name, value in given.items())
                found.setdefault((f"Resources.{role}", text), example)
    for (place, text), example in found.items():
        yield place, f"{text}, for example with {example}"


def _derived(given: dict[str, Any], upload_role: str) -> dict[str, tuple[Statement, ...]]:
    log_store = f"acs:log:*:*:project/sts-token-{ACCOUNT}-{REGION}/logstore/function"
    options = Options(
        bucket="my-bucket",
        prefix="uploads/",
        upload_role=f"acs:ram::{ACCOUNT}:role/{upload_role}",
        log_store=log_store if given.get("CreateLogProject", True) else "",
        has_callbacks="CallbackUrl" in given,
        names_callers=given.get("Auth") != "anonymous",
        has_multipart="MultipartSecret" in given,
    )
    words = given["EnabledRoutes"].split(",") if given["EnabledRoutes"] else ROUTE_WORDS
    paths = [route.path for route in ROUTES if not route.word or route.word in words]
    choices = [name for name in given.get("PolicyChoices", "").split(",") if name]
    wanted = rights([given["PolicyFile"], *choices], paths, options)
    upload = wanted.upload_role
    if "token" not in words:
        # Without the route `token` no client gets a session of the upload role. Only the function
        # itself uses such a session, to sign URLs for reading.
        kept = "oss:GetObject" if "signed-url" in words else ""
        upload = tuple(one for one in upload if one.action == kept)
    return {"FunctionRole": wanted.function_role, "UploadRole": upload}


def _configurations() -> Iterator[dict[str, Any]]:
    policies = ("bucket_write_policy", "bucket_read_policy", "bucket_read_write_policy")
    routes = ("", *ROUTE_WORDS)
    # Settings that close the flow of a route, and settings that open it.
    others: tuple[dict[str, Any], ...] = (
        {},
        {"Auth": "anonymous"},
        {"CreateLogProject": False},
        {"BucketChoice": "existing", "BucketName": None, "ExistingBucketName": "my-bucket"},
        {"PolicyChoices": "bucket_read_policy,bucket_write_policy"},
        {"MultipartSecret": "m" * 32},
        {"CallbackUrl": "https://u.example.com/callback", "CallbackSecret": "c" * 32},
    )
    for policy, route, other in product(policies, routes, others):
        yield {"PolicyFile": policy, "EnabledRoutes": route, **other}


RULES: tuple[Rule, ...] = (
    secrets_are_not_echoed,
    tags_have_four_parts,
    a_composer_is_there,
    types_are_judged,
    buckets_are_private,
    bucket_policies_only_deny,
    buckets_encrypt,
    https_can_be_required,
    versions_can_be_kept,
    managed_policies_are_attached,
    functions_are_configured,
    logs_end_and_are_described,
    texts_are_in_two_languages,
    assertions_are_in_two_languages,
    what_is_hidden_can_be_left_out,
    services_are_enabled,
    outputs_show_no_secret,
    rights_are_the_derived_ones,
)


def _of_type(template: Template, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield f"Resources.{name}", resource.get("Properties", {})


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a value, and the value itself if it is an object."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value or ():
        if isinstance(item, (dict, list)):
            yield from objects(item)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _mentioned(described: dict[str, Any]) -> Iterator[str]:
    """The names of the resources and parameters that a resource or an output mentions."""
    yield from _texts(described.get("DependsOn"))
    for one in objects(described):
        yield from _texts(one.get("Ref"))
        yield from _texts(one.get("Fn::GetAtt"))
        for text in _texts(one.get("Fn::Sub")):
            yield from re.findall(r"\$\{(\w+)", text)


def _said(template: Template) -> Iterator[tuple[str, Any]]:
    yield "Description", template.get("Description")
    for section in ("Parameters", "Outputs"):
        for name, described in template.get(section, {}).items():
            for member in ("Label", "Description"):
                yield f"{section}.{name}.{member}", described.get(member)
    groups = template["Metadata"]["ALIYUN::ROS::Interface"]["ParameterGroups"]
    for number, group in enumerate(groups):
        yield f"ParameterGroups.{number}.Label", group.get("Label", {}).get("default")


def _condition(place: str, condition: Any, parameters: dict[str, Any]) -> Found:
    called = condition if isinstance(condition, dict) else {"": [""]}
    name, arguments = next(iter(called.items()))
    if name == "Fn::Not":
        yield from _condition(place, arguments, parameters)
    elif name in ("Fn::And", "Fn::Or") and isinstance(arguments, list):
        for argument in arguments:
            yield from _condition(place, argument, parameters)
    elif name == "Fn::Equals" and re.fullmatch(r"\$\{\w+\}", str(arguments[0])):
        tested = parameters.get(arguments[0][2:-1], {})
        values = [True, False] if tested.get("Type") == "Boolean" else tested.get("AllowedValues")
        # The values are compared as JSON, because in Python 1 equals True.
        if values and json.dumps(arguments[1]) not in map(json.dumps, values):
            yield place, f"in Fn::Equals one of {json.dumps(values)}"
    else:
        yield place, "Fn::Equals of ${…}, Fn::Not of one condition, Fn::And or Fn::Or of a list"


def _rights(policies: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """The rights of all Allow statements, without the rights that are also in a Deny statement."""
    found: dict[str, set[tuple[str, str, str]]] = {"Allow": set(), "Deny": set()}
    for statement in (one for policy in policies for one in policy["Statement"]):
        condition = statement.get("Condition")
        encoded = json.dumps(condition, sort_keys=True, ensure_ascii=False) if condition else ""
        for action, resource in product(_texts(statement["Action"]), _texts(statement["Resource"])):
            found[statement["Effect"]].add((action, resource, encoded))
    return found["Allow"] - found["Deny"]
