"""Tests that `make doctor` passes valid settings. Other tests put a fault into the settings,
and `make doctor` must report the fault."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

import needs
from doctored import ANOTHER, SECRET, Env, examined, lines_of, stand_in
from faulty_proxy import Exchange, faulty, sound
from localhost_names import localhost_names
from ops import byte_code
from ops.doctor import checks, machine, oss, serverless_devs
from ops.doctor.checks import examine
from ops.doctor.patient import read
from ops.doctor.serverless_devs import home_of
from ops.package import POLICIES
from ops.report import MAX_DETAIL, has_failed
from ops.smoke import wire
from running_function import RunningFunction
from signed_logins import jwk, jwks
from socket_server import socket_server

ROOT = Path(__file__).parents[2]
CALLBACKS = {
    "CALLBACK_URL": "https://token.example.com/callback",
    "CALLBACK_SECRET": ANOTHER,
    "UPLOAD_HOOK_URL": "https://app.example.com/hook",
    "UPLOAD_HOOK_SECRET": ANOTHER[::-1],
}
S_YAML = """\
edition: 3.0.0
vars:
  region: ${env('REGION', 'cn-hangzhou')}
resources:
  sts_token:
    props:
      concurrency: ${env('MAX_INSTANCES', 10) * 1}
      environmentVariables:
        ROLE_ARN: ${env('ROLE_ARN', 'acs:ram::' + config('AccountID') + ':role/upload')}
        BUCKET_NAME: ${env('BUCKET_NAME', '')}
        OSS_REGION: ${env('OSS_REGION', env('REGION', 'cn-hangzhou'))}
        AUTH: ${env('AUTH', 'jwt')}
