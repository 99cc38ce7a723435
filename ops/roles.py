"""`python -m ops.roles` (make roles): prints the two roles as JSON, to make them by hand in RAM.

It prints one object with four documents, in the format of RAM's script editor. With DOCUMENT=<name>
it prints only this document. It is not verified on the real cloud (assumption 80) whether RAM
accepts the documents unchanged. The documents have exactly the rights that ops/rights.py derives
from the deployment's variables, like the roles of template.yml. stderr says where to use each
document, and why each right is needed.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ops import dotenv, misspelt, report, rights
from ops.configuration import settings_of
from ops.rights import Options, Rights, Statement
from token_service.app import ROUTES
from token_service.errors import Misconfiguration, ServiceError
from token_service.settings.parsing import Reader, Variable, matching
from token_service.settings.reading import Settings
from token_service.settings.variables import MULTIPART_SECRET, ROLE_ARN

Document = dict[str, Any]

_OPTIONAL = (
    *("OBJECT_PREFIX", "POLICY_FILE", "POLICY_CHOICES", "ENABLED_ROUTES", "AUTH"),
    *("TOKEN_EXPIRE_TIME", "TOKEN_EXPIRE_TIME_MAX", "CALLBACK_URL", "UPLOAD_HOOK_URL"),
)
# This is a variable of s.yaml.
NAME = Variable(
    "FUNCTION_NAME",
    matching("[A-Za-z0-9_-]{1,50}", "1 to 50 of A-Z, a-z, 0-9, _ and -"),
    "sts-token",
)
_ACCOUNT = Variable("AccountID", matching("[0-9]{1,32}", "the account's id, digits only"))
FUNCTION_ROLE = ROLE_ARN._replace(name="FUNCTION_ROLE_ARN")
# A * in these names would allow access to other logs.
_LOG_NAME = matching("[a-z0-9][a-z0-9_-]{1,62}", "2 to 63 of a-z, 0-9, _ and -")
_LOGS = Variable("LOG_PROJECT", _LOG_NAME), Variable("LOG_STORE", _LOG_NAME)
MIN_SESSION_SECONDS = 3600
"""The smallest value that RAM accepts for a role's longest session (vendor documentation of
CreateRole)."""


class Roles(NamedTuple):
    """The ARNs of both roles, and the rights that the roles need."""

    function_arn: str
    upload_arn: str
    needed: Rights
    options: Options
    session_seconds: int
    """The smallest possible value for the upload role's longest session."""

    def documents(self) -> dict[str, Document | None]:
        """Return the documents by their names. A policy that would allow nothing is None."""
        return {
            "function-trust": _trust({"Service": ["fc.aliyuncs.com"]}),
            "function-policy": _policy(self.needed.function_role),
            "upload-trust": _trust({"RAM": [self.function_arn]}),
            "upload-policy": _policy(self.needed.upload_role),
        }


def main() -> int:
    """Print the documents. Returns 0, or 1 with one clear line on stderr."""
    misspelt.refuse("roles")
    env = dotenv.environment("roles")
    try:
        roles = read(env)
        shown = _chosen(roles.documents(), env.get("DOCUMENT", "").strip())
    except ServiceError as error:
        print(f"make roles: {report.plain(error.message, ())}", file=sys.stderr)
        return 1
    for line in _told(roles):
        print(f"make roles: {report.plain(line, ())}", file=sys.stderr)
    print(json.dumps(shown, indent=2, ensure_ascii=False))
    return 0


