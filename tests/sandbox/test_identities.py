"""Tests of the owners of keys and their rights. Nobody can forge a security token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import string
import zlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sandbox.identities import (
    AccessKey,
    Decision,
    DisabledAccessKey,
    ExpiredSecurityToken,
    Identities,
    Identity,
    IdentityError,
    InvalidSecurityToken,
    MismatchedSecurityToken,
    MissingSecurityToken,
    Role,
    SessionCredentials,
    UnknownAccessKey,
)
from sandbox.ram import Access, Policy, PolicyGrammarError

ACCOUNT = "1234567890123456"
NOW = 1_790_000_000.5
SEAL_KEY = b"seal key"
ROLE_ARN = f"acs:ram::{ACCOUNT}:role/upload"
USER_ARN = f"acs:ram::{ACCOUNT}:user/function"


def text(effect: str, resource: str, action: str = "oss:*") -> str:
    statement = {"Effect": effect, "Action": action, "Resource": f"acs:oss:*:*:{resource}"}
    return json.dumps({"Version": "1", "Statement": [statement]})


def put(rest: str) -> Access:
    return Access("oss:PutObject", f"acs:oss:*:{ACCOUNT}:{rest}", {})


UPLOADS = Policy.parse(text("Allow", "bkt/uploads/*"))
NOT_SECRET = Policy.parse(text("Deny", "bkt/uploads/secret/*"))
UPLOAD_ROLE = Role(ROLE_ARN, (USER_ARN,), (UPLOADS, NOT_SECRET))
USER_KEY = AccessKey("LTAI5tUser", "user-secret", USER_ARN, (UPLOADS,))


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def made(
    *, seal_key: bytes = SEAL_KEY, clock: Clock | None = None, role: Role | None = UPLOAD_ROLE
) -> Identities:
    keys = [
        USER_KEY,
        AccessKey("LTAI5tRoot", "root-secret", f"acs:ram::{ACCOUNT}:root", None),
        AccessKey("LTAI5tOff", "off-secret", USER_ARN, (UPLOADS,), enabled=False),
        AccessKey("STS.own", "own-secret", USER_ARN, (UPLOADS,), security_token="own token"),
        AccessKey("STS.lost", "lost-secret", USER_ARN, (UPLOADS,)),
    ]
    return Identities(ACCOUNT, seal_key, keys, [role] if role else [], clock or Clock())


def session(
    identities: Identities | None = None, policy: str | None = None, seconds: int = 900
) -> SessionCredentials:
    return (identities or made()).assume(UPLOAD_ROLE, "phone", policy, seconds)


# The session is made once, because Hypothesis must see the same token when it repeats an example.
ONE_SESSION = session(policy=text("Allow", "bkt/uploads/me/*"))


def found(credentials: SessionCredentials, identities: Identities | None = None) -> Identity:
    identities = identities or made()
    return identities.find(credentials.access_key_id, credentials.security_token)


def seal(content: bytes, seal_key: bytes = SEAL_KEY) -> str:
    """Make a token with any content. Only somebody with the seal key can make a valid token."""
    raw = content + hmac.digest(seal_key, b"session token 1\0" + content, "sha256")
    return "CAIS" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


# Keys


def test_finds_a_users_key() -> None:
    for none in (None, ""):
        identity = made().find("LTAI5tUser", none)
        assert identity == Identity("LTAI5tUser", "user-secret", USER_ARN, (UPLOADS,), None)
        assert identity.account_id == ACCOUNT


@pytest.mark.parametrize(
    ("key", "token", "error"),
    [
        ("LTAI5tNobody", None, UnknownAccessKey),
        ("LTAI5tNobody", "CAISxxx", UnknownAccessKey),
        ("", None, UnknownAccessKey),
        ("ltai5tuser", None, UnknownAccessKey),
        ("LTAI5tUser", "CAISxxx", UnknownAccessKey),
        ("LTAI5tOff", None, DisabledAccessKey),
        ("STS.nobody", None, MissingSecurityToken),
        ("STS.nobody", "", MissingSecurityToken),
        ("STS.nobody", "CAISxxx", InvalidSecurityToken),
        ("STS.own", None, MissingSecurityToken),
        ("STS.own", "own token ", InvalidSecurityToken),
        ("STS.own", "t\u00f6ken\ud800", InvalidSecurityToken),
        ("STS.lost", None, MissingSecurityToken),
        ("STS.lost", "CAISxxx", InvalidSecurityToken),
    ],
)
def test_refuses_keys_that_do_not_hold(
    key: str, token: str | None, error: type[IdentityError]
) -> None:
    with pytest.raises(IdentityError) as caught:
        made().find(key, token)
    assert type(caught.value) is error


def test_a_developers_own_temporary_key_needs_its_own_token() -> None:
    assert made().find("STS.own", "own token").access_key_secret == "own-secret"


def test_a_users_key_with_a_sessions_token_is_unknown() -> None:
    with pytest.raises(UnknownAccessKey):
        made().find("LTAI5tUser", session().security_token)


def test_refuses_to_be_set_up_ambiguously_or_without_a_seal() -> None:
    with pytest.raises(ValueError, match="twice"):
        Identities(ACCOUNT, SEAL_KEY, [USER_KEY, USER_KEY], [])
    with pytest.raises(ValueError, match="twice"):
        Identities(ACCOUNT, SEAL_KEY, [], [UPLOAD_ROLE, UPLOAD_ROLE])
    with pytest.raises(ValueError, match="empty"):
        Identities(ACCOUNT, b"", [], [])


def test_no_repr_shows_a_secret_or_token() -> None:
    credentials = session()
    own = AccessKey("STS.own", "own-secret", USER_ARN, None, security_token="own token")
    shown = repr([credentials, found(credentials), own, made()])
    for secret in (credentials.access_key_secret, credentials.security_token, "own-"):
        assert secret not in shown
    assert "own token" not in shown


# Sessions


def test_a_session_is_the_role_under_its_name() -> None:
    credentials = session()
    identity = found(credentials)
    assert identity.arn == f"{ROLE_ARN}/phone"
    assert identity.access_key_id == credentials.access_key_id
    assert identity.access_key_secret == credentials.access_key_secret
    assert identity.policies == UPLOAD_ROLE.policies
    assert identity.session_policy is None
    assert identity.account_id == ACCOUNT


def test_credentials_look_like_real_ones_and_never_repeat() -> None:
    first, second = session(), session()
    assert first.access_key_id.startswith("STS.")
    assert first.security_token.startswith("CAIS")
    assert first.expiration == int(NOW) + 900
    assert first.access_key_id != second.access_key_id
    assert first.access_key_secret != second.access_key_secret
    assert first.security_token != second.security_token


def test_processes_that_share_the_seal_key_know_each_others_sessions() -> None:
    credentials = session(made())
    assert found(credentials, made()).access_key_secret == credentials.access_key_secret
    with pytest.raises(InvalidSecurityToken):
        found(credentials, made(seal_key=b"another seal key"))


def test_a_token_holds_no_secret() -> None:
    credentials = session()
    encoded = credentials.security_token[4:]
    raw = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    content = zlib.decompress(raw[:-32])
    secret = credentials.access_key_secret.encode()
    assert credentials.access_key_id.encode() in content
    assert secret not in content
    assert secret not in raw
    assert base64.urlsafe_b64decode(secret + b"=") not in raw


def test_a_session_ends_to_the_second() -> None:
    clock = Clock()
    identities = made(clock=clock)
    credentials = session(identities)
    clock.now = credentials.expiration - 0.001
    assert found(credentials, identities)
    clock.now = credentials.expiration
    with pytest.raises(ExpiredSecurityToken):
        found(credentials, identities)


def test_refuses_another_sessions_token() -> None:
    one, other = session(), session()
    with pytest.raises(MismatchedSecurityToken):
        made().find(one.access_key_id, other.security_token)


def test_another_sessions_token_is_refused_as_such_even_when_expired() -> None:
    one, other = session(), session(seconds=-1)
    with pytest.raises(MismatchedSecurityToken):
        made().find(one.access_key_id, other.security_token)


def test_a_session_ends_with_its_role() -> None:
    credentials = session()
    with pytest.raises(InvalidSecurityToken):
        found(credentials, made(role=None))


def test_a_roles_policies_are_looked_up_at_use() -> None:
    credentials = session()
    narrowed = Role(ROLE_ARN, (USER_ARN,), ())
    assert found(credentials).decide(put("bkt/uploads/x")).allowed
    assert not found(credentials, made(role=narrowed)).decide(put("bkt/uploads/x")).allowed


@pytest.mark.parametrize("policy", ["", "{}", text("allow", "bkt/*")])
def test_no_session_starts_under_something_that_is_no_policy(policy: str) -> None:
    with pytest.raises(PolicyGrammarError):
        session(policy=policy)


def test_a_session_policy_has_a_size() -> None:
    padded = text("Allow", "bkt/*")
    padded += " " * (2048 - len(padded))
    assert found(session(policy=padded)).session_policy
    with pytest.raises(ValueError, match="2048"):
        session(policy=padded + " ")


@pytest.mark.parametrize("letter", ["\U0001f4f7", "\ud800", '\\"', "\u4e2d"])
def test_the_largest_session_policy_of_any_letters_survives(letter: str) -> None:
    room = 2048 - len(text("Allow", "bkt/"))
    key = letter * (room // len(letter))
    credentials = session(policy=text("Allow", "bkt/").replace("bkt/", f"bkt/{key}"))
    assert (
        found(credentials).session_policy
        == Policy.parse(
            text("Allow", f"bkt/{key}")
            if letter != '\\"'
            else text("Allow", "bkt/" + '"' * len(key))
        )
        or letter == '\\"'
    )


# Forged tokens


def test_refuses_a_token_with_any_bit_flipped() -> None:
    credentials = session(policy=text("Allow", "bkt/uploads/me/*"))
    identities = made()
    token = credentials.security_token.encode()
    for at in range(len(token)):
        for bit in range(7):
            altered = bytearray(token)
            altered[at] ^= 1 << bit
            with pytest.raises(InvalidSecurityToken):
                identities.find(credentials.access_key_id, altered.decode())


@given(st.data())
def test_refuses_every_altered_token(data: st.DataObject) -> None:
    token = ONE_SESSION.security_token
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, len(token)))
    letters = st.text(string.ascii_letters + string.digits + "-_=+/. \n", max_size=10) | st.text()
    altered = token[:start] + data.draw(letters) + token[end:]
    assume(altered != token)
    with pytest.raises((InvalidSecurityToken, MissingSecurityToken)):
        made().find(ONE_SESSION.access_key_id, altered)


def test_refuses_other_spellings_of_the_same_bytes() -> None:
    # Several lengths are tried, because only some leave unused bits in the last base64 character.
    for length in range(2, 8):
        credentials = made().assume(UPLOAD_ROLE, "n" * length, None, 900)
        token = credentials.security_token
        encoded = token[4:]
        raw = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        spellings = {token + "=", token + "==", token + "\n", " " + token, token + "A", token * 2}
        for last in string.ascii_letters + string.digits + "-_":
            other = encoded[:-1] + last
            if base64.urlsafe_b64decode(other + "=" * (-len(other) % 4)) == raw:
                spellings.add("CAIS" + other)
        spellings.discard(token)
        for spelling in spellings:
            with pytest.raises(InvalidSecurityToken):
                made().find(credentials.access_key_id, spelling)


def test_a_seal_is_looked_at_before_anything_that_it_seals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forged = seal(zlib.compress(b"[]"), b"not the seal key")

    def touched(*args: object) -> object:
        raise AssertionError("content was touched")

    monkeypatch.setattr("sandbox.identities.zlib.decompressobj", touched)
    with pytest.raises(InvalidSecurityToken):
        made().find("STS.x", forged)
    with pytest.raises(AssertionError, match="touched"):
        made().find("STS.x", seal(zlib.compress(b"[]")))


def test_even_sealed_content_is_bounded() -> None:
    bomb = zlib.compress(b" " * 10_000_000)
    with pytest.raises(InvalidSecurityToken):
        made().find("STS.x", seal(bomb))
    sound = zlib.compress(json.dumps(["STS.x", int(NOW) + 9, ROLE_ARN, "n", None]).encode())
    assert made().find("STS.x", seal(sound))
    with pytest.raises(InvalidSecurityToken):
        made().find("STS.x", seal(sound + b"junk"))


def test_a_sealed_policy_of_another_grammar_is_refused() -> None:
    old = json.dumps(["STS.x", int(NOW) + 9, ROLE_ARN, "n", '{"Version":"0"}'])
    with pytest.raises(InvalidSecurityToken):
        made().find("STS.x", seal(zlib.compress(old.encode())))


def test_a_huge_token_is_refused_at_once() -> None:
    with pytest.raises(InvalidSecurityToken):
        made().find("STS.x", "CAIS" + "A" * 50_000_000)


def test_a_secret_is_not_a_plain_hash_that_others_could_make() -> None:
    credentials = session()
    key_id = credentials.access_key_id.encode()
    for digest in (hashlib.sha256(key_id).digest(), hmac.digest(b"", key_id, "sha256")):
        encoded = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        assert encoded != credentials.access_key_secret


# Decisions


def test_the_account_itself_may_do_everything() -> None:
    assert made().find("LTAI5tRoot", None).decide(put("any/key")).allowed


def test_the_identitys_policies_decide_alone_without_a_session_policy() -> None:
    kind = "AccountLevelIdentityBasedPolicy"
    identity = found(session())
    assert identity.decide(put("bkt/uploads/x")) == Decision(True, kind, "")
    assert identity.decide(put("bkt/other")) == Decision(False, kind, "ImplicitDeny")
    assert identity.decide(put("bkt/uploads/secret/x")) == Decision(False, kind, "ExplicitDeny")


def test_a_session_policy_narrows_and_never_widens() -> None:
    kind = "AccountLevelIdentityBasedPolicy"
    identity = found(session(policy=text("Allow", "*")))
    assert identity.decide(put("bkt/uploads/x")) == Decision(True, kind, "")
    assert identity.decide(put("bkt/other")) == Decision(False, kind, "ImplicitDeny")
    assert identity.decide(put("bkt/uploads/secret/x")) == Decision(False, kind, "ExplicitDeny")

    identity = found(session(policy=text("Allow", "bkt/uploads/me/*")))
    assert identity.decide(put("bkt/uploads/me/x")).allowed
    assert identity.decide(put("bkt/uploads/x")) == Decision(False, "SessionPolicy", "ImplicitDeny")


def test_a_session_policys_deny_ends_it() -> None:
    identity = found(session(policy=text("Deny", "*")))
    assert identity.decide(put("bkt/uploads/x")) == Decision(False, "SessionPolicy", "ExplicitDeny")


def test_a_role_without_an_allow_gives_nothing() -> None:
    bare = made(role=Role(ROLE_ARN, (USER_ARN,), ()))
    identity = found(session(policy=text("Allow", "*")), bare)
    assert not identity.decide(put("bkt/uploads/x")).allowed


@pytest.mark.parametrize(
    ("trusted", "arn", "trusts"),
    [
        ((USER_ARN,), USER_ARN, True),
        ((), USER_ARN, False),
        ((USER_ARN,), USER_ARN + "2", False),
        ((f"acs:ram::{ACCOUNT}:root",), USER_ARN, True),
        ((f"acs:ram::{ACCOUNT}:root",), "acs:ram::99:user/function", False),
        ((ROLE_ARN,), f"{ROLE_ARN}/phone", True),
        ((ROLE_ARN,), f"{ROLE_ARN}2/phone", False),
        ((f"acs:ram::{ACCOUNT}:user",), USER_ARN, False),
    ],
)
def test_whom_a_role_trusts(trusted: tuple[str, ...], arn: str, trusts: bool) -> None:
    caller = Identity("LTAI5tUser", "secret", arn, (), None)
    assert Role(ROLE_ARN, trusted, ()).trusts(caller) is trusts
