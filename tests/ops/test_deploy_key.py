"""Tests that doctor and the docs show the same rights for the key that deploys (finding B10)."""

from __future__ import annotations

import re
from pathlib import Path

from doctored import Env, examined
from ops import ROOT, deploy_key

WITH_DOMAIN = {"DOMAIN_NAME": "up.example.com"}


def actions(**variables: str) -> set[str]:
    return {action for right in deploy_key.needed(variables) for action in right.actions}


def test_each_right_has_a_reason_and_a_source_and_its_names_are_filled_in() -> None:
    for right in deploy_key.needed(WITH_DOMAIN):
        assert right.reason
        assert right.source
        assert all(re.match(r"\*$|acs:(fc|ram):", resource) for resource in right.resources)
        assert "{" not in "".join(right.resources)


def test_a_package_needs_a_right_that_no_function_is_the_resource_of() -> None:
    """Earlier docs required only "fc:* on this function, and no more". With only these rights, the
    first request of a deploy was refused (finding B10)."""
    (found,) = (one for one in deploy_key.needed({}) if "fc:GetTempBucketToken" in one.actions)
    assert found.resources == ("*",)


def test_only_a_domain_needs_the_rights_of_domains() -> None:
    assert not [action for action in actions() if "CustomDomain" in action]
    domain = {"fc:CreateCustomDomain", "fc:GetCustomDomain", "fc:UpdateCustomDomain"}
    assert domain < actions(**WITH_DOMAIN)


def test_no_other_function_is_within_the_rights() -> None:
    """The rights are not for another function whose name begins with this function's name."""
    first = deploy_key.needed({"FUNCTION_NAME": "up"})[0]
    assert first.resources == ("acs:fc:*:*:functions/up", "acs:fc:*:*:functions/up/*")


def test_a_page_names_each_right() -> None:
    told = {
        frozenset(re.findall(r"`((?:fc|ram):[\w*]+)`", page.read_text(encoding="utf-8")))
        for page in (ROOT / "docs").glob("*.md")
    }
    assert any(actions(**WITH_DOMAIN) <= found for found in told)


def test_doctor_says_them_with_the_names_of_the_deployment(shell: Env, tmp_path: Path) -> None:
    own = {"FUNCTION_NAME": "up", "FUNCTION_ROLE_ARN": "acs:ram::1:role/mine"}
    outcome, detail = examined({**shell, **own}, tmp_path)["deploy key"]
    assert outcome == "NOTE"
    assert detail == (
        "the key of `s` needs fc:* on acs:fc:*:*:functions/up, acs:fc:*:*:functions/up/*; "
        "fc:GetTempBucketToken on *; ram:PassRole on acs:ram::1:role/mine"
    )


def test_without_s_no_key_deploys(shell: Env, tmp_path: Path) -> None:
    (tmp_path / "programs" / "s").unlink()
    assert examined(shell, tmp_path)["deploy key"] == ("SKIP", "there is no `s`")
