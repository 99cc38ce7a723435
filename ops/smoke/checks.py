"""Runs the checks: which calls are sent to the function, and which lines the table gets."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ops import client_signatures
from ops.report import Check, Finding, Outcome, failed, judged, noted, passed, skipped, warned
from ops.smoke import acs3, clients, contract, fc2_client, wire
from ops.smoke.contract import Document, NotADocument
from ops.smoke.options import Options
from ops.smoke.wire import Call, NoAnswer, Reply, Send

ANSWER_SECONDS = 5.0
"""The time limit for an answer. Android has no read timeout, and its uploads wait for the token."""
CERTIFICATE_DAYS = 21
"""A certificate should be valid for at least this many days from now."""
NO_SUCH_PATH = "/smoke-test-no-such-path"

_NO_SIGNATURE = (
    "SIGN=1 is set, but phones, pages and SDKs with a credentials_uri cannot sign requests"
)
_POST_ONLY = "aliyun-fc2 sends only signed POSTs; to check this, give the trigger's URL without FC2"


@dataclass
class Session:
    """One run of the smoke test: how it sends its calls, and the answers that it has so far."""

    options: Options
    send: Send
    replies: list[Reply] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    _token: Reply | None = None

    def call(
        self,
        method: str = "GET",
        path: str = "/",
        *,
        headers: Mapping[str, str] | None = None,
        login: str | None = None,
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a call with the login in the URL. `login` replaces the login of the options. With
        "", no login is sent.

        Raises NoAnswer.
        """
        login = self.options.login if login is None else login
        token = {"access_token": login} if login else {}
        wishes = {**self.options.address.query, **(query or {}), **token}
        reply = self.send(Call(method, path, wishes, headers or {}, body))
        self.replies.append(reply)
        self._remember_secrets(reply)
        return reply

    def token(self) -> Reply:
        """Return the answer to a GET without parameters, which has the first token. Later calls of
        this method return the same answer, and send nothing. Raises NoAnswer."""
        if self._token is None:
            self._token = self.call(headers=clients.ANDROID_HEADERS)
        return self._token

    def document(self) -> Document:
        """Return the first token. Raises NoAnswer, NotADocument."""
        return contract.read(self.token())

    def _remember_secrets(self, reply: Reply) -> None:
        try:
            document = contract.read(reply)
        except NotADocument:
            return
        for name in ("AccessKeySecret", "SecurityToken"):
            value = document.get(name)
            if isinstance(value, str) and value:
                self.secrets.add(value)


def run(options: Options) -> tuple[list[Check], set[str]]:
    """Run all checks. Returns the table's lines, and the secrets that these lines must not show.

    Errors of the function never raise an exception here.
    """
    session = Session(options, _sender(options))
    session.secrets |= {options.login} - {""}
    if options.key is not None:
        session.secrets |= {options.key.access_key_secret, options.key.security_token or ""} - {""}
    checks = [Check("address", _address(session))]
    if checks[0].finding.outcome is not Outcome.FAIL:
        checks.append(Check("connection", _connection(session)))
    if checks[-1].finding.outcome is Outcome.FAIL:
        checks.append(Check("all else", skipped("no request can be sent, or no answer comes")))
        return checks, session.secrets
    checks += [Check(name, _guarded(check, session)) for name, check in _CHECKS]
    checks += _upload(session)
    # This check comes last, because it uses all answers.
    checks.append(Check("answer time", _answer_time(session)))
    return checks, session.secrets


def _sender(options: Options) -> Send:
    address = options.address
    if options.fc2 is not None and options.key is not None:
        return fc2_client.sender(address, options.fc2.service, options.fc2.function, options.key)
    if options.sign and options.key is not None:
        return acs3.sender(address, options.key)
    return lambda call: wire.send(address, call)


def _guarded(check: Callable[[Session], Finding], session: Session) -> Finding:
    try:
        if check in _ON_A_TOKEN and _wants_login(session):
            return skipped("a token needs a login, and LOGIN is not set")
        if check in (_members, *_ON_A_TOKEN) and _code(session) == "RouteDisabled":
            return skipped("there are no tokens, because ENABLED_ROUTES closes their routes")
        return check(session)
    except (NoAnswer, NotADocument) as error:
        return failed(str(error))


