"""Simulates the log service for the queries of docs/monitoring.md, as far as they use its syntax.

The search follows the vendor documentation, *Search syntax*. The values of a row are split into
words at the delimiters that the index names. Upper and lower case count as the same. A query has
words, `word*`, quoted text (all its words, in any order), `and`, `or`, `not` and brackets. The text
after a `|` is SQL (SQLite) on a table `log`, which holds the rows found.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Callable
from typing import Any

Row = dict[str, str]
"""A row of the log store, by field."""
_Match = Callable[[frozenset[str]], bool]

DELIMITERS = ", '\";=()[]{}?@&<>/:\n\t\r"
"""The characters that separate words in the log by default. They are documented for the resource
type ALIYUN::SLS::Index, in the packages ros-cdk-sls."""
_TOKEN = re.compile(r'"[^"]*"|[()]|[^\s()"]+')


def words(text: str) -> frozenset[str]:
    """The words of a text, in lower case."""
    return frozenset(re.split(f"[{re.escape(DELIMITERS)}]+", text.lower())) - {""}


def search(query: str, rows: list[Row]) -> list[Row]:
    """The rows that a search without SQL finds. Raises SyntaxError."""
    tokens = _TOKEN.findall(query)
    matches = _any_of(tokens)
    if tokens:
        raise SyntaxError(f"left over: {tokens}")
    return [row for row in rows if matches(words(" ".join(row.values())))]


def ask(query: str, rows: list[Row]) -> list[dict[str, Any]]:
    """The rows that a search finds. If `| SELECT ...` follows, return the result of this SQL."""
    found, _, sql = query.partition("|")
    rows = search(found, rows)
    if not sql:
        return [dict(row) for row in rows]
    base = sqlite3.connect(":memory:")
    base.create_function("regexp_extract", 2, _regexp_extract)
    base.create_function("json_extract_scalar", 2, _json_extract_scalar)
    base.create_aggregate("approx_percentile", 2, _Percentile)  # type: ignore[arg-type]
    fields = sorted({name for row in rows for name in row} | {"message"})
    base.execute(f"CREATE TABLE log ({', '.join(fields)})")
    marks = ", ".join("?" * len(fields))
    values = [[row.get(name) for name in fields] for row in rows]
    base.executemany(f"INSERT INTO log VALUES ({marks})", values)  # noqa: S608 - a test's own names
    answer = base.execute(sql)
    names = [column[0] for column in answer.description]
    result = [dict(zip(names, row, strict=True)) for row in answer]
    base.close()
    return result


def _any_of(tokens: list[str]) -> _Match:
    parts = [_all_of(tokens)]
    while _takes(tokens, "or"):
        parts.append(_all_of(tokens))
    return lambda found: any(part(found) for part in parts)


def _all_of(tokens: list[str]) -> _Match:
    parts = [_one(tokens)]
    while tokens and tokens[0] != ")" and tokens[0].lower() != "or":
        if _takes(tokens, "not"):
            excluded = _one(tokens)
            parts.append(lambda found, excluded=excluded: not excluded(found))  # type: ignore[misc]
        elif _takes(tokens, "and"):
            parts.append(_one(tokens))
        else:
            # A space means `or` for the service, but `and` for its console. Therefore our queries
            # must say `and`, `or` or `not`.
            raise SyntaxError(f"and, or, not? before {tokens[0]}")
    return lambda found: all(part(found) for part in parts)


def _one(tokens: list[str]) -> _Match:
    if not tokens:
        raise SyntaxError("a word is missing")
    token = tokens.pop(0)
    if token == "(":
        inner = _any_of(tokens)
        if not _takes(tokens, ")"):
            raise SyntaxError("a bracket is open")
        return inner
    if token.lower() in {"and", "or", "not", ")"}:
        raise SyntaxError(f"a word is missing before {token}")
    if token == "*":
        return lambda _: True
    if token.endswith("*"):
        beginning = token[:-1].lower()
        return lambda found: any(word.startswith(beginning) for word in found)
    wanted = words(token.strip('"'))
    if not token.startswith('"') and wanted != {token.lower()}:
        raise SyntaxError(f"{token} has a delimiter: quote it")
    return lambda found: wanted <= found


def _takes(tokens: list[str], word: str) -> bool:
    if tokens and tokens[0].lower() == word:
        del tokens[0]
        return True
    return False


def _regexp_extract(text: str | None, pattern: str) -> str | None:
    found = re.search(pattern, text or "")
    return found[0] if found else None


def _json_extract_scalar(text: str | None, path: str) -> str | None:
    """Read a value from JSON. As in the service, a number is returned as text."""
    value: Any = json.loads(text) if text else None
    for name in path.removeprefix("$.").split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return None if value is None or isinstance(value, dict) else str(value)


class _Percentile:
    def __init__(self) -> None:
        self.values: list[float] = []
        self.share = 0.0

    def step(self, value: float | None, share: float) -> None:
        self.share = share
        if value is not None:
            self.values.append(value)

    def finalize(self) -> float | None:
        if not self.values:
            return None
        return sorted(self.values)[math.ceil(self.share * len(self.values)) - 1]
