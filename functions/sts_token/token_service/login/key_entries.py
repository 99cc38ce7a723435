"""Reads a JWKS, and finds the keys in it that can verify logins.

An entry that we cannot use is left out with a reason (RFC 7517, 5), and the other entries are still
used. A member that is null counts as absent, and unknown members are ignored. If a member is
repeated, the last one counts (RFC 7517, 4).
"""

from __future__ import annotations

import json
from contextlib import suppress
from math import inf
from typing import Any, NamedTuple

from token_service.login.weak_keys import is_roca

MAX_KEYS = 100  # of one JWKS; further keys are left out. Our choice

Key = Any  # a public key object of the cryptography package

# A key's type, and not the login, decides the algorithm. An RSA key never verifies HMAC.
_ALGORITHMS = {("RSA", ""): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
# RFC 9864, 2.2: Ed25519 is EdDSA with the curve of that name, the only curve accepted here.
_SAME = {"Ed25519": "EdDSA"}
# RFC 7518, 6.2.2 and 6.3.2; RFC 8037, 2. Any one of these members makes a key private.
_PRIVATE = {"RSA": ("d", "p", "q", "dp", "dq", "qi", "oth"), "EC": ("d",), "OKP": ("d",)}
_MIN_RSA_BITS = 2048
_MAX_SHOWN = 16


class PublicKey(NamedTuple):
    """A key and the one algorithm that it verifies."""

    key: Key
    algorithm: str


Keys = dict[tuple[str, str], PublicKey]
"""Keys by kid and algorithm. If an algorithm has only one key, this key also has the kid ""."""


class LeftOut(NamedTuple):
    """An entry that is not used: its place, counted from 1, its kid (or ""), and the reason."""

    place: int
    kid: str
    reason: str

    def __str__(self) -> str:
        """Describe the entry for the log, with the beginning of its kid in printable ASCII."""
        kid = f" (kid {self.kid[:_MAX_SHOWN]!a})" if self.kid else ""
        return f"entry {self.place}{kid} is left out: {self.reason}"


class _Unusable(Exception):
    """Raised for an entry that is not used."""


def read(document: bytes) -> tuple[Keys, list[LeftOut]]:
    """Read a JWKS. Raises ValueError if the JWKS is malformed; no message quotes the JWKS."""
    found: Keys = {}
    users: dict[tuple[str, str], list[LeftOut]] = {}
    ambiguous, left_out = set(), []
    for place, entry in enumerate(_entries(document), 1):
        kid = entry.get("kid") if isinstance(entry, dict) else None
        # A number becomes text, because a login names its key by text.
        kid = str(kid) if type(kid) in (str, int) else ""
        try:
            key = _usable(entry)
            name = kid, key.algorithm
            if name not in found and len(found) >= MAX_KEYS:
                raise _Unusable(f"{MAX_KEYS} usable keys come before it, and only these are used")
        except _Unusable as error:
            left_out.append(LeftOut(place, kid, str(error)))
            continue
        # RFC 7517, 4.5: one kid may name keys of different types. The same key twice is not a
        # conflict. If different keys have the same kid and type, all of them are left out.
        if found.setdefault(name, key) != key:
            ambiguous.add(name)
        reason = f"another {key.algorithm} key has the same kid, or neither key has a kid"
        users.setdefault(name, []).append(LeftOut(place, kid, reason))
    for name in ambiguous:
        del found[name]
        left_out += users[name]
    return _with_other_names(found), sorted(left_out)


def _entries(document: bytes) -> list[object]:
    try:
        # RFC 8259, 8.1: a byte order mark may be ignored.
        text = document.decode("utf-8-sig")
    except UnicodeDecodeError:
        is_gzip = document.startswith(b"\x1f\x8b")
        fault = "is compressed (gzip)" if is_gzip else "is not UTF-8"
        raise ValueError(f"{fault}; it must be JSON in UTF-8") from None
    try:
        # A number of thousands of digits would make int() fail, and no key could be read.
        parsed = json.loads(text, parse_int=lambda n: int(n) if len(n) < 20 else inf)
    except (ValueError, RecursionError):
        parsed = None
    entries = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(entries, list):
        raise ValueError('must be a JWKS: {"keys": [...]}')
    return entries


def _usable(entry: object) -> PublicKey:
    if not isinstance(entry, dict):
        raise _Unusable("it is not a JSON object")
    known = {name: value for name, value in entry.items() if value is not None}
    kind, curve = known.get("kty"), known.get("crv")
    # A value that is not text is ignored. For example, a list would make the look-up below fail.
    kind = kind if isinstance(kind, str) else ""
    curve = curve if isinstance(curve, str) and kind != "RSA" else ""
    algorithm = _ALGORITHMS.get((kind, curve))
    if algorithm is None:
        raise _Unusable("its type (kty, crv) is not RSA, EC with P-256 or OKP with Ed25519")
    # RFC 7517, 4.5: "MUST be a case-sensitive string".
    if type(known.get("kid", "")) not in (str, int):
        raise _Unusable("its kid is not text")
    if any(name in known for name in _PRIVATE[kind]):
        raise _Unusable("it is a private key, so anyone who reads the list can sign with it")
    # RFC 7517, 4.2.
    if known.get("use", "sig") != "sig":
        raise _Unusable("its use is not sig")
    # RFC 7517, 4.3: key_ops lists what a key may do. Without it, all are allowed.
    operations = known.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise _Unusable("its key_ops do not include verify")
    # RFC 7517, 4.4: "the algorithm intended for use with the key".
    names = [algorithm, *(alias for alias in _SAME if _SAME[alias] == algorithm)]
    if known.get("alg", algorithm) not in names:
        raise _Unusable(f"its alg must be {algorithm} for a key of this type")
    return PublicKey(_key(known, algorithm), algorithm)


def _key(entry: dict[str, Any], algorithm: str) -> Key:
    from jwt import PyJWK, PyJWTError

    try:
        key = PyJWK(entry, algorithm).key
    except (PyJWTError, ValueError, TypeError):
        raise _Unusable("its numbers are not a valid key") from None
    # RFC 7518, 3.3: "A key of size 2048 bits or larger MUST be used".
    if algorithm == "RS256" and key.key_size < _MIN_RSA_BITS:
        raise _Unusable(f"it has {key.key_size} bits, but needs at least {_MIN_RSA_BITS}")
    if algorithm == "RS256" and is_roca(key.public_numbers().n):
        raise _Unusable("a faulty generator made it (CVE-2017-15361), so anyone can sign with it")
    return key


def _with_other_names(found: Keys) -> Keys:
    """Add keys under newer algorithm names, and under the kid "" if an algorithm has one key."""
    algorithms = [algorithm for _, algorithm in found]
    only = {("", name[1]): found[name] for name in found if algorithms.count(name[1]) == 1}
    made = only | found
    for alias, algorithm in _SAME.items():
        same = {kid: key for (kid, of), key in made.items() if of == algorithm}
        made |= {(kid, alias): PublicKey(key.key, alias) for kid, key in same.items()}
        if same:
            import jwt

            # PyJWT 2.15 does not know this alias. A version that knows the alias raises ValueError.
            with suppress(ValueError):
                jwt.register_algorithm(alias, jwt.get_algorithm_by_name(algorithm))
    return made
