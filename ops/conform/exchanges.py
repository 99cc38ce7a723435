"""Sends requests one by one, counts them, and notes what is not secret in them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ops.smoke import wire
from ops.smoke.wire import Address, Call, NoAnswer, Reply

MAX_CALLS, MAX_SECONDS = 240, 180
"""A whole run, including its clean-up, may send this many calls and take this many seconds."""
CLEAN_UP_CALLS, CLEAN_UP_SECONDS = 30, 60
"""The run keeps this many of its calls, and this many of its seconds, for the clean-up."""

_LONGEST = 2 * wire.GIVE_UP_SECONDS
"""Seconds for one request: to connect, and for the answer."""
_QUIET = re.compile(r"authorization|cookie|x-(oss|acs)-.*(token|signature|callback).*", re.I)
"""Headers that are not noted."""


class OverBudget(Exception):
    """Raised if a request would exceed the limit of calls or of time. The request is not sent."""


@dataclass(frozen=True)
class Signed(Call):
    """A call whose path and query are sent exactly as they were signed."""

    raw_target: str = field(default="/", repr=False)

    def target(self, address: Address) -> str:  # noqa: ARG002 - the base is in it
        """The request line's path and query."""
        return self.raw_target


@dataclass(frozen=True)
class Answer:
    """An answer of the cloud. `code`, `ec` and `message` describe an error, or are "".

    `status` is 0 if there was no answer; then `message` says why.
    """

    status: int
    code: str = ""
    ec: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def is_good(self) -> bool:
        """Whether the request succeeded."""
        return 200 <= self.status < 300 and self.status != 203

    @property
    def is_denied(self) -> bool:
        """Whether a policy or an ACL refused the request."""
        return self.status == 403 and self.code == "AccessDenied"

    def __str__(self) -> str:
        if not self.status:
            return f"no answer ({self.message})"
        return " ".join(filter(None, (str(self.status), self.code, self.ec and f"EC {self.ec}")))


@dataclass(frozen=True)
class Note:
    """One exchange for the transcript: the request, its headers, and the answer."""

    about: int
    asked: str
    headers: Mapping[str, str]
    answer: Answer


class Exchanges:
    """All requests of a run.

    `about` is the id of the assumption that the next requests test, or 0 for the clean-up.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._calls = MAX_CALLS - CLEAN_UP_CALLS
        self._seconds = MAX_SECONDS - CLEAN_UP_SECONDS - _LONGEST
        self.about = 0
        self.notes: list[Note] = []

    def begin_clean_up(self) -> None:
        """From now on, also allow the calls and the time that are reserved for the clean-up."""
        self.about = 0
        self._calls = MAX_CALLS
        self._seconds = MAX_SECONDS - _LONGEST

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began

    def send(self, asked: str, address: Address, call: Call) -> Answer:
        """Send a request. The transcript names the request by the text `asked`. Raises
        OverBudget."""
        if len(self.notes) >= self._calls or self.seconds > self._seconds:
            raise OverBudget
        try:
            answer = _answer(wire.send(address, call))
        except NoAnswer as error:
            answer = Answer(0, message=str(error))
        shown = {name: value for name, value in call.headers.items() if not _QUIET.fullmatch(name)}
        self.notes.append(Note(self.about, asked, shown, answer))
        return answer


def _answer(reply: Reply) -> Answer:
    headers = {name.lower(): value for name, value in reply.headers}
    text = reply.body[:65536].decode("utf-8", "replace")
    error = reply.status >= 300 or reply.status == 203

    def found(name: str) -> str:
        xml, json = rf"<{name}>([^<]*)</{name}>", rf'"(?:Error)?{name}"\s*:\s*"([^"]*)"'
        match = re.search(xml, text) or re.search(json, text)
        return match[1] if match and error else ""

    return Answer(
        reply.status,
        found("Code")[:128],
        headers.get("x-oss-ec", found("EC"))[:32] if error else "",
        # STS may quote the whole request after these words, with the security token, so the message
        # is cut off here.
        found("Message").partition("server string to sign")[0],
        headers,
        reply.body,
    )
