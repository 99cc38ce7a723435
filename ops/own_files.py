"""Finds the files of functions/sts_token that go into a package, and files that must not be there.

An unexpected file stops the build, because everyone who may read the function can read its package.
Unexpected files are, for example, a key, an `.env`, the vendor's config.json, or a module that is
not ours.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

_TOP = {"bootstrap", "index.py", "server.py", "wsgi.py"}
_NOT_PACKED = {"requirements.in", "requirements.txt", ".DS_Store"}
_PRIVATE_PEM = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
"""Members that only a private or secret JWK has (RFC 7518, section 6)."""
_MOST_NAMED = 10


def own_files(folder: Path, keys_file: str) -> tuple[list[Path], list[str]]:
    """Return two lists: the function's files that belong in the package, sorted, and one line for
    each file that must not be there, with the reason.

    `keys_file` is the value of JWT_JWKS_FILE, or "". If this file is in `folder`, it is packed.
    """
    packed, wrong = [], []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if "__pycache__" in path.parts or (path.is_dir() and not path.is_symlink()):
            continue
        own = name in _TOP or (name.startswith("token_service/") and path.suffix == ".py")
        if path.is_symlink():
            wrong.append(f"{name}: it is a link. Replace it by the file itself")
        elif (own or name == keys_file) and not _is_private(path):
            packed.append(path)
        elif path.name not in _NOT_PACKED:
            wrong.append(f"{name}: {_why(path, name == keys_file)}")
    more = [f"and {len(wrong) - _MOST_NAMED} more"] if len(wrong) > _MOST_NAMED else []
    return packed, [*wrong[:_MOST_NAMED], *more]


def _why(path: Path, is_keys_file: bool) -> str:
    if _is_private(path):
        kind = "private keys (only public ones are allowed)" if is_keys_file else "a private key"
        return f"it has {kind}. Remove the file, and replace the key if it was ever deployed"
    if path.name.startswith(".env"):
        return "it has settings with secrets. Move it into the folder of s.yaml"
    if path.name == "config.json":
        return "it has settings with secrets. Move it elsewhere; `make import-config` can read it"
    if path.suffix == ".json":
        return (
            "JWT_JWKS_FILE does not name this file. Remove it, or set JWT_JWKS_FILE in .env, or "
            f"run `make JWT_JWKS_FILE={path.name} build`"
        )
    return "it does not belong to the function. Remove it"


def _is_private(path: Path) -> bool:
    content = path.read_bytes()
    if _PRIVATE_PEM.search(content):
        return True
    # Collect the names in each JSON object, at any depth. If an object has a name twice, both of
    # its values are searched.
    objects: list[set[str]] = []
    with suppress(ValueError, RecursionError):
        json.loads(content, object_pairs_hook=lambda pairs: objects.append({n for n, _ in pairs}))
    return any("kty" in names and _PRIVATE_MEMBERS & names for names in objects)
