"""Content types, and how a wish may narrow them."""

from __future__ import annotations

import pytest

from token_service.grant.content_types import base, exact, is_media, is_pattern, narrowed, types
from token_service.grant.refusals import InvalidParameter
from token_service.settings.parsing import Refused

IMAGES = ("image/jpeg", "image/png")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("image/png", ("image/png",)),
        (" image/png ,, image/svg+xml,image/png", ("image/png", "image/svg+xml")),
        ("image/*", ("image/*",)),
        ("image/*,", ("image/*",)),
        ("x-own.type/A1!#$&^_.+-", ("x-own.type/A1!#$&^_.+-",)),
        (f"a/{'b' * 127}", (f"a/{'b' * 127}",)),
    ],
)
def test_an_operator_names_types_or_one_pattern(value: str, found: tuple[str, ...]) -> None:
    assert types(value) == found


@pytest.mark.parametrize(
    "value",
    [
        *(
            "image",
            "image/",
            "/png",
            "*/*",
            "*",
            "image/p*",
            "image/*,image/png",
            "image/*,audio/*",
        ),
        *("image/png,audio", "image/png,image/*", "image/png; q=1", "image/png/x", "im age/png"),
        *("image/pn\u00e9", f"a/{'b' * 128}", f"{'a' * 128}/b"),
    ],
)
def test_what_is_no_type_is_a_fault_that_says_so(value: str) -> None:
    with pytest.raises(Refused, match="content types like image/jpeg"):
        types(value)


def test_an_empty_list_of_types_is_empty() -> None:
    """Reader never passes an empty list, because an empty variable counts as not set."""
    assert types(",") == ()


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
        ("applicationx/pdf", ("application/*",)),
        ("appx/pdf", ("application/*",)),
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
        # A browser uses the last type in this list, text/html.
        ("image/png,text/html", ("image/*",)),
    ],
)
def test_a_form_cannot_be_widened(wish: str | None, allowed: tuple[str, ...]) -> None:
    with pytest.raises(InvalidParameter, match="content_type: must be"):
        narrowed(wish, allowed)


@pytest.mark.parametrize(
    ("allowed", "named", "by"),
    [
        ((), ["image/jpeg"], False),
        (IMAGES, ["image/jpeg, image/png"], True),
        (("application/*",), ["application/ and"], True),
    ],
)
def test_a_refusal_names_what_is_allowed_and_what_allows_it(
    allowed: tuple[str, ...], named: list[str], by: bool
) -> None:
    for ask in (exact, narrowed):
        with pytest.raises(InvalidParameter) as caught:
            ask("nothing", allowed)
        assert all(text in caught.value.message for text in named)
        assert caught.value.message.endswith("(UPLOAD_CONTENT_TYPES)") is by
        assert caught.value.code == "InvalidParameter.ContentType"
    if len(allowed) > 1:
        with pytest.raises(InvalidParameter) as caught:
            exact(None, allowed)
        assert named[0] in caught.value.message


@pytest.mark.parametrize(
    ("content_type", "is_it"),
    [
        *((one, True) for one in ("image/png", "AUDIO/mpeg", "video/mp4; codecs=x", " image/x")),
        *((one, False) for one in ("image/svg+xml", "image/SVG+XML", "video/x+xml; a=b", "text/a")),
        *((one, False) for one in ("imagex/png", "application/pdf", "", "text/image")),
    ],
)
def test_media_are_images_audio_and_video_that_run_nothing(content_type: str, is_it: bool) -> None:
    assert is_media(content_type) is is_it


def test_a_type_is_compared_as_browsers_do() -> None:
    assert base("Text/HTML ; charset=utf-8;a") == "text/html"
    assert [is_pattern(one) for one in ("image/*", "image/x*", "*", "image/**")] == [
        *(True, False, False, False)
    ]
