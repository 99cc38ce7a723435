"""Tests that `make import-config` converts the vendor's config.json into our variables, and changes
no file if this fails."""

from __future__ import annotations

import json
import os
import resource
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.import_config import ConfigError, import_config, main

ROOT = Path(__file__).parents[2]
SECRET = "vendors+access/key=secret"
CONFIG = {
    "AccessKeyID": "LTAI5tVendors",
    "AccessKeySecret": SECRET,
    "RoleArn": "acs:ram::42:role/aliyunosstokengeneratorrole",
    "TokenExpireTime": "900",
    "PolicyFile": "policy/bucket_write_policy.txt",
}
POLICY = (
    '{"Statement":[{"Action":["oss:PutObject"],"Effect":"Allow",'
    '"Resource":["acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX*"]}],"Version":"1"}'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "bucket_write_policy.txt").write_text(POLICY)
    return tmp_path


def config(folder: Path, text: str | bytes | None = None, **members: Any) -> dict[str, str]:
    """Write a config.json, and return the variables CONFIG and OUT for the command."""
    path = folder / "config.json"
    made = json.dumps({**CONFIG, **members}) if text is None else text
    path.write_bytes(made if isinstance(made, bytes) else made.encode())
    return {"CONFIG": str(path), "OUT": str(folder / ".env")}


def refusal(folder: Path, env: dict[str, str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the only line on stderr, and check that the command changed no file."""
    before = sorted(folder.rglob("*"))
    assert main(env) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert SECRET not in err
    assert sorted(folder.rglob("*")) == before
    return err.removeprefix("make import-config: ").rstrip("\n")


def run(env: dict[str, str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `ops.import_config` as make runs it."""
    command = [sys.executable, "-m", "ops.import_config"]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, **options)


def lines(path: Path) -> dict[str, str]:
    """Read a file as `docker --env-file` does, where the value is everything after the first
    "="."""
    text = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in text if line and not line.startswith("#"))


def test_a_vendors_config_becomes_the_functions_environment(folder: Path) -> None:
    assert main(config(folder)) == 0
    assert lines(folder / ".env") == {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tVendors",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET,
        "ROLE_ARN": "acs:ram::42:role/aliyunosstokengeneratorrole",
        "TOKEN_EXPIRE_TIME": "900",
        "POLICY_FILE": str(folder / "policy" / "bucket_write_policy.txt"),
    }


def test_a_shell_reads_the_file_as_docker_does(folder: Path) -> None:
    assert main(config(folder)) == 0
    print_all = "import json, os; print(json.dumps(dict(os.environ)))"
    command = f"set -a; . {shlex.quote(str(folder / '.env'))}; {sys.executable} -c '{print_all}'"
    done = subprocess.run(["/bin/sh", "-c", command], env={}, capture_output=True, check=True)
    assert lines(folder / ".env").items() <= json.loads(done.stdout).items()


def test_the_file_is_for_its_owner_only(folder: Path) -> None:
    old = os.umask(0)
    try:
        assert main(config(folder)) == 0
    finally:
        os.umask(old)
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600


