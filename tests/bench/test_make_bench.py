"""Tests `make bench`: functions run as deployed, the page has the tables, and the plot is XML."""

from __future__ import annotations

import json
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

import bench.__main__ as make_bench
from bench import deployed, packages, stub_cloud
from bench.calls import DEPLOYED, JWT_SECRET, REGION, event, login
from bench.copies import CompareError
from bench.deployed import Kind, Subject, World
from bench.plot import Bar, svg
from ops import ROOT

# This function fakes its CPU time: each call seems to take 2 ms.
TOY = """\
import json, time
calls = 0
time.process_time = lambda: 5.0 + calls * 0.002
def handler(event, context):
    global calls
    calls += 1
    return {"body": json.dumps({"StatusCode": 200})}
"""
REFUSING = (
    'handler = lambda *_: {"body": \'{"StatusCode": 401, "ErrorCode": "E", "ErrorMessage": "m"}\'}'
)


def world(folder: Path, code: str = TOY) -> World:
    (folder / "index.py").write_text(code)
    subjects = {"hs256": Subject([folder], {}, "{}")}
    kinds = {"call": Kind("hs256", ["{}", "{}"], 3)}
    return World(sys.executable, 0, subjects, ["hs256"], ["hs256"], kinds, {"hs256": (1, 30)})


def test_each_round_is_a_process_of_its_own_and_all_its_cpu_time_counts(tmp_path: Path) -> None:
    found = deployed.cold(world(tmp_path), 3)
    assert found["hs256"] == pytest.approx([5002.0] * 3)


def test_warm_calls_are_a_mean_of_one_call(tmp_path: Path) -> None:
    found = deployed.warm(world(tmp_path), 2, 2)
    assert found["call"] == pytest.approx([2.0] * 2)


def test_what_a_process_holds_is_counted_at_each_number_of_requests(tmp_path: Path) -> None:
    first, last = deployed.memory(world(tmp_path), 20)["hs256"]
    assert (first.requests, last.requests) == (1, 20)
    assert 1 < last.rss <= last.peak
    assert (last.descriptors, last.threads) == (first.descriptors, 1)


def test_a_function_that_refuses_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(CompareError, match="hs256 answers 401 E: m"):
        deployed.cold(world(tmp_path, REFUSING), 1)


def test_callers_of_the_mixture_are_new_each_ten_requests() -> None:
    asked = [json.loads(deployed.mixed(number)) for number in range(1990, 2010)]
    paths = [one["rawPath"] for one in asked]
    assert paths == (["/"] * 2 + ["/signed-url"] * 4 + ["/form"] * 4) * 2
    assert json.loads(deployed.mixed(7))["rawPath"] == "/"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[stub_cloud.StubCloud]:
    with stub_cloud.running(tmp_path, b"[]") as running:
        yield running


@pytest.mark.parametrize("where", ["file", "folder"])
def test_our_ca_is_found_in_a_file_and_in_a_folder(
    cloud: stub_cloud.StubCloud, tmp_path: Path, where: str
) -> None:
    hashed = tmp_path / "certs" / stub_cloud.hashed_name()
    hashed.parent.mkdir()
    hashed.write_bytes(cloud.certificate.read_bytes())
    context = ssl.create_default_context(
        cafile=str(cloud.certificate) if where == "file" else None,
        capath=str(hashed.parent) if where == "folder" else None,
    )
    name = f"sts.{REGION}.aliyuncs.com"
    with (
        socket.create_connection(("127.0.0.1", cloud.port)) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        assert secure.version() == "TLSv1.3"


@pytest.mark.parametrize("name", ["standard_library", "floor"])
def test_a_peer_of_the_standard_library_gets_a_token(
    cloud: stub_cloud.StubCloud, tmp_path: Path, name: str
) -> None:
    environment = {**DEPLOYED, "JWT_SECRET": JWT_SECRET}
    environment["SSL_CERT_FILE"] = str(cloud.certificate)
    folder = packages.peer(name, tmp_path)
    shown = event("/", login("alice", 4102444800), {})
    subjects = {name: Subject([folder], environment, shown)}
    world = World(sys.executable, cloud.port, subjects, [name], [name], {}, {})
    assert deployed.cold(world, 1)[name][0] > 0
    assert not folder.stat().st_mode & 0o222


def test_the_52_lines_refuse_a_login_that_is_not_ours(
    cloud: stub_cloud.StubCloud, tmp_path: Path
) -> None:
    folder = packages.peer("standard_library", tmp_path)
    environment = {**DEPLOYED, "JWT_SECRET": "another-secret-of-32-bytes-and-more"}
    subjects = {"52": Subject([folder], environment, event("/", login("alice", 4102444800), {}))}
    world = World(sys.executable, cloud.port, subjects, ["52"], ["52"], {}, {})
    with pytest.raises(CompareError, match="401 BadLogin: the login is not signed with our secret"):
        deployed.cold(world, 1)


def test_the_52_lines_are_52() -> None:
    text = (packages.PEERS / "standard_library.py").read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) == 52


def test_the_page_has_a_place_for_the_tables() -> None:
    text = make_bench.PAGE.read_text(encoding="utf-8")
    begin, end = text.find(make_bench.BEGIN), text.find(make_bench.END, text.find(make_bench.BEGIN))
    assert 0 < begin < end
    assert make_bench.PLOT.relative_to(make_bench.PAGE.parent).as_posix() in text


RATIO = re.compile(r"^\| (.+/ .+?) +\| (\d\.\d\d)[ |]", re.M)


def ratios(page: Path) -> list[tuple[str, str]]:
    """The titles and medians of a page's ratios."""
    return RATIO.findall(page.read_text(encoding="utf-8"))


def test_readme_says_what_was_measured() -> None:
    """After `make bench WRITE=1`, a person copies the new ratios by hand into the README of each
    language. If a person forgets to copy a ratio, this test fails."""
    measured, said = dict(ratios(make_bench.PAGE)), ratios(ROOT / "README.md")
    assert len(said) == 4
    assert [(title, measured[title]) for title, _ in said] == said
    chinese = ratios(ROOT / "README.zh-CN.md")
    assert [ratio for _, ratio in chinese] == [ratio for _, ratio in said]


def test_the_plot_is_sound_and_names_its_values() -> None:
    text = svg(
        "a < b", "s", [Bar("ours", [1.0, 2.0, 3.0], True), Bar("peer & co", [1392.9], False)]
    )
    root = ElementTree.fromstring(text)  # noqa: S314 - our own
    words = ["".join(element.itertext()) for element in root]
    assert "a < b (bar: median; line: fastest to slowest)" in words
    assert {"ours", "peer & co", "2.00 s", "1,393 s"} <= set(words)
    assert "prefers-color-scheme:dark" in text


def test_the_machine_is_named() -> None:
    assert "cores" in make_bench.machine()