# Before the first request


def _address(session: Session) -> Finding:
    address = session.options.address
    if address.scheme == "http" and not address.is_loopback:
        return failed("plain http: others in the network could read the token; must be https")
    return passed(str(address))


def _connection(session: Session) -> Finding:
    try:
        if session.options.fc2 is not None:
            # If nothing answers, aliyun-fc2 would try to connect for half a minute.
            certificate_end = wire.reach(session.options.address)
        else:
            certificate_end = session.token().certificate_end
    except NoAnswer as error:
        return failed(str(error))
    if certificate_end is None:
        return passed("loopback, no TLS")
    days = (certificate_end - time.time()) / 86400
    if days < CERTIFICATE_DAYS:
        return warned(f"TLS is verified, but the certificate expires in {days:.0f} days")
    return passed(f"TLS is verified; the certificate expires in {days:.0f} days")


# What every client relies on


def _health(session: Session) -> Finding:
    document = contract.read(session.call(path="/health", login=""))
    refusal = contract.refusal_of(document)
    if refusal is not None:
        return failed(f"the function reports {refusal}")
    own = document.get("OssHost")
    where = f"the function itself reaches OSS at {own}" if isinstance(own, str) else ""
    if document.get("ByteCode") is False:
        where += "; the package has no byte code, so each cold start compiles its modules"
    return judged([] if document.get("StatusCode") == 200 else ["StatusCode must be 200"], where)


def _members(session: Session) -> Finding:
    document = session.document()
    if _wants_login(session):
        return failed(
            "the function needs a login (AUTH=jwt). If .env or the environment has the "
            "function's JWT_SECRET, add CALLER=alice. If not, set LOGIN in the environment to a "
            "login from `make login` or from your sign-in"
        )
    scope = document.get("Scope")
    where = (
        f"{scope.get('Policy')} for {scope.get('Prefix')} of {scope.get('Bucket')}"
        if isinstance(scope, dict)
        else ""
    )
    return judged(contract.token_faults(document), where)


def _expiration(session: Session) -> Finding:
    document, now = session.document(), _now(session)
    faults = contract.expiration_faults(document, now)
    return (
        judged(faults) if faults else passed(f"{contract.seconds_left(document, now):.0f} s left")
    )


def _temporary_key(session: Session) -> Finding:
    return judged(contract.key_faults(session.token(), session.document()))


def _headers(session: Session) -> Finding:
    return judged(contract.header_faults(session.token()))


def _clock(session: Session) -> Finding:
    return judged(contract.clock_faults(session.token(), session.document()))


def _now(session: Session) -> float:
    """Return the time at which the first token arrived, by this machine's clock."""
    return session.token().ended


# Each client, as it asks


def _android(session: Session) -> Finding:
    if other := _cannot_ask(session):
        return other
    return judged(clients.android_faults(session.token(), _now(session)), "bare GET")


def _ios(session: Session) -> Finding:
    if other := _cannot_ask(session):
        return other
    reply = session.call(headers=clients.IOS_HEADERS)
    return judged(clients.ios_faults(reply, reply.ended), "GET of NSURLSession")


def _credentials_uri(session: Session) -> Finding:
    if other := _cannot_ask(session):
        return other
    reply = session.call(headers=clients.BACK_END_HEADERS)
    faults = clients.credentials_uri_faults(reply, reply.ended)
    if faults:
        return judged(faults)
    left = contract.seconds_left(contract.read(reply), reply.ended)
    if left <= contract.BACK_END_SECONDS:
        return passed(
            f"{left:.0f} s left; with less than {contract.BACK_END_SECONDS} s, back-end SDKs fetch "
            "a new token for each call. Set TOKEN_EXPIRE_TIME=3600 to avoid this"
        )
    return passed(f"{left:.0f} s left")


