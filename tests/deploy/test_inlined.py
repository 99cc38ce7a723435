"""Tests the code that `make template` puts into the template. The tests run this code as Function
Compute does.

The process has only this code and the packages that are preinstalled in the runtime. The roles are
made in the sandbox as the stack defines them."""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import jwt
import oss2
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from packaging.utils import canonicalize_name

from fetched import preinstalled
from ops import template as template_module
from ops.package import FUNCTION, POLICIES, PackageError, pinned
from ops.runtime import find_or_this
from ops.serving import serve
from ops.template import (
    INLINED,
    MAX_BYTES,
    PLACE,
    TEMPLATE,
    bare,
    inlined,
)
from ros_stack import ACCOUNT, REGION, Stack
from running_cloud import Token
from sandbox import oss, sts
from sandbox.identities import Identities
from sandbox.oss import Storage
from sandbox.servers import Service, in_background, listen

pytestmark = pytest.mark.slow

SECRET = "a-login-secret-of-32-characters-or-more"
BUCKET = "my-bucket"
PREINSTALLED = (
    "aliyun-python-sdk-sts",
    "aliyun-python-sdk-core",
    "cffi",
    "cryptography",
    "jmespath",
    "pycparser",
)
"""Packages that are preinstalled in the runtime, and packages that only these packages need."""


def test_the_template_is_the_same_on_another_day_and_small(inlined_text: str) -> None:
    assert inlined(TEMPLATE.read_text(encoding="utf-8"))[0] == inlined_text
    assert len(inlined_text.encode()) < MAX_BYTES


def test_the_template_says_the_same_without_its_comments(inlined_text: str) -> None:
    whole, without = map(yaml.safe_load, (TEMPLATE.read_text(encoding="utf-8"), inlined_text))
    for made in (whole, without):
        del made["Resources"]["Function"]["Properties"]["Code"]
    assert without == whole
    assert "#" not in {line.strip()[:1] for line in inlined_text.splitlines()}


def test_every_requirement_is_inside_or_preinstalled() -> None:
    names = {pin.partition("==")[0] for pin in pinned()}
    assert names == set(map(canonicalize_name, (*INLINED, *PREINSTALLED)))


def test_the_functions_own_code_is_inside_as_it_is(inlined_code: Path) -> None:
    for source in [*FUNCTION.rglob("*.py"), *POLICIES.glob("*.j2")]:
        top = FUNCTION if source.is_relative_to(FUNCTION) else POLICIES.parent
        assert (inlined_code / source.relative_to(top)).read_bytes() == source.read_bytes()
    assert not [path for path in inlined_code.rglob("*") if path.suffix == ".so"]


def test_a_template_without_a_place_for_the_code_is_an_error() -> None:
    with pytest.raises(PackageError, match=PLACE):
        inlined("Resources: {}")


