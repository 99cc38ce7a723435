"""Sends the calls, and records the time and the platform's headers of each call.

The platform may add headers about the call to its answer. This module uses these headers if the
answer has them. It is not verified on the real cloud (assumption 71) that an HTTP trigger sends
these headers.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from ops.measure_cold.plan import Plan
from ops.smoke import acs3, contract, wire
from ops.smoke.contract import Document, NotADocument
from ops.smoke.wire import Address, Call, NoAnswer, Reply, Send

COLD_OVER_SECONDS = 0.15
"""A call is cold if it took more than this many seconds longer than a warm call for a new token,
and more than twice as long as that warm call."""
TOGETHER, IDLE, NEW, AGAIN = "together", "after idling", "a new token", "served again"
_LOG = {"X-Fc-Log-Type": "Tail"}
"""This header makes the platform return the last 4 KB of this call's log (vendor documentation)."""


@dataclass(frozen=True)
class Seen:
    """One call. `seconds` does not include the connection. Unknown values are None or ""."""

    kind: str
    seconds: float = 0.0
    connect_seconds: float = 0.0
    refusal: str = ""
    instance: str = ""
    invocation_seconds: float | None = None
    """The time of the handler as the platform measures it."""
    sts_seconds: float | None = None
    process_seconds: float | None = None
    """The time from the start of the bare function's process until its module is imported."""


@dataclass
class Series:
    """The calls of one function, in order."""

    calls: list[Seen] = field(default_factory=list)

    @property
    def answered(self) -> list[Seen]:
        """The calls that were not refused."""
        return [one for one in self.calls if not one.refusal]

    def warm(self, kind: str = NEW) -> Seen | None:
        """Return the warm call of this kind, or None."""
        return next((one for one in self.answered if one.kind == kind), None)

    def cold(self) -> list[Seen]:
        """The calls that reached a new instance, judged by their time and the instances' names."""
        warm = self.warm()
        if warm is None:
            return []
        over = max(2 * warm.seconds, warm.seconds + COLD_OVER_SECONDS)
        found, known = [], set[str]()
        for one in self.answered:
            # Calls at the same moment may wait for the same new instance.
            is_known = one.kind == IDLE and one.instance in known
            if one.kind in (TOGETHER, IDLE) and one.seconds > over and not is_known:
                found.append(one)
            known |= {one.instance} - {""}
        return found


def measure(
    plan: Plan, own: Series, bare: Series, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Send the calls, and add each call to its series when it is answered. Errors of a function
    never raise an exception here."""
    functions = [(own, _function(plan))]
    if plan.bare is not None:
        functions.append((bare, _bare(plan.bare)))
    if plan.idle_seconds is None:
        for series, call in functions:
            with ThreadPoolExecutor(plan.tries) as pool:
                series.calls += pool.map(call, [TOGETHER] * plan.tries)
    else:
        for number in range(plan.tries):
            minutes = f"{plan.idle_seconds / 60:g} minutes"
            print(f"  waiting {minutes}, {number + 1} of {plan.tries}", flush=True)
            sleep(plan.idle_seconds)
            for series, call in functions:
                series.calls.append(call(IDLE))
    for series, call in functions:
        for kind in (NEW, AGAIN):
            series.calls.append(call(kind))


def _function(plan: Plan) -> Callable[[str], Seen]:
    options = plan.function
    send: Send = lambda call: wire.send(options.address, call)  # noqa: E731
    if options.sign and options.key is not None:
        send = acs3.sender(options.address, options.key)
    is_token = plan.route == "/"
    login = {"access_token": options.login} if options.login and is_token else {}

    def call(kind: str) -> Seen:
        # This object name is new, so no cache has a token for it.
        name = f"measure-cold-{secrets.token_hex(8)}"
        wishes = {"object": name} if kind == NEW and is_token else {}
        query = {**options.address.query, **wishes, **login}
        return _seen(kind, send, Call("GET", plan.route, query, _LOG))

    return call


def _bare(address: Address) -> Callable[[str], Seen]:
    asked = Call("GET", "/", address.query, _LOG)
    return lambda kind: _seen(kind, lambda call: wire.send(address, call), asked)


def _seen(kind: str, send: Send, asked: Call) -> Seen:
    try:
        reply = send(asked)
    except NoAnswer as error:
        return Seen(kind, refusal=str(error))
    document, refusal = _read(reply)
    return Seen(
        kind,
        reply.seconds - reply.connect_seconds,
        reply.connect_seconds,
        refusal,
        reply.header("x-fc-instance-id") or "",
        _seconds(reply.header("x-fc-invocation-duration")),
        _seconds(_logged(reply).get("stsMs")),
        _seconds(document.get("ProcessMs")),
    )


def _read(reply: Reply) -> tuple[Document, str]:
    """Return the answer, and why the call cannot be measured ("" if it can be measured)."""
    try:
        document = contract.read(reply)
    except NotADocument as error:
        return {}, f"HTTP {reply.status}: {error}"
    if refusal := contract.refusal_of(document):
        return document, refusal
    if document.get("StatusCode") != 200:
        return document, f"HTTP {reply.status}: not an answer of the token function"
    return document, ""


def _logged(reply: Reply) -> Document:
    """Return the function's own log line of this call, or {} if the platform does not send it."""
    text = ""
    with suppress(ValueError):
        text = base64.b64decode(reply.header("x-fc-log-result") or "").decode("utf-8", "replace")
    for line in text.splitlines():
        with suppress(ValueError, RecursionError):
            found = json.loads(line[line.index("{") :])
            if isinstance(found, dict) and "totalMs" in found:
                return found
    return {}


def _seconds(milliseconds: object) -> float | None:
    """Convert milliseconds to seconds. Return None for a value that is not a number."""
    try:
        seconds = float(str(milliseconds)) / 1000
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