def _preflight(session: Session) -> Finding:
    origin = session.options.origin
    if other := _cannot_ask(session):
        return other
    if not origin:
        return skipped("ORIGIN is not set; give the origin of a page, like https://app.example.com")
    reply = session.call("OPTIONS", headers=clients.preflight_headers(origin), login="")
    return judged(clients.preflight_faults(reply, origin), f"from {origin}")


def _page(session: Session) -> Finding:
    origin, login = session.options.origin, session.options.login
    if other := _cannot_ask(session):
        return other
    if not origin:
        return skipped("ORIGIN is not set")
    headers = {"Origin": origin, "Accept": "*/*"}
    if login:
        headers["Authorization"] = f"Bearer {login}"
    reply = session.call(headers=headers, login="")
    faults = clients.page_faults(reply, origin) + contract.token_faults(contract.read(reply))
    return judged(faults, f"from {origin}" + (", login in the header" if login else ""))


def _other_origins(session: Session) -> Finding:
    if other := _cannot_ask(session):
        return other
    reply = session.call(headers={"Origin": clients.STRANGER})
    if reply.header("Access-Control-Allow-Credentials") is not None:
        return failed("Access-Control-Allow-Credentials is set for a page of an unknown origin")
    leave = clients.strangers_leave(reply)
    if leave is not None:
        return warned(f"any page may read tokens (Access-Control-Allow-Origin: {leave})")
    return passed("a page of an unknown origin cannot read the answer")


def _methods(session: Session) -> Finding:
    if session.options.fc2 is not None:
        return skipped(_POST_ONLY)
    faults = []
    asked = (
        ("POST", {"method": "POST"}),
        ("POST with a JSON body", {"method": "POST", "body": b"{}"}),
        ("GET /sts/", {"path": "/sts/"}),
        ("GET with a query", {"query": {"_": "1"}}),
    )
    for name, how in asked:
        found = contract.token_faults(contract.read(session.call(**how)))
        faults += [f"{name}: {found[0]}"] if found else []
    head = session.call("HEAD")
    if head.status != 200 or head.body:
        faults.append(f"HEAD: HTTP {head.status}, must be 200 without a body")
    options = session.call("OPTIONS", login="")
    if options.status != 200:
        faults.append(
            f"OPTIONS: HTTP {options.status}, must be 200; is OPTIONS one of the trigger's methods?"
        )
    return judged(faults, "GET, POST, HEAD, OPTIONS, any query, /sts/")


def _failures(session: Session) -> Finding:
    reply = session.call(path=NO_SUCH_PATH)
    faults = contract.failure_faults(reply, 404)
    if not faults and reply.status != 200:
        return warned(f"errors have HTTP {reply.status}: Android does not show their text")
    return judged(faults, "HTTP 200, StatusCode 404, ErrorCode and ErrorMessage")


def _logins(session: Session) -> Finding:
    login = session.options.login
    if not login:
        if contract.token_faults(session.document()):
            return skipped(
                "the function gave no token without a login, so there is nothing to check"
            )
        if session.options.sign or session.options.fc2 is not None:
            return skipped("LOGIN is not set; the trigger checks signatures instead of logins")
        return warned("AUTH=anonymous: anyone who knows the URL gets a token")
    faults = []
    for name, forged in (("none", ""), *_forgeries(login)):
        reply = session.call(login=forged)
        if not contract.token_faults(contract.read(reply)):
            faults.append(f"the function gives a token without a valid login ({name})")
        else:
            faults += [f"{name}: {fault}" for fault in contract.failure_faults(reply, 401)]
    return judged(
        faults,
        "calls without a login, with an altered login and with an unsigned login are refused",
    )


def _unsigned(session: Session) -> Finding:
    if not session.options.sign:
        return skipped("SIGN is not set, so the calls have no signature")
    address = session.options.address
    query = {"access_token": session.options.login} if session.options.login else {}
    reply = wire.send(address, Call("GET", "/", {**address.query, **query}))
    session.replies.append(reply)
    try:
        given = not contract.token_faults(contract.read(reply))
    except NotADocument:
        given = False
    if given:
        return failed(
            "a call without a signature got a token: set the trigger's authType to `function`"
        )
    return passed(f"refused with HTTP {reply.status}")


