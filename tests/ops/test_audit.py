"""Tests `make audit` with a simulated advisory service on loopback. An answer that cannot be
trusted never counts as "none found"."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ops import audit, lock

Answer = Callable[[list[dict[str, Any]]], tuple[int, bytes]]
PINS = {"requirements-run": "a==1 \\\n    --hash=x\nb==2.0 ; sys_platform == 'linux' \\\n"}


class Service:
    """A simulated advisory service: the requests that it got, and its answers."""

    def __init__(self) -> None:
        self.asked: list[list[dict[str, Any]]] = []
        self.answer: Answer = results()
        self.reason: str | None = None


def results(**of: Any) -> Answer:
    """Return an answer with these results for the named packages, and empty results for others."""

    def answer(queries: list[dict[str, Any]]) -> tuple[int, bytes]:
        found = [of.get(query["package"]["name"], {}) for query in queries]
        return 200, json.dumps({"results": found}).encode()

    return answer


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    one = Service()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert set(body) == {"queries"}
            one.asked.append(body["queries"])
            status, content = one.answer(body["queries"])
            self.send_response(status, one.reason)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Log nothing, because people read pytest's output."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setattr(audit, "URL", f"http://127.0.0.1:{server.server_address[1]}/v1")
        monkeypatch.setattr(lock, "read", lambda: PINS)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        try:
            yield one
        finally:
            server.shutdown()
            thread.join()


def test_none_is_known(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main() == 0
    assert "No advisory for 2 packages" in capsys.readouterr().out
    assert service.asked == [
        [
            {"package": {"ecosystem": "PyPI", "name": "a"}, "version": "1"},
            {"package": {"ecosystem": "PyPI", "name": "b"}, "version": "2.0"},
        ]
    ]


def test_what_is_known_is_named_with_the_lock_and_what_to_do(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.answer = results(b={"vulns": [{"id": "GHSA-1", "modified": "2026"}, {"id": "CVE-2"}]})
    assert audit.main() == 1
    said = capsys.readouterr()
    assert said.out == (
        "b 2.0 (requirements-run.txt):\n"
        "  https://osv.dev/vulnerability/GHSA-1\n  https://osv.dev/vulnerability/CVE-2\n"
    )
    assert "make lock UPGRADE=b" in said.err


def test_the_next_page_is_asked_for(service: Service) -> None:
    """The first page of results may be empty, although the next page has results."""

    def answer(queries: list[dict[str, Any]]) -> tuple[int, bytes]:
        if "page_token" in queries[0]:
            return results(a={"vulns": [{"id": "GHSA-1"}]})(queries)
        return results(a={"next_page_token": "more"})(queries)

    service.answer = answer
    assert audit.advisories([("a", "1"), ("b", "2")]) == {("a", "1"): ["GHSA-1"]}
    assert [query["page_token"] for query in service.asked[1]] == ["more"]


def test_pages_without_an_end_are_no_answer(service: Service) -> None:
    service.answer = results(a={"next_page_token": "more"})
    with pytest.raises(audit.CouldNotAsk, match="more than 20 pages"):
        audit.advisories([("a", "1")])


def test_more_packages_than_fit_into_one_request_are_all_asked_for(service: Service) -> None:
    audit.advisories([(f"p{number}", "1") for number in range(1001)])
    assert [len(queries) for queries in service.asked] == [1000, 1]


def says(content: bytes, status: int = 200) -> Answer:
    return lambda queries: (status, content)


MALFORMED: dict[str, Answer] = {
    "no JSON": says(b"<html>Sign in to the network</html>"),
    "nothing": says(b""),
    "nested too deeply": says(b"[" * 100_000),
    "a list": says(b"[]"),
    "no results": says(b"{}"),
    "fewer results than packages": says(b'{"results": [{}]}'),
    "a result that is no object": says(b'{"results": [{}, null]}'),
    "advisories that are no list": results(a={"vulns": {"id": "GHSA-1"}}),
    "advisories that are null": results(a={"vulns": None}),
    "an advisory without an id": results(a={"vulns": [{}]}),
    "an id that a terminal would obey": results(a={"vulns": [{"id": "\x1b[2J"}]}),
    "a page token that is no text": results(a={"next_page_token": 1}),
    "an error": says(b'{"code": 3}', 400),
    "an error of a proxy": says(b"", 502),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_an_answer_that_is_not_as_documented_is_told_from_none(
    service: Service, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    service.answer = MALFORMED[kind]
    assert audit.main() == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "make audit: could not ask" in said.err
    assert "The packages were not checked" in said.err
    assert "\x1b" not in said.err


def test_an_answer_without_an_end_is_cut(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_MAX_BYTES", 10)
    with pytest.raises(audit.CouldNotAsk, match="more than 10 bytes"):
        audit.advisories([("a", "1")])


def test_a_service_that_cannot_be_reached_is_no_good_news(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert audit.main() == 2
    assert "refused" in capsys.readouterr().err


def test_a_reason_that_a_terminal_would_obey_is_not_printed(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text of urllib's error quotes the status line of an answer, for example a proxy's 407."""
    service.answer, service.reason = says(b"", 502), "\x1b]0;owned\x07\x9b2J"
    assert audit.main() == 2
    said = capsys.readouterr().err
    assert "HTTP Error 502" in said
    assert all(char.isprintable() for char in said.replace("\n", ""))


def test_a_lock_that_is_gone_is_no_good_news(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lock, "read", lambda: {**PINS, "requirements-dev": ""})
    assert audit.main() == 2
    assert "no package in requirements-dev.txt" in capsys.readouterr().err
    assert service.asked == []


def test_every_locked_package_is_asked_for() -> None:
    locks = lock.read()
    pins = audit.pins_of(locks)
    assert sum(map(len, pins.values())) == sum(len(lock.packages(text)) for text in locks.values())
    assert {name for name, _ in pins} >= {"cryptography", "pyjwt", "oss2", "uv", "setuptools"}
