"""Describes what each bundled policy allows, from its template alone.

It renders a template as the function does, and the sandbox's evaluator judges each operation. A new
policy therefore needs no code, only a file in policies/. Tests compare the result with the table of
docs/policies.md and the lists of template.yml (tests/ops/test_policies_described.py says what to
write there).

If the first comment of a file begins with "not offered", template.yml does not list this policy,
but operators may name it. The first comment of a policy that opens more than the caller's folder
must begin with "not offered".
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from ops.explain import places, rows
from ops.package import POLICIES
from sandbox.ram import Policy, PolicyGrammarError
from token_service.errors import ServiceError
from token_service.grant.grants import Grant
from token_service.grant.policies import NAME, SUFFIX, Policies

WRITES = ("put, form upload", "append", "multipart upload", "resume (ListParts)", "abort")
READS = ("get, signed GET URL", "head, does it exist")
LISTS = ("list the folder",)
"""The columns of the table in docs/policies.md, with the names of operations.py."""

NOT_OFFERED = re.compile(r"\s*\{#-?\s*not offered\b", re.IGNORECASE)
# Any values are possible here, because the allowed operations do not depend on them.
_ACCOUNT, _BUCKET, _PREFIX, _NEIGHBOUR = "1", "bucket", "uploads/alice/", "uploads/alice2/"


class Described(NamedTuple):
    """A bundled policy: its name, and what a token for a whole folder may do with it.

    `allowed` has the names (of operations.py) of the operations that are allowed in the caller's
    own folder. `is_confined`: no operation is allowed in other folders. `is_offered`: template.yml
    offers the policy.
    """

    name: str
    allowed: frozenset[str]
    is_confined: bool
    is_offered: bool

    @property
    def can_upload(self) -> bool:
        """Whether a plain upload is allowed."""
        return WRITES[0] in self.allowed

    def row(self) -> str:
        """Return the policy's row of the table in docs/policies.md."""
        cells = [self._cell(WRITES), self._cell(READS), self._cell(LISTS)]
        if not self.is_confined:
            cells = [
                "everything that the upload role may do, in every folder (only for a first test)"
            ]
            cells += ["", ""]
        return f"| `{self.name}` |" + "".join(f" {cell} |" if cell else " |" for cell in cells)

    def _cell(self, operations: Sequence[str]) -> str:
        found = [name for name in operations if name in self.allowed]
        return "yes" if len(found) == len(operations) else ", ".join(found)


def names() -> tuple[str, ...]:
    """Return the names of the bundled policies, sorted."""
    found = (path.name.removesuffix(SUFFIX) for path in POLICIES.glob(f"*{SUFFIX}"))
    return tuple(sorted(name for name in found if re.fullmatch(NAME, name)))


def bundled() -> Mapping[str, Described]:
    """Return the bundled policies by name; policies that allow more come later. Never raises.

    Operators may put their own templates into policies/. If the evaluator does not understand such
    a template, the result does not contain this template.
    """
    found = []
    for name in names():
        with contextlib.suppress(ServiceError, PolicyGrammarError):
            found.append(describe(name))
    found.sort(key=lambda one: (not one.is_confined, len(one.allowed)))
    return MappingProxyType({one.name: one for one in found})


def offered() -> tuple[str, ...]:
    """Return the names of the policies that template.yml offers. The last policy allows the most
    operations."""
    return tuple(name for name, one in bundled().items() if one.is_offered)


@lru_cache(maxsize=64)
def describe(name: str) -> Described:
    """Judge one bundled policy.

    Raises Misconfiguration or PolicyError for a template that does not load or render, and
    PolicyGrammarError for a template that the evaluator does not fully understand.
    """
    grant = Grant(_BUCKET, _PREFIX, None, name, 900, "alice")
    policy = Policy.parse(Policies([name]).render(grant))
    judged = list(rows(policy, places(grant, _NEIGHBOUR), _ACCOUNT))
    return Described(
        name=name,
        allowed=frozenset(row.operation for row in judged if row.allowed["own"]),
        is_confined=not any(
            allowed for row in judged for place, allowed in row.allowed.items() if place != "own"
        ),
        is_offered=not NOT_OFFERED.match(_text(name)),
    )


def _text(name: str) -> str:
    return (POLICIES / f"{name}{SUFFIX}").read_text(encoding="utf-8")
