"""A running OSS for each test that asks for one, all in one server."""

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
def oss(tmp_path: Path, oss_server: Server) -> Iterator[Oss]:
    with running_oss(tmp_path / "oss", oss_server) as site:
        yield site
