"""The vendor's .txt policies. An accepted policy allows at most a caller's prefix, and two
evaluators must agree on this. A policy that allows more is refused before a token is made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sandbox.ram import Access, Effect
from token_service.grant import object_keys as keys
from token_service.grant.refusals import InvalidParameter
from token_service.grant.vendor_policies import VendorPolicy
from tried import examples
from two_judges import Judges

BUCKET = "my-bucket"
PREFIX = "uploads/alice/"
OWN = "acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX*"
WHOLE_BUCKET = "acs:oss:*:*:$BUCKET_NAME"
UNDER_PREFIX = {"StringLike": {"oss:Prefix": ["$OBJECT_PREFIX*"]}}

# The vendor's sample has this policy.
WRITE = """{
  "Statement": [
    {
      "Action": [
        "oss:PutObject",
        "oss:ListParts",
        "oss:AbortMultipartUpload"
      ],
      "Effect": "Allow",
      "Resource": ["acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX*"]
    }
  ],
  "Version": "1"
}
"""


def allow(resource: object, action: object = "oss:GetObject", **members: object) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **members}


def policy(*statements: object) -> VendorPolicy:
    return VendorPolicy(json.dumps({"Version": "1", "Statement": list(statements)}))


def rendered(vendors: VendorPolicy, object_key: str | None = None) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = json.loads(vendors.render(BUCKET, PREFIX, object_key))[
        "Statement"
    ]
    return statements


def resources(vendors: VendorPolicy, object_key: str | None = None) -> list[str]:
    return [r for statement in rendered(vendors, object_key) for r in statement["Resource"]]


def test_the_vendors_write_policy_opens_the_callers_prefix() -> None:
    assert rendered(VendorPolicy(WRITE)) == [
        {
            "Effect": "Allow",
            "Action": ["oss:PutObject", "oss:ListParts", "oss:AbortMultipartUpload"],
            "Resource": ["acs:oss:*:*:my-bucket/uploads/alice/*"],
        }
    ]


@pytest.mark.parametrize(
    ("written", "opens"),
    [
        ("$OBJECT_PREFIX*", "uploads/alice/*"),
        ("$OBJECT_PREFIX/*", "uploads/alice/*"),
        ("$OBJECT_PREFIX", "uploads/alice/"),
        ("$OBJECT_PREFIX/photos/*", "uploads/alice/photos/*"),
        ("$OBJECT_PREFIX*.jpg", "uploads/alice/*.jpg"),
    ],
)
def test_a_slash_behind_the_prefix_is_not_written_twice(written: str, opens: str) -> None:
    vendors = policy(allow(f"acs:oss:*:*:$BUCKET_NAME/{written}"))
    assert resources(vendors) == [f"acs:oss:*:*:my-bucket/{opens}"]


def test_listing_is_accepted_under_a_condition() -> None:
    vendors = policy(allow(WHOLE_BUCKET, "oss:ListObjects", Condition=UNDER_PREFIX))
    assert rendered(vendors) == [
        {
            "Effect": "Allow",
            "Action": ["oss:ListObjects"],
            "Resource": ["acs:oss:*:*:my-bucket"],
            "Condition": {"StringLike": {"oss:Prefix": ["uploads/alice/*"]}},
        }
    ]


@pytest.mark.parametrize(
    "resource",
    [
        "*",
        "acs:oss:*:*:*",
        "acs:oss:*:*:*/*",
        "acs:oss:*:*:$BUCKET_NAME/*",
        "acs:oss:*:*:$BUCKET_NAME/",
        "acs:oss:*:*:$BUCKET_NAME*/$OBJECT_PREFIX*",
        "acs:oss:*:*:*/$OBJECT_PREFIX*",
        "acs:oss:*:*:other-bucket/$OBJECT_PREFIX*",
        "acs:oss:*:*:my-bucket/user1/*",
        "acs:oss:*:*:$BUCKET_NAME/*/$OBJECT_PREFIX*",
        "acs:oss:*:*:$OBJECT_PREFIX*",
        "acs:*:*:*:$BUCKET_NAME/$OBJECT_PREFIX*",
        "acs:oss:*:*:*:$BUCKET_NAME/$OBJECT_PREFIX*",
        "x\nacs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX*",
        "",
    ],
)
def test_a_resource_beyond_the_prefix_is_refused(resource: str) -> None:
    with pytest.raises(ValueError, match="statement 2, resource 2 opens more than the caller's"):
        policy(allow(OWN), allow([OWN, resource]))


@pytest.mark.parametrize(
    "statement",
    [
        # An old version of the vendor's read policy.
        allow([OWN, WHOLE_BUCKET], ["oss:GetObject", "oss:ListObjects"]),
        allow(WHOLE_BUCKET, "oss:ListObjects"),
        allow(WHOLE_BUCKET, "oss:*", Condition=UNDER_PREFIX),
        allow(WHOLE_BUCKET, "oss:ListMultipartUploads", Condition=UNDER_PREFIX),
        allow(WHOLE_BUCKET, ["oss:ListObjects", "oss:GetBucketAcl"], Condition=UNDER_PREFIX),
        allow(WHOLE_BUCKET, "oss:ListObjects", Condition={"StringLike": {"oss:Prefix": "*"}}),
        allow(
            WHOLE_BUCKET,
            "oss:ListObjects",
            Condition={"StringLike": {"oss:Prefix": ["$OBJECT_PREFIX*", ""]}},
        ),
        allow(
            WHOLE_BUCKET,
            "oss:ListObjects",
            Condition={"StringNotLike": {"oss:Prefix": "$OBJECT_PREFIX*"}},
        ),
        allow(
            WHOLE_BUCKET,
            "oss:ListObjects",
            Condition={"StringLike": {"oss:Delimiter": "$OBJECT_PREFIX*"}},
        ),
    ],
)
def test_listing_without_a_condition_on_the_prefix_is_refused(statement: object) -> None:
    with pytest.raises(ValueError, match=r"shows everybody's names. Put it into .* of its own"):
        policy(statement)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("$BUCKET", r"\$BUCKET: only \$BUCKET_NAME and \$OBJECT_PREFIX are known"),
        ("$OBJECT_PREFIXphotos", r"\$OBJECT_PREFIXphotos: only "),
        ("$object_prefix", r"\$object_prefix: only "),
        ("${OBJECT_PREFIX}", r"a '\$' without a name: only "),
        ("${acs:user}", r"a '\$' without a name: only "),
        ("$$OBJECT_PREFIX", r"a '\$' without a name: only "),
    ],
)
def test_an_unknown_name_is_named(text: str, says: str) -> None:
    for statement in (
        allow(f"{OWN}{text}"),
        allow(OWN, f"oss:{text}"),
        allow(OWN, Condition={"StringLike": {"oss:Prefix": text}}),
        {**allow(f"acs:oss:*:*:{text}"), "Effect": "Deny"},
    ):
        with pytest.raises(ValueError, match=says):
            policy(statement)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be JSON: "),
        ('{"Version": "1", // mine\n"Statement": []}', "must be JSON: "),
        ('{"Version": "1", "Statement": [],}', "must be JSON: "),
        ("[" * 100_000, "must be JSON"),
        ("[]", 'must have only "Version": "1" and a list of Statement'),
        ('{"Version": "2", "Statement": [{}]}', 'must have only "Version": "1"'),
        (
            '{"Version": "1", "Statement": []}',
            'must have only "Version": "1" and a list of Statement',
        ),
        (
            '{"Version": "1", "Statement": {}}',
            'must have only "Version": "1" and a list of Statement',
        ),
        ('{"Version": "1", "Statement": [{}], "Id": 1}', "must have only"),
        ('{"Version": "1", "Statement": [7]}', "statement 1 must have only Effect, Action"),
    ],
)
def test_what_is_not_a_policy_is_said_so(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        VendorPolicy(text)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ({**allow(OWN), "NotAction": "oss:PutObject"}, "must have only Effect, Action"),
        ({**allow(OWN), "NotResource": OWN}, "must have only Effect, Action"),
        ({**allow(OWN), "Principal": "*"}, "must have only Effect, Action"),
        ({**allow(OWN), "Effect": "allow"}, "Effect must be Allow or Deny"),
        ({"Effect": "Allow", "Resource": OWN}, "Action must be a string or a list"),
        (allow(OWN, []), "Action must be a string or a list"),
        (allow([]), "Resource must be a string or a list"),
        (allow([OWN, 7]), "Resource must be a string or a list"),
        (allow({"a": OWN}), "Resource must be a string or a list"),
        (allow(OWN, Condition={}), "Condition must be like"),
        (allow(OWN, Condition={"StringLike": []}), "Condition must be like"),
        (allow(OWN, Condition={"StringLike": {"oss:Prefix": []}}), "must have strings, numbers"),
        (allow(OWN, Condition={"StringLike": {"oss:Prefix": [[]]}}), "must have strings, numbers"),
        (allow(OWN, Condition={"Bool": {"$BUCKET_NAME": True}}), r"a '\$' only in values"),
    ],
)
def test_an_odd_statement_is_refused(statement: object, says: str) -> None:
    with pytest.raises(ValueError, match=f"^statement 1.*{says}"):
        policy(statement)


def test_a_name_is_looked_at_wherever_it_stands() -> None:
    """A name is also checked in a statement with a condition, and in each value of the
    condition."""
    bad = "$BUCKET"
    for statement in (
        allow(OWN, f"oss:{bad}", Condition=UNDER_PREFIX),
        allow(f"{OWN}{bad}", Condition=UNDER_PREFIX),
        allow(OWN, Condition={"StringLike": {"oss:Prefix": bad, "oss:Delimiter": "/"}}),
        allow(OWN, Condition={"StringLike": {"oss:Prefix": [bad, "x"]}, "Bool": {"acs:x": True}}),
        allow(OWN, Condition={"Bool": {"acs:x": True}, "StringLike": {"oss:Prefix": ["x", bad]}}),
    ):
        with pytest.raises(ValueError, match=r"\$BUCKET: only"):
            policy(statement)


@pytest.mark.parametrize("operator", ["StringLike", "StringEquals"])
def test_listing_is_kept_under_the_prefix_by_either_operator(operator: str) -> None:
    for texts in ("$OBJECT_PREFIX", "$OBJECT_PREFIX/a*", ["$OBJECT_PREFIX*", "$OBJECT_PREFIX/b"]):
        condition = {operator: {"oss:Prefix": texts}}
        assert rendered(policy(allow(WHOLE_BUCKET, "OSS:ListObjects", Condition=condition)))


def test_a_resource_may_have_colons_behind_the_prefix() -> None:
    vendors = policy(allow("acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX/a:b/c:*"))
    whole, one = resources(vendors), resources(vendors, f"{PREFIX}a:b/c:d:e")
    assert whole == ["acs:oss:*:*:my-bucket/uploads/alice/a:b/c:*"]
    assert one == ["acs:oss:*:*:my-bucket/uploads/alice/a:b/c:d:e"]
    with pytest.raises(InvalidParameter):
        resources(vendors, f"{PREFIX}a:b/d:e")


def test_what_is_beyond_ascii_stays_as_it_is() -> None:
    text = VendorPolicy(WRITE).render(BUCKET, "\u7167/", None)
    assert "my-bucket/\u7167/*" in text


def test_a_deny_may_be_about_anything() -> None:
    deny = {"Effect": "Deny", "Action": "oss:*", "Resource": "acs:oss:*:*:$BUCKET_NAME/keep/*"}
    vendors = policy(allow(OWN), deny)
    assert resources(vendors)[1] == "acs:oss:*:*:my-bucket/keep/*"
    assert resources(vendors, f"{PREFIX}a.jpg")[1] == "acs:oss:*:*:my-bucket/keep/*"


def test_a_bracket_in_a_resource_is_a_letter_and_no_wildcard() -> None:
    """RAM knows only "*" and "?". Python's fnmatch would read "[ab]" as "a" or "b"."""
    vendors = policy(allow("acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX/[ab]*"))
    opened = resources(vendors, f"{PREFIX}[ab].jpg")
    assert opened == ["acs:oss:*:*:my-bucket/uploads/alice/[ab].jpg"]
    with pytest.raises(InvalidParameter):
        vendors.render(BUCKET, PREFIX, f"{PREFIX}a.jpg")


