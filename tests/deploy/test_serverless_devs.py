"""The real CLI renders, verifies and runs s.yaml here. Other tests here show the faults that s.yaml
avoids."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import oss2
import pytest
import yaml

from dotenv_rows import ROWS, SHELL, written
from ops import ROOT, dotenv
from running_cloud import Token, running_cloud
from sandbox.cloud import Secrets
from serverless_devs import ACCOUNT, KEY, Project, make_project
from tests.upgrade import inputs, serverless

# Each test starts `s`, and most tests start it more than once.
pytestmark = pytest.mark.slow

EVENT = ROOT / "tests" / "events" / "get_token.json"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("serverless-devs"))


@pytest.fixture(scope="module")
def built(project: Project, package: Path) -> Project:
    """The project's folder, with the package at the path that s.yaml names."""
    shutil.copytree(package, project.folder / "build" / "sts_token")
    return project


@pytest.fixture(scope="module")
def defaults(project: Project) -> dict[str, Any]:
    """The function's properties if no variable is set."""
    found: dict[str, Any] = project.preview()["props"]
    return found


def verify(project: Project, *arguments: str, **variables: str) -> str:
    """Return the output of `s verify`, or an empty text if it finds no fault."""
    done = project.run("verify", *arguments, **variables)
    said = done.stdout + done.stderr
    if done.returncode == 0 and "passed" in said:
        return ""
    return said


def test_s_verifies_both_files(project: Project) -> None:
    assert verify(project) == ""
    assert verify(project, "-t", "s.domain.yaml", DOMAIN_NAME="uploads.example.com") == ""


def test_the_defaults_are_safe(defaults: dict[str, Any]) -> None:
    props = defaults
    assert props["role"] == f"acs:ram::{ACCOUNT}:role/sts-token-function"
    variables = props["environmentVariables"]
    assert variables["ROLE_ARN"] == f"acs:ram::{ACCOUNT}:role/sts-token-upload"
    # Without JWT_SECRET, the function issues no token, and its answer says why.
    assert (variables["AUTH"], variables["JWT_SECRET"]) == ("jwt", "")
    assert variables["ALLOWED_ORIGINS"] == ""
    assert props["timeout"] == 10
    assert props["concurrencyConfig"] == {"reservedConcurrency": 10}
    assert props["triggers"][0]["triggerConfig"] == {
        "authType": "anonymous",
        "methods": ["GET", "POST", "HEAD", "OPTIONS"],
        "disableURLInternet": False,
    }
    assert "customDomain" not in props


def test_what_the_environment_sets_wins_and_numbers_stay_numbers(project: Project) -> None:
    given = {
        "FUNCTION_NAME": "photos",
        "REGION": "cn-beijing",
        "MAX_INSTANCES": "3",
        "TOKEN_EXPIRE_TIME": "3600",
        "LOG_PROJECT": "logs",
        "TRIGGER_AUTH": "function",
    }
    assert verify(project, **given) == ""
    props = project.preview(**given)["props"]
    assert (props["functionName"], props["region"]) == ("photos", "cn-beijing")
    assert props["role"] == f"acs:ram::{ACCOUNT}:role/photos-function"
    assert props["concurrencyConfig"] == {"reservedConcurrency": 3}
    assert props["environmentVariables"]["TOKEN_EXPIRE_TIME"] == "3600"
    assert props["environmentVariables"]["ROLE_ARN"].endswith("/photos-upload")
    assert props["environmentVariables"]["OSS_REGION"] == "cn-beijing"
    assert props["logConfig"] == {
        "project": "logs",
        "logstore": "function",
        "enableRequestMetrics": True,
        "enableInstanceMetrics": True,
        "logBeginRule": "None",
    }
    assert props["triggers"][0]["triggerConfig"]["authType"] == "function"


