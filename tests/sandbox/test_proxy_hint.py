"""If curl and SDKs would ask a proxy for 127.0.0.1, the sandbox says so and names a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from running_sandbox import running, wait_for
from sandbox.proxy_hint import hint

PROXY = "http://me:s3cret@proxy.example:8080"


@pytest.mark.parametrize(
    "name", ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"]
)
def test_a_proxy_gets_the_line_to_copy(name: str) -> None:
    line = hint({name: PROXY})
    assert line.startswith(f"{name} is set")
    assert line.endswith("export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost")
    assert "s3cret" not in line


@pytest.mark.parametrize(
    "excepted", ["127.0.0.1", "*", "a.example, 127.0.0.1 ,b", "127.0.0.0/8", "localhost,127.0.0.1"]
)
def test_where_this_machine_is_excepted_nothing_is_said(excepted: str) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        assert hint({"http_proxy": PROXY, name: excepted}) == ""


def test_without_a_proxy_nothing_is_said() -> None:
    assert hint({"http_proxy": "", "NO_PROXY": "a"}) == ""


@pytest.mark.parametrize("excepted", ["127.0.0.10", "10.0.0.0/8", "localhost", "a/b"])
def test_what_excepts_others_only_is_kept_and_added_to(excepted: str) -> None:
    line = hint({"http_proxy": PROXY, "no_proxy": excepted, "NO_PROXY": "127.0.0.1"})
    assert f"NO_PROXY={excepted},127.0.0.1" in line


def test_what_stands_there_is_no_command() -> None:
    assert "'a;rm -rf /,127.0.0.1,localhost'" in hint({"http_proxy": "p", "NO_PROXY": "a;rm -rf /"})


def test_a_run_says_it_once(tmp_path: Path) -> None:
    with running(tmp_path / "state", http_proxy=PROXY) as sandbox:
        # The log waits for the first lines on stdout.
        wait_for(lambda: "NO_PROXY" in sandbox.stderr)
    lines = sandbox.stderr.splitlines()
    assert [line.partition(" is set")[0] for line in lines if "NO_PROXY" in line] == [
        "sandbox: http_proxy"
    ]
    assert "s3cret" not in sandbox.stderr


def test_with_lan_the_address_that_tokens_lead_to_is_named_too() -> None:
    env = {"http_proxy": "http://proxy.example.com", "NO_PROXY": "127.0.0.1,localhost"}
    assert hint(env) == ""
    told = hint(env, "192.168.1.5")
    hosts = "127.0.0.1,localhost,192.168.1.5"
    assert told.endswith(f"export NO_PROXY={hosts} no_proxy={hosts}")
    assert "may ask the proxy for 192.168.1.5" in told
