"""Runs a deployment of b291437 with today's code, and records its answers, its log, and its
requests to other servers.

The function runs in its own process, in a folder like a deployed package. The tests use only the
function's entry points. The function calls four simulated servers (STS, OSS, a back end and a login
server), which give the same answers in every run.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ops.package import FUNCTION, POLICIES
from oss_signer import OssSigner
from scripted_sts import Move, ScriptedSts, answer, raw, refusal, scripted_sts, success
from signed_logins import EC_KEY, jwk, jwks, login
from tests.upgrade import inputs
from tests.upgrade.inputs import OLD, Env
from tests.upgrade.normalised import normalised

RUNNER = Path(__file__).with_name("runner.py")

_KID = "login-key-1"
_ETAG = "5D41402ABC4B2A76B9719D911017C592"
_LISTING = f"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult>
  <Name>my-bucket</Name><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
  <Contents><Key>uploads/alice/a.jpg</Key><Size>5</Size><ETag>"{_ETAG}"</ETag>
    <LastModified>2024-05-01T10:00:00.000Z</LastModified></Contents>
  <Contents><Key>uploads/alice/b%20c.jpg</Key><Size>7</Size><ETag>"{_ETAG}"</ETag>
    <LastModified>2024-05-02T10:00:00.000Z</LastModified></Contents>
</ListBucketResult>"""
_DENIED = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>No.</Message><RequestId>OSS-1</RequestId></Error>"""

_STS: dict[str, Move] = {"": success(), "refuses": refusal(403, "NoPermission", "You may not.")}
_HOOK: dict[str, Move] = {"": answer(200, {"stored": True}), "refuses": answer(500, {})}
_OSS: dict[str, Move] = {
    "": answer(500, b""),
    "lists": answer(200, _LISTING.encode()),
    "refuses": answer(403, _DENIED.encode()),
    "has it": raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: image/jpeg\r\n"
        b"Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT\r\n"
        b'ETag: "' + _ETAG.encode() + b'"\r\n\r\n'
    ),
    "has it not": raw(
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n"
        b"x-oss-err: PEVycm9yPjxDb2RlPk5vU3VjaEtleTwvQ29kZT48L0Vycm9yPg==\r\n\r\n"
    ),
}


def laid_out(folder: Path) -> Path:
    """Put the function's code into a folder, as `make build` does, with an operator's own files.

    Its packages are not copied, because the process uses the packages of the tests.
    """
    shutil.copytree(FUNCTION, folder)
    shutil.copytree(POLICIES, folder / POLICIES.name)
    (folder / "jwks.json").write_text(_jwks())
    for name in ("own.json.j2", "vendor.txt"):
        shutil.copyfile(OLD / name, folder / POLICIES.name / name)
    return folder


def observed(name: str, code: Path) -> dict[str, Any]:
    """Run a deployment, and return as JSON all that can be seen from outside: `entry_points`,
    `check` and `events`.

    `code` is the folder that laid_out() made.
    """
    env = inputs.environment(name)
    with ExitStack() as stack:
        around = _Around(stack)
        process = stack.enter_context(_process(code, {**env, **around.variables(env)}))
        signatures = json.loads(_line(process))
        _call(process, {"entry": "index.initialize"})
        check = _call(process, {"entry": "index.check"})["answer"]
        asked = {
            event["name"]: _asked(process, around, _ready(event, env, around))
            for event in inputs.events(name)
        }
        return {"entry_points": signatures, "check": check, "events": asked}


class _Around:
    """The servers that a function calls. Each answers as a script says."""

    def __init__(self, stack: ExitStack) -> None:
        self.sts = stack.enter_context(scripted_sts(success()))
        self.oss = stack.enter_context(scripted_sts(_OSS[""]))
        self.hook = stack.enter_context(scripted_sts(_HOOK[""]))
        self._logins = stack.enter_context(scripted_sts(answer(200, _jwks().encode())))
        self._keys = stack.enter_context(scripted_sts())
        self.signer = OssSigner(f"{self._keys.url}/callback_pub_key.pem", _callback_key())
        self._keys.moves[:] = [answer(200, self.signer.pem)]

    def variables(self, env: Env) -> Env:
        """Return variables to add to `env`. They replace the addresses of services by the addresses
        of the servers that simulate these services."""
        made = {"STS_ENDPOINT": self.sts.url, "OSS_INTERNAL_ENDPOINT": self.oss.url}
        if env.get("JWT_JWKS_URL"):
            made["JWT_JWKS_URL"] = f"{self._logins.url}/jwks.json"
        if env.get("CALLBACK_URL"):
            made["CALLBACK_PUBLIC_KEY_URL"] = self.signer.key_url
        if env.get("UPLOAD_HOOK_URL"):
            made["UPLOAD_HOOK_URL"] = self.hook.url + urlsplit(env["UPLOAD_HOOK_URL"]).path
        return made

    def ready(self, event: dict[str, Any]) -> None:
        """Let each server answer as the event says, and forget the earlier requests."""
        scripts = {"sts": _STS, "oss": _OSS, "hook": _HOOK}
        for name, moves in scripts.items():
            server: ScriptedSts = getattr(self, name)
            server.moves[:] = [moves[event.get(name, "")]]
            server.requests.clear()
            server.received.clear()

    def asked(self) -> dict[str, Any]:
        """The requests of the function since ready(), by server. A server that got no request is
        left out."""
        asked: dict[str, list[Any]] = {
            "sts": [_role_request(request) for request in self.sts.requests],
            "oss": [_target(head) for head, _ in self.oss.received],
            "hook": [_delivery(head, body) for head, body in self.hook.received],
        }
        # A single request is returned without a list. Then the ids of differences in this request
        # contain no index of a list.
        return {
            name: found[0] if len(found) == 1 else found for name, found in asked.items() if found
        }


def _target(head: bytes) -> str:
    """Method and target of a request."""
    return head.partition(b" HTTP/")[0].decode()


def _role_request(request: dict[str, str]) -> dict[str, Any]:
    names = ("Action", "RoleArn", "RoleSessionName", "DurationSeconds")
    policy = request.get("Policy")
    found: dict[str, Any] = {name: request.get(name) for name in names}
    return {**found, "Policy": None if policy is None else json.loads(policy)}


def _delivery(head: bytes, body: bytes) -> dict[str, Any]:
    lines = head.decode().split("\r\n")[1:]
    # Leave out headers that HTTP itself needs, because the back end does not read them.
    names = {line.partition(":")[0].lower() for line in lines} - {"host", "content-length"}
    return {
        "request": _target(head),
        "headers": sorted(names - {"connection", "accept-encoding"}),
        "body": json.loads(body),
    }


@functools.cache
def _callback_key() -> RSAPrivateKey:
    """The key is made only once, because that takes time."""
    return OssSigner().key


def _jwks() -> str:
    return jwks(jwk("ES256", _KID))


def _login(env: Env, user: str) -> str:
    """A login as the deployment's sign-in makes it; "" if the deployment has no logins."""
    if env.get("AUTH") == "anonymous":
        return ""
    claims: dict[str, Any] = {"sub": None, env.get("JWT_USER_CLAIM") or "sub": user}
    if env.get("JWT_ISSUER"):
        claims["iss"] = env["JWT_ISSUER"]
    if env.get("JWT_AUDIENCE"):
        claims["aud"] = env["JWT_AUDIENCE"].split(",")[-1]
    if env.get("JWT_SECRET"):
        return login(env["JWT_SECRET"].split(",")[-1], **claims)
    return login(EC_KEY, "ES256", _KID, **claims)


