"""With LAN=1, devices in the network (for example a phone) reach some routes only.

A machine may have no private address. Therefore these tests check the address separately, and run
the servers at a second loopback address."""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
import segno
from hypothesis import given as examples
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from running_cloud import Token
from running_sandbox import (
    RUN,
    TOKEN,
    UNUSED_PORT,
    Sandbox,
    finished,
    free_port,
    given,
    make,
    running,
)
from sandbox import lan
from sandbox.environment import Ports
from sandbox.request_notes import MAX_SESSIONS, PATH, SESSION_HEADER
from sandbox.servers import PortInUse, Service, in_background, listen
from token_service.errors import Misconfiguration
from token_service.settings.reading import read_settings
from token_service.settings.values import Endpoint

ADDRESS = "127.0.0.2"
# Runs a sandbox that treats ADDRESS as a private address.
SEAM = (
    "import ipaddress, sys; from sandbox import __main__, lan; "
    f"lan.NETWORKS = (ipaddress.ip_network('{ADDRESS}/32'),); sys.exit(__main__.main())"
)
PORTS = Ports(7080, 7081, 7082)


def command(name: str, *names: str) -> tuple[str, ...]:
    return given((sys.executable, "-c", SEAM, name), "LAN", *names)


def read(value: str, *names: str, **env: str) -> str:
    return lan.read({"LAN": value, **env}, {"LAN", *names})


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    """A private address of this machine."""
    monkeypatch.setattr(lan, "_is_private", lambda text: text == ADDRESS)
    return ADDRESS


# The address


@pytest.mark.parametrize("value", ["", " ", "0"])
def test_without_lan_there_is_no_address(value: str) -> None:
    assert read(value) == ""


@pytest.mark.parametrize(
    "value",
    [
        *("yes", "true", "on", "2", "laptop", "laptop.local", "localhost", "eth0"),
        *("127.0.0.1", "0.0.0.0", "169.254.1.1", "100.64.0.1", "100.127.255.254", "8.8.8.8"),  # noqa: S104
        *("172.15.255.255", "172.32.0.1", "192.167.1.1", "192.169.0.1", "9.9.9.9", "11.0.0.1"),
        *("224.0.0.1", "255.255.255.255", "192.0.2.2", "::1", "fd00::1", "::ffff:10.0.0.1"),
        *("192.168.1", "192.168.1.5:7080", "http://192.168.1.5", "192.168.1.5/24", "010.0.0.1"),
        *(
            "10.1",
            "167772161",
            "0xa000001",
            "10.0.0.1,10.0.0.2",
            "\u0661\u0660.0.0.1",
            "10.0.0.1\n8.8.8.8",
        ),
    ],
)
def test_what_is_no_private_address_is_refused_with_what_is(value: str) -> None:
    with pytest.raises(Misconfiguration, match=r"^LAN: must be 1 .*192\.168\.1\.5.* or 0 "):
        read(value)


@examples(st.ip_addresses(v=4))
def test_private_are_three_networks(address: Any) -> None:
    first, second = address.packed[:2]
    expected = first == 10 or (first == 172 and 16 <= second < 32) or (first, second) == (192, 168)
    assert lan._is_private(str(address)) == expected


def test_a_private_address_of_another_machine_is_refused() -> None:
    with pytest.raises(
        Misconfiguration, match=r"^LAN: 10\.255\.254\.253 is not an address of this"
    ):
        read("10.255.254.253")


def test_an_address_of_this_machine_is_taken(own: str) -> None:
    assert read(f" {own} ") == own


class Route(socket.socket):
    """Simulates a default route through `address`. If `address` is "", there is no default
    route."""

    address = ""

    def connect(self, address: Any) -> None:
        assert self.type == socket.SOCK_DGRAM
        if not self.address:
            raise OSError(101, "Network is unreachable")

    def getsockname(self) -> tuple[str, int]:
        return self.address, 40000


