"""The code of docs/integrate, as the files that a reader makes of it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from documented_code import DOCS, blocks
from running_cloud import RunningCloud

INTEGRATE = DOCS / "integrate"


def write_files(folder: Path, language: str, page: str) -> list[str]:
    """Write each block of a page that names its file in the first line; return the names."""
    names = []
    for code in blocks(language, INTEGRATE / page):
        if named := re.match(r"(?:#|//) ([\w-]+\.\w+)", code):
            (folder / named[1]).write_text(code, encoding="utf-8")
            names.append(named[1])
    return names


def stored(cloud: RunningCloud, key: str) -> bytes:
    """What lies in the bucket under a key."""
    with cloud.cloud.storage.open(cloud.cloud.bucket, key) as found:
        return b"".join(found.chunks(0, found.info.size))


def keys(cloud: RunningCloud, prefix: str) -> list[str]:
    """What lies in the bucket below a prefix."""
    found = cloud.cloud.storage.keys_from(
        cloud.cloud.bucket, b"", inclusive=True, prefix=prefix.encode(), limit=100
    )
    return [info.key for info in found]


def run_in(
    folder: Path, command: Iterable[str], **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a reader's command in a folder, with no proxy and nothing of the developer's own."""
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        list(command),
        cwd=folder,
        env={**known, **variables},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
