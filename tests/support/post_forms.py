"""Forms for PostObject, as an app's server gives them to a browser. This module signs them without
the function's code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Protocol

import requests

from running_oss import BUCKET, REGION

Fields = dict[str, str]
BOUNDARY = "9431149156168"


class Credentials(Protocol):
    """An AccessKey, or credentials of STS. Only credentials of STS have a security_token."""

    @property
    def access_key_id(self) -> str: ...
    @property
    def access_key_secret(self) -> str: ...


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def policy_text(document: object) -> str:
    """A policy, encoded as in a form."""
    return base64.b64encode(json.dumps(document).encode()).decode()


def v1_form(
    credentials: Credentials,
    conditions: Iterable[object],
    fields: Mapping[str, str],
    *,
    expires: float | None = None,
) -> Fields:
    """A form with a V1 signature. The form expires at `expires` (Unix seconds). If `expires`
    is None, the form expires in a minute."""
    end = time.time() + 60 if expires is None else expires
    policy = policy_text({"expiration": iso(end), "conditions": list(conditions)})
    digest = hmac.new(credentials.access_key_secret.encode(), policy.encode(), hashlib.sha1)
    return {
        **_token(credentials),
        **fields,
        "OSSAccessKeyId": credentials.access_key_id,
        "policy": policy,
        "Signature": base64.b64encode(digest.digest()).decode(),
    }


def v4_form(
    credentials: Credentials,
    conditions: Iterable[object],
    fields: Mapping[str, str],
    *,
    expires: float | None = None,
    now: float | None = None,
    bound: bool = True,
) -> Fields:
    """A form with a V4 signature. If `bound` is true, the form's policy has conditions on the
    fields that belong to the signature, such as its version, credential and date."""
    now = time.time() if now is None else now
    end = now + 60 if expires is None else expires
    stamp = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    day = stamp[:8]
    signing = {
        "x-oss-signature-version": "OSS4-HMAC-SHA256",
        "x-oss-credential": f"{credentials.access_key_id}/{day}/{REGION}/oss/aliyun_v4_request",
        "x-oss-date": stamp,
        **_token(credentials),
    }
    conditions = [*conditions, *({name: value} for name, value in signing.items() if bound)]
    policy = policy_text({"expiration": iso(end), "conditions": conditions})
    key = b"aliyun_v4" + credentials.access_key_secret.encode()
    for part in (day, REGION, "oss", "aliyun_v4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, policy.encode(), hashlib.sha256).hexdigest()
    return {**fields, **signing, "policy": policy, "x-oss-signature": signature}


FORMS = {"v1": v1_form, "v4": v4_form}


def send(
    endpoint: str,
    fields: Mapping[str, str],
    content: bytes = b"bytes",
    *,
    filename: str = "photo.jpg",
    content_type: str = "",
    bucket: str = BUCKET,
    headers: Mapping[str, str] | None = None,
) -> requests.Response:
    """Send a form as a browser does: its fields, then the file."""
    file = (filename, content, content_type) if content_type else (filename, content)
    with requests.Session() as session:
        session.trust_env = False
        return session.post(
            f"{endpoint}/{bucket}/",
            data=dict(fields),
            files={"file": file},
            headers=dict(headers or {}),
            allow_redirects=False,
            timeout=30,
        )


def multipart(parts: Iterable[tuple[str, bytes]], boundary: str = BOUNDARY) -> bytes:
    """The body of a form. Each of `parts` is a pair: the text that follows `form-data; ` in the
    part's header, and the content of the part."""
    head = f"--{boundary}\r\nContent-Disposition: form-data; "
    made = [f"{head}{name}\r\n\r\n".encode() + content + b"\r\n" for name, content in parts]
    return b"".join(made) + f"--{boundary}--\r\n".encode()


def _token(credentials: Credentials) -> Fields:
    token = getattr(credentials, "security_token", None)
    return {"x-oss-security-token": token} if token else {}
