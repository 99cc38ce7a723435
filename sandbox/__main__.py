"""The commands of `python -m sandbox`: `run`, `token`, `account-key` and `clean`.

Each command has a make target of the same name. `run` and `token` run the production handler. With
CLOUD=1 the handler calls the real STS with the developer's own key. Without CLOUD=1 it has no real
keys, names or addresses (environment.py).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from starlette.types import ASGIApp

from ops import dotenv, misspelt
from sandbox import (
    ROOT,
    banner,
    browsers,
    cloud,
    demo_login,
    gateway,
    lan,
    log_lines,
    page,
    page_build,
    private_url,
    proxy_hint,
    request_notes,
    sts,
)
from sandbox.command_line import OWN_VARIABLES, given_to_make
from sandbox.environment import (
    CLOUD_VARIABLES,
    CREDENTIALS,
    RULES,
    RUN_POLICY,
    Ports,
    cloud_environment,
    ignored,
    public_key_url,
)
from sandbox.lost_folder import is_lost
from sandbox.servers import PortInUse, Service, allow_connections, in_background, listen, serve
from token_service import faults
from token_service.errors import Misconfiguration, ServiceError
from token_service.grant.policies import Policies
from token_service.http import cors
from token_service.instance import Instance
from token_service.login.jwt import Jwt
from token_service.settings.reading import Settings

log = logging.getLogger("sandbox")

DEFAULT_PORT = 7080  # the gateway's port; OSS uses the next port
DEFAULT_CALLER = "alice"
LAST_PORT = 65535  # the highest TCP port
END_SECONDS = 2
"""Seconds for a clean end. After this time the process ends even if a thread still waits for
STS."""


class UsageError(Exception):
    """Raised for a mistake that the user can correct; the message says how."""


class Unsound(Exception):
    """Raised for wrong or missing variables; its message lists all faults."""

    def __init__(self, faults: Sequence[Misconfiguration]) -> None:
        self.faults = [fault.message for fault in faults]
        super().__init__("; ".join(self.faults))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit code, 0 or 1.

    Each fault is printed as one line on stderr. `token` also prints the faults as JSON on stdout.
    """
    options = _options(arguments)
    command: str = options.command
    log_lines.set_up()
    if command == "run":
        banner.hold_log()
    code = Misconfiguration.code
    try:
        _check_typed_names(options.given, options.make)
        if command == "clean":
            return _clean()
        if command == "account-key":
            return _print_account_key()
        _read_env_file()
        _warn_of_names()
        ports = _ports(os.environ)
        lan_address = _lan_address(command, options.given, options.make)
        if command == "run" and (hint := proxy_hint.hint(os.environ, lan_address)):
            log.warning("%s", hint)
        if _in_cloud(os.environ):
            return _run_in_cloud(ports.gateway) if command == "run" else _token_of_cloud()
        given = _given(options.given, options.make)
        if command == "run":
            return _run(ports, given, lan_address, builds_page=options.build_page)
        return _token(ports, given, lan_address)
    except PortInUse as error:
        other = 9000 if abs(error.port - 9000) > 3 else 9100
        fault = (
            f"{error}. If your own sandbox uses it, stop that sandbox with Ctrl-C, or choose "
            f"another port: make {command} PORT={other}"
        )
    except (UsageError, cloud.Damaged) as error:
        fault = str(error)
    except Unsound as error:
        fault = "\n".join(error.faults)
    except ServiceError as error:
        code, fault = error.code, error.message
    banner.release_log()
    if command == "token":
        # Programs may read this output, so it has the form of the function's own errors.
        message = "; ".join(fault.splitlines())
        print(json.dumps({"StatusCode": 500, "ErrorCode": code, "ErrorMessage": message}))
    for line in fault.splitlines():
        print(f"make {command}: {line}", file=sys.stderr)
    return 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox")
    parser.add_argument("command", choices=("run", "token", "account-key", "clean"))
    parser.add_argument(
        "--given",
        default="",
        metavar="NAMES",
        help="names of the variables that were set on make's command line, separated by spaces",
    )
    parser.add_argument(
        "--build-page", action="store_true", help="with run: build the page in the background"
    )
    parser.add_argument(
        "--make",
        type=int,
        metavar="PID",
        help="process id of make; a variable is ignored if it is not one of make's arguments",
    )
    return parser.parse_args(arguments)


