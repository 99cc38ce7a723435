"""Content types, and the extensions of their files."""

from __future__ import annotations

import mimetypes
import re

import pytest

from token_service.grant import extensions
from token_service.grant.content_types import is_media


@pytest.mark.parametrize(
    ("content_type", "found"),
    [
        ("image/png", ("png",)),
        ("image/jpeg", ("jpg", "jpeg")),
        ("IMAGE/JPEG; q=1", ("jpg", "jpeg")),
        ("image/svg+xml", ("svg",)),
        ("application/pdf", ("pdf",)),
        ("video/webm", ("webm",)),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", ("docx",)),
        ("application/x-nobody-knows", ()),
        ("application/longerthan8", ()),
    ],
)
def test_a_type_has_extensions(content_type: str, found: tuple[str, ...]) -> None:
    assert extensions.of(content_type) == found


def test_pythons_own_table_says_nothing_else() -> None:
    """For each type that both tables know, at least one extension is the same."""
    known = mimetypes.MimeTypes()
    for content_type, listed in extensions._EXTENSIONS.items():
        theirs = known.guess_all_extensions(content_type, strict=False)
        ours = {f".{extension}" for extension in listed.split()}
        assert not theirs or ours & set(theirs), content_type


def test_what_a_browser_may_show_is_media_that_runs_nothing() -> None:
    for extension, content_type in extensions.SHOWN.items():
        assert re.fullmatch(extensions.EXTENSION, extension)
        assert is_media(content_type)
    for name in ("a/b.JPG", "a.b.jpg", "a.html.jpg", "..jpg"):
        assert extensions.shown_as(name) == "image/jpeg", name
    names = ("a.svg", "a.svgz", "a.html", "a.pdf", "a.xml", "a.jpg/b", "a.jpg.", "a.jpg ")
    for name in (*names, "a.jpg.html", "a.jpg.b", "html", ""):
        assert extensions.shown_as(name) is None, name
