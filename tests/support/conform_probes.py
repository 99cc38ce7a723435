"""Helpers for the tests of `make conform`: they run one probe, and change a rule of the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytest
from starlette.types import ASGIApp

from answers import Answer, answering
from ops.conform import register
from ops.conform.account import Account
from ops.conform.exchanges import Exchanges
from ops.conform.local_cloud import local_cloud
from ops.conform.runner import clean_up, probe_each
from ops.conform.site import Site
from ops.conform.verdicts import Finding, Verdict
from sandbox.oss import authentication
from sandbox.oss.signatures import v4_canonical_request

ASSUMPTIONS = {one.probe: one for one in register.load() if one.probe}
Patch = pytest.MonkeyPatch


def found(probe: str, account: Account) -> Finding:
    """Run only this probe, check that it leaves nothing behind, and return its finding."""
    site = Site(account, Exchanges())
    ((_, finding),) = probe_each(site, [ASSUMPTIONS[probe]])
    assert clean_up(site) == []
    return finding


def check_flip(
    probe: str, flip: Callable[[Patch], None], said: str, account: Account, patch: Patch
) -> None:
    """Check that the sandbox confirms an assumption, and refutes it after a rule has changed."""
    assert found(probe, account).verdict is Verdict.CONFIRMED
    flip(patch)
    finding = found(probe, account)
    assert finding.verdict is Verdict.REFUTED, finding
    assert said in finding.detail


def wrapped(service: str, other: Answer) -> AbstractContextManager[Account]:
    """A sandbox in which `other` may answer the requests for one service, for example "oss"."""

    def wrap(name: str, app: ASGIApp) -> ASGIApp:
        return answering(app, other) if name == service else app

    return local_cloud(wrap)


def supplied(header: str, value: str, patch: Patch) -> None:
    """Let a signature be valid with any value of this header, and without the header."""

    def canonical(method: Any, resource: Any, headers: Mapping[str, str], *rest: Any) -> bytes:
        # Requests to the bucket itself come from the clean-up, so they are checked as usual.
        more = {} if resource.endswith("/") else {header: value}
        return v4_canonical_request(method, resource, {**headers, **more}, *rest)

    patch.setattr(authentication, "v4_canonical_request", canonical)
    patch.setattr(authentication, "_additional", lambda text, _: text.split(";") if text else [])


def patches(module: Any, name: str, value: Any) -> Callable[[Patch], None]:
    """A function that replaces a value of a module."""
    return lambda patch: patch.setattr(module, name, value)


def nothing(*_: object) -> None:
    """Does nothing; it replaces a check."""
