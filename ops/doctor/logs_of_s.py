"""Looks for our secrets in the logs that `s` keeps on this machine.

`s deploy`, `s info`, `s plan` and `s preview` print all variables of the function. `s` writes this
output, and the private key of s.domain.yaml, into its logs. Everybody on the machine may read these
logs (seen in the CLI 3.1.10 with fc3 0.1.22). `s set log disable` stops the logs.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ops.doctor.files import opened
from ops.doctor.patient import Patient
from ops.doctor.serverless_devs import home_of
from ops.report import Finding, passed, skipped, warned
from token_service.settings import variables as v

MAX_ENTRIES = 20_000
"""The largest number of files and folders to look at. `s` makes a folder with three files for each
run."""
MAX_BYTES, MAX_FILE_BYTES = 32 * 1024 * 1024, 8 * 1024 * 1024
"""The limits for all files and for one file. Only the beginning and the end of a larger file are
read."""
SHORTEST_SECRET = 16
"""In bytes. The check does not search for shorter secrets, because a log may contain such a short
text by chance. The function refuses secrets that are so short."""

_SECRETS = (v.JWT_SECRET, v.CALLBACK_SECRET, v.UPLOAD_HOOK_SECRET, v.MULTIPART_SECRET)
_KEY_LINE = b"PRIVATE KEY-----"


class _Log(NamedTuple):
    changed: float
    path: str


def logs_of_s(patient: Patient) -> Finding:
    """Report which secrets are in the logs, and in how many files. The report contains no secret.
    Links are not followed."""
    folder = home_of(patient.shell) / "logs"
    user = Path(patient.shell.get("HOME") or "/")
    name = f"~/{folder.relative_to(user)}" if folder.is_relative_to(user) else str(folder)
    try:
        mode = folder.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return passed(f"there is no {name}")
    except OSError as error:
        return skipped(f"{name} cannot be read ({error.strerror})")
    if stat.S_ISLNK(mode):
        return skipped(f"{name} is a link, which is not followed")
    if not stat.S_ISDIR(mode):
        return passed(f"there is no {name}")
    looked, wanted = _Looked(), _wanted(patient.variables)
    # The newest files come first, so that the limit MAX_BYTES leaves out old files.
    for log in sorted(_logs(folder, looked), reverse=True):
        looked.look_at(log, wanted)
    if not looked.found:
        return passed(f"none of our secrets is in {name}; this check {looked}")
    found = [
        f"{what} in {count} {'file' if count == 1 else 'files'}"
        for what, count in looked.found.items()
    ]
    return warned(
        f"secrets in {name}: {', '.join(found)}. Remove these files with "
        "`s clean --logs`, and prevent new ones with `s set log disable`. Replace every secret "
        f"that others could read in these files. This check {looked}"
    )


class _Looked:
    """How many files and bytes were read, and in how many of the files each secret was found."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}
        self._files = self._bytes = self._unread = 0
        self.is_whole = True

    def look_at(self, log: _Log, wanted: Mapping[str, tuple[bytes, ...]]) -> None:
        """Search one file for all secrets, and count the file. Never raises."""
        if self._bytes >= MAX_BYTES:
            self.is_whole = False
            return
        try:
            parts = list(_parts(log.path))
        except (OSError, ValueError):
            self._unread += 1
            return
        self._files += 1
        self._bytes += sum(map(len, parts))
        self.is_whole = self.is_whole and len(parts) == 1
        for what, spellings in wanted.items():
            if any(spelling in part for spelling in spellings for part in parts):
                self.found[what] = self.found.get(what, 0) + 1

    def could_not_read(self) -> None:
        """Count a folder or a file that cannot be read."""
        self._unread += 1

    def __str__(self) -> str:
        said = f"looked at {self._files} files, {self._bytes / 1024 / 1024:.1f} MB"
        if not self.is_whole:
            said += ", but there are more (large files are read only at both ends)"
        return f"{said}; {self._unread} cannot be read" if self._unread else said


def _logs(folder: Path, looked: _Looked) -> Iterator[_Log]:
    """Yield all files below the folder, up to MAX_ENTRIES entries. Links are not followed."""
    waiting, seen = [str(folder)], 0
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    seen += 1
                    if seen > MAX_ENTRIES:
                        looked.is_whole = False
                        return
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        yield _Log(entry.stat(follow_symlinks=False).st_mtime, entry.path)
        except OSError:
            looked.could_not_read()


def _parts(path: str) -> Iterator[bytes]:
    """Yield the content of a file, or only both ends if the file is large. Raises OSError."""
    with opened(Path(path), follows_links=False) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= MAX_FILE_BYTES:
            yield file.read(MAX_FILE_BYTES)
            return
        yield file.read(MAX_FILE_BYTES // 2)
        file.seek(size - MAX_FILE_BYTES // 2)
        yield file.read(MAX_FILE_BYTES // 2)


def _wanted(variables: Mapping[str, str]) -> dict[str, tuple[bytes, ...]]:
    """Return the byte strings to search for. The key of each entry is the name that a report shows.
    The byte strings are plain text, not regular expressions."""
    wanted: dict[str, tuple[bytes, ...]] = {"a private key": (_KEY_LINE,)}
    for variable in _SECRETS:
        parts = [part.strip() for part in variables.get(variable.name, "").split(",")]
        # In a log, a secret may be part of a JSON text, which escapes some characters.
        quoted = [
            json.dumps(part, ensure_ascii=only)[1:-1] for part in parts for only in (True, False)
        ]
        spellings = {text.encode("utf-8", "surrogateescape") for text in (*parts, *quoted)}
        wanted[variable.name] = tuple(one for one in spellings if len(one) >= SHORTEST_SECRET)
    return wanted
