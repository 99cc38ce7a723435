"""Our two JSON encoders write the same text as the standard library."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_service.encoding import compact, compact_unicode

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(documents)
def test_it_is_what_json_writes(document: object) -> None:
    assert compact(document) == json.dumps(document, separators=(",", ":"))
    assert compact_unicode(document) == json.dumps(
        document, separators=(",", ":"), ensure_ascii=False
    )


@pytest.mark.parametrize("value", [b"bytes", object(), {1j: ""}, {"inner": [{""}]}])
def test_what_is_no_json_is_an_error(value: object) -> None:
    with pytest.raises(TypeError):
        compact(value)
