"""Handles PostObject: a form is read, authenticated, authorized, and then executed.

The order of these steps is the same as in app.py, but here all data for the checks are in the body
of the request. The form is authenticated and authorized before the first byte of the file is
written.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from sandbox.oss.addressing import check_key
from sandbox.oss.authentication import authenticate_form
from sandbox.oss.authorization import authorize
from sandbox.oss.call import Call, Site, Target
from sandbox.oss.callbacks import Callback, check_callback, requested_by_form
from sandbox.oss.errors import OssError, no_such_bucket
from sandbox.oss.form_policy import FormPolicy
from sandbox.oss.forms import Form, FormReader, boundary_of
from sandbox.oss.objects import Stored, check_body, check_redirect, post_object
from sandbox.oss.operations import needs_of_form
from sandbox.oss.public_endpoint import check_endpoint
from sandbox.oss.request_sizes import MAX_OBJECT_BYTES, check_length, too_large
from sandbox.oss.storage import READ_BYTES, Staged


class Posted(NamedTuple):
    """A form whose file is stored."""

    stored: Stored
    call: Call
    callback: Callback | None


async def post_form(
    request: Request,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    target: Target,
    request_id: str,
    site: Site,
) -> Posted:
    """Receive a form, and store its file. If it raises OssError, nothing is stored."""
    check_length(headers)
    reader = FormReader(boundary_of(headers))
    whole = hashlib.md5(usedforsecurity=False)
    chunks = request.stream()
    async for chunk in chunks:
        whole.update(chunk)
        reader.feed(chunk)
        if reader.form is not None:
            break
    form = reader.form
    if form is None:
        reader.finish()
        raise AssertionError("a form without a file was finished")
    call, policy, callback = await run_in_threadpool(
        _accepted, request, headers, query, form, target, request_id, site
    )
    least, most = (policy.min_bytes, policy.max_bytes) if policy else (0, None)
    most = MAX_OBJECT_BYTES if most is None else min(most, MAX_OBJECT_BYTES)
    staged = await run_in_threadpool(site.storage.stage)
    try:
        if reader.file_size > most:
            raise too_large(most, "0006-00000003")
        async for chunk in chunks:
            whole.update(chunk)
            reader.feed(chunk)
            if reader.file_size > most or reader.size > MAX_OBJECT_BYTES:
                raise too_large(most, "0006-00000003")
            if reader.pending >= READ_BYTES:
                await run_in_threadpool(staged.write, reader.take())
        reader.finish()
        await run_in_threadpool(staged.write, reader.take())
        if staged.size < least:
            raise OssError(
                400,
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size.",
                "0006-00000004",
                details={"MinSizeAllowed": str(least), "ProposedSize": str(staged.size)},
            )
        check_body(headers, base64.b64encode(whole.digest()).decode())
        stored = await run_in_threadpool(_store, call, site, staged, form)
    finally:
        staged.discard()
    return Posted(stored, call, callback)


def _accepted(
    request: Request,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    form: Form,
    target: Target,
    request_id: str,
    site: Site,
) -> tuple[Call, FormPolicy | None, Callback | None]:
    """Check who sent a form, and whether this sender may do what the fields of the form ask for."""
    if site.storage.bucket(target.bucket) is None:
        raise no_such_bucket(target.bucket)
    identity = authenticate_form(form.fields, site)
    policy = None
    if identity is not None:
        policy = FormPolicy.parse(form.fields["policy"])
        policy.check(form.fields, target.bucket, site.clock())
    key = form.key
    check_key(key)
    own = {name: headers[name] for name in ("host", "user-agent") if name in headers}
    client = request.client.host if request.client else ""
    object_target = Target(target.bucket, key)
    call = Call(
        "POST", object_target, query, {**form.headers(), **own}, identity, client, request_id
    )
    check_endpoint(call, "PostObject", site)
    authorize(call, needs_of_form(call), site)
    check_redirect(form.fields)
    callback = requested_by_form(form.fields, headers, query)
    check_callback(callback, site)
    return call, policy, callback


def _store(call: Call, site: Site, staged: Staged, form: Form) -> Stored:
    staged.finish()
    return post_object(call, site, staged, form.fields)
