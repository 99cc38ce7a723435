"""`python -m ops.conform` (make conform): says what it will do, runs the probes, cleans up, and
reports."""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ops import dotenv, misspelt
from ops.conform import register, transcript
from ops.conform.account import Account, is_cloud, read_account
from ops.conform.exchanges import MAX_CALLS, MAX_SECONDS, Exchanges
from ops.conform.local_cloud import local_cloud
from ops.conform.register import Assumption
from ops.conform.runner import clean_up, probe_each, signals_interrupt
from ops.conform.site import Site
from ops.conform.verdicts import Finding, Verdict
from ops.smoke.options import UsageError

_TRANSCRIPT = "build/conform.txt"
_CLOUD = "the cloud"
_OF_SANDBOX = {Verdict.CONFIRMED: "holds here"}
"""The word for CONFIRMED when the probes run in the sandbox. There, a result confirms nothing about
the cloud."""


def main() -> int:
    """Run all probes. Returns 0 if all is well, and 130 after Ctrl-C.

    Returns 1 if an assumption is refuted, an object or an upload is left behind, or a variable is
    wrong.
    """
    misspelt.refuse("conform")
    try:
        if not is_cloud(os.environ):
            with signals_interrupt(), _errors_only(), local_cloud() as account:
                return run(account, "a sandbox of its own", os.environ)
        env = dotenv.environment("conform")
        account = read_account(env)
        with signals_interrupt():
            return run(account, _CLOUD, env)
    except UsageError as error:
        print(f"make conform: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make conform: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # When Python ends, it writes the rest of stdout's buffer. This write must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("make conform: stopped, because its output was closed", file=sys.stderr)
        return 1


@contextmanager
def _errors_only() -> Iterator[None]:
    """Hide the function's warnings. For example, the function warns that anyone gets tokens. In a
    sandbox this is intended."""
    log, handler = logging.getLogger("sts_token"), logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def run(
    account: Account,
    where: str,
    env: Mapping[str, str],
    assumptions: Sequence[Assumption] | None = None,
) -> int:
    """Run the probes with this account; return the exit status.

    Raises UsageError before the first request. Raises KeyboardInterrupt and BrokenPipeError after
    the clean-up.
    """
    path = _writable(env.get("TRANSCRIPT") or _TRANSCRIPT)
    site = Site(account, Exchanges())
    print(announcement(site, where), flush=True)
    found: list[tuple[Assumption, Finding]] = []
    left = ["objects of this run, because the clean-up was interrupted"]
    try:
        for assumption, finding in probe_each(site, assumptions or register.load()):
            found.append((assumption, finding))
            print(_shown(assumption, finding, site, where), flush=True)
    finally:
        try:
            left = clean_up(site)
        finally:
            # These lines come before the summary, and go to stderr, because stdout may be closed.
            for one in left:
                print(f"make conform: {account.bucket} may still have: {one}", file=sys.stderr)
        path.write_text(transcript.text(site, found, where), encoding="utf-8")
        counts = Counter(finding.verdict for _, finding in found)
        print("\n" + _summary(counts, site, where, path), flush=True)
    return int(bool(counts[Verdict.REFUTED] or left))


def _writable(name: str) -> Path:
    """Create the folder and the file before any request. Raises UsageError."""
    path = Path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        fault = f"{path} cannot be written ({error.strerror})"
        raise UsageError(f"TRANSCRIPT must name a file that can be written, but {fault}") from None
    return path


def announcement(site: Site, where: str) -> str:
    """Return the text that says, before the first request, what the run will do."""
    account = site.account
    function = f"calls {account.function}, " if account.function else ""
    return (
        f"make conform: tests the project's assumptions about the cloud, on {where}.\n"
        f"It assumes the role {account.role_arn}, {function}writes small objects to OSS under\n"
        f"{account.bucket}/{site.prefix}, reads them, and deletes them.\n"
        "The objects that it writes with the function's token are inside the folder of the login,\n"
        "in a folder whose name begins with conform-.\n"
        f"It makes at most {MAX_CALLS} calls in {MAX_SECONDS} s. It changes no other object,\n"
        "creates and deletes no bucket, and leaves policies, roles and settings as they are."
    )


def _summary(counts: Counter[Verdict], site: Site, where: str, path: Path) -> str:
    calls = f"{len(site.exchanges.notes)} calls in {site.exchanges.seconds:.0f} s"
    if where == _CLOUD:
        verdicts = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict)
        return (
            f"{verdicts}; {calls}\n"
            f"Transcript, without secrets and names: {path}. Please read it and add it to an issue."
        )
    others = (Verdict.REFUTED, Verdict.NOT_TRIED)
    verdicts = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in others)
    return (
        f"{verdicts}; {calls}; transcript: {path}\n"
        f"{counts[Verdict.CONFIRMED]} of {counts.total()} assumptions hold in the sandbox. This "
        "says nothing about the real cloud, which `make conform CLOUD=1` tests "
        "(docs/assumptions.md)."
    )


def _shown(assumption: Assumption, finding: Finding, site: Site, where: str) -> str:
    """Return one line for an assumption. If the assumption is not confirmed, a second line
    says why."""
    verdict = finding.verdict.value
    if where != _CLOUD:
        verdict = _OF_SANDBOX.get(finding.verdict, verdict)
    head = f"{verdict:<10} {assumption.id:>2} {assumption.service:<4} {assumption.claim}"
    if finding.verdict is Verdict.CONFIRMED:
        return head
    detail = transcript.masks(site)(finding.detail)
    printable = "".join(char if char.isprintable() else " " for char in detail)
    return f"{head}\n{'':19}{printable}"


if __name__ == "__main__":
    sys.exit(main())