def _given(names: str, make_pid: int | None) -> frozenset[str]:
    """The function's variables that are set on the command line. Raises UsageError."""
    return _on_command_line(RULES.keys() & names.split(), make_pid)


def _on_command_line(given: Collection[str], make_pid: int | None) -> frozenset[str]:
    if make_pid is None:
        return frozenset(given)
    try:
        return given_to_make(given, make_pid)
    except OSError as error:
        names = ", ".join(sorted(given))
        raise UsageError(
            f"cannot read make's own command line, which may set {names}: {error}"
        ) from None


def _check_typed_names(given: str, make_pid: int | None) -> None:
    """Raise UsageError if a name on the command line looks misspelt. The sandbox would otherwise
    run without what was asked for."""
    found = misspelt.typed(given.split(), {*RULES, *OWN_VARIABLES})
    wrong = sorted(_on_command_line(found.keys(), make_pid))
    if wrong:
        raise UsageError("\n".join(misspelt.refusal(name, found[name]) for name in wrong))


def _warn_of_names() -> None:
    """Warn about names in the environment that look misspelt."""
    for name, meant in misspelt.find(os.environ):
        log.warning("%s is not a variable of the function; did you mean %s?", name, meant)


def _ports(env: Mapping[str, str]) -> Ports:
    """Read PORT. PUBLIC_ENDPOINT=closed adds a port. Raises UsageError."""
    public = env.get("PUBLIC_ENDPOINT") or "open"
    if public not in ("open", "closed"):
        raise UsageError(
            "PUBLIC_ENDPOINT must be open, or closed (OSS then refuses data calls, as for new "
            "accounts)"
        )
    is_closed = public == "closed"
    if is_closed and env.get("CLOUD") == "1":
        raise UsageError(
            "PUBLIC_ENDPOINT=closed needs the sandbox's OSS; CLOUD=1 uses the real OSS"
        )
    text = env.get("PORT") or str(DEFAULT_PORT)
    more, number = (3, "three") if is_closed else (2, "two")
    last = LAST_PORT - more
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= last:
        raise UsageError(
            f"PORT must be a number from 1 to {last}; the {number} ports after it are used too"
        )
    return Ports(*range(int(text), int(text) + 1 + more))


def _lan_address(command: str, given: str, make_pid: int | None) -> str:
    """Read LAN, and refuse HOST. Raises UsageError or Misconfiguration."""
    names = {*RULES, "LAN", "HOST"}.intersection(given.split())
    named = _on_command_line(names if names & {"LAN", "HOST"} else (), make_pid)
    if lan.is_ignored(os.environ, named):
        log.warning(
            "The environment variable LAN is ignored, because LAN opens this machine to others. "
            "Set LAN on the command line: `make %s LAN=1`",
            command,
        )
    return lan.read(os.environ, named)


def _takes_v1(env: Mapping[str, str]) -> bool:
    """Whether the sandbox's OSS accepts signature V1. Raises UsageError."""
    value = env.get("SIGNATURE_V1", "")
    if value not in ("", "0", "1"):
        raise UsageError(
            "SIGNATURE_V1 must be 1 (OSS accepts signature V1, as for old buckets) or 0 (V4 only)"
        )
    return value == "1"


def _read_env_file() -> None:
    """With CLOUD=1 read .env into the environment; else warn that .env is not read."""
    if os.environ.get("CLOUD") == "1":
        loaded = dotenv.load(Path(), os.environ)
        if loaded.path is not None:
            log.warning("%s", dotenv.told(loaded))
            os.environ.update(loaded.variables)
    elif Path(dotenv.NAME).exists():
        log.warning(".env is not read, since it is for the deployment; with CLOUD=1 it is read")


def _in_cloud(env: Mapping[str, str]) -> bool:
    """Whether CLOUD=1 selects the real STS. Raises UsageError."""
    if env.get("CLOUD", "") not in ("", "0", "1"):
        raise UsageError("CLOUD must be 1 (the real STS) or 0 (the sandbox's STS)")
    if env.get("CLOUD") != "1":
        return False
    missing = [name for name in CLOUD_VARIABLES if not env.get(name)]
    if missing:
        raise UsageError(f"CLOUD=1 needs {', '.join(missing)} in the environment or in .env")
    return True


def _cloud() -> Settings:
    """Build the function's environment for the real STS; warn about defaults that may be wrong."""
    unnamed = [name for name in ("BUCKET_NAME", "OSS_REGION") if not os.environ.get(name)]
    env = cloud_environment(os.environ)
    settings = _adopt(env)
    for name in unnamed:
        log.warning(
            "%s is not set: the default %s is used. Set it if yours differs", name, env[name]
        )
    return settings