@pytest.mark.parametrize("address", ["10.9.8.7", "172.16.0.9", "192.168.1.5"])
def test_one_is_the_address_of_the_default_route(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(socket, "socket", type("Of", (Route,), {"address": address}))
    assert read("1") == address


@pytest.mark.parametrize("address", ["203.0.113.7", "100.64.0.9", "169.254.3.4", "127.0.0.1"])
def test_a_default_route_that_is_not_private_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(socket, "socket", type("Of", (Route,), {"address": address}))
    with pytest.raises(
        Misconfiguration, match=rf"^LAN: {address}, .* not private .*; choose another"
    ):
        read("1")


def test_without_a_network_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", Route)
    with pytest.raises(Misconfiguration, match=r"^LAN: this machine has no default route.*Wi-Fi"):
        read("1")


def test_the_real_default_route_is_looked_up() -> None:
    """The test accepts every default route that this machine may have."""
    try:
        answer = read("1")
    except Misconfiguration as error:
        answer = error.message
    assert lan._is_private(answer) or re.search("not private|no default route", answer)


# What cannot come with it


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OSS_ENDPOINT", "http://127.0.0.1:7081"),
        ("JWT_SECRET", "s" * 32),
        ("JWT_JWKS_FILE", "keys.json"),
        ("JWT_JWKS_URL", "https://login.example/keys"),
        ("CALLBACK_SECRET", "s" * 32),
        ("MULTIPART_SECRET", "s" * 32),
        ("UPLOAD_HOOK_SECRET", "s" * 32),
        ("UPLOAD_HOOK_URL", "https://api.example/uploaded"),
        ("STS_ENDPOINT", "http://127.0.0.1:9"),
    ],
)
def test_what_is_believed_elsewhere_is_refused(own: str, name: str, value: str) -> None:
    with pytest.raises(Misconfiguration, match=f"^LAN: .*{name}") as caught:
        read(own, name, **{name: value})
    assert value not in caught.value.message
    # The value is ignored if it is empty, or if it is only in the environment.
    assert read(own, name, **{name: ""}) == own
    assert read(own, **{name: value}) == own


def test_real_tokens_are_for_this_machine_only(own: str) -> None:
    with pytest.raises(Misconfiguration, match=r"^LAN: CLOUD=1 gives out real tokens"):
        read(own, CLOUD="1")


def test_where_uploads_need_a_name_that_no_phone_finds_it_is_refused(own: str) -> None:
    with pytest.raises(Misconfiguration, match=r"^LAN: .*ENDPOINT=closed.*files\.localhost"):
        read(own, PUBLIC_ENDPOINT="closed")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run", "token"])
@pytest.mark.parametrize("value", ["1", "yes", ADDRESS])
def test_lan_does_not_count_in_the_environment(tmp_path: Path, name: str, value: str) -> None:
    """If LAN counted as an environment variable, one line in a shell's profile would open every
    later sandbox to the network that the machine is in."""
    if name == "token":
        done = finished(make("token"), tmp_path / "state", LAN=value)
        assert json.loads(done.stdout)["Scope"]["Endpoint"] == f"http://127.0.0.1:{UNUSED_PORT + 1}"
        said = done.stderr
    else:
        with running(tmp_path / "state", LAN=value) as sandbox:
            assert sandbox.answer()["Scope"]["Endpoint"] == sandbox.endpoint
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((ADDRESS, sandbox.port), timeout=5)
            said = sandbox.stderr
    assert "The environment variable LAN is ignored, because LAN opens this machine to" in said
    assert f"make {name} LAN=1" in said


@pytest.mark.parametrize("name", ["run", "token"])
def test_a_wrong_one_on_makes_command_line_is_one_line(tmp_path: Path, name: str) -> None:
    done = finished(make(name, "LAN=yes"), tmp_path / "state")
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith(f"make {name}: LAN: must be 1 ")


def test_host_is_refused_with_what_is_meant(tmp_path: Path) -> None:
    done = finished(make("run", "HOST=0.0.0.0"), tmp_path / "state")
    assert done.returncode != 0
    assert re.match("make run: HOST: .* 127.0.0.1; LAN=1 lets a phone", done.stderr)
    # Shells set HOST, so it is ignored in the environment.
    assert json.loads(finished(TOKEN, tmp_path / "state", HOST="laptop").stdout)["Scope"]


# Where clients are sent


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "files.localhost", "10.0.2.2"])
def test_an_endpoint_where_oss_listens_is_taken(host: str) -> None:
    lan.check_endpoint(Endpoint("http", host, 7081), "", PORTS)
    with pytest.raises(Misconfiguration, match=f"accepts only http, so use http://{host}:7081"):
        lan.check_endpoint(Endpoint("https", host, 7081), "", PORTS)
    for port in (80, 7080, 7082, 7083):
        with pytest.raises(Misconfiguration, match=r"^OSS_ENDPOINT: .* does not listen on "):
            lan.check_endpoint(Endpoint("http", host, port), "", PORTS)
    lan.check_endpoint(Endpoint("http", host, 7083), "", PORTS._replace(internal=7083))


