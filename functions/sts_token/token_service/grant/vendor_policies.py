"""Reads the vendor's old policy files (.txt): JSON with $BUCKET_NAME and $OBJECT_PREFIX in it.

Users of the vendor's sample replaced these two names by hand. Here each caller's values are put
into the parsed JSON, so that no value can break out of its string. A file is accepted only if every
Allow is limited to this bucket and prefix. To allow more, use a template (policies.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from token_service.errors import Misconfiguration
from token_service.grant.refusals import InvalidParameter

_MEMBERS = {"Effect", "Action", "Resource", "Condition"}
# acs:oss:<region>:<account>:
_SERVICE = r"acs:oss:[A-Za-z0-9*-]*:[0-9*]*:"
_OWN_OBJECTS = re.compile(_SERVICE + r"\$BUCKET_NAME/\$OBJECT_PREFIX.*", re.DOTALL)
_BUCKET = re.compile(_SERVICE + r"\$BUCKET_NAME")
_NAME = re.compile(r"\$([A-Za-z0-9_]*)")
# Our prefix ends with "/", but in a vendor's file the "/" may be missing.
_PLACE = re.compile(r"\$(BUCKET_NAME|OBJECT_PREFIX/?)")
_NAMES = ("BUCKET_NAME", "OBJECT_PREFIX")
_LISTING = '{"StringLike": {"oss:Prefix": "$OBJECT_PREFIX*"}}'


class VendorPolicy:
    """A vendor's policy file (.txt), parsed. Its Allow statements allow only a caller's prefix."""

    def __init__(self, text: str) -> None:
        """Parse and check a policy. Raises ValueError, which says what is wrong and where."""
        try:
            document = json.loads(text)
        except RecursionError:
            raise ValueError("must be JSON with less nesting") from None
        except ValueError as error:
            raise ValueError(f"must be JSON: {error}") from None
        if (
            not isinstance(document, dict)
            or document.keys() != {"Version", "Statement"}
            or document["Version"] != "1"
            or not isinstance(document["Statement"], list)
            or not document["Statement"]
        ):
            raise ValueError('must have only "Version": "1" and a list of Statement')
        for number, statement in enumerate(document["Statement"], 1):
            _check(statement, f"statement {number}")
        self._statements: list[dict[str, Any]] = document["Statement"]

    def render(self, bucket: str, prefix: str, object_key: str | None) -> str:
        """Return the policy as JSON, for the prefix (ends with "/") or for one key under it. For a
        key, each Allow then covers only this key, and no listing. Every Deny stays. Raises
        InvalidParameter if the policy allows nothing on the key."""
        values = {"BUCKET_NAME": bucket, "OBJECT_PREFIX": prefix, "OBJECT_PREFIX/": prefix}
        statements = [_filled(statement, values) for statement in self._statements]
        if object_key is not None:
            statements = [s for s in statements if _narrow(s, f"{bucket}/{object_key}")]
            if not any(statement["Effect"] == "Allow" for statement in statements):
                by = "POLICY_FILE or POLICY_CHOICES"
                raise InvalidParameter("object", "the policy allows nothing on this object", by)
        return json.dumps({"Version": "1", "Statement": statements}, ensure_ascii=False)


def _check_names(text: str) -> None:
    for name in _NAME.findall(text):
        if name not in _NAMES:
            known = "only $BUCKET_NAME and $OBJECT_PREFIX are known"
            raise ValueError(f"${name}: {known}" if name else f"a '$' without a name: {known}")


def _check(statement: object, where: str) -> None:
    if not isinstance(statement, dict) or not statement.keys() <= _MEMBERS:
        raise ValueError(f"{where} must have only Effect, Action, Resource and Condition")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise ValueError(f"{where}: Effect must be Allow or Deny")
    for name in ("Action", "Resource"):
        statement[name] = _list_of_texts(statement.get(name), f"{where}: {name}")
    statement_texts = [*statement["Action"], *statement["Resource"]]
    if "Condition" in statement:
        statement_texts += _condition_texts(statement["Condition"], f"{where}: Condition")
    for text in statement_texts:
        _check_names(text)
    # A Deny only takes rights away.
    if statement["Effect"] == "Deny":
        return
    for number, resource in enumerate(statement["Resource"], 1):
        if _OWN_OBJECTS.fullmatch(resource):
            continue
        if not _BUCKET.fullmatch(resource):
            raise ValueError(
                f"{where}, resource {number} opens more than the caller's prefix; it must begin "
                "with acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX"
            )
        if not _lists_own_names(statement):
            raise ValueError(
                f"{where}, resource {number} is the bucket itself, which shows everybody's names. "
                "Put it into a statement of its own with the Action oss:ListObjects and the "
                f"Condition {_LISTING}"
            )


def _list_of_texts(value: object, where: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise ValueError(f"{where} must be a string or a list of strings")
    return texts


def _condition_texts(conditions: object, where: str) -> list[str]:
    """Return the string values of a Condition; check that it has operators, keys and values."""
    texts: list[str] = []
    for operator, keys in _members(conditions, where):
        for key, value in _members(keys, where):
            if "$" in operator + key:
                raise ValueError(f"{where} may have a '$' only in values")
            values = value if isinstance(value, list) else [value]
            if not values or not all(isinstance(v, (str, int, float)) for v in values):
                raise ValueError(f"{where} must have strings, numbers or booleans as values")
            texts += (v for v in values if isinstance(v, str))
    return texts


def _members(value: object, where: str) -> Iterable[tuple[str, object]]:
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{where} must be like {_LISTING}")
    return value.items()


def _lists_own_names(statement: Mapping[str, Any]) -> bool:
    """Whether a statement allows only listing, under a condition on the caller's prefix. All
    conditions must hold. A condition holds if one of its values fits (vendor documentation of the
    policy grammar)."""
    if [action.lower() for action in statement["Action"]] != ["oss:listobjects"]:
        return False
    conditions = statement.get("Condition", {})
    for operator in ("StringLike", "StringEquals"):
        prefixes = conditions.get(operator, {}).get("oss:Prefix", 0)
        texts = prefixes if isinstance(prefixes, list) else [prefixes]
        if all(isinstance(text, str) and text.startswith("$OBJECT_PREFIX") for text in texts):
            return True
    return False


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    """Return a copy with the values filled in."""
    if isinstance(value, str):
        return _PLACE.sub(lambda place: values[place[1]], value)
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if isinstance(value, dict):
        return {name: _filled(item, values) for name, item in value.items()}
    return value


def _narrow(statement: dict[str, Any], path: str) -> bool:
    """Limit an Allow statement to `path`. Return False if the limited statement allows nothing."""
    if statement["Effect"] == "Deny":
        return True
    own = []
    for resource in statement["Resource"]:
        *service, pattern = resource.split(":", 4)
        # RAM knows only the wildcards "*" and "?"; fnmatch knows "[" as well.
        if fnmatchcase(path, pattern.replace("[", "[[]")):
            own.append(":".join([*service, path]))
    statement["Resource"] = own
    return bool(own)


def vendor_policy(text: str, file: str, variable: str) -> VendorPolicy:
    """Read a vendor's policy file. Raises Misconfiguration for `variable`, which names the file."""
    try:
        # The editor of Windows begins a file with a byte order mark.
        return VendorPolicy(text.removeprefix("\ufeff"))
    except ValueError as error:
        raise Misconfiguration(variable, f"{file}: {error}") from None
