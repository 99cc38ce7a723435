"""Schemathesis makes valid and invalid requests from docs/openapi.yaml, and sends them to the
sandbox's gateway. Each answer must be documented, and must not be an error of the server."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from openapi import DOCUMENT, operations
from running_cloud import RunningCloud, running_cloud
from signed_logins import SECRET, login

CHECKS = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
CALLBACK = "POST /callback"
CHOICES = ["bucket_write_policy", "bucket_read_policy", "nobodys_policy"]
# Each example sends a request over HTTP. There are 26 kinds of requests, so these tests send 52
# requests, or 5,200 with `make fuzz`.
few = profile(
    max_examples=200 if profile().max_examples >= 10_000 else 2,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def driven() -> schemathesis.BaseSchema:
    """The OpenAPI document from which requests are made. The document's list of policies is
    replaced by CHOICES, so that the function grants some of the requests."""
    document = copy.deepcopy(DOCUMENT)
    document["components"]["schemas"]["wish.policy"]["enum"] = CHOICES
    return schemathesis.openapi.from_dict(document)


SCHEMA = driven()


@dataclass(frozen=True)
class Gateways:
    """Two URLs of the function. The first URL answers with the default HTTP statuses, and the
    second URL with the true statuses. `upload` is the seal of an upload in parts."""

    urls: tuple[str, str]
    session: requests.Session
    upload: str


LOGIN = login(exp=int(time.time()) + 24 * 3600)


@contextmanager
def running(folder: Path, status: str) -> Iterator[RunningCloud]:
    """A cloud in which all features are enabled, with this HTTP_ERROR_STATUS."""
    with running_cloud(
        folder,
        AUTH="jwt",
        JWT_SECRET=SECRET,
        POLICY_FILE="bucket_read_write_policy",
        POLICY_CHOICES=",".join(CHOICES[:2]),
        CALLER_URLS_PER_MINUTE="0",
        CALLER_TOKENS_PER_MINUTE="0",
        HTTP_ERROR_STATUS=status,
    ) as cloud:
        cloud.env.update(CALLBACK_URL=f"{cloud.url}/callback", CALLBACK_SECRET="s" * 32)
        yield cloud


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    folder = tmp_path_factory.mktemp("clouds")
    with (
        running(folder / "ok", "ok") as ok,
        running(folder / "real", "real") as real,
        requests.Session() as session,
    ):
        start = {"object": "film.mp4", "size": "12345678", "access_token": LOGIN}
        upload = ok.answer("POST", "/multipart", **start)["Upload"]
        yield Gateways((ok.url, real.url), session, upload)


def cases(label: str) -> st.SearchStrategy[Case[Any]]:
    """Requests of one operation. Some requests are valid, and others break the documented rules."""
    method, _, path = label.partition(" ")
    operation: Any = SCHEMA[path][method]
    sound: st.SearchStrategy[Case[Any]] = operation.as_strategy(GenerationMode.POSITIVE)
    if path == "/health":
        # /health has no wishes, so a request for it cannot be invalid.
        return sound
    wrong: st.SearchStrategy[Case[Any]] = operation.as_strategy(GenerationMode.NEGATIVE)
    return sound | wrong


def goes_on(case: Case[Any], upload: str) -> None:
    """Replace the Upload of a request by a valid one. Only the function can make a valid Upload, so
    a random text is never valid."""
    for place in (case.query, case.body):
        if isinstance(place, dict) and "Upload" in place:
            place["Upload"] = upload


STRATEGIES = {f"{method} {path}": cases(f"{method} {path}") for path, method, _ in operations()}


@pytest.mark.parametrize("label", STRATEGIES)
@few
@given(data=st.data(), index=st.integers(0, 1), has_login=st.booleans(), has_upload=st.booleans())
def test_whatever_is_asked_is_answered_as_documented(
    label: str,
    gateways: Gateways,
    data: st.DataObject,
    index: int,
    has_login: bool,
    has_upload: bool,
) -> None:
    case = data.draw(STRATEGIES[label])
    if has_upload:
        goes_on(case, gateways.upload)
    # On the route of OSS's callbacks, the Authorization header is a signature, so a login is not
    # sent in it.
    bearer = {"Authorization": f"Bearer {LOGIN}"} if has_login and label != CALLBACK else {}
    answer = case.call(gateways.urls[index], session=gateways.session, headers=bearer, timeout=10)
    case.validate_response(answer, checks=CHECKS)
