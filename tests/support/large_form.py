"""Sends one large form to an OSS in this process, and prints its peak memory (test_oss_forms.py).

Arguments: the folder, and the size of the file in bytes. Prints the peak memory before and after
the form, in KiB, and the size of the stored object.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from starlette.types import Message, Scope

from post_forms import BOUNDARY, multipart
from running_oss import BUCKET, REGION
from sandbox.identities import Identities
from sandbox.oss import Storage, create_app

CHUNK = b"x" * 64 * 1024


def peak() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux, ru_maxrss also counts memory that the parent process used before this program
        # started.
        lines = dict(line.split(":") for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


async def main(folder: Path, size: int) -> None:
    storage = Storage(folder)
    storage.create_bucket(BUCKET, acl="public-read-write")
    app = create_app(storage, Identities("1", b"seal", [], []), region=REGION)
    small = multipart([('name="key"', b"large"), ('name="file"; filename="a"', b"")])
    head, tail = small[: -len(BOUNDARY) - 8], small[-len(BOUNDARY) - 8 :]
    pieces = iter([head, *[CHUNK] * (size // len(CHUNK)), tail])
    left = 2 + size // len(CHUNK)
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": f"/{BUCKET}/",
        "raw_path": f"/{BUCKET}/".encode(),
        "query_string": b"",
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"content-length", str(size + len(small)).encode()),
            (b"content-type", f"multipart/form-data; boundary={BOUNDARY}".encode()),
        ],
        "client": ("127.0.0.1", 1),
    }

    async def receive() -> Message:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": next(pieces), "more_body": left > 0}

    async def send(message: Message) -> None:
        assert message.get("status", 204) == 204, message

    before = peak()
    await app(scope, receive, send)
    sys.stdout.write(f"{before} {peak()} {storage.get(BUCKET, 'large').size}\n")
    storage.close()


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
