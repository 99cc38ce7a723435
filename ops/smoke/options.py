"""Turns the environment into Options: what to call, as which caller, and what to check. No message
shows a value, because some values are secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from ops.login import issue
from ops.smoke.wire import Address
from token_service.errors import Misconfiguration, ServiceError
from token_service.http import cors
from token_service.settings.parsing import Reader, Refused
from token_service.settings.reading import read_access_key
from token_service.settings.values import AccessKey

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\]"
_NAME = r"[A-Za-z_][A-Za-z0-9_-]{0,127}"
_KEY = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET")
MAX_LOGIN_CHARACTERS = 8192  # login/logins.py has the same limit


class UsageError(Exception):
    """Raised for a mistake that the user can fix. The message names the variable."""


@dataclass(frozen=True)
class Fc2Function:
    """A function on FC 2.0. `service` may end with a qualifier, like service.LATEST."""

    service: str
    function: str


@dataclass(frozen=True)
class Options:
    """The options of `make smoke`."""

    address: Address
    login: str = field(repr=False)
    """A JWT for AUTH=jwt, or ""."""
    origin: str
    """The origin of a page that calls the URL, or ""."""
    upload: bool
    acl: bool
    """Whether to try an upload with a public ACL too."""
    is_insert_only: bool
    """Whether OVERWRITE=no is set. With OVERWRITE=no, a second upload of the same name must be
    refused."""
    sign: bool
    fc2: Fc2Function | None
    key: AccessKey | None
    """The operator's own key, which signs calls and deletes the uploaded objects."""


def read_options(env: Mapping[str, str]) -> Options:
    """Read URL, LOGIN or CALLER, ORIGIN, UPLOAD, ACL, SIGN, FC2 and the operator's key. Also read
    the function's variable OVERWRITE. Raises UsageError."""
    options = Options(
        address=read_address(env, "URL"),
        login=_login(env),
        origin=_origin(env.get("ORIGIN", "").strip()),
        upload=_flag(env, "UPLOAD"),
        acl=_flag(env, "ACL"),
        is_insert_only=env.get("OVERWRITE", "").strip() == "no",
        sign=_flag(env, "SIGN"),
        fc2=_fc2(env.get("FC2", "").strip()),
        key=_key(env),
    )
    if options.acl and not options.upload:
        raise UsageError(
            "ACL=1 needs UPLOAD=1, because it uploads an object and tries to make it public"
        )
    if options.sign and options.fc2:
        raise UsageError("SIGN is only for FC 3.0: with FC2, aliyun-fc2 signs the calls")
    if (options.sign or options.fc2) and options.key is None:
        name = "SIGN=1" if options.sign else "FC2"
        raise UsageError(f"{name} needs {' and '.join(_KEY)} in the environment")
    if options.fc2 and options.address.base:
        raise UsageError("URL must not have a path, because FC2 names the function")
    return options


def read_address(env: Mapping[str, str], name: str) -> Address:
    """Read a function's URL from the variable `name`. Raises UsageError."""
    url = env.get(name, "").strip()
    accepts = f"{name} must be https://host[:port][/path] of the function, or http:// on loopback"
    if not url:
        raise UsageError(f"{accepts}; for example {name}=https://token.example.com/")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError(accepts) from None
    bare = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
    if (
        parts.scheme not in ("http", "https")
        or not re.fullmatch(_HOST, bare)
        or not re.fullmatch("(?:/[!-~]*)?", parts.path)
        or parts.fragment
        or port == 0
    ):
        raise UsageError(accepts)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "access_token" in query:
        raise UsageError(f"{name} must not contain access_token; give the login as LOGIN")
    # A token URL may end with the route /sts.
    base = parts.path.rstrip("/").removesuffix("/sts")
    host = (parts.hostname or "").lower()
    return Address(
        parts.scheme, host, port or {"https": 443, "http": 80}[parts.scheme], base, query
    )


def _login(env: Mapping[str, str]) -> str:
    """Return LOGIN, or a login for CALLER made with JWT_SECRET. A login is made only if CALLER is
    set, because the login is sent to the host of URL."""
    login = env.get("LOGIN", "").strip()
    if env.get("CALLER", "").strip():
        if login:
            raise UsageError(
                "LOGIN and CALLER are both set; give only one, because CALLER makes a login"
            )
        try:
            return issue(env).login
        except ServiceError as error:
            raise UsageError(error.message) from None
    if not re.fullmatch("[!-~]*", login) or len(login) > MAX_LOGIN_CHARACTERS:
        raise UsageError(
            f"LOGIN must be one JWT of at most {MAX_LOGIN_CHARACTERS} printable characters"
        )
    return login


def _origin(origin: str) -> str:
    try:
        sound = not origin or cors.origins(origin) == (origin,) != ("*",)
    except Refused:
        sound = False
    if not sound:
        raise UsageError(
            "ORIGIN must be one origin as browsers send it, like https://app.example.com or "
            "capacitor://localhost, without a path"
        )
    return origin


def _flag(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name, "").strip()
    if value not in ("", "0", "1"):
        raise UsageError(f"{name} must be 1 or 0")
    return value == "1"


def _fc2(value: str) -> Fc2Function | None:
    if not value:
        return None
    service, _, function = value.partition("/")
    name, dot, qualifier = service.partition(".")
    sound = re.fullmatch(_NAME, name) and re.fullmatch(_NAME, function)
    if not sound or (dot and not re.fullmatch("[A-Za-z0-9_-]{1,128}", qualifier)):
        raise UsageError("FC2 must be service/function, or service.qualifier/function")
    return Fc2Function(service, function)


def _key(env: Mapping[str, str]) -> AccessKey | None:
    """Return the whole key, or None if no part of it is set. Half a key is a mistake."""
    if not any(env.get(name, "").strip() for name in _KEY):
        return None
    try:
        return read_access_key(Reader(env))
    except Misconfiguration as error:
        raise UsageError(f"{error.variable} is missing: only one half of the key is set") from None