@pytest.mark.parametrize("host", ["192.168.1.5", "10.0.2.3", "127.0.0.2", "::1", "xlocalhost"])
def test_an_endpoint_that_nothing_listens_on_is_refused_with_the_remedy(host: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(Misconfiguration) as caught:
            lan.check_endpoint(Endpoint(scheme, host, 7081), "", PORTS)
        for remedy in ("127.0.0.1:7081", "LAN=1", "adb reverse", "http://10.0.2.2:7081"):
            assert remedy in caught.value.message


def test_with_lan_its_own_address_is_one_of_them() -> None:
    lan.check_endpoint(Endpoint("http", "192.168.1.5", 7081), "192.168.1.5", PORTS)
    with pytest.raises(Misconfiguration):
        lan.check_endpoint(Endpoint("http", "192.168.1.6", 7081), "192.168.1.5", PORTS)


@pytest.mark.slow
@pytest.mark.parametrize("base", [RUN, TOKEN])
def test_it_is_refused_before_anything_is_made(tmp_path: Path, base: tuple[str, ...]) -> None:
    port = free_port()
    env = {"PORT": str(port), "OSS_ENDPOINT": f"http://192.168.1.5:{port + 1}"}
    done = finished(given(base, "OSS_ENDPOINT"), tmp_path / "state", **env)
    assert done.returncode == 1
    assert f"does not listen on 192.168.1.5:{port + 1}" in done.stderr
    assert not (tmp_path / "state" / "oss").exists()


# What a phone reaches


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    port = free_port()
    variables = {"LAN": ADDRESS, "AUTH": "jwt", "PORT": str(port)}
    callback = {"CALLBACK_URL": f"http://127.0.0.1:{port}/callback"}
    folder = tmp_path_factory.mktemp("lan") / "state"
    with running(folder, port, command("run"), **variables, **callback) as sandbox:
        yield sandbox


def ask(sandbox: Sandbox, path: str, host: str = ADDRESS) -> requests.Response:
    return requests.get(f"http://{host}:{sandbox.port}{path}", timeout=10)


def login(sandbox: Sandbox) -> str:
    found: str = ask(sandbox, "/sandbox/login?user=alice").json()["access_token"]
    return found


def test_a_phone_signs_in_and_uploads_by_the_address(sandbox: Sandbox) -> None:
    """The URLs of the callback and of its public key have the loopback address, as without LAN."""
    answer = ask(sandbox, f"/?access_token={login(sandbox)}").json()
    token, scope = Token.of(answer), answer["Scope"]
    assert token.endpoint == f"http://{ADDRESS}:{sandbox.port + 1}"
    headers = {"x-oss-callback": scope["Callback"], "x-oss-callback-var": scope["CallbackVar"]}
    stored = token.oss2("v4").put_object(f"{token.prefix}a", b"Hello", headers)
    assert json.loads(stored.resp.read())["Object"] == "uploads/alice/a"
    # At 127.0.0.1 the sandbox answers as it does without LAN.
    assert sandbox.ask(f"/?access_token={login(sandbox)}")[1]["Scope"]["Prefix"] == token.prefix
    assert ask(sandbox, "/sandbox/callback_pub_key.pem", "127.0.0.1").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/sandbox", "/sandbox/", "/sandbox/callback_pub_key.pem", "/sandbox/refusals?session=1"),
        *(
            "/sandbox/login/more",
            "/sandbox%2Fcallback_pub_key.pem",
            "/sandbox/%63allback_pub_key.pem",
        ),
    ],
)
def test_of_the_sandboxs_own_routes_there_is_the_sign_in_only(sandbox: Sandbox, path: str) -> None:
    answer = ask(sandbox, path)
    assert (answer.status_code, answer.json()["ErrorCode"]) == (404, "NotFound")


@pytest.mark.parametrize("offset", [0, 1])
def test_no_stranger_pushes_out_what_is_noted_of_the_page_here(
    sandbox: Sandbox, offset: int
) -> None:
    ours = f"{offset:032x}"
    here, oss = f"http://127.0.0.1:{sandbox.port}", f"http://{ADDRESS}:{sandbox.port + 1}/"
    requests.get(here, headers={SESSION_HEADER: ours}, timeout=10)
    url = f"http://{ADDRESS}:{sandbox.port + offset}/"
    for number in range(MAX_SESSIONS):
        requests.get(url, headers={SESSION_HEADER: f"f{number:031x}"}, timeout=10)
    # OSS_ENDPOINT is at ADDRESS, so the page's own requests to OSS are sent there.
    requests.get(oss, headers={SESSION_HEADER: ours}, timeout=10)
    notes = requests.get(f"{here}{PATH}?session={ours}", timeout=10).json()["Requests"]
    assert [note["Server"] for note in notes] == ["function", "OSS"]