"""


def test_a_sound_shell_passes(shell: Env, tmp_path: Path) -> None:
    lines = examined(shell, tmp_path)
    assert lines.pop("deploy key")[0] == "NOTE"
    assert lines.pop("clock")[0] == "SKIP"
    assert lines.pop("endpoints")[0] == "WARN"
    assert {outcome for outcome, _ in lines.values()} == {"PASS"}, lines
    assert lines["s CLI"][1] == "3.1.10"
    assert "JWT_SECRET" in lines["logins"][1]


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("region", {"OSS_REGION": ""}, ["OSS_REGION", "cn-hangzhou"]),
        ("region", {"OSS_REGION": "oss-cn-hangzhou"}, ["OSS_REGION", "without 'oss-'"]),
        ("region", {"OSS_REGION": "", "REGION": "Hangzhou"}, ["FC_REGION"]),
        ("endpoints", {"OSS_ENDPOINT": "oss-cn-hangzhou"}, ["OSS_ENDPOINT", "not a host of OSS"]),
        ("endpoints", {"OSS_ENDPOINT": "oss-cn-beijing.aliyuncs.com"}, ["bucket's region"]),
        ("own calls", {"OSS_INTERNAL_ENDPOINT": "b.oss-cn-hangzhou.aliyuncs.com"}, ["BUCKET_NAME"]),
        ("role", {"ROLE_ARN": ""}, ["ROLE_ARN", "not set"]),
        ("role", {"ROLE_ARN": "acs:ram::1:user/me"}, ["ROLE_ARN", ":role/"]),
        ("bucket", {"BUCKET_NAME": "My_Bucket"}, ["BUCKET_NAME"]),
        ("bucket", {"OBJECT_PREFIX": "uploads"}, ["OBJECT_PREFIX", "end with '/'"]),
        ("deploy key", {"FUNCTION_NAME": "*"}, ["FUNCTION_NAME", "1 to 50"]),
        ("deploy key", {"FUNCTION_ROLE_ARN": "*"}, ["FUNCTION_ROLE_ARN", ":role/"]),
        ("roles", {"LOG_PROJECT": "*"}, ["LOG_PROJECT", "2 to 63"]),
        ("roles", {"LOG_PROJECT": "mine", "LOG_STORE": "*"}, ["LOG_STORE", "2 to 63"]),
        ("policies", {"POLICY_FILE": "no_such_policy"}, ["POLICY_FILE", "bucket_write_policy"]),
        ("policies", {"POLICY_CHOICES": "no_such_policy"}, ["POLICY_CHOICES"]),
        ("logins", {"JWT_SECRET": ""}, ["JWT_SECRET", "JWT_JWKS_URL"]),
        ("logins", {"JWT_SECRET": "short"}, ["JWT_SECRET", "32 bytes"]),
        ("logins", {"AUTH": "none"}, ["AUTH", "anonymous"]),
        ("logins", {"JWT_JWKS_URL": "https://a.example/keys"}, ["JWT_SECRET", "together"]),
        ("logins", {"JWT_SECRET": "", "JWT_JWKS_FILE": "/no/such/file"}, ["JWT_JWKS_FILE", "read"]),
        ("logins", {"JWT_SECRET": "", "JWT_JWKS_URL": "http://a.example/"}, ["JWT_JWKS_URL"]),
        ("other variables", {"TOKEN_EXPIRE_TIME": "60"}, ["TOKEN_EXPIRE_TIME", "900"]),
        ("other variables", {"HTTP_ERROR_STATUS": "yes"}, ["HTTP_ERROR_STATUS", "real"]),
        ("other variables", {"ALLOWED_ORIGINS": "a.example"}, ["ALLOWED_ORIGINS", "entry 1"]),
        (
            "other variables",
            {"ALLOWED_ORIGINS": "capacitor://localhost,https://a.example:443"},
            ["ALLOWED_ORIGINS", "entry 2 is left out: browsers leave out port 443 for https"],
        ),
        ("other variables", {"ALLOWED_HEADERS": "baggage,*"}, ["ALLOWED_HEADERS", "entry 2"]),
        ("other variables", {"STS_ENDPOINT": "http://sts.example"}, ["STS_ENDPOINT"]),
        ("variables' size", {"JWT_AUDIENCE": "a" * 4096}, ["4096", "more than"]),
        ("make", {"PATH": ""}, ["make"]),
    ],
)
def test_a_fault_is_one_line_that_names_it(
    shell: Env, tmp_path: Path, name: str, changes: Env, words: list[str]
) -> None:
    lines = examined({**shell, **changes}, tmp_path)
    outcome, detail = lines[name]
    assert outcome == "FAIL", lines
    for word in words:
        assert word in detail
    others = {other for other, (outcome, _) in lines.items() if outcome == "FAIL"} - {name}
    assert not others, lines


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"AUTH": "anonymous"},
            "the function role needs sts:AssumeRole on the upload role; oss:PutObject on "
            "uploads/*. The upload role needs oss:PutObject, oss:ListParts, "
            "oss:AbortMultipartUpload on uploads/*",
        ),
        (
            {"POLICY_FILE": "bucket_read_policy", "LOG_PROJECT": "mine", "OBJECT_PREFIX": "a/"},
            "the function role needs sts:AssumeRole on the upload role; oss:ListObjects with "
            "oss:Prefix a/*; oss:GetObject on a/*; log:PostLogStoreLogs on "
            "acs:log:*:*:project/mine/logstore/function. The upload role needs oss:GetObject on "
            "a/*; oss:ListObjects with oss:Prefix a/*",
        ),
        (
            {"AUTH": "anonymous", "MULTIPART_SECRET": ANOTHER},
            "the function role needs sts:AssumeRole on the upload role; oss:PutObject, "
            "oss:ListParts, oss:AbortMultipartUpload on uploads/*. The upload role needs "
            "oss:PutObject, oss:ListParts, oss:AbortMultipartUpload on uploads/*",
        ),
        (
            {"AUTH": "anonymous", **CALLBACKS, "POLICY_FILE": "all_policy"},
            "the function role needs sts:AssumeRole on the upload role; oss:PutObject, "
            "oss:GetObject on uploads/*; oss:ListObjects with oss:Prefix uploads/*. The upload "
            "role needs each right that all_policy should give",
        ),
        # Only the route for tokens is open, so the function role needs no rights to sign or list.
        (
            {"ENABLED_ROUTES": "token"},
            "the function role needs sts:AssumeRole on the upload role. The upload role needs "
            "oss:PutObject, oss:ListParts, oss:AbortMultipartUpload on uploads/*",
        ),
    ],
)
def test_the_rights_that_the_roles_need_are_said(
    shell: Env, tmp_path: Path, changes: Env, says: str
) -> None:
    """The rights that the roles need depend on the settings. Earlier versions did not print
    these rights (finding A12)."""
    found = examined({**shell, **changes}, tmp_path)["roles"]
    assert found == ("PASS", f"`make roles` prints the rights in full: {says}")


@pytest.mark.parametrize(
    "changes", [{"POLICY_FILE": "no_such_policy"}, {"BUCKET_NAME": "X"}, {"OBJECT_PREFIX": "*/"}]
)
def test_no_rights_are_said_of_what_is_wrong(shell: Env, tmp_path: Path, changes: Env) -> None:
    outcome, detail = examined({**shell, **changes}, tmp_path)["roles"]
    assert (outcome, detail[:10]) == ("SKIP", "not known:")


def test_all_faults_are_named_at_once(shell: Env, tmp_path: Path) -> None:
    """The function itself stops at the first fault, but doctor names all faults."""
    wrong = {"ROLE_ARN": "x", "BUCKET_NAME": "X", "TOKEN_EXPIRE_TIME": "x", "JWT_SECRET": "x"}
    lines = examined({**shell, **wrong, "HTTP_ERROR_STATUS": "x"}, tmp_path)
    failed = {name for name, (outcome, _) in lines.items() if outcome == "FAIL"}
    assert failed == {"role", "bucket", "other variables", "logins"}
    assert "TOKEN_EXPIRE_TIME" in lines["other variables"][1]
    assert "HTTP_ERROR_STATUS" in lines["other variables"][1]


def test_a_variable_that_another_one_needs_hides_no_other_fault(shell: Env, tmp_path: Path) -> None:
    wrong = {"CALLBACK_URL": "https://a.example/callback", "BUCKET_NAME": "X"}
    lines = examined({**shell, **wrong}, tmp_path)
    assert lines["other variables"] == (
        "FAIL",
        "CALLBACK_SECRET: not set; must be a secret of at least 32 bytes",
    )
    assert lines["bucket"][0] == "FAIL"
    assert lines["policies"][0] == "PASS"


def test_an_empty_shell_is_examined_to_the_end(tmp_path: Path) -> None:
    lines = examined({}, tmp_path)
    failed = {name for name, (outcome, _) in lines.items() if outcome == "FAIL"}
    assert failed >= {"make", "region", "role", "bucket", "logins"}


@pytest.mark.parametrize(
    ("changes", "name", "word"),
    [
        ({"AUTH": "anonymous"}, "logins", "anyone who knows the URL"),
        ({"POLICY_CHOICES": "all_policy"}, "policies", "all_policy"),
        ({"JWT_SECRET": SECRET + "$HOME"}, "shell signs", "JWT_SECRET"),
        ({"JWT_AUDIENCE": '{"a":1}'}, "shell signs", "JWT_AUDIENCE"),
        (
            {"JWT_SECRET": "", "JWT_JWKS_URL": "http://127.0.0.1:9/keys"},
            "logins",
            "from this machine",
        ),
    ],
)
def test_what_works_and_may_not_be_meant_is_a_warning(
    shell: Env, tmp_path: Path, changes: Env, name: str, word: str
) -> None:
    lines = examined({**shell, **changes}, tmp_path)
    assert lines[name][0] == "WARN", lines
    assert word in lines[name][1]


def test_a_policy_that_is_too_long_is_found_before_sts_refuses_it(
    shell: Env, tmp_path: Path
) -> None:
    template = tmp_path / "long.json.j2"
    statement = '{"Effect": "Allow", "Action": "oss:PutObject", "Resource": "%s{{ keys }}"}'
    template.write_text('{"Version": "1", "Statement": [%s]}' % (statement % ("x" * 2000)))
    lines = examined({**shell, "POLICY_FILE": str(template)}, tmp_path)
    assert lines["policies"][0] == "FAIL"
    assert "at most 2048" in lines["policies"][1]


def test_what_the_package_does_not_hold_is_noticed(shell: Env, tmp_path: Path) -> None:
    """The named file exists on this machine, but would be missing in the package and in the
    cloud."""
    own = tmp_path / "own.json.j2"
    own.write_text((POLICIES / "bucket_read_policy.json.j2").read_text())
    line = examined({**shell, "POLICY_FILE": str(own)}, tmp_path)["policies"]
    assert line[0] == "FAIL"
    assert "put it into policies/" in line[1]
    keys = tmp_path / "keys.json"
    keys.write_text(jwks(jwk("ES256", "k")))
    line = examined({**shell, "JWT_SECRET": "", "JWT_JWKS_FILE": str(keys)}, tmp_path)["logins"]
    assert line[0] == "FAIL"
    assert "put the file into functions/sts_token" in line[1]


def test_a_policy_is_measured_for_the_longest_user_id(shell: Env, tmp_path: Path) -> None:
    with_logins = examined(shell, tmp_path)["policies"][1]
    without = examined({**shell, "AUTH": "anonymous"}, tmp_path)["policies"][1]
    assert int(with_logins.split()[1]) - int(without.split()[1]) == len("u" * 64 + "/")
    assert with_logins.endswith("of 2,048 characters, with the longest user id")
    assert without.endswith("of 2,048 characters")


# Secrets


@pytest.mark.parametrize(
    "name", ["JWT_SECRET", "CALLBACK_SECRET", "MULTIPART_SECRET", "UPLOAD_HOOK_SECRET"]
)
@pytest.mark.parametrize("weak", ["a" * 40, "password" * 4, "0123456789abcdef" * 2])
def test_a_secret_without_entropy_is_a_fault_and_is_not_shown(
    shell: Env, tmp_path: Path, name: str, weak: str
) -> None:
    """Earlier versions of doctor passed a secret of 32 bytes even if anybody could guess it
    (finding A16)."""
    lines = examined({**shell, **CALLBACKS, name: weak}, tmp_path)
    outcome, detail = lines["secrets"]
    assert outcome == "FAIL", lines
    assert detail.startswith(f"{name}: can be guessed")
    assert "openssl rand -base64 32" in detail
    assert {other for other, (outcome, _) in lines.items() if outcome == "FAIL"} == {"secrets"}


def test_all_weak_secrets_are_named_at_once_and_counted_in_a_list(
    shell: Env, tmp_path: Path
) -> None:
    """A variable may have several secrets, and doctor checks each of them (finding A16)."""
    weak = {"JWT_SECRET": f"{SECRET}, {'b' * 32}", "CALLBACK_SECRET": "a" * 40}
    outcome, detail = examined({**shell, **CALLBACKS, **weak}, tmp_path)["secrets"]
    assert outcome == "FAIL"
    assert detail.startswith("JWT_SECRET (1 of 2), CALLBACK_SECRET: can be guessed")
    assert "UPLOAD_HOOK_SECRET" not in detail


def test_a_weak_secret_of_the_env_file_is_found(shell: Env, tmp_path: Path) -> None:
    """A deploy also reads .env, so doctor checks the secrets in it (finding A16)."""
    del shell["JWT_SECRET"]
    (tmp_path / ".env").write_text(f"JWT_SECRET={'password' * 4}\n")
    assert examined(shell, tmp_path)["secrets"][0] == "FAIL"


def test_sound_secrets_pass_and_are_named(shell: Env, tmp_path: Path) -> None:
    """One variable may have two random secrets, as during a rotation. Doctor reports no fault
    (finding A16)."""
    several = {"JWT_SECRET": f"{SECRET},{SECRET[::-1]}"}
    line = examined({**shell, **CALLBACKS, **several}, tmp_path)["secrets"]
    assert line == ("PASS", "JWT_SECRET, CALLBACK_SECRET, UPLOAD_HOOK_SECRET")


def test_one_secret_for_two_purposes_is_a_warning(shell: Env, tmp_path: Path) -> None:
    """With a shared secret, a back end that verifies webhooks could make logins of every user
    (finding A16)."""
    same = {"JWT_SECRET": f"{SECRET},{ANOTHER}", "UPLOAD_HOOK_SECRET": SECRET}
    outcome, detail = examined({**shell, **CALLBACKS, **same}, tmp_path)["secrets"]
    assert outcome == "WARN"
    assert "JWT_SECRET and CALLBACK_SECRET" in detail
    assert "JWT_SECRET and UPLOAD_HOOK_SECRET" in detail
    seals = {"MULTIPART_SECRET": CALLBACKS["CALLBACK_SECRET"]}
    outcome, detail = examined({**shell, **CALLBACKS, **seals}, tmp_path)["secrets"]
    assert (outcome, "MULTIPART_SECRET and CALLBACK_SECRET" in detail) == ("WARN", True)
    weak = dict.fromkeys(("JWT_SECRET", "CALLBACK_SECRET"), "a" * 40)
    outcome, detail = examined({**shell, **CALLBACKS, **weak}, tmp_path)["secrets"]
    assert outcome == "FAIL"
    assert "the same secret" in detail


def test_a_secret_that_the_function_does_not_use_is_not_judged(shell: Env, tmp_path: Path) -> None:
    """The line `secrets` of `make doctor` reports only secrets that the function uses. A secret
    that is too short is reported by another line (finding A16)."""
    unused = {**shell, "AUTH": "anonymous", "JWT_SECRET": "short", "CALLBACK_SECRET": "a" * 40}
    assert examined(unused, tmp_path)["secrets"] == (
        "SKIP",
        "the function uses no valid secret",
    )
    line = examined({**shell, "JWT_SECRET": "short"}, tmp_path)["secrets"]
    assert line == ("SKIP", "the function uses no valid secret")


# The s CLI, simulated by scripts


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("@serverless-devs/s: 2.1.16, s-home: /home/me/.s", "needs 3"),
        ("s 1.0, a spelling checker", "not Serverless Devs"),
        ("", "not Serverless Devs"),
    ],
)
def test_another_s_is_noticed(shell: Env, tmp_path: Path, said: str, word: str) -> None:
    stand_in(tmp_path / "programs", "s", said)
    outcome, detail = examined(shell, tmp_path)["s CLI"]
    assert outcome == "FAIL"
    assert word in detail


def test_an_s_that_does_not_end_is_noticed(
    shell: Env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serverless_devs, "S_SECONDS", 0.1)
    (tmp_path / "programs" / "s").write_text("#!/bin/sh\nexec sleep 30\n")
    assert examined(shell, tmp_path)["s CLI"] == ("FAIL", "does not run (TimeoutExpired)")


def test_an_s_that_cannot_be_run_is_noticed(shell: Env, tmp_path: Path) -> None:
    (tmp_path / "programs" / "s").write_text("#!/no/such/program\n")
    assert examined(shell, tmp_path)["s CLI"][0] == "FAIL"


def test_who_has_no_s_takes_another_way_and_fails_nothing(shell: Env, tmp_path: Path) -> None:
    """Operators who deploy in the console do not need `s`. Earlier, `make doctor` failed for these
    operators, with two FAIL lines and exit status 1 (finding B13)."""
    (tmp_path / "programs" / "s").unlink()
    (tmp_path / ".s" / "access.yaml").unlink()
    found = examine(shell, tmp_path)
    assert not has_failed(found)
    lines = lines_of(found)
    assert lines["s CLI"][0] == "NOTE"
    for words in ("npm install -g @serverless-devs/s", "`s deploy` needs it", "make template"):
        assert words in lines["s CLI"][1]
    assert lines["s access"] == ("SKIP", "there is no `s`")


@pytest.mark.parametrize(
    "changes", [{"HOME": "/no/such/folder"}, {"serverless_devs_config_home": "/no/such/folder"}]
)
def test_an_s_without_an_access_is_a_warning(shell: Env, tmp_path: Path, changes: Env) -> None:
    """A warning is enough, because without a stored access key `s` itself stops at once, and other
    ways to deploy do not need `s`."""
    found = examined({**shell, **changes}, tmp_path)["s access"]
    assert found == ("WARN", "none: `s deploy` needs a key; run `s config add -a default`")


def test_another_alias_is_named(shell: Env, tmp_path: Path) -> None:
    """`s deploy -a work` is a valid command, so doctor must not stop it with FAIL."""
    (tmp_path / ".s" / "access.yaml").write_text("work:\n  AccessKeyID: U2FsdGVk\n")
    assert examined(shell, tmp_path)["s access"] == (
        "WARN",
        "there is no alias default, only work: run `s config add -a default`, "
        "or deploy with `s deploy -y -a work`",
    )


@pytest.mark.parametrize("where", ["environment", ".env"])
def test_an_access_in_the_environment_is_enough(shell: Env, tmp_path: Path, where: str) -> None:
    (tmp_path / ".s" / "access.yaml").unlink()
    own = {"AccountID": "1", "AccessKeyID": "LTAI5tOwn", "AccessKeySecret": "s3cret"}
    if where == ".env":
        (tmp_path / ".env").write_text("".join(f"{name}={own[name]}\n" for name in own))
        own = {}
    outcome, detail = examined({**shell, **own}, tmp_path)["s access"]
    assert outcome == "PASS"
    assert "LTAI" not in detail
    assert "s3cret" not in detail


def test_the_home_of_s_is_where_its_settings_say(shell: Env, tmp_path: Path) -> None:
    """In the settings of `s`, ~ means the folder that contains `.s` (seen in the CLI)."""
    home = Path(shell["HOME"])
    assert home_of(shell) == home / ".s"
    config = home / ".s" / "config" / "s.json"
    config.parent.mkdir()
    for text, found in (
        ('{"workspace": "~/elsewhere"}', home / "elsewhere"),
        ('{"workspace": ""}', home / ".s"),
        ('{"workspace": 1}', home / ".s"),
        ("[1]", home / ".s"),
        ("{", home / ".s"),
    ):
        config.write_text(text)
        assert home_of(shell) == found
    other = {**shell, "serverless_devs_config_home": str(tmp_path / "of-s")}
    assert home_of(other) == tmp_path / "of-s" / ".s"


# As the first step of `s deploy`


UNDER_S = {"serverless_devs_traceid": "1128231455", "serverless_devs_version": "3.1.10"}


def test_s_is_not_started_by_what_it_runs_itself(shell: Env, tmp_path: Path) -> None:
    (tmp_path / "programs" / "s").write_text("#!/bin/sh\nexec sleep 30\n")
    (tmp_path / ".s" / "access.yaml").unlink()
    lines = examined({**shell, **UNDER_S}, tmp_path)
    assert lines["s CLI"] == ("PASS", "3.1.10 runs this check")
    assert lines["s access"][0] == "PASS"


@pytest.mark.parametrize("line", ["JWT_SECRET={0}#{0}", "JWT_SECRET='{0}$X_Y'"])
def test_what_s_cut_before_it_ran_doctor_is_found(shell: Env, tmp_path: Path, line: str) -> None:
    """Before `s` runs doctor, it reads .env in its own way, and sets the variables to what it has
    read."""
    (tmp_path / ".env").write_text(line.format(SECRET) + "\nOBJECT_PREFIX=photos/\n")
    arrived = {**shell, "JWT_SECRET": SECRET, "OBJECT_PREFIX": "photos/"}
    lines = examined({**arrived, **UNDER_S}, tmp_path)
    assert lines["env file"][0] == "FAIL"
    assert lines["env file"][1].startswith("JWT_SECRET has ")
    assert lines["bucket"][1].startswith("photos/ of ")
    # If the environment already has the variable, the value in the file is not used, so it is no
    # fault.
    other = examined({**arrived, **UNDER_S, "JWT_SECRET": ANOTHER}, tmp_path)
    assert other["env file"][0] == "PASS"


def test_nobody_who_does_not_answer_is_waited_for(
    shell: Env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`s deploy` waits for doctor, and behind a proxy STS may never answer. Therefore doctor stops
    waiting for STS."""
    monkeypatch.setattr(checks, "ASKING_SECONDS", 0.2)
    ended = threading.Event()

    def say_nothing(sock: socket.socket) -> None:
        ended.wait(60)
        sock.close()

    with socket_server(say_nothing) as port:
        silent = {
            "STS_ENDPOINT": f"http://127.0.0.1:{port}",
            "JWT_SECRET": "",
            "JWT_JWKS_URL": f"http://127.0.0.1:{port}/keys",
        }
        try:
            lines = examined({**shell, **silent}, tmp_path)
        finally:
            ended.set()
    late = ("SKIP", "not checked: no answer within 0.2 s")
    assert (lines["clock"], lines["logins"]) == (late, late)
    assert "FAIL" not in {outcome for outcome, _ in lines.values()}


