"""Sets up the packages that make's targets need: `.venv` with pip, `node_modules` with npm.

    python3 -m ops.install pip .venv requirements-run.txt "make run"
    python3 -m ops.install npm web

It needs only the standard library. pip accepts only files whose hash is in a lock (ops/lock.py).
These files are wheels. The few packages without wheels are built from source with locked tools. If
the setup fails, the message says whether the cause was the network, the index, the disk or the
folder, and what helps. The whole output of pip is kept in `.venv/setup.log`, and the output of npm
in `.venv/npm.log`. The Makefile creates its stamp file only after a successful setup, so make
repeats an unfinished setup.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD_TOOLS = "requirements-build.txt"

_NETWORK = re.compile(
    # These are words from Python and pip, then words from npm.
    r"NewConnectionError|timed out|TimeoutError|name resolution|Name or service not known"
    r"|nodename nor servname|getaddrinfo|Connection refused|Connection reset|Connection aborted"
    r"|Network is unreachable|No route to host|ProxyError|SSLError|SSL certificate"
    r"|CERTIFICATE_VERIFY|Failed to connect"
    r"|HTTP error [45]\d\d|(403|407) Client Error|5\d\d Server Error"
    r"|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH"
    r"|SOCKET_TIMEOUT|SELF_SIGNED_CERT|UNABLE_TO_VERIFY_LEAF|UNABLE_TO_GET_ISSUER"
    r"|npm error code E(403|407|5\d\d)",
    re.IGNORECASE,
)
_HOST = re.compile(r"host='([\w.-]+)'|request to \w+://(?:[^@/\s]*@)?([\w.-]+)")
_UNWRITABLE = re.compile(r"Permission denied|Read-only file system|\bEACCES\b|\bEROFS\b")
_FULL = re.compile(r"No space left on device|\bENOSPC\b")
# In pip's log each line begins with the time.
_OTHER_FILE = re.compile(r"DO NOT MATCH THE HASHES.*\n\S*\s+(\S+)")
_NO_HASH = re.compile(r"--require-hashes mode")
_NO_VENV = re.compile(r"ensurepip|No module named '?venv")
_OTHER_VERSIONS = re.compile(r"requirement (\S+) .*\(from versions: (?!none\))")
_NO_VERSION = re.compile(r"requirement (\S+) .*\(from versions: none\)")
_NPM_NO_VERSION = re.compile(r"code (?:ETARGET|E404)\b(?:.|\n)*?(?:found for |')([^\s']+)")


class Failed(Exception):
    """Raised if the setup fails. The message says why, and what helps."""


def why(output: str) -> str:
    """Return the cause of a failure and what helps, or "" if it is unknown.

    `output` is the output of venv, pip or npm. pip reports both a missing version and an index that
    cannot be reached as "Could not find a version that satisfies the requirement".
    """
    if _FULL.search(output):
        return "The disk is full."
    if _UNWRITABLE.search(output):
        return (
            f"This folder, or a folder in it, cannot be written to: {Path.cwd()}\n"
            "Make a checkout of your own. If .venv belongs to another user (after sudo), remove it."
        )
    if other := _OTHER_FILE.search(output):
        return (
            f"This file is not the file in the lock: {other[1]}. Nothing was installed.\n"
            "A mirror (PIP_INDEX_URL) or a proxy may have sent this file.\n"
            "Try another mirror or proxy, or use none.\n"
            "If the real index sends this file, do not install it. Tell the package's maintainers."
        )
    if _NO_HASH.search(output):
        return "A lock lacks a package or its hash: run `make lock`."
    found = _OTHER_VERSIONS.search(output) or _NPM_NO_VERSION.search(output)
    if not found and _NETWORK.search(output):
        host = _HOST.search(output)
        name = host[1] or host[2] if host else "the index"
        return (
            f"The network failed: {name} does not answer. You may need one of:\n"
            "  a proxy:   export HTTPS_PROXY=http://<host>:<port>\n"
            "  a mirror:  export PIP_INDEX_URL=https://<mirror>/simple/\n"
            "             export npm_config_registry=https://<mirror>/   (for npm)\n"
            "Then run make again."
        )
    found = found or _NO_VERSION.search(output)
    if found:
        return (
            f"The network works, but the index does not have {found[1]}.\n"
            "A mirror (PIP_INDEX_URL, npm_config_registry) may be old: try another one, or none.\n"
            "If no mirror has this version, it does not exist, or has no wheel for this Python and "
            f"machine: {sys.version.split()[0]}, {sys.platform}, {platform.machine()}."
        )
    return ""


def python(folder: Path, requirements: str, purpose: str) -> None:
    """Create the virtual environment `folder` if needed, and install the packages of a lock.

    `purpose` is the command that needs the packages, like "make run". Raises Failed.
    """
    _say(f"Setting up {folder} for {purpose} (once, half a minute or more) ...")
    if not _works(folder):
        said = _run([sys.executable, "-m", "venv", str(folder)])
        if said is not None and _NO_VENV.search(said) and not _UNWRITABLE.search(said):
            raise Failed(
                "This Python has no venv module. On Debian and Ubuntu: apt-get install python3-venv"
            )
        if said is not None:
            raise Failed(
                f"{why(said) or _last(said)}\nThe virtual environment {folder} was not created."
            )
    log = folder / "setup.log"
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    pip += ["--quiet", "--log", str(log), "--require-hashes", "--no-build-isolation"]
    log.unlink(missing_ok=True)
    # The build tools come first, because pip without isolation uses the installed tools.
    for each in (BUILD_TOOLS, requirements):
        said = _run([*pip, "-r", each])
        if said is not None:
            # The log also has lines that --quiet leaves out, like a 403 of the index.
            whole = log.read_text(encoding="utf-8", errors="replace") if log.exists() else said
            raise Failed(f"{_last(said)}\n{why(whole)}\nThe whole output of pip: {log}")
    # After a success nobody needs the log, which has megabytes.
    log.unlink(missing_ok=True)
    for site in folder.glob("lib/python*/site-packages"):
        (site / "token_service.pth").write_text(f"{ROOT / 'functions' / 'sts_token'}\n")


def npm(folder: Path) -> None:
    """Install a folder's npm packages from its lock file. Raises Failed.

    The Makefile calls this only if npm is installed.
    """
    _say(f"Setting up {folder}, npm packages (once, a few seconds) ...")
    said = _run(["npm", "ci", "--loglevel=error"], folder)
    if said is not None:
        log = ROOT / ".venv" / "npm.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text(said, encoding="utf-8")
        reason = why(said) or _last(said)
        raise Failed(f"npm ci failed in {folder}. {reason}\nThe whole output of npm: {log}")


def _say(text: str) -> None:
    # The text goes to stderr, because stdout is only for the output of the make target. Otherwise
    # LOGIN=$(make -s login CALLER=alice) would get this text, too, on a new machine.
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Set up the packages that the arguments name. Returns 0, or 1 with the reason on stderr."""
    try:
        if arguments[0] == "npm":
            npm(Path(arguments[1]))
        else:
            python(Path(arguments[1]), arguments[2], arguments[3])
    except Failed as error:
        print(re.sub(r"\n{2,}", "\n", str(error)), file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error}\n{why(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _works(folder: Path) -> bool:
    """Whether the environment is complete, and its Python still exists."""
    program = folder / "bin" / "python"
    return program.exists() and _run([str(program), "-m", "pip", "--version"]) is None


def _run(command: list[str], folder: Path | None = None) -> str | None:
    """Run a command; return its output if it failed, else None."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return done.stdout if done.returncode else None


def _last(output: str) -> str:
    """Return at most three lines that say what failed: the errors, or the last lines if there are
    no errors."""
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"ERROR|Error|error|npm error", line)]
    return "\n".join(line[:200] for line in (errors[:3] or lines[-3:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
