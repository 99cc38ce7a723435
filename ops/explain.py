"""`python -m ops.explain` (make explain): shows what a token may do. The command needs no cloud and
no key.

It renders the policy as the function does, and asks the sandbox's policy evaluator about each
operation.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ops import dotenv, misspelt
from ops.configuration import settings_of
from ops.operations import KEY, Operation, Place, operations
from sandbox.oss.errors import OssError
from sandbox.ram import Access, Effect, Policy, PolicyGrammarError
from token_service.errors import Misconfiguration, ServiceError
from token_service.grant import grants
from token_service.grant.grants import Grant
from token_service.grant.policies import MAX_CHARACTERS, Policies
from token_service.grant.refusals import InvalidParameter
from token_service.login import callers
from token_service.settings.reading import Settings

_OPTIONAL = ("AUTH", "OBJECT_PREFIX", "POLICY_FILE", "POLICY_CHOICES", "ROLE_ARN")
_REQUESTS_OWN = {"oss:Prefix", "oss:Delimiter"}
"""The condition keys whose value depends only on the request."""
_ANYWHERE = Place.in_folder("bucket", "")
_OPEN = (
    "?  It is not verified on the real OSS (assumption 1) whether this put needs",
    "   PutObjectAcl. A token without this right may be able to make an object",
    "   public. BlockPublicAccess prevents this.",
    "   To test this: `make smoke UPLOAD=1 ACL=1` or `make conform CLOUD=1`.",
)


@dataclass(frozen=True)
class Row:
    """One operation: the RAM actions that it needs, and whether it is allowed in each place.

    An operation on a whole bucket is judged only in the places "root" and "other". In every other
    place, `allowed` is None for an operation on a whole bucket. `open` names the places where the
    answer is not known: the sandbox refuses the operation there, but only because of an action that
    the real OSS may not require.
    """

    operation: str
    actions: tuple[str, ...]
    allowed: dict[str, bool | None]
    open: frozenset[str] = frozenset()


def main(env: Mapping[str, str]) -> int:
    """Explain what these variables allow. Returns 0, or 1 with one clear line on stderr."""
    try:
        print("\n".join(explain(env)))
    except InvalidParameter as error:
        # Here the wishes come from variables, so the message names the variable.
        name, _, fault = error.message.partition(":")
        print(f"make explain: {name.upper()}:{fault}", file=sys.stderr)
    except ServiceError as error:
        print(f"make explain: {error.message}", file=sys.stderr)
    else:
        return 0
    return 1


def explain(env: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of the report. Raises Misconfiguration, InvalidParameter, PolicyError."""
    settings = settings_of(env, needed=("BUCKET_NAME",), optional=_OPTIONAL)
    user_id = _user_id(env, settings)
    caller = callers.ANONYMOUS if user_id is None else callers.named(user_id)
    wishes = {name: env[name.upper()] for name in ("policy", "object") if env.get(name.upper())}
    chosen = (wishes["policy"],) if "policy" in wishes else settings.policy_choices
    granted = [grants.decide(caller, {**wishes, "policy": name}, settings) for name in chosen]
    policies = Policies(settings.policy_choices)
    where = places(granted[0], _neighbours_prefix(user_id, settings))

    yield f"caller     {'anybody' if user_id is None else repr(user_id)}"
    yield f"prefix     {granted[0].prefix}"
    yield f"in logs    {caller.session_name} (RoleSessionName)"
    for grant in granted:
        text = policies.render(grant)
        policy = _parsed(text, grant.policy, settings)
        title = f"{grant.policy}: {len(text):,} of {MAX_CHARACTERS:,} characters"
        yield from ("", title, "-" * len(title))
        yield json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        yield ""
        judged = list(rows(policy, where, settings.role_arn.split(":")[3]))
        yield from _table(judged)
        yield from _notes(policy, judged)
    yield ""
    for name, place in where.items():
        yield f"{name:<10} {place.bucket}/{place.key if name == 'object' else place.folder}"
    yield "The upload role's own policies are not checked here. They may refuse more."


