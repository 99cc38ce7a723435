"""Content types: what a wish may narrow."""

from __future__ import annotations

import pytest

from token_service.grant.content_types import exact, narrowed
from token_service.grant.refusals import InvalidParameter

IMAGES = ("image/jpeg", "image/png")


@pytest.mark.parametrize(
    ("wish", "allowed", "result"),
    [
        (None, (), None),
        ("text/plain; charset=utf-8", (), "text/plain; charset=utf-8"),
        ("image/svg+xml", (), "image/svg+xml"),
        ("image/png", IMAGES, "image/png"),
        ("image/png", ("image/*",), "image/png"),
        ("image/svg+xml", ("image/svg+xml",), "image/svg+xml"),
        ("application/x+xml", ("application/*",), "application/x+xml"),
        (None, ("image/png",), "image/png"),
    ],
)
def test_a_put_has_one_type(wish: str | None, allowed: tuple[str, ...], result: str | None) -> None:
    assert exact(wish, allowed) == result


@pytest.mark.parametrize(
    ("wish", "allowed"),
    [
        ("text/html", IMAGES),
        ("image/jpeg2", IMAGES),
        ("Image/JPEG", IMAGES),
        ("imagex/png", ("image/*",)),
        ("image/svg+xml", ("image/*",)),
        ("image/SVG+xml", ("image/*",)),
        ("image/svg+xml; charset=utf-8", ("image/*",)),
        ("image/x+xml", ("image/*",)),
        ("IMAGE/svg+xml", ("IMAGE/*",)),
        ("video/x+xml", ("video/*",)),
        ("image/*", ("image/*",)),
        (None, IMAGES),
        (None, ("image/*",)),
        ("", ()),
        ("*/*", ()),
        ("image", ()),
        ("image/png\r\nx-oss-object-acl: public-read", ()),
        ("image/png\n", ()),
        ("image/pn\u00e9", ()),
        ("a/" + "b" * 1000, ()),
    ],
)
def test_a_put_has_no_other_type(wish: str | None, allowed: tuple[str, ...]) -> None:
    with pytest.raises(InvalidParameter) as caught:
        exact(wish, allowed)
    assert caught.value.code == "InvalidParameter.ContentType"


@pytest.mark.parametrize(
    ("wish", "allowed", "result"),
    [
        (None, IMAGES, IMAGES),
        (None, (), ()),
        ("image/png", IMAGES, ("image/png",)),
        ("image/png", ("image/*",), ("image/png",)),
    ],
)
def test_a_form_can_be_narrowed(
    wish: str | None, allowed: tuple[str, ...], result: tuple[str, ...]
) -> None:
    assert narrowed(wish, allowed) == result


@pytest.mark.parametrize(
    ("wish", "allowed"),
    [
        ("image/*", IMAGES),
        ("image/*", ()),
        ("image/*", ("image/*",)),
        ("video/*", ("image/*",)),
        ("*/*", ()),
        ("x", ()),
        (None, ("image/*",)),
        # Browsers take the last of them.
        ("image/png,text/html", ("image/*",)),
    ],
)
def test_a_form_cannot_be_widened(wish: str | None, allowed: tuple[str, ...]) -> None:
    with pytest.raises(InvalidParameter, match="content_type: must be"):
        narrowed(wish, allowed)