def test_what_is_printed_has_names_and_no_secret(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(config(folder)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert SECRET not in out
    assert "LTAI5tVendors" not in out
    assert "- Add BUCKET_NAME and OSS_REGION." in out
    assert "- Set JWT_SECRET, so that only your logins get tokens. Or set AUTH=anonymous:\n" in out
    assert "- Replace ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET\n" in out
    assert "  by a role: " in out
    assert "version control" not in out
    assert max(map(len, out.replace(str(folder), "").splitlines())) <= 80


def test_a_file_of_another_name_is_to_be_kept_out_of_version_control(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main({**config(folder), "OUT": str(folder / "prod.env")}) == 0
    assert "out of version control" in capsys.readouterr().out


def test_what_is_said_beside_the_config_counts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = {**config(folder, region="oss-cn-shanghai", bucket="theirs"), "BUCKET_NAME": "my-bucket"}
    env |= {"POLICY_FILE": "bucket_read_policy", "AUTH": "anonymous", "OBJECT_PREFIX": "app/"}
    assert main(env) == 0
    made = lines(folder / ".env")
    assert made["BUCKET_NAME"] == "my-bucket"
    assert made["OSS_REGION"] == "cn-shanghai"
    assert made["POLICY_FILE"] == "bucket_read_policy"
    assert (made["AUTH"], made["OBJECT_PREFIX"]) == ("anonymous", "app/")
    out = capsys.readouterr().out
    assert "- Add " not in out
    assert "JWT_SECRET" not in out


@pytest.mark.parametrize(
    "members",
    [
        {"TokenExpireTime": 3600},
        {"TokenExpireTime": "43200"},
        {"bucket": "my-bucket", "region": "cn-hangzhou"},
    ],
)
def test_the_samples_spellings_are_known(folder: Path, members: dict[str, Any]) -> None:
    assert main(config(folder, **members)) == 0
    assert set(map(str, members.values())) <= set(lines(folder / ".env").values())


def test_the_javascript_sample_writes_access_key_id_otherwise(folder: Path) -> None:
    text = json.dumps(CONFIG).replace("AccessKeyID", "AccessKeyId")
    assert import_config(config(folder, text))["ALIBABA_CLOUD_ACCESS_KEY_ID"] == "LTAI5tVendors"


def test_a_byte_order_mark_is_not_a_part_of_it(folder: Path) -> None:
    env = config(folder, b"\xef\xbb\xbf" + json.dumps(CONFIG).encode())
    assert import_config(env) == import_config(config(folder))


def test_a_file_that_is_there_is_never_written_over(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = config(folder)
    (folder / ".env").write_text("MINE=1\n")
    assert refusal(folder, env, capsys).startswith(f"OUT: {folder}/.env exists already; move")
    assert (folder / ".env").read_text() == "MINE=1\n"


def test_a_link_is_not_followed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = config(folder)
    (folder / ".env").symlink_to(folder / "elsewhere")
    assert " exists already; move it away" in refusal(folder, env, capsys)
    assert not (folder / "elsewhere").exists()


def test_a_folder_that_is_not_there_is_said_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = {**config(folder), "OUT": str(folder / "none" / ".env")}
    assert refusal(folder, env, capsys) == f"OUT: cannot write {env['OUT']}: " + os.strerror(2)


def test_nothing_half_written_is_left_behind(folder: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    # Without PYTHONDONTWRITEBYTECODE, Python would also leave an incomplete .pyc file.
    env = {**config(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = run(env, preexec_fn=small_files)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"make import-config: OUT: cannot write {env['OUT']}: ")
    assert not (folder / ".env").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be JSON: "),
        ("{", "must be JSON: "),
        (json.dumps(CONFIG)[:-1] + "\n// the key\n}", "at line 2, column 1 (JSON has no comments"),
        (json.dumps(CONFIG)[:-1] + ",}", "no comma after the last member"),
        ("'" + json.dumps(CONFIG) + "'", "must be JSON: "),
        ("[" * 50_000, "must be JSON"),
        ('{"TokenExpireTime": ' + "9" * 5000 + "}", "CONFIG: "),
        ("[]", "must be a JSON object"),
        ("null", "must be a JSON object"),
        (json.dumps([CONFIG]), "must be a JSON object"),
        (json.dumps(CONFIG).encode("utf-16"), "must be UTF-8 text"),
        (b'{"AccessKeySecret": "\xff"}', "must be UTF-8 text"),
        (b" " * 70_000, "is too large: it has more than"),
        ("{}", "AccessKeyID is missing"),
        ('{"AccessKeyID": "a", "AccessKeyID": "b"}', "AccessKeyID occurs twice"),
        ('{"AccessKeyID": "a", "AccessKeyId": "a"}', "AccessKeyId occurs twice"),
        ('{"AccessKeyID": "a", "AccessKeySecret": "b"}', "RoleArn is missing"),
    ],
)
def test_what_is_not_the_vendors_config_is_said_so(
    folder: Path, text: str | bytes, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refusal(folder, config(folder, text), capsys)
    assert error.startswith("CONFIG: ")
    assert says in error


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"AccessKeyID": ""}, "AccessKeyID is empty"),
        ({"AccessKeySecret": ""}, "AccessKeySecret is empty"),
        ({"AccessKeySecret": None}, "AccessKeySecret must be text"),
        ({"AccessKeySecret": 7}, "AccessKeySecret must be text"),
        ({"AccessKeyID": {"a": 1}}, "AccessKeyID must be text"),
        ({"RoleArn": [CONFIG["RoleArn"]]}, "RoleArn must be text"),
        ({"RoleArn": ""}, "RoleArn is empty"),
        ({"RoleArn": "role/x"}, "RoleArn: must be acs:ram::"),
        ({"RoleArn": "acs:ram::42:user/x"}, "RoleArn: must be acs:ram::"),
        ({"TokenExpireTime": "899"}, "TokenExpireTime: must be a whole number of seconds, 900 to"),
        ({"TokenExpireTime": 43201}, "TokenExpireTime: must be a whole number of seconds, 900 to"),
        ({"TokenExpireTime": -900}, "TokenExpireTime: must be a whole number of seconds, 900 to"),
        ({"TokenExpireTime": "15min"}, "TokenExpireTime: must be a whole number of seconds"),
        ({"TokenExpireTime": 900.5}, "TokenExpireTime must be text, or a whole number like 900"),
        ({"TokenExpireTime": 900.0}, "TokenExpireTime must be text, or a whole number like 900"),
        ({"TokenExpireTime": True}, "TokenExpireTime must be text"),
        ({"TokenExpireTime": float("nan")}, "TokenExpireTime must be text"),
        ({"PolicyFile": "policy/none.txt"}, "PolicyFile: cannot read none.txt"),
        ({"PolicyFile": "policy"}, "PolicyFile: cannot read policy"),
        ({"PolicyFile": "bucket_write_policy"}, "PolicyFile: cannot read bucket_write_policy ("),
        ({"bucket": "My_Bucket"}, "bucket: must be 3 to 63"),
        ({"region": "Hangzhou"}, "region: must be a region id like"),
        ({"RoleARN": "x"}, "'RoleARN' is unknown; the known members are AccessKeyID, "),
        ({"port": 7080}, "'port' is unknown"),
    ],
)
def test_a_bad_member_is_named(
    folder: Path,
    members: dict[str, Any],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert refusal(folder, config(folder, **members), capsys).startswith(f"CONFIG: {says}")


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (" a", "begins with a blank or a line break"),
        ("a ", "ends with a blank or a line break"),
        ("a\n", "ends with a blank or a line break"),
        ("a\u00a0", "ends with a blank or a line break"),
        ("a\\b", 'has a backslash (write "/" between folders)'),
        ("policy\\x.txt", 'has a backslash (write "/" between folders)'),
        ("a\nB=c", "has a line break in it"),
        ("a b", "has a blank"),
        ("a\u200bb", "has an invisible character"),
        ("a\x00b", "has an invisible character"),
        ("a'b", "has a character that shells treat specially"),
        ('a"b', "has a character that shells treat specially"),
        ("a$b", "has a character that shells treat specially"),
        ("a#b", "has a character that shells treat specially"),
        ("a;b", "has a character that shells treat specially"),
        ("~", "has a character that shells treat specially"),
        ("ä", "has a character outside of ASCII"),
    ],
)
def test_a_value_that_would_need_quotes_is_refused_and_it_is_said_what_is_wrong(
    folder: Path, odd: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for member in ("AccessKeyID", "AccessKeySecret", "PolicyFile"):
        if member == "PolicyFile" and odd == " a":
            # The command puts a folder before the value of PolicyFile, so this value does not begin
            # with the space.
            continue
        error = refusal(folder, config(folder, **{member: odd}), capsys)
        assert error.startswith(
            f"CONFIG: {member} {says}; the value may have only A-Z, a-z, 0-9 and "
        )
    error = refusal(folder, {**config(folder), "OBJECT_PREFIX": f"{odd}b/"}, capsys)
    assert error.startswith("OBJECT_PREFIX ")
    assert "; the value may have only A-Z, a-z, 0-9 and " in error


def test_no_config_is_said_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(folder, {}, capsys).startswith("CONFIG: not set; must be the path")
    missing = str(folder / "none.json")
    assert refusal(folder, {"CONFIG": missing}, capsys).startswith(f"CONFIG: cannot read {missing}")
    assert refusal(folder, {"CONFIG": str(folder)}, capsys).startswith("CONFIG: cannot read")


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("bucket_read_policy", "bucket_read_policy"),
        ("all_policy", "bucket_read_write_policy"),
        ("mine", "bucket_read_write_policy"),
    ],
)
def test_a_policy_for_everybody_is_refused_and_ours_is_named(
    folder: Path, name: str, ours: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "policy" / f"{name}.txt").write_text(POLICY.replace("$OBJECT_PREFIX", ""))
    env = config(folder, PolicyFile=f"policy/{name}.txt")
    error = refusal(folder, env, capsys)
    assert error.startswith(f"CONFIG: PolicyFile: {name}.txt: statement 1, resource 1 opens more")
    assert error.endswith(f". Or use our policy: POLICY_FILE={ours}")
    assert main({**env, "POLICY_FILE": ours}) == 0
    assert lines(folder / ".env")["POLICY_FILE"] == ours