# This machine


def test_an_old_python_is_noticed(shell: Env, tmp_path: Path) -> None:
    patient = replace(read(shell, tmp_path), python=(3, 9, 18))
    assert machine.python(patient).outcome.value == "FAIL"


def test_a_python_without_pip_is_noticed(shell: Env, tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch("ops.doctor.machine.importlib.util.find_spec", return_value=None)
    outcome, detail = examined(shell, tmp_path)["pip"]
    assert outcome == "FAIL"
    assert "ensurepip" in detail


@pytest.mark.parametrize(
    ("path", "variables", "outcome", "said"),
    [
        ("", {}, "WARN", "no CPython 3.10 was found; get one by"),
        ("", {"BYTE_CODE": "no"}, "WARN", "BYTE_CODE=no"),
        ("", {"BYTE_CODE": "maybe"}, "FAIL", "must be yes (the default) or no"),
        ("", {"RUNTIME_PYTHON": "/nowhere/python3.10"}, "FAIL", "RUNTIME_PYTHON"),
    ],
)
def test_it_is_said_that_a_cold_start_would_compile(
    shell: Env,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    variables: Env,
    outcome: str,
    said: str,
) -> None:
    for name in ("BYTE_CODE", "RUNTIME_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"PATH": path, "HOME": str(tmp_path), **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    monkeypatch.setattr("ops.doctor.machine.compiler", byte_code.compiler)
    # The Python that runs this test may itself be 3.10, so its path is replaced.
    monkeypatch.setattr("ops.runtime.sys.executable", "/nowhere/python")
    found = machine.byte_code(read(shell, tmp_path))
    assert (found.outcome.value, said in found.detail) == (outcome, True), found


# Where variables come from


def test_env_files_are_read_and_the_shell_wins(shell: Env, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# ours\nBUCKET_NAME=of-the-file\nexport OBJECT_PREFIX = 'photos/'  \n\nnonsense\n"
        'TOKEN_EXPIRE_TIME=3600 # an hour\nROLE_ARN="nope"\n'
    )
    del shell["BUCKET_NAME"]
    lines = examined(shell, tmp_path)
    assert lines["bucket"] == ("PASS", "photos/ of of-the-file")
    assert lines["role"][0] == "PASS"
    del shell["ROLE_ARN"]
    assert examined(shell, tmp_path)["role"][0] == "FAIL"


def test_what_s_yaml_falls_back_to_need_not_be_set(shell: Env, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(S_YAML)
    for name in ("ROLE_ARN", "OSS_REGION", "AUTH"):
        del shell[name]
    lines = examined(shell, tmp_path)
    assert lines["role"] == ("PASS", "not set: s.yaml derives it from the account's id")
    assert lines["region"] == ("PASS", "cn-hangzhou")
    assert examined({**shell, "REGION": "cn-beijing"}, tmp_path)["region"][1] == "cn-beijing"
    # A wrong value of ROLE_ARN is still a fault.
    assert examined({**shell, "ROLE_ARN": "x"}, tmp_path)["role"][0] == "FAIL"
    del shell["BUCKET_NAME"]
    assert examined(shell, tmp_path)["bucket"][0] == "FAIL"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("JWT_SECRET={0}#{0}", "JWT_SECRET has 89 characters, but the function would get 44: a #"),
        (
            "JWT_SECRET='{0}$X_Y'",
            "JWT_SECRET has 48 characters, but the function would get 44: `s` ex",
        ),
        ("TRIGGER_AUTH=a$TRIGGER_AUTH", "TRIGGER_AUTH has 14 characters"),
    ],
)
def test_what_of_the_env_file_does_not_arrive_is_told_by_name_and_length(
    shell: Env, tmp_path: Path, line: str, says: str
) -> None:
    """Earlier, doctor reported PASS for a secret of 89 characters, although `s` cut it to 44."""
    del shell["JWT_SECRET"]
    (tmp_path / ".env").write_text(f"JWT_SECRET={SECRET}\n{line.format(SECRET)}\nOTHER=a#b\n")
    outcome, detail = examined(shell, tmp_path)["env file"]
    assert outcome == "FAIL"
    assert says in detail
    assert SECRET not in detail
    assert "OTHER" not in detail


def test_a_whole_env_file_passes(shell: Env, tmp_path: Path) -> None:
    assert examined(shell, tmp_path)["env file"] == ("PASS", "there is no .env")
    (tmp_path / ".env").write_text("JWT_SECRET='a#b' # ours\nREGION=cn-beijing\nOTHER=x\n")
    assert examined(shell, tmp_path)["env file"] == (
        "PASS",
        "1 variables; the environment wins over .env",
    )


def test_an_empty_variable_of_the_shell_hides_the_files(shell: Env, tmp_path: Path) -> None:
    """If the shell has an empty variable, `s` also ignores .env for this variable, and uses the
    default of s.yaml."""
    (tmp_path / ".env").write_text("BUCKET_NAME=of-the-file\n")
    assert examined({**shell, "BUCKET_NAME": ""}, tmp_path)["bucket"][0] == "FAIL"


@pytest.mark.parametrize(
    ("name", "meant", "outcome"),
    [
        ("JWT_ISUER", "JWT_ISSUER", "FAIL"),
        ("ALOWED_ORIGINS", "ALLOWED_ORIGINS", "FAIL"),
        ("CALLER_TOKENS_PER_MINUT", "CALLER_TOKENS_PER_MINUTE", "FAIL"),
        ("TRIGER_AUTH", "TRIGGER_AUTH", "FAIL"),
        ("MAX_INSTANCE", "MAX_INSTANCES", "FAIL"),
        ("POLICY_FIEL", "POLICY_FILE", "WARN"),
        ("OBJECT_PREFX", "OBJECT_PREFIX", "WARN"),
    ],
)
def test_a_misspelt_name_is_told_and_where_it_stands(
    shell: Env, tmp_path: Path, name: str, meant: str, outcome: str
) -> None:
    text = f"nothing reads it; did you mean {meant}?"
    assert examined({**shell, name: "x"}, tmp_path)["names"] == (
        outcome,
        f"{name} (the environment): {text}",
    )
    (tmp_path / ".env").write_text(f"{name}=x\n")
    assert examined(shell, tmp_path)["names"] == (outcome, f"{name} (.env): {text}")


# The clock


def test_a_right_clock_passes_and_a_wrong_one_fails(
    shell: Env, tmp_path: Path, function: RunningFunction
) -> None:
    def late(exchange: Exchange) -> None:
        exchange.answered["date"] = "Thu, 01 Jan 2026 00:00:00 GMT"

    def dateless(exchange: Exchange) -> None:
        exchange.answered.pop("date")

    found = []
    for fault in (sound, late, dateless):
        with faulty(function.url, fault) as url:
            found.append(examined({**shell, "STS_ENDPOINT": url}, tmp_path)["clock"])
    assert [outcome for outcome, _ in found] == ["PASS", "FAIL", "SKIP"]
    assert "behind this machine's clock" in found[1][1]
    assert "has no Date" in found[2][1]


def test_an_sts_that_cannot_be_reached_is_not_checked(shell: Env, tmp_path: Path) -> None:
    outcome, detail = examined(shell, tmp_path)["clock"]
    assert outcome == "SKIP"
    assert detail.startswith("not checked: http://127.0.0.1:9")


# As it is run


def test_make_doctor_prints_the_table_and_its_exit_status(shell: Env) -> None:
    make = needs.program("make")
    path = f"{shell['PATH']}:{os.environ['PATH']}"
    paths, makefile = f"{ROOT}:{ROOT}/functions/sts_token", str(ROOT / "Makefile")
    for changes, status in (({}, 0), ({"BUCKET_NAME": "X"}, 2)):
        done = subprocess.run(
            [make, "-f", makefile, "doctor", "READY=", f"BIN={Path(sys.executable).parent}"],
            # This folder has no .env, but the root of the checkout may have the developer's .env.
            cwd=Path(__file__).parent,
            env={**shell, "PATH": path, "PYTHONPATH": paths, **changes},
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "PASS  Python" in done.stdout
        assert ("make measure-cold" in done.stdout) == (status == 0)
        assert ("docs/runbook.md#make-doctor explains" in done.stdout) == (status != 0)
        assert "Traceback" not in done.stderr
        assert SECRET not in done.stdout + done.stderr


def test_the_exit_status_is_that_of_the_table(shell: Env, tmp_path: Path) -> None:
    assert not has_failed(examine(shell, tmp_path))
    assert has_failed(examine({**shell, "BUCKET_NAME": "X"}, tmp_path))


# Rate limits and brakes


@pytest.mark.parametrize(
    ("given", "level", "says"),
    [
        ({}, "PASS", "60 new tokens, 6000 URLs and forms"),
        ({"CALLER_TOKENS_PER_MINUTE": "0"}, "WARN", "CALLER_TOKENS_PER_MINUTE=0: one caller"),
        ({"CALLER_URLS_PER_MINUTE": "0"}, "WARN", "CALLER_URLS_PER_MINUTE=0: one caller"),
        ({"CALLER_TOKENS_PER_MINUTE": "many"}, "FAIL", "0 (no limit) to 9999"),
        ({"AUTH": "anonymous", "JWT_SECRET": ""}, "PASS", "all callers count as one"),
    ],
)
def test_a_missing_rate_limit_is_warned_of(
    shell: Env, tmp_path: Path, given: Env, level: str, says: str
) -> None:
    """Without a rate limit, one caller can use up the account's calls to STS (finding A4)."""
    found = examined({**shell, **given}, tmp_path)["rate limits"]
    assert found[0] == level
    assert says in found[1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "may replace an existing object"),
        ({"OVERWRITE": "yes"}, "may replace an existing object"),
        ({"OVERWRITE": "no"}, "For tokens, the bucket needs its own rule"),
    ],
)
def test_it_says_what_keeps_a_token_from_overwriting(
    shell: Env, tmp_path: Path, given: Env, says: str
) -> None:
    level, detail = examined({**shell, **given}, tmp_path)["overwriting"]
    assert (level, says in detail) == ("PASS", True)
    # With OVERWRITE=no, the line also names the cases in which the bucket's rule does not prevent
    # overwriting.
    is_told = "versioning" in detail and "more than one may succeed" in detail
    assert is_told is (given == {"OVERWRITE": "no"})