def read(env: Mapping[str, str]) -> Roles:
    """Return the roles for a deployment with these variables.

    Raises Misconfiguration or PolicyError for the first fault.
    """
    reader = Reader(env)
    name, account = reader.read(NAME), reader.optional(_ACCOUNT, "")
    given = reader.text(ROLE_ARN)
    if not given and not account:
        raise Misconfiguration(
            ROLE_ARN.name,
            f"{ROLE_ARN.missing}. s.yaml derives it from your account's id, but this command does "
            "not know the id. Set ROLE_ARN, or set AccountID to the id",
        )
    env = {**env, ROLE_ARN.name: given or f"acs:ram::{account}:role/{name}-upload"}
    settings = settings_of(env, needed=(ROLE_ARN.name, "BUCKET_NAME"), optional=_OPTIONAL)
    of_account = settings.role_arn.partition(":role/")[0]
    function_arn: str = reader.optional(FUNCTION_ROLE, f"{of_account}:role/{name}-function")
    if function_arn == settings.role_arn:
        raise Misconfiguration(
            ROLE_ARN.name,
            "is also the ARN of the function role; must be another role, because a token must not "
            "have the function role's rights",
        )
    found, options = needed(settings, env)
    seconds = max(MIN_SESSION_SECONDS, settings.max_token_seconds)
    return Roles(function_arn, settings.role_arn, found, options, seconds)


def needed(settings: Settings, env: Mapping[str, str]) -> tuple[Rights, Options]:
    """Return the rights that the roles need, and the options from which they follow. `env` is read
    only for the log project and MULTIPART_SECRET. Raises Misconfiguration, PolicyError."""
    reader = Reader(env)
    project, store = (reader.optional(variable, "") for variable in _LOGS)
    store = f"acs:log:*:*:project/{project}/logstore/{store or 'function'}" if project else ""
    options = Options(
        bucket=settings.bucket,
        prefix=settings.prefix,
        upload_role=settings.role_arn,
        log_store=store,
        has_callbacks=settings.has_callbacks,
        names_callers=settings.auth.names_callers,
        has_multipart=bool(reader.text(MULTIPART_SECRET)),
    )
    routes = [r.path for r in ROUTES if r.word is None or r.word in settings.enabled_routes]
    return rights.rights(settings.policy_choices, routes, options), options


def _chosen(documents: Mapping[str, Document | None], name: str) -> Mapping[str, object]:
    """Return all documents, or only the document `name`. Raises Misconfiguration."""
    if not name:
        return documents
    if name not in documents:
        raise Misconfiguration("DOCUMENT", f"must be one of {', '.join(documents)}")
    found = documents[name]
    if found is None:
        raise Misconfiguration(
            "DOCUMENT", f"there is no {name}: with these variables it would have no rights"
        )
    return found


def _trust(principal: Mapping[str, Sequence[str]]) -> Document:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
    return {"Version": "1", "Statement": [statement]}


def _policy(needed: Sequence[Statement]) -> Document | None:
    """Make one statement for each resource and condition."""
    actions: dict[tuple[str, str], list[str]] = {}
    for one in needed:
        actions.setdefault((one.resource, one.condition), []).append(one.action)
    statements = [
        {
            "Effect": "Allow",
            "Action": found,
            "Resource": [resource],
            **({"Condition": json.loads(condition)} if condition else {}),
        }
        for (resource, condition), found in actions.items()
    ]
    return {"Version": "1", "Statement": statements} if statements else None


def _told(roles: Roles) -> Iterator[str]:
    """Say where to use each document in the RAM console, and why each right is needed."""
    function, upload = (
        arn.partition(":role/")[2] for arn in (roles.function_arn, roles.upload_arn)
    )
    yield f"1. make the role {function} from function-trust; Function Compute will assume it"
    yield (
        f"2. make the role {upload} from upload-trust; {function} will assume it. Set its longest "
        f"session (MaxSessionDuration) to {roles.session_seconds} s or more"
    )
    yield f"3. make a policy from function-policy and grant it to {function}; it has these rights:"
    yield from _reasons(roles.needed.function_role, roles.options)
    yield f"4. make a policy from upload-policy and grant it to {upload}; it has these rights:"
    yield from _reasons(roles.needed.upload_role, roles.options)
    for name in roles.needed.unbounded:
        yield f"   rights for the policy {Path(name).name} cannot be derived: add them yourself"


def _reasons(needed: Sequence[Statement], options: Options) -> Iterator[str]:
    for one in needed:
        yield f"   {rights.said([one], options)}: {'; '.join(one.reasons)}"
    if not needed:
        yield "   no right is needed, so this policy does not exist"


if __name__ == "__main__":
    # Without this line, `make roles | head` would end with an error.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
