"""Tests how we import the vendor's AssumeRoleRequest: its signatures, its versions, and the modules
that are not loaded."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from sandbox.sts_signatures import rpc_signature, rpc_string_to_sign
from token_service.settings.values import AccessKey
from token_service.token import assume_role as sts
from token_service.token import vendor_request as assume_role

FUNCTION = Path(__file__).parents[2] / "functions" / "sts_token"

pytestmark = pytest.mark.filterwarnings(
    # The SDK has its own copy of the package six, which has no find_spec.
    "ignore:.*_SixMetaPathImporter.*:ImportWarning"
)


def run(script: str, *paths: str) -> str:
    """Run a script in a new process, with `paths` at the start of sys.path."""
    lines = [f"import sys; sys.path[:0] = {[*paths, str(FUNCTION)]!r}", textwrap.dedent(script)]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


REQUEST = sts.RoleRequest("acs:ram::1:role/r", "anonymous", '{"a b":"*~+/\u7167"}', 900)


def test_the_form_is_signed_as_the_protocol_says() -> None:
    """The signature is compared with the sandbox's. The sandbox's own code is tested with the
    known-answer vector 1."""
    form = sts._signed_form(REQUEST, AccessKey("LTAIkey", "s3cret", "CAIS+/="), "cn-hangzhou")
    pairs = parse_qsl(form.decode(), keep_blank_values=True)
    sent = dict(pairs)
    # No name is repeated.
    assert len(pairs) == len(sent)
    signature = sent.pop("Signature")
    assert sent["AccessKeyId"] == "LTAIkey"
    assert sent["Policy"] == REQUEST.policy
    assert sent["SecurityToken"] == "CAIS+/="
    assert signature == rpc_signature(rpc_string_to_sign("POST", sent), "s3cret", "HMAC-SHA1")


@pytest.fixture(autouse=True)
def _loaded() -> None:
    """In a process that has loaded the SDK, the import returns the SDK's own class. `make
    mutants` runs a test only if the test calls the changed code in its own process. Most tests here
    call this code in another process, so each test also makes this check."""
    assert assume_role._import_request() is assume_role.AssumeRoleRequest


def test_what_stands_in_for_the_sdks_own_parts_leads_to_them() -> None:
    headers = assume_role._case_insensitive_dict({"A": 1}, b=2)
    assert (headers["a"], headers["B"]) == (1, 2)
    assert assume_role._member_of_xml("Element")("a").tag == "a"


def test_what_only_the_sdks_client_uses_is_not_loaded() -> None:
    loaded = run("import index, sys; print('\\n'.join(sys.modules))").split()
    assert "aliyunsdkcore.request" in loaded
    for module in (
        "aliyunsdkcore.client",
        "aliyunsdkcore.vendored.requests",
        "aliyunsdkcore.http.http_response",
        "aliyunsdkcore.vendored.requests.structures",
        "urllib.request",
        "xml.etree.ElementTree",
    ):
        assert module not in loaded


def test_the_sdks_client_still_works_beside_it() -> None:
    """After the import of AssumeRoleRequest, the stand-ins are removed, and the SDK's real modules
    can be imported."""
    out = run(
        """
        from token_service.token import vendor_request as assume_role
        from aliyunsdkcore.client import AcsClient
        from aliyunsdkcore.acs_exception.exceptions import ClientException
        request = assume_role.AssumeRoleRequest()
        request.append_user_agent("A", "1")
        assert request.request_user_agent()["a"] == "1"
        from aliyunsdkcore.auth.signers.ecs_ram_role_signer import urlopen
        import urllib.request
        assert urlopen is urllib.request.urlopen
        from aliyunsdkcore.utils.parameter_helper import to_xml
        assert to_xml({"a": {"b": 1}}) == "<a><b>1</b></a>"
        from xml.etree import cElementTree
        assert cElementTree.Element("a").tag == "a"
        request.set_endpoint("http://127.0.0.1:9")
        try:
            AcsClient("a", "b", "cn-hangzhou").do_action_with_exception(request)
        except ClientException as error:
            print(error.error_code)
        """
    )
    assert out.strip() == "SDK.HttpError"


def test_a_module_that_is_loaded_already_is_left_alone() -> None:
    run(
        """
        from aliyunsdkcore.vendored.requests import structures
        from xml.etree import cElementTree
        import sys
        from token_service.token import vendor_request
        assert sys.modules["aliyunsdkcore.vendored.requests.structures"] is structures
        assert sys.modules["xml.etree.cElementTree"] is cElementTree
        import aliyunsdkcore.request
        assert aliyunsdkcore.request.CaseInsensitiveDict is structures.CaseInsensitiveDict
        """
    )


@pytest.mark.parametrize("first", ["", "import aliyunsdkcore.client"])
def test_what_is_signed_is_encoded_by_percent_whoever_loads_the_sdk(first: str) -> None:
    run(
        f"""
        {first}
        from token_service.signing import percent
        from token_service.token import vendor_request
        from aliyunsdkcore.auth.composer import rpc_signature_composer as composer
        assert composer.pathname2url is percent.encoded
        assert composer.urlencode([("a b", 1)]) == composer.urlencode({{"a b": 1}}) == "a%20b=1"
        """
    )


@pytest.mark.slow
@pytest.mark.parametrize(("version", "core"), [("3.1.0", "2.14.0"), ("3.1.3", "2.16.1")])
def test_both_versions_of_the_sdk_build_the_same_request(
    tmp_path: Path, version: str, core: str
) -> None:
    """The python3.10 runtime has version 3.1.0 of the SDK preinstalled, and we pin version 3.1.3.

    We do not know which version of aliyun-python-sdk-core is preinstalled. Versions of this package
    before 2.14.0 do not run on Python 3.12.
    """
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    wanted = [f"aliyun-python-sdk-sts=={version}", f"aliyun-python-sdk-core=={core}"]
    subprocess.run([*pip, str(tmp_path), *wanted], check=True, capture_output=True)
    out = run(
        """
        import aliyunsdksts, aliyunsdkcore
        from token_service.settings.values import AccessKey
        from token_service.token import assume_role as sts
        print(aliyunsdksts.__file__, aliyunsdkcore.__version__, aliyunsdksts.__version__)
        request = sts.RoleRequest("acs:ram::1:role/r", "anonymous", "{}", 900)
        print(sts._signed_form(request, AccessKey("a", "b", None), "x").decode())
        """,
        str(tmp_path),
    )
    where, form = out.strip().split("\n")
    assert where.endswith(f" {core} {version}")
    assert where.startswith(str(tmp_path))
    sent = dict(parse_qsl(form, keep_blank_values=True))
    signature = sent.pop("Signature")
    assert signature == rpc_signature(rpc_string_to_sign("POST", sent), "b", "HMAC-SHA1")
    assert (sent["Action"], sent["Format"], sent["DurationSeconds"]) == (
        "AssumeRole",
        "JSON",
        "900",
    )
