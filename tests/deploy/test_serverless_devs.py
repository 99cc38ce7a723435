"""s.yaml under the real CLI: what it renders to, that it verifies, that it runs here; and the
faults and traps that it is written around."""

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

# Each starts `s`, most of them more than once.
pytestmark = pytest.mark.slow

EVENT = ROOT / "tests" / "events" / "get_token.json"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("serverless-devs"))


@pytest.fixture(scope="module")
def built(project: Project, package: Path) -> Project:
    """With the package where s.yaml looks for it."""
    shutil.copytree(package, project.folder / "build" / "sts_token")
    return project


@pytest.fixture(scope="module")
def defaults(project: Project) -> dict[str, Any]:
    """The function's properties where nothing is set."""
    found: dict[str, Any] = project.preview()["props"]
    return found


def verify(project: Project, *arguments: str, **variables: str) -> str:
    """What `s verify` says; "" when it is content."""
    done = project.run("verify", *arguments, **variables)
    said = done.stdout + done.stderr
    if done.returncode == 0 and "passed" in said:
        return ""
    return said


def test_it_verifies(project: Project) -> None:
    assert verify(project) == ""
    assert verify(project, "-t", "s.domain.yaml", DOMAIN_NAME="uploads.example.com") == ""


def test_the_defaults_are_safe(defaults: dict[str, Any]) -> None:
    props = defaults
    assert props["role"] == f"acs:ram::{ACCOUNT}:role/sts-token-function"
    variables = props["environmentVariables"]
    assert variables["ROLE_ARN"] == f"acs:ram::{ACCOUNT}:role/sts-token-upload"
    # Without a secret that is a function that gives out nothing, and says why.
    assert (variables["AUTH"], variables["JWT_SECRET"]) == ("jwt", "")
    assert variables["ALLOWED_ORIGINS"] == ""
    assert props["timeout"] == 10
    assert props["concurrencyConfig"] == {"reservedConcurrency": 10}
    assert "OPTIONS" in props["triggers"][0]["triggerConfig"]["methods"]
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
    log = props["logConfig"]
    assert (log["project"], log["logstore"], log["enableRequestMetrics"]) == (
        "logs",
        "function",
        True,
    )
    assert props["triggers"][0]["triggerConfig"]["authType"] == "function"


def test_a_custom_runtime_takes_many_requests_an_instance(
    project: Project, defaults: dict[str, Any]
) -> None:
    names = ("runtime", "instanceConcurrency", "cpu", "memorySize")
    assert [defaults[name] for name in names] == ["python3.10", 1, 0.1, 128]
    assert verify(project, RUNTIME="custom") == ""
    props = project.preview(RUNTIME="custom")["props"]
    assert [props[name] for name in names] == ["custom.debian10", 100, 0.5, 512]
    # What is left is the same, and has to do in both.
    assert {**props, **{name: defaults[name] for name in names}} == defaults


def test_every_variable_of_the_function_can_be_set(
    project: Project, defaults: dict[str, Any]
) -> None:
    """Each by its own name."""
    names = defaults["environmentVariables"]
    given = {name: f"value-of-{number}" for number, name in enumerate(names)}
    assert project.preview(**given)["props"]["environmentVariables"] == given


@pytest.mark.parametrize("folder", [inputs.OLD, ROOT], ids=["b291437", "today"])
def test_a_dotenv_file_is_rendered_as_tests_upgrade_renders_it(
    project: Project, tmp_path: Path, folder: Path
) -> None:
    """Its plain evaluator stands for the command line."""
    shutil.copyfile(folder / "s.yaml", tmp_path / "s.yaml")
    shutil.copyfile(inputs.OLD / "environments" / "full.env", tmp_path / ".env")
    found = dataclasses.replace(project, folder=tmp_path).preview()
    text = (folder / "s.yaml").read_text(encoding="utf-8")
    expected = serverless.rendered(text, inputs.dotenv_of("full"))["resources"]["sts_token"]
    assert found["props"] == expected["props"]


def test_a_dotenv_file_is_read_as_ops_dotenv_reads_it(project: Project, tmp_path: Path) -> None:
    """What is cut at # and what becomes of $, by the real command line."""
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
    assert props == defaults
    assert "DOMAIN_NAME" in verify(project, "-t", "s.domain.yaml")


def test_a_deploy_builds_first_and_the_stand_in_refuses(project: Project) -> None:
    makefile = project.folder / "Makefile"
    makefile.write_text("build:\n\t@touch built\n")
    done = project.run("deploy", "-y")
    assert (project.folder / "built").exists()
    assert done.returncode != 0
    assert "stand-in for the fc3 component" in done.stdout + done.stderr


# Faults, planted


def unknown_property(props: dict[str, Any]) -> None:
    props["memmorySize"] = 128


def wrong_type(props: dict[str, Any]) -> None:
    props["timeout"] = "ten"


def missing_role(props: dict[str, Any]) -> None:
    del props["role"]


def a_role_in_upper_case(props: dict[str, Any]) -> None:
    """The component deploys it in lower case: another role."""
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
}


@pytest.fixture(scope="module")
def verdict(project: Project) -> str:
    """What is said of a file that has each fault in a function of its own: one start of the CLI
    instead of many."""
    document = yaml.safe_load((ROOT / "s.yaml").read_text(encoding="utf-8"))
    sound = document["resources"].pop("sts_token")
    for plant in FAULTS:
        spoiled = copy.deepcopy(sound)
        plant(spoiled["props"])
        document["resources"][plant.__name__] = spoiled
    document["resources"]["sound"] = sound
    (project.folder / "spoiled.yaml").write_text(yaml.safe_dump(document))
    return verify(project, "-t", "spoiled.yaml")


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
    return [name for name in yaml.safe_load(text)["vars"] if f"${{vars.{name}}}" not in text]


def test_every_var_is_used() -> None:
    text = (ROOT / "s.yaml").read_text(encoding="utf-8")
    assert unused_vars(text) == []
    assert unused_vars(text.replace("vars:\n", "vars:\n  colour: red\n", 1)) == ["colour"]


# Run here, beside the sandbox


@contextlib.contextmanager
def sandbox(folder: Path) -> Iterator[dict[str, str]]:
    """A cloud whose function has the operator's key, and what to set for it."""
    # It takes no key of anybody's: this is the one that it made up, then.
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


# The trap: `s local` hands values through a shell


def test_a_dollar_in_a_value_is_lost_on_the_way(built: Project) -> None:
    """Why no value of ours has one: 32 characters, of which the shell leaves 12."""
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
