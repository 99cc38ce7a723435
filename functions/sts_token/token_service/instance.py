"""The objects that an instance of the function makes once, at first use, for all requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from token_service import __version__
from token_service.errors import NONE, ServiceError
from token_service.grant import grants
from token_service.grant.grants import Grant
from token_service.grant.policies import Policies
from token_service.http.messages import Request
from token_service.login.callers import Caller
from token_service.login.rate_limit import RateLimit
from token_service.request_log import Record, log
from token_service.settings.parsing import Reader
from token_service.settings.reading import Settings, read_access_key, read_settings
from token_service.settings.values import AccessKey
from token_service.token.assume_role import Credentials, RoleRequest, StsClient
from token_service.token.cache import MAX_ENTRIES, MAX_OF_ONE_CALLER, CredentialsCache

if TYPE_CHECKING:
    from token_service.login.ways import Identify

T = TypeVar("T")


class _Parts(NamedTuple):
    """The parts that a token needs."""

    settings: Settings
    identify: Identify
    policies: Policies
    sts: StsClient
    tokens_limit: RateLimit
    cache: CredentialsCache


class Instance:
    """An instance of the function, made from one environment, `env`. Thread-safe. Each use of a
    wrong variable raises Misconfiguration; a use after its correction succeeds."""

    # The variables of the key that came with this request. If there are none, the key is in `env`.
    given_key: Mapping[str, str] = NONE

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        # The lock is reentrant, because making one object may need another object.
        self._lock = threading.RLock()
        self._made: dict[Callable[[Instance], object], object] = {}
        # The seconds that the first request has already waited for warm().
        self._waited = 0.0

    def get(self, make: Callable[[Instance], T]) -> T:
        """Return the object that `make` makes for this instance. Only a success is kept."""
        if make not in self._made:
            with self._lock:
                if make not in self._made:
                    self._made[make] = make(self)
        return self._made[make]  # type: ignore[return-value]

    @property
    def settings(self) -> Settings:
        """The settings of a token. Raises ServiceError if any part of a token cannot be made."""
        return self.get(_parts).settings

    @property
    def policies(self) -> Policies:
        """The policy templates, compiled."""
        return self.get(_parts).policies

    def warm(self) -> None:
        """Make what a first request needs. A failure is logged, and each request reports it."""
        log.info("token_service %s", __version__)
        began = time.monotonic()
        try:
            parts = self.get(_parts)
            parts.identify.warm()
            parts.sts.warm()
        except ServiceError as error:
            log.warning("%s: %s (docs/errors.md)", error.code, error.message)
        finally:
            self._waited = time.monotonic() - began

    def close(self) -> None:
        """Close the kept connections. A process that makes several instances must call this."""
        for made in (*self._made.values(), *self._made.get(_parts, ())):  # type: ignore[misc]
            if hasattr(made, "close"):
                made.close()

    def end(self, seconds: float) -> float:
        """Return the time.monotonic() value by which a request must be answered."""
        waited, self._waited = self._waited, 0.0
        return time.monotonic() + seconds - waited

    def access_key(self) -> AccessKey:
        """Read the function's credentials again, as the platform may change them at any time."""
        return read_access_key(Reader(self.given_key or self.env))

    def caller(self, request: Request, record: Record) -> Caller:
        """Identify and note the caller, and check DENIED_CALLERS and LOGINS_NOT_BEFORE."""
        parts = self.get(_parts)
        caller = parts.identify.caller(request)
        record.caller = caller.segment or caller.session_name
        if parts.settings.auth.brakes is not None:
            from token_service.login import brakes

            brakes.apply(caller, parts.settings.auth.brakes)
        return caller

    def grant(self, request: Request, record: Record, wishes: Mapping[str, str]) -> Grant:
        """Decide what the caller may do now."""
        grant = grants.decide(self.caller(request, record), wishes, self.settings)
        record.policy = grant.policy
        return grant

    def credentials(self, grant: Grant, record: Record, end: float) -> Credentials:
        """Return credentials of a grant, cached or new. `end` is a time.monotonic() value."""
        parts = self.get(_parts)
        name, policy = grant.session_name, parts.policies.render(grant)

        def assume_role(role_request: RoleRequest) -> Credentials:
            parts.tokens_limit.take(name)
            began = time.perf_counter()
            try:
                return parts.sts.assume_role(role_request, self.access_key(), end)
            finally:
                record.sts_ms = (time.perf_counter() - began) * 1000

        asked = RoleRequest(parts.settings.role_arn, name, policy, grant.seconds)
        credentials, is_hit = parts.cache.get(asked, assume_role, tuple(self.given_key.values()))
        record.cache = "hit" if is_hit else "miss"
        record.sts_request_id = credentials.request_id
        return credentials


def _parts(at: Instance) -> _Parts:
    settings = read_settings(at.env)
    policies = Policies(settings.policy_choices)
    if settings.is_unwise:
        from token_service import warnings

        warnings.write(settings, policies, at.env)
    # Callers without names count as one caller, who may fill the whole cache.
    share = MAX_OF_ONE_CALLER if settings.auth.names_callers else MAX_ENTRIES
    per_minute = settings.caller_tokens_per_minute
    return _Parts(
        settings,
        settings.auth.identify(at.env),
        policies,
        StsClient(settings.sts_endpoint, settings.region),
        RateLimit(per_minute, "new tokens", "CALLER_TOKENS_PER_MINUTE"),
        CredentialsCache(share=share),
    )
