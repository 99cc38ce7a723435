"""Measures one function in one fresh process: `python -I -S -B measured.py PORT FOLDER...`.

This file is run as a script. As in Function Compute, it can then import only the standard library
and the folders. If PORT is not 0, every host name leads to that port on 127.0.0.1 (stub_cloud.py).
The script reads lines of JSON, and answers each with a line of JSON.

The first line is the event of the cold start. A cold start consists of the imports, the
initializer and one answer. The script answers `{"cold": ..., "wall": ..., "cpu": ..., "refused":
...}`. "cold" is the CPU time (user and system) of the cold start, and "wall" is its wall time, both
in milliseconds. "cpu" is the CPU time of the whole process so far. "refused" is null, or says why
the function refused the event.

Every later line is one of two kinds. For `[events, repeat]`, the script goes through the list of
events `repeat` times, and calls the function once for each event. The answer is `{"cpu": ...,
"refused": ...}`, where "cpu" is the CPU time of all calls. The answer to `"state"` is the state of
the process from /proc.

Only `sys` and `time` are imported before the clock starts, so the time of each function includes
its own imports.
"""

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def main() -> None:
    lines = sys.stdin.buffer
    cold_event = lines.readline()
    sys.path[:0] = sys.argv[2:]
    if sys.argv[1] != "0":
        find_all_hosts_at(int(sys.argv[1]))
    wall, cpu = time.perf_counter(), time.process_time()
    import index

    # A peer may have no initializer.
    getattr(index, "initialize", bool)(None)
    answer = index.handler(cold_event, None)
    end, wall = time.process_time(), time.perf_counter() - wall
    cold = {"cold": (end - cpu) * 1000, "wall": wall * 1000, "cpu": end * 1000}
    tell({**cold, "refused": refusal(answer)})
    for line in lines:
        if line == b'"state"\n':
            tell(state())
            continue
        cpu, answer = measure(index.handler, line)
        tell({"cpu": cpu * 1000, "refused": refusal(answer)})


def find_all_hosts_at(port: int) -> None:
    import socket

    def look_up(*_: object, **__: object) -> "list[Any]":
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]

    socket.getaddrinfo = look_up


def state() -> "dict[str, Any]":
    """Resident memory and its peak in MB, open descriptors, and threads."""
    import gc
    import os

    gc.collect()
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123
        said = dict(line.split(":", 1) for line in file)
    rss, peak = (int(said[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    descriptors = len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208
    return {"rss": rss, "peak": peak, "descriptors": descriptors, "threads": int(said["Threads"])}


def measure(
    handle: "Callable[[bytes, object], dict[str, Any]]", line: bytes
) -> "tuple[float, dict[str, Any]]":
    """Make all calls that `line` asks for. Return their CPU seconds together, and the last
    answer."""
    import json

    events, repeat = json.loads(line)
    encoded = [event.encode() for event in events] * repeat
    answer: dict[str, Any] = {}
    cpu = time.process_time()
    for event in encoded:
        answer = handle(event, None)
    return time.process_time() - cpu, answer


def refusal(answer: "dict[str, Any]") -> "str | None":
    """Return why an answer is a failure, or None for a success. A failure may have HTTP 200."""
    import json

    document = json.loads(answer["body"])
    # /callback answers in OSS's form.
    if document.get("StatusCode") == 200 or document.get("Status") == "OK":
        return None
    return f"{document['StatusCode']} {document['ErrorCode']}: {document['ErrorMessage']}"


def tell(measured: "dict[str, Any]") -> None:
    import json

    print(json.dumps(measured), flush=True)


main()