@pytest.mark.parametrize(
    ("given", "level", "says"),
    [
        ({}, "PASS", "no limits; all routes"),
        ({"ENABLED_ROUTES": "form,uploads"}, "PASS", "closed: token, signed-url, multipart"),
        ({"UPLOAD_MAX_BYTES": "10"}, "WARN", "do not limit tokens"),
        ({"OVERWRITE": "no", "ENABLED_ROUTES": "token"}, "WARN", "eave token out"),
        ({"OVERWRITE": "no", "ENABLED_ROUTES": "form"}, "PASS", "closed: token"),
    ],
)
def test_limits_that_tokens_go_around_are_warned_of(
    shell: Env, tmp_path: Path, given: Env, level: str, says: str
) -> None:
    """The limits on uploads do not bind clients with tokens (finding A5)."""
    found = examined({**shell, **given}, tmp_path)["upload limits"]
    assert found[0] == level
    assert says in found[1]


def test_a_wrong_brake_is_one_fault_and_a_right_one_beside_wrong_logins_none(
    shell: Env, tmp_path: Path
) -> None:
    wrong = examined({**shell, "DENIED_CALLERS": "al ice"}, tmp_path)["other variables"]
    assert wrong[0] == "FAIL"
    assert wrong[1].startswith("DENIED_CALLERS: must be callers as the log names them")
    right = {**shell, "JWT_SECRET": "short", "DENIED_CALLERS": "alice"}
    found = examined(right, tmp_path)
    assert found["logins"][0] == "FAIL"
    assert found["other variables"][0] == "PASS"


