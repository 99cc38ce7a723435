"""The sandbox's user sees what was refused and by which policy; a client gets the usual answer."""

from __future__ import annotations

from pathlib import Path

import oss2
import pytest

from post_forms import send, v4_form
from running_cloud import running_cloud
from running_oss import ACCOUNT, BUCKET, REGION, Oss, policy
from sandbox.ram import Policy
from sandbox.refusals import Refusal

OBJECT = f"acs:oss:*:{ACCOUNT}:{BUCKET}/a"
READING = policy({"Action": "oss:GetObject", "Resource": "acs:oss:*:*:*"})
NO_PUT = policy(
    {"Action": "oss:*", "Resource": "acs:oss:*:*:*"},
    {"Effect": "Deny", "Action": "oss:PutObject", "Resource": "acs:oss:*:*:*"},
)


def why(caplog: pytest.LogCaptureFixture) -> str:
    """The last log line, without the status and the code at its beginning."""
    return caplog.messages[-1].partition(" 403 AccessDenied: ")[2]


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "sandbox.oss")
    caplog.set_level("INFO", "sandbox.sts")


@pytest.mark.parametrize(("text", "verb"), [(READING, "not allowed"), (NO_PUT, "denied")])
def test_of_a_session_policy(
    oss: Oss, caplog: pytest.LogCaptureFixture, text: str, verb: str
) -> None:
    with pytest.raises(oss2.exceptions.AccessDenied) as error:
        oss.oss2(oss.session(text)).put_object("a", b"")
    assert why(caplog) == (
        f"oss:PutObject on {OBJECT} is {verb} by the session policy of the token"
    )
    # The answer has only the details that OSS itself sends.
    assert set(error.value.details) <= {
        *("Code", "Message", "RequestId", "HostId", "EC", "RecommendDoc"),
        "AccessDeniedDetail",
    }
    assert b"session policy of the token" not in error.value.body


def test_of_the_roles_policies(oss: Oss, caplog: pytest.LogCaptureFixture) -> None:
    oss.identities.attach(f"acs:ram::{ACCOUNT}:role/upload", Policy.parse(READING))
    with pytest.raises(oss2.exceptions.AccessDenied):
        oss.oss2(oss.session(None)).put_object("a", b"")
    assert why(caplog).endswith("is not allowed by the policies of the upload role (upload)")


def test_an_unsigned_request_is_refused_by_the_acl(
    oss: Oss, caplog: pytest.LogCaptureFixture
) -> None:
    assert oss.raw("GET", f"/{BUCKET}/a")[0] == 403
    assert why(caplog).startswith(f"oss:GetObject on {OBJECT} is not allowed by the ACL of ")


def test_a_listing_says_which_prefix_was_asked_for(
    oss: Oss, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(oss2.exceptions.AccessDenied):
        oss.oss2(oss.session(READING)).list_objects("uploads/bob/")
    assert f"{ACCOUNT}:{BUCKET} with oss:Prefix=uploads/bob/ is not allowed" in why(caplog)


def test_the_functions_key_is_refused_by_its_policies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_cloud(tmp_path) as running:
        key = [running.env[f"ALIBABA_CLOUD_ACCESS_KEY_{part}"] for part in ("ID", "SECRET")]
        auth = oss2.AuthV4(*key)
        endpoint, bucket = running.env["OSS_ENDPOINT"], running.cloud.bucket
        with pytest.raises(oss2.exceptions.AccessDenied):
            oss2.Bucket(auth, endpoint, bucket, region=REGION).delete_object("uploads/a")
    assert why(caplog).endswith("by the policies of the function's key (user token-function)")


def test_a_form_that_is_refused_for_its_own_policy_shows_no_values(
    oss: Oss, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason of the refusal must not quote the form's conditions, because they may contain the
    form's security token."""
    form = v4_form(oss.root, [{"x-oss-meta-a": "s3cret"}], {"key": "a"})
    assert send(oss.endpoint, form).status_code == 403
    assert why(caplog).startswith("Invalid according to Policy: Policy Condition failed")
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("reason", "said"), [("ExplicitDeny", "is denied by"), ("ImplicitDeny", "is not allowed by")]
)
def test_it_reads_as_a_sentence(reason: str, said: str) -> None:
    refusal = Refusal("oss:PutObject", OBJECT, "SessionPolicy", "the policy", reason)
    assert str(refusal) == f"oss:PutObject on {OBJECT} {said} the policy"
