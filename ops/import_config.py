"""`python -m ops.import_config` (make import-config): makes a .env from the vendor's config.json.

It writes lines of NAME=value that a shell (`. ./.env`) and `docker run --env-file` read in the same
way. A shell removes quotes, but docker takes them as part of the value. Therefore this program
writes no quotes, and refuses a value that needs them. Secrets are never printed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from ops import policies_described
from ops.configuration import settings_of
from token_service.errors import Misconfiguration, ServiceError
from token_service.grant import grants
from token_service.grant.policies import Policies
from token_service.login import callers

MAX_BYTES = 64 * 1024
"""The largest config.json that is read. A real one is much smaller."""

_KEY = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET")
_VARIABLES = {
    "AccessKeyID": _KEY[0],
    "AccessKeyId": _KEY[0],
    "AccessKeySecret": _KEY[1],
    "RoleArn": "ROLE_ARN",
    "TokenExpireTime": "TOKEN_EXPIRE_TIME",
    "PolicyFile": "POLICY_FILE",
    "bucket": "BUCKET_NAME",
    "region": "OSS_REGION",
}
"""Maps each member of config.json, in the spelling of the vendor's samples, to our variable."""
_KNOWN = ", ".join(_VARIABLES)
_NEEDED = {_KEY[0]: "AccessKeyID", _KEY[1]: "AccessKeySecret", "ROLE_ARN": "RoleArn"}
_BESIDE = ("BUCKET_NAME", "OBJECT_PREFIX", "OSS_REGION", "AUTH", "POLICY_FILE")
"""Variables that can be given in addition to CONFIG. They win over CONFIG."""
_CHECKED = ("TOKEN_EXPIRE_TIME", *_BESIDE)
# Characters without a special meaning for a shell or for docker.
_PLAIN = r"[A-Za-z0-9@%+=:,./_-]+"


class ConfigError(Exception):
    """Raised for a bad config.json or OUT. The message says why, and shows no value."""


def main(env: Mapping[str, str]) -> int:
    """Import CONFIG into OUT. Returns 0. After an error it writes no file, prints one line on
    stderr and returns 1."""
    out = Path(env.get("OUT") or ".env")
    try:
        variables = import_config(env)
        write(out, variables)
    except ConfigError as error:
        print(f"make import-config: {error}", file=sys.stderr)
        return 1
    print("\n".join(_advice(out, variables)))
    return 0


def import_config(env: Mapping[str, str]) -> dict[str, str]:
    """Read and check CONFIG. Return the function's variables in the order to write them.

    Raises ConfigError.
    """
    if not env.get("CONFIG"):
        raise ConfigError("CONFIG: not set; must be the path of the vendor's config.json")
    path = Path(env["CONFIG"])
    sources: dict[str, str] = {}
    imported: dict[str, str] = {}
    for member, value in _members(path):
        name = _VARIABLES.get(member)
        if name is None:
            raise ConfigError(f"CONFIG: {member[:40]!r} is unknown; the known members are {_KNOWN}")
        if name in sources:
            raise ConfigError(f"CONFIG: {member} occurs twice")
        sources[name] = f"CONFIG: {member}"
        imported[name] = _text(value, sources[name])
    for name, member in _NEEDED.items():
        if name not in imported:
            raise ConfigError(f"CONFIG: {member} is missing")
    if "POLICY_FILE" in imported:
        # The path is relative to config.json, since the vendor's samples run in the folder of
        # config.json.
        imported["POLICY_FILE"] = str(path.absolute().parent / imported["POLICY_FILE"])
    if "OSS_REGION" in imported:
        imported["OSS_REGION"] = imported["OSS_REGION"].removeprefix("oss-")
    for name in _BESIDE:
        if env.get(name):
            sources[name], imported[name] = name, env[name]
    _check(imported, sources)
    order = dict.fromkeys((*_VARIABLES.values(), *_BESIDE))
    return {name: imported[name] for name in order if name in imported}


def write(out: Path, variables: Mapping[str, str]) -> None:
    """Write a new file that only its owner can read. Raises ConfigError, and then leaves no
    file."""
    lines = [
        "# From the vendor's config.json. Load this file with `set -a; . ./.env; set +a`, or with "
        "`docker run --env-file`.",
        "# The first two variables are a permanent key. A deployed function has a role instead.",
        *(f"{name}={value}" for name, value in variables.items()),
    ]
    made = False
    try:
        # With O_EXCL, this overwrites no existing file and no target of a link.
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        made = True
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join([*lines, ""]))
    except FileExistsError:
        raise ConfigError(
            f"OUT: {out} exists already; move it away, or set OUT to another file"
        ) from None
    except OSError as error:
        if made:
            out.unlink()
        raise ConfigError(f"OUT: cannot write {out}: {error.strerror}") from None


