"""One copy of the function in one fresh process: `python -I -S -B measured.py FOLDER`.

A script, not a module of bench: only the standard library and the folder can be imported, as in
Function Compute. Reads lines and answers each with one, in JSON. The first is the event of the cold
start, which is imports, initialize and the first answer: `{"cold": ..., "wall": ..., "refused":
...}`, milliseconds of CPU time (user and system) and by the clock on the wall, and why it was
refused, or null. The others are `[events, how many times over]`: `{"cpu": ..., "refused": ...}`,
where "cpu" is of all calls together.

Nothing but `sys` and `time` is imported before the clock starts: each copy pays for what it needs.
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
    sys.path.insert(0, sys.argv[1])
    wall, cpu = time.perf_counter(), time.process_time()
    import index

    index.initialize(None)
    answer = index.handler(cold_event, None)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    tell({"cold": cpu * 1000, "wall": wall * 1000, "refused": refusal(answer)})
    for line in lines:
        cpu, answer = measure(index.handler, line)
        tell({"cpu": cpu * 1000, "refused": refusal(answer)})


def measure(
    handle: "Callable[[bytes, object], dict[str, Any]]", line: bytes
) -> "tuple[float, dict[str, Any]]":
    """CPU seconds of the calls that a line asks for, and the last answer."""
    import json

    events, repeat = json.loads(line)
    encoded = [event.encode() for event in events] * repeat
    answer: dict[str, Any] = {}
    cpu = time.process_time()
    for event in encoded:
        answer = handle(event, None)
    return time.process_time() - cpu, answer


def refusal(answer: "dict[str, Any]") -> "str | None":
    """Why it is no success, or None; answered with HTTP 200 as well."""
    import json

    document = json.loads(answer["body"])
    if document["StatusCode"] == 200:
        return None
    return f"{document['StatusCode']} {document['ErrorCode']}: {document['ErrorMessage']}"


def tell(measured: "dict[str, Any]") -> None:
    import json

    print(json.dumps(measured), flush=True)


main()