def _ready(event: dict[str, Any], env: Env, around: _Around) -> dict[str, Any]:
    """Return the event. Add a login or a signature of OSS if the event asks for one."""
    query, headers = dict(event.get("query", {})), dict(event.get("headers", {}))
    if event.get("query_login"):
        query["access_token"] = _login(env, event["query_login"])
    text = _login(env, event["login"]) if event.get("login") else ""
    if text:
        headers["Authorization"] = f"Bearer {text}"
    if event.get("signed_by_oss"):
        headers.update(around.signer.post(event["path"], event["body"]).headers)
    return {**event, "query": query, "headers": headers}


def _asked(
    process: subprocess.Popen[str], around: _Around, event: dict[str, Any]
) -> dict[str, Any]:
    """Send one event to both handlers of the function. Return both answers, the log, and the
    requests that the function sent to other servers."""
    around.ready(event)
    now = time.time()
    by_index = _call(process, {"entry": "index.handler", "event": inputs.fc_event(event)})
    asked = around.asked()
    by_wsgi = _call(process, {"entry": "wsgi.handler", "environ": inputs.environ(event)})
    lines = [json.loads(text) for text in by_index["log"] if text.startswith("{")]
    answered = _answer(by_index["answer"], now)
    return {
        "answer": answered,
        "wsgi": _answer(by_wsgi["answer"], now),
        # Each request must have one log line. If a request has no line or several lines, the list
        # of its lines counts as one difference.
        "log": _log(normalised(lines[0], now), answered) if len(lines) == 1 else lines,
        **asked,
    }


def _answer(answer: dict[str, Any], now: float) -> dict[str, Any]:
    headers = dict(answer["headers"])
    if "Retry-After" in headers:
        headers["Retry-After"] = "<some>"
    body = json.loads(answer["body"]) if answer["body"] else {}
    http = {"status": answer["statusCode"], "headers": headers}
    return {"http": http, **normalised(body, now)}


def _log(line: dict[str, Any], answered: dict[str, Any]) -> dict[str, Any]:
    """Return a log line in which placeholders replace the times, and the values that are also in
    the answer."""
    same = {"status": "StatusCode", "error": "ErrorCode", "reason": "ErrorMessage"}
    found = {}
    for name, value in line.items():
        if isinstance(value, float) and name.endswith("Ms"):
            value = "<milliseconds>"
        elif name in same and value == answered.get(same[name]):
            value = f"<{same[name]}>"
        found[name] = value
    return found


@contextmanager
def _process(code: Path, env: Env) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", str(RUNNER), str(code)],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _call(process: subprocess.Popen[str], call: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None
    process.stdin.write(json.dumps(call) + "\n")
    process.stdin.flush()
    answered: dict[str, Any] = json.loads(_line(process))
    return answered


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.kill()
        raise AssertionError(f"the function did not start, or ended:\n{process.communicate()[1]}")
    return line
