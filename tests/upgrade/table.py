"""Compares the table in docs/upgrade.md with the differences between this version and 1.0.0 (commit
b291437). Each difference has a row, and each row has a difference.

The id of a difference is `<kind>:<what>`, or `<kind>:<route>:<member>` if it belongs to a route.
In docs/upgrade.md, an id with `*` in place of the route stands for every route. docs/upgrade.md
lists the kinds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

ROUTED = ("answer", "log", "sts", "oss", "hook")
"""A difference of these kinds belongs to a route. Its id names the route, as in
`answer:/form:Object`."""
KINDS = (*ROUTED, "setting", "s.yaml", "s.domain.yaml", "template", "entry")
UNCHECKED = "other"
"""The kind of the differences that the tests in this folder cannot detect."""

COLUMNS = ("id", "what changed", "how it shows", "what keeps the old behaviour")

_MISSING = object()


class Row(NamedTuple):
    """A row of the table in docs/upgrade.md: its ids, and the number of its line in the file."""

    ids: tuple[str, ...]
    line: int


class Difference(NamedTuple):
    """A difference: its id, the deployment where it was seen, and a description."""

    id: str
    where: str
    what: str


def read_rows(markdown: str) -> list[Row]:
    """The rows of all tables whose columns are COLUMNS. Raises ValueError for a malformed row."""
    rows: list[Row] = []
    in_table = False
    for number, line in enumerate(markdown.splitlines(), 1):
        cells = _cells(line)
        if cells == COLUMNS:
            in_table = True
        elif not cells:
            in_table = False
        elif in_table and not all(re.fullmatch("-+", cell) for cell in cells):
            rows.append(_row(cells, number))
    seen: set[str] = set()
    for row in rows:
        for one in row.ids:
            if one in seen:
                raise ValueError(f"line {row.line}: `{one}` has a row already")
            seen.add(one)
    return rows


def require_rows(kinds: Sequence[str], found: Iterable[Difference], rows: Iterable[Row]) -> None:
    """Raise AssertionError with all problems(). The message has the ids for docs/upgrade.md."""
    faults = problems(kinds, found, rows)
    if faults:
        raise AssertionError("\n".join(["docs/upgrade.md and the code disagree:", *faults]))


def problems(kinds: Sequence[str], found: Iterable[Difference], rows: Iterable[Row]) -> list[str]:
    """One text for each difference that has no row, and for each row that has no difference. Only
    these kinds are checked."""
    differences = list(found)
    ids = [one for row in rows for one in row.ids if one.split(":")[0] in kinds]
    # An id that was found several times is reported once.
    unexplained = {
        difference.id: f"no row for `{difference.id}` ({difference.where}): {difference.what}"
        for difference in reversed(differences)
        if not any(_matches(one, difference.id) for one in ids)
    }
    stale = [
        f"the row `{one}` no longer has a difference"
        for one in ids
        if not any(_matches(one, difference.id) for difference in differences)
    ]
    return sorted(unexplained.values()) + stale


def differences(whole: str, where: str, old: Any, new: Any) -> Iterator[Difference]:
    """Yield each member that differs between two JSON values. The id of each difference begins with
    `whole`.

    Two lists with the same number of objects are compared object by object. If two other lists are
    not equal, they count as only one difference.
    """
    for path, what in _compared((), old, new):
        yield Difference(f"{whole}:{'.'.join(path)}" if path else whole, where, what)


def event_differences(
    route: str, where: str, old: dict[str, Any], new: dict[str, Any]
) -> list[Difference]:
    """Return the differences between the old and the new results of one request. `new` has two
    answers, one from each handler.

    If the status or the error code differs, only this difference is reported, because it also
    changes the other members.
    """
    for name in ("StatusCode", "ErrorCode"):
        for handler in ("answer", "wsgi"):
            before, after = old["answer"].get(name), new[handler].get(name)
            if before != after:
                place = f"answer:{route}:{name}:{before}->{after}"
                said = new[handler].get("ErrorMessage", "no error")
                return [Difference(place, f"{where}, {handler}", said)]
    found: list[Difference] = []
    for handler in ("answer", "wsgi"):
        found += differences(f"answer:{route}", where, old["answer"], new[handler])
    for kind in ROUTED[1:]:
        before, after = old.get(kind, _MISSING), new.get(kind, _MISSING)
        found += differences(f"{kind}:{route}", where, before, after)
    return found


def _cells(line: str) -> tuple[str, ...]:
    if not line.startswith("|"):
        return ()
    return tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1])


def _row(cells: tuple[str, ...], number: int) -> Row:
    if len(cells) != len(COLUMNS) or not all(cells):
        raise ValueError(f"line {number}: must have {len(COLUMNS)} cells, and no empty cell")
    ids = tuple(re.findall("`([^`]+)`", cells[0]))
    if not ids or re.sub("`[^`]+`|[, ]|<br>", "", cells[0]):
        raise ValueError(f"line {number}: the first cell must be ids in backticks: {cells[0]}")
    for one in ids:
        kind = one.split(":")[0]
        if kind not in (*KINDS, UNCHECKED) or ":" not in one:
            raise ValueError(
                f"line {number}: `{one}` must be <kind>:<what>, or <kind>:<route>:<member> for "
                f"{', '.join(ROUTED)}; kinds are {', '.join((*KINDS, UNCHECKED))}"
            )
    return Row(ids, number)


def _matches(row: str, difference: str) -> bool:
    if row == difference:
        return True
    (kind, *one), (other_kind, *other) = row.split(":", 2), difference.split(":", 2)
    same_kind = kind == other_kind and kind in ROUTED
    return same_kind and one[0] == "*" and one[1:] == other[1:]


def _compared(path: tuple[str, ...], old: Any, new: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            before, after = old.get(name, _MISSING), new.get(name, _MISSING)
            yield from _compared((*path, name), before, after)
    elif _are_alike(old, new):
        for number, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _compared((*path, str(number)), before, after)
    elif _text(old) != _text(new):
        yield path, f"was {_text(old)}, is {_text(new)}"


def _are_alike(old: Any, new: Any) -> bool:
    """Whether `old` and `new` are lists of the same length that contain only objects."""
    return (
        isinstance(old, list)
        and isinstance(new, list)
        and len(old) == len(new)
        and all(isinstance(item, dict) for item in [*old, *new])
    )


def _text(value: Any) -> str:
    if value is _MISSING:
        return "missing"
    # The values are compared as JSON, so 1, 1.0 and true are different.
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
