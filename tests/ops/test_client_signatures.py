"""Tests which signature version each SDK uses by default. The Python SDKs send requests to the
sandbox, and the table in docs/sandbox.md must say the same as CLIENTS."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import oss2
import pytest

from ops.client_signatures import OF_APPS, OTHERS, lines
from running_cloud import RunningCloud, running_cloud
from running_oss import REGION
from sdk_clients import client, refusal

ROOT = Path(__file__).parents[2]
CLIENTS = {found.name: found for found in (*OF_APPS, *OTHERS)}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


def test_oss2_signs_with_v1_until_its_line_says_v4(cloud: RunningCloud) -> None:
    token = cloud.token()
    three = (token.access_key_id, token.access_key_secret, token.security_token)

    def put(made: Callable[..., oss2.StsAuth], **region: str) -> object:
        bucket = oss2.Bucket(made(*three), token.endpoint, token.bucket, **region)
        return bucket.put_object("uploads/a", b"Hello")

    assert CLIENTS["oss2"].default == "V1"
    refused = refusal(put, oss2.StsAuth)
    assert refused is not None
    assert refused.code == "SignatureV1Refused"
    # The test uses the documented line. A token and a bucket replace the "..." in it.
    line = CLIENTS["oss2"].v4(REGION)
    keywords = re.findall(r"\.\.\., (\w+)='([\w-]+)'\)", line)
    (version, region) = ({name: value} for name, value in keywords)

    def with_version(*key: str) -> oss2.StsAuth:
        return oss2.StsAuth(*key, **version)

    assert put(with_version, **region)


def test_alibabacloud_oss_v2_signs_with_v4(cloud: RunningCloud) -> None:
    assert CLIENTS["alibabacloud-oss-v2"].default == "V4"
    assert refusal(client("oss-v2", cloud.token()).put, "uploads/a") is None


def test_who_signs_with_v1_has_a_line_and_who_does_not_has_none() -> None:
    for found in CLIENTS.values():
        assert (found.default == "V1") is bool(found.line)
    assert all("cn-beijing" in line and "REGION" not in line for line in lines("cn-beijing"))


def test_the_sandboxs_page_has_the_same_lines() -> None:
    text = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
    table = text.partition("| client | signs by default with | the line that makes it V4 |\n")[2]
    rows = [line.split(" | ") for line in table.partition("\n\n")[0].splitlines()[1:]]
    shown = [(name[2:], default, line.replace("`", "")) for name, default, line in rows]
    assert [(name, default, line.rstrip("| ")) for name, default, line in shown] == [
        (found.name, found.default, found.v4(REGION)) for found in CLIENTS.values()
    ]