def test_a_grant_of_one_object_opens_that_key_and_lists_nothing() -> None:
    vendors = policy(
        allow(["acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX", OWN], "oss:PutObject"),
        allow("acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX/photos/*"),
        allow(WHOLE_BUCKET, "oss:ListObjects", Condition=UNDER_PREFIX),
    )
    (put,) = rendered(vendors, f"{PREFIX}a.jpg")
    assert put["Action"] == ["oss:PutObject"]
    assert put["Resource"] == ["acs:oss:*:*:my-bucket/uploads/alice/a.jpg"]
    photo = "acs:oss:*:*:my-bucket/uploads/alice/photos/a.jpg"
    assert resources(vendors, f"{PREFIX}photos/a.jpg") == [photo, photo]
    # For a grant without an object, the policy still has all four resources.
    assert len(resources(vendors)) == 4


@pytest.mark.parametrize("tail", ["", "photos/*", "[a].jpg", "?", "A.JPG"])
def test_a_wish_for_an_object_that_the_policy_does_not_open_is_refused(tail: str) -> None:
    vendors = policy(allow(f"acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX/{tail}"))
    with pytest.raises(
        InvalidParameter,
        match=r"^object: the policy allows nothing on this object \(POLICY_FILE or POLICY_C",
    ):
        vendors.render(BUCKET, PREFIX, f"{PREFIX}a.jpg")


