"""The output of `make build` is complete, reproducible, and has no foreign files."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ops import ROOT
from ops import build as build_module
from ops import package as package_module
from ops.build import build, check
from ops.package import FUNCTION, POLICIES, PackageError, pinned, replace_compiled
from ops.policies_described import names
from signed_logins import jwk, jwks

pytestmark = pytest.mark.slow


def digests(folder: Path) -> dict[str, tuple[str, float]]:
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime,
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_it_holds_the_function_its_policies_and_its_packages(package: Path) -> None:
    for source in FUNCTION.glob("*.py"):
        assert (package / source.name).read_bytes() == source.read_bytes()
    assert (package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    for source in POLICIES.glob("*.j2"):
        assert (package / "policies" / source.name).read_bytes() == source.read_bytes()
    for name in ("aliyunsdksts", "aliyunsdkcore", "jinja2", "markupsafe", "jwt", "cryptography"):
        assert (package / name / "__init__.py").is_file()
    assert list(package.glob("_cffi_backend.cpython-310-x86_64-linux-gnu.so"))


def test_what_a_custom_runtime_starts_is_executable(package: Path) -> None:
    assert (package / "bootstrap").stat().st_mode & 0o777 == 0o755
    with zipfile.ZipFile(package.with_suffix(".zip")) as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    assert {name for name, mode in modes.items() if mode != 0o100644} == {"bootstrap"}
    assert modes["bootstrap"] == 0o100755


def test_another_build_makes_the_same_bytes(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second build uses another folder, another date and other variables of Python."""
    again = tmp_path / "another folder" / "sts_token"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    build(again)
    assert digests(again) == digests(package)
    assert again.with_suffix(".zip").read_bytes() == package.with_suffix(".zip").read_bytes()


def test_the_zip_is_the_folder(package: Path) -> None:
    with zipfile.ZipFile(package.with_suffix(".zip")) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {entry.date_time for entry in archive.infolist()} == {(2020, 1, 1, 0, 0, 0)}
        found = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names}
    assert found == {name: digest for name, (digest, _) in digests(package).items()}


def test_nothing_of_the_laptop_is_in_it(package: Path) -> None:
    names = {path.name for path in package.rglob("*")}
    assert not names & {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "bin"}
    assert not names & {"sandbox", "ops", "tests", "requirements.txt"}
    # All byte code is from the runtime's version of Python, and contains no path of this machine.
    for path in package.rglob("*.pyc"):
        assert path.match("__pycache__/*.cpython-310.pyc")
        assert str(ROOT).encode() not in path.read_bytes()


def test_markers_are_judged_for_the_runtimes_python() -> None:
    """The result is the same for every Python that runs this test. pip itself would evaluate the
    markers for its own Python."""
    pins = {pin.partition("==")[0]: pin for pin in pinned()}
    assert "typing-extensions" in pins
    assert all(" --hash=sha256:" in pin for pin in pins.values())