NOT_VERIFIED = "not verified on the real cloud"


@pytest.mark.parametrize(
    ("changes", "outcome", "words"),
    [
        ({"REGION": ""}, "WARN", ["PublicEndpointForbidden", "OSS_ENDPOINT", "docs/deploy.md"]),
        ({"OSS_REGION": "cn-north-2-gov-1"}, "WARN", ["PublicEndpointForbidden"]),
        ({"OSS_REGION": "rg-china-mainland"}, "WARN", ["PublicEndpointForbidden"]),
        ({"OSS_ENDPOINT": "oss-accelerate.aliyuncs.com"}, "WARN", ["PublicEndpointForbidden"]),
        ({"OSS_REGION": "cn-hongkong"}, "PASS", ["at https://oss-cn-hongkong.aliyuncs.com"]),
        ({"OSS_REGION": "ap-southeast-1"}, "PASS", ["at https://oss-ap-southeast-1.aliyuncs.com"]),
        (
            {"OSS_ENDPOINT": "files.localhost"},
            "PASS",
            ["clients reach OSS at https://files.localhost", "smoke UPLOAD=1"],
        ),
    ],
)
def test_the_public_endpoint_in_the_mainland_is_warned_of(
    shell: Env, tmp_path: Path, changes: Env, outcome: str, words: list[str]
) -> None:
    """In mainland China, the public endpoint refuses accounts that began to use OSS on 2025-03-20
    or later. In other regions, the public endpoint refuses no account."""
    with localhost_names():
        found, detail = examined({**shell, **changes}, tmp_path)["endpoints"]
    assert (found, [word for word in words if word not in detail]) == (outcome, []), detail
    assert ("PublicEndpointForbidden" in detail) == (outcome == "WARN")
    # The line begins with the consequence, and is short enough for a terminal.
    assert not detail.startswith("clients") or outcome == "PASS"
    assert len(detail) < 250


