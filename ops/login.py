"""`python -m ops.login` (make login): makes a login, signed with the deployment's JWT_SECRET.

This login is for a first call or `make smoke`. The logins of an app come from its own sign-in.
stdout has only the login (a JWT, HS256). stderr says who the caller is, and how long the login is
valid.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ops import dotenv, misspelt, report
from ops.configuration import settings_of
from sandbox.demo_login import make_login
from token_service.errors import Misconfiguration, ServiceError
from token_service.http.messages import Request
from token_service.login import brakes
from token_service.login.callers import Caller
from token_service.login.jwt import Jwt
from token_service.login.logins import Logins
from token_service.settings.parsing import Reader, Variable, Whole
from token_service.settings.variables import JWT_SECRET

SECONDS = Variable("SECONDS", Whole(60, 3600, "seconds"), "900")
"""How long a login is valid. The default is short: if somebody finds the login later, for example
in a log, it has expired."""

_OPTIONAL = (
    *("AUTH", "JWT_JWKS_FILE", "JWT_JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE", "JWT_USER_CLAIM"),
    *("JWT_REQUIRE", "LOGINS_NOT_BEFORE", "DENIED_CALLERS"),
)


class Login(NamedTuple):
    """A login and its properties. `denied` says why the function refuses the login, or is ""."""

    login: str
    caller: str
    seconds: int
    settings: Jwt
    secrets: int
    """The number of secrets in JWT_SECRET. The first secret signs the login."""
    denied: str


def main() -> int:
    """Print a login. Returns 0, or 1 with one clear line on stderr."""
    misspelt.refuse("login")
    env = dotenv.environment("login")
    try:
        made = issue(env)
    except ServiceError as error:
        print(f"make login: {_plain(error.message, env)}", file=sys.stderr)
        return 1
    for line in _told(made):
        print(f"make login: {_plain(line, env)}", file=sys.stderr)
    print(made.login)
    return 0


def issue(env: Mapping[str, str]) -> Login:
    """Make a login for CALLER that is valid for SECONDS, with the claims that the function needs.

    The function's own code verifies the login. Raises Misconfiguration, which names the variable.
    """
    if "JWT_SECRET" in misspelt.on_command_line(env):
        raise Misconfiguration(
            "JWT_SECRET",
            "must not be on make's command line, because every process can read a command line "
            "(ps), and the shell keeps it (history). Put the secret into .env or the environment. "
            "If the deployment uses this secret, replace it",
        )
    settings = settings_of(env, needed=("JWT_SECRET",), optional=_OPTIONAL).auth
    caller = env.get("CALLER", "")
    if not isinstance(settings, Jwt):
        raise Misconfiguration(
            "AUTH",
            "anonymous: there are no logins, and anyone who knows the URL gets a token. To use "
            "logins, set AUTH=jwt and JWT_SECRET",
        )
    if settings.keys_file or settings.keys_url:
        raise Misconfiguration(
            "JWT_JWKS_FILE" if settings.keys_file else "JWT_JWKS_URL",
            "logins are verified with public keys, and no login can be made without the private "
            "key. Sign in as your app does, and run `LOGIN=… make smoke` with the JWT that the "
            "app then sends",
        )
    if not caller.strip():
        raise Misconfiguration(
            "CALLER", "not set; must be a user's id from your sign-in, like CALLER=alice"
        )
    seconds: int = Reader(env).read(SECONDS)
    secrets = Reader(env).read(JWT_SECRET)
    made = make_login(caller, settings, secrets[0], seconds)
    named = _verified(made, settings, env)
    if named.login is None or named.login.user_id != caller:
        raise Misconfiguration(
            "JWT_USER_CLAIM",
            f"is {settings.user_claim}, but logins use this claim for something else; must be the "
            "claim that has the user's id, like sub",
        )
    denied = _denied(named, settings)
    return Login(made, caller, seconds, settings, len(secrets), denied)


def _verified(made: str, settings: Jwt, env: Mapping[str, str]) -> Caller:
    """Return the caller that the function would see. Raises Misconfiguration if the function
    refuses the login."""
    request = Request("GET", "/", headers={"authorization": f"Bearer {made}"})
    try:
        return Logins(settings, env).caller(request)
    except ServiceError as error:
        raise Misconfiguration(
            "CALLER", f"the function would refuse this login: {error.message}"
        ) from None


def _denied(caller: Caller, settings: Jwt) -> str:
    """Return the reason why DENIED_CALLERS or LOGINS_NOT_BEFORE stops the caller, or ""."""
    try:
        if settings.brakes is not None:
            brakes.apply(caller, settings.brakes)
    except ServiceError as error:
        return error.message
    return ""


def _told(made: Login) -> Iterator[str]:
    settings = made.settings
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + made.seconds))
    yield f"caller {made.caller!r}, in the claim {settings.user_claim}"
    for name, texts in (("issuer", settings.issuer), ("audience", settings.audience)):
        variable = f"JWT_{name.upper()}"
        text, *others = texts or (f"none, because {variable} is not set",)
        first = f", the first of {len(others) + 1} in {variable}" if others else ""
        yield f"{name} {text}{first}"
    if settings.required is not None:
        yield f"with the claims of JWT_REQUIRE: {', '.join(settings.required.values)}"
    if made.secrets > 1:
        yield f"signed with the first of {made.secrets} secrets in JWT_SECRET"
    yield (
        f"valid until {until} UTC, {made.seconds} s. Anybody who has this login can act as this "
        "caller"
    )
    if made.denied:
        yield f"WARNING: the function will refuse this login: {made.denied}"


def _plain(line: str, env: Mapping[str, str]) -> str:
    """Return the line as printable text. The secret is masked, even if it is in another variable
    too."""
    given = env.get(JWT_SECRET.name, "")
    return report.plain(line, [given, *(part.strip() for part in given.split(","))])


if __name__ == "__main__":
    sys.exit(main())
