"""Runs the smoke test in this process, and checks that it prints no secret."""

from __future__ import annotations

from dataclasses import dataclass

from ops.report import table
from ops.smoke import checks
from ops.smoke.options import read_options

KEY = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tOperator",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "operator-access-key-secret",
}


@dataclass(frozen=True)
class Table:
    """The lines by name, and the whole text as it is printed."""

    lines: dict[str, tuple[str, str]]
    text: str

    def check(self, name: str, outcome: str, *words: str) -> None:
        """Check that this line has this outcome and these words."""
        found, detail = self.lines[name]
        assert found == outcome, self.text
        for word in words:
            assert word in detail, self.text

    @property
    def failed(self) -> set[str]:
        return {name for name, (outcome, _) in self.lines.items() if outcome == "FAIL"}


def smoke(url: str, /, **env: str) -> Table:
    """Run the checks of `make smoke` on the function at `url`. `env` has the variables of the
    command."""
    found, secrets = checks.run(read_options({"URL": url, **env}))
    # In `make smoke`, the last step removes secrets from the printed lines. This function leaves
    # that step out, and checks that the lines contain no secret without it.
    text = table(found)
    for secret in (*secrets, env.get("LOGIN", ""), KEY["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]):
        assert not secret or secret not in text
    lines = {check.name: (check.finding.outcome.value, check.finding.detail) for check in found}
    assert len(lines) == len(found)
    assert len(text.splitlines()) == len(found) + 2
    return Table(lines, text)
