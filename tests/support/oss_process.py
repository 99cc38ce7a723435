"""Runs the sandbox's OSS in its own process, for tests that kill the process or limit the size of
its files."""

from __future__ import annotations

import http.client
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import oss2

from post_forms import BOUNDARY, multipart, v4_form
from running_oss import ACCOUNT, BUCKET, REGION
from running_sandbox import environment
from sandbox.identities import AccessKey

KEY = AccessKey("LTAI5tRoot", "root-secret", f"acs:ram::{ACCOUNT}:root", None)
# This module does not use running_oss, because running_oss loads the SDKs, which takes seconds.
_SERVE = """
import resource, sys
from pathlib import Path
from sandbox.identities import AccessKey, Identities
from sandbox.oss import Storage, create_app
from sandbox.servers import Service, in_background, listen
folder, limit, bucket, region, account, *key = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
storage = Storage(Path(folder))
storage.create_bucket(bucket)
identities = Identities(account, b"seal key", [AccessKey(*key, None)], [])
service = Service(create_app(storage, identities, region=region), listen(0))
with in_background([service]):
    print(service.port, flush=True)
    sys.stdin.read()
"""


class Answer(NamedTuple):
    """OSS's answer; `code` is "" for a success."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        found = re.search(b"<Code>(.*?)</Code>", self.body)
        return found[1].decode() if found else ""


@dataclass(frozen=True)
class OssProcess:
    """A running OSS process. Each request has its own connection."""

    process: subprocess.Popen[str]
    port: int
    folder: Path

    def path(self, method: str, key: str, **query: str) -> str:
        """A signed URL, without its host."""
        auth = oss2.AuthV4(KEY.access_key_id, KEY.access_key_secret)
        host = f"127.0.0.1:{self.port}"
        bucket = oss2.Bucket(auth, f"http://{host}", BUCKET, region=REGION)
        url: str = bucket.sign_url(method, key, 600, params=query, slash_safe=True)
        return url.partition(host)[2]

    def ask(self, method: str, key: str, body: bytes = b"", **query: str) -> Answer:
        """Send a signed request."""
        return self.send(method, self.path(method, key, **query), body)

    def send(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request unchanged. Raises OSError, http.client.HTTPException."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, body, dict(headers or {}))
            reply = connection.getresponse()
            names = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, names, reply.read())

    def put(self, key: str, data: bytes) -> Answer:
        return self.ask("PUT", key, data)

    def get(self, key: str) -> bytes | None:
        """The object's bytes; None if there is no such object."""
        found = self.ask("GET", key)
        assert found.status in (200, 404), found
        return found.body if found.status == 200 else None

    def append(self, key: str, position: int, data: bytes) -> Answer:
        return self.ask("POST", key, data, append="", position=str(position))

    def post_form(self, key: str, data: bytes) -> Answer:
        head, body = form(key, data)
        return self.send("POST", f"/{BUCKET}/", body, head)

    def begin(self, key: str) -> str:
        """Begin an upload in parts; return its id."""
        found = re.search(b"<UploadId>(.*?)<", self.ask("POST", key, uploads="").body)
        assert found is not None
        return found[1].decode()

    def put_part(self, key: str, upload_id: str, number: int, data: bytes) -> Answer:
        return self.ask("PUT", key, data, partNumber=str(number), uploadId=upload_id)

    def complete(self, key: str, upload_id: str, parts: Sequence[Answer]) -> Answer:
        return self.ask("POST", key, document(parts), uploadId=upload_id)

    def in_parts(self, key: str, *parts: bytes) -> Answer:
        """Do a complete upload in parts; return the last answer, or the first refusal."""
        upload_id, stored = self.begin(key), []
        for number, part in enumerate(parts, 1):
            stored.append(self.put_part(key, upload_id, number, part))
            if stored[-1].status != 200:
                return stored[-1]
        return self.complete(key, upload_id, stored)

    def open_now(self) -> tuple[int, int]:
        """How many descriptors and threads the process has."""
        of = Path(f"/proc/{self.process.pid}")
        return len(list((of / "fd").iterdir())), len(list((of / "task").iterdir()))


def form(key: str, data: bytes) -> tuple[dict[str, str], bytes]:
    """A signed form, as a browser posts it: headers and body."""
    fields = v4_form(KEY, [{"bucket": BUCKET}], {"key": key})
    parts = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
    body = multipart([*parts, ('name="file"; filename="a"', data)])
    return {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, body


def document(parts: Sequence[Answer]) -> bytes:
    """The XML that completes an upload of these parts. The first part has the number 1."""
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
        for number, part in enumerate(parts, 1)
    )
    return f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()


def litter(folder: Path) -> set[str]:
    """Return the names of two kinds of data files: files that no object or part uses, and missing
    files that an object or a part needs."""
    with closing(sqlite3.connect(folder / "index.sqlite3")) as index:
        named = {name for (name,) in index.execute("SELECT file FROM parts")}
        for (files,) in index.execute("SELECT files FROM objects"):
            named |= {name for name, _ in json.loads(files)}
    return named ^ {path.name for path in (folder / "data").iterdir()}


@contextmanager
def oss_process(folder: Path, *, file_bytes: int = 0) -> Iterator[OssProcess]:
    """Run an OSS process. If `file_bytes` is given, the system limits each file to this size."""
    key = (KEY.access_key_id, KEY.access_key_secret, KEY.arn)
    given = (BUCKET, REGION, ACCOUNT, *key)
    said = folder.with_name(f"{folder.name}.log")
    with (
        said.open("ab") as log,
        subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(folder), str(file_bytes), *given],
            env=environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield OssProcess(process, int(process.stdout.readline()), folder)
        finally:
            process.kill()
