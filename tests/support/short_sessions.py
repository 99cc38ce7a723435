"""`python -m short_sessions SECONDS run …`: the sandbox with an STS that ends sessions early.

A session of the real STS is valid for at least 900 s, which is longer than a soak. A soak must also
test tokens that have expired, so here tokens are valid for at most SECONDS.
"""

from __future__ import annotations

import sys

from sandbox import __main__ as sandbox
from sandbox.identities import Identities, Role, SessionCredentials

LONGEST = int(sys.argv[1])
assume = Identities.assume


def assume_shortly(
    self: Identities, role: Role, session_name: str, session_policy: str | None, seconds: int
) -> SessionCredentials:
    return assume(self, role, session_name, session_policy, min(seconds, LONGEST))


if __name__ == "__main__":
    Identities.assume = assume_shortly  # type: ignore[method-assign]
    sys.exit(sandbox.main(sys.argv[2:]))
