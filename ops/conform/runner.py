"""Runs the probes one after the other, and cleans up whatever happens."""

from __future__ import annotations

import base64
import hashlib
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import unquote
from xml.sax.saxutils import escape, unescape

from ops.conform.exchanges import OverBudget
from ops.conform.probes import PROBES
from ops.conform.register import Assumption
from ops.conform.site import Site
from ops.conform.verdicts import Finding, NotTried, Verdict

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def probe_each(
    site: Site, assumptions: Sequence[Assumption]
) -> Iterator[tuple[Assumption, Finding]]:
    """Try each, and yield what was found. Raises what a fault of a probe raises."""
    for assumption in assumptions:
        site.exchanges.about = assumption.id
        yield assumption, _tried(site, assumption)


def _tried(site: Site, assumption: Assumption) -> Finding:
    if not assumption.probe:
        return Finding(Verdict.NOT_TRIED, f"{assumption.why}. To see it: {assumption.command}")
    try:
        return PROBES[assumption.probe](site)
    except NotTried as reason:
        return Finding(Verdict.NOT_TRIED, str(reason))
    except OverBudget:
        return Finding(Verdict.NOT_TRIED, "the calls or the seconds of this run are used up")
    except (KeyError, ValueError, TypeError) as error:
        detail = f"an answer was not of the form that is documented ({type(error).__name__})"
        return Finding(Verdict.NOT_TRIED, detail)


def clean_up(site: Site) -> list[str]:
    """Delete all that was written, and look if anything is left; returns what may be, and why.

    No signal stops it; it is bounded by what exchanges.py keeps for it.
    """
    with _signals_ignored():
        site.exchanges.begin_clean_up()
        try:
            return _cleaned_up(site)
        except OverBudget:
            return [f"{site.prefix}: the calls or the seconds of this run are used up"]


def _cleaned_up(site: Site) -> list[str]:
    left = []
    own = site.account.key
    for upload, key in site.uploads.items():
        answer = site.oss(own, "DELETE", key, query={"uploadId": upload})
        if not answer.is_good and answer.code != "NoSuchUpload":
            left.append(f"a multipart upload of {key}: {answer}")
    if not site.written:
        return left
    left += _deleted(site, list(site.written))
    query = {"list-type": "2", "prefix": site.prefix, "max-keys": "1000", "encoding-type": "url"}
    answer = site.oss(own, "GET", "", query=query)
    if not answer.is_good:
        return [*left, f"{site.prefix}: it cannot be listed, so look yourself: {answer}"]
    found = re.findall(r"<Key>([^<]+)</Key>", answer.body.decode("utf-8", "replace"))
    keys = [unquote(unescape(key)) for key in found]
    # Whatever the listing says, nothing else is touched.
    return left + _deleted(site, [key for key in keys if key.startswith(site.prefix)])


def _deleted(site: Site, keys: Sequence[str]) -> list[str]:
    if not keys:
        return []
    objects = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    body = f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode()
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    headers = {"Content-MD5": base64.b64encode(digest).decode()}
    query = {"delete": ""}
    answer = site.oss(site.account.key, "POST", "", query=query, headers=headers, body=body)
    return [] if answer.is_good else [f"{', '.join(keys)}: {answer}"]


@contextmanager
def _signals_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        # Signals are the main thread's.
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does, so that they do not skip the clean-up."""

    def interrupt(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
