"""`make audit`: asks the advisory service OSV whether a locked package has a known vulnerability.

It sends each package and version of the locks to https://api.osv.dev, and sends nothing else. The
service documents this request (POST /v1/querybatch). This program needs only the standard library,
and uses the proxy of HTTPS_PROXY.

`python3 -m ops.audit` ends with 0 if no vulnerability is known, and with 1 if one is known. The
exit status 2 means that the packages were not checked, for example because OSV did not answer. If
this program ends with 1 or 2, make itself ends with 2, and make's last message shows the exit
status of this program.
"""

from __future__ import annotations

import http.client
import json
import re
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from ops import lock, report

URL = "https://api.osv.dev/v1/querybatch"
_SECONDS = 30
_MAX_BYTES = 10_000_000
_MAX_QUERIES = 1000
"""The largest number of packages in one request (the service's documentation)."""
_MOST_PAGES = 20
_PIN = re.compile(r"([\w.-]+)==([\w.!+-]+)")
_ID = re.compile(r"[\w.:-]{1,100}", re.ASCII)


class CouldNotAsk(Exception):
    """Raised if the service gave no answer, or an undocumented one. The message says why."""


def main() -> int:
    """Ask the service for advisories about our packages, and print them. Returns 0 if there are
    none, 1 if there are some, and 2 if the packages were not checked."""
    locks = lock.read()
    pins = pins_of(locks)
    try:
        if empty := [f"{name}.txt" for name, text in locks.items() if not lock.packages(text)]:
            raise CouldNotAsk(f"there is no package in {', '.join(empty)}")
        found = advisories(list(pins))
    except CouldNotAsk as error:
        # The error may hold text that a proxy or the service sent. Such text may contain control
        # characters, so plain() removes them.
        said = report.plain(str(error), [])
        print(f"make audit: could not ask {URL}: {said}.", file=sys.stderr)
        print("The packages were not checked. To use a proxy, set HTTPS_PROXY.", file=sys.stderr)
        return 2
    for (name, version), ids in found.items():
        print(f"{name} {version} ({', '.join(pins[name, version])}):")
        print("".join(f"  https://osv.dev/vulnerability/{each}\n" for each in ids), end="")
    if not found:
        print(f"No advisory for {len(pins)} packages of {len(lock.SETS)} locks.")
        return 0
    names = ",".join(sorted({name for name, _ in found}))
    print(f"Read the advisories, then run: make lock UPGRADE={names}", file=sys.stderr)
    return 1


def pins_of(locks: Mapping[str, str]) -> dict[tuple[str, str], list[str]]:
    """Return each package and version of the locks, with the lock files that contain it."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, text in locks.items():
        for package in lock.packages(text):
            if pin := _PIN.match(package):
                found.setdefault((pin[1], pin[2]), []).append(f"{name}.txt")
    return found


def advisories(pins: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
    """Return the advisory ids of each package that has advisories. Raises CouldNotAsk."""
    found: dict[tuple[str, str], list[str]] = {}
    waiting = [(pin, "") for pin in pins]
    for _ in range(_MOST_PAGES):
        asked, waiting = waiting[:_MAX_QUERIES], waiting[_MAX_QUERIES:]
        for (pin, _token), (ids, more) in zip(asked, _answers(asked), strict=True):
            if ids:
                found[pin] = [*found.get(pin, []), *ids]
            if more:
                waiting.append((pin, more))
        if not waiting:
            return found
    raise CouldNotAsk(f"its answer has more than {_MOST_PAGES} pages")


def _answers(asked: Sequence[tuple[tuple[str, str], str]]) -> list[tuple[list[str], str]]:
    queries = [
        {
            "package": {"ecosystem": "PyPI", "name": name},
            "version": version,
            **({"page_token": token} if token else {}),
        }
        for (name, version), token in asked
    ]
    document = _post(json.dumps({"queries": queries}).encode())
    results = document.get("results") if isinstance(document, dict) else None
    if not isinstance(results, list) or len(results) != len(asked):
        raise CouldNotAsk("its answer does not have one result for each package")
    return [_read(result) for result in results]


def _read(result: Any) -> tuple[list[str], str]:
    """Return the ids of one result, and the token of its next page ("" for none)."""
    entries = result.get("vulns", []) if isinstance(result, dict) else None
    more = result.get("next_page_token", "") if isinstance(result, dict) else None
    if not isinstance(entries, list) or not isinstance(more, str):
        raise CouldNotAsk("its answer does not have the documented form")
    ids = [each.get("id") if isinstance(each, dict) else None for each in entries]
    # main() prints the ids. The service could send any text, so the form of the ids is checked.
    if not all(isinstance(each, str) and _ID.fullmatch(each) for each in ids):
        raise CouldNotAsk("its answer has an advisory without an id")
    return [str(each) for each in ids], more


def _post(body: bytes) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(URL, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as reply:  # noqa: S310
            answer = reply.read(_MAX_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise CouldNotAsk(str(error) or type(error).__name__) from None
    if len(answer) > _MAX_BYTES:
        raise CouldNotAsk(f"its answer has more than {_MAX_BYTES} bytes")
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        raise CouldNotAsk("its answer is not JSON") from None


if __name__ == "__main__":
    sys.exit(main())
