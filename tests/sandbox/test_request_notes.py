"""The page's panel shows only the page's own requests, and only on this machine."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import oss2
import pytest
from starlette.responses import JSONResponse, Response
from starlette.types import Message

from running_cloud import Token
from running_sandbox import Sandbox, running
from sandbox.request_notes import (
    MAX_REQUESTS,
    MAX_SESSIONS,
    PATH,
    RequestNotes,
    create_app,
    is_from_here,
)

OURS, THEIRS = "0" * 31 + "1", "0" * 31 + "2"


@dataclass(frozen=True)
class Page:
    """A page with a session, at a running sandbox."""

    sandbox: Sandbox
    session: str = OURS

    def ask(
        self, port: int, method: str, path: str, *, tagged: bool = True, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if tagged:
            named["X-Sandbox-Session"] = self.session
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(method, path, headers=named)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def function(self, path: str, **options: Any) -> tuple[int, http.client.HTTPMessage, bytes]:
        return self.ask(self.sandbox.port, "GET", path, **options)

    def oss(self, method: str, path: str, **options: Any) -> int:
        return self.ask(self.sandbox.port + 1, method, path, **options)[0]

    def notes(self, session: str = "") -> list[dict[str, Any]]:
        status, _, body = self.function(f"{PATH}?session={session or self.session}", tagged=False)
        assert status == 200
        found: list[dict[str, Any]] = json.loads(body)["Requests"]
        return found


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("notes") / "state") as sandbox:
        yield sandbox


@pytest.fixture
def page(sandbox: Sandbox, request: pytest.FixtureRequest) -> Page:
    return Page(sandbox, f"{abs(hash(request.node.name)):032x}")


def scope_of(
    path: str = PATH,
    *,
    query: str = "",
    peer: str | None = "127.0.0.1",
    host: tuple[str, ...] = ("127.0.0.1:7080",),
    session: tuple[str, ...] = (),
    method: str = "GET",
) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": query.encode(),
        "client": None if peer is None else (peer, 9),
        "headers": [
            *((b"host", name.encode()) for name in host),
            *((b"x-sandbox-session", text.encode()) for text in session),
        ],
    }


async def respond(scope: Any, receive: Any, send: Any) -> None:
    """Answer in place of the function."""
    answer = {"StatusCode": 404, "ErrorCode": "NotFound", "AccessKeySecret": "s3cret"}
    await JSONResponse(answer)(scope, receive, send)


def asked(app: Any, scope: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Call an application without a server, and return the status and the JSON of its answer."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body)


# What the page is told


def test_requests_to_the_function_and_to_oss_are_told_in_order(page: Page) -> None:
    page.function("/signed-url?object=a%20b.txt&access_token=s3cret")
    page.function("/signed-url?access_token=s3cret")
    page.oss("GET", "/sandbox-bucket/a%20b%E7%85%A7?access_token=s3cret")
    good, bad, refused = page.notes()
    assert (good["Server"], good["Method"], good["Path"], good["Status"]) == (
        *("function", "GET", "/signed-url"),
        200,
    )
    assert set(good) == {"Time", "Server", "Method", "Path", "Status"}
    assert (bad["Status"], bad["Code"]) == (400, "InvalidParameter.Object")
    assert (refused["Server"], refused["Path"]) == ("OSS", "/sandbox-bucket/a b照")
    assert (refused["Status"], refused["Code"]) == (403, "AccessDenied")
    assert refused["Refusal"]["PolicyType"] == "ACL"
    assert "s3cret" not in json.dumps(page.notes())


def test_a_refusal_says_which_policy_refused_which_action_on_what(page: Page) -> None:
    bucket = Token.of(page.sandbox.answer()).oss2("v4")
    with pytest.raises(oss2.exceptions.AccessDenied):
        bucket.put_object("bob/a.jpg", b"", headers={"X-Sandbox-Session": page.session})
    (note,) = page.notes()
    assert note["Refusal"] == {
        "Action": "oss:PutObject",
        "Resource": "acs:oss:*:1234567890123456:sandbox-bucket/bob/a.jpg",
        "PolicyType": "SessionPolicy",
        "Policy": "the session policy of the token",
        "Reason": "ImplicitDeny",
    }


def test_a_page_of_another_origin_may_send_its_session_to_oss(page: Page) -> None:
    status, headers, _ = page.ask(
        page.sandbox.port + 1,
        "OPTIONS",
        "/sandbox-bucket/uploads/a",
        tagged=False,
        Origin="http://127.0.0.1:7080",
        Access_Control_Request_Method="PUT",
        Access_Control_Request_Headers="content-type,x-sandbox-session",
    )
    assert status == 200
    assert "x-sandbox-session" in headers["access-control-allow-headers"]


def test_no_page_of_another_origin_reads_the_answer(page: Page) -> None:
    _, headers, _ = page.function(f"{PATH}?session={OURS}", Origin="http://evil.example")
    assert "access-control-allow-origin" not in headers
    assert headers["cache-control"] == "no-store"


# What nobody is told


def test_another_session_is_told_nothing_of_ours(page: Page) -> None:
    page.function("/")
    assert page.notes()
    assert page.notes(THEIRS) == []


@pytest.mark.parametrize(
    "session",
    [
        (),
        ("",),
        ("0" * 31,),
        ("0" * 33,),
        ("A" * 32,),
        ("g" * 32,),
        ("0" * 32 + "\n",),
        (OURS, THEIRS),
        ("0" * 10_000_000,),
    ],
    ids=lambda session: f"{len(session)}-{sum(map(len, session))}",
)
def test_without_a_sound_session_nothing_is_kept(session: tuple[str, ...]) -> None:
    notes = RequestNotes()
    asked(create_app(respond, notes), scope_of("/", session=session))
    assert vars(notes)["_sessions"] == {}


@pytest.mark.parametrize(
    "query",
    ["", "session=", f"session={'0' * 31}", f"session={'A' * 32}", f"session={OURS}%0a", "a=b",
     f"session={OURS}&session={THEIRS}", f"session={'0' * 50_000}"],
    ids=len,
)  # fmt: skip
def test_a_session_that_is_none_is_refused(query: str) -> None:
    status, answer = asked(create_app(respond, RequestNotes()), scope_of(query=query))
    assert (status, answer["ErrorCode"]) == (400, "InvalidParameter.Session")


def test_only_reading_is_answered() -> None:
    status, answer = asked(create_app(respond, RequestNotes()), scope_of(method="POST"))
    assert (status, answer["ErrorCode"]) == (405, "MethodNotAllowed")


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("192.168.1.5", ("127.0.0.1:7080",)),
        ("10.0.0.1", ("localhost",)),
        ("testclient", ("localhost",)),
        (None, ("localhost",)),
        ("127.0.0.1", ("evil.example",)),
        ("127.0.0.1", ("localhost.evil.example",)),
        ("127.0.0.1", ("192.168.1.5:7080",)),
        ("127.0.0.1", ()),
        ("127.0.0.1", ("localhost", "evil.example")),
    ],
)
def test_for_others_it_is_a_path_as_any_unknown_one(
    peer: str | None, host: tuple[str, ...]
) -> None:
    notes = RequestNotes()
    notes.add(OURS, Path="/secret")
    scope = scope_of(query=f"session={OURS}", peer=peer, host=host)
    assert not is_from_here(scope)
    answer = asked(create_app(respond, notes), scope)
    assert answer == asked(respond, scope_of("/nowhere"))


def test_x_forwarded_for_makes_nobody_another(page: Page) -> None:
    """If this header counted, a remote client could look local, and a local client could look
    remote."""
    query = f"{PATH}?session={page.session}"
    assert page.function(query, tagged=False, X_Forwarded_For="192.168.1.5")[0] == 200


@pytest.mark.parametrize("name", ["evil.example", "192.168.1.5:7080"])
def test_a_foreign_host_is_not_answered_over_http(page: Page, name: str) -> None:
    _, _, body = page.function(f"{PATH}?session={page.session}", tagged=False, Host=name)
    assert b"Requests" not in body


def test_a_query_in_the_path_is_not_kept(page: Page) -> None:
    page.function("/signed-url%3Faccess_token=s3cret")
    page.oss("GET", "/sandbox-bucket/a%3Fx-oss-signature=s3cret")
    assert len(page.notes()) == 2
    assert "s3cret" not in json.dumps(page.notes())


def test_a_path_that_is_no_text_does_no_harm(page: Page) -> None:
    page.oss("GET", "/sandbox-bucket/%FF%1B[2J%0A")
    assert page.notes()[0]["Path"] == "/sandbox-bucket/%FF%1B[2J%0A"


def test_a_session_of_10_megabytes_is_refused_and_the_server_goes_on(page: Page) -> None:
    try:
        status, _, _ = page.function("/", tagged=False, X_Sandbox_Session="0" * 10_000_000)
    except OSError:
        # The server closed the connection while the test was sending.
        status = 400
    assert status == 400
    assert page.function("/health")[0] == 200


# Bounds


def test_a_hundred_thousand_sessions_take_little_memory() -> None:
    notes = RequestNotes()
    for number in range(100_000):
        notes.add(f"{number:032x}", Path="/")
    assert len(vars(notes)["_sessions"]) == MAX_SESSIONS
    assert notes.of(f"{99_999:032x}")
    assert not notes.of(f"{0:032x}")


def test_the_oldest_session_goes_first() -> None:
    notes = RequestNotes()
    for number in range(MAX_SESSIONS):
        notes.add(f"{number:032x}", Path="/")
    notes.add(f"{0:032x}", Path="/again")
    notes.add("f" * 32, Path="/")
    assert len(notes.of(f"{0:032x}")) == 2
    assert not notes.of(f"{1:032x}")


def test_of_a_session_the_newest_requests_are_kept_and_texts_are_cut() -> None:
    notes = RequestNotes(clock=lambda: 0)
    app = notes.watched(respond, "function")
    for number in range(MAX_REQUESTS + 1):
        asked(app, scope_of(f"/{number}" + "a" * 50_000, session=(OURS,)))
    kept = notes.of(OURS)
    assert len(kept) == MAX_REQUESTS
    assert str(kept[-1]["Path"]).startswith(f"/{MAX_REQUESTS}a")
    assert kept[0]["Time"] == "1970-01-01T00:00:00Z"
    assert len(json.dumps(kept)) < 2000 * MAX_REQUESTS


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"StatusCode":"x","ErrorCode":1}', b"[" * 60_000, b" " * 100_000]
)
def test_an_answer_that_is_not_the_functions_counts_by_its_http_status(body: bytes) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Response(body, 201)(scope, receive, send)

    notes = RequestNotes(clock=lambda: 0)
    watched = notes.watched(app, "function")

    async def send(message: Message) -> None: ...

    asyncio.run(watched(scope_of("/a", session=(OURS,)), None, send))  # type: ignore[arg-type]
    (note,) = notes.of(OURS)
    assert (note["Status"], "Code" in note) == (201, False)


def test_the_url_of_the_page_is_not_the_oss_one(page: Page) -> None:
    """OSS has no page with the requests of a session, so for OSS this path means an object."""
    assert urlsplit(page.sandbox.endpoint).port == page.sandbox.port + 1
    assert page.oss("GET", f"{PATH}?session={page.session}", tagged=False) != 200