def test_a_custom_runtime_takes_many_requests_an_instance(
    project: Project, defaults: dict[str, Any]
) -> None:
    names = ("runtime", "instanceConcurrency", "cpu", "memorySize")
    assert [defaults[name] for name in names] == ["python3.10", 1, 0.1, 128]
    assert verify(project, RUNTIME="custom") == ""
    props = project.preview(RUNTIME="custom")["props"]
    assert [props[name] for name in names] == ["custom.debian10", 100, 0.5, 512]
    # The two runtimes differ only in these properties.
    assert {**props, **{name: defaults[name] for name in names}} == defaults


def test_every_variable_of_the_function_can_be_set(
    project: Project, defaults: dict[str, Any]
) -> None:
    """Each variable of the function is set from an environment variable with the same name."""
    names = defaults["environmentVariables"]
    given = {name: f"value-of-{number}" for number, name in enumerate(names)}
    assert project.preview(**given)["props"]["environmentVariables"] == given


@pytest.mark.parametrize("folder", [inputs.OLD, ROOT], ids=["b291437", "today"])
def test_a_dotenv_file_is_rendered_as_tests_upgrade_renders_it(
    project: Project, tmp_path: Path, folder: Path
) -> None:
    """The tests in tests/upgrade do not use the real CLI: they render s.yaml by a simple evaluator.
    This test checks that both give the same result."""
    shutil.copyfile(folder / "s.yaml", tmp_path / "s.yaml")
    shutil.copyfile(inputs.OLD / "environments" / "full.env", tmp_path / ".env")
    found = dataclasses.replace(project, folder=tmp_path).preview()
    text = (folder / "s.yaml").read_text(encoding="utf-8")
    expected = serverless.rendered(text, inputs.dotenv_of("full"))["resources"]["sts_token"]
    assert found["props"] == expected["props"]


def test_a_dotenv_file_is_read_as_ops_dotenv_reads_it(project: Project, tmp_path: Path) -> None:
    """In some values of the file, the real CLI cuts the text at # or expands a $."""
    shutil.copyfile(ROOT / "s.yaml", tmp_path / "s.yaml")
    (tmp_path / ".env").write_text(written(ROWS))
    found = dataclasses.replace(project, folder=tmp_path).preview(**SHELL)
    variables = found["props"]["environmentVariables"]
    loaded = dotenv.load(tmp_path, project.environment(SHELL)).variables
    for row in ROWS:
        assert variables[row.name] == loaded[row.name] == row.arrives, row.text


def test_a_dotenv_file_that_refers_to_itself_ends_serverless_devs(
    project: Project, tmp_path: Path
) -> None:
    shutil.copyfile(ROOT / "s.yaml", tmp_path / "s.yaml")
    (tmp_path / ".env").write_text("JWT_SECRET=a$JWT_SECRET\n")
    done = dataclasses.replace(project, folder=tmp_path).run("preview")
    assert done.returncode != 0
    assert "Maximum call stack size exceeded" in done.stdout + done.stderr


def test_a_domain_of_ones_own_is_https(project: Project, defaults: dict[str, Any]) -> None:
    props = project.preview("-t", "s.domain.yaml", DOMAIN_NAME="uploads.example.com")["props"]
    domain = props.pop("customDomain")
    assert (domain["domainName"], domain["protocol"]) == ("uploads.example.com", "HTTPS")
    assert domain["route"]["methods"] == props["triggers"][0]["triggerConfig"]["methods"]
    assert props == defaults
    assert "DOMAIN_NAME" in verify(project, "-t", "s.domain.yaml")


# Deploys into the file of the stand-in

MAKEFILE = """
.PHONY: doctor build
doctor:
\t@echo doctor >>steps
\t@test -n "$(BUCKET_NAME)" || { echo "a bucket is missing" >&2; exit 1; }
build:
\t@echo build >>steps
\t@mkdir -p build/sts_token
"""
SOUND = {"BUCKET_NAME": "my-bucket", "JWT_SECRET": "one-secret-of-thirty-two-letters"}
OTHER = SOUND | {"JWT_SECRET": "two-secrets-of-thirty-two-letter"}
PARTS = ["function", "triggers", "concurrency"]
QUESTION = "Deploy it with local config?"


