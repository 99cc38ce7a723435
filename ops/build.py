"""`make build`: build/sts_token/ and its zip, served once before they are called done.

s.yaml deploys the folder; the zip is for a function that exists and is changed by hand.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops import ROOT, policies_described
from ops.package import FUNCTION, RUNTIME, PackageError, fill, pinned, zipped
from ops.runtime import HOW_TO_GET_ONE, find_or_this

OUTPUT = ROOT / "build" / "sts_token"
MAX_ZIP_BYTES = 100 * 1024 * 1024
"""What the API takes (vendor documentation); through OSS it would be 500 MB."""

_SERVE_ONCE = Path(__file__).with_name("serve_once.py")
# Of nobody's.
_SECRET = "build-check-" * 4
_ENVIRONMENT = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tBuildCheck",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "build-check",
    "ROLE_ARN": "acs:ram::1234567890123456:role/build-check",
    "BUCKET_NAME": "build-check",
    "OSS_REGION": "cn-hangzhou",
    "JWT_SECRET": _SECRET,
    # Nothing answers there.
    "STS_ENDPOINT": "http://127.0.0.1:9",
    "POLICY_CHOICES": ",".join(policies_described.names()),
}


def main() -> int:
    """Build and report: 0, or 1 with what is wrong on stderr."""
    try:
        print("\n".join(build(OUTPUT)))
    except PackageError as error:
        print(f"make build: {error}", file=sys.stderr)
        return 1
    return 0


def build(output: Path) -> list[str]:
    """Build into `output` and `output`.zip; return the report's lines. Raises PackageError.

    What was there before stays until the new one has served.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".build-") as name:
        folder = Path(name) / output.name
        folder.mkdir()
        fill(folder, pinned())
        served = check(folder)
        archive = zipped(folder)
        if len(archive) > MAX_ZIP_BYTES:
            raise PackageError(f"the zip has {_mb(len(archive))}; the API takes 100 MB")
        shutil.rmtree(output, ignore_errors=True)
        folder.rename(output)
    output.with_suffix(".zip").write_bytes(archive)
    return [*_sizes(output, archive), served]


def check(folder: Path) -> str:
    """Import the package and serve it once, alone; return what that showed. Raises PackageError."""
    python = find_or_this()
    health = _event("/health")
    token = _event("/", {"Authorization": f"Bearer {_login()}"})
    answered = serve(python.path, [folder], [health, token], _ENVIRONMENT)
    codes = [answer.get("ErrorCode", answer["StatusCode"]) for answer in answered]
    # The login was verified, the policy rendered, the request signed: only STS was not there.
    if codes != [200, "StsUnreachable"]:
        raise PackageError(f"the package does not serve: {answered}")
    if not python.is_runtime:
        return (
            f"served with Python {python.version}: no Python {RUNTIME} here that runs, so the "
            f"compiled modules (cryptography) are untried; {HOW_TO_GET_ONE}"
        )
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return f"served with python{RUNTIME}; the compiled modules need Linux on x86_64: untried"
    _import_native(python.path, folder)
    return f"served with python{RUNTIME}, compiled modules included"


def serve(
    python: str,
    folders: Sequence[Path],
    events: Sequence[Mapping[str, Any]],
    environment: Mapping[str, str],
) -> list[dict[str, Any]]:
    """What the function in the first folder answers, with only the folders to import from.

    Raises PackageError where it raises or answers something that is not JSON.
    """
    done = subprocess.run(
        [python, "-I", "-S", "-B", str(_SERVE_ONCE), *map(str, folders)],
        input=json.dumps(events),
        env=dict(environment),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise PackageError(f"the package does not serve:\n{done.stderr.strip()}")
    return [json.loads(answer["body"]) for answer in json.loads(done.stdout)]


def _event(path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    http = {"method": "GET", "path": path}
    return {"rawPath": path, "headers": headers or {}, "requestContext": {"http": http}}


def _login() -> str:
    """A login that the package has to verify by itself."""
    import jwt

    # In the year 2100: the check is about the package, not about the clock.
    return jwt.encode({"sub": "build-check", "exp": 4102444800}, _SECRET, "HS256")


def _import_native(python: str, folder: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import jwt.algorithms as a"
    code += "; assert a.has_crypto; import markupsafe._speedups, _cffi_backend"
    command = [python, "-I", "-S", "-B", "-c", code]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode != 0:
        raise PackageError(f"the compiled modules do not load:\n{done.stderr.strip()}")


def _sizes(folder: Path, archive: bytes) -> Iterator[str]:
    sizes: dict[str, int] = {}
    number = 0
    for path in folder.rglob("*"):
        if path.is_file():
            number += 1
            top = path.relative_to(folder).parts[0]
            name = "function" if (FUNCTION / top).exists() else top
            sizes[name] = sizes.get(name, 0) + path.stat().st_size
    digest = hashlib.sha256(archive).hexdigest()
    yield f"{folder}: {number} files, {_mb(sum(sizes.values()))}; zip {_mb(len(archive))}"
    yield f"sha256 of the zip: {digest}"
    largest = sorted(sizes.items(), key=lambda pair: -pair[1])[:5]
    yield "largest: " + ", ".join(f"{name} {_mb(size)}" for name, size in largest)


def _mb(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