def places(grant: Grant, neighbours_prefix: str) -> dict[str, Place]:
    """Return the places that the command checks against the grant, each with its name. The first is
    the grant's own folder, or its object if the grant is for one object."""
    bucket, prefix = grant.bucket, grant.prefix
    other_bucket = "other-bucket" if bucket != "other-bucket" else "another-bucket"
    folders = {
        "own": Place.in_folder(bucket, prefix),
        "neighbour": Place.in_folder(bucket, neighbours_prefix),
        "root": Place.in_folder(bucket, ""),
        "other": Place.in_folder(other_bucket, prefix),
    }
    if grant.object_key is None:
        return folders
    if folders["own"].key == grant.object_key:
        folders["own"] = Place(bucket, prefix, f"{prefix}another-{KEY}")
    return {"object": Place(bucket, prefix, grant.object_key), **folders}


def rows(policy: Policy, where: Mapping[str, Place], account_id: str) -> Iterator[Row]:
    """Judge each operation in each place."""
    own = next(iter(where.values()))
    for operation in operations():
        needs = operation.needs(_ANYWHERE, _ANYWHERE)
        allowed: dict[str, bool | None] = {}
        open_places = set()
        for name, place in where.items():
            if operation.on_bucket and name not in ("root", "other"):
                allowed[name] = None
                continue
            refused = _refused(policy, operation, place, own, account_id)
            allowed[name] = not refused
            if refused and refused <= operation.assumed:
                open_places.add(name)
        actions = tuple(dict.fromkeys(need.action for need in needs))
        yield Row(operation.name, actions, allowed, frozenset(open_places))


def _refused(
    policy: Policy, operation: Operation, place: Place, own: Place, account_id: str
) -> set[str]:
    """Return the actions that the operation needs but the policy does not allow at `place`."""
    try:
        needs = operation.needs(place, own)
    except OssError as error:
        # The request cannot be made, for example because its key is too long.
        return {error.code}
    return {
        need.action
        for need in needs
        if policy.evaluate(Access(need.action, need.resource(account_id), need.context))
        is not Effect.ALLOW
    }


def _user_id(env: Mapping[str, str], settings: Settings) -> str | None:
    user_id = env.get("CALLER", "")
    if not settings.auth.names_callers:
        if user_id:
            raise Misconfiguration(
                "CALLER", "must be empty, because with AUTH=anonymous everybody is the same caller"
            )
        return None
    if not user_id:
        raise Misconfiguration(
            "CALLER", "not set; must be a user's id, like alice (or set AUTH=anonymous)"
        )
    return user_id


def _neighbours_prefix(user_id: str | None, settings: Settings) -> str:
    """Return the prefix of a neighbour, like alice2 for alice. A policy that lacks the final slash
    would also open this prefix."""
    if user_id is None:
        return f"{settings.prefix[:-1]}2/"
    return grants.decide(callers.named(f"{user_id}2"), {}, settings).prefix


def _parsed(text: str, name: str, settings: Settings) -> Policy:
    try:
        return Policy.parse(text)
    except PolicyGrammarError as error:
        variable = "POLICY_FILE" if name == settings.policy else "POLICY_CHOICES"
        raise Misconfiguration(variable, f"{name} cannot be judged: {error}") from None


def _table(judged: list[Row]) -> Iterator[str]:
    names = list(judged[0].allowed)
    yield _line("allowed in", names, "needs (oss:)")
    words = {True: "yes", False: "no", None: ""}
    for row in judged:
        cells = ["?" if name in row.open else words[row.allowed[name]] for name in names]
        actions = [action.removeprefix("oss:") for action in row.actions]
        yield _line(row.operation, cells, *actions)


def _line(operation: str, cells: list[str], *actions: str) -> str:
    widths = (8, 5, 11, 6, 7)[-len(cells) :]
    columns = "".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{operation:<21}{columns}{' '.join(actions)}".rstrip()


def _notes(policy: Policy, judged: list[Row]) -> Iterator[str]:
    if any(row.open for row in judged):
        yield from _OPEN
    keys = {condition.key for s in policy.statements for condition in s.conditions}
    if keys - _REQUESTS_OWN:
        unmet = ", ".join(sorted(keys - _REQUESTS_OWN))
        yield f"This report assumes that conditions on {unmet} are not met."


if __name__ == "__main__":
    # With this, `make explain | head` ends without an error.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    misspelt.refuse("explain")
    sys.exit(main(dotenv.environment("explain")))
