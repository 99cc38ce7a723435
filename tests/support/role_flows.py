"""Tries what a user of a deployment can do, and tells which of these flows work."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import oss2
import requests

from running_cloud import RunningCloud, Token
from token_service.app import App
from token_service.http.messages import Request

FLOWS = {
    "/": {"token put", "token get", "token list", "token parts", "token aborted"},
    "/signed-url": {"signed put", "signed get"},
    "/form": {"form"},
    "/multipart": {"parts", "parts listed", "aborted"},
    "/callback": {"callback"},
    "/uploads": {"list", "details"},
    "/health": set[str](),
}
"""For each route, the operations that must work. Some are operations of an app, which needs
the route's answer for them, for example a token. The route itself does the other operations."""


def worked(cloud: RunningCloud) -> set[str]:
    """The flows that succeed for Alice, in an App with an empty cache."""
    with closing(App(cloud.env)) as app:
        return _worked(cloud, app)


def _worked(cloud: RunningCloud, app: App) -> set[str]:
    names_callers = app.settings.auth.names_callers
    login = {"access_token": cloud.login("alice")} if names_callers else {}
    folder = f"{app.settings.prefix}alice/" if names_callers else app.settings.prefix
    _store(cloud, f"{folder}a.txt")

    def ask(path: str, **wishes: str) -> dict[str, Any]:
        method = "POST" if path == "/multipart" else "GET"
        request = Request(method, path, {**wishes, **login})
        answer: dict[str, Any] = json.loads(app.respond(lambda: request).body)
        return answer

    def signed(method: str) -> bool:
        answer = ask("/signed-url", object="a.txt", method=method)
        if answer["StatusCode"] != 200:
            return False
        done = requests.request(
            method,
            answer["Url"],
            headers=answer["Headers"],
            data=b"x" if method == "PUT" else None,
            timeout=10,
        )
        return bool(done.ok)

    def form() -> bool:
        answer = ask("/form", object="b.txt")
        return (
            answer["StatusCode"] == 200
            and requests.post(
                answer["Url"], data=answer["Fields"], files={"file": b"x"}, timeout=10
            ).ok
        )

    def multipart() -> dict[str, bool]:
        """Upload in parts. Without PutObject no upload begins, so there are no parts to list."""
        found = dict.fromkeys(FLOWS["/multipart"], False)
        start = ask("/multipart", object="c.txt", size="1")
        if start["StatusCode"] != 200:
            return found
        begun = requests.post(start["Url"], headers=start["Headers"], timeout=10)
        upload_id = re.search("<UploadId>(.*)</UploadId>", begun.text)
        if upload_id is None:
            return found
        step = {"Upload": start["Upload"], "upload_id": upload_id[1]}
        part = ask("/multipart", **step, parts="1")["Parts"][0]
        found["parts"] = requests.put(part["Url"], data=b"x", timeout=10).ok
        for name, action in (("parts listed", "list"), ("aborted", "abort")):
            step_of = ask("/multipart", **step, action=action)
            found[name] = requests.request(step_of["Method"], step_of["Url"], timeout=10).ok
        return found

    def token() -> dict[str, bool]:
        answer = ask("/")
        if answer["StatusCode"] != 200:
            return dict.fromkeys(FLOWS["/"], False)
        bucket, key = Token.of(answer).oss2("v4"), f"{folder}b.txt"
        upload = partial(bucket.init_multipart_upload, key)
        # If no upload can begin, there is no upload to list or to abort.
        upload_id = upload().upload_id if may(upload) else ""
        return {
            "token put": may(partial(bucket.put_object, key, b"x")),
            "token get": may(lambda: bucket.get_object(f"{folder}a.txt").read()),
            "token list": may(partial(bucket.list_objects_v2, prefix=folder)),
            "token parts": bool(upload_id) and may(partial(bucket.list_parts, key, upload_id)),
            "token aborted": bool(upload_id)
            and may(partial(bucket.abort_multipart_upload, key, upload_id)),
        }

    def callback() -> bool:
        answer = ask("/")
        scope = answer.get("Scope", {})
        if "Callback" not in scope:
            return False
        headers = {"x-oss-callback": scope["Callback"], "x-oss-callback-var": scope["CallbackVar"]}
        try:
            done = Token.of(answer).oss2("v4").put_object(f"{folder}c.txt", b"x", headers)
        except oss2.exceptions.AccessDenied:
            return False
        # 203 means that the object is stored, but the callback failed.
        assert done.status in (200, 203)
        return bool(done.status == 200)

    def listed(**query: str) -> bool:
        return bool(ask("/uploads", **query)["StatusCode"] == 200)

    found = {
        **token(),
        "callback": callback(),
        "signed put": signed("PUT"),
        "signed get": signed("GET"),
        "form": form(),
        **multipart(),
        "list": listed(),
        "details": listed(details="1"),
    }
    return {name for name, succeeded in found.items() if succeeded}


def may(act: Callable[[], object]) -> bool:
    """Whether OSS allows an operation."""
    try:
        act()
    except oss2.exceptions.AccessDenied:
        return False
    return True


def _store(cloud: RunningCloud, key: str) -> None:
    """Store an object as the owner of the bucket, who does not need the rights of the roles."""
    storage = cloud.cloud.storage
    staged = storage.stage()
    staged.write(b"x")
    staged.finish()
    headers = {"content-type": "text/plain"}
    storage.put(cloud.cloud.bucket, key, staged, headers=headers, acl="default")