@dataclasses.dataclass(frozen=True)
class Checkout:
    """A project whose Makefile records the targets that run."""

    project: Project

    def run(self, *arguments: str, **variables: str) -> tuple[int, str]:
        """Run `s`. Return the exit status and the output."""
        done = self.project.run(*arguments, **variables)
        return done.returncode, done.stdout + done.stderr

    def steps(self) -> list[str]:
        file = self.project.folder / "steps"
        return file.read_text().split() if file.exists() else []

    @property
    def cloud(self) -> Path:
        return self.project.home / "stand-in-cloud.json"

    def writes(self) -> list[str] | None:
        """The names of the parts that were written, or None if the stand-in's cloud has no
        function."""
        return json.loads(self.cloud.read_text())["writes"] if self.cloud.exists() else None


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, str, str]:
    """Deploy once from a path with blanks. Return the checkout, the output, and the resulting
    cloud."""
    folder = tmp_path_factory.mktemp("deploy") / "a path with blanks"
    folder.mkdir()
    checkout = Checkout(make_project(folder))
    (checkout.project.folder / "Makefile").write_text(MAKEFILE)
    status, said = checkout.run("deploy", "-y", **SOUND)
    assert (status, checkout.writes()) == (0, PARTS), said
    return checkout, said, checkout.cloud.read_text()


@pytest.fixture
def checkout(deployed: tuple[Checkout, str, str]) -> Checkout:
    """The checkout of the fixture `deployed`. The simulated cloud is set back to its state just
    after that deploy."""
    checkout, _, cloud = deployed
    checkout.cloud.write_text(cloud)
    (checkout.project.folder / "steps").unlink(missing_ok=True)
    shutil.copyfile(ROOT / "s.yaml", checkout.project.folder / "s.yaml")
    return checkout


def test_a_deploy_that_doctor_fails_stops_before_it_builds_or_writes(checkout: Checkout) -> None:
    status, said = checkout.run("deploy", "-y")
    assert status != 0
    assert "a bucket is missing" in said
    assert (checkout.steps(), checkout.writes()) == (["doctor"], PARTS)


def test_with_y_a_second_deploy_writes_again_from_a_path_with_blanks(checkout: Checkout) -> None:
    assert checkout.run("deploy", "-y", **OTHER)[0] == 0
    assert checkout.steps() == ["doctor", "build"]
    assert checkout.writes() == PARTS * 2


def test_without_y_and_a_terminal_what_differs_is_not_written_and_the_status_is_0(
    checkout: Checkout,
) -> None:
    """Without -y, `s` asks before it changes the deployed function, so all commands in our docs
    have -y."""
    status, said = checkout.run("deploy", **OTHER)
    assert (status, checkout.writes()) == (0, PARTS)
    assert QUESTION in said


def test_a_deploy_that_changes_nothing_does_not_ask(checkout: Checkout) -> None:
    status, said = checkout.run("deploy", **SOUND)
    assert (status, checkout.writes()) == (0, PARTS * 2)
    assert QUESTION not in said


def test_with_logs_neither(checkout: Checkout) -> None:
    checkout.run("deploy", "-y", LOG_PROJECT="logs", **SOUND)
    status, said = checkout.run("deploy", LOG_PROJECT="logs", **SOUND)
    assert (status, checkout.writes()) == (0, PARTS * 3)
    assert QUESTION not in said


def test_an_empty_log_config_would_be_asked_about_each_time(checkout: Checkout) -> None:
    """With an empty logConfig, `s` asks at each deploy, so s.yaml has no logConfig if LOG_PROJECT
    is not set."""
    file = checkout.project.folder / "s.yaml"
    text = file.read_text().replace(
        "no_logs: {}", "no_logs: {logConfig: {project: '', logstore: ''}}"
    )
    file.write_text(text)
    status, said = checkout.run("deploy", **SOUND)
    assert (status, checkout.writes()) == (0, PARTS)
    assert QUESTION in said


