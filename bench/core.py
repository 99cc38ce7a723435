"""`make core` lists which of our modules each route loads, with their lines and milliseconds. The
token path comes first.

For each route a fresh process runs the initializer and answers one request. The process has the
environment variables that a deployed function would have, and no variables of this shell. It needs
no variables for endpoints, because stub_cloud.py answers under the names of STS and OSS, over TLS.
tests/golden/loaded_modules.json has the lists. WRITE=1 updates that file.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from bench import stub_cloud
from bench.calls import BUCKET, DEPLOYED, JWT_SECRET, login
from bench.stub_cloud import StubCloud
from ops import ROOT
from token_service.app import CALLBACK, ROUTES, Route

FUNCTION = ROOT / "functions" / "sts_token"
GOLDEN = ROOT / "tests" / "golden" / "loaded_modules.json"
MAX_TOKEN_PATH_LINES = 2300
"""The maximum number of lines that `GET /` with a login may load, with comments and docstrings."""

CALLBACK_SECRET = "a-secret-of-at-least-32-bytes-for-this"
MULTIPART_SECRET = "another-secret-of-32-bytes-at-the-least"
CALLBACK_URL = "https://app.example.com/callback"
_OBJECT = "uploads/alice/a.jpg"
# The wishes that a route needs in addition to a login. Other routes need no wishes.
_QUERIES = {"/signed-url": {"object": "a.jpg"}, "/multipart": {"object": "a.jpg", "size": "1"}}


class CoreError(Exception):
    """Raised when a route does not answer with success. The message is one line with the reason."""


class Loaded(NamedTuple):
    """One of our modules. `lines` is the module's number of lines. `ms` is how many milliseconds
    the import of the module takes, without the time for other modules that it imports."""

    name: str
    lines: int
    ms: float


class Asked(NamedTuple):
    """The modules that one request loaded. `import_ms` is the time of `import index`, and
    `answer_ms` is the time of the initializer and the first answer."""

    answer: dict[str, Any]
    modules: tuple[Loaded, ...]
    import_ms: float
    answer_ms: float

    @property
    def names(self) -> list[str]:
        """The names of the modules, in order."""
        return [module.name for module in self.modules]

    @property
    def lines(self) -> int:
        """The number of lines of all modules."""
        return sum(module.lines for module in self.modules)


def ask_all(function: Path = FUNCTION) -> dict[str, Asked]:
    """Ask each route once. Return the results by path, in the order of ROUTES. Raises CoreError."""
    with (
        tempfile.TemporaryDirectory() as folder,
        stub_cloud.running(Path(folder)) as cloud,
    ):
        return {route.path: _ask(function, cloud, route) for route in ROUTES}


def golden(asked: dict[str, Asked]) -> str:
    """The content of loaded_modules.json, which has the names of each route's modules."""
    return json.dumps({path: one.names for path, one in asked.items()}, indent=1) + "\n"


def report(asked: dict[str, Asked]) -> list[str]:
    """The lines of the report: the whole token path, and the additional modules of other routes."""
    token = asked["/"]
    kept = set(token.names)
    lines = [f"{'lines':>5}  {'ms':>5}  GET / with a login, the token path"]
    lines += map(_line, token.modules)
    most = f"at most {MAX_TOKEN_PATH_LINES}"
    lines.append(f"{token.lines:5}  {_ms(token):5.1f}  {len(token.modules)} modules ({most} lines)")
    times = f"import index {token.import_ms:.0f} ms, first answer {token.answer_ms:.0f} ms"
    lines.append(f"with all other packages: {times}")
    for path, one in asked.items():
        more = [module for module in one.modules if module.name not in kept]
        without = sorted(kept - set(one.names))
        lines += ["", f"{one.lines:5}  {_ms(one):5.1f}  {path}: the token path and"]
        lines += [_line(module) for module in more] or [f"{'':14}nothing more"]
        lines += [f"{'':14}without {name}" for name in without]
    return lines


