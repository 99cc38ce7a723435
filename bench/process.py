"""Starts processes that run measured.py, and talks to them."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from bench.copies import CompareError, last_line

_MEASURED = Path(__file__).with_name("measured.py")


class Process(NamedTuple):
    """A function in its own process. Error messages have its `name`. `began` is a value of
    time.perf_counter()."""

    name: str
    popen: subprocess.Popen[str]
    errors: IO[str]
    began: float

    def ask(self, line: str) -> dict[str, Any]:
        """Send a line to measured.py, and return its answer. Raises CompareError if the process
        has ended."""
        stdin, stdout = self.popen.stdin, self.popen.stdout
        assert stdin is not None
        assert stdout is not None
        with suppress(BrokenPipeError):
            stdin.write(f"{line}\n")
            stdin.flush()
        answer = stdout.readline()
        if not answer:
            with suppress(BrokenPipeError):
                stdin.close()
            self.popen.wait()
            self.errors.seek(0)
            raise CompareError(f"{self.name} does not run: {last_line(self.errors.read())}")
        found: dict[str, Any] = json.loads(answer)
        return found


@contextmanager
def started(
    name: str,
    folders: Sequence[Path],
    python: str,
    environment: Mapping[str, str],
    *,
    port: int = 0,
    before: Sequence[str] = (),
) -> Iterator[Process]:
    """A fresh process for the function in the first folder. The process ends when the block ends.

    measured.py explains `port`. `before` is put before the command of the process.
    """
    command = [*before, python, "-I", "-S", "-B", str(_MEASURED), str(port), *map(str, folders)]
    began = time.perf_counter()
    # Errors go to a file, because nobody would read a pipe while the process runs.
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folders[0],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
        ) as popen,
    ):
        yield Process(name, popen, errors, began)
