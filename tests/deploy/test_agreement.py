"""s.yaml and template.yml describe the same function: handler, runtime, variables, roles, trigger.

The function accepts every value that the parameters of template.yml accept."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from configuration import configuration
from ops import ROOT, misspelt, reference
from ops.doctor import domain
from ops.doctor.patient import DEFAULT_REGION
from ops.policies_described import offered
from ros_stack import ACCOUNT, REGION, Stack
from sandbox.environment import CREDENTIALS
from tests.upgrade import serverless
from token_service.app import ROUTES
from token_service.errors import Misconfiguration
from token_service.http import http_server
from token_service.settings.parsing import Whole
from token_service.settings.variables import VARIABLES

Document = dict[str, Any]

BUILD_ONLY = {"JWT_JWKS_FILE"}
"""Variables that name a file of the package. template.yml contains the function's code, and
an operator cannot add a file to this code. So template.yml does not have these variables."""
SANDBOX_ONLY = {"STS_ENDPOINT"}
"""Variables that `s local` needs for the sandbox. In the cloud, the function uses the region's
default."""
PLATFORMS = set(CREDENTIALS)
"""Variables that Function Compute sets."""
NARROWER = {"UploadMaxBytes": 4_999_999_999}
"""The largest number that the template accepts for a parameter. The function accepts larger numbers
too, but the regular expression for that would be too long."""
MADE_BY_THE_STACK = {"ROLE_ARN", "OSS_REGION"}
OTHERWISE_NAMED = {
    "TOKEN_EXPIRE_TIME": "SessionSeconds",
    "TOKEN_EXPIRE_TIME_MAX": "SessionSecondsMax",
    "CALLER_TOKENS_PER_MINUTE": "SessionsPerCallerPerMinute",
}
"""Parameters whose names differ from the names of the variables. The vendor's check of templates
treats every name with "token" as a secret."""

_ENV = re.compile(r"\$\{env\('(\w+)', '?([^'{}]*?)'?\)(?: \* 1)?\}")


@pytest.fixture
def props() -> Document:
    """The function of s.yaml, in which all variables have their defaults. test_serverless_devs.py
    renders it with the real CLI."""
    text = (ROOT / "s.yaml").read_text(encoding="utf-8")
    named = yaml.safe_load(text)["vars"].items()
    variables = {name: _default(value) for name, value in named if isinstance(value, str)}
    text = re.sub(r"\$\{vars\.(\w+)\}", lambda match: variables[match[1]], text)
    found: Document = yaml.safe_load(text)["resources"]["sts_token"]["props"]
    return found


@pytest.fixture
def function(template: Document) -> Document:
    """The function of template.yml, in which all parameters have their defaults."""
    return Stack(template, BucketName="my-bucket").properties("Function")


def _default(text: str) -> str:
    found = _ENV.fullmatch(text)
    assert found, text
    return found[2]


def role_names(text: str) -> str:
    """Return the role ARN that s.yaml builds from the account's id and the function's name."""
    found = re.fullmatch(
        r"\$\{env\('\w*ROLE_ARN', 'acs:ram::' \+ config\('AccountID'\) \+ ':role/' \+ "
        r"env\('FUNCTION_NAME', '([\w-]+)'\) \+ '([\w-]+)'\)\}",
        text,
    )
    assert found, text
    return f"acs:ram::{ACCOUNT}:role/{found[1]}{found[2]}"


def test_the_functions_agree(props: Document, function: Document) -> None:
    same = {
        "functionName": "FunctionName",
        "description": "Description",
        "handler": "Handler",
        "diskSize": "DiskSize",
        "timeout": "Timeout",
        "internetAccess": "InternetAccess",
    }
    for ours, theirs in same.items():
        assert props[ours] == function[theirs], ours
    ours, theirs = props["instanceLifecycleConfig"], function["InstanceLifecycleConfig"]
    assert ours["initializer"]["handler"] == theirs["Initializer"]["Handler"]
    assert ours["initializer"]["timeout"] == theirs["Initializer"]["Timeout"]
    assert props["handler"] == "index.handler"
    text = (ROOT / "s.yaml").read_text(encoding="utf-8")
    logged = serverless.rendered(text, {"LOG_PROJECT": "logs"})["resources"]["sts_token"]["props"]
    log_rule = logged["logConfig"]["logBeginRule"]
    assert log_rule == function["LogConfig"]["LogBeginRule"] == "None"


@pytest.mark.parametrize("runtime", ["python3.10", "custom"])
def test_the_runtimes_agree(template: Document, runtime: str) -> None:
    text = (ROOT / "s.yaml").read_text(encoding="utf-8")
    ours = serverless.rendered(text, {"RUNTIME": runtime})["resources"]["sts_token"]["props"]
    theirs = Stack(template, BucketName="my-bucket", Runtime=runtime).properties("Function")
    assert (ours["runtime"] == "python3.10") is (runtime == "python3.10")
    for name, named in [("runtime", "Runtime"), ("cpu", "Cpu"), ("memorySize", "MemorySize")]:
        assert ours[name] == theirs[named], name
    # If the template does not set the concurrency, an instance gets one request at a time.
    assert ours["instanceConcurrency"] == theirs.get("InstanceConcurrency", 1)
    assert ours["instanceConcurrency"] <= http_server.MAX_CONNECTIONS
    assert ours["timeout"] == http_server.REQUEST_SECONDS


def check_roles(props: Document, template: Document) -> None:
    stack = Stack(template, BucketName="my-bucket")
    function = stack.properties("Function")
    assert role_names(props["role"]) == stack.role("FunctionRole").arn == function["Role"]
    upload = role_names(props["environmentVariables"]["ROLE_ARN"])
    assert upload == stack.role("UploadRole").arn == function["EnvironmentVariables"]["ROLE_ARN"]
    # The fc3 component writes role names in lower case.
    assert upload == upload.lower()


def test_the_roles_agree(props: Document, template: Document) -> None:
    check_roles(props, template)


def test_a_function_without_its_role_is_found(props: Document, template: Document) -> None:
    """ROS would accept a function without a role, but the platform would give it no access key."""
    del template["Resources"]["Function"]["Properties"]["Role"]
    with pytest.raises(KeyError, match="Role"):
        check_roles(props, template)


def test_another_role_is_found(props: Document, template: Document) -> None:
    template["Resources"]["UploadRole"]["Properties"]["RoleName"] = "uploads"
    with pytest.raises(AssertionError):
        check_roles(props, template)


def test_the_variables_agree(props: Document, function: Document) -> None:
    ours, theirs = props["environmentVariables"], function["EnvironmentVariables"]
    assert ours.keys() - theirs.keys() == SANDBOX_ONLY | BUILD_ONLY
    assert theirs.keys() <= ours.keys()
    # These three values come from other resources, so they have no default to compare.
    for name in theirs.keys() - {"ROLE_ARN", "BUCKET_NAME", "OSS_REGION"}:
        assert _default(ours[name]) == theirs[name], name
    assert theirs["OSS_REGION"] == REGION
    assert all(isinstance(value, str) for value in theirs.values())


def test_every_variable_of_the_catalogue_is_passed_on(props: Document) -> None:
    """Finding F1: if s.yaml does not pass on a declared variable, nobody can set it."""
    names = {variable.name for variable in VARIABLES} - PLATFORMS - {"CALLBACK_PUBLIC_KEY_URL"}
    assert names == props["environmentVariables"].keys()


def test_what_is_passed_on_by_default_is_the_catalogues_default(props: Document) -> None:
    """A default in s.yaml is empty, or the same as in the catalogue. If a default in s.yaml is
    empty, the function uses its own default."""
    for variable in VARIABLES:
        expression = props["environmentVariables"].get(variable.name)
        if expression and variable.name not in ("ROLE_ARN", "OSS_REGION"):
            assert _default(expression) in ("", variable.default), variable.name


def test_every_variable_of_the_template_has_its_parameter(template: Document) -> None:
    """Most parameters have the name of their variable. A parameter has the same accepted values and
    the same default as its variable in settings/variables.py."""
    texts, _ = reference.load()
    passed_on = template["Resources"]["Function"]["Properties"]["EnvironmentVariables"]
    for variable in VARIABLES:
        if variable.name not in passed_on.keys() - MADE_BY_THE_STACK:
            continue
        name = OTHERWISE_NAMED.get(variable.name, variable.name.title().replace("_", ""))
        if variable.name != "BUCKET_NAME":
            assert passed_on[variable.name] == {"Ref": name}
        parameter = template["Parameters"][name]
        assert parameter.get("Default") in (None, "", variable.default), name
        assert accepted_by_template(template, name, texts[variable.name].example), name
        assert parameter.get("NoEcho", False) == variable.secret, name
        if isinstance(variable.parse, Whole):
            least, most = variable.parse.least, NARROWER.get(name, variable.parse.most)
            for number in (least, least + 1, most - 1, most):
                assert accepted_by_template(template, name, str(number)), (name, number)
            for number in (least - 1, most + 1):
                assert not accepted_by_template(template, name, str(number)), (name, number)


def test_doctor_and_the_check_for_misspelt_names_know_s_yaml() -> None:
    text = (ROOT / "s.yaml").read_text(encoding="utf-8")
    both = text + (ROOT / "s.domain.yaml").read_text(encoding="utf-8")
    own = set(re.findall(r"env\('(\w+)'", both)) - {variable.name for variable in VARIABLES}
    assert own == set(misspelt.S_YAMLS_OWN)
    files = dict(re.findall(r"env\('(CERT_\w*FILE)', '([^']*)'\)", both))
    assert files == domain.DEFAULTS
    assert _default(yaml.safe_load(text)["vars"]["region"]) == DEFAULT_REGION


def test_by_default_a_token_does_not_open_everything(props: Document, function: Document) -> None:
    for variables in (props["environmentVariables"], function["EnvironmentVariables"]):
        named = variables["POLICY_FILE"] + variables["POLICY_CHOICES"]
        assert "bucket_write_policy" in named
        assert "all_policy" not in named


def test_the_triggers_agree(props: Document, template: Document) -> None:
    theirs = Stack(template, BucketName="my-bucket").properties("HttpTrigger")
    (ours,) = props["triggers"]
    assert ours["triggerName"] == theirs["TriggerName"]
    assert ours["triggerType"] == theirs["TriggerType"] == "http"
    config = {**ours["triggerConfig"]}
    config["authType"] = _default(config["authType"])
    assert config == theirs["TriggerConfig"]
    assert {"GET", "POST", "HEAD", "OPTIONS"} == set(config["methods"])


def test_the_caps_agree(props: Document, template: Document) -> None:
    theirs = Stack(template, BucketName="my-bucket").properties("InstanceCap")
    ours = props["concurrencyConfig"]["reservedConcurrency"]
    assert int(_default(ours)) == theirs["ReservedConcurrency"]


def test_the_trigger_lets_the_methods_through_that_the_function_answers() -> None:
    answered = {method for route in ROUTES for method in route.methods}
    assert answered == {"GET", "POST", "HEAD", "OPTIONS"}


def test_what_a_deployment_can_set_is_documented(props: Document) -> None:
    found: set[str] = set()
    for name in ("s.yaml", "s.domain.yaml"):
        text = (ROOT / name).read_text(encoding="utf-8")
        found.update(re.findall(r"env\('(\w+)'", text))
    documented = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    # docs/deploy.md must have all other variables. The function's own variables are in
    # docs/configuration.md.
    for name in found - props["environmentVariables"].keys():
        assert f"`{name}`" in documented, name


def test_without_the_function_the_rest_is_made(template: Document) -> None:
    stack = Stack(template, BucketName="my-bucket", CreateFunction=False)
    made = {name for name in template["Resources"] if name in stack}
    assert made == {
        "EnableObjectStorage",
        "Bucket",
        "FunctionRole",
        "UploadRole",
        "AssumeUploadRole",
        "EnableLogService",
        "LogProject",
        "LogStore",
        "LogIndex",
        "WriteLogs",
    }
    assert set(stack.outputs()) == {
        "Bucket",
        "Endpoint",
        "UploadRoleArn",
        "FunctionRoleArn",
        "LogProject",
    }


@pytest.mark.parametrize(
    ("service", "resource"), [("OSS", "Bucket"), ("FC", "Function"), ("SLS", "LogProject")]
)
def test_a_fresh_account_gets_a_service_before_what_is_made_in_it(
    template: Document, service: str, resource: str
) -> None:
    resources = template["Resources"]
    needed = resources[resource]["DependsOn"]
    (found,) = (
        resources[name]
        for name in ([needed] if isinstance(needed, str) else needed)
        if resources[name]["Type"] == "ALIYUN::ROS::AutoEnableService"
    )
    assert found["Properties"] == {"ServiceName": service}
    assert found.get("Condition") == resources[resource].get("Condition")


def test_in_an_existing_bucket_the_stack_makes_nothing(template: Document) -> None:
    stack = Stack(
        template,
        BucketChoice="existing",
        ExistingBucketName="photos-of-2019",
        Overwrite="no",
        AllowedOrigins="https://app.example.com",
    )
    made = {template["Resources"][name]["Type"] for name in template["Resources"] if name in stack}
    assert not any("::OSS::" in kind for kind in made)
    variables = stack.properties("Function")["EnvironmentVariables"]
    assert variables["BUCKET_NAME"] == stack.outputs()["Bucket"] == "photos-of-2019"


def test_what_to_set_in_an_existing_bucket_is_what_a_new_one_has(template: Document) -> None:
    given = {"AllowedOrigins": "https://a.example.com", "ObjectPrefix": "app/"}
    made = Stack(template, BucketName="my-bucket", **given)
    assert "SetInYourBucket" not in made.outputs()
    bucket = made.properties("Bucket")
    (cors,), (rule,) = (
        bucket["CORSConfiguration"]["CORSRule"],
        bucket["LifecycleConfiguration"]["Rule"],
    )
    existing = {"BucketChoice": "existing", "ExistingBucketName": "photos"}
    said = Stack(template, **existing, **given).outputs()["SetInYourBucket"]
    for word in (*cors["AllowedOrigin"], *cors["AllowedMethod"], *cors["ExposeHeader"]):
        assert re.search(rf"\b{re.escape(word)}\b", said), word
    assert f"under {rule['Prefix']} " in said
    assert f"{rule['AbortMultipartUpload']['Days']} days" in said
    assert "https" not in Stack(template, **existing).outputs()["SetInYourBucket"]
    # Only a rule of the bucket can prevent overwriting by clients with tokens.
    kept = Stack(template, BucketName="my-bucket", **given, Overwrite="no")
    (rule,) = kept.properties("OverwriteRule")["Rule"]
    assert "no rule is needed" in said
    said = Stack(template, **existing, **given, Overwrite="no").outputs()["SetInYourBucket"]
    assert f"under {rule['Prefix']} for {rule['Principals']['Principal'][0]}," in said


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"BucketName": "my-bucket"}, ""),
        # A stack update by an operator who does not know the new parameter BucketChoice.
        ({"BucketName": "my-bucket", "ExistingBucketName": "photos"}, ""),
        ({}, "A new bucket needs a name"),
        ({"BucketName": ""}, "A new bucket needs a name"),
        ({"BucketChoice": "existing", "ExistingBucketName": "photos"}, ""),
        ({"BucketChoice": "existing", "BucketName": "my-bucket"}, "Choose the existing bucket"),
        (
            {
                "BucketChoice": "existing",
                "ExistingBucketName": "photos",
                "BindOssEndpoint": True,
                "OssEndpoint": "files.example.com",
            },
            "bind a domain",
        ),
        (
            {"BucketChoice": "existing", "ExistingBucketName": "photos", "RequireHttps": True},
            "refuse plain HTTP",
        ),
        (
            {"BucketChoice": "existing", "ExistingBucketName": "photos", "BucketVersioning": True},
            "keep versions",
        ),
    ],
)
def test_the_bucket_that_is_chosen_must_be_named(
    template: Document, given: dict[str, Any], says: str
) -> None:
    broken = Stack(template, JwtSecret=SECRET, **given).broken_rules()
    assert says in " ".join(broken)
    assert bool(broken) == bool(says)


def test_the_outputs_say_how_to_begin(template: Document) -> None:
    outputs = Stack(template, BucketName="my-bucket").outputs()
    assert outputs["Endpoint"] == f"https://oss-{REGION}.aliyuncs.com"
    assert outputs["FirstCall"] == (
        "LOGIN=$(make -s login CALLER=alice); "
        f"curl -s -H \"Authorization: Bearer $LOGIN\" '{outputs['TokenUrl']}'"
    )
    anonymous = Stack(template, BucketName="my-bucket", Auth="anonymous").outputs()
    assert anonymous["FirstCall"] == f"curl -s '{outputs['TokenUrl']}'"


def test_the_outputs_show_the_values_that_an_update_may_have_lost(template: Document) -> None:
    parameters = dict.fromkeys(OTHERWISE_NAMED.values(), "1234")
    shown = Stack(template, BucketName="my-bucket", **parameters).outputs()["ValuesInForce"]
    assert shown.split() == [f"{name}=1234" for name in parameters]


def test_a_domain_of_the_bucket_goes_to_the_function_and_is_bound_if_wished(
    template: Document,
) -> None:
    given = {"BucketName": "my-bucket", "OssEndpoint": "files.example.com"}
    stack = Stack(template, **given)
    assert stack.outputs()["Endpoint"] == "https://files.example.com"
    variables = stack.properties("Function")["EnvironmentVariables"]
    assert variables["OSS_ENDPOINT"] == "files.example.com"
    assert "BucketDomain" not in stack
    bound = Stack(template, **given, BindOssEndpoint=True)
    assert bound.properties("BucketDomain") == {
        "BucketName": "my-bucket",
        "DomainName": "files.example.com",
    }


@pytest.mark.parametrize(
    ("name", "value", "is_accepted"),
    [
        ("OssEndpoint", "", True),
        ("OssEndpoint", "files.example.com", True),
        ("OssEndpoint", "oss-accelerate.aliyuncs.com", True),
        ("OssEndpoint", "https://files.example.com", False),
        ("OssEndpoint", "oss-cn-hangzhou", False),
        ("OssEndpoint", "files.example.com/x", False),
        ("OssEndpoint", "Files.example.com", False),
        ("OssEndpoint", "files.example.com.", False),
        ("OssEndpoint", "a" * 60 + ".example.com", False),
        ("OssInternalEndpoint", "https://oss-cn-hangzhou.aliyuncs.com", True),
        ("OssInternalEndpoint", "http://oss-cn-hangzhou.aliyuncs.com", False),
    ],
)
def test_an_endpoint_is_a_host_with_a_dot(
    template: Document, name: str, value: str, is_accepted: bool
) -> None:
    assert accepted_by_template(template, name, value) is is_accepted


# What a parameter accepts


def accepted_by_template(template: Document, name: str, value: str) -> bool:
    parameter = template["Parameters"][name]
    return bool(
        re.search(parameter.get("AllowedPattern", ""), value)
        and value in parameter.get("AllowedValues", [value])
        and len(value) <= parameter.get("MaxLength", len(value))
    )


def accepted_by_function(template: Document, name: str, value: str) -> bool:
    given = {"BucketName": "my-bucket", "JwtSecret": "s" * 32}
    if name == "JwtJwksUrl":
        del given["JwtSecret"]
    if name.startswith(("Callback", "UploadHook")):
        given.update(CallbackUrl="https://a.b/callback", CallbackSecret="c" * 32)
    if name.startswith("UploadHook"):
        given.update(UploadHookUrl="https://a.b/hook", UploadHookSecret="h" * 32)
    given[name] = value
    function = Stack(template, **given).properties("Function")
    try:
        configuration(function["EnvironmentVariables"])
    except Misconfiguration:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("BucketName", ["my-bucket", "a1b"], ["", "My-Bucket", "-a-", "ab", "a" * 64, "a.b"]),
        ("ObjectPrefix", ["uploads/", "a/b.c/"], ["", "/", "a", "/a/", "../", "a/./", "*/", "a//"]),
        (
            "AllowedOrigins",
            [
                "",
                "https://a.b,https://c:8443",
                "capacitor://localhost,https://a.b,com.example.a://x",
            ],
            [
                "a.b",
                "https://a.b/",
                "https://a$",
                "null",
                "file://",
                "file://x",
                "moz-extension://x",
            ],
        ),
        (
            "AllowedHeaders",
            ["", "baggage,Sentry-Trace", ",".join([f"x-{number}" for number in range(20)])],
            ["*", "a b", "a:b", ",".join([f"x-{number}" for number in range(21)])],
        ),
        (
            "SessionSeconds",
            ["900", "1000", "43200", "10000"],
            ["", "899", "43201", "99999", "1e3"],
        ),
        ("SessionSecondsMax", ["", "900", "43200"], ["899", "43201", "x"]),
        ("SessionsPerCallerPerMinute", ["", "0", "9999"], ["-1", "10000", "x"]),
        ("CallerUrlsPerMinute", ["", "0", "99999"], ["-1", "100000", "x"]),
        ("LoginsNotBefore", ["", "1700000000"], ["170000000", "1700000000000", "0", "now"]),
        (
            "DeniedCallers",
            ["", "alice", f"a, ~{'a' * 32},@{'a' * 32},.b", ",".join(["b" * 63 + "c"] * 50)],
            ["al ice", "~alice", "b" * 65, "a,,b", "alice,"],
        ),
        ("PolicyFile", [*offered()], ["", "all_policy"]),
        ("PolicyChoices", ["", ",".join(offered())], ["all_policy"]),
        ("JwtSecret", ["s" * 32, "s" * 32 + "," + "t" * 32], ["s" * 31]),
        ("JwtJwksUrl", ["https://a.b/keys.json?x=1"], ["http://a.b/keys", "https://a.b/ü", "a.b"]),
        ("HttpErrorStatus", ["ok", "real"], ["true"]),
        ("Auth", ["jwt", "anonymous"], ["none"]),
        (
            "EnabledRoutes",
            ["", "token", "signed-url,form,multipart,uploads"],
            [",", "tokens", "token,", "token,health", "callback"],
        ),
        ("Overwrite", ["", "yes", "no"], ["No", "true", "never"]),
        ("UrlExpireTime", ["", "1", "99999", "604800"], ["0", "604801", "700000", "1e3"]),
        ("UrlExpireTimeMax", ["", "900", "604800"], ["0", "604801", "x"]),
        ("UploadMaxBytes", ["", "1", "4999999999"], ["0", "5368709121", "1GB"]),
        (
            "UploadContentTypes",
            ["", "image/*", "image/png,image/svg+xml"],
            ["image", "*/*", "image/*,image/png", "image/png,"],
        ),
        (
            "CallbackUrl",
            ["", "https://a.b/callback", "https://a.b:8443/x/callback"],
            ["http://a.b/callback", "https://a.b/", "https://a.b/callback?x=1", "https://a.b/sts"],
        ),
        ("CallbackSecret", ["c" * 32], ["c" * 31]),
        ("UploadHookUrl", ["", "https://a.b/hook"], ["http://a.b/hook", "a.b"]),
        ("UploadHookSecret", ["h" * 32], ["h" * 31]),
    ],
)
def test_what_a_parameter_accepts_the_function_accepts(
    template: Document, name: str, good: list[str], bad: list[str]
) -> None:
    for value in good:
        assert accepted_by_template(template, name, value), value
        assert accepted_by_function(template, name, value), value
    for value in bad:
        assert not accepted_by_template(template, name, value), value


# What the console's form hides

ONLY_WITH_LOGINS = {
    "JwtSecret",
    "JwtJwksUrl",
    "JwtIssuer",
    "JwtAudience",
    "JwtUserClaim",
    "JwtRequire",
}
ONLY_OF_A_NEW_BUCKET = {"BucketName", "BucketVersioning", "RequireHttps", "BindOssEndpoint"}
WITHOUT_FUNCTION = {
    *("Name", "CreateFunction", "BucketChoice", "BucketName", "ObjectPrefix", "AllowedOrigins"),
    *("BucketVersioning", "RequireHttps", "OssEndpoint", "BindOssEndpoint", "Overwrite"),
    *("MaxSessionDuration", "CreateLogProject"),
}
"""Parameters that have an effect even if the stack has no function. In this case another tool
deploys the function."""


def shown(template: Document, **given: object) -> set[str]:
    """The parameters that the form shows."""
    parameters = template["Parameters"]
    values = {name: given.get(name, found.get("Default")) for name, found in parameters.items()}

    def holds(condition: Document) -> bool:
        ((name, arguments),) = condition.items()
        if name == "Fn::Not":
            return not holds(arguments)
        if name == "Fn::And":
            return all(map(holds, arguments))
        assert name == "Fn::Equals"
        looked_at, value = arguments
        return bool(values[looked_at[2:-1]] == value)

    return {
        name
        for name, found in parameters.items()
        for visible in [found.get("AssociationPropertyMetadata", {}).get("Visible")]
        if visible is None or holds(visible["Condition"])
    }


def test_the_form_hides_what_does_not_apply(template: Document) -> None:
    by_default = shown(template)
    everything = template["Parameters"].keys()
    secrets = {"CallbackSecret", "UploadHookSecret"}
    hidden = {"ExistingBucketName", "AllowedHeaders", *secrets}
    assert everything - by_default == hidden
    pages = shown(template, AllowedOrigins="https://app.example.com")
    assert pages - by_default == {"AllowedHeaders"}
    assert by_default - shown(template, Auth="anonymous") == ONLY_WITH_LOGINS
    existing = shown(template, BucketChoice="existing")
    assert by_default - existing == ONLY_OF_A_NEW_BUCKET
    assert existing - by_default == {"ExistingBucketName"}
    url = "https://u.example.com/callback"
    assert shown(template, CallbackUrl=url, UploadHookUrl=url) - by_default == secrets
    assert shown(template, CreateFunction=False) == WITHOUT_FUNCTION


@pytest.mark.parametrize("hiding", [{}, {"Auth": "anonymous"}, {"CreateFunction": False}])
def test_what_was_entered_and_is_hidden_then_does_not_count(
    template: Document, hiding: dict[str, object]
) -> None:
    """We do not know whether the form sends a value that is hidden, so a hidden value must have no
    effect.

    For an existing bucket, a hidden value is refused with a message that tells how to show it.
    """
    given = {"BucketName": "my-bucket", "JwtSecret": SECRET, **hiding}
    hidden = template["Parameters"].keys() - shown(template, **given)
    assert hidden
    texts, _ = reference.load()
    for name in hidden:
        variable = "".join(f"_{letter}" if letter.isupper() else letter for letter in name)
        found = texts.get(variable.upper().lstrip("_"))
        value = found.example if found else "photos"
        stack = Stack(template, **{**given, name: value})
        assert stack.broken_rules() == []
        if "Function" in stack:
            configuration(stack.properties("Function")["EnvironmentVariables"])


SECRET = "s" * 32
URL = "https://a.b/callback"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"JwtSecret": SECRET}, ""),
        ({"JwtJwksUrl": "https://a.b/keys"}, ""),
        ({"Auth": "anonymous"}, ""),
        ({"Auth": "anonymous", "DeniedCallers": "alice"}, "callers have no names"),
        ({"Auth": "anonymous", "LoginsNotBefore": "1700000000"}, "callers have no names"),
        ({}, "give the secret that signs logins"),
        ({"JwtSecret": SECRET, "JwtJwksUrl": "https://a.b/keys"}, "but not both"),
        ({"JwtSecret": SECRET, "CallbackUrl": URL, "CallbackSecret": SECRET}, ""),
        ({"JwtSecret": SECRET, "CallbackUrl": URL}, "need the callback URL"),
        (
            {"JwtSecret": SECRET, "UploadHookUrl": URL, "UploadHookSecret": SECRET},
            "need the callback URL",
        ),
        (
            {
                "JwtSecret": SECRET,
                "CallbackUrl": URL,
                "CallbackSecret": SECRET,
                "UploadHookUrl": "https://a.b/hook",
            },
            "needs the webhook signing secret",
        ),
    ],
)
def test_the_rules_refuse_what_the_function_would_refuse(
    template: Document, given: dict[str, str], says: str
) -> None:
    stack = Stack(template, BucketName="my-bucket", **given)
    broken = stack.broken_rules()
    assert says in " ".join(broken)
    assert bool(broken) == bool(says)
    variables = stack.properties("Function")["EnvironmentVariables"]
    if says:
        with pytest.raises(Misconfiguration):
            configuration(variables)
    else:
        configuration(variables)
