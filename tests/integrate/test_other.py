"""Tests the HTTP contract of docs/integrate/other.md: sends the page's requests, and compares the
answers with those on the page."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from typing import Any

import pytest

from documented_code import blocks
from integration import INTEGRATE, stored
from running_cloud import RunningCloud

PUT, FORM = blocks("http", INTEGRATE / "other.md")
CONTENT = b"a picture"


def send(url: str, method: str, headers: dict[str, str], body: bytes | None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - of a test
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def asked(cloud: RunningCloud, contract: str, login: str) -> Any:
    """Send the contract's first request."""
    method, url, header = re.match(
        r"(\w+) (\S+)\n(.*)\n\n", contract.replace("<your token URL>", "HOST")
    ).groups()  # type: ignore[union-attr]
    name, _, value = header.partition(": ")
    url = url.replace("https://HOST", cloud.url)
    status, body = send(url, method, {name: value.replace("<the login>", login)}, None)
    assert status == 200
    return json.loads(body)


def shown(contract: str) -> dict[str, Any]:
    """Return the answer that the page shows."""
    found: dict[str, Any] = json.loads(re.search(r"^\{.*?\}$(?!\n )", contract, re.M | re.S)[0])  # type: ignore[index]
    return found


@pytest.mark.parametrize("contract", [PUT, FORM], ids=["signed URL", "form"])
def test_the_answer_has_what_is_shown(cloud: RunningCloud, contract: str) -> None:
    answer = asked(cloud, contract, cloud.login("alice"))
    for name, value in shown(contract).items():
        assert type(answer[name]) is type(value), name
        if isinstance(value, dict):
            assert value.keys() <= answer[name].keys()


@pytest.mark.parametrize("contract", [PUT, FORM], ids=["signed URL", "form"])
def test_a_refusal_is_as_it_is_shown(cloud: RunningCloud, contract: str) -> None:
    refused = json.loads(re.search(r"^or (\{.*\})$", PUT, re.M)[1])  # type: ignore[index]
    assert asked(cloud, contract, "x").keys() == refused.keys()


def test_the_signed_url_takes_the_file_as_it_is_said(cloud: RunningCloud) -> None:
    answer = asked(cloud, PUT, cloud.login("put"))
    wrong = {**answer["Headers"], "Content-Type": "a/b"}
    status, said = send(answer["Url"], answer["Method"], wrong, CONTENT)
    assert status == 403
    assert re.search(rb"<Error>\s*<Code>SignatureDoesNotMatch</Code>", said)
    status, _ = send(answer["Url"], answer["Method"], answer["Headers"], CONTENT)
    assert status == 200
    assert stored(cloud, answer["Object"]) == CONTENT


def test_the_form_takes_the_file_as_it_is_said(cloud: RunningCloud) -> None:
    answer = asked(cloud, FORM, cloud.login("form"))
    lines = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in answer["Fields"].items()
    ]
    head = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    body = "".join(lines).encode() + head.encode() + CONTENT + b"\r\n--b--\r\n"
    status, _ = send(
        answer["Url"], "POST", {"Content-Type": "multipart/form-data; boundary=b"}, body
    )
    assert status == 200
    assert stored(cloud, answer["Object"]) == CONTENT