def _run_in_cloud(port: int) -> int:
    listener = listen(port)
    if os.environ.get("ALLOWED_ORIGINS"):
        log.warning("ALLOWED_ORIGINS is ignored, since with CLOUD=1 no page may call the function")
    settings = _cloud()
    segment = private_url.make_segment()
    app = private_url.create_app(browsers.create_app(_function(), None), segment)
    url = f"http://127.0.0.1:{port}/{segment}/"
    asyncio.run(_until_told([Service(app, listener)], banner.of_cloud(url, settings)))
    return 0


def _run(ports: Ports, given: frozenset[str], lan_address: str, *, builds_page: bool) -> int:
    takes_v1 = _takes_v1(os.environ)
    # Bind the ports first, so that a second `make run` fails before it writes anything.
    listeners = [listen(port) for port in ports if port is not None]
    lan_listeners = lan.listeners(lan_address, ports)
    env, settings, folder, secrets = _sandbox("run", given, ports, lan_address)
    made = cloud.create(env, folder, secrets, lan.LIMITS if lan_address else None)
    jwt_secret = _demo_secret(env, settings, secrets)
    signer = cloud.load_signer(folder, public_key_url(ports.gateway))
    app = browsers.create_app(_function(signer.public_key), page.PATH)
    app = demo_login.create_app(app, settings, jwt_secret, cors.of(Instance(env)))
    app = page.create_app(
        app,
        settings,
        has_demo_logins=jwt_secret is not None,
        shows_refusals=request_notes.is_from_here,
    )
    notes = request_notes.RequestNotes()
    app = request_notes.create_app(app, notes)
    services = cloud.services(made, signer, *listeners[1:], takes_v1=takes_v1, notes=notes)
    services += lan.services(app, made, signer, env, lan_listeners, takes_v1=takes_v1, notes=notes)
    text = banner.of_sandbox(
        ports,
        settings,
        jwt_secret is not None,
        takes_v1=takes_v1,
        link=banner.link_on(sys.stdout, os.environ),
        phone=lan.lines(lan_address, ports, settings, sys.stdout),
    )
    public = {name: value for name, value in os.environ.items() if name not in RULES}
    builder = page_build.beside(ROOT, public) if builds_page else contextlib.nullcontext()
    asyncio.run(_until_told([Service(app, listeners[0]), *services], text, builder))
    return 0


def _function(public_key: bytes | None = None) -> ASGIApp:
    """The gateway with the production handler. Raises the ServiceError that /health would report.

    Call this only after _adopt(), because the handler reads os.environ.
    """
    import index

    # Render all policies now, so that a faulty policy is reported at the start.
    index.check()
    return gateway.create_app(index.handler, index.initialize, public_key=public_key)


def _token_of_cloud() -> int:
    env = cloud_environment(os.environ)
    headers = _token_headers(env, _sound(env), None)
    _cloud()
    return _print_token(headers)


def _token(ports: Ports, given: frozenset[str], lan_address: str) -> int:
    _check_folder(ports)
    listener = listen(0)
    # The token is for the OSS of `make run`, so OSS_ENDPOINT is the address of that OSS.
    ports = ports._replace(sts=listener.getsockname()[1])
    env, settings, _, secrets = _sandbox("token", given, ports, lan_address)
    headers = _token_headers(env, settings, _demo_secret(env, settings, secrets))
    identities = cloud.identities(env, secrets)
    with in_background([Service(sts.create_app(identities), listener)]):
        return _print_token(headers)


def _print_account_key() -> int:
    """Print the key of the sandbox's account, as shell assignments."""
    _check_folder(_ports(os.environ))
    _, secrets = _secrets()
    names = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET")
    for name, value in zip(names, secrets.account_key, strict=True):
        print(f"{name}={value}")
    return 0


def _clean() -> int:
    """Remove the stored files, unless a sandbox is using them."""
    folder = cloud.state_folder(os.environ)
    with contextlib.suppress(FileNotFoundError), (folder / "oss" / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"a sandbox is using {folder}; stop it first") from None
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def _sandbox(
    command: str, given: frozenset[str], ports: Ports, lan_address: str
) -> tuple[dict[str, str], Settings, Path, cloud.Secrets]:
    """Return the function's environment and settings, and the sandbox's folder and secrets."""
    folder, secrets = _secrets()
    variables, named = lan.variables(os.environ, given, lan_address, ports)
    env = secrets.environment(variables, named, ports)
    if command == "run" and not env.get("POLICY_FILE", "").strip():
        env["POLICY_FILE"] = RUN_POLICY
    _say_ignored(command, ignored(os.environ, given))
    settings = _adopt(env)
    lan.check_endpoint(settings.oss_endpoint, lan_address, ports)
    return env, settings, folder, secrets


