"""Start the function as the platform does, and let it answer the calls on stdin.

Run this script with `python -I -B runner.py FOLDER`, and with the function's variables as its
environment. It knows only the names of the function's entry points. The script first prints the
parameters of these entry points, as a line of JSON. Then it reads a call from each line of stdin,
and answers the call with a line on stdout: `{"answer": ..., "log": [...]}`.

A call names its entry point: `index.handler` with an `event`, `wsgi.handler` with an `environ`,
`index.initialize` or `index.check`. An `environ` comes as JSON, so its `wsgi.input` is text, not a
stream. If `index.check` raises an error, the answer is that error.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
import logging
import sys
from types import SimpleNamespace
from typing import Any

ENTRY_POINTS = (
    "index.handler",
    "index.initialize",
    "index.check",
    "wsgi.handler",
    "wsgi.initialize",
)


class Log(logging.Handler):
    """Keeps the log messages. It is a handler of the root logger, as the platform's handler is."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def entry_point(name: str) -> Any:
    """The object with this name; None if there is none."""
    module, _, member = name.partition(".")
    return getattr(importlib.import_module(module), member, None)


def signature(function: Any) -> str:
    """The names and defaults of a function's parameters. Annotations are left out, because the
    platform does not use them."""
    if function is None:
        return "missing"
    parameters = inspect.signature(function).parameters.values()
    return ", ".join(str(one.replace(annotation=one.empty)) for one in parameters)


def answer(call: dict[str, Any]) -> Any:
    """The answer of a call's entry point."""
    name = call["entry"]
    function = entry_point(name)
    if name == "index.handler":
        return function(json.dumps(call["event"]).encode(), SimpleNamespace(request_id="r"))
    if name == "wsgi.handler":
        return _answer_of_wsgi(function, call["environ"])
    if name == "index.check":
        try:
            return function()
        except Exception as error:  # noqa: BLE001 - any error is the answer
            return f"{type(error).__name__}: {error}"
    return function(None)


def _answer_of_wsgi(handler: Any, environ: dict[str, Any]) -> dict[str, Any]:
    started: list[tuple[str, list[tuple[str, str]]]] = []
    environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].encode())
    environ["fc.context"] = SimpleNamespace(request_id=environ.pop("request id"))
    blocks = handler(environ, lambda status, headers: started.append((status, headers)))
    ((status, headers),) = started
    return {
        "statusCode": int(status.split(" ")[0]),
        "headers": dict(headers),
        "body": b"".join(blocks).decode(),
    }


def main() -> None:
    """Serve stdin until it ends."""
    sys.path.insert(0, sys.argv[1])
    log = Log()
    logging.getLogger().addHandler(log)
    # Text that other code prints is not an answer, so it goes to stderr.
    out, sys.stdout = sys.stdout, sys.stderr
    signatures = {name: signature(entry_point(name)) for name in ENTRY_POINTS}
    print(json.dumps(signatures), file=out, flush=True)
    for line in sys.stdin:
        log.messages.clear()
        answered = answer(json.loads(line))
        text = json.dumps({"answer": answered, "log": log.messages})
        print(text, file=out, flush=True)


if __name__ == "__main__":
    main()
