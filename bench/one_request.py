"""Answers one request as a fresh instance of a deployment does. core.py starts this script. The
script calls the initializer and then the handler.

The arguments are the function's folder and the port of the stand-in of the cloud (stub_cloud.py).
In this process, every host name leads to this port. The event comes on standard input. The result
is printed as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any


def timed() -> dict[str, float]:
    """Time each module that is loaded from now on. The milliseconds of a module do not include the
    modules that it imports."""
    own: dict[str, float] = {}
    nested = [0.0]

    def timing(load: Callable[[Any, ModuleType], None]) -> Callable[[Any, ModuleType], None]:
        def exec_module(self: object, module: ModuleType) -> None:
            nested.append(0.0)
            began = time.perf_counter()
            try:
                load(self, module)
            finally:
                whole = (time.perf_counter() - began) * 1000
                own[module.__name__] = whole - nested.pop()
                nested[-1] += whole

        return exec_module

    loaders: tuple[Any, ...] = (SourceFileLoader, ExtensionFileLoader)
    for loader in loaders:
        loader.exec_module = timing(loader.exec_module)
    return own


def main() -> None:
    """Answer the request, and print which modules were loaded for it."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    event = sys.stdin.buffer.read()
    sys.path.insert(0, str(folder))
    own_ms = timed()
    began = time.perf_counter()
    import index

    imported = time.perf_counter()
    # socket is loaded already, so this import loads no more modules.
    import socket

    def look_up(*_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]

    socket.getaddrinfo = look_up  # type: ignore[assignment]
    index.initialize(None)
    body = str(index.handler(event, None)["body"])
    answered = time.perf_counter()
    # Loop over a copy of sys.modules, because reading a module's attribute may load another module.
    files = {name: getattr(module, "__file__", None) for name, module in [*sys.modules.items()]}
    ours = {
        name: (file, own_ms[name])
        for name, file in files.items()
        if file and Path(file).is_relative_to(folder) and name != "__main__"
    }
    found = {
        "answer": json.loads(body),
        "modules": ours,
        "import_ms": (imported - began) * 1000,
        "answer_ms": (answered - imported) * 1000,
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
