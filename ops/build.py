"""`make build`: makes build/sts_token/ and its zip, and tests the package with a request.

s.yaml deploys the folder. The zip is for a function that you update by hand.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ops import ROOT, byte_code
from ops.package import FUNCTION, RUNTIME, PackageError, fill, pinned, zipped
from ops.runtime import HOW_TO_GET_ONE, find_or_this
from ops.serving import CLAIMS, ENVIRONMENT, SECRET, event, serve

OUTPUT = ROOT / "build" / "sts_token"
MAX_ZIP_BYTES = 100 * 1024 * 1024
"""The API's limit (vendor documentation). For a zip in OSS the limit is 500 MB."""


def main() -> int:
    """Build and report. Returns 0, or 1 with the fault on stderr."""
    try:
        print("\n".join(build(OUTPUT)))
    except PackageError as error:
        print(f"make build: {error}", file=sys.stderr)
        return 1
    return 0


def build(output: Path) -> list[str]:
    """Build into `output` and `output`.zip; return the report's lines. Raises PackageError.

    An earlier build stays until the new build has answered a request.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".build-") as name:
        folder = Path(name) / output.name
        folder.mkdir()
        fill(folder, pinned())
        said = [byte_code.put(folder), check(folder)]
        archive = zipped(folder)
        if len(archive) > MAX_ZIP_BYTES:
            raise PackageError(f"the zip has {_mb(len(archive))}; the API accepts at most 100 MB")
        shutil.rmtree(output, ignore_errors=True)
        folder.rename(output)
    output.with_suffix(".zip").write_bytes(archive)
    return [*_sizes(output, archive), *said]


def check(folder: Path) -> str:
    """Let the package answer requests, without any packages of this machine, and return what was
    found.

    Raises PackageError.
    """
    python = find_or_this()
    import jwt

    # The second event has a login, which the package has to verify.
    events = [event("/health"), event("/", jwt.encode(CLAIMS, SECRET, "HS256"))]
    answered = serve(python.path, [folder], events, {**ENVIRONMENT, "JWT_SECRET": SECRET})
    codes = [answer.get("ErrorCode", answer["StatusCode"]) for answer in answered]
    # These codes mean that the package verified the login, rendered the policy and signed the
    # request. Only STS was missing.
    if codes != [200, "StsUnreachable"]:
        raise PackageError(f"the package cannot answer requests: {answered}")
    if not python.is_runtime:
        return (
            f"requests were served with Python {python.version}: no Python {RUNTIME} was found, so "
            f"the compiled modules (cryptography) are not tested; {HOW_TO_GET_ONE}"
        )
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return (
            f"requests were served with python{RUNTIME}; the compiled modules are not tested, "
            "because they need Linux on x86_64"
        )
    _import_native(python.path, folder)
    return f"requests were served with python{RUNTIME}; the compiled modules work"


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
            if path.suffix == ".pyc":
                name = "byte code"
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
