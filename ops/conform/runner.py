"""Runs the probes one after another, and always cleans up."""

from __future__ import annotations

import base64
import hashlib
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from urllib.parse import unquote
from xml.sax.saxutils import escape, unescape

from ops.conform.exchanges import Answer, OverBudget
from ops.conform.probes import PROBES
from ops.conform.register import Assumption
from ops.conform.site import Site
from ops.conform.verdicts import Finding, NotTried, Verdict

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_USED_UP = "this run has reached its limit of calls or of seconds"


def probe_each(
    site: Site, assumptions: Sequence[Assumption]
) -> Iterator[tuple[Assumption, Finding]]:
    """Run each probe, and yield its result. Raises only if the code of a probe has an error."""
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
        return Finding(Verdict.NOT_TRIED, _USED_UP)
    except (KeyError, ValueError, TypeError) as error:
        detail = f"an answer did not have its documented form ({type(error).__name__})"
        return Finding(Verdict.NOT_TRIED, detail)


def clean_up(site: Site) -> list[str]:
    """Delete everything that was written. Return the objects and uploads that may be left, with the
    reasons.

    No signal stops the clean-up. exchanges.py reserves some calls and some time for it.
    """
    with _signals_ignored():
        site.exchanges.begin_clean_up()
        left = _cleaned_up(site)
    late = "OSS did not answer, and may still carry out the request; look again later"
    return [*left, *(f"{what}: {late}" for what in filter(None, site.unanswered))]


def _cleaned_up(site: Site) -> list[str]:
    own, left = site.account.key, []
    for upload, key in site.uploads.items():
        abort = partial(site.oss, own, "DELETE", key, query={"uploadId": upload})
        left += _fault(f"a multipart upload of {key}", abort)
    if not site.written:
        return left
    # Two kinds of keys are deleted one by one: keys outside of the prefix, which a listing of the
    # prefix does not show, and keys with unprintable characters, which XML cannot hold.
    apart = [key for key in site.written if not (_is_below(site, key) and key.isprintable())]
    left += _deleted(site, apart)
    together = [key for key in site.written if key not in apart]
    fault = _deleted_together(site, together) if together else []
    query = {"list-type": "2", "prefix": site.prefix, "max-keys": "1000", "encoding-type": "url"}
    listed: list[str] = []

    def look() -> Answer:
        answer = site.oss(own, "GET", "", query=query)
        found = re.findall(r"<Key>([^<]+)</Key>", answer.body.decode("utf-8", "replace"))
        listed.extend(unquote(unescape(key)) for key in found)
        return answer

    unseen = _fault(f"objects under {site.prefix}, which could not be listed", look)
    # Only objects under our own prefix are deleted, even if the listing shows other objects. If the
    # request that deletes all keys failed, one key may be the cause, so each key is deleted by a
    # request of its own.
    again = together if unseen and fault else [key for key in listed if _is_below(site, key)]
    return [*left, *unseen, *_deleted(site, again)]


def _is_below(site: Site, key: str) -> bool:
    return key.startswith(site.prefix)


def _deleted(site: Site, keys: Iterable[str]) -> list[str]:
    """Delete the keys one by one."""
    own = site.account.key
    return [line for key in keys for line in _fault(key, partial(site.oss, own, "DELETE", key))]


def _deleted_together(site: Site, keys: Iterable[str]) -> list[str]:
    objects = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    body = f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode()
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    headers = {"Content-MD5": base64.b64encode(digest).decode()}
    own, query = site.account.key, {"delete": ""}
    delete = partial(site.oss, own, "POST", "", query=query, headers=headers, body=body)
    return _fault("", delete)


def _fault(what: str, ask: Callable[[], Answer]) -> list[str]:
    """If a request of the clean-up failed, return one line with the reason, because something may
    be left in the bucket. Otherwise return no line."""
    try:
        answer = ask()
    except NotTried as reason:
        return [f"{what}: {reason}"]
    except OverBudget:
        return [f"{what}: {_USED_UP}"]
    return [] if answer.is_good or answer.code == "NoSuchUpload" else [f"{what}: {answer}"]


@contextmanager
def _signals_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread can set signal handlers.
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
    """Treat other signals like Ctrl-C, so that they do not skip the clean-up."""

    def interrupt(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