def test_s_prints_secrets_and_keeps_them(
    deployed: tuple[Checkout, str, str], checkout: Checkout
) -> None:
    """`s` prints the secrets and stores them in its logs, so s.yaml has a warning next to them."""
    first, second = SOUND["JWT_SECRET"], OTHER["JWT_SECRET"]
    assert first in deployed[1]
    assert f"JWT_SECRET: {first} => {second}" in checkout.run("plan", **OTHER)[1]
    kept = [file.read_text() for file in (checkout.project.home / ".s" / "logs").rglob("*.log")]
    assert any(first in text for text in kept)


def test_a_domain_without_its_certificate_leaves_a_function_without_its_cap(
    checkout: Checkout,
) -> None:
    """Without the certificate, the deploy fails before it limits the number of instances, so `make
    doctor` checks that the certificate exists."""
    checkout.cloud.unlink()
    status, said = checkout.run(
        "deploy", "-y", "-t", "s.domain.yaml", DOMAIN_NAME="uploads.example.com", **SOUND
    )
    assert status != 0
    assert "fullchain.pem" in said
    assert checkout.writes() == ["function", "triggers"]


def test_taking_it_down_needs_y_too(checkout: Checkout) -> None:
    assert checkout.run("remove")[0] == 0
    assert checkout.writes() == PARTS
    assert checkout.run("remove", "-y")[0] == 0
    assert checkout.writes() is None


COMMAND = re.compile(r"`s (?:deploy|remove)\b[^`]*`")


@pytest.mark.parametrize("name", ["s.yaml", "s.domain.yaml"])
def test_the_headers_name_only_commands_that_write_in_a_pipeline(name: str) -> None:
    header = (ROOT / name).read_text(encoding="utf-8").partition("\nedition:")[0]
    commands = COMMAND.findall(header.replace("\n#", ""))
    assert {command.split()[1].strip("`") for command in commands} == {"deploy", "remove"}
    assert [command for command in commands if " -y" not in command] == []
    assert COMMAND.findall("# `s deploy`, or") == ["`s deploy`"]


# Faults, planted


def unknown_property(props: dict[str, Any]) -> None:
    props["memmorySize"] = 128


def wrong_type(props: dict[str, Any]) -> None:
    props["timeout"] = "ten"


def missing_role(props: dict[str, Any]) -> None:
    del props["role"]


def a_role_in_upper_case(props: dict[str, Any]) -> None:
    """The component would deploy the role's name in lower case, which is the name of another
    role."""
    props["role"] = "acs:ram::1234567890123456:role/Function"


def missing_handler(props: dict[str, Any]) -> None:
    del props["handler"]


def unknown_runtime(props: dict[str, Any]) -> None:
    props["runtime"] = "python3.11"


def a_number_for_a_variable(props: dict[str, Any]) -> None:
    props["environmentVariables"]["TOKEN_EXPIRE_TIME"] = 900


def a_reserved_variable(props: dict[str, Any]) -> None:
    props["environmentVariables"]["FC_REGION"] = "cn-hangzhou"


def unknown_method(props: dict[str, Any]) -> None:
    props["triggers"][0]["triggerConfig"]["methods"].append("OPTION")


def no_methods(props: dict[str, Any]) -> None:
    del props["triggers"][0]["triggerConfig"]["methods"]


def no_auth_type(props: dict[str, Any]) -> None:
    """Without authType, the platform uses its default `function`. Phones and browsers could then
    not call the function."""
    del props["triggers"][0]["triggerConfig"]["authType"]


def a_misspelt_auth_type(props: dict[str, Any]) -> None:
    """The component accepts `authTyp`, and the platform then uses its default for authType."""
    config = props["triggers"][0]["triggerConfig"]
    config["authTyp"] = config.pop("authType")


def the_platforms_own_jwt(props: dict[str, Any]) -> None:
    props["triggers"][0]["triggerConfig"]["authType"] = "jwt"


def no_cap(props: dict[str, Any]) -> None:
    del props["concurrencyConfig"]


