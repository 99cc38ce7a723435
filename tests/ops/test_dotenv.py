"""Tests that we read `.env` as Serverless Devs does. test_serverless_devs.py tries the same rows
with the real program."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotenv_rows import ROWS, SHELL, Row, written
from ops import dotenv, explain
from ops.smoke import __main__ as smoke


def loaded(folder: Path, text: str, **environment: str) -> dotenv.Loaded:
    (folder / ".env").write_text(text, encoding="utf-8")
    return dotenv.load(folder, environment)


def test_without_a_file_the_environment_is_all_there_is(tmp_path: Path) -> None:
    assert dotenv.load(tmp_path, {"A": "$B"}) == ({"A": "$B"}, None, (), ())


def test_the_environment_wins_even_where_it_is_empty(tmp_path: Path) -> None:
    found = loaded(tmp_path, "A=file\nB=file\nC=file\n", A="shell", B="")
    assert found.variables == {"A": "shell", "B": "", "C": "file"}
    assert (found.path, found.names) == (tmp_path / ".env", ("C",))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.text)
def test_a_line_is_read_as_serverless_devs_reads_it(tmp_path: Path, row: Row) -> None:
    found = loaded(tmp_path, written([row]), **SHELL)
    assert found.variables[row.name] == row.arrives
    changes = {(change.name, change.why, change.arrives) for change in found.changes}
    assert changes == ({(row.name, row.why, len(row.arrives))} if row.why else set())


def test_how_much_of_a_value_is_lost_is_counted(tmp_path: Path) -> None:
    found = loaded(tmp_path, "JWT_SECRET=abc#defgh\nB=pa$$word\nC=whole # comment\n")
    assert found.changes == (("JWT_SECRET", 9, 3, "#"), ("B", 8, 3, "$"))


@pytest.mark.parametrize("text", ["A=$A\n", "A=x${B}\nB=$A\n"])
def test_a_variable_that_refers_to_itself_is_told(tmp_path: Path, text: str) -> None:
    """If a variable refers to itself, `s` ends with a RangeError."""
    assert {change.why for change in loaded(tmp_path, text).changes} == {"endless"}


@given(st.text(alphabet=st.sampled_from("AB=:'\"`#$\\{}- \n\r\t\u2028\ufeff_é"), max_size=40))
def test_any_text_is_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    found = loaded(tmp_path_factory.getbasetemp(), text, A="$B")
    for change in found.changes:
        assert change.arrives == len(found.variables[change.name])


@given(st.binary(max_size=40))
def test_any_bytes_are_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / ".env").write_bytes(content)
    dotenv.load(folder, {})


# The commands that read .env


def test_explain_and_smoke_read_it_and_say_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / ".env").write_text("BUCKET_NAME=of-the-file\nURL=http://[\nAUTH=anonymous\n")
    monkeypatch.chdir(tmp_path)
    for name in ("BUCKET_NAME", "URL", "AUTH"):
        monkeypatch.delenv(name, raising=False)
    assert explain.main(dotenv.environment("explain")) == 0
    said = capsys.readouterr()
    assert "of-the-file" in said.out
    assert said.err == "make explain: .env is read: 3 variables; the environment wins over it\n"
    assert smoke.main() == 1
    told, fault = capsys.readouterr().err.splitlines()
    assert told.startswith("make smoke: .env is read")
    assert fault.startswith("make smoke: URL ")
    monkeypatch.setenv("BUCKET_NAME", "of-the-shell")
    assert dotenv.environment("explain")["BUCKET_NAME"] == "of-the-shell"
