"""The sandbox's OSS over HTTP: every request is read, authenticated, authorized, and then executed.

This module only defines the order of these steps. If a step raises an error, the client gets an
error answer in OSS's XML format.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.identities import Identities
from sandbox.log_lines import RequestLine, path_of
from sandbox.oss import cors
from sandbox.oss.addressing import check_key, readings
from sandbox.oss.authentication import SignedRequest, authenticate
from sandbox.oss.authorization import authorize
from sandbox.oss.call import Call, Site, Target
from sandbox.oss.callback_signer import CallbackSigner
from sandbox.oss.callbacks import Callback, check_callback, requested
from sandbox.oss.delivery import deliver
from sandbox.oss.errors import OssError, invalid_argument, no_such_bucket
from sandbox.oss.form_upload import post_form
from sandbox.oss.image_headers import image_variables
from sandbox.oss.objects import Stored, check_body, md5_of
from sandbox.oss.operations import (
    WITH_CALLBACK,
    Body,
    Operation,
    operation_of,
    takes_form,
)
from sandbox.oss.public_endpoint import check_endpoint
from sandbox.oss.request_sizes import MAX_OBJECT_BYTES, check_length, check_size, too_large
from sandbox.oss.responses import common_headers, empty, error_response
from sandbox.oss.room import is_full
from sandbox.oss.storage import READ_BYTES, ObjectInfo, Staged, Storage

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024  # size of an XML or JSON body (the sandbox's own limit)
MAX_QUERY_PARAMETERS = 200  # parameters of one request (the sandbox's own limit)
# Maximum bytes that are read after a refusal, so that the client does not miss the answer.
_DRAIN_BYTES = 64 * 1024 * 1024

log = logging.getLogger("sandbox.oss")


@dataclass(frozen=True)
class _Received:
    """The parsed head of a request."""

    method: str
    host: str
    signed: SignedRequest
    targets: list[Target]
    request_id: str
    client: str


def create_app(
    storage: Storage,
    identities: Identities,
    *,
    region: str,
    default_bucket: str | None = None,
    clock: Callable[[], float] = time.time,
    callback_signer: CallbackSigner | None = None,
    takes_v1: bool = False,
    cnames: Mapping[str, str] | None = None,
    is_public_closed: bool = False,
    callback_urls: frozenset[str] | None = None,
) -> ASGIApp:
    """Serve the buckets of `storage` to the holders of keys in `identities`.

    `region` is like cn-hangzhou. `default_bucket` is used if neither host nor path names a bucket.
    `clock` returns unix seconds. Without a `callback_signer`, callbacks are refused as not
    implemented. `takes_v1`, `cnames`, `is_public_closed` and `callback_urls` mean the same as in
    Site.
    """
    site = Site(
        storage,
        identities,
        region,
        default_bucket,
        clock,
        callback_signer,
        takes_v1=takes_v1,
        cnames=cnames or {},
        is_public_closed=is_public_closed,
        callback_urls=callback_urls,
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await _answer(request, site)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    return app


async def _answer(request: Request, site: Site) -> Response:
    began = time.monotonic()
    request_id = secrets.token_hex(12).upper()
    headers = _headers(request.scope)
    error: OssError | None = None
    try:
        response = await _done(request, headers, request_id, site)
    except OssError as caught:
        error = caught
        await _drain(request)
    except ClientDisconnect:
        raise
    except Exception as caught:
        if is_full(caught):
            log.error("no room is left on the disk: %s", caught)
            message = "The sandbox's disk is full: nothing of this request is stored."
        else:
            log.exception("an operation failed")
            message = "We encountered an internal error."
        error = OssError(500, "InternalError", message)
    if error is not None:
        response = _refusal(error, request, headers, request_id)
    # For request_notes.py.
    request.state.error = error
    response.headers.update(common_headers(request_id, time.monotonic() - began))
    _log(request, response.status_code, error)
    if request.method != "OPTIONS":
        rules = await run_in_threadpool(_likely_cors, request, headers, site)
        allowed = cors.answer_headers(rules, headers, request.method)
        if "vary" in allowed:
            response.headers.add_vary_header(allowed.pop("vary"))
        response.headers.update(allowed)
    return response


def _log(request: Request, status: int, error: OssError | None) -> None:
    """Log a request without its query, which may hold a signature."""
    path = path_of(request.scope.get("raw_path") or b"/")
    code, why = "", ""
    if error is not None:
        code = error.code
        # If `error.refusal` is None, log the message only up to its first "[". The rest of the
        # message may quote conditions of a form, which may contain the form's security token.
        why = str(error.refusal or error.message.partition("[")[0]) if status == 403 else ""
    log.info(RequestLine(request.method, path, status, code, why=why))


async def _done(
    request: Request, headers: Mapping[str, str], request_id: str, site: Site
) -> Response:
    if request.method == "OPTIONS":
        rules = await run_in_threadpool(_preflight_cors, request, headers, site)
        return empty(headers=cors.preflight(rules, headers))
    site.storage.check_there()
    if request.method == "POST":
        query = _first(_query(request.scope))
        target = await run_in_threadpool(_likely_target, request, headers, site)
        if takes_form(target, query):
            posted = await post_form(request, headers, query, target, request_id, site)
            return await _told(posted.callback, posted.stored, "PostObject", posted.call, site)
    call, operation, callback = await run_in_threadpool(
        _accepted, request, headers, request_id, site
    )
    if operation.body is Body.NONE:
        done = await run_in_threadpool(_perform, operation, call, site, None)
    elif operation.body is Body.DOCUMENT:
        document = await _read_document(request)
        if operation.name == "DeleteMultipleObjects" and "content-md5" not in headers:
            raise OssError(400, "MissingArgument", "Missing Some Required Arguments: Content-MD5.")
        check_body(headers, md5_of(document))
        done = await run_in_threadpool(_perform, operation, call, site, document)
    else:
        staged = await _read_object(request, headers, site)
        try:
            check_body(headers, staged.content_md5)
            done = await run_in_threadpool(_store, operation, call, site, staged)
        finally:
            staged.discard()
    if isinstance(done, Stored):
        return await _told(callback, done, operation.name, call, site)
    return done


async def _told(
    callback: Callback | None, stored: Stored, operation: str, call: Call, site: Site
) -> Response:
    """Answer an upload. With a callback, the body is the answer of the application server."""
    if callback is None or site.callback_signer is None:
        return stored.response
    made = stored.made
    kind = made.headers.get("content-type", "").encode("latin-1").decode("utf-8", "replace")
    system: dict[str, str | int] = {
        "bucket": call.bucket,
        "object": made.key,
        "etag": made.etag,
        "size": made.size,
        "mimeType": kind,
        "crc64": str(made.crc64),
        "contentMd5": stored.content_md5,
        "clientIp": call.client,
        "reqId": call.request_id,
        "operation": operation,
    }
    if callback.wants_image:
        system.update(await run_in_threadpool(_image_variables, made, call, site))
    answer = await deliver(callback, callback.body(system), call, site.callback_signer)
    kept = {
        name: value
        for name, value in stored.response.headers.items()
        if name not in ("content-length", "content-type", "location")
    }
    return Response(answer, 200, kept, "application/json")


def _accepted(
    request: Request, headers: Mapping[str, str], request_id: str, site: Site
) -> tuple[Call, Operation, Callback | None]:
    """Authenticate a request, and authorize what its URL and headers ask for."""
    raw_query = _query(request.scope)
    query = _first(raw_query)
    signed = SignedRequest(request.method, headers, query, raw_query)
    targets = _targets(request, headers, site)
    try:
        identity, target = authenticate(signed, targets, site)
    except OssError as error:
        _check_some_bucket(error, request.method, targets, site)
        raise
    client = request.client.host if request.client else ""
    call = Call(request.method, target, query, headers, identity, client, request_id)
    operation = operation_of(call)
    if target.key:
        check_key(target.key)
    needs_bucket = target.bucket and operation.name != "PutBucket"
    if needs_bucket and site.storage.bucket(target.bucket) is None:
        raise no_such_bucket(target.bucket)
    check_endpoint(call, operation.name, site)
    # The document in a request's body may name objects that need more permissions, like the keys
    # to delete. So an operation with a document is authorized after the document is read.
    if operation.body is not Body.DOCUMENT:
        authorize(call, operation.needs(call, b""), site)
    with_callback = operation.name in WITH_CALLBACK
    callback = requested(headers, query) if with_callback else None
    check_callback(callback, site)
    return call, operation, callback


def _perform(
    operation: Operation, call: Call, site: Site, document: bytes | None
) -> Response | Stored:
    if document is not None:
        authorize(call, operation.needs(call, document), site)
    return operation.perform(call, site, document)


def _store(operation: Operation, call: Call, site: Site, staged: Staged) -> Response | Stored:
    staged.finish()
    return operation.perform(call, site, staged)


def _image_variables(made: ObjectInfo, call: Call, site: Site) -> dict[str, str | int]:
    try:
        opened = site.storage.open(call.bucket, made.key)
    except OssError:
        return {}
    with opened:
        # Another upload may have replaced the object in the meantime.
        return image_variables(opened) if opened.info.files == made.files else {}


async def _read_document(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_DOCUMENT_BYTES:
            raise too_large(MAX_DOCUMENT_BYTES)
    return bytes(body)


async def _read_object(request: Request, headers: Mapping[str, str], site: Site) -> Staged:
    """Receive an object of any size in pieces."""
    check_length(headers)
    # If a header gives the size, an object that is too large is refused before a byte is read.
    size = int(headers.get("content-length", 0))
    staged = await run_in_threadpool(site.storage.stage, size)
    pending = bytearray()
    try:
        async for chunk in request.stream():
            pending += chunk
            if len(pending) >= READ_BYTES:
                await run_in_threadpool(staged.write, bytes(pending))
                pending.clear()
            if staged.size > MAX_OBJECT_BYTES:
                raise too_large(MAX_OBJECT_BYTES)
        await run_in_threadpool(staged.write, bytes(pending))
        check_size(headers, staged.size)
    except BaseException:
        staged.discard()
        raise
    return staged


async def _drain(request: Request) -> None:
    """Read the rest of the request. Otherwise the client might see a reset connection instead of
    the answer."""
    left = _DRAIN_BYTES
    try:
        async for chunk in request.stream():
            left -= len(chunk)
            if left < 0:
                return
    except (ClientDisconnect, RuntimeError):
        # stream() raises RuntimeError if the operation has already read the whole body.
        return


def _refusal(
    error: OssError, request: Request, headers: Mapping[str, str], request_id: str
) -> Response:
    host = headers.get("host", "")
    return error_response(error, method=request.method, request_id=request_id, host=host)


def _headers(scope: Scope) -> dict[str, str]:
    """Return the headers: names in lower case, values as latin-1 text. The values of a repeated
    header are joined by commas."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _query(scope: Scope) -> list[tuple[str, str, bool]]:
    """Return each parameter's name, its value, and whether an empty value was sent as "name=".

    A "+" is a space.
    """
    parts = [part for part in scope["query_string"].decode("latin-1").split("&") if part]
    if len(parts) > MAX_QUERY_PARAMETERS:
        raise invalid_argument(f"At most {MAX_QUERY_PARAMETERS} query parameters are accepted.")
    pairs = []
    for part in parts:
        name, equals, value = part.partition("=")
        pairs.append((unquote_plus(name), unquote_plus(value), bool(equals)))
    return pairs


