"""The table of `make chaos` shows a loss, even if all other cases went well."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from chaos_table import PROPERTY, Row, Table, Tries
from tests.chaos import __main__ as chaos

Outcome = Literal["passed", "failed", "skipped"]


def told(table: Table, name: str, outcome: Outcome, *rows: Row) -> None:
    """Give the table the three reports that pytest makes for one case."""
    why: Any = ("file", 1, "Skipped: needs root") if outcome == "skipped" else None
    properties = [(PROPERTY, list(row)) for row in rows]
    for when in ("setup", "call", "teardown"):
        is_it = when == "call"
        table.pytest_runtest_logreport(
            pytest.TestReport(
                name,
                ("file", 1, name),
                {},
                outcome if is_it else "passed",
                why if is_it else None,
                when,
                user_properties=[] if when == "setup" else properties,
            )
        )


def test_a_row_says_what_was_tried_and_how_it_ended() -> None:
    table = Table()
    told(table, "f::a", "passed", Row("function and STS", "reset", 2, "503 StsUnreachable", 0.25))
    told(table, "f::b", "failed", Row("function and OSS", "drip", 1, "200 OK", 4.5))
    told(table, "f::c", "failed")
    told(table, "f::d", "skipped", Row("OSS and its disk", "full", 0, "", 0.0))
    text = "\n".join(table.lines())
    assert "function and STS  reset  2      503 StsUnreachable  0.25 s   survived" in text
    assert "LOST" in next(line for line in table.lines() if "drip" in line)
    assert "LOST" in next(line for line in table.lines() if line.strip().startswith("c "))
    assert "not tried: needs root" in text
    assert text.endswith("4 faults, 3 tries: 1 survived, 2 lost, 1 not tried")


@pytest.mark.parametrize(
    ("outcome", "pytests", "code"), [("passed", 0, 0), ("failed", 1, 1), ("passed", 3, 1)]
)
def test_a_loss_ends_with_1(
    outcome: Outcome,
    pytests: int,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(arguments: list[str], plugins: list[Table]) -> int:
        told(plugins[0], "f::a", outcome, Row("function and STS", "reset", 1, "", 0.1))
        return pytests

    monkeypatch.setattr(pytest, "main", run)
    assert chaos.main([]) == code
    assert "1 faults, 1 tries" in capsys.readouterr().out


def test_no_case_at_all_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytest, "main", lambda *_, **__: 0)
    assert chaos.main([]) == 1


def test_an_answer_after_5_s_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([100.0, 105.1])
    monkeypatch.setattr("chaos_table.time.monotonic", lambda: next(moments))
    with pytest.raises(AssertionError):
        Tries().ask(lambda: None)
