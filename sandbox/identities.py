"""Users, roles, and sessions of roles. For each access key, this module knows its owner, and what
the owner may do.

The services (sts.py and oss/) read the key from a request and check the request's signature.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from sandbox.ram import Access, Effect, Policy, PolicyGrammarError, evaluate

SESSION_KEY_PREFIX = "STS."
MAX_SESSION_POLICY = 2048
"""Maximum characters of a session policy (seen in the SDK's docstrings; older documentation says
1,024)."""

_TOKEN_PREFIX = "CAIS"  # noqa: S105 - what real tokens begin with
# The limit is far larger than any token of assume(), and far smaller than a harmful size.
_MAX_TOKEN = 32 * 1024
_SEAL_BYTES = hashlib.sha256().digest_size


class IdentityError(Exception):
    """Base of all errors that find() raises. These errors never hold a secret."""


class UnknownAccessKey(IdentityError):
    """Raised for an unknown key, and for a long-lived key that comes with a token."""


class DisabledAccessKey(IdentityError):
    """Raised for a key that exists and has been switched off."""


class MissingSecurityToken(IdentityError):
    """Raised for a temporary key that comes without its security token."""


class InvalidSecurityToken(IdentityError):
    """Raised for a token that was altered, was not made here, or belongs to a removed role."""


class MismatchedSecurityToken(InvalidSecurityToken):
    """Raised for a genuine token that belongs to another key."""


class ExpiredSecurityToken(IdentityError):
    """Raised for a genuine token that has expired."""


@dataclass(frozen=True)
class AccessKey:
    """A configured key and its owner.

    `policies` is None for the account itself, which may do everything. `security_token` is set
    when a developer's own temporary key was given to the sandbox.
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    arn: str
    policies: tuple[Policy, ...] | None
    security_token: str | None = field(default=None, repr=False)
    enabled: bool = True


@dataclass(frozen=True)
class Role:
    """A role. `arn` is like acs:ram::ACCOUNT:role/NAME. `trusted` are the ARNs that may assume the
    role.

    A trusted acs:ram::ACCOUNT:root stands for everybody in that account. A trusted role's ARN
    stands for the sessions of that role (vendor documentation of trust policies).
    `max_session_seconds` is 3,600 to 43,200.
    """

    arn: str
    trusted: tuple[str, ...]
    policies: tuple[Policy, ...]
    max_session_seconds: int = 3600

    def trusts(self, identity: Identity) -> bool:
        """Whether the role's trust policy names this identity. To assume the role, the identity
        also needs sts:AssumeRole."""
        arn = identity.arn
        names = {arn, f"acs:ram::{identity.account_id}:root"}
        if ":role/" in arn:
            names.add(arn.rpartition("/")[0])
        return not names.isdisjoint(self.trusted)


@dataclass(frozen=True)
class Decision:
    """The decision about one access. If it is not allowed, the decision says which kind of policy
    refused it, and how.

    `policy_type` is "SessionPolicy" or "AccountLevelIdentityBasedPolicy". `no_permission_type` is
    "ExplicitDeny", "ImplicitDeny", or "" if the access is allowed. OSS reports both in
    AccessDeniedDetail.
    """

    allowed: bool
    policy_type: str
    no_permission_type: str


@dataclass(frozen=True)
class Identity:
    """The owner of an access key: the secret with which the owner's signatures are checked, and
    what the owner may do.

    A session's `arn` is the role's ARN and the session name: acs:ram::ACCOUNT:role/ROLE/SESSION.
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    arn: str
    policies: tuple[Policy, ...] | None
    session_policy: Policy | None

    @property
    def account_id(self) -> str:
        """The account that the identity belongs to."""
        return self.arn.split(":")[3]

    def decide(self, access: Access) -> Decision:
        """Evaluate the session policy. If it allows the access, evaluate the identity's policies.

        Without a session policy a session may do what its role may (vendor documentation).
        """
        if self.session_policy is not None:
            effect = self.session_policy.evaluate(access)
            if effect is not Effect.ALLOW:
                return Decision(False, "SessionPolicy", effect.value)
        # None means the account itself.
        effect = Effect.ALLOW if self.policies is None else evaluate(self.policies, access)
        allowed = effect is Effect.ALLOW
        return Decision(allowed, "AccountLevelIdentityBasedPolicy", "" if allowed else effect.value)


@dataclass(frozen=True)
class SessionCredentials:
    """The credentials that AssumeRole returns. `expiration` is in unix seconds."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str = field(repr=False)
    expiration: int


