"""Fixtures: running functions that the tools check, and the variables of a shell for `make
doctor`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import jwt
import pytest

from cold_instances import Clock
from doctored import SECRET as RANDOM_SECRET
from doctored import Env, stand_in
from ops.conform.account import Account
from ops.conform.local_cloud import local_cloud
from ops.runtime import this
from ops.smoke import wire
from running_function import RunningFunction, running_function
from signed_logins import SECRET


@pytest.fixture(autouse=True)
def known_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip doctor's search for a Python 3.10, because the search would start several processes in
    each test."""
    monkeypatch.setattr("ops.doctor.machine.compiler", lambda: (this(), ""))


@pytest.fixture(scope="session")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFunction]:
    """A running function with AUTH=anonymous, for pages of one origin."""
    folder = tmp_path_factory.mktemp("anonymous")
    with running_function(folder, ALLOWED_ORIGINS="https://app.example.com") as running:
        yield running


@pytest.fixture(scope="session")
def login_function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFunction]:
    """A running function with AUTH=jwt, for pages of one origin."""
    variables = {
        "AUTH": "jwt",
        "JWT_SECRET": SECRET,
        "ALLOWED_ORIGINS": "https://app.example.com",
        "POLICY_CHOICES": "bucket_read_policy",
    }
    with running_function(tmp_path_factory.mktemp("jwt"), **variables) as running:
        yield running


@pytest.fixture(scope="session")
def login() -> str:
    """A login that `login_function` accepts."""
    return jwt.encode({"sub": "alice", "exp": int(time.time()) + 3600}, SECRET, "HS256")


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    """The account of a sandbox, for probes. test_conform.py uses another account, which refuses
    V1."""
    with local_cloud() as account:
        yield account


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A fake clock. The tools use it to measure the duration of an exchange."""
    made = Clock()
    monkeypatch.setattr(wire, "time", SimpleNamespace(time=time.time, monotonic=made.monotonic))
    return made


@pytest.fixture
def shell(tmp_path: Path, env: Env) -> Env:
    """The variables of a shell from which a deploy would succeed. Only the server at STS_ENDPOINT
    does not answer."""
    programs = tmp_path / "programs"
    stand_in(programs, "s", "@serverless-devs/s: 3.1.10, s-home: /home/me/.s, linux-x64")
    stand_in(programs, "make", "GNU Make")
    access = tmp_path / ".s" / "access.yaml"
    access.parent.mkdir()
    access.write_text("default:\n  AccessKeyID: U2FsdGVk\n  AccountID: U2FsdGVk\n")
    own = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path)}
    return {**env, **own, "AUTH": "jwt", "JWT_SECRET": RANDOM_SECRET}