RESOURCES = st.sampled_from([OWN, WHOLE_BUCKET]) | st.builds(
    "acs:oss:*:*:{}{}".format,
    st.sampled_from(["$BUCKET_NAME", "*", "$BUCKET_NAME*", "x:$BUCKET_NAME"]),
    st.sampled_from(["", "/", "/*", "*", "/*/$OBJECT_PREFIX*", "/b/$OBJECT_PREFIX*"])
    | st.sampled_from(["", "b*", "/b?", "[!a]*", "/"]).map("/$OBJECT_PREFIX/{}".format),
)
PREFIXES = st.sampled_from(["$OBJECT_PREFIX*", "$OBJECT_PREFIX", "$OBJECT_PREFIX/b", "*", ""])
STATEMENTS = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Allow", "Deny"]),
        "Action": st.sampled_from(["oss:*", "oss:GetObject", "oss:ListObjects"]),
        "Resource": RESOURCES | st.lists(RESOURCES, min_size=1, max_size=2),
    },
    optional={
        "Condition": st.dictionaries(
            st.sampled_from(["StringLike", "StringEquals", "StringNotLike"]),
            st.fixed_dictionaries({"oss:Prefix": st.lists(PREFIXES, min_size=1, max_size=2)}),
            min_size=1,
            max_size=1,
        )
    },
)
# Names of any characters. Many of them contain wildcards, character classes, or characters that are
# special in JSON.
NAMES = st.text(st.sampled_from("ab/[]!\"\\.,'{}%\u0301") | st.characters(), min_size=1, max_size=6)


