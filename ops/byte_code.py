"""Makes byte code for a package with the runtime's own Python, so that a cold start compiles less.

/code is read-only, and each instance is new. Therefore each cold start compiles every imported
module that has no byte code. It is not verified on the real cloud (assumption 37) that Python uses
our byte code.

The files are unchecked (PEP 552, unchecked-hash): Python uses them without checking the source.
Python cannot check the time of the source file, since each unpacking changes this time. To check
hashes, Python would open, read and hash 75 sources (0.3 MB) at each cold start with HS256. The
check would take 6 ms with 0.1 vCPU, plus the time for reading the disk.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.package import CODE, FUNCTION, RUNTIME, PackageError, settle
from ops.runtime import HOW_TO_GET_ONE, TAG, Python, find
from ops.serving import CLAIMS, ENVIRONMENT, SECRET, event, serve
from token_service.app import ROUTES

COST = (
    "each cold start compiles its modules, and a first token takes 1.3 to 1.5 times the CPU "
    "time (measured on 2 cores, Python 3.10.13)"
)

_COMPILE = """
import sys
del sys.path[0]
import json, py_compile
for source, target, name in json.load(sys.stdin):
    py_compile.compile(
        source, target, name, doraise=True, optimize=0,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
"""

# An operator's own policy, which needs Jinja2. Bundled policies can be rendered without Jinja2.
_OWN_POLICY = """
{"Version": "1", "Statement": [
  {"Effect": "Allow", "Action": ["oss:PutObject"],
   "Resource": ["acs:oss:*:*:{{ bucket }}/{{ keys }}"]}
]}
"""


def put(folder: Path) -> str:
    """Put byte code into a filled package. Return a line for the report. Raises PackageError.

    All our own modules get byte code, since each is imported at some time. In third-party packages,
    only the modules that the function imports get byte code (see imported()).
    """
    python, why_not = compiler()
    if python is None:
        return f"no byte code ({why_not}): {COST}"
    own = [each.relative_to(FUNCTION) for each in FUNCTION.rglob("*.py")]
    sources = sorted({*own, *imported(python, [folder])})
    write(python, folder, {each: beside(each) for each in sources})
    return f"byte code of {len(sources)} modules, made by Python {python.version} for {CODE}"


def compiler() -> tuple[Python | None, str]:
    """Return the Python that compiles the modules, or None and the reason why there is none.

    Raises PackageError for an unknown BYTE_CODE, and for a RUNTIME_PYTHON that is not Python 3.10.
    """
    wish = os.environ.get("BYTE_CODE") or "yes"
    if wish not in ("yes", "no"):
        raise PackageError(f"BYTE_CODE={wish}: must be yes (the default) or no")
    if wish == "no":
        return None, "BYTE_CODE=no"
    found = find()
    return found, "" if found else f"no CPython {RUNTIME} was found; {HOW_TO_GET_ONE}"


def imported(python: Python, folders: Sequence[Path], *, cold: bool = False) -> list[Path]:
    """Return the imported modules of the first folder, as sorted paths relative to that folder.

    Python compiles these modules while the function answers on each route, with each way to log in,
    and with an operator's own policy template. With `cold`, Python compiles only the modules for
    one token under a bundled policy. The folder must not have byte code yet. Raises PackageError.
    """
    top = folders[0].absolute()
    with tempfile.TemporaryDirectory() as name:
        for environment, logins in _ways(Path(name)):
            if cold:
                environment, logins = {**environment, "POLICY_CHOICES": ""}, logins[:1]
            events = [event("/", login) for login in logins]
            if not cold:
                events += [event(each.path, logins[0], each.methods[0]) for each in ROUTES]
            serve(python.path, [top, *folders[1:]], events, environment, byte_code=Path(name))
        if not cold:
            own = Path(name, "own.json.j2")
            own.write_text(_OWN_POLICY, encoding="utf-8")
            environment = {**ENVIRONMENT, "AUTH": "anonymous", "POLICY_FILE": str(own)}
            serve(python.path, [top, *folders[1:]], [event("/")], environment, byte_code=Path(name))
        written = Path(name) / top.relative_to("/")
        ending = f".{python.tag}.pyc"
        return sorted(
            Path(f"{path.relative_to(written)}".removesuffix(ending) + ".py")
            for path in written.rglob(f"*{ending}")
        )


def beside(source: Path) -> Path:
    """Return the path at which Python looks for the byte code of a source."""
    return source.parent / "__pycache__" / f"{source.stem}.{TAG}.pyc"


def write(python: Python, folder: Path, targets: Mapping[Path, Path]) -> None:
    """Compile each source to its target; paths are below the folder. Raises PackageError.

    The same release of Python makes the same bytes on any day and in any folder.
    """
    jobs = [[f"{folder / a}", f"{folder / b}", f"{CODE}/{a}"] for a, b in targets.items()]
    done = subprocess.run(
        [python.path, "-S", "-B", "-c", _COMPILE],
        input=json.dumps(jobs),
        # Byte code stores the items of a set in the order of their hashes. With a fixed seed, the
        # hashes are the same in every run.
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        raise PackageError(f"the package cannot be compiled:\n{done.stderr.strip()}")
    settle(folder)


def _ways(folder: Path) -> Iterator[tuple[Mapping[str, str], Sequence[str]]]:
    """For each way to log in, yield the environment of a function and logins that it accepts.
    Writes the public keys of one of the ways to a file in the folder."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    yield {**ENVIRONMENT, "AUTH": "anonymous"}, [""]
    yield {**ENVIRONMENT, "JWT_SECRET": SECRET}, [jwt.encode(CLAIMS, SECRET, "HS256")]
    keys: dict[str, Any] = {
        "RS256": rsa.generate_private_key(65537, 2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    public, logins = [], []
    for name, key in keys.items():
        shown = jwt.get_algorithm_by_name(name).to_jwk(key.public_key(), as_dict=True)
        public.append({**shown, "kid": name})
        logins.append(jwt.encode(CLAIMS, key, name, {"kid": name}))
    file = folder / "keys.json"
    file.write_text(json.dumps({"keys": public}), encoding="utf-8")
    yield {**ENVIRONMENT, "JWT_JWKS_FILE": str(file)}, logins
