"""Computes the signatures of calls to STS: RPC signature version 1, and ACS3-HMAC-SHA256.

All functions are pure. sts.py decides which requests are accepted. The formats are from the
vendor's documentation ("request syntax and signature method", V2 and V3). The tests check its
examples.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

RPC_DIGESTS = {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256"}
"""The accepted values of SignatureMethod, and their digests."""

ACS3 = "ACS3-HMAC-SHA256"


@dataclass(frozen=True)
class Acs3Authorization:
    """The parts of an ACS3 Authorization header. Header names are in lower case, as sent."""

    access_key_id: str
    signed_headers: tuple[str, ...]
    signature: str


def rpc_string_to_sign(method: str, parameters: Mapping[str, str]) -> str:
    """Return the string to sign of the decoded parameters, without "Signature"."""
    signed = {name: value for name, value in parameters.items() if name != "Signature"}
    return f"{method}&%2F&{_encoded(canonical_query(signed))}"


def rpc_signature(string_to_sign: str, secret: str, signature_method: str = "HMAC-SHA1") -> str:
    """Return the signature in base64. Raises KeyError if the method is not in RPC_DIGESTS."""
    key = f"{secret}&".encode()
    digest = hmac.digest(key, string_to_sign.encode(), RPC_DIGESTS[signature_method])
    return base64.b64encode(digest).decode()


def acs3_string_to_sign(
    method: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    signed_headers: Iterable[str],
    content_sha256: str,
) -> str:
    """Return the string to sign of a request to "/".

    `query` is decoded. The names of `headers` are in lower case. `content_sha256` is the hash of
    the body in hex. Raises KeyError if a signed header is missing.
    """
    names = tuple(signed_headers)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    request = "\n".join((method, "/", canonical_query(query), lines, ";".join(names)))
    canonical = f"{request}\n{content_sha256}"
    return f"{ACS3}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


def acs3_signature(string_to_sign: str, secret: str) -> str:
    """Return the signature in hex. The secret itself is the key, without derivation."""
    return hmac.digest(secret.encode(), string_to_sign.encode(), "sha256").hex()


def parse_acs3_authorization(header: str) -> Acs3Authorization:
    """Parse "ACS3-HMAC-SHA256 Credential=..,SignedHeaders=a;b,Signature=..".

    Raises ValueError if the text has another form, or if SignedHeaders has a name twice or a name
    that is not in lower case.
    """
    scheme, _, rest = header.partition(" ")
    parts = [part.strip().partition("=") for part in rest.split(",")]
    values = {name: value for name, _, value in parts}
    if scheme != ACS3 or len(parts) != 3:
        raise ValueError("not an ACS3 authorization")
    try:
        names = tuple(values["SignedHeaders"].split(";"))
        authorization = Acs3Authorization(values["Credential"], names, values["Signature"])
    except KeyError as error:
        raise ValueError(f"{error} is missing") from None
    if len(set(names)) != len(names) or not all(name and name == name.lower() for name in names):
        raise ValueError("SignedHeaders must be in lower case and must not repeat a name")
    return authorization


def canonical_query(parameters: Mapping[str, str]) -> str:
    """Join the parameters as both signatures need them: sorted by name, encoded as in RFC 3986."""
    pairs = sorted(parameters.items())
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in pairs)


def _encoded(text: str) -> str:
    # quote() does not encode letters, digits and "_.-~". RFC 3986 calls them unreserved.
    return quote(text, safe="")
