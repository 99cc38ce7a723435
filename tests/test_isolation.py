"""What rendered policies allow, judged by the sandbox's evaluator: the prefix, and nothing else."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

import keys
from grants import Grant
from policies import Policies
from sandbox.ram import Access, Effect, Policy

NAMES = ("bucket_read_policy", "bucket_write_policy", "bucket_read_write_policy")
POLICIES = Policies(NAMES)
BUCKET = "my-bucket"
ACTIONS = [
    "oss:PutObject",
    "oss:GetObject",
    "oss:ListParts",
    "oss:AbortMultipartUpload",
    "oss:DeleteObject",
    "oss:PutObjectAcl",
    "oss:GetObjectAcl",
    "oss:ListObjects",
    "oss:ListMultipartUploads",
    "oss:GetBucketInfo",
    "oss:ListBuckets",
    "sts:AssumeRole",
]
ALLOWED = {
    "bucket_read_policy": {"oss:GetObject"},
    "bucket_write_policy": {"oss:PutObject", "oss:ListParts", "oss:AbortMultipartUpload"},
}
ALLOWED["bucket_read_write_policy"] = set().union(*ALLOWED.values())

# What breaks out of JSON, wildcards, paths and comparisons, beside any other text.
SEGMENTS = st.text(st.sampled_from("aA/.*?\"'\\${}%é\u0301:,[] ") | st.characters(), max_size=8)


def effect(grant: Grant, action: str, resource: str, **context: str) -> Effect:
    policy = Policy.parse(POLICIES.render(grant))
    return policy.evaluate(Access(action, f"acs:oss:*:1:{resource}", context))


def granted(name: str, prefix: str, object_key: str | None = None) -> Grant:
    return Grant(BUCKET, prefix, object_key, name, 900, "anonymous")


@given(st.sampled_from(NAMES), SEGMENTS, SEGMENTS, st.sampled_from(ACTIONS))
def test_a_policy_opens_its_prefix_and_nothing_else(
    name: str, folder: str, key: str, action: str
) -> None:
    prefix = f"{folder}/"
    assume(keys.fault(prefix) is None)
    grant = granted(name, prefix)
    inside, outside = f"{prefix}{key}", f"{folder}{key}"
    allowed = action in ALLOWED[name]
    assert (effect(grant, action, f"{BUCKET}/{inside}") is Effect.ALLOW) == allowed
    assert effect(grant, action, f"other-bucket/{inside}") is not Effect.ALLOW
    assert effect(grant, action, f"x:{BUCKET}/{inside}") is not Effect.ALLOW
    if not outside.startswith(prefix):
        assert effect(grant, action, f"{BUCKET}/{outside}") is not Effect.ALLOW


@given(st.sampled_from(NAMES), SEGMENTS, SEGMENTS)
def test_a_policy_lists_under_its_prefix_only(name: str, folder: str, asked: str) -> None:
    prefix = f"{folder}/"
    assume(keys.fault(prefix) is None)
    for wish in (asked, prefix + asked, folder, ""):
        context = {"oss:Prefix": wish, "oss:Delimiter": ""}
        listed = effect(granted(name, prefix), "oss:ListObjects", BUCKET, **context)
        may = name != "bucket_write_policy" and wish.startswith(prefix)
        assert (listed is Effect.ALLOW) == may
    without = effect(granted(name, prefix), "oss:ListObjects", BUCKET)
    assert without is not Effect.ALLOW


@given(st.sampled_from(NAMES), SEGMENTS, SEGMENTS, st.sampled_from(ACTIONS))
def test_a_wish_for_one_object_opens_that_key_only(
    name: str, wished: str, other: str, action: str
) -> None:
    key = f"uploads/{wished}"
    assume(keys.fault(key) is None and other != wished)
    grant = granted(name, "uploads/", key)
    allowed = action in ALLOWED[name]
    assert (effect(grant, action, f"{BUCKET}/{key}") is Effect.ALLOW) == allowed
    assert effect(grant, action, f"{BUCKET}/uploads/{other}") is not Effect.ALLOW
    listing = {"oss:Prefix": key, "oss:Delimiter": ""}
    assert effect(grant, "oss:ListObjects", BUCKET, **listing) is not Effect.ALLOW