def no_initializer(props: dict[str, Any]) -> None:
    del props["instanceLifecycleConfig"]


def an_empty_log_project(props: dict[str, Any]) -> None:
    """The component compares these empty texts with the cloud and finds differences, so each deploy
    would ask about them."""
    props["logConfig"] = {"project": "", "logstore": ""}


def a_domain_by_http(props: dict[str, Any]) -> None:
    props["customDomain"]["protocol"] = "HTTP"


def a_domain_by_http_too(props: dict[str, Any]) -> None:
    props["customDomain"]["protocol"] = "HTTP,HTTPS"


def a_domain_without_methods(props: dict[str, Any]) -> None:
    del props["customDomain"]["route"]["methods"]


def a_domain_without_certificate(props: dict[str, Any]) -> None:
    del props["customDomain"]["certConfig"]


def a_domain_without_its_key(props: dict[str, Any]) -> None:
    del props["customDomain"]["certConfig"]["privateKey"]


FAULTS: dict[Callable[[dict[str, Any]], None], str] = {
    unknown_property: "must NOT have additional properties",
    wrong_type: "timeout must be integer",
    missing_role: "must have required property 'role'",
    a_role_in_upper_case: "role must match pattern",
    missing_handler: "must have required property 'handler'",
    unknown_runtime: "runtime must be equal to one of",
    a_number_for_a_variable: "TOKEN_EXPIRE_TIME must be string",
    a_reserved_variable: "property name must be valid",
    unknown_method: "methods/4 must be equal to one of",
    no_methods: "must have required property 'methods'",
    no_auth_type: "must have required property 'authType'",
    a_misspelt_auth_type: "must NOT have additional properties",
    the_platforms_own_jwt: "authType must be equal to one of",
    no_cap: "must have required property 'concurrencyConfig'",
    no_initializer: "must have required property 'instanceLifecycleConfig'",
    an_empty_log_project: "project must NOT have fewer than 1 characters",
    a_domain_by_http: "protocol must be equal to constant",
    a_domain_by_http_too: "protocol must be equal to constant",
    a_domain_without_methods: "must have required property 'methods'",
    a_domain_without_certificate: "must have required property 'certConfig'",
    a_domain_without_its_key: "must have required property 'privateKey'",
}


@pytest.fixture(scope="module")
def verdict(project: Project) -> str:
    """What `s` says about one s.yaml with many functions, each of which has one fault.

    All faults are in one file, so that the CLI has to start only once.
    """
    document, domain = (
        yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
        for name in ("s.yaml", "s.domain.yaml")
    )
    sound = document["resources"].pop("sts_token")
    sound["props"] |= domain["resources"]["sts_token"]["props"]
    for plant in FAULTS:
        spoiled = copy.deepcopy(sound)
        plant(spoiled["props"])
        document["resources"][plant.__name__] = spoiled
    document["resources"]["sound"] = sound
    (project.folder / "spoiled.yaml").write_text(yaml.safe_dump(document))
    return verify(project, "-t", "spoiled.yaml", DOMAIN_NAME="uploads.example.com")


@pytest.mark.parametrize("plant", FAULTS)
def test_a_planted_fault_is_found(verdict: str, plant: Callable[[dict[str, Any]], None]) -> None:
    assert re.search(rf"^{plant.__name__}/props.*{re.escape(FAULTS[plant])}", verdict, re.M)


def test_what_is_sound_is_not_found(verdict: str) -> None:
    assert "sound/" not in verdict


def test_a_dangling_variable_is_found(project: Project) -> None:
    text = (ROOT / "s.yaml").read_text(encoding="utf-8")
    (project.folder / "dangling.yaml").write_text(text.replace("${vars.name}", "${vars.nmae}"))
    assert "${vars.nmae} not found" in verify(project, "-t", "dangling.yaml")


def test_a_cap_that_is_no_number_is_found(project: Project) -> None:
    assert "reservedConcurrency" in verify(project, MAX_INSTANCES="many")


