"""Tests that `make jwks` reads a provider's document over real TLS, and refuses wrong documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from certificates import certificate, server_context
from operators_tool import run_tool
from ops.jwks import PATH, discover
from running_sandbox import make
from scripted_sts import ScriptedSts, answer, scripted_sts
from signed_logins import jwk, jwks
from token_service.errors import Misconfiguration, ServiceError
from token_service.settings import parsing
from token_service.settings.variables import JWT_ISSUER, JWT_JWKS_URL


@pytest.fixture
def pem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    return made


@contextmanager
def provider(
    pem: Path, keys: str = "", status: int = 200, body: bytes = b"", **changes: object
) -> Iterator[tuple[ScriptedSts, str]]:
    """Run a provider at https://localhost:port/realm. `changes` are changes to the members of the
    provider's document."""
    keys = keys or jwks(jwk("RS256", "a"), jwk("ES256", "b"))
    with scripted_sts(answer(200, b""), tls=server_context(pem)) as server:
        issuer = f"https://localhost:{server.port}/realm"
        sound = {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}
        document = {name: value for name, value in {**sound, **changes}.items() if value != "gone"}
        server.moves[:] = [
            answer(status, body or json.dumps(document).encode()),
            answer(200, keys.encode()),
        ]
        yield server, issuer


def test_what_it_prints_is_what_the_function_takes(pem: Path) -> None:
    with provider(pem) as (server, issuer):
        variables = {"SSL_CERT_FILE": str(pem), "SSL_CERT_DIR": str(pem.parent / "none")}
        command = make("-s", "jwks", f"ISSUER={issuer}")
        done = run_tool("ops.jwks", *command, seconds=30, **variables)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [f"JWT_JWKS_URL={issuer}/keys", f"JWT_ISSUER={issuer}"]
        assert "make jwks: keys that the function can use: 1 for ES256, 1 for RS256" in done.stderr
        paths = [head.split(b" ")[1].decode() for head, _ in server.received]
    assert paths == [f"/realm{PATH}", "/realm/keys"]
    env = dict(line.split("=", 1) for line in done.stdout.splitlines())
    reader = parsing.Reader(env)
    assert str(reader.read(JWT_JWKS_URL)) == f"{issuer}/keys"
    assert reader.read(JWT_ISSUER) == issuer


def test_an_issuer_with_a_slash_is_asked_without_and_named_with(pem: Path) -> None:
    """Issuers of Auth0 end with a slash. OpenID Connect Discovery (section 4.1) removes this slash
    before it adds the path."""
    with provider(pem) as (server, issuer):
        document = {"issuer": f"{issuer}/", "jwks_uri": f"{issuer}/keys"}
        server.moves[0] = answer(200, document)
        found = discover(f"{issuer}/")
        assert found.issuer == f"{issuer}/"
        assert f"GET /realm{PATH} ".encode() in server.received[0][0]


@pytest.mark.parametrize(
    "issuer",
    [
        *("", "login.example.com", "http://login.example.com", "http://127.0.0.1:1", "file:///etc"),
        *("https://u:p@login.example.com", "https://a.example/?x=1", "https://a.example/#x"),
        *(
            "https://a.example/ b",
            "https://a.example/$HOME",
            "https://",
            "https://a.example/\nJWT_SECRET=x",
            # With this value, JWT_ISSUER would contain two issuers, because a comma separates them.
            "https://a.example/x,https://b.example",
        ),
    ],
)
def test_only_https_is_asked(issuer: str) -> None:
    with pytest.raises(Misconfiguration, match=r"ISSUER: must be https://host"):
        discover(issuer)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"issuer": "https://evil.example"}, "for another issuer, 'https://evil.example'"),
        ({"issuer": "gone"}, "which it does not name"),
        ({"issuer": ["x"]}, "which it does not name"),
        ({"jwks_uri": "gone"}, "must have a jwks_uri that is an https"),
        ({"jwks_uri": "http://127.0.0.1:1/keys"}, "must have a jwks_uri that is an https"),
        ({"jwks_uri": "https://a.example/\nJWT_ISSUER=x"}, "must have a jwks_uri that is an https"),
        # Operators copy the printed lines into .env, which a shell may read, so a value must not
        # contain a command.
        ({"jwks_uri": "https://a.example/;id"}, "must have a jwks_uri that is an https"),
        ({"jwks_uri": "https://a.example/?a&id"}, "must have a jwks_uri that is an https"),
        ({"jwks_uri": "https://a.example/`id`"}, "must have a jwks_uri that is an https"),
        ({"jwks_uri": ["https://a.example/"]}, "must have a jwks_uri that is an https"),
        ({"status": 404}, "cannot be fetched: HTTP 404; if the provider has no"),
        ({"status": 302}, "cannot be fetched: HTTP 302"),
        ({"body": b"<html>s3cret"}, "is not JSON"),
        ({"body": b"\xff"}, "is not JSON"),
        ({"body": b"[" * 50_000}, "is not JSON"),
        ({"body": b"[]"}, "which it does not name"),
        ({"body": b" " * 2**21}, "cannot be fetched"),
        ({"keys": '{"keys": []}'}, "JWT_JWKS_URL cannot be fetched"),
    ],
    ids=range(18),
)
def test_what_a_provider_says_is_checked(pem: Path, changes: dict[str, object], says: str) -> None:
    serving = provider(pem, **changes)  # type: ignore[arg-type]
    with serving as (_, issuer), pytest.raises(ServiceError) as error:
        discover(issuer)
    assert says in error.value.message
    assert "s3cret" not in error.value.message


def test_a_certificate_that_nobody_trusts_is_refused(
    pem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate(tmp_path, "other")))
    with provider(pem) as (server, issuer):
        with pytest.raises(Misconfiguration, match="cannot be fetched"):
            discover(issuer)
        assert server.received == []


def test_without_an_issuer_it_says_how_to_give_one() -> None:
    done = run_tool("ops.jwks", seconds=30)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("make jwks: ISSUER: must be https://host")
    assert done.stderr.count("\n") == 1