@examples(100, 3_000)
@given(st.lists(STATEMENTS, min_size=1, max_size=2), NAMES, st.just("b") | NAMES, NAMES)
def test_whatever_is_accepted_opens_nothing_outside_the_prefix(
    statements: list[object], segment: str, name: str, other: str
) -> None:
    prefix = f"u/{segment}/"
    key = prefix + name
    assume(keys.fault(prefix) is None and keys.fault(key) is None)
    try:
        vendors = policy(*statements)
    except ValueError:
        return
    whole = Judges(vendors.render(BUCKET, prefix, None))
    for action in ("oss:GetObject", "oss:PutObject", "oss:GetBucketAcl"):
        for beside in (f"u/{segment}{other}", other):
            if not beside.startswith(prefix):
                assert not allows(whole, action, f"{BUCKET}/{beside}")
        assert not allows(whole, action, f"other/{key}")
        assert not allows(whole, action, f"x:{BUCKET}/{key}")
        assert not allows(whole, action, BUCKET)
    for wish in ("", "u/", f"u/{segment}", f"u/{segment}{other}", other):
        assert wish.startswith(prefix) or not lists(whole, wish)

    on_key = allows(whole, "oss:GetObject", f"{BUCKET}/{key}")
    try:
        one = Judges(vendors.render(BUCKET, prefix, key))
    except InvalidParameter:
        assert not on_key
        return
    assert allows(one, "oss:GetObject", f"{BUCKET}/{key}") == on_key
    assert other == name or not allows(one, "oss:GetObject", f"{BUCKET}/{prefix}{other}")
    assert not lists(one, key)
    assert not lists(one, prefix)


def allows(judged: Judges, action: str, resource: str, **context: str) -> bool:
    access = Access(action, f"acs:oss:*:1:{resource}", context)
    return judged.evaluate(access) is Effect.ALLOW


def lists(judged: Judges, prefix: str) -> bool:
    listing = {"oss:Prefix": prefix, "oss:Delimiter": ""}
    return allows(judged, "oss:ListObjects", BUCKET, **listing)


@given(NAMES, NAMES)
def test_no_value_leaves_its_string(bucket: str, prefix: str) -> None:
    (statement,) = json.loads(VendorPolicy(WRITE).render(bucket, prefix, None))["Statement"]
    assert statement["Resource"] == [f"acs:oss:*:*:{bucket}/{prefix}*"]
