"""Routes, and the one place where errors become answers.

Strings the floor together: Request -> Caller -> Grant -> policy -> Credentials -> token. What an
HTTP event looks like is not known here.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import brakes
import callers
import grants
import tokens
from cache import MAX_ENTRIES, MAX_OF_ONE_CALLER, CredentialsCache
from callers import Caller
from cors import Cors
from errors import (
    MethodNotAllowed,
    Misconfiguration,
    NotFound,
    ServiceError,
    StsInvalidAnswer,
    StsRefused,
)
from grants import Grant
from messages import Request, Response
from policies import Policies
from rate_limit import RateLimit
from request_log import Record
from settings import (
    AccessKey,
    CallbackSettings,
    LoginSettings,
    Settings,
    Url,
    read_access_key,
    read_callback_secrets,
    read_hook_secrets,
    read_settings,
    real_error_status,
)
from sts import Credentials, RoleRequest, StsClient

if TYPE_CHECKING:
    from callback_parameters import CallbackParameters
    from hook import Hook
    from logins import Logins
    from oss_keys import OssKeys
    from oss_requests import OssClient

log = logging.getLogger("sts_token")

_encode = json.JSONEncoder(separators=(",", ":")).encode
_METHODS = "GET, POST, HEAD, OPTIONS"
_OWN_METHODS = {"/callback": "POST", "/uploads": "GET, HEAD, OPTIONS"}
_HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    # iOS keeps a shared URL cache.
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


ANSWER_SECONDS = 4.5
"""For everything: Android waits for ever and holds its uploads, so we answer within 5 s."""
CALLBACK_SECONDS = 4.0
"""OSS waits 5 s, a cold start and the way between included."""
LISTINGS_PER_MINUTE = 60
"""Of one caller. Each asks OSS once, with details 21 times."""


class _Parts(NamedTuple):
    """What is made once of the environment and used by every request."""

    settings: Settings
    logins: Logins | None
    policies: Policies
    cors: Cors
    tokens_limit: RateLimit
    urls_limit: RateLimit
    listings_limit: RateLimit
    cache: CredentialsCache
    sts: StsClient


class App:
    """The token service over one environment. Thread-safe; never raises from `respond`."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._lock = threading.Lock()
        self._made: _Parts | None = None
        # Seconds that the first request has waited for warm() already.
        self._waited = 0.0
        # Made when they are needed first, which is never for most instances.
        self._oss: OssClient | None = None
        self._oss_keys: OssKeys | None = None
        self._hook: Hook | None = None

    def respond(self, read: Callable[[], Request]) -> Response:
        """Read a request and answer it; whatever goes wrong becomes a JSON error."""
        record = Record()
        method = ""
        headers: Mapping[str, str] = {}
        try:
            request = read()
            method = request.method
            record.is_callback = request.path.rstrip("/").endswith("/callback")
            record.request_id = request.request_id
            headers = self._cors_headers(request)
            answer, status = self._route(request, record), 200
            if method == "OPTIONS":
                headers = self._preflight_headers(request)
        except ServiceError as error:
            answer, status = _error(error), error.status
            headers = {**headers, **error.headers}
            record.error = error.code
            if isinstance(error, StsRefused):
                record.sts_request_id = error.request_id
            if record.is_callback or status < 500:
                record.reason = error.message
            if status >= 500:
                log.warning("%s: %s", error.code, error.message)
        except Exception as error:  # noqa: BLE001 - the last resort: a client gets JSON, always
            # The type and the place only: a message may quote what a stranger sent, or a secret.
            log.error("unexpected %s at %s", type(error).__name__, _place(error))
            answer, status = _error(ServiceError("unexpected fault; the log says where")), 500
            record.error = ServiceError.code
        record.status = status
        record.write()
        return Response(
            status=status if self._is_real(status, record) else 200,
            headers={**_HEADERS, **headers},
            body="" if method == "HEAD" else _encode(answer),
        )

    def warm(self) -> None:
        """Make what a first request needs; what fails is logged, and answered at each request."""
        began = time.monotonic()
        try:
            parts = self._parts()
            if parts.logins is not None:
                parts.logins.warm()
            parts.sts.warm()
        except ServiceError as error:
            log.warning("%s: %s", error.code, error.message)
        finally:
            self._waited = time.monotonic() - began

    def close(self) -> None:
        """Close the kept connections; for whoever makes more than one App in a process."""
        if self._made is not None:
            self._made.sts.close()
        for made in (self._oss, self._hook):
            if made is not None:
                made.close()

    def _route(self, request: Request, record: Record) -> dict[str, object]:
        if request.method == "OPTIONS":
            record.route = "OPTIONS"
            return {"StatusCode": 200}
        path = request.path.rstrip("/") or "/"
        routes = {
            "/": self._token,
            "/sts": self._token,
            "/signed-url": self._signed_url,
            "/form": self._form,
            "/callback": self._callback,
            "/uploads": self._uploads,
            "/health": self._health,
        }
        if path not in routes and self._is_callback(path):
            path = "/callback"
        route = routes.get(path)
        if route is None:
            raise NotFound(f"no such path; must be one of {', '.join(routes)}")
        record.route = path
        methods = _OWN_METHODS.get(path, _METHODS)
        if request.method not in methods.split(", "):
            raise MethodNotAllowed(f"must be one of {methods}", headers={"Allow": methods})
        return route(request, record)

    def _token(self, request: Request, record: Record) -> dict[str, object]:
        end = self._end(ANSWER_SECONDS)
        parts = self._parts()
        grant = self._grant(request, record, grants.read_wishes(request))
        credentials = self._credentials(grant, record, end)
        callback = self._callback_parameters(grant, credentials.expires)
        scope = callback.scope() if callback else None
        return tokens.token(credentials, grant, parts.settings, scope)

    def _end(self, seconds: float) -> float:
        """When a request must be answered, as time.monotonic() tells it."""
        waited, self._waited = self._waited, 0.0
        return time.monotonic() + seconds - waited

    def _credentials(self, grant: Grant, record: Record, end: float) -> Credentials:
        """Credentials of a grant, kept or new; `end` is a time.monotonic() value, in seconds."""
        parts = self._parts()
        role_arn, policy = parts.settings.role_arn, parts.policies.render(grant)
        role_request = RoleRequest(role_arn, grant.session_name, policy, grant.seconds)

        def assume_role(role_request: RoleRequest) -> Credentials:
            parts.tokens_limit.take(grant.session_name)
            began = time.perf_counter()
            try:
                return parts.sts.assume_role(role_request, read_access_key(self._env), end)
            finally:
                record.sts_ms = (time.perf_counter() - began) * 1000

        credentials, is_hit = parts.cache.get(role_request, assume_role)
        record.cache = "hit" if is_hit else "miss"
        record.sts_request_id = credentials.request_id
        return credentials

    def _callback_parameters(self, grant: Grant, expires: int) -> CallbackParameters | None:
        """What goes with a grant until `expires` (unix seconds), where CALLBACK_URL is set."""
        settings = self._parts().settings.callback
        if settings is None:
            return None
        from callback_parameters import callback_parameters

        secrets = read_callback_secrets(self._env)
        return callback_parameters(grant, expires, settings, secrets)

    def _callback(self, request: Request, record: Record) -> dict[str, object]:
        """What OSS says of an upload: verified, logged, and passed on to the operator's hook."""
        end = self._end(CALLBACK_SECONDS)
        settings = self._parts().settings
        if settings.callback is None:
            raise NotFound("no callbacks here: CALLBACK_URL is not set")
        # Imported where they are needed, as below: the cold start of a token does without.
        import callbacks

        callback = callbacks.verify(
            request,
            settings.callback,
            read_callback_secrets(self._env),
            self._keys_of_oss(settings.callback),
            now=time.time(),
            end=end,
        )
        record.caller = callback.caller
        key = read_access_key(self._env)
        head = self._oss_client(settings).head(callback.object_key, key, end)
        upload = callbacks.confirm(callback, head)
        record.upload = upload.members()
        if settings.logins is not None:
            # It is stored by now: the log says what there is to look at, and nobody else is told.
            brakes.apply_to_upload(callback.caller, callback.issued, settings.logins)
        if settings.callback.hook is None:
            return {"StatusCode": 200, "Status": "OK", **upload.members()}
        hook = self._hook_at(settings.callback.hook)
        return hook.deliver(upload, read_hook_secrets(self._env)[0], end)

    def _uploads(self, request: Request, record: Record) -> dict[str, object]:
        end = self._end(ANSWER_SECONDS)
        parts = self._parts()
        import uploads

        caller = self._caller(request, record)
        listing = uploads.decide(caller, request.query, parts.settings)
        parts.listings_limit.take(caller.session_name)
        client = self._oss_client(parts.settings)
        return uploads.read(listing, client, read_access_key(self._env), end)

    def _oss_client(self, settings: Settings) -> OssClient:
        with self._lock:
            if self._oss is None:
                from oss_requests import OssClient

                endpoint = settings.oss_internal_endpoint
                self._oss = OssClient(endpoint, settings.bucket, settings.region)
            return self._oss

    def _keys_of_oss(self, settings: CallbackSettings) -> OssKeys:
        with self._lock:
            if self._oss_keys is None:
                from oss_keys import OssKeys

                self._oss_keys = OssKeys(settings.public_key_url)
            return self._oss_keys

    def _hook_at(self, url: Url) -> Hook:
        with self._lock:
            if self._hook is None:
                from hook import Hook

                self._hook = Hook(url)
            return self._hook

    def _is_callback(self, path: str) -> bool:
        """Whether it is CALLBACK_URL's path, where a gateway leaves a prefix before ours."""
        try:
            callback = self._parts().settings.callback
        except Misconfiguration:
            return False
        return callback is not None and path == callback.url.path.rstrip("/")

    def _signed_url(self, request: Request, record: Record) -> dict[str, object]:
        # Imported where it is needed, here and in _form: a cold start for a token does without.
        import presign

        end = self._end(ANSWER_SECONDS)
        settings = self._parts().settings
        wishes = grants.read_wishes(request, presign.WISHES)
        grant = self._grant(request, record, wishes)
        key = read_access_key(self._env)
        wish = presign.read_wish(wishes, settings, key, grant.login)
        self._require(presign.ACTIONS[wish.method], grant)
        self._parts().urls_limit.take(grant.session_name)
        now = time.time()
        if wish.method != "PUT":
            # OSS follows a symbolic link as whoever signed: our own key would read a neighbour's
            # object, the caller's own credentials do not. Whoever may read now may have linked
            # before, or elsewhere: so always.
            whole = grant._replace(object_key=None, seconds=settings.max_token_seconds)
            credentials = self._credentials(whole, record, end)
            key = AccessKey(*credentials[:3])
            seconds = credentials.expires - int(now)
            if seconds < 1:
                raise StsInvalidAnswer("the session has ended already, or the clock here is wrong")
            wish = presign.shortened(wish, seconds)
        more_query = {}
        if wish.method == "PUT":
            callback = self._callback_parameters(grant, int(now) + wish.seconds)
            more_query = callback.query() if callback else {}
        return presign.signed_url(grant, wish, settings, key, now, more_query)

    def _form(self, request: Request, record: Record) -> dict[str, object]:
        import forms

        settings = self._parts().settings
        wishes = grants.read_wishes(request, forms.WISHES)
        grant = self._grant(request, record, wishes)
        key = read_access_key(self._env)
        wish = forms.read_wish(wishes, settings, key, grant.login)
        self._require(forms.ACTION, grant)
        self._parts().urls_limit.take(grant.session_name)
        now = time.time()
        callback = self._callback_parameters(grant, int(now) + wish.seconds)
        more_fields = callback.form_fields() if callback else {}
        return forms.signed_form(grant, wish, settings, key, now, more_fields)

    def _grant(self, request: Request, record: Record, wishes: Mapping[str, str]) -> Grant:
        grant = grants.decide(self._caller(request, record), wishes, self._parts().settings)
        record.policy = grant.policy
        return grant

    def _caller(self, request: Request, record: Record) -> Caller:
        """Say who asks, for the log as well, before anything is done for them."""
        parts = self._parts()
        caller = callers.identify(request, parts.logins)
        record.caller = caller.segment or caller.session_name
        if parts.settings.logins is not None:
            brakes.apply(caller, parts.settings.logins)
        return caller

    def _require(self, action: str, grant: Grant) -> None:
        """Refuse what a token of the grant could not do: our own key could. Raises NotAllowed."""
        import permissions

        parts = self._parts()
        # That of the prefix, rendered once for each caller and not for each object.
        policy = parts.policies.render(grant._replace(object_key=None))
        keys = grant.object_key or f"{grant.prefix}*"
        account = parts.settings.role_arn.split(":")[3]
        permissions.require(policy, action, account, f"{grant.bucket}/{keys}")

    def _health(self, request: Request, record: Record) -> dict[str, object]:  # noqa: ARG002
        # Anybody may call this route.
        self.check()
        return {"StatusCode": 200, "Status": "OK"}

    def check(self) -> None:
        """Raise ServiceError for what is wrong with the environment, as far as STS is not asked."""
        import permissions

        parts = self._parts()
        read_access_key(self._env)
        somebody = callers.ANONYMOUS if parts.logins is None else callers.named("somebody")
        for name in parts.settings.policy_choices:
            policy = parts.policies.render(
                grants.decide(somebody, {"policy": name}, parts.settings)
            )
            permissions.check(policy)

    def _cors_headers(self, request: Request) -> Mapping[str, str]:
        """What lets a page read the answer, an error of the settings' too: then it has none."""
        try:
            return self._parts().cors.headers(request)
        except Misconfiguration:
            return {}

    def _preflight_headers(self, request: Request) -> Mapping[str, str]:
        # A preflight carries no login, and must succeed for the request after it to be sent.
        return self._parts().cors.preflight(request)

    def _parts(self) -> _Parts:
        """Made at the first use, and again after a failure: nothing half-made is kept."""
        if self._made is not None:
            return self._made
        # Of requests at once in a fresh instance, all must get the same cache and connection.
        with self._lock:
            if self._made is None:
                real_error_status(self._env)
                settings = read_settings(self._env)
                self._made = _Parts(
                    settings,
                    None if settings.logins is None else _logins(settings.logins, self._env),
                    Policies(settings.policy_choices),
                    Cors(settings.allowed_origins),
                    RateLimit(
                        settings.caller_tokens_per_minute, "new tokens", "CALLER_TOKENS_PER_MINUTE"
                    ),
                    RateLimit(
                        settings.caller_urls_per_minute,
                        "signed URLs and forms",
                        "CALLER_URLS_PER_MINUTE",
                    ),
                    RateLimit(LISTINGS_PER_MINUTE, "listings", None),
                    # Without logins all callers are one, who takes nothing from anybody.
                    CredentialsCache(share=MAX_OF_ONE_CALLER if settings.logins else MAX_ENTRIES),
                    StsClient(settings.sts_endpoint, settings.region),
                )
                _warn_about(settings)
            return self._made

    def _is_real(self, status: int, record: Record) -> bool:
        """OSS takes any 200 for success, so a callback's error has its own status always."""
        return status == 200 or record.is_callback or self._real_error_status()

    def _real_error_status(self) -> bool:
        try:
            return real_error_status(self._env)
        except Misconfiguration:
            return False


def _error(error: ServiceError) -> dict[str, object]:
    return {"StatusCode": error.status, "ErrorCode": error.code, "ErrorMessage": error.message}


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else "?"


def _logins(settings: LoginSettings, env: Mapping[str, str]) -> Logins:
    # Imported where it is needed: AUTH=anonymous does without PyJWT.
    from logins import Logins

    return Logins(settings, env)


def _warn_about(settings: Settings) -> None:
    if settings.logins is None:
        log.warning(
            "AUTH=anonymous: whoever knows the URL gets a token for everything under %s of %s",
            settings.prefix,
            settings.bucket,
        )
    elif not settings.caller_tokens_per_minute:
        log.warning(
            "CALLER_TOKENS_PER_MINUTE=0: one caller can spend the STS calls of the whole account"
        )
    if "all_policy" in settings.policy_choices:
        log.warning("all_policy: tokens may do whatever the upload role may, in every folder")
