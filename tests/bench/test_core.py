"""Tests `make core`: the report, and the golden file that it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import core
from bench.core import Asked, CoreError, Loaded

INDEX = Loaded("index", 48, 0.5)
TOKEN = Loaded("token_service.routes.token", 23, 1.25)
FORM = Loaded("token_service.routes.form", 26, 0.75)
ASKED = {
    "/": Asked({}, (INDEX, TOKEN), 80.0, 40.0),
    "/form": Asked({}, (INDEX, FORM), 80.0, 40.0),
}


@pytest.fixture
def golden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a test's golden file. `ask_all` is replaced by a fake, so no route is called."""
    path = tmp_path / "golden" / "loaded_modules.json"
    monkeypatch.setattr(core, "GOLDEN", path)
    monkeypatch.setattr(core, "ROOT", tmp_path)
    monkeypatch.setattr(core, "ask_all", lambda: ASKED)
    monkeypatch.delenv("WRITE", raising=False)
    return path


def test_the_token_path_comes_first_and_of_other_routes_what_they_add() -> None:
    text = "\n".join(core.report(ASKED))
    token, form = text.split("/form: the token path and")
    assert "   71    1.8  2 modules (at most 2300 lines)" in token
    assert "import index 80 ms, first answer 40 ms" in token
    assert TOKEN.name in token
    assert f"   26    0.8  {FORM.name}" in form
    assert INDEX.name not in form
    assert f"without {TOKEN.name}" in form


def test_a_difference_fails_and_says_how_to_accept_it(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert core.main() == 1
    assert (
        "loaded_modules.json differs. To accept it, run `make core WRITE=1`."
        in capsys.readouterr().out
    )
    assert not golden.exists()


def test_write_accepts_what_is_loaded(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRITE", "1")
    assert core.main() == 0
    assert json.loads(golden.read_text()) == {
        "/": [INDEX.name, TOKEN.name],
        "/form": [INDEX.name, FORM.name],
    }
    monkeypatch.delenv("WRITE")
    assert core.main() == 0


@pytest.mark.parametrize(
    ("index", "fault"),
    [
        ("raise SystemExit('it broke')", "/ was not answered: it broke"),
        (
            "initialize = repr\n"
            'handler = lambda *_: {"body": \'{"StatusCode": 500, "ErrorCode": "Odd"}\'}',
            "/ was answered with an error: .*Odd",
        ),
    ],
    ids=["a crash", "an error"],
)
def test_a_route_that_does_not_answer_is_no_measurement(
    tmp_path: Path, index: str, fault: str
) -> None:
    (tmp_path / "index.py").write_text(index)
    with pytest.raises(CoreError, match=fault):
        core.ask_all(tmp_path)
