"""A process that runs measured.py, and how it is spoken to."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from bench.copies import CompareError, Python, last_line

_MEASURED = Path(__file__).with_name("measured.py")


class Process(NamedTuple):
    """A copy of the function in a process of its own; `name` is what an error calls it."""

    name: str
    popen: subprocess.Popen[str]
    errors: IO[str]

    def ask(self, line: str) -> dict[str, Any]:
        """What measured.py answers to a line; raises CompareError where the process has ended."""
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
    name: str, folder: Path, python: Python, environment: Mapping[str, str]
) -> Iterator[Process]:
    """A fresh process for the copy in a folder, which ends with the block."""
    command = [python.path, "-I", "-S", "-B", str(_MEASURED), str(folder)]
    # A file, not a pipe: nobody would empty it.
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
        ) as popen,
    ):
        yield Process(name, popen, errors)