def test_a_package_that_lacks_what_it_needs_on_the_runtimes_python_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests may run on Python 3.11, on which PyJWT does not need typing_extensions."""
    monkeypatch.setattr(build_module, "pinned", lambda: pinned(["PyJWT"]))
    with pytest.raises(PackageError, match="PyJWT needs typing_extensions, which the lock"):
        build(tmp_path / "sts_token")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_requirement_is_refused() -> None:
    with pytest.raises(PackageError, match="does not pin Django"):
        pinned(["Django"])


def test_what_pip_cannot_fetch_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        build_module, "pinned", lambda: [f"PyJWT==0.0.0.1 --hash=sha256:{'0' * 64}"]
    )
    with pytest.raises(PackageError, match="No matching distribution found for PyJWT"):
        build(tmp_path / "sts_token")


def test_another_pythons_compiled_modules_take_the_places_of_the_runtimes(
    package: Path, tmp_path: Path
) -> None:
    """To measure a package with another Python, replace only the package's compiled modules. All
    other files stay as deployed."""
    other = tmp_path / "sts_token"
    shutil.copytree(package, other)
    replace_compiled(other, "3.12")
    before, after = digests(package), digests(other)
    assert {name for name in after if name.endswith(".so")} == {
        "_cffi_backend.cpython-312-x86_64-linux-gnu.so",
        "cryptography/hazmat/bindings/_rust.abi3.so",
        "markupsafe/_speedups.cpython-312-x86_64-linux-gnu.so",
    }
    assert {name: after[name] for name in after if not name.endswith(".so")} == {
        name: before[name] for name in before if not name.endswith(".so")
    }


def test_a_python_without_compiled_modules_is_refused(package: Path, tmp_path: Path) -> None:
    other = tmp_path / "sts_token"
    shutil.copytree(package, other)
    with pytest.raises(PackageError, match="pip cannot fetch the packages"):
        replace_compiled(other, "2.7")
    assert digests(other) == digests(package)


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        *((f"policies/{name}.json.j2", f"POLICY_.*cannot read {name}") for name in names()),
        ("token_service/token/assume_role.py", "No module named 'token_service.token.assume_role'"),
        ("aliyunsdksts", "No module named 'aliyunsdksts'"),
        ("jinja2", "No module named 'jinja2'"),
        ("jwt", "No module named 'jwt'"),
    ],
)
def test_a_package_that_does_not_serve_is_refused(
    package: Path, tmp_path: Path, missing: str, says: str
) -> None:
    """The developer's machine has all packages installed, but the process that serves has only
    those of the package."""
    broken = tmp_path / "sts_token"
    skipped = Path(missing).name
    shutil.copytree(
        package,
        broken,
        ignore=lambda _, names: [name for name in names if name == skipped],
        copy_function=os.link,
    )
    with pytest.raises(PackageError, match=says):
        check(broken)


def test_a_build_that_fails_leaves_the_last_one(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "sts_token"
    shutil.copytree(package, output, copy_function=os.link)
    monkeypatch.setattr(build_module, "fill", lambda folder, pins: None)
    with pytest.raises(PackageError, match="cannot answer requests"):
        build(output)
    assert digests(output) == digests(package)
    assert [path.name for path in tmp_path.iterdir()] == ["sts_token"]


def test_an_operators_own_policy_and_keys_are_packed_and_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator's files next to the function and in policies/ are deployed under the same
    names."""
    function, policies = tmp_path / "function", tmp_path / "policies"
    shutil.copytree(FUNCTION, function, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(POLICIES, policies)
    (function / "keys.json").write_text(jwks(jwk("ES256", "k")))
    # This file must not be in the package, because an operator may share the package, and the
    # vendor's config.json has a key.
    (policies / "config.json").write_text('{"AccessKeySecret": "secret"}')
    (policies / "own.txt").write_text(
        '{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:PutObject"],'
        '"Resource":["acs:oss:*:*:$BUCKET_NAME/$OBJECT_PREFIX*"]}]}'
    )
    monkeypatch.setenv("JWT_JWKS_FILE", "keys.json")
    monkeypatch.setattr(package_module, "FUNCTION", function)
    monkeypatch.setattr(package_module, "POLICIES", policies)
    monkeypatch.setattr(package_module, "_install", lambda *_: None)
    monkeypatch.setattr(package_module, "_check_complete", lambda *_: None)
    made = tmp_path / "made"
    made.mkdir()
    package_module.fill(made, [])
    assert {"keys.json", "policies/own.txt", "policies/ready.json"} <= {
        path.relative_to(made).as_posix() for path in made.rglob("*")
    }
    code = (
        f"import sys; sys.path.insert(0, {str(made)!r}); "
        "from token_service.grant.policies import Policies; "
        "from token_service.login.jwks import KeySet; "
        "from token_service.login.jwt import Jwt; "
        "KeySet(Jwt('keys.json', None, None, (), 'sub')); "
        "Policies(['policies/own.txt', 'bucket_read_policy'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=made / "policies", check=False)
    assert done.returncode == 0
    # The template must not contain config.json, because an operator may share the template, and
    # config.json has a key.
    inlined = tmp_path / "inlined"
    inlined.mkdir()
    package_module.fill(inlined, [], native=False)
    assert list(inlined.glob("*.json")) == []
    for folder in (made, inlined):
        assert [path.name for path in (folder / "policies").glob("*.json")] == ["ready.json"]