def test_a_domain_that_is_not_found_is_a_warning(
    shell: Env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find)
    own = {**shell, "OSS_ENDPOINT": "files.example.com"}
    assert examined(own, tmp_path)["endpoints"] == (
        "WARN",
        "files.example.com: the name cannot be resolved; does its CNAME record exist? "
        "(docs/deploy.md, A domain for the bucket)",
    )


def test_a_resolver_that_does_not_answer_is_not_waited_for(
    shell: Env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: ended.wait(60))
    monkeypatch.setattr(wire, "LOOK_UP_SECONDS", 0.01)
    own = {**shell, "OSS_ENDPOINT": "files.example.com", "STS_ENDPOINT": "http://127.0.0.1:9"}
    try:
        found = oss.endpoints(read(own, tmp_path))
    finally:
        ended.set()
    assert "files.example.com: no answer from DNS within 0.01 s" in found.detail


@pytest.mark.parametrize(
    ("changes", "host"),
    [
        ({"REGION": "cn-hangzhou"}, "https://oss-cn-hangzhou-internal.aliyuncs.com"),
        (
            {"REGION": "cn-hangzhou", "OSS_INTERNAL_ENDPOINT": "oss-cn-hangzhou.aliyuncs.com"},
            "https://oss-cn-hangzhou.aliyuncs.com",
        ),
    ],
)
def test_the_functions_own_calls_have_a_line_of_their_own(
    shell: Env, tmp_path: Path, changes: Env, host: str
) -> None:
    found, detail = examined({**shell, **changes}, tmp_path)["own calls"]
    assert found == "PASS"
    assert f"the function itself reaches OSS at {host}" in detail
    assert (NOT_VERIFIED in detail) == ("-internal" in detail)


