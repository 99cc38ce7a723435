"""Tests requests with parameters that are not wishes of the route."""

from __future__ import annotations

import functools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_service.app import App
from token_service.grant import wish_names
from token_service.grant.grants import TOKEN_WISHES
from token_service.grant.refusals import InvalidParameter
from token_service.http.messages import Request

Env = dict[str, str]


def as_is(request: Request) -> Request:
    return request


ADDED_BY_CLIENTS = """
    _ t ts timestamp v version nonce callback sign signature market channel platform os lang device
    appid text next resize sort access_token project filename username
    position objectId object_id policyId Action _method _size
""".split()


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("/signed-url", "max_bytes", "max_bytes: is for other routes: /form"),
        ("/signed-url", "maxBytes", "max_bytes: is for other routes: /form"),
        ("/signed-url", "duration", "duration: is for other routes: /"),
        ("/form", "method", "method: is for other routes: /signed-url"),
        ("/", "expires", "expires: is for other routes: /signed-url, /form"),
        ("/", "name", "name: is for other routes: /signed-url, /form"),
        ("/uploads", "object", "object: is for other routes: /, /signed-url, /form"),
        ("/signed-url", "objct", "object: is misspelt"),
        ("/signed-url", "obejct", "object: is misspelt"),
        ("/signed-url", "Object", "object: must be given once, with exactly this name"),
        ("/form", "max_byte", "max_bytes: is misspelt"),
        ("/form", "content-type", "content_type: must be given once, with exactly this name"),
        ("/", "durations", "duration: is misspelt"),
        ("/uploads", "limits", "limit: is misspelt"),
        ("/signed-url", "sizes", "size: is misspelt"),
    ],
)
def test_a_wish_that_is_not_the_routes_is_refused_by_name(
    env: Env, path: str, name: str, message: str
) -> None:
    secret = {"AUTH": "jwt", "JWT_SECRET": "s" * 32}
    app = App({**env, **(secret if path == "/uploads" else {})})
    asked = [Request("GET", path, {name: "1"})]
    if path != "/uploads":
        asked.append(Request("POST", path, body=json.dumps({name: "1"}).encode()))
    for request in asked:
        with pytest.raises(InvalidParameter) as caught:
            wish_names.check(request.query or json.loads(request.body), wish_names.ROUTES[path])
        assert caught.value.message.startswith(message)
        if path != "/uploads":
            answer = json.loads(app.respond(functools.partial(as_is, request)).body)
            assert answer["ErrorCode"] == caught.value.code
            assert answer["ErrorMessage"] == caught.value.message


@pytest.mark.parametrize("own", wish_names.ROUTES.values(), ids=wish_names.ROUTES)
def test_what_clients_add_on_their_own_is_ignored(own: tuple[str, ...]) -> None:
    wish_names.check([*ADDED_BY_CLIENTS, *own, *own], own)


def test_each_route_knows_its_own_wishes() -> None:
    assert wish_names.ROUTES["/"] == TOKEN_WISHES
    for own in wish_names.ROUTES.values():
        assert len(set(own)) == len(own)


@given(st.lists(st.text() | st.sampled_from(["objec", "OBJECT", "", "-", "\ud800"]), max_size=200))
def test_whatever_else_is_sent_is_ignored_or_refused_by_a_known_name(given_: list[str]) -> None:
    known = {name for own in wish_names.ROUTES.values() for name in own}
    assert refused_name(given_) in {None, "body", *known}


def test_no_crowd_of_names_hides_a_misspelt_one() -> None:
    crowd = [f"x{number}" for number in range(63)]
    assert refused_name([*crowd, "objct"]) == "object"
    assert refused_name([*crowd, "y", "objct"]) == "body"


def test_a_crowd_of_names_is_refused_with_how_many_may_be_there() -> None:
    with pytest.raises(InvalidParameter) as caught:
        wish_names.check([f"x{number}" for number in range(65)], wish_names.FORM)
    assert caught.value.message.startswith("body: must ")
    assert "64" in caught.value.message
    wish_names.check([f"x{number}" for number in range(64)], wish_names.FORM)


def test_a_misspelt_wish_is_found_among_many_other_names() -> None:
    others = [f"app_{number}" for number in range(40)]
    for given_ in (["objct", *others], [*others, "objct"]):
        assert refused_name(given_) == "object"


def refused_name(given_: list[str]) -> str | None:
    try:
        wish_names.check(given_, wish_names.FORM)
    except InvalidParameter as error:
        return error.message.partition(":")[0]
    return None