def test_a_policy_that_renders_too_long_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = POLICY.replace("oss:PutObject", "oss:" + "x" * 2048)
    (folder / "policy" / "bucket_write_policy.txt").write_text(long)
    assert "STS accepts at most 2048" in refusal(folder, config(folder), capsys)


@given(st.text(max_size=60) | st.dictionaries(st.sampled_from([*CONFIG, "x"]), st.text()))
def test_any_config_is_imported_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: object
) -> None:
    folder = tmp_path_factory.getbasetemp()
    text = content if isinstance(content, str) else json.dumps({**CONFIG, **dict(content)})  # type: ignore[call-overload]
    said = ""
    try:
        import_config(config(folder, text.encode("utf-8", "surrogatepass")))
    except ConfigError as error:
        said = str(error)
    assert SECRET not in said


def test_a_policy_for_every_folder_is_named_in_what_is_left(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name of the vendor's all_policy.txt leads to our all_policy, which has no limit."""
    assert main({**config(folder), "POLICY_FILE": "all_policy"}) == 0
    assert "- Use another POLICY_FILE: all_policy allows everything" in capsys.readouterr().out


def test_a_confined_policy_is_not_named_in_what_is_left(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main({**config(folder), "POLICY_FILE": "bucket_read_write_policy"}) == 0
    assert "Use another POLICY_FILE" not in capsys.readouterr().out


def test_the_command_to_try_exports_nothing_into_the_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a later `make run` in this terminal would use the deployment's policy."""
    assert main(config(folder)) == 0
    loaded = f"(set -a; . {shlex.quote(str(folder / '.env'))}; make token CLOUD=1)"
    assert f"- Try it: {loaded}\n" in capsys.readouterr().out
    (folder / ".env").unlink()
    monkeypatch.chdir(folder)
    assert main({**config(folder), "OUT": ".env"}) == 0
    assert "- Try it: make token CLOUD=1\n" in capsys.readouterr().out


def test_make_import_config_runs_in_the_checkout(folder: Path) -> None:
    done = run(config(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert SECRET not in done.stdout
    assert lines(folder / ".env")["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] == SECRET
