"""docs/stack.md names the parameters and the outputs of template.yml, in the order of the
template."""

from __future__ import annotations

import re
from typing import Any

import yaml

from ops import ROOT

PAGE = (ROOT / "docs" / "stack.md").read_text(encoding="utf-8")
TEMPLATE: dict[str, Any] = yaml.safe_load((ROOT / "template.yml").read_text(encoding="utf-8"))
INTERFACE = TEMPLATE["Metadata"]["ALIYUN::ROS::Interface"]


def rows(head: str) -> list[list[str]]:
    """Return the cells of each row of the table with this head."""
    table = PAGE.partition(f"{head}\n|---")[2].partition("\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]


def named(cell: str) -> list[str]:
    return re.findall("`(\\w+)`", cell)


def test_each_parameter_stands_in_its_group() -> None:
    told: dict[str, set[str]] = {}
    group = ""
    for first, parameters, _ in rows("| group | parameters | shown |"):
        group = first or group
        told.setdefault(group, set()).update(named(parameters))
    groups = INTERFACE["ParameterGroups"]
    assert told == {one["Label"]["default"]["en"]: set(one["Parameters"]) for one in groups}
    assert list(told) == [one["Label"]["default"]["en"] for one in groups]
    assert set.union(*told.values()) == TEMPLATE["Parameters"].keys()


def test_what_is_always_shown_is_hidden_by_nothing() -> None:
    for _, parameters, shown in rows("| group | parameters | shown |"):
        for name in named(parameters):
            metadata = TEMPLATE["Parameters"][name].get("AssociationPropertyMetadata", {})
            assert ("Visible" in metadata) is (shown != "always"), name


def test_what_hides_a_parameter_is_told() -> None:
    by = {
        "for a new bucket": {"BucketChoice"},
        "for an existing bucket": {"BucketChoice"},
        "with `AllowedOrigins`": {"AllowedOrigins"},
        "with the function": {"CreateFunction"},
        "with the function and `Auth` = jwt": {"CreateFunction", "Auth"},
    }
    for _, parameters, shown in rows("| group | parameters | shown |"):
        for name in named(parameters):
            condition = str(TEMPLATE["Parameters"][name].get("AssociationPropertyMetadata"))
            looked_at = set(re.findall(r"\$\{(\w+)\}", condition))
            if shown in by:
                assert looked_at == by[shown], name
            elif shown != "always":
                assert {name.replace("Secret", "Url")} <= looked_at, name


def test_the_outputs_stand_in_the_order_of_the_console() -> None:
    told = [named(first)[0] for first, _ in rows("| output | what it is |")]
    assert told == INTERFACE["Outputs"]
    assert set(told) == TEMPLATE["Outputs"].keys()
