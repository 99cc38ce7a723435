"""New versions of s.yaml, s.domain.yaml and template.yml change an existing deployment only as
docs/upgrade.md says."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from ops import ROOT
from tests.upgrade import inputs, serverless
from tests.upgrade.files import accepts, serverless_differences, template_differences
from tests.upgrade.inputs import OLD
from tests.upgrade.table import Difference, Row, require_rows

Document = dict[str, Any]

ENVIRONMENTS = {name: inputs.dotenv_of(name) for name in ("", *inputs.DOTENV)}
DOMAIN = {name: {**env, "DOMAIN_NAME": "up.example.com"} for name, env in ENVIRONMENTS.items()}
SERVERLESS = {"s.yaml": ENVIRONMENTS, "s.domain.yaml": DOMAIN}
ACCEPTED: dict[str, list[Any]] = json.loads((OLD / "accepted.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SERVERLESS)
def test_every_difference_of_s_yaml_has_a_row_and_every_row_its_difference(
    name: str, rows: list[Row]
) -> None:
    old, new = ((folder / name).read_text(encoding="utf-8") for folder in (OLD, ROOT))
    found = serverless_differences(name, old, new, SERVERLESS[name])
    require_rows([name], found, rows)


def test_every_difference_of_template_yml_has_a_row_and_every_row_its_difference(
    rows: list[Row],
) -> None:
    found = found_in(inputs.template(ROOT))
    require_rows(["template"], found, rows)


@pytest.mark.parametrize("name", inputs.PARAMETERS)
def test_an_old_stack_breaks_no_rule_of_the_new_template(name: str) -> None:
    """If an old stack breaks a rule of the new template, the console refuses its update. A row in
    docs/upgrade.md cannot excuse this."""
    for folder in (OLD, ROOT):
        stack = inputs.stack_of(inputs.template(folder), inputs.PARAMETERS[name])
        assert stack.broken_rules() == []


def test_accepted_values_are_known_of_every_parameter_and_were_accepted() -> None:
    parameters = inputs.template(OLD)["Parameters"]
    assert ACCEPTED.keys() == parameters.keys()
    for name, values in ACCEPTED.items():
        assert [value for value in values if not accepts(parameters[name], value)] == []


# Planted differences


def found_in(template: Document) -> list[Difference]:
    """The differences between the old template and `template`."""
    return template_differences(inputs.template(OLD), template, inputs.PARAMETERS, {**ACCEPTED})


def a_parameter_goes(template: Document) -> None:
    del template["Parameters"]["JwtIssuer"]
    del template["Resources"]["Function"]["Properties"]["EnvironmentVariables"]["JWT_ISSUER"]


def a_parameter_changes_its_type(template: Document) -> None:
    template["Parameters"]["TokenExpireTime"]["Type"] = "Number"


def a_secret_is_shown(template: Document) -> None:
    del template["Parameters"]["JwtSecret"]["NoEcho"]


def a_default_changes(template: Document) -> None:
    template["Parameters"]["CallerTokensPerMinute"]["Default"] = "60"


def a_choice_goes(template: Document) -> None:
    template["Parameters"]["Auth"]["AllowedValues"].remove("anonymous")


def a_pattern_is_narrower(template: Document) -> None:
    template["Parameters"]["TokenExpireTime"]["AllowedPattern"] = "^(900|1[0-9]{3})$"


def a_number_is_bounded(template: Document) -> None:
    template["Parameters"]["MaxInstances"]["MaxValue"] = 100


def a_parameter_must_be_given(template: Document) -> None:
    template["Parameters"]["Region"] = {"Type": "String"}


def the_bucket_is_another(template: Document) -> None:
    properties = template["Resources"]["Bucket"]["Properties"]
    properties["BucketName"] = {"Fn::Sub": "${BucketName}-2"}


def a_resource_is_renamed(template: Document) -> None:
    role = template["Resources"].pop("UploadRole")
    template["Resources"]["UploadsRole"] = role
    text = json.dumps(template).replace('"UploadRole"', '"UploadsRole"')
    # The class Stack does not know the new name of the role, but it knows FunctionRole. Therefore
    # the references name FunctionRole.
    text = text.replace('["UploadsRole", "Arn"]', '["FunctionRole", "Arn"]')
    template.update(json.loads(text))


def a_bucket_goes_with_its_stack(template: Document) -> None:
    del template["Resources"]["Bucket"]["DeletionPolicy"]


def a_role_may_more(template: Document) -> None:
    statement = template["Resources"]["UploadRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    statement["Statement"][0]["Action"].append("oss:DeleteObject")


def a_variable_is_not_passed(template: Document) -> None:
    del template["Resources"]["Function"]["Properties"]["EnvironmentVariables"]["JWT_AUDIENCE"]


def a_variable_is_passed_by_another_name(template: Document) -> None:
    variables = template["Resources"]["Function"]["Properties"]["EnvironmentVariables"]
    variables["TTL"] = variables.pop("TOKEN_EXPIRE_TIME")


def an_output_goes(template: Document) -> None:
    del template["Outputs"]["TokenUrl"]


POLICY = "template:Resources.UploadRole.Policies.0.PolicyDocument.Statement.0.Action"
VARIABLES = "template:Resources.Function.EnvironmentVariables"
PLANTED: dict[Callable[[Document], None], set[str]] = {
    a_parameter_goes: {"template:Parameters.JwtIssuer", f"{VARIABLES}.JWT_ISSUER"},
    a_parameter_changes_its_type: {"template:Parameters.TokenExpireTime.Type"},
    a_secret_is_shown: {"template:Parameters.JwtSecret.NoEcho"},
    # A stack that never set this parameter gets the new default. A stack that set it keeps its
    # value.
    a_default_changes: {
        "template:Parameters.CallerTokensPerMinute.Default",
        f"{VARIABLES}.CALLER_TOKENS_PER_MINUTE",
    },
    a_choice_goes: {"template:Parameters.Auth.Accepts"},
    a_pattern_is_narrower: {"template:Parameters.TokenExpireTime.Accepts"},
    a_number_is_bounded: {"template:Parameters.MaxInstances.Accepts"},
    a_parameter_must_be_given: {"template:Parameters.Region"},
    the_bucket_is_another: {
        "template:Resources.Bucket.BucketName",
        f"{VARIABLES}.BUCKET_NAME",
        "template:Outputs.Bucket",
    },
    a_bucket_goes_with_its_stack: {"template:Resources.Bucket.DeletionPolicy"},
    a_role_may_more: {POLICY},
    a_variable_is_not_passed: {f"{VARIABLES}.JWT_AUDIENCE"},
    a_variable_is_passed_by_another_name: {
        f"{VARIABLES}.TOKEN_EXPIRE_TIME",
        f"{VARIABLES}.TTL",
    },
    an_output_goes: {"template:Outputs.TokenUrl"},
}


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_difference_of_the_template_is_found(plant: Callable[[Document], None]) -> None:
    template = copy.deepcopy(inputs.template(OLD))
    plant(template)
    assert {difference.id for difference in found_in(template)} == PLANTED[plant]


def test_a_renamed_resource_is_found() -> None:
    template = copy.deepcopy(inputs.template(OLD))
    a_resource_is_renamed(template)
    found = {difference.id for difference in found_in(template)}
    assert {"template:Resources.UploadRole", "template:Resources.UploadsRole"} <= found


def test_a_new_parameter_with_a_default_and_a_variable_that_it_leaves_empty_are_no_difference() -> (
    None
):
    template = copy.deepcopy(inputs.template(OLD))
    template["Parameters"]["EnabledRoutes"] = {"Type": "String", "Default": ""}
    variables = template["Resources"]["Function"]["Properties"]["EnvironmentVariables"]
    variables["ENABLED_ROUTES"] = {"Ref": "EnabledRoutes"}
    assert found_in(template) == []
    template["Parameters"]["EnabledRoutes"]["Default"] = "token"
    assert {difference.id for difference in found_in(template)} == {f"{VARIABLES}.ENABLED_ROUTES"}


S_YAML: list[tuple[str, str, str]] = [
    ("handler: index.handler", "handler: app.handler", "s.yaml:props.handler"),
    ("timeout: 10", "timeout: 3", "s.yaml:props.timeout"),
    ("runtime: python3.10", "runtime: python3.12", "s.yaml:props.runtime"),
    (
        "handler: index.initialize",
        "handler: index.warm",
        "s.yaml:props.instanceLifecycleConfig.initializer.handler",
    ),
    ("+ '-function')}", "+ '-runner')}", "s.yaml:props.role"),
    ("triggerName: http", "triggerName: url", "s.yaml:props.triggers.0.triggerName"),
    (
        "              - HEAD\n",
        "",
        "s.yaml:props.triggers.0.triggerConfig.methods",
    ),
    (
        "env('CALLER_TOKENS_PER_MINUTE', '0')",
        "env('CALLER_TOKENS_PER_MINUTE', '60')",
        "s.yaml:props.environmentVariables.CALLER_TOKENS_PER_MINUTE",
    ),
    (
        "        JWT_ISSUER: ${env('JWT_ISSUER', '')}\n",
        "",
        "s.yaml:props.environmentVariables.JWT_ISSUER",
    ),
    (
        "env('JWT_ISSUER', '')",
        "env('ISSUER', '')",
        "s.yaml:props.environmentVariables.JWT_ISSUER",
    ),
    ("component: fc3", "component: fc", "s.yaml:component"),
    ("  sts_token:\n", "  token:\n", "s.yaml:resources"),
]


@pytest.mark.parametrize(("old", "new", "found"), S_YAML)
def test_a_planted_difference_of_s_yaml_is_found(old: str, new: str, found: str) -> None:
    text = (OLD / "s.yaml").read_text(encoding="utf-8")
    assert old in text
    spoiled = text.replace(old, new, 1)
    differences = serverless_differences("s.yaml", text, spoiled, ENVIRONMENTS)
    assert {difference.id for difference in differences} == {found}


def test_a_new_variable_that_is_left_empty_is_no_difference_of_s_yaml() -> None:
    text = (OLD / "s.yaml").read_text(encoding="utf-8")
    line = "        JWT_ISSUER: ${env('JWT_ISSUER', '')}\n"
    longer = text.replace(line, line + "        ENABLED_ROUTES: ${env('ENABLED_ROUTES', '')}\n")
    assert longer != text
    assert serverless_differences("s.yaml", text, longer, ENVIRONMENTS) == []


def test_an_expression_that_the_evaluator_does_not_know_is_no_silent_difference() -> None:
    with pytest.raises(ValueError, match="this expression is not supported here"):
        serverless.rendered("a: ${env('A') ?? env('B')}", {"A": "1"})
    with pytest.raises(ValueError, match="NAME is not set"):
        serverless.rendered("a: ${env('NAME')}", {})
