"""The first lines of `make run`: where everything is, and what to try first."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from logging.handlers import MemoryHandler
from typing import TextIO

from ops.smoke.wire import unresolved
from sandbox import demo_login, page
from sandbox.environment import CNAME, Ports
from sandbox.log_lines import is_coloured
from sandbox.ram import Access, Effect, Policy, PolicyGrammarError
from token_service.grant import grants
from token_service.grant.policies import Policies
from token_service.login import callers
from token_service.settings import variables
from token_service.settings.reading import Settings

# This command is one line, so that it can be copied. docs/start.md has the same command as a
# script.
_PUT = (
    "import json, oss2, sys; t = json.load(open('token.json')); s = t['Scope']; "
    "a = oss2.StsAuth(t['AccessKeyId'], t['AccessKeySecret'], t['SecurityToken'], "
    "auth_version='v4'); print(oss2.Bucket(a, s['Endpoint'], s['Bucket'], region=s['Region'], "
    "is_cname=s['Cname']).put_object(sys.argv[1], 'Hello').status)"
)


def of_sandbox(
    ports: Ports,
    settings: Settings,
    has_demo_logins: bool,
    *,
    takes_v1: bool,
    link: Callable[[str], str] = str,
    phone: Sequence[str] = (),
) -> str:
    """The banner of `make run`: facts, then commands to copy, then the lines for a `phone`.

    `link` makes a URL clickable.
    """
    url = f"http://127.0.0.1:{ports.gateway}/"
    token_url, *facts = _facts(url, settings, _others(ports))
    return "\n".join(
        [
            f"  page       {link(url + page.PATH[1:])}  in a browser: upload, and see it",
            token_url,
            _deployed(settings, ports.gateway),
            *facts,
            *(["  signatures V4, and V1 as for old buckets"] if takes_v1 else []),
            "",
            *_first_commands(url, settings, has_demo_logins, ports),
            *phone,
            "Ctrl-C ends it.",
        ]
    )


def hold_log() -> None:
    """Hold log lines back until release_log(), so that the banner comes first."""
    root = logging.getLogger()
    root.handlers = [
        MemoryHandler(1000, flushLevel=logging.CRITICAL + 1, target=handler)
        for handler in root.handlers
    ]


def release_log() -> None:
    """Write the held log lines. From now on, each line is written immediately."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, MemoryHandler) and handler.target is not None:
            root.removeHandler(handler)
            root.addHandler(handler.target)
            handler.close()


def link_on(stream: TextIO, env: Mapping[str, str]) -> Callable[[str], str]:
    """A function that makes a URL clickable (OSC 8) if `stream` is a terminal; else it returns the
    URL."""
    if not is_coloured(stream, env):
        return str
    return lambda url: f"\x1b]8;;{url}\x1b\\{url}\x1b]8;;\x1b\\"


def _deployed(settings: Settings, port: int) -> str:
    """The line that compares the sandbox's defaults with the defaults of a deployed function."""
    defaults = (variables.AUTH.default, variables.POLICY_FILE.default)
    auth, policy = defaults
    here = ("jwt" if settings.auth.names_callers else "anonymous", settings.policy)
    plays = (
        "this run has the same settings"
        if here == defaults
        else f"to try this: make run PORT={port} AUTH={auth} POLICY_FILE={policy}"
    )
    return (
        f"  deployed   a deployed function has AUTH={auth} by default, and its tokens cannot read "
        f"objects; {plays}"
    )


def _others(ports: Ports) -> list[tuple[str, str, str]]:
    """The addresses of OSS if its public endpoint is closed: name, address and use of each."""
    if ports.internal is None:
        return []
    return [
        ("domain", f"http://{CNAME}:{ports.oss}", "the bucket's own domain (CNAME)"),
        ("closed", f"http://127.0.0.1:{ports.oss}", "the public endpoint (no data calls)"),
        ("internal", f"http://127.0.0.1:{ports.internal}", "for the function's own calls"),
    ]


def of_cloud(url: str, settings: Settings) -> str:
    """The URL occurs once. A user who shares the output must hide the URL in one place only."""
    return "\n".join(
        [
            "The token function, with the real STS.",
            "",
            *_facts(url, settings),
            "",
            "Try:  curl with that token URL. Everybody who knows the URL gets real tokens; web "
            "pages get none.",
            "The URL is printed only here, and the next run has another one.",
            "Ctrl-C ends it.",
        ]
    )


def _facts(url: str, settings: Settings, others: Sequence[tuple[str, str, str]] = ()) -> list[str]:
    """Lines with all addresses. The line "OSS" shows the address that tokens give for OSS. The
    lines after it show the other addresses of OSS."""
    auth = "jwt" if settings.auth.names_callers else "anonymous"
    oss = str(settings.oss_endpoint)
    role = "".join(f"; {role}" for _, address, role in others if address == oss)
    return [
        f"  token URL  {url}",
        f"  OSS        {oss}  bucket {settings.bucket}{role}",
        *(f"  {name:<9}  {address}, {role}" for name, address, role in others if address != oss),
        f"  STS        {settings.sts_endpoint}",
        f"  tokens     AUTH={auth}, {settings.policy}, prefix {settings.prefix}",
    ]


def _first_commands(url: str, settings: Settings, has_demo_logins: bool, ports: Ports) -> list[str]:
    """Commands to copy into another terminal. The command for an upload is left out if it would
    fail."""
    host = settings.oss_endpoint.host
    is_found = not host.endswith(".localhost") or not unresolved(host)
    hint = f'Python and Node.js may not find {host}; add "127.0.0.1 {host}" to /etc/hosts'
    takes_data = ports.internal is None or host == CNAME
    return [
        *([] if is_found else [hint, ""]),
        *_commands(url, settings, has_demo_logins, can_upload=is_found and takes_data),
    ]


def _commands(
    url: str, settings: Settings, has_demo_logins: bool, *, can_upload: bool
) -> list[str]:
    if not settings.auth.names_callers:
        return [f"Try:  curl {url}"]
    if not has_demo_logins:
        return [f"Try:  curl -H 'Authorization: Bearer <JWT of your app>' {url}"]
    login_url = f"{url.rstrip('/')}{demo_login.PATH}?user=alice"
    lines = [
        "Try, as alice:",
        "",
        f"  LOGIN=$(curl -s '{login_url}' | cut -d '\"' -f 4)",
        f'  curl -s -H "Authorization: Bearer $LOGIN" {url} > token.json',
    ]
    if can_upload and _shows_isolation(settings):
        alice, bob = (shlex.quote(f"{settings.prefix}{who}/hello.txt") for who in ("alice", "bob"))
        lines += [
            f'  upload() {{ {shlex.quote(sys.executable)} -c "{_PUT}" "$1"; }}',
            f"  upload {alice}    # 200",
            f"  upload {bob}      # AccessDenied: not hers",
        ]
    return [*lines, ""]


def _shows_isolation(settings: Settings) -> bool:
    """Whether the policy lets alice upload into her folder but not into bob's. The printed commands
    show both."""
    grant = grants.decide(callers.named("alice"), {}, settings)
    try:
        policy = Policy.parse(Policies(settings.policy_choices).render(grant))
    except PolicyGrammarError:
        # The policy is malformed. When a token is requested, STS refuses this policy and reports
        # the reason.
        return False
    account = settings.role_arn.split(":")[3]

    def may_put(who: str) -> bool:
        resource = f"acs:oss:*:{account}:{settings.bucket}/{settings.prefix}{who}/hello.txt"
        return policy.evaluate(Access("oss:PutObject", resource, {})) is Effect.ALLOW

    return may_put("alice") and not may_put("bob")