class Identities:
    """All keys and roles of the sandbox's account.

    No session is stored. The security token contains the session and a seal. The session's secret
    is derived from the seal key and the key id, so processes and runs with the same seal key accept
    each other's sessions. Roles and their policies are looked up at each use.
    """

    def __init__(
        self,
        account_id: str,
        seal_key: bytes,
        keys: Iterable[AccessKey],
        roles: Iterable[Role],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises ValueError for an empty seal key, and for a repeated key or role."""
        if not seal_key:
            raise ValueError("the seal key must not be empty")
        keys, roles = list(keys), list(roles)
        self.account_id = account_id
        self._seal_key = seal_key
        self._keys = {key.access_key_id: key for key in keys}
        self._roles = {role.arn: role for role in roles}
        self._clock = clock
        if len(self._keys) != len(keys) or len(self._roles) != len(roles):
            raise ValueError("a key or role is given twice")

    def role(self, arn: str) -> Role | None:
        """Return the role with this ARN, or None if there is none."""
        return self._roles.get(arn)

    def attach(self, arn: str, *policies: Policy) -> None:
        """Replace all policies of a role, or of the owner of a key, with `policies`, as RAM's
        AttachPolicy and DetachPolicy do. Without `policies`, nothing is allowed. Raises KeyError if
        there is no such role or key."""
        if arn in self._roles:
            self._roles[arn] = replace(self._roles[arn], policies=policies)
            return
        held = {key.arn: key for key in self._keys.values()}[arn]
        self._keys[held.access_key_id] = replace(held, policies=policies)

    def find(self, access_key_id: str, security_token: str | None) -> Identity:
        """Find the owner of this key; None and "" both mean no token. Checks no signature.

        Raises UnknownAccessKey, DisabledAccessKey, MissingSecurityToken, InvalidSecurityToken or
        ExpiredSecurityToken.
        """
        key = self._keys.get(access_key_id)
        temporary = access_key_id.startswith(SESSION_KEY_PREFIX) or (
            key is not None and key.security_token is not None
        )
        if not temporary and (key is None or security_token):
            raise UnknownAccessKey
        if key is not None and not key.enabled:
            raise DisabledAccessKey
        if temporary and not security_token:
            raise MissingSecurityToken
        if key is None:
            return self._session(access_key_id, security_token or "")
        # The developer's own token is opaque here, so it can only be compared.
        if temporary and not _same(security_token or "", key.security_token or ""):
            raise InvalidSecurityToken
        return Identity(access_key_id, key.access_key_secret, key.arn, key.policies, None)

    def assume(
        self, role: Role, session_name: str, session_policy: str | None, seconds: int
    ) -> SessionCredentials:
        """Make credentials for a session of `role`. They expire in `seconds`.

        Code that calls this method must first check the identity, the name and the duration. Raises
        PolicyGrammarError for a malformed session policy, and ValueError for a session policy of
        more than 2,048 characters.
        """
        if session_policy is not None:
            if len(session_policy) > MAX_SESSION_POLICY:
                raise ValueError(f"the session policy exceeds {MAX_SESSION_POLICY} characters")
            Policy.parse(session_policy)
        access_key_id = SESSION_KEY_PREFIX + secrets.token_hex(12)
        expiration = int(self._clock()) + seconds
        session = [access_key_id, expiration, role.arn, session_name, session_policy]
        return SessionCredentials(
            access_key_id, self._secret(access_key_id), self._sealed(session), expiration
        )

    def _session(self, access_key_id: str, token: str) -> Identity:
        sealed_id, expiration, role_arn, session_name, policy_text = self._unsealed(token)
        if sealed_id != access_key_id:
            raise MismatchedSecurityToken
        if self._clock() >= expiration:
            raise ExpiredSecurityToken
        role = self._roles.get(role_arn)
        if role is None:
            raise InvalidSecurityToken
        try:
            policy = None if policy_text is None else Policy.parse(policy_text)
        except PolicyGrammarError:
            # The token was made by a version of the sandbox with another policy grammar.
            raise InvalidSecurityToken from None
        arn = f"{role.arn}/{session_name}"
        return Identity(access_key_id, self._secret(access_key_id), arn, role.policies, policy)

    def _secret(self, access_key_id: str) -> str:
        return _base64(self._hmac(b"session secret", access_key_id.encode()))

    def _sealed(self, session: list[object]) -> str:
        content = zlib.compress(_bytes(json.dumps(session, ensure_ascii=False)))
        return _TOKEN_PREFIX + _base64(content + self._hmac(b"session token 1", content))

    def _unsealed(self, token: str) -> tuple[str, int, str, str, str | None]:
        encoded = token[len(_TOKEN_PREFIX) :]
        if (
            len(token) > _MAX_TOKEN
            or not token.startswith(_TOKEN_PREFIX)
            or not re.fullmatch("[A-Za-z0-9_-]+", encoded)
            or len(encoded) % 4 == 1
        ):
            raise InvalidSecurityToken
        raw = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        # The last character of base64 has unused bits, so several texts give the same bytes. We
        # accept only the text that our own encoder makes.
        if _base64(raw) != encoded:
            raise InvalidSecurityToken
        content, seal = raw[:-_SEAL_BYTES], raw[-_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._hmac(b"session token 1", content)):
            raise InvalidSecurityToken
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(content, _MAX_TOKEN)
        if not unpacker.eof or unpacker.unused_data:
            raise InvalidSecurityToken
        access_key_id, expiration, role_arn, session_name, policy = json.loads(text)
        return access_key_id, expiration, role_arn, session_name, policy

    def _hmac(self, purpose: bytes, content: bytes) -> bytes:
        """Make a seal or a secret. The hashed text begins with the purpose, so nobody can use a
        secret as a seal."""
        return hmac.digest(self._seal_key, purpose + b"\0" + content, "sha256")


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _same(one: str, other: str) -> bool:
    # Compare bytes: compare_digest refuses text that is not ASCII.
    return hmac.compare_digest(_bytes(one), _bytes(other))


def _bytes(text: str) -> bytes:
    # json.loads() accepts \ud800 and returns a lone surrogate, which plain UTF-8 cannot encode.
    return text.encode("utf-8", "surrogatepass")