def unused_vars(text: str) -> list[str]:
    names = yaml.safe_load(text)["vars"]
    return [name for name in names if not re.search(rf"\$\{{[^}}]*\bvars\.{name}\b", text)]


def test_every_var_is_used() -> None:
    text = (ROOT / "s.yaml").read_text(encoding="utf-8")
    assert unused_vars(text) == []
    assert unused_vars(text.replace("vars:\n", "vars:\n  colour: red\n", 1)) == ["colour"]


# Run on this machine, with the sandbox


@contextlib.contextmanager
def sandbox(folder: Path) -> Iterator[dict[str, str]]:
    """Start a sandbox whose function has the operator's key. Yield the variables to set."""
    # The sandbox accepts only keys that it generated, and reads them from secrets.json. Therefore
    # the operator's key is written into this file.
    secrets = Secrets(KEY["AccessKeyID"], KEY["AccessKeySecret"], "00" * 32)
    (folder / "secrets.json").write_text(json.dumps(vars(secrets)))
    with running_cloud(folder) as cloud:
        names = ("ROLE_ARN", "BUCKET_NAME", "OSS_ENDPOINT", "STS_ENDPOINT")
        yield {"AUTH": "anonymous", **{name: cloud.env[name] for name in names}}


def answer_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found = re.search(r"^\[\{.*\}\]", done.stdout, re.M)
    assert found, done.stdout + done.stderr
    (answer,) = json.loads(found[0])
    body: dict[str, Any] = json.loads(answer["body"])
    return body


def test_a_local_invocation_gets_a_token_that_works(built: Project, tmp_path: Path) -> None:
    with sandbox(tmp_path) as variables:
        done = built.run("local", "invoke", "-f", str(EVENT), **variables)
        token = Token.of(answer_of(done))
        bucket = token.oss2("v4")
        assert bucket.put_object("uploads/a", b"Hello").status == 200
        with pytest.raises(oss2.exceptions.AccessDenied):
            bucket.put_object("a", b"Hello")
        assert KEY["AccessKeySecret"] not in done.stdout + done.stderr


def test_a_local_start_serves_the_token_url(built: Project, tmp_path: Path) -> None:
    with sandbox(tmp_path) as variables, started(built, variables) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/")
        answer = json.loads(connection.getresponse().read())
        connection.close()
        assert Token.of(answer).oss2("v4").put_object("uploads/a", b"Hello").status == 200


@contextlib.contextmanager
def started(project: Project, variables: dict[str, str]) -> Iterator[int]:
    process = subprocess.Popen(
        project.command("local", "start"),
        cwd=project.folder,
        env=project.environment(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if found := re.search(r"url: http://127\.0\.0\.1:(\d+)/", line):
                yield int(found[1])
                return
        pytest.fail(said)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=10)


# The trap: `s local` passes values through a shell


def test_a_dollar_in_a_value_is_lost_on_the_way(built: Project) -> None:
    """The shell keeps only the 12 characters before the $, so our values contain no $."""
    lost = "secret-part-$A_NAME_OF_NO_VARIABLE"
    done = built.run("local", "invoke", "-f", str(EVENT), JWT_SECRET=lost, BUCKET_NAME="my-bucket")
    answer = answer_of(done)
    assert (answer["ErrorCode"], answer["ErrorMessage"][:11]) == ("Misconfiguration", "JWT_SECRET:")
    assert len(lost) > 32


def test_no_value_of_ours_is_changed_by_a_shell(defaults: dict[str, Any]) -> None:
    for value in defaults["environmentVariables"].values():
        assert not re.search(r"[$`\"\\{}\s]", value), value


def test_secrets_that_the_template_takes_pass_a_shell_too(template: dict[str, Any]) -> None:
    for name, parameter in template["Parameters"].items():
        if "AllowedPattern" in parameter:
            pattern = parameter["AllowedPattern"]
            for character in "$`\"\\ '":
                assert not re.search(pattern, "a" * 40 + character), name
