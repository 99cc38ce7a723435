"""Gives each test its own running OSS. All tests share one HTTP server, which serves the OSS of the
current test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from running_oss import Oss, Server, running_oss, running_server


@pytest.fixture(scope="session")
def oss_server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def takes_v1(request: pytest.FixtureRequest) -> bool:
    """Whether OSS accepts V1. OSS accepts V1 only in tests that are marked `signature_v1`."""
    return request.node.get_closest_marker("signature_v1") is not None


@pytest.fixture
def oss(tmp_path: Path, oss_server: Server, takes_v1: bool) -> Iterator[Oss]:
    with running_oss(tmp_path / "oss", oss_server, takes_v1=takes_v1) as site:
        yield site