def test_the_network_fills_no_memory_with_bodies(sandbox: Sandbox) -> None:
    """Without LAN's limit, the gateway would read bodies of 32 MB into memory before it knows the
    sender."""
    url = f"http://{ADDRESS}:{sandbox.port}/multipart"
    sizes = [lan.MAX_BODY_BYTES, lan.MAX_BODY_BYTES + 1]
    bodies: list[bytes | Iterator[bytes]] = [bytes(size) for size in sizes]
    bodies.append(iter([b"without a ", b"Content-Length"]))
    answers = [requests.post(url, data=body, timeout=10) for body in bodies]
    assert [answer.json()["StatusCode"] == 413 for answer in answers] == [False, True, True]
    here = requests.post(url.replace(ADDRESS, "127.0.0.1"), data=bodies[1], timeout=10)
    assert here.json()["StatusCode"] != 413


def test_sts_is_not_there(sandbox: Sandbox) -> None:
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((ADDRESS, sandbox.port + 2), timeout=5)


def test_from_the_network_no_server_of_this_machine_is_called(sandbox: Sandbox) -> None:
    """A client could otherwise choose any URL for a callback."""
    token = Token.of(ask(sandbox, f"/?access_token={login(sandbox)}").json())
    document = {"callbackUrl": f"http://127.0.0.1:{sandbox.port + 2}/", "callbackBody": "a=b"}
    headers = {"x-oss-callback": base64.b64encode(json.dumps(document).encode()).decode()}
    with pytest.raises(Exception, match="calls only CALLBACK_URL"):
        token.oss2("v4").put_object(f"{token.prefix}b", b"Hello", headers)


def raw(port: int, head: str) -> str:
    """Send these bytes as a request, and return the status line of the answer."""
    with socket.create_connection((ADDRESS, port), timeout=10) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"Connection: close\r\n\r\n")
        with connection.makefile("rb") as answer:
            return answer.readline().decode().strip()


@pytest.mark.parametrize("offset", [0, 1], ids=["gateway", "OSS"])
def test_it_answers_by_its_own_address_only(sandbox: Sandbox, offset: int) -> None:
    """A stranger can give this address a name of his own. If the sandbox answered requests to that
    name, a page of that name would have the sandbox's origin."""
    port = sandbox.port + offset
    good = f"{ADDRESS}:{port}"
    path = "/health" if offset == 0 else "/sandbox-bucket/uploads/a"
    expected = "200 OK" if offset == 0 else "403 Forbidden"
    assert raw(port, f"GET {path} HTTP/1.1\nHost: {good}\n") == f"HTTP/1.1 {expected}"
    for host in (
        *(f"evil.example:{port}", "evil.example", ADDRESS, f"{ADDRESS}:{port + 1}", "localhost"),
        *(f"127.0.0.1:{port}", f"localhost:{port}", f"files.localhost:{port}", f"{good}.", ""),
        *(
            f"sandbox-bucket.{good}",
            f"0{good}",
            f"{good} evil.example",
            f"[::ffff:{ADDRESS}]:{port}",
        ),
    ):
        answer = http.client.HTTPConnection(ADDRESS, port, timeout=10)
        with closing(answer):
            answer.putrequest("GET", path, skip_host=True)
            answer.putheader("Host", host)
            answer.endheaders()
            reply = answer.getresponse()
            body = reply.read()
            if reply.status == 400:
                # The HTTP parser has refused this Host.
                continue
            assert reply.status == 403, host
            assert json.loads(body)["ErrorCode"] == "ForbiddenHost", host
    for head in (
        f"GET {path} HTTP/1.0\n",
        f"GET {path} HTTP/1.1\n",
        f"GET {path} HTTP/1.1\nHost: {good}\nHost: {good}\n",
        f"GET {path} HTTP/1.1\nHost: {good}\nHost: evil.example\n",
        f"GET {path} HTTP/1.0\nHost: {good}\nHost: evil.example\n",
        f"GET http://{good}{path} HTTP/1.1\nHost: {good}\n",
        f"GET http://evil.example{path} HTTP/1.1\nHost: {good}\n",
        f"OPTIONS * HTTP/1.1\nHost: {good}\n",
        f"GET http://127.0.0.1:{port}/sandbox/callback_pub_key.pem HTTP/1.1\nHost: {good}\n",
    ):
        assert raw(port, head).split()[1] in ("400", "403"), head


