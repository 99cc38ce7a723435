"""The operator's limits on signed URLs and forms, and the routes that the operator has opened."""

from __future__ import annotations

import pytest

from token_service.errors import Misconfiguration
from token_service.grant.refusals import InvalidParameter
from token_service.settings.parsing import Reader, Refused
from token_service.settings.values import ROUTE_WORDS
from token_service.signing import limits
from token_service.signing.limits import Limits

GIB = 1024**3


def read(**variables: str) -> Limits:
    return limits.read(Reader(variables))


def test_nothing_that_is_set_is_the_documented_default() -> None:
    assert read() == Limits(
        url_seconds=900,
        max_url_seconds=900,
        max_bytes=GIB,
        max_url_bytes=5 * GIB,
        needs_size=False,
        content_types=(),
        binds_content=False,
        may_overwrite=True,
    )


def test_what_is_set_holds() -> None:
    made = read(
        URL_EXPIRE_TIME="60",
        URL_EXPIRE_TIME_MAX="604800",
        UPLOAD_MAX_BYTES="10",
        UPLOAD_CONTENT_TYPES="image/png",
        OVERWRITE="no",
        ENABLED_ROUTES="form",
    )
    assert made == Limits(60, 604800, 10, 10, True, ("image/png",), True, False)
    assert not read(UPLOAD_MAX_BYTES="10").needs_size
    assert not read(UPLOAD_MAX_BYTES="10", ENABLED_ROUTES="token,form").needs_size
    assert not read(ENABLED_ROUTES="form").needs_size


@pytest.mark.parametrize("variables", [{"UPLOAD_MAX_BYTES": "1"}, {"UPLOAD_CONTENT_TYPES": "a/b"}])
def test_a_bound_size_or_type_binds_the_content(variables: dict[str, str]) -> None:
    assert read(**variables).binds_content


def test_the_longest_life_is_not_shorter_than_the_usual_one() -> None:
    assert read(URL_EXPIRE_TIME="60", URL_EXPIRE_TIME_MAX="60").max_url_seconds == 60
    with pytest.raises(Misconfiguration, match=r"URL_EXPIRE_TIME_MAX: .* 60 to 604800"):
        read(URL_EXPIRE_TIME="60", URL_EXPIRE_TIME_MAX="59")


def test_a_size_that_the_operator_bounds_names_the_variable() -> None:
    assert read(UPLOAD_MAX_BYTES="10").size("10", 0) == 10
    assert read().size("1", 1) == 1
    with pytest.raises(InvalidParameter, match=r"size: .*bytes, 1 to 10 \(UPLOAD_MAX_BYTES\)$"):
        read(UPLOAD_MAX_BYTES="10").size("11", 1)
    # If the limit is OSS's own, the message names no variable, even if the operator has set the
    # same value.
    for made in (read(), read(UPLOAD_MAX_BYTES=str(5 * GIB))):
        with pytest.raises(InvalidParameter, match=f"size: .*bytes, 0 to {5 * GIB}$"):
            made.size("x", 0)


def test_all_routes_can_be_named_and_one_at_least_is() -> None:
    assert limits.routes("form") == ("form",)
    assert limits.routes(" form , token,form") == ("form", "token")
    assert limits.routes(",".join(ROUTE_WORDS)) == ROUTE_WORDS
    for text in ("", ",", "callback", "form,health", "Form"):
        with pytest.raises(Refused, match=f"one or more of {', '.join(ROUTE_WORDS)}"):
            limits.routes(text)