def main() -> int:
    """Print the report. Return 1 if the golden lists differ and WRITE is not set."""
    try:
        asked = ask_all()
    except CoreError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(report(asked)))
    text = golden(asked)
    if os.environ.get("WRITE"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
        print(f"\n{GOLDEN.relative_to(ROOT)} is written.")
    elif not GOLDEN.exists() or GOLDEN.read_text(encoding="utf-8") != text:
        print(f"\n{GOLDEN.relative_to(ROOT)} differs. To accept it, run `make core WRITE=1`.")
        return 1
    return 0


def _line(module: Loaded) -> str:
    return f"{module.lines:5}  {module.ms:5.1f}  {module.name}"


def _ms(asked: Asked) -> float:
    return sum(module.ms for module in asked.modules)


def _ask(function: Path, cloud: StubCloud, route: Route) -> Asked:
    if route == CALLBACK:
        return run(function, cloud, callback_event(function, cloud), with_callbacks=True)
    event = _event(route.path, needs_login=route.needs_login, method=route.methods[0])
    return run(function, cloud, event)


def callback_event(function: Path, cloud: StubCloud) -> dict[str, Any]:
    """The body that OSS posts after an upload with a token's callback."""
    scope = run(function, cloud, _event("/"), with_callbacks=True).answer["Scope"]
    callback, variables = (
        json.loads(base64.b64decode(scope[name])) for name in ("Callback", "CallbackVar")
    )
    values = {"bucket": BUCKET, "object": _OBJECT, "etag": stub_cloud.ETAG, "size": "5"}
    body = callback["callbackBody"]
    for name, value in {**values, **variables}.items():
        body = body.replace(f"${{{name}}}", quote(value, safe=""))
    # The variables that are left in the body describe an image. The object is not an image,
    # so these variables become empty.
    body = re.sub(r"\$\{[^}]*\}", "", body)
    target = urlsplit(callback["callbackUrl"]).path
    event = _event(target, needs_login=False, method="POST")
    event["headers"] = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": cloud.signer.sign(target, body.encode()),
        "x-oss-pub-key-url": base64.b64encode(cloud.signer.public_key_url.encode()).decode(),
    }
    event["body"] = body
    return event


def _event(path: str, *, needs_login: bool = True, method: str = "GET") -> dict[str, Any]:
    alice = login("alice", int(time.time()))
    return {
        "version": "v1",
        "rawPath": path,
        "headers": {"Authorization": f"Bearer {alice}"} if needs_login else {},
        "queryParameters": _QUERIES.get(path, {}),
        "body": "",
        "isBase64Encoded": False,
        "requestContext": {"requestId": "1", "http": {"method": method, "path": path}},
    }


def _environment(cloud: StubCloud, *, with_callbacks: bool) -> dict[str, str]:
    """The minimal variables of a deployment, with the keys that Function Compute sets for a
    function with a role."""
    variables = {
        "SSL_CERT_FILE": str(cloud.certificate),
        **DEPLOYED,
        "JWT_SECRET": JWT_SECRET,
        "MULTIPART_SECRET": MULTIPART_SECRET,
    }
    if with_callbacks:
        variables |= {"CALLBACK_URL": CALLBACK_URL, "CALLBACK_SECRET": CALLBACK_SECRET}
    return variables


def run(
    function: Path, cloud: StubCloud, event: dict[str, Any], *, with_callbacks: bool = False
) -> Asked:
    """Ask the function in a folder once, in a fresh process. Raises CoreError."""
    script = Path(__file__).with_name("one_request.py")
    done = subprocess.run(
        [sys.executable, "-I", script, function, str(cloud.port)],
        input=json.dumps(event),
        env=_environment(cloud, with_callbacks=with_callbacks),
        capture_output=True,
        text=True,
        check=False,
    )
    path = event["rawPath"]
    if done.returncode != 0:
        last = done.stderr.strip().splitlines() or ["it says nothing"]
        raise CoreError(f"{path} was not answered: {last[-1]}")
    found = json.loads(done.stdout)
    if found["answer"].get("StatusCode") != 200:
        raise CoreError(f"{path} was answered with an error: {found['answer']}")
    modules = (
        Loaded(name, len(Path(file).read_text(encoding="utf-8").splitlines()), ms)
        for name, (file, ms) in found["modules"].items()
    )
    return Asked(found["answer"], tuple(sorted(modules)), found["import_ms"], found["answer_ms"])


if __name__ == "__main__":
    sys.exit(main())
