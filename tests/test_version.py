"""Checks that the same version is in all files that contain the version."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from token_service import __version__

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("pyproject.toml", r'^version = "(.+)"$'),
        ("s.yaml", r"^ +description: .+ \(token_service (.+)\)$"),
        ("template.yml", r"^ +Description: .+ \(token_service (.+)\)$"),
        ("template.yml", r"^    (?:.+ )?Version (.+)\.$"),
        ("template.yml", r"^  zh-cn: .+\u7248\u672c (.+)\u3002$"),
        # In a release, the newest section has a date. Before the release, it has no date.
        ("CHANGELOG.md", r"^## \[(?:Unreleased\], to be )?([\d.]+)(?:$|\] - \d{4}-\d\d-\d\d$)"),
    ],
)
def test_the_version_is_said_alike(file: str, pattern: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.findall(pattern, text, re.MULTILINE)[:1] == [__version__]