def _say_ignored(command: str, names: Sequence[str]) -> None:
    if not names:
        return
    possible = [name for name in names if name not in CREDENTIALS and "ENDPOINT" not in name]
    log.warning(
        "these variables are ignored in the environment: %s (the sandbox uses no real keys or "
        "names; CLOUD=1 uses them).%s",
        ", ".join(names),
        f" To set one here, use `make {command} {possible[0]}=...`" if possible else "",
    )


def _check_folder(ports: Ports) -> None:
    folder = cloud.state_folder(os.environ)
    if is_lost(folder, ports.gateway):
        raise UsageError(
            f"a sandbox runs on port {ports.gateway}, but its folder {folder} is missing. Stop "
            f"that sandbox and start `make run` again, or use that sandbox's SANDBOX_DIR, or "
            "another PORT"
        )


def _secrets() -> tuple[Path, cloud.Secrets]:
    folder = cloud.state_folder(os.environ)
    try:
        return folder, cloud.load_secrets(folder)
    except OSError as error:
        raise UsageError(f"SANDBOX_DIR: cannot use {folder}: {error.strerror}") from error


def _demo_secret(env: Mapping[str, str], settings: Settings, secrets: cloud.Secrets) -> str | None:
    """The key that signs demo logins. It is None if there are no logins, or if the developer set
    keys for logins."""
    is_ours = settings.auth.names_callers and env.get("JWT_SECRET") == secrets.jwt_secret
    return secrets.jwt_secret if is_ours else None


def _token_headers(
    env: Mapping[str, str], settings: Settings, jwt_secret: str | None
) -> dict[str, str]:
    """The headers with the login of CALLER, for `make token`. Raises UsageError."""
    auth = settings.auth
    caller = env.get("CALLER", "")
    if not isinstance(auth, Jwt):
        if caller:
            raise UsageError("CALLER needs AUTH=jwt, since AUTH=anonymous knows no callers")
        return {}
    if jwt_secret is None:
        raise UsageError(
            "AUTH=jwt needs a login. With your own keys, only your app's sign-in can make a login. "
            "Start `make run`, and send that login to it: "
            "curl -H 'Authorization: Bearer <JWT>' <URL>"
        )
    login = demo_login.make_login(caller or DEFAULT_CALLER, auth, jwt_secret)
    return {"Authorization": f"Bearer {login}"}


def _adopt(env: dict[str, str]) -> Settings:
    """Check `env`, make it this process's environment, and return its settings. Raises Unsound,
    Misconfiguration."""
    settings = _sound(env)
    Policies(settings.policy_choices)
    # Ignored variables must not be visible in this process.
    for name in os.environ.keys() - env.keys():
        del os.environ[name]
    os.environ.update(env)
    return settings


def _sound(env: Mapping[str, str]) -> Settings:
    """Read `env`. Raises Unsound with all faults."""
    examined = faults.examine(env)
    if examined.faults:
        raise Unsound(examined.faults)
    return examined.settings


def _print_token(headers: Mapping[str, str]) -> int:
    import index

    event = {"requestContext": {"http": {"method": "GET", "path": "/"}}, "headers": headers}
    answer = index.handler(json.dumps(event), None)
    body = str(answer["body"])
    print(body)
    return 0 if json.loads(body)["StatusCode"] == 200 else 1


async def _until_told(
    services: Sequence[Service],
    text: str,
    beside: contextlib.AbstractContextManager[None] | None = None,
) -> None:
    allow_connections()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        # From now on the sandbox itself closes connections, so uvicorn's errors are not logged.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        # No confirmed upload is lost, because its bytes are already on disk.
        timer = threading.Timer(END_SECONDS, os._exit, [0])
        timer.daemon = True
        timer.start()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    # Print the text last, since a program may stop this process as soon as it has read the text.
    print(text, flush=True)
    banner.release_log()
    with beside or contextlib.nullcontext():
        await serve(services, stop)


if __name__ == "__main__":
    sys.exit(main())
