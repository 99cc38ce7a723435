"""Evaluates policies with sandbox/ram.py and with naive_ram.py, which must agree."""

from __future__ import annotations

import json

import naive_ram
from sandbox.identities import Identity
from sandbox.ram import Access, Effect, Policy


class Judges:
    """Asks both evaluators of policies about the same policies: the policies of a role, and a
    session policy if there is one. Each policy is JSON text.

    Raises PolicyGrammarError for a text that the sandbox does not accept as a policy.
    """

    def __init__(self, *policies: str, session: str | None = None) -> None:
        self._documents = [json.loads(policy) for policy in policies]
        self._session = None if session is None else json.loads(session)
        self._identity = Identity(
            "",
            "",
            "acs:ram::1:role/upload/session",
            tuple(map(Policy.parse, policies)),
            None if session is None else Policy.parse(session),
        )

    def verdicts(self, access: Access) -> tuple[Effect, Effect]:
        """Return two decisions about an access: the sandbox's, and the naive evaluator's."""
        decision = self._identity.decide(access)
        sandbox = Effect.ALLOW if decision.allowed else Effect(decision.no_permission_type)
        naive = naive_ram.judge(
            self._documents, access.action, access.resource, access.context, self._session
        )
        return sandbox, Effect[naive]

    def evaluate(self, access: Access) -> Effect:
        """The decision of both evaluators. Raises AssertionError if they disagree."""
        sandbox, naive = self.verdicts(access)
        assert sandbox is naive, f"the sandbox says {sandbox}, the naive evaluator {naive}"
        return sandbox