def _answer_time(session: Session) -> Finding:
    first, *others = [reply.seconds for reply in session.replies]
    slowest = max(others, default=first)
    times = f"the first answer {first:.2f} s, the slowest later answer {slowest:.2f} s"
    if max(first, slowest) > ANSWER_SECONDS:
        return failed(
            f"{times}: must be at most {ANSWER_SECONDS:g} s, because uploads on Android wait for "
            "the answer"
        )
    return passed(times)


def _upload(session: Session) -> list[Check]:
    if not session.options.upload:
        return [Check("upload", skipped("add UPLOAD=1 to upload, and to try other folders"))]
    try:
        document = session.document()
    except (NoAnswer, NotADocument):
        document = {}
    if contract.token_faults(document):
        return [Check("upload", skipped("there is no valid token to upload with"))]
    # The import is here, because importing oss2 takes a third of a second.
    from ops.smoke.acl import check_acl
    from ops.smoke.upload import check_upload

    options = session.options
    found = check_upload(document, options.key, is_insert_only=options.is_insert_only)
    found += _signatures(document["Scope"]["Region"])
    if session.options.acl:
        uploaded = found[0].finding.outcome is Outcome.PASS
        found += check_acl(document, session.options.key, uploaded=uploaded)
    return found


def _signatures(region: str) -> list[Check]:
    """Return lines that say which signature each client would use. The upload in this run was
    signed with V4."""
    head = "new accounts and buckets accept only V4 (docs/sandbox.md, Signatures); the clients use:"
    lines = {"OSS signature": head}
    for client in client_signatures.OF_APPS:
        use = f"V1 by default; to make it V4: {client.v4(region)}" if client.line else "V4 always"
        lines[f"OSS signature: {client.name}"] = use
    return [Check(name, noted(said)) for name, said in lines.items()]


def _wants_login(session: Session) -> bool:
    """Whether the function gave no token because the request had no login."""
    return _code(session) == "MissingToken" and not session.options.login


def _code(session: Session) -> object:
    """Return the first token's ErrorCode."""
    try:
        return session.document().get("ErrorCode")
    except (NoAnswer, NotADocument):
        return None


def _cannot_ask(session: Session) -> Finding | None:
    """Return the reason why clients that cannot sign are left out, or None if they are checked."""
    if session.options.fc2 is not None:
        return skipped(_POST_ONLY)
    return skipped(_NO_SIGNATURE) if session.options.sign else None


def _forgeries(login: str) -> list[tuple[str, str]]:
    """Make invalid logins from a valid one."""
    parts = login.split(".")
    if len(parts) != 3 or not all(parts):
        return []
    header, claims, signature = parts
    # The first letter of the signature is altered. An altered last letter may mean the same bytes,
    # because some of its bits do not count in base64.
    other = "A" if signature[0] != "A" else "B"
    unsigned = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    return [
        ("altered", f"{header}.{claims}.{other}{signature[1:]}"),
        ("unsigned", f"{unsigned.decode().rstrip('=')}.{claims}."),
    ]


_ON_A_TOKEN = frozenset(
    (
        _expiration,
        _temporary_key,
        _clock,
        _android,
        _ios,
        _credentials_uri,
        _page,
        _methods,
        _logins,
    )
)
"""Checks that need a token. Without a token these checks are left out, because one FAIL line is
enough."""

_CHECKS: tuple[tuple[str, Callable[[Session], Finding]], ...] = (
    ("health", _health),
    ("token", _members),
    ("expiration", _expiration),
    ("temporary key", _temporary_key),
    ("headers", _headers),
    ("clock", _clock),
    ("Android", _android),
    ("iOS", _ios),
    ("credentials_uri", _credentials_uri),
    ("preflight", _preflight),
    ("page", _page),
    ("other origins", _other_origins),
    ("methods", _methods),
    ("failures", _failures),
    ("logins", _logins),
    ("signature", _unsigned),
)
