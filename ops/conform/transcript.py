"""Makes the transcript of a run: its requests and answers, without secrets and without names that
belong to the account.

Keys, tokens, logins and signatures are never noted (exchanges.py). If an answer quotes one of
these secrets, the secret is masked here. The bucket, the account's id, the role, the folders and
the function's host are masked too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from urllib.parse import quote

from ops.conform.exchanges import Note
from ops.conform.register import Assumption
from ops.conform.site import Site
from ops.conform.verdicts import Finding
from token_service import __version__

_SHAPES = (
    (re.compile(r"LTAI[A-Za-z0-9]+"), "KEY"),
    (re.compile(r"STS\.[A-Za-z0-9]+"), "KEY"),
    (re.compile(r"CAIS[A-Za-z0-9+/=%_-]+"), "TOKEN"),
    (re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9._-]+"), "LOGIN"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "SIGNATURE"),
    (re.compile(r"[0-9]{14,20}"), "ACCOUNT"),
    (re.compile(r"user/[^\s\"',;<>]+"), "user/NAME"),
    (re.compile(r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b"), "ADDRESS"),
)
"""Patterns that match the secrets and names of any account."""
_MAX_MESSAGE = 300


def masks(site: Site) -> Callable[[str], str]:
    """Make the function that masks private parts of a text."""
    account = site.account
    role = account.role_arn.split(":")
    named = {
        **dict.fromkeys((*filter(None, account.key), *site.secrets, account.login), "SECRET"),
        account.role_arn.rpartition("/")[2]: "ROLE",
        role[3]: "ACCOUNT",
        account.bucket: "BUCKET",
    }
    if account.function is not None:
        named[account.function.host] = "FUNCTION"
    if not account.oss.host.endswith(".aliyuncs.com"):
        named[account.oss.host] = "ENDPOINT"
    named = {**{quote(text, safe=""): mask for text, mask in named.items()}, **named}
    ordered = sorted(filter(None, named), key=len, reverse=True)
    folder = re.compile(rf"[^\s\"'=<>]*{re.escape(site.mark)}")

    def masked(text: str) -> str:
        text = folder.sub("PREFIX", text)
        for name in ordered:
            text = text.replace(name, named[name])
        for shape, mask in _SHAPES:
            text = shape.sub(mask, text)
        return text

    return masked


def text(site: Site, found: Sequence[tuple[Assumption, Finding]], where: str) -> str:
    """Return the whole transcript. `where` says whether the run was in a sandbox or the cloud."""
    masked = masks(site)
    notes = site.exchanges.notes
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    lines = [
        f"make conform, version {__version__}, {made}, {where}, region {site.account.region}",
        f"{len(notes)} calls in {site.exchanges.seconds:.0f} s",
    ]
    for assumption, finding in found:
        lines += ["", f"{assumption.id}  {finding.verdict.value}: {assumption.claim}"]
        lines.append(f"    {masked(finding.detail)}")
        lines += [_line(note, masked) for note in notes if note.about == assumption.id]
    judged = {0, *(assumption.id for assumption, _ in found)}
    lines += ["", *(_line(note, masked) for note in notes if note.about not in judged), "clean-up"]
    lines += [*(_line(note, masked) for note in notes if not note.about), ""]
    return "\n".join(map(_printable, lines))


def _line(note: Note, masked: Callable[[str], str]) -> str:
    headers = "".join(f" {name}: {value};" for name, value in note.headers.items())
    # The message is masked before it is cut, because half a secret would not be recognized.
    said = f" {masked(note.answer.message)[:_MAX_MESSAGE]}" if note.answer.status else ""
    return f"    {masked(f'{note.asked}{headers} -> {note.answer}')}{said}".rstrip()


def _printable(line: str) -> str:
    return "".join(char if char.isprintable() else " " for char in line)
