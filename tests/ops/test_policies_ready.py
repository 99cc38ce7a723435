"""Tests that policies that were rendered in advance are equal to Jinja2's output for any values.
Only the policies that template.yml offers are rendered in advance."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops import policies_ready
from ops.package import POLICIES
from ops.policies_described import offered
from token_service.errors import PolicyError
from token_service.grant.policies import SUFFIX, filled
from token_service.grant.templates import compiled

TEMPLATES = {name: (POLICIES / f"{name}{SUFFIX}").read_text(encoding="utf-8") for name in offered()}
ANY = st.text(max_size=60) | st.text(
    alphabet=st.sampled_from('ab/\\"*?${}%<>bucketkeysprefix,.\u2028\ud800\x00\n\u7167'),
    max_size=40,
)


def test_it_was_made_again() -> None:
    """If this test fails, run `make docs`."""
    assert policies_ready.PAGE.read_text(encoding="utf-8") == policies_ready.text()


def test_every_policy_that_is_offered_is_ready_and_no_other() -> None:
    made = json.loads(policies_ready.text())
    assert set(made) == {hashlib.sha256(text.encode()).hexdigest() for text in TEMPLATES.values()}


@given(ANY, ANY, ANY | st.none(), st.sampled_from(offered()))
def test_it_is_what_jinja2_renders(
    bucket: str, prefix: str, object_key: str | None, name: str
) -> None:
    template, values = TEMPLATES[name], (bucket, prefix, object_key)
    ready = filled(policies_ready.ready(template), *values)
    assert json.loads(ready) == json.loads(compiled(template, name, "POLICY_FILE")(*values))


@pytest.mark.parametrize(
    "template",
    [
        "{% if bucket %}{% endif %}",
        "{% if bucket == 'a' %}{% endif %}",
        "{% if bucket is defined %}{% endif %}",
        "{% if prefix is not defined %}{% endif %}",
        "{% if prefix is string %}{% endif %}",
        "{% if prefix is defined %}{% elif keys == 'a' %}{% endif %}",
        "{% for letter in keys %}{% endfor %}",
        "{% set bucket = keys %}{{ bucket }}",
        "{{ bucket | upper }}",
        "{{ bucket.upper() }}",
        "{{ bucket[0] }}",
        "{{ bucket ~ keys }}",
        "{{ bucket if prefix is defined }}",
        "{{ 'text' }}",
        "{{ other }}",
        "<bucket>",
    ],
)
def test_a_template_that_does_more_than_print_is_left_to_jinja2(template: str) -> None:
    assert policies_ready.is_plain("{{ bucket }}{% if prefix is defined %}{{ prefix }}{% endif %}")
    assert not policies_ready.is_plain(template)


def test_a_percent_sign_stays_one() -> None:
    ready = policies_ready.ready('["%s%(bucket)s{{ bucket }}"]')
    assert filled(ready, "b%s", "p/", None) == '["%s%(bucket)sb%s"]'


def test_a_template_that_fails_for_an_object_is_not_ready() -> None:
    with pytest.raises(PolicyError, match="'prefix' is undefined"):
        policies_ready.ready('["{{ prefix }}"]')