def test_code_that_is_too_large_for_a_template_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(template_module, "code", lambda _: (bytes(MAX_BYTES * 3 // 4), ""))
    with pytest.raises(PackageError, match=f"our limit of {MAX_BYTES}"):
        inlined(f"Resources: {PLACE}")


def test_bare_source_means_the_same_and_keeps_its_lines() -> None:
    source = (
        '"""Module."""\n# comment\nA = "#ä"  # ü\n\n\ndef f():\n    """Two\n    lines."""\n'
        '\n\nclass C:\n    """Doc."""\n\n    x = """# no comment\n\n    """\n'
    )
    left = bare(source)
    assert len(left.splitlines()) == len(source.splitlines())
    for gone in ("Module", "comment\nA", "ü", "Two", "Doc"):
        assert gone not in left
    assert '"""# no comment\n\n    """' in left
    assert [node.lineno for node in ast.walk(ast.parse(left)) if isinstance(node, ast.Assign)] == [
        node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assign)
    ]


# Served


@contextmanager
def deployed(folder: Path, text: str, **parameters: object) -> Iterator[dict[str, str]]:
    """Create the stack's roles and bucket in the sandbox. Yield the environment of the stack's
    function."""
    stack = Stack(yaml.safe_load(text), BucketName=BUCKET, **parameters)
    function, upload = stack.role("FunctionRole"), stack.role("UploadRole")
    identities = Identities(ACCOUNT, b"seal", [], [function, upload])
    storage = Storage(folder / "oss")
    storage.create_bucket(BUCKET)
    services = [
        Service(oss.create_app(storage, identities, region=REGION), listen(0)),
        Service(sts.create_app(identities), listen(0)),
    ]
    # If a function has a role, the platform opens a session of this role, and puts the session's
    # key into the function's variables.
    session = identities.assume(function, "function-compute", None, 3600)
    with closing(storage), in_background(services):
        yield {
            **stack.properties("Function")["EnvironmentVariables"],
            "FC_REGION": REGION,
            "ALIBABA_CLOUD_ACCESS_KEY_ID": session.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": session.access_key_secret,
            "ALIBABA_CLOUD_SECURITY_TOKEN": session.security_token,
            "OSS_ENDPOINT": f"http://127.0.0.1:{services[0].port}",
            "STS_ENDPOINT": f"http://127.0.0.1:{services[1].port}",
        }


def call(code: Path, env: dict[str, str], login: str) -> dict[str, Any]:
    event = {
        "rawPath": "/",
        "headers": {"Authorization": f"Bearer {login}"},
        "requestContext": {"http": {"method": "GET", "path": "/"}},
    }
    (answer,) = serve(find_or_this().path, [code, preinstalled()], [event], env)
    return answer


def claims(user: str) -> dict[str, Any]:
    return {"sub": user, "exp": int(time.time()) + 600}


def test_it_serves_a_token_that_opens_the_callers_folder_and_nothing_else(
    tmp_path: Path, inlined_code: Path, inlined_text: str
) -> None:
    with deployed(tmp_path, inlined_text, JwtSecret=SECRET) as env:
        token = Token.of(call(inlined_code, env, jwt.encode(claims("alice"), SECRET, "HS256")))
        assert token.prefix == "uploads/alice/"
        bucket = token.oss2("v4")
        assert bucket.put_object("uploads/alice/a", b"Hello").status == 200
        for key in ("a", "uploads/a", "uploads/bob/a"):
            with pytest.raises(oss2.exceptions.AccessDenied):
                bucket.put_object(key, b"Hello")
        with pytest.raises(oss2.exceptions.AccessDenied):
            bucket.delete_object("uploads/alice/a")


def test_all_policy_leads_no_further_than_the_upload_role(
    tmp_path: Path, inlined_code: Path, inlined_text: str
) -> None:
    with deployed(tmp_path, inlined_text, Auth="anonymous") as env:
        token = Token.of(call(inlined_code, {**env, "POLICY_FILE": "all_policy"}, ""))
        bucket = token.oss2("v4")
        assert bucket.put_object("uploads/a", b"Hello").status == 200
        with pytest.raises(oss2.exceptions.AccessDenied):
            bucket.put_object("a", b"Hello")
        with pytest.raises(oss2.exceptions.AccessDenied):
            bucket.delete_object("uploads/a")
        with pytest.raises(oss2.exceptions.AccessDenied):
            bucket.list_objects_v2()


def test_it_verifies_logins_of_public_keys_by_the_preinstalled_cryptography(
    tmp_path: Path, inlined_code: Path, inlined_text: str
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [{**public, "kid": "1"}]}))
    with deployed(tmp_path, inlined_text) as env:
        env["JWT_JWKS_FILE"] = str(file)
        login = jwt.encode(claims("alice"), key, "RS256", {"kid": "1"})
        assert call(inlined_code, env, login)["StatusCode"] == 200
        forged = jwt.encode(claims("alice"), SECRET, "HS256", {"kid": "1"})
        assert call(inlined_code, env, forged)["ErrorCode"] == "InvalidToken"


def test_a_deployment_without_a_login_secret_gives_out_nothing(
    tmp_path: Path, inlined_code: Path, inlined_text: str
) -> None:
    with deployed(tmp_path, inlined_text) as env:
        answer = call(inlined_code, env, "")
        assert answer["ErrorCode"] == "Misconfiguration"
        assert "JWT_SECRET" in answer["ErrorMessage"]
