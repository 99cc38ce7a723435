"""Sends an upload callback within OSS's time limit, and checks the answer as OSS does.

The headers, the limits and the reasons are from the vendor's documentation. If a server cannot be
reached in time, the reason is the sandbox's own text. If there are several URLs, each URL has its
own time limit of five seconds. It is not verified on the real OSS that each URL has its own limit
(assumption 18). The sandbox calls only loopback addresses.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import ssl
import time
from email.utils import formatdate
from urllib.parse import SplitResult

import anyio
import h11
from anyio.abc import SocketAttribute

from sandbox.oss.call import Call
from sandbox.oss.callback_signer import CallbackSigner
from sandbox.oss.callbacks import Callback
from sandbox.oss.encoded import parse_json
from sandbox.oss.errors import OssError

LIMIT_SECONDS = 5
"""Seconds from the connection to the last byte of the answer."""
MAX_ANSWER_BYTES = 1024 * 1024  # size of a callback's answer (vendor documentation)

_READ_BYTES = 64 * 1024
_PORTS = {"http": 80, "https": 443}


async def deliver(callback: Callback, body: bytes, call: Call, signer: CallbackSigner) -> bytes:
    """Send a callback to its URLs one by one, and return the body of the first good answer.

    Raises CallbackFailed with the reason for the last URL.
    """
    failure = OssError(203, "CallbackFailed", "There is no URL.")
    for url in callback.urls:
        try:
            with anyio.fail_after(LIMIT_SECONDS):
                return await _sent(url, callback, body, call, signer)
        except TimeoutError:
            failure = _failed("Cost too long time.", "0007-00000202")
        except OSError:
            failure = _unreachable("OSS can not connect to your callbackUrl, please check it.")
        except (anyio.BrokenResourceError, anyio.EndOfStream):
            failure = _unreachable("The server closed the connection before it had answered.")
        except h11.RemoteProtocolError:
            failure = _unreachable("The server's answer is not HTTP.")
        except OssError as error:
            failure = error
    raise failure


async def _sent(
    url: SplitResult, callback: Callback, body: bytes, call: Call, signer: CallbackSigner
) -> bytes:
    host = url.hostname or ""
    if not _is_loopback(host):
        raise _unreachable(f"The sandbox calls loopback addresses only, not {host}.")
    target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
    key_url = base64.b64encode(signer.public_key_url.encode()).decode()
    md5 = hashlib.md5(body, usedforsecurity=False).digest()
    headers = [
        ("Host", callback.host or url.netloc),
        ("Connection", "close"),
        ("Content-Length", str(len(body))),
        ("Authorization", signer.sign(target, body)),
        ("Content-MD5", base64.b64encode(md5).decode()),
        ("Content-Type", callback.content_type),
        ("Date", formatdate(time.time(), usegmt=True)),
        ("User-Agent", "aliyun-oss-callback"),
        ("x-oss-bucket", call.bucket),
        ("x-oss-pub-key-url", key_url),
        ("x-oss-request-id", call.request_id),
        ("x-oss-signature-version", "1.0"),
        ("x-oss-tag", "CALLBACK"),
    ]
    connection = h11.Connection(h11.CLIENT)
    async with await _connected(url, host) as stream:
        # The name of the host has been resolved only now, so its address is checked here.
        peer = stream.extra(SocketAttribute.remote_address)  # noqa: S610 - this is no Django
        if not _is_loopback(str(peer[0])):
            raise _unreachable(f"The sandbox calls loopback addresses only, not {host}.")
        for event in (
            h11.Request(method="POST", target=target, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            await stream.send(connection.send(event) or b"")
        return await _answer(connection, stream)


async def _connected(url: SplitResult, host: str) -> anyio.abc.ByteStream:
    port = url.port or _PORTS[url.scheme]
    if url.scheme == "https":
        context = ssl.create_default_context()
        return await anyio.connect_tcp(
            host, port, ssl_context=context, tls_standard_compatible=False
        )
    return await anyio.connect_tcp(host, port)


async def _answer(connection: h11.Connection, stream: anyio.abc.ByteStream) -> bytes:
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive(_READ_BYTES))
        elif isinstance(event, h11.Response):
            _check_head(event)
        elif isinstance(event, h11.Data):
            body += event.data
            # A chunked answer has no Content-Length.
            if len(body) > MAX_ANSWER_BYTES:
                raise _too_long()
        elif isinstance(event, h11.EndOfMessage):
            break
    try:
        parse_json(bytes(body))
    except ValueError:
        raise _failed("Response body is not valid json format.", "0007-00000205") from None
    return bytes(body)


def _check_head(response: h11.Response) -> None:
    """Check an answer before its body is read."""
    if response.status_code != 200:
        raise _failed(f"Error status : {response.status_code}.", "")
    # h11 refuses a value that is not a number.
    lengths = [value for name, value in response.headers if name == b"content-length"]
    if not lengths or int(lengths[0]) > MAX_ANSWER_BYTES:
        raise _too_long()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _too_long() -> OssError:
    """The error for an answer that is too long, or that lacks Content-Length (vendor
    documentation)."""
    return _failed("Error status : 400.User server return too long content-length value.", "")


def _unreachable(reason: str) -> OssError:
    return _failed(f"Error status : -1.{reason}", "")


def _failed(message: str, ec: str) -> OssError:
    return OssError(203, "CallbackFailed", message, ec)
