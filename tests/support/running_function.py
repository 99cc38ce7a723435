"""Serves the function over HTTP, like its trigger. The function calls the sandbox's STS and OSS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from running_cloud import RunningCloud, running_cloud
from sandbox import gateway
from sandbox.servers import Service, in_background, listen
from token_service.http import fc_event


@dataclass(frozen=True)
class RunningFunction:
    """The function's token URL, and the sandbox behind it."""

    url: str
    cloud: RunningCloud


@contextmanager
def running_function(folder: Path, **variables: str) -> Iterator[RunningFunction]:
    """Run the function with these variables set, on a free port of 127.0.0.1."""
    with running_cloud(folder, is_public_closed=False, **variables) as cloud:

        def handler(event: bytes, context: object) -> dict[str, object]:
            return fc_event.write(cloud.app.respond(lambda: fc_event.read(event)))

        def initialize(context: object) -> None:
            cloud.app.warm()

        service = Service(gateway.create_app(handler, initialize), listen(0))
        with in_background([service]):
            yield RunningFunction(f"http://127.0.0.1:{service.port}/", cloud)