def test_no_header_says_who_asks() -> None:
    """By default uvicorn trusts X-Forwarded-For from loopback. With FORWARDED_ALLOW_IPS=* uvicorn
    trusts this header from everybody."""

    async def peer(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(scope["client"][0])(scope, receive, send)

    service = Service(peer, listen(0))
    with in_background([service]):
        answer = requests.get(
            f"http://127.0.0.1:{service.port}/",
            headers={"X-Forwarded-For": "192.168.1.9"},
            timeout=10,
        )
    assert answer.text == "127.0.0.1"


def test_a_file_of_more_than_100_mb_is_refused_on_both_listeners(sandbox: Sandbox) -> None:
    token = Token.of(ask(sandbox, f"/?access_token={login(sandbox)}").json())
    bucket = token.oss2("v4")
    for host in (ADDRESS, "127.0.0.1"):
        url = bucket.sign_url("PUT", f"{token.prefix}large", 60).replace(ADDRESS, host)
        answer = requests.put(url, data=bytes(100 * 1024**2 + 1), timeout=60)
        assert answer.status_code == 400
        assert "<Code>EntityTooLarge</Code>" in answer.text


def test_ports_are_taken_at_both_addresses_or_none(tmp_path: Path) -> None:
    port = free_port()
    with listen(port, ADDRESS):
        done = finished(command("run"), tmp_path / "state", LAN=ADDRESS, PORT=str(port))
        assert f"port {port} cannot be used" in done.stderr
        assert done.returncode == 1
        with pytest.raises(PortInUse):
            listen(port, ADDRESS)
        listen(port).close()


def test_a_token_leads_where_a_phone_finds_it(tmp_path: Path) -> None:
    done = finished(command("token"), tmp_path / "state", LAN=ADDRESS)
    assert json.loads(done.stdout)["Scope"]["Endpoint"] == f"http://{ADDRESS}:{UNUSED_PORT + 1}"


# What is said


def test_who_can_reach_it_is_said_and_no_code_is_drawn_into_a_file(sandbox: Sandbox) -> None:
    assert f"On a phone in the same network: http://{ADDRESS}:{sandbox.port}/app/" in sandbox.stdout
    assert (
        "Everybody in this network can reach the sandbox, and sign in as any user."
        in sandbox.stdout
    )
    assert not re.search("[█▀▄\x1b]", sandbox.stdout)


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding)

    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, stream: Terminal, columns: int, **env: str) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    settings = read_settings(
        {
            "AUTH": "anonymous",
            "BUCKET_NAME": "b-b-b",
            "ROLE_ARN": "acs:ram::1:role/r",
            "OSS_REGION": "cn-hangzhou",
        }
    )
    said = lan.lines("192.168.100.200", PORTS, settings, stream)
    assert (
        said[1]
        == "Everybody in this network can reach the sandbox, and everybody shares one folder."
    )
    assert said[-1] == ""
    return said[3:-1]


@pytest.mark.parametrize("no_color", ["", "1"])
def test_the_code_is_the_pages_url_module_by_module(
    monkeypatch: pytest.MonkeyPatch, no_color: str
) -> None:
    rows = drawn(monkeypatch, Terminal(), 33, NO_COLOR=no_color)
    light = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}
    found: list[list[int]] = []
    for row in rows:
        if not no_color:
            # Each line sets the colours again (white blocks on black).
            assert row.startswith("\x1b[38;5;231;48;5;16m")
            assert row.endswith("\x1b[0m")
        pairs = [light[c] for c in re.sub("\x1b\\[[0-9;]*m", "", row)]
        found += [[upper for upper, _ in pairs], [lower for _, lower in pairs]]
    code = segno.make_qr("http://192.168.100.200:7080/app/")
    # The code has a quiet zone of 4 modules. Without this zone, phones do not find the code.
    expected = [list(row) for row in code.matrix_iter(border=4)]
    assert found[: len(expected)] == expected
    assert len(found) == len(expected) + 1


def test_where_it_would_not_fit_or_not_show_there_is_the_url_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert drawn(monkeypatch, Terminal(), 32) == []
    assert drawn(monkeypatch, Terminal("ascii"), 80) == []
