"""Shared fixture: the function and the sandbox, with logins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from running_cloud import RunningCloud, running_cloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), AUTH="jwt") as running:
        yield running