@pytest.mark.parametrize(
    ("runtime", "verdict", "said"),
    [
        ("", "PASS", "python3.10: one request at a time"),
        ("python3.10", "PASS", "RUNTIME=custom: 100"),
        ("custom", "PASS", "custom: 100 requests"),
        ("python3.12", "FAIL", "must be python3.10 (the default) or custom"),
        ("custom.debian12", "FAIL", "RUNTIME=custom.debian12: must be"),
    ],
)
def test_the_runtime_is_one_that_s_yaml_knows(
    shell: Env, tmp_path: Path, runtime: str, verdict: str, said: str
) -> None:
    found, detail = examined({**shell, "RUNTIME": runtime}, tmp_path)["runtime"][:2]
    assert found == verdict
    assert said in detail


@pytest.mark.parametrize(
    ("number", "outcome", "says"),
    [
        ("", "PASS", "at most 10"),
        ("100", "PASS", "at most 100"),
        ("101", "WARN", "MAX_INSTANCES=101: one page of the vendor allows 100 inst"),
        ("300", "WARN", f"{NOT_VERIFIED} (assumption 81)"),
        ("0", "WARN", "refuse every call"),
        ("many", "FAIL", "MAX_INSTANCES: must be a whole number"),
        ("-1", "FAIL", "must be a whole number"),
        ("1.5", "FAIL", "must be a whole number"),
        ("\u0661\u0660", "FAIL", "must be a whole number"),
        ("9" * 5000, "FAIL", "must be a whole number"),
    ],
)
def test_a_cap_that_an_account_may_not_have_is_a_warning(
    shell: Env, tmp_path: Path, number: str, outcome: str, says: str
) -> None:
    found, detail = examined({**shell, "MAX_INSTANCES": number}, tmp_path)["instances"]
    assert (found, says in detail) == (outcome, True), detail
    assert len(detail) <= MAX_DETAIL


def test_endpoints_are_not_judged_by_a_region_that_is_wrong(shell: Env, tmp_path: Path) -> None:
    lines = examined({**shell, "OSS_REGION": "oss-cn-hangzhou"}, tmp_path)
    assert (lines["endpoints"][0], lines["own calls"][0]) == ("SKIP", "SKIP")
