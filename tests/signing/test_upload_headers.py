"""The headers that an upload must have."""

from __future__ import annotations

import pytest

from configuration import configuration
from token_service.grant.refusals import InvalidParameter
from token_service.signing.limits import Limits
from token_service.signing.upload_headers import beside_type, upload_headers

Env = dict[str, str]

RUNS_SCRIPTS = [
    "image/svg+xml",
    "image/SVG+XML",
    "image/svg+xml; charset=utf-8",
    "image/anything+xml",
    "video/anything+xml",
    "text/html",
    "application/xhtml+xml",
    "application/pdf",
]


def limits(env: Env, **variables: str) -> Limits:
    return configuration({**env, **variables}).limits


def test_without_limits_a_browser_is_told_nothing(env: Env) -> None:
    assert upload_headers({}, limits(env)) == {}
    assert upload_headers({"content_type": "a/b"}, limits(env)) == {"Content-Type": "a/b"}
    wishes = {"content_type": "image/png", "disposition": "inline"}
    assert upload_headers(wishes, limits(env))["Content-Disposition"] == "inline"


@pytest.mark.parametrize(
    "variables",
    [{"UPLOAD_MAX_BYTES": "10"}, {"UPLOAD_CONTENT_TYPES": "image/png"}],
    ids=["size", "type"],
)
def test_where_size_or_type_are_bound_an_object_is_to_be_downloaded(
    env: Env, variables: Env
) -> None:
    wishes = {"content_type": "image/png"}
    bound = limits(env, **variables)
    assert upload_headers(wishes, bound) == {
        "Content-Type": "image/png",
        "Content-Disposition": "attachment",
    }
    shown = upload_headers({**wishes, "disposition": "inline"}, bound)
    assert shown["Content-Disposition"] == "inline"


@pytest.mark.parametrize("content_type", RUNS_SCRIPTS)
def test_what_can_run_scripts_is_never_inline(env: Env, content_type: str) -> None:
    wishes = {"content_type": content_type, "disposition": "inline"}
    with pytest.raises(InvalidParameter, match="disposition: must be attachment") as caught:
        upload_headers(wishes, limits(env, UPLOAD_MAX_BYTES="10"))
    assert caught.value.code == "InvalidParameter.Disposition"


@pytest.mark.parametrize("disposition", ["", "Inline", "inline; x=y", "attachment; a=b", "*"])
def test_a_disposition_is_one_of_two_words(env: Env, disposition: str) -> None:
    wishes = {"content_type": "image/png", "disposition": disposition}
    with pytest.raises(InvalidParameter, match="must be attachment"):
        upload_headers(wishes, limits(env))


def test_of_several_types_all_must_run_nothing(env: Env) -> None:
    wish = {"disposition": "inline"}
    beside_type(wish, ("image/png", "video/mp4"), limits(env))
    for types in ((), ("image/png", "text/html")):
        with pytest.raises(InvalidParameter):
            beside_type(wish, types, limits(env))


def test_insert_only_is_a_header(env: Env) -> None:
    bound = limits(env, OVERWRITE="no")
    assert upload_headers({}, bound) == {"x-oss-forbid-overwrite": "true"}
    assert not bound.may_overwrite


def test_an_extension_is_one_of_the_types(env: Env) -> None:
    bound = limits(env, UPLOAD_CONTENT_TYPES="image/png,image/jpeg,application/x-nobody-knows")
    types = ("image/png", "image/jpeg")
    for extension in ("png", "jpg", "jpeg"):
        beside_type({"ext": extension}, types, bound)
    accepted = r"ext: must be png or jpg or jpeg or left out \(UPLOAD_CONTENT_TYPES\)$"
    with pytest.raises(InvalidParameter, match=accepted):
        beside_type({"ext": "html"}, types, bound)
    with pytest.raises(InvalidParameter, match=r"ext: must be left out \(UPLOAD_CONTENT_TYPES\)$"):
        upload_headers({"ext": "bin", "content_type": "application/x-nobody-knows"}, bound)
    beside_type({"ext": "html"}, (), limits(env, UPLOAD_MAX_BYTES="10"))
