"""A form's policy: when the form expires, and conditions on its fields and its file.

The documents, matching modes and codes are from the vendor's documentation. A field that the policy
does not mention is accepted, as in the vendor's own samples (success_action_status,
x-oss-content-type). A V4 policy is refused if it lacks the conditions on version, credential and
date. It is not verified that the real OSS refuses such a policy (assumption 11).
"""

from __future__ import annotations

import json
import re
from calendar import timegm
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sandbox.oss.encoded import decode_base64, parse_json
from sandbox.oss.errors import OssError, access_denied

BOUND_BY_V4 = ("x-oss-signature-version", "x-oss-credential", "x-oss-date")

_EXPIRATION = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?Z")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """One condition on a field. `name` is in lower case, without its "$"."""

    mode: str
    name: str
    values: Sequence[str]

    def holds(self, value: str) -> bool:
        """Whether the field's value meets the condition."""
        if self.mode == "starts-with":
            return value.startswith(self.values[0])
        return (value in self.values) is (self.mode != "not-in")

    def __str__(self) -> str:
        values = list(self.values) if self.mode in ("in", "not-in") else self.values[0]
        return json.dumps([self.mode, f"${self.name}", values], ensure_ascii=False)


@dataclass(frozen=True)
class FormPolicy:
    """A policy. `expiration` is in unix seconds, and the sizes are in bytes."""

    expiration: float
    conditions: Sequence[Condition]
    min_bytes: int
    max_bytes: int | None

    @classmethod
    def parse(cls, text: str) -> FormPolicy:
        """Read the form field: base64 of JSON. Raises InvalidPolicyDocument."""
        try:
            # The vendor documents that "\$" may stand for a dollar sign, which JSON does not allow.
            source = _ESCAPE.sub(
                lambda match: "$" if match[1] == "$" else match[0], decode_base64(text).decode()
            )
            document = parse_json(source)
        except ValueError:
            raise _invalid("it must be JSON in base64", "0006-00000201") from None
        if not isinstance(document, dict):
            raise _invalid("it must be an object", "0006-00000201")
        if "expiration" not in document:
            raise _invalid("expiration is missing", "0006-00000208")
        if "conditions" not in document:
            raise _invalid("conditions are missing", "0006-00000207")
        expiration = _expiration(document["expiration"])
        entries = document["conditions"]
        if not isinstance(entries, list) or not entries:
            raise _invalid("conditions must be a list that is not empty", "0006-00000215")
        ranges, conditions = [], []
        for entry in entries:
            if isinstance(entry, list) and entry[:1] == ["content-length-range"]:
                ranges.append(_range(entry))
            else:
                conditions.append(_condition(entry))
        return cls(
            expiration,
            conditions,
            max((low for low, _ in ranges), default=0),
            min((high for _, high in ranges), default=None),
        )

    def check(self, fields: Mapping[str, str], bucket: str, now: float) -> None:
        """Raise AccessDenied if the policy has expired or a field does not meet a condition.

        The fields are checked before ${filename} is replaced (vendor documentation). `bucket` is
        the bucket of the URL.
        """
        if now >= self.expiration:
            raise access_denied("Invalid according to Policy: Policy expired.", "")
        if "x-oss-signature-version" in fields:
            named = {condition.name for condition in self.conditions}
            for name in BOUND_BY_V4:
                if name not in named:
                    message = f"Invalid according to Policy: it has no condition on ${name}."
                    raise access_denied(message, "")
        for condition in self.conditions:
            value = bucket if condition.name == "bucket" else fields.get(condition.name)
            if value is None or not condition.holds(value):
                raise access_denied(
                    f"Invalid according to Policy: Policy Condition failed: {condition}",
                    "0006-00000226" if value is None else "0006-00000227",
                )


def _expiration(value: object) -> float:
    match = _EXPIRATION.fullmatch(value) if isinstance(value, str) else None
    try:
        if match:
            moment = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S")
            return timegm(moment.timetuple()) + float(match[2] or 0)
    except ValueError:
        pass
    raise _invalid("expiration must look like 2014-12-01T12:00:00.000Z", "")


def _condition(entry: object) -> Condition:
    if isinstance(entry, dict):
        if len(entry) != 1:
            message = "Simple-Conditions must have exactly one property specified"
            raise _invalid(f"Invalid Simple-Condition: {message}", "")
        ((name, value),) = entry.items()
        entry = ["eq", name, value]
    if not isinstance(entry, list) or len(entry) != 3:
        raise _invalid("a condition is [mode, $field, value]", "0006-00000218")
    mode, name, value = entry
    if mode in ("in", "not-in"):
        values = value if isinstance(value, list) else []
    elif mode in ("eq", "starts-with"):
        values = [value]
    else:
        raise _invalid("no such matching mode", "0006-00000216")
    texts = tuple(text for text in values if isinstance(text, str))
    if not isinstance(name, str) or not texts or len(texts) < len(values):
        raise _invalid("a condition's field and values must be text", "0006-00000218")
    return Condition(mode, name.removeprefix("$").lower(), texts)


def _range(entry: Sequence[object]) -> tuple[int, int]:
    if len(entry) == 3:
        low, high = entry[1:]
        # In Python a bool is an int too, so the exact type is compared.
        if type(low) is int and type(high) is int and 0 <= low <= high:
            return low, high
    message = "content-length-range must be followed by a minimum and a maximum number of bytes"
    raise _invalid(message, "0006-00000221")


def _invalid(reason: str, ec: str) -> OssError:
    return OssError(400, "InvalidPolicyDocument", f"Invalid Policy: {reason}.", ec)