def _first(raw_query: Iterable[tuple[str, str, bool]]) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value, _ in raw_query:
        query.setdefault(name, value)
    return query


def _targets(request: Request, headers: Mapping[str, str], site: Site) -> list[Target]:
    raw_path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return readings(
        headers.get("host", ""),
        raw_path,
        lambda name: site.storage.bucket(name) is not None,
        site.default_bucket,
        site.cnames,
    )


def _likely_target(request: Request, headers: Mapping[str, str], site: Site) -> Target:
    return _targets(request, headers, site)[0]


def _likely_bucket(request: Request, headers: Mapping[str, str], site: Site) -> str:
    """Return the bucket that the URL most likely names, or "". No signature has been checked."""
    try:
        return _likely_target(request, headers, site).bucket
    except OssError:
        return ""


def _likely_cors(request: Request, headers: Mapping[str, str], site: Site) -> str:
    bucket = site.storage.bucket(_likely_bucket(request, headers, site))
    return bucket.cors if bucket is not None else "[]"


def _preflight_cors(request: Request, headers: Mapping[str, str], site: Site) -> str:
    """Return the CORS rules that decide the answer to a preflight. Raises NoSuchBucket."""
    name = _likely_bucket(request, headers, site)
    if name and site.storage.bucket(name) is None:
        raise no_such_bucket(name)
    return _likely_cors(request, headers, site)


def _check_some_bucket(
    refusal: OssError, method: str, targets: Iterable[Target], site: Site
) -> None:
    """Raise NoSuchBucket instead of the refusal of an unknown access key, as real OSS does.

    Seen in the tests of alibabacloud-oss-v2 (test_is_bucket_exist and others). If the sandbox has a
    default bucket, every request may be for this bucket, because a URL may leave out the name of
    the default bucket.
    """
    named = [target for target in targets if target.bucket]
    if refusal.code != "InvalidAccessKeyId" or not named:
        return
    creates = method == "PUT" and not named[0].key
    if not creates and all(site.storage.bucket(target.bucket) is None for target in named):
        raise no_such_bucket(named[0].bucket) from None
