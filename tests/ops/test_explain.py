"""Tests `make explain`, which answers "what can this token do?" without a cloud or a credential."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.explain import explain, main
from ops.policies_described import offered
from tried import examples

ROOT = Path(__file__).parents[2]
ALICE = {"BUCKET_NAME": "my-bucket", "CALLER": "alice"}
READ_WRITE = {**ALICE, "POLICY_FILE": "bucket_read_write_policy"}
CONFINED = ",".join(offered())

Env = dict[str, str]


def shown(**env: str) -> list[str]:
    return "\n".join(explain(env)).splitlines()


def row(lines: list[str], operation: str) -> list[str]:
    """Return the cells in the row of an operation."""
    (line,) = (line for line in lines if line.startswith(operation.ljust(21)))
    return line[21:].split()


def test_alice_may_in_her_folder_and_nowhere_else() -> None:
    lines = shown(**READ_WRITE)
    assert lines[:3] == [
        "caller     'alice'",
        "prefix     uploads/alice/",
        "in logs    alice (RoleSessionName)",
    ]
    assert row(lines, "allowed in") == ["own", "neighbour", "root", "other", "needs", "(oss:)"]
    for operation, needs in {
        "put, form upload": ["PutObject"],
        "append": ["PutObject"],
        "multipart upload": ["PutObject"],
        "resume (ListParts)": ["ListParts"],
        "abort": ["AbortMultipartUpload"],
        "get, signed GET URL": ["GetObject"],
        "image processing": ["GetObject"],
        "head, does it exist": ["GetObject"],
        "copy within": ["GetObject", "PutObject"],
        "copy from there": ["GetObject", "PutObject"],
        "copy to there": ["GetObject", "PutObject"],
        "list the folder": ["ListObjects"],
    }.items():
        assert row(lines, operation) == ["yes", "no", "no", "no", *needs]
    for operation in ("delete", "delete several", "change the ACL"):
        assert row(lines, operation)[:4] == ["no"] * 4
    for operation in ("list without prefix", "list all uploads", "bucket's information"):
        assert row(lines, operation)[:-1] == ["no", "no"]
    assert lines[-5:-1] == [
        "own        my-bucket/uploads/alice/",
        "neighbour  my-bucket/uploads/alice2/",
        "root       my-bucket/",
        "other      other-bucket/uploads/alice/",
    ]


def test_the_policy_is_shown_as_it_is_sent_and_measured() -> None:
    lines = shown(**ALICE)
    policy = json.loads("\n".join(lines[6 : lines.index("}") + 1]))
    assert policy["Statement"][0]["Resource"] == ["acs:oss:*:*:my-bucket/uploads/alice/*"]
    size = len(json.dumps(policy, separators=(",", ":")))
    assert lines[4] == f"bucket_write_policy: {size} of 2,048 characters"


def test_each_choice_is_explained_or_the_chosen_one() -> None:
    env = {**ALICE, "POLICY_CHOICES": "bucket_read_policy,all_policy"}
    titles = [line.partition(":")[0] for line in shown(**env) if "of 2,048 characters" in line]
    assert titles == ["bucket_write_policy", "bucket_read_policy", "all_policy"]
    chosen = shown(**env, POLICY="bucket_read_policy")
    titles = [line.partition(":")[0] for line in chosen if "of 2,048 characters" in line]
    assert titles == ["bucket_read_policy"]


def test_an_object_narrows_what_is_allowed_to_one_key() -> None:
    for key in ("a/b.jpg", "photo.jpg"):
        lines = shown(**READ_WRITE, OBJECT=key)
        assert row(lines, "put, form upload")[:5] == ["yes", "no", "no", "no", "no"]
        assert row(lines, "list the folder")[:5] == ["no"] * 5
        assert f"object     my-bucket/uploads/alice/{key}" in lines


def test_all_policy_is_seen_to_open_everything() -> None:
    lines = shown(**ALICE, POLICY_FILE="all_policy")
    for operation in ("put, form upload", "delete several", "copy from there"):
        assert row(lines, operation)[:4] == ["yes"] * 4
    for operation in ("list without prefix", "delete the bucket", "list the buckets"):
        assert row(lines, operation)[:2] == ["yes"] * 2


def test_anonymous_has_no_caller() -> None:
    lines = shown(AUTH="anonymous", BUCKET_NAME="my-bucket")
    assert lines[:2] == ["caller     anybody", "prefix     uploads/"]
    assert row(lines, "put, form upload")[:4] == ["yes", "no", "no", "no"]
    assert "neighbour  my-bucket/uploads2/" in lines


def test_other_variables_are_neither_needed_nor_read() -> None:
    wrong = {
        "JWT_SECRET": "short",
        "JWT_JWKS_URL": "http://evil.example",
        "STS_ENDPOINT": "ftp://",
        "TOKEN_EXPIRE_TIME": "1",
        "OSS_REGION": "?",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "function-access-key-secret",
    }
    assert shown(**ALICE, **wrong) == shown(**ALICE)


def test_a_vendors_policy_is_explained_too(tmp_path: Path) -> None:
    file = tmp_path / "vendors.txt"
    statement = {
        "Effect": "Allow",
        "Action": ["oss:PutObject"],
        "Resource": ["acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX*"],
    }
    file.write_text(json.dumps({"Version": "1", "Statement": [statement]}))
    lines = shown(**ALICE, POLICY_FILE=str(file))
    assert row(lines, "put, form upload")[:4] == ["yes", "no", "no", "no"]
    assert row(lines, "resume (ListParts)")[:4] == ["no"] * 4


def own_template(folder: Path, **members: object) -> str:
    statement = {"Effect": "Allow", "Action": "oss:*", "Resource": "*", **members}
    file = folder / "own.json.j2"
    file.write_text(json.dumps({"Version": "1", "Statement": [statement]}))
    return str(file)


NOT_VERIFIED = "not verified on the real OSS (assumption 1)"


def test_what_nobody_has_seen_on_the_real_oss_is_no_answer() -> None:
    """Earlier, the output said "put with an ACL: no" as a fact, although nobody had tested this
    (finding A6)."""
    lines = shown(**ALICE)
    needs = ["PutObject", "PutObjectAcl"]
    assert row(lines, "put with an ACL") == ["?", "no", "no", "no", *needs]
    (note,) = (at for at, line in enumerate(lines) if NOT_VERIFIED in line)
    text = " ".join(lines[note : note + 4])
    assert lines[note].startswith("?")
    assert "BlockPublicAccess" in text
    assert "make smoke UPLOAD=1 ACL=1" in text
    row_of_object = row(shown(**ALICE, OBJECT="a.jpg"), "put with an ACL")
    assert row_of_object == ["?", "no", "no", "no", "no", *needs]


def test_a_refusal_that_needs_no_unverified_rule_stays_a_no() -> None:
    """Some answers depend on no assumption (finding A6). A token without PutObject cannot put with
    an ACL. A token that may do everything can put with an ACL."""
    for name, cell in {"bucket_read_policy": "no", "all_policy": "yes"}.items():
        lines = shown(**ALICE, POLICY_FILE=name)
        assert row(lines, "put with an ACL")[0] == cell
        assert not any(NOT_VERIFIED in line for line in lines)


def test_denying_the_acl_does_not_verify_anything(tmp_path: Path) -> None:
    """If OSS does not check PutObjectAcl for an upload with an ACL, a Deny of PutObjectAcl does not
    prevent this upload (finding A6)."""
    own = tmp_path / "own.json.j2"
    every = {"Effect": "Allow", "Action": "oss:*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "oss:PutObjectAcl", "Resource": "*"}
    own.write_text(json.dumps({"Version": "1", "Statement": [every, deny]}))
    lines = shown(**ALICE, POLICY_FILE=str(own))
    assert row(lines, "put with an ACL")[:4] == ["?"] * 4
    assert row(lines, "change the ACL")[:4] == ["no"] * 4


def test_a_condition_that_a_request_does_not_decide_is_said(tmp_path: Path) -> None:
    own = own_template(tmp_path, Condition={"IpAddress": {"acs:SourceIp": "10.0.0.0/8"}})
    lines = shown(**ALICE, POLICY_FILE=own)
    assert "This report assumes that conditions on acs:SourceIp are not met." in lines
    assert row(lines, "put, form upload")[:4] == ["no"] * 4
    assert not any("This report assumes" in line for line in shown(**READ_WRITE))


def test_an_account_in_a_policy_is_that_of_the_role(tmp_path: Path) -> None:
    own = own_template(tmp_path, Resource="acs:oss:*:42:*")
    env = {**ALICE, "POLICY_FILE": own}
    assert row(shown(**env), "put, form upload")[0] == "no"
    of_role = shown(**env, ROLE_ARN="acs:ram::42:role/upload")
    assert row(of_role, "put, form upload")[0] == "yes"


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({}, "BUCKET_NAME: not set; must be 3 to 63"),
        ({"BUCKET_NAME": "B"}, "BUCKET_NAME: must be 3 to 63"),
        ({"BUCKET_NAME": "my-bucket"}, "CALLER: not set; must be a user's id"),
        ({**ALICE, "AUTH": "anonymous"}, "CALLER: must be empty, because with AUTH=anonymous"),
        ({**ALICE, "AUTH": "none"}, "AUTH: must be one of jwt, anonymous"),
        ({**ALICE, "OBJECT_PREFIX": "a"}, "OBJECT_PREFIX: must end with '/'"),
        ({**ALICE, "OBJECT": "../bob/a"}, "OBJECT: must not have '.' or '..'"),
        ({**ALICE, "POLICY": "all_policy"}, "POLICY: must be one of bucket_write_policy"),
        ({**ALICE, "POLICY_FILE": "no_policy"}, "POLICY_FILE: cannot read no_policy.json.j2"),
        ({**ALICE, "POLICY_CHOICES": "no_policy"}, "POLICY_CHOICES: cannot read no_policy"),
        ({**ALICE, "ROLE_ARN": "?"}, "ROLE_ARN: must be acs:ram::"),
    ],
)
def test_a_wrong_variable_is_one_line_that_names_it(
    env: Env, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(env) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"make explain: {says}")
    assert err.count("\n") == 1


def test_a_policy_that_cannot_be_judged_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = own_template(tmp_path, Condition={"Strange": {"acs:SourceIp": "10.0.0.0/8"}})
    assert main({**ALICE, "POLICY_FILE": own}) == 1
    assert capsys.readouterr().err.startswith(f"make explain: POLICY_FILE: {own} cannot be judged")
    assert main({**ALICE, "POLICY_CHOICES": own}) == 1
    assert capsys.readouterr().err.startswith("make explain: POLICY_CHOICES: ")


def test_a_policy_that_is_too_long_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    env = {**READ_WRITE, "OBJECT_PREFIX": "p" * 1000 + "/"}
    assert main(env) == 1
    assert "STS accepts at most 2048" in capsys.readouterr().err


def test_a_folder_too_deep_for_any_object_is_explained() -> None:
    lines = shown(**ALICE, OBJECT_PREFIX="p" * 1015 + "/")
    assert row(lines, "copy within")[0] == "no"


def test_the_table_fits_a_terminal() -> None:
    env = {**ALICE, "POLICY_CHOICES": f"{CONFINED},all_policy", "OBJECT": "a.jpg"}
    assert max(map(len, shown(**env))) <= 80


def test_make_explain_runs_with_nothing_else_set(tmp_path: Path) -> None:
    # The temporary folder has no .env, but the checkout may have the developer's .env.
    env = {**ALICE, "PYTHONPATH": f"{ROOT}:{ROOT}/functions/sts_token"}
    done = subprocess.run(
        [sys.executable, "-m", "ops.explain"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == shown(**ALICE)


def test_a_reader_that_goes_away_gets_no_traceback(tmp_path: Path) -> None:
    """`make explain | head` closes the output early."""
    env = {**ALICE, "PYTHONPATH": f"{ROOT}:{ROOT}/functions/sts_token"}
    reads, writes = os.pipe()
    os.close(reads)
    command = [sys.executable, "-m", "ops.explain"]
    done = subprocess.run(command, cwd=tmp_path, env=env, stdout=writes, stderr=subprocess.PIPE)
    os.close(writes)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


@examples(30, 1_000)
@given(st.text(min_size=1, max_size=80))
def test_whoever_asks_gets_nothing_outside_their_own_folder(user_id: str) -> None:
    lines = shown(BUCKET_NAME="my-bucket", CALLER=user_id, POLICY_CHOICES=CONFINED)
    cells = [line[21:].split() for line in lines if line.endswith("Object")]
    assert any(cell[0] == "yes" for cell in cells)
    assert all(cell[1:4] == ["no"] * 3 for cell in cells)
