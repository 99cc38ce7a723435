"""Decides whether a request may overwrite an existing object.

A header of the request or a rule of the bucket may forbid this. A rule matches by prefix, suffix
and principal. If any rule matches a write, the write is refused with FileAlreadyExists. The source
is the vendor's pages PutBucketOverwriteConfig and "Prevent file overwrites" (user guide). They name
PutObject and AppendObject.

Four things are not verified on the real OSS (assumption 56):

- Copies, forms, links and CompleteMultipartUpload are refused as well.
- InitiateMultipartUpload is not refused, since it stores nothing.
- AppendObject is refused on every existing object.
- The refusal has no EC, because no page about its EC was found.

If several clients write a new name at the same time, the real OSS may accept several of the writes
(documented). In the sandbox only one of these writes succeeds, and the others are refused.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from xml.etree import ElementTree

from sandbox.identities import Identity
from sandbox.oss.call import Call, Site
from sandbox.oss.errors import malformed_xml, not_implemented
from sandbox.oss.xml import parse
from sandbox.ram import matches

MAX_RULES = 100  # of one bucket
MAX_AFFIX = 1023
"""Maximum characters of a prefix or a suffix."""

# Matches a principal that stands for sessions of roles. Bucket policies use the same format:
# arn:sts::<account>:assumed-role/<role>/<session>.
_SESSIONS = re.compile(r"arn:sts::[0-9*]+:[a-z*-]+/[A-Za-z0-9.*_-]+/[A-Za-z0-9.@*_-]+")


@dataclass(frozen=True)
class OverwriteRule:
    """One rule. Without `principals` the rule binds everybody, also the account itself. In a
    principal, "*" matches any characters."""

    id: str
    prefix: str = ""
    suffix: str = ""
    principals: Sequence[str] = ()

    def binds(self, key: str, principal: str) -> bool:
        """Whether `principal` cannot overwrite `key`."""
        by_key = key.startswith(self.prefix) and key.endswith(self.suffix)
        by_whom = not self.principals or any(matches(p, principal) for p in self.principals)
        return by_key and by_whom


def of_role(role_arn: str) -> str:
    """Return the principal for all sessions of a role (acs:ram::ACCOUNT:role/NAME) in a rule."""
    return _of_session(f"{role_arn}/*")


def may_overwrite(call: Call, site: Site) -> bool:
    """Whether the request and all rules of the bucket allow overwriting."""
    bucket = site.storage.bucket(call.bucket)
    rules = read_rules(bucket.overwrite) if bucket else []
    principal = _principal(call.identity)
    return not is_forbidden(call.headers) and not any(r.binds(call.key, principal) for r in rules)


def is_forbidden(headers: Mapping[str, str]) -> bool:
    """Whether the header x-oss-forbid-overwrite forbids overwriting.

    It is not verified on the real OSS that a signed URL can enforce this header (assumption 4).
    """
    return headers.get("x-oss-forbid-overwrite", "false").lower() == "true"


def store_rules(rules: Sequence[OverwriteRule]) -> str:
    """Return the rules as the text that is stored for a bucket."""
    return json.dumps([asdict(rule) for rule in rules])


def read_rules(stored: str) -> list[OverwriteRule]:
    """Read the text that store_rules() made."""
    return [OverwriteRule(**rule) for rule in json.loads(stored)]


def parse_rules(body: bytes, account: str) -> str:
    """Read PutBucketOverwriteConfig's document, and return the text that is stored for a bucket.

    Raises NotImplemented for unknown principals. The sandbox knows the account (by its id),
    sessions of roles, and "*". Raises MalformedXML for a wrong document, also for a document
    without rules and for two rules with one ID. It is not verified that the real OSS refuses these
    two kinds of documents (assumption 58).
    """
    elements = parse(body, "OverwriteConfiguration").findall("Rule")
    if not 1 <= len(elements) <= MAX_RULES:
        raise malformed_xml(f"from 1 to {MAX_RULES} Rule elements are accepted")
    rules = [_rule(element, account) for element in elements]
    if len({rule.id for rule in rules}) < len(rules):
        raise malformed_xml("the ID of each Rule must be unique")
    return store_rules(rules)


def rules_content(stored: str) -> list[tuple[str, object]]:
    """Return the stored rules as the content of GetBucketOverwriteConfig's document."""
    content: list[tuple[str, object]] = []
    for rule in read_rules(stored):
        elements: list[tuple[str, object]] = [("ID", rule.id), ("Action", "forbid")]
        elements += [(n, v) for n, v in (("Prefix", rule.prefix), ("Suffix", rule.suffix)) if v]
        if rule.principals:
            elements.append(("Principals", [("Principal", name) for name in rule.principals]))
        content.append(("Rule", elements))
    return content


def _rule(element: ElementTree.Element, account: str) -> OverwriteRule:
    def text(name: str) -> str:
        found = element.findall(name)
        if len(found) > 1:
            raise malformed_xml(f"a Rule may have only one {name}")
        return (found[0].text or "") if found else ""

    if text("Action").strip() != "forbid":
        raise malformed_xml("the Action of a Rule must be forbid")
    prefix, suffix = text("Prefix"), text("Suffix")
    if max(len(prefix), len(suffix)) > MAX_AFFIX:
        raise malformed_xml(f"Prefix and Suffix may have at most {MAX_AFFIX} characters")
    principals = [(found.text or "").strip() for found in element.findall("Principals/Principal")]
    for name in principals:
        if name not in ("*", account) and not _SESSIONS.fullmatch(name):
            raise not_implemented(
                f"the Principal {name!r} of a rule. Use *, {account} or "
                "arn:sts::<account>:assumed-role/<role>/<session>"
            )
    return OverwriteRule(text("ID").strip() or str(uuid.uuid4()), prefix, suffix, principals)


def _principal(identity: Identity | None) -> str:
    """The caller's name, in the form that the Principal of a rule has. The name is "" for unsigned
    requests, and for users, because users have no id in the sandbox."""
    if identity is None or ":user/" in identity.arn:
        return ""
    return _of_session(identity.arn) if ":role/" in identity.arn else identity.account_id


def _of_session(arn: str) -> str:
    """Translate a session's ARN, acs:ram::ACCOUNT:role/ROLE/SESSION, into the form that bucket
    policies use."""
    account, _, session = arn.removeprefix("acs:ram::").partition(":role/")
    return f"arn:sts::{account}:assumed-role/{session}"
