"""The present text of docs/upgrade.md."""

from __future__ import annotations

import pytest

from ops import ROOT
from tests.upgrade.table import Row, read_rows


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    """The rows of docs/upgrade.md."""
    return read_rows((ROOT / "docs" / "upgrade.md").read_text(encoding="utf-8"))