def _members(path: Path) -> list[tuple[str, object]]:
    """Return the members of the JSON object in the file. A repeated member stays in the list
    twice."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"CONFIG: cannot read {path}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"CONFIG: {path} is too large: it has more than {MAX_BYTES} bytes")
    try:
        # The editor of Windows writes a byte order mark.
        members = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_Members)
    except UnicodeDecodeError:
        raise ConfigError(f"CONFIG: {path} must be UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"CONFIG: {path} must be JSON: {error.msg} at line {error.lineno}, column "
            f"{error.colno} (JSON has no comments, and no comma after the last member)"
        ) from None
    except (ValueError, RecursionError):
        fault = "must be JSON with less nesting and shorter numbers"
        raise ConfigError(f"CONFIG: {path} {fault}") from None
    if not isinstance(members, _Members):
        raise ConfigError(f"CONFIG: {path} must be a JSON object")
    return members


class _Members(list[tuple[str, object]]):
    """A JSON object as pairs. A dict would keep only the last of two members with the same name."""


def _text(value: object, source: str) -> str:
    # Some samples have TokenExpireTime as a number.
    if type(value) is int and source.endswith("TokenExpireTime"):
        return str(value)
    if not isinstance(value, str):
        seconds = ", or a whole number like 900" if source.endswith("TokenExpireTime") else ""
        raise ConfigError(f"{source} must be text{seconds}")
    if not value:
        raise ConfigError(f"{source} is empty")
    return value


def _check(variables: Mapping[str, str], sources: Mapping[str, str]) -> None:
    for name, value in variables.items():
        if not re.fullmatch(_PLAIN, value):
            raise ConfigError(
                f"{sources[name]} {_what_is_not_plain(value)}; the value may have only A-Z, a-z, "
                "0-9 and @%+=:,./_-, because a shell and `docker --env-file` read other characters "
                "in different ways"
            )
    try:
        settings = settings_of(variables, needed=("ROLE_ARN",), optional=_CHECKED)
        policies = Policies(settings.policy_choices)
        policies.render(grants.decide(callers.named("somebody"), {}, settings))
    except Misconfiguration as error:
        fault = error.message.removeprefix(f"{error.variable}: ")
        if error.variable == "POLICY_FILE":
            fault += f". Or use our policy: POLICY_FILE={_bundled_like(variables['POLICY_FILE'])}"
        raise ConfigError(f"{sources[error.variable]}: {fault}") from None
    except ServiceError as error:
        raise ConfigError(f"{sources['POLICY_FILE']}: {error.message}") from None


def _what_is_not_plain(value: str) -> str:
    """Describe the first fault. The value is not quoted, because it may be a secret."""
    if value != value.lstrip():
        return "begins with a blank or a line break"
    if value != value.rstrip():
        return "ends with a blank or a line break"
    if "\\" in value:
        return 'has a backslash (write "/" between folders)'
    if len(value.splitlines()) > 1:
        return "has a line break in it"
    if re.search(r"\s", value):
        return "has a blank"
    if not value.isprintable():
        return "has an invisible character"
    return (
        "has a character that shells treat specially"
        if value.isascii()
        else "has a character outside of ASCII"
    )


def _bundled_like(policy_file: str) -> str:
    """Return the name of our template that replaces this policy file of the vendor. Our template is
    limited to one prefix. If no template has the file's name, return the template that allows
    most."""
    name = Path(policy_file).stem
    offered = policies_described.offered()
    return name if name in offered else offered[-1]


def _advice(out: Path, variables: Mapping[str, str]) -> Iterator[str]:
    yield f"Wrote {out}, which only you can read. It sets"
    yield from (f"  {name}" for name in variables)
    yield ""
    yield "What is left to do:"
    missing = [name for name in ("BUCKET_NAME", "OSS_REGION") if name not in variables]
    if missing:
        yield f"- Add {' and '.join(missing)}."
    if "AUTH" not in variables:
        yield "- Set JWT_SECRET, so that only your logins get tokens. Or set AUTH=anonymous:"
        yield "  then all users share one folder, as in the vendor's sample."
    policy = policies_described.bundled().get(variables.get("POLICY_FILE", ""))
    if policy and not policy.is_confined:
        yield f"- Use another POLICY_FILE: {variables['POLICY_FILE']} allows everything that the"
        yield "  upload role may do, in every folder."
    source = shlex.quote(str(out if out.is_absolute() else f"./{out}"))
    # A subshell, because exported variables would also change later sandboxes of the terminal.
    loaded = f"(set -a; . {source}; make token CLOUD=1)"
    yield f"- Try it: {'make token CLOUD=1' if out == Path('.env') else loaded}"
    yield f"- Replace {_KEY[0]} and {_KEY[1]}"
    yield "  by a role: give the deployed function a role that may do sts:AssumeRole on"
    yield "  ROLE_ARN. Remove both variables, disable the key in RAM, delete config.json."
    if Path(variables.get("POLICY_FILE", "")).is_absolute():
        yield "- POLICY_FILE is only on this machine. Put it into the package before a deploy."
    if out.name != ".env":
        yield f"- Keep {out} out of version control, because .gitignore lists only .env."


if __name__ == "__main__":
    sys.exit(main(os.environ))
