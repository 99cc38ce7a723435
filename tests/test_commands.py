"""Every block of commands in README.md and docs/ is run by a test, or has a reason why it is not.

A new block needs an entry in REGISTER. test_chinese.py checks that the Chinese pages have the same
commands.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import architecture
import in_step
from documented_code import blocks
from documented_commands import (
    README,
    all_blocks,
    beside,
    block_with,
    checkout,
    in_checkout,
    in_shell,
    pages,
)
from ops import ROOT
from running_cloud import running_cloud
from running_sandbox import Sandbox, free_port, running, running_by_make
from sandbox.cloud import load_secrets
from token_service.app import App
from token_service.http.messages import Request

ANYBODY: Mapping[str, str] = {}
USERS = {"AUTH": "jwt"}
CLOSED = {"PUBLIC_ENDPOINT": "closed"}
DEPLOYED = {
    "BUCKET_NAME": "my-bucket",
    "AccountID": "1234567890123456",
    "OSS_REGION": "cn-hangzhou",
    "ROLE_ARN": "acs:ram::1234567890123456:role/sts-token-upload",
}


@dataclass(frozen=True)
class Beside:
    """The block runs while a sandbox with these variables runs. The blocks of `after` have run
    before, in the same folder. The block's output must match `prints`. If `fails` is set, the block
    must fail, and the last line of stderr must begin with `fails`."""

    variables: Mapping[str, str]
    prints: str
    after: tuple[tuple[str, str], ...] = ()
    fails: str = ""


@dataclass(frozen=True)
class Starts:
    """Each line of the block is a `make run` command, which starts a sandbox. The sandbox must
    print `prints`."""

    prints: str


@dataclass(frozen=True)
class InCheckout:
    """The block runs in a copy of the checkout. Its output must contain `prints`. If `but` has a
    text and a reason, the line of the block that contains the text is left out, and the reason
    says why."""

    prints: str
    but: tuple[str, str] = ("", "")
    variables: Mapping[str, str] = field(default_factory=dict)
    is_slow: bool = False


@dataclass(frozen=True)
class Settings:
    """The block sets variables of a deployment. Together, these variables and `others`
    must be a valid configuration."""

    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ByTest:
    """The test named `test` runs the block. We check this by a text. If `has` is given, the test's
    file must contain `has`. Otherwise the test must contain the text that finds the block."""

    test: str
    has: str = ""


@dataclass(frozen=True)
class NotRun:
    """No test runs the block, and `reason` says why."""

    reason: str


How = Beside | Starts | InCheckout | Settings | ByTest | NotRun
FIRST = (README, "echo 'Hello from a phone'")
AN_SDK = ("docs/start.md", "cat > upload.py")
HERE = "tests/test_commands.py"
CHINESE = [path.relative_to(ROOT).as_posix() for _, path in in_step.pairs()]
LINES = "tests/integrate/test_sandbox_lines.py"
SANDBOX_LINES = f"{LINES}::test_the_lines_for_the_sandbox_upload"
CURL = 'blocks("sh", INTEGRATE / "curl.md")'

REGISTER: dict[tuple[str, str], How] = {
    (README, "make run\n"): ByTest(f"{HERE}::test_the_two_commands"),
    (README, "make test"): ByTest(f"{HERE}::test_the_two_commands"),
    FIRST: Beside(ANYBODY, "200\n"),
    (README, "method=GET"): Beside(ANYBODY, "Hello from a phone\n", (FIRST,)),
    (README, "put bob"): Beside(
        USERS,
        r"200\n200\n"
        r'\{"StatusCode":200,"Prefix":"uploads/alice/","Uploads":\[\{"Key":"uploads/alice/hello.txt"'
        r'[^}]*\}\]\}\n\{"StatusCode":400,"ErrorCode":"InvalidParameter.Object",.*\}\n',
        (FIRST,),
    ),
    (README, "make doctor"): ByTest(f"{HERE}::test_a_deployment_is_checked_before_and_after"),
    ("docs/start.md", "make run\n"): Starts("  page       http://127.0.0.1:"),
    ("docs/start.md", "echo 'Hello from a phone'"): Beside(ANYBODY, "200\n"),
    AN_SDK: Beside(ANYBODY, "200\n"),
    ("docs/start.md", "private/hello.txt"): Beside(
        ANYBODY, "", (AN_SDK,), "oss2.exceptions.AccessDenied: {'status': 403"
    ),
    ("docs/start.md", "make run LAN=1"): ByTest(
        "tests/sandbox/test_lan.py::test_a_phone_signs_in_and_uploads_by_the_address", '"LAN": '
    ),
    ("docs/start.md", "make token CLOUD=1"): ByTest(f"{HERE}::test_the_real_sts_is_asked"),
    ("docs/users.md", "uploads/bob/hello.txt"): Beside(
        USERS, "200\n", (AN_SDK,), "oss2.exceptions.AccessDenied: {'status': 403"
    ),
    ("docs/assumptions.md", "make conform"): InCheckout(
        "holds here", ("CLOUD=1", "it needs a cloud account"), is_slow=True
    ),
    ("docs/bucket.md", "put-bucket-public-access-block"): NotRun("it needs a bucket in the cloud"),
    ("docs/bucket.md", "put-bucket-overwrite-config"): NotRun("it needs a bucket in the cloud"),
    ("docs/callbacks.md", "CALLBACK_SECRET="): Settings(),
    ("docs/callbacks.md", "make run AUTH=jwt"): Starts("AUTH=jwt"),
    ("docs/deploy.md", "make template"): InCheckout("dist/template.yml: ", is_slow=True),
    ("docs/deploy.md", "npm install -g"): NotRun("it installs s for all, and asks for a key"),
    ("docs/deploy.md", "LOG_PROJECT="): Settings({"OSS_REGION": "cn-hangzhou"}),
    ("docs/deploy.md", "s deploy -y >/dev/null\n"): ByTest(
        "tests/deploy/test_serverless_devs.py::"
        "test_with_y_a_second_deploy_writes_again_from_a_path_with_blanks",
        'run("deploy", "-y", ',
    ),
    ("docs/deploy.md", "s local start"): NotRun("it needs Docker"),
    ("docs/deploy.md", "s deploy -y -t s.domain.yaml"): ByTest(
        "tests/deploy/test_serverless_devs.py::"
        "test_a_domain_without_its_certificate_leaves_a_function_without_its_cap",
        '"deploy", "-y", "-t", "s.domain.yaml"',
    ),
    ("docs/deploy.md", "make roles"): ByTest(
        "tests/test_deploy_page.py::test_the_roles_are_printed_as_json"
    ),
    ("docs/deploy.md", "make build"): InCheckout("served with ", is_slow=True),
    ("docs/deploy.md", "make -s login"): ByTest(
        "tests/test_deploy_page.py::test_the_first_login_gets_a_token"
    ),
    ("docs/deploy.md", "hmac.new"): ByTest(
        "tests/test_deploy_page.py::test_a_login_that_was_made_without_a_checkout_is_one"
    ),
    ("docs/integrate/browser.md", "npm install ali-oss"): NotRun(
        "tests/deploy has the package, locked, and the tests take it from there"
    ),
    ("docs/integrate/login-backend.md", "make run AUTH=jwt JWT_SECRET="): Starts("AUTH=jwt"),
    ("docs/integrate/login-backend.md", '"$TOKEN_URL"'): ByTest(
        "tests/integrate/test_login_backend.py::"
        "test_who_signs_in_gets_a_login_that_opens_their_own_folder",
        'token["Scope"]["Prefix"] == "uploads/alice/"',
    ),
    ("docs/integrate/node.md", "npm install ali-oss"): NotRun(
        "tests/deploy has the package, locked, and the tests take it from there"
    ),
    ("docs/integrate/node.md", "node upload.mjs"): ByTest(SANDBOX_LINES, '"node.md": '),
    ("docs/integrate/python.md", "pip install"): NotRun(
        "requirements-dev.txt has both packages, locked"
    ),
    ("docs/integrate/python.md", "python3 upload.py"): ByTest(SANDBOX_LINES, '"python.md": '),
    ("docs/integrate/credentials-uri.md", "CREDENTIALS_URI="): ByTest(
        SANDBOX_LINES, '"credentials-uri.md": '
    ),
    **{
        ("docs/integrate/curl.md", text): ByTest(
            "tests/integrate/test_curl.py::test_all_of_it_uploads", CURL
        )
        for text in (
            "TOKEN_URL=",
            "member() {",
            "echo 'Hello'",
            "> token.json",
            "size=6",
            "form.curl",
            "film.mp4",
        )
    },
    ("docs/integrate/uppy.md", "npm install"): NotRun(
        "web/package.json has these packages, locked, and the test takes them from there"
    ),
    ("docs/integrate/webhook-backend.md", "UPLOAD_HOOK_URL="): Starts("AUTH=anonymous"),
    ("docs/integrate/webhook-backend.md", "--upload-file hello.txt"): ByTest(
        f"{LINES}::test_the_sandbox_calls_a_back_end_after_an_upload", 'blocks("sh", INTEGRATE'
    ),
    ("docs/platforms.md", "apt-get"): NotRun("it installs Debian's packages for all users"),
    ("docs/platforms.md", "python3 -m ops.install"): ByTest(
        f"{HERE}::test_the_sandbox_starts_without_make"
    ),
    ("docs/platforms.md", "--given BUCKET_NAME"): ByTest(
        f"{HERE}::test_a_real_name_is_given_without_make"
    ),
    ("docs/platforms.md", "PIP_INDEX_URL="): NotRun("the reader puts a mirror of their own in"),
    ("docs/platforms.md", "HTTPS_PROXY="): NotRun("the reader puts a proxy of their own in"),
    ("docs/platforms.md", "SANDBOX_DIR="): ByTest(
        f"{HERE}::test_nothing_is_written_into_a_checkout_that_is_set_up"
    ),
    ("docs/runbook.md", "curl -i"): NotRun(
        "the first two lines are README's, and the last needs a deployed function"
    ),
    ("docs/policies.md", "make explain"): InCheckout("put, form upload     yes  no "),
    ("docs/policies.md", "make import-config"): ByTest(
        f"{HERE}::test_the_vendors_config_is_brought_over"
    ),
    ("docs/sandbox.md", "/signed-url?object=hello.txt"): Beside(CLOSED, "200\n"),
    ("docs/security.md", "ENABLED_ROUTES="): Settings(),
    ("docs/signed-urls.md", "form.curl"): Beside(ANYBODY, "200\n"),
    ("docs/web.md", "make web"): ByTest(
        "tests/sandbox/test_page_build.py::test_make_web_builds_it_and_fails_where_that_fails",
        '"web", f"PYTHON=',
    ),
}


def entries(kind: type) -> list[object]:
    return [
        pytest.param(
            key,
            how,
            id=f"{key[0]}: {key[1].strip()}",
            marks=[pytest.mark.slow] if getattr(how, "is_slow", False) else [],
        )
        for key, how in REGISTER.items()
        if isinstance(how, kind)
    ]


@pytest.mark.parametrize("page", [*pages(), "CONTRIBUTING.md", *CHINESE])
def test_no_command_has_a_comment(page: str) -> None:
    """zsh, the shell of macOS, passes a comment that is typed after a command to the command."""
    for block in blocks("sh", ROOT / page):
        assert re.findall(r"(?:^|\s)#.*", block) == []


def test_each_block_has_one_entry_and_each_entry_one_block() -> None:
    found = list(all_blocks())
    assert len(found) > 20
    for page, block in found:
        named = [text for place, text in REGISTER if place == page and text in block]
        assert len(named) == 1, f"{page}: REGISTER needs one entry for\n{block}"
    for page, text in REGISTER:
        assert len([1 for place, block in found if place == page and text in block]) == 1, text


def test_commands_stand_in_blocks_of_one_kind() -> None:
    """These tests read only blocks that are marked as `sh`, so commands must not be in other kinds
    of blocks."""
    for page in {page for page, _ in REGISTER}:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert not re.search(r"^ *```(bash|shell|console|zsh)", text, re.M), page


@pytest.mark.parametrize(("key", "how"), entries(ByTest))
def test_the_test_that_is_named_reads_the_block(key: tuple[str, str], how: ByTest) -> None:
    """Each entry of REGISTER has a text that finds its block. If the entry has `has`, the file of
    the named test must contain `has`. Without `has`, the named test must contain the text that
    finds the block."""
    path, _, name = how.test.partition("::")
    assert name in architecture.functions(ROOT / path)
    source = (ROOT / path).read_text(encoding="utf-8")
    if how.has:
        assert how.has in source
        return
    (function,) = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == name
    )
    said = {node.value for node in ast.walk(function) if isinstance(node, ast.Constant)}
    assert key[1] in said
    assert {key[0], Path(key[0]).name} & said or key[0] == README


@pytest.mark.parametrize(("key", "how"), entries(NotRun))
def test_what_no_test_runs_has_a_reason(key: tuple[str, str], how: NotRun) -> None:
    assert len(how.reason.split()) >= 3


@pytest.fixture(scope="module")
def sandboxes(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Sandbox]]:
    """One sandbox for all blocks that need the same variables."""
    with contextlib.ExitStack() as stack:
        yield {
            json.dumps(variables): stack.enter_context(
                running(tmp_path_factory.mktemp("run") / "state", **variables)
            )
            for variables in (ANYBODY, USERS, CLOSED)
        }


@pytest.mark.parametrize(("key", "how"), entries(Beside))
def test_it_prints_what_is_said(
    key: tuple[str, str], how: Beside, sandboxes: Mapping[str, Sandbox], tmp_path: Path
) -> None:
    # On an earlier page, the reader made this file.
    (tmp_path / "hello.txt").write_text("Hello from a phone\n")
    sandbox = sandboxes[json.dumps(how.variables)]
    for before in how.after:
        beside(sandbox, block_with(*before), tmp_path)
    done = beside(sandbox, block_with(*key), tmp_path)
    assert re.fullmatch(how.prints, done.stdout), done.stdout + done.stderr
    assert (done.returncode != 0) == bool(how.fails), done.stderr
    if how.fails:
        assert done.stderr.splitlines()[-1].startswith(how.fails)


@pytest.mark.parametrize(("key", "how"), entries(Starts))
def test_each_way_to_start_the_sandbox_starts_it(
    key: tuple[str, str], how: Starts, tmp_path: Path
) -> None:
    commands = block_with(*key).splitlines()
    assert commands
    for number, command in enumerate(commands):
        port = free_port()
        first, second, *arguments = shlex.split(command.replace("7080", str(port)))
        assert (first, second) == ("make", "run")
        with running_by_make(tmp_path / f"state{number}", port, *arguments) as sandbox:
            assert how.prints in sandbox.stdout


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("copy"))


@pytest.mark.parametrize(("key", "how"), entries(InCheckout))
def test_it_does_in_a_checkout_what_is_said(
    key: tuple[str, str], how: InCheckout, copied: Path
) -> None:
    left_out, reason = how.but
    lines = block_with(*key).splitlines()
    commands = [line for line in lines if not (left_out and left_out in line)]
    assert commands
    assert bool(reason) == (len(commands) < len(lines))
    done = in_checkout("\n".join(commands), copied, how.variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert how.prints in done.stdout


@pytest.mark.parametrize(("key", "how"), entries(Settings))
def test_the_settings_are_sound(
    key: tuple[str, str], how: Settings, tmp_path: Path, env: dict[str, str]
) -> None:
    """A shell runs the block, and then the function reads the variables that it has set."""
    block = re.sub("<[^>]*>", "token.example.com", block_with(*key))
    done = in_shell(f"set -a\n{block}\nenv", tmp_path, {})
    assert done.returncode == 0, done.stderr
    names = re.findall(r"^([A-Z_]+)=", block, re.M)
    read = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    given = {name: read[name] for name in names}
    if any(name.startswith("JWT_JWKS") for name in given):
        given["AUTH"] = "jwt"
    answer = App({**env, **how.others, **given}).respond(
        lambda: Request("GET", "/health", {}, {}, b"")
    )
    assert json.loads(answer.body)["Status"] == "OK", answer.body


def test_the_two_commands(tmp_path: Path) -> None:
    """`make test` runs this test, so the test only checks which commands `make test` would run."""
    assert block_with(README, "make run\n") == "make run\n"
    test = block_with(README, "make test")
    with running_by_make(tmp_path / "state", 0) as sandbox:
        assert f"http://127.0.0.1:{sandbox.port}/app/" in sandbox.stdout
    done = in_checkout(test.replace("make", "make -n"), ROOT, {"SANDBOX_DIR": str(tmp_path)})
    assert "-m pytest" in done.stdout


@pytest.mark.slow
def test_a_deployment_is_checked_before_and_after(tmp_path: Path, copied: Path) -> None:
    variables = {**DEPLOYED, "JWT_SECRET": "b5Zk0Wm2rR7tQ9xE1vL4nC8yU3pH6sJd"}
    with running_cloud(tmp_path, AUTH="jwt", JWT_SECRET=variables["JWT_SECRET"]) as cloud:
        before, after = block_with(README, "make doctor").splitlines()
        done = in_checkout(before, copied, variables)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "PASS" in done.stdout
        done = in_checkout(after.replace("https://…", cloud.url), copied, variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS" in done.stdout
    assert variables["JWT_SECRET"] not in done.stdout + done.stderr


def test_the_real_sts_is_asked(sandboxes: Mapping[str, Sandbox], tmp_path: Path) -> None:
    """The sandbox's STS replaces the real STS, and accepts only the sandbox's key."""
    sandbox = sandboxes[json.dumps(ANYBODY)]
    kept = load_secrets(sandbox.folder)
    block = block_with("docs/start.md", "make token CLOUD=1")
    for name, value in {
        "ALIBABA_CLOUD_ACCESS_KEY_ID=…": kept.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET=…": kept.access_key_secret,
        "ROLE_ARN=acs:ram::…:role/…": "acs:ram::1234567890123456:role/sandbox-upload",
    }.items():
        assert name in block
        block = block.replace(name, f"{name.partition('=')[0]}={value}")
    *exports, token, run = block.splitlines()
    set_up = "\n".join(exports)
    assert run == "make run CLOUD=1"
    more = {"STS_ENDPOINT": f"http://127.0.0.1:{sandbox.port + 2}", "AUTH": "anonymous"}
    done = in_shell(f"{set_up}\n{token}", tmp_path, more)
    assert json.loads(done.stdout)["StatusCode"] == 200, done.stderr
    made = in_shell(f"{set_up}\nenv", tmp_path, more).stdout.splitlines()
    exported = {
        name: value
        for name, _, value in (line.partition("=") for line in made)
        if f"{name}=" in set_up or name in more
    }
    with running_by_make(tmp_path / "state", 0, "CLOUD=1", **exported) as real:
        assert real.answer()["Scope"]["Bucket"] == "my-bucket"


def test_the_vendors_config_is_brought_over(copied: Path, tmp_path: Path) -> None:
    config = {
        "AccessKeyID": "LTAI5tVendors",
        "AccessKeySecret": "vendors-access-key-secret",
        "RoleArn": "acs:ram::42:role/aliyunosstokengeneratorrole",
        "TokenExpireTime": "900",
        "PolicyFile": "policy/bucket_write_policy.txt",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "bucket_write_policy.txt").write_text(
        '{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:PutObject",'
        ' "Resource": "acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX*"}]}'
    )
    command = block_with("docs/policies.md", "make import-config")
    command = command.replace("/path/to", str(tmp_path))
    done = in_checkout(command, copied, {"OUT": str(tmp_path / ".env")})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BUCKET_NAME=my-bucket\n" in (tmp_path / ".env").read_text()
    assert config["AccessKeySecret"] not in done.stdout + done.stderr


@contextlib.contextmanager
def started(commands: str, checkout_of_mine: Path, state: Path) -> Iterator[Sandbox]:
    """Start a sandbox by these commands in a copy of the checkout. The sandbox has its own
    ports."""
    port = free_port()
    path = f"{checkout_of_mine}{os.pathsep}{checkout_of_mine / 'functions' / 'sts_token'}"
    line = f"cd {shlex.quote(str(checkout_of_mine))} && {commands}"
    variables = {"PORT": str(port), "PYTHONPATH": path}
    with running(state, port, ["sh", "-c", line], **variables) as sandbox:
        yield sandbox


@pytest.mark.slow
def test_the_sandbox_starts_without_make(copied: Path, tmp_path: Path) -> None:
    install, run = block_with("docs/platforms.md", "python3 -m ops.install").splitlines()
    done = in_checkout(install, copied, {})
    assert done.returncode == 0, done.stdout + done.stderr
    with started(f"exec {run}", copied, tmp_path / "state") as sandbox:
        assert sandbox.answer()["StatusCode"] == 200


def test_a_real_name_is_given_without_make(copied: Path, tmp_path: Path) -> None:
    block = block_with("docs/platforms.md", "--given BUCKET_NAME")
    command = block.replace(".venv/bin/python", f"exec {shlex.quote(sys.executable)}")
    with started(command, copied, tmp_path / "state") as sandbox:
        assert sandbox.answer()["Scope"]["Bucket"] == "my-bucket"


def test_nothing_is_written_into_a_checkout_that_is_set_up(copied: Path, tmp_path: Path) -> None:
    """After a checkout is set up, it may be read-only, so a sandbox must not write into it."""
    state = tmp_path / "state"
    block = block_with("docs/platforms.md", "SANDBOX_DIR=").rstrip()
    command = block.replace("/tmp/sandbox", str(state))  # noqa: S108
    command += f" BUILD_PAGE=no READY= BIN={Path(sys.executable).parent}"

    def files() -> set[Path]:
        return {path for path in copied.rglob("*") if "__pycache__" not in path.parts}

    before = files()
    with started(f"exec env {command}", copied, state) as sandbox:
        assert sandbox.answer()["StatusCode"] == 200
        assert state.exists()
        # The whole process group gets the signal, as it does after Ctrl-C in a terminal.
        os.killpg(sandbox.process.pid, signal.SIGINT)
        sandbox.process.wait(10)
    assert files() == before
