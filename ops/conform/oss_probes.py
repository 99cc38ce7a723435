"""Probes of OSS: each says which requests it sends, and what each answer means.

A probe first sends a request that must work (the control). If OSS refuses this request, the probe
concludes nothing, and its result is NOT_TRIED.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import struct
from datetime import datetime, timezone

from PIL import Image

from ops.conform.exchanges import Answer
from ops.conform.site import Site, token_of
from ops.conform.verdicts import Finding, NotTried, Verdict, judged
from token_service.settings.values import AccessKey

TEXT = b"conform"
V1_ENDS = datetime(2025, 9, 1, tzinfo=timezone.utc)
"""Buckets that were created on this day or later refuse V1 (vendor documentation)."""


def allow(site: Site, actions: str, *names: str) -> dict[str, object]:
    """Return a statement that allows these OSS actions on these names below the temporary
    prefix."""
    bucket = f"acs:oss:*:*:{site.account.bucket}/{site.prefix}"
    return {
        "Effect": "Allow",
        "Action": [f"oss:{action}" for action in actions.split()],
        "Resource": [bucket + name for name in names],
    }


def works(answer: Answer, what: str) -> Answer:
    """Return the answer to a control. Raises NotTried if OSS refused the control."""
    if not answer.is_good:
        raise NotTried(f"{what} got the answer {answer}, so nothing can be concluded")
    return answer


def acl_in_put(site: Site) -> Finding:
    """Send a PUT and a form with x-oss-object-acl: private, in a session with only oss:PutObject.

    If OSS answers AccessDenied to the PUT and to the form, OSS requires PutObjectAcl. If OSS
    accepts the PUT or the form, OSS does not require PutObjectAcl.
    """
    key = site.session(allow(site, "PutObject", "acl/*"))
    works(site.oss(key, "PUT", "acl/plain", body=TEXT), "an upload without an ACL")
    header = {"x-oss-object-acl": "private"}
    put = site.oss(key, "PUT", "acl/put", headers=header, body=TEXT)
    form = site.form(key, "acl/form", fields=header.items())
    return refused({"a PUT": put, "a form": form}, "AccessDenied without PutObjectAcl")


def link_rights(site: Site) -> Finding:
    """Read a link whose target is in a folder that the session may not use.

    If OSS answers AccessDenied, a session that reads a link also needs the right to read the link's
    target. If OSS answers with the target's bytes, a link gives access to another folder.
    """
    other = site.session(allow(site, "PutObject GetObject", "link/other/*"))
    works(site.oss(other, "PUT", "link/other/target", body=TEXT), "the target's upload")
    works(site.oss(other, "GET", "link/other/target"), "reading the target itself")
    own = site.session(allow(site, "PutObject GetObject", "link/own/*"))
    works(site.oss(own, "PUT", "link/own/plain", body=TEXT), "an upload to the link's folder")
    works(site.oss(own, "GET", "link/own/plain"), "a download from the link's folder")
    target = {"x-oss-symlink-target": f"{site.prefix}link/other/target".replace("/", "%2F")}
    link = site.oss(own, "PUT", "link/own/link", query={"symlink": ""}, headers=target)
    if link.is_denied:
        return Finding(Verdict.CONFIRMED, "OSS refuses to make the link")
    works(link, "making the link")
    found = site.oss(own, "GET", "link/own/link")
    return refused({"reading through the link": found}, "AccessDenied through the link")


def signed_size(site: Site) -> Finding:
    """PUT 7 and 8 bytes by a URL that signs content-length 7 as an additional header.

    OSS stores the 7 bytes. If OSS refuses the 8 bytes, the URL limits the size.
    """
    key = site.session(allow(site, "PutObject", "size/*"))

    def put(name: str, body: bytes) -> Answer:
        length = {"content-length": "7"}
        names = ("content-length",)
        return site.oss(key, "PUT", name, headers=length, additional=names, body=body)

    works(put("size/as-signed", TEXT), "the signed size")
    answer = put("size/other", TEXT + b"!")
    return refused({"another size": answer}, f"another size is refused: {answer}")


def forbid_overwrite(site: Site) -> Finding:
    """Send three PUTs by URLs that sign x-oss-forbid-overwrite: true. The client sends this header
    with the first two PUTs only.

    The assumption holds if OSS answers 200 to the first PUT, 409 FileAlreadyExists to the second,
    and 403 to the third, because the header is signed.
    """
    key = site.session(allow(site, "PutObject", "once/*"))
    header = {"x-oss-forbid-overwrite": "true"}
    works(site.oss(key, "PUT", "once/a", headers=header, body=TEXT), "the first upload")
    again = site.oss(key, "PUT", "once/a", headers=header, body=TEXT)
    without = site.oss(key, "PUT", "once/a", headers=header, sent={}, body=TEXT)
    faults = []
    if (again.status, again.code) != (409, "FileAlreadyExists"):
        faults.append(f"the second upload got the answer {again}")
    if without.status != 403:
        faults.append(f"an upload without the signed header got the answer {without}")
    return judged(faults, "409 FileAlreadyExists with the header, and 403 without it")


def additional_header(site: Site) -> Finding:
    """Sign two GET URLs with `range` as an additional header. Only the first GET sends this header.

    The assumption holds if OSS refuses the GET without the header. If OSS sends the object's bytes
    in this case, a client can leave out a signed header.
    """
    key = site.session(allow(site, "PutObject GetObject", "additional/*"))
    works(site.oss(key, "PUT", "additional/a", body=TEXT), "an upload")
    header, names = {"range": "bytes=0-1"}, ("range",)
    with_it = site.oss(key, "GET", "additional/a", headers=header, additional=names)
    works(with_it, "the request as signed")
    without = site.oss(key, "GET", "additional/a", headers=header, additional=names, sent={})
    return refused({"a GET without the header": without}, f"refused without the header: {without}")


def foreign_token(site: Site) -> Finding:
    """PUT with the key of one session and the token of another session.

    The sandbox answers 403 InvalidSecurityToken. The project's docs say that OSS gives the same
    answer.
    """
    one = site.session(allow(site, "PutObject", "token/*"))
    works(
        site.oss(one, "PUT", "token/own", body=TEXT),
        "an upload with the key and token of one session",
    )
    other = site.session(allow(site, "PutObject", "token/*"))
    mixed = AccessKey(one.access_key_id, one.access_key_secret, other.security_token)
    answer = site.oss(mixed, "PUT", "token/mixed", body=TEXT)
    sound = (answer.status, answer.code) == (403, "InvalidSecurityToken")
    return judged([] if sound else [f"OSS answered {answer}"], str(answer))


def form_conditions(site: Site) -> Finding:
    """Send a V4 form with a policy that has no condition on version, credential and date.

    If OSS refuses the form, OSS requires these three conditions. If OSS stores the file, OSS does
    not require these conditions.
    """
    key = site.session(allow(site, "PutObject", "form/*"))
    works(site.form(key, "form/bound"), "a form with the conditions")
    answer = site.form(key, "form/unbound", version="V4 unbound")
    return refused({"a form without the conditions": answer}, f"refused: {answer}")


def form_field_twice(site: Site) -> Finding:
    """Send a form that has one field twice. OSS refuses the form, or uses one of the two fields."""
    key = site.session(allow(site, "PutObject", "form/*"))
    fields = [("success_action_status", "200")]
    works(site.form(key, "form/once", fields=fields), "a form with the field once")
    answer = site.form(key, "form/twice", fields=fields * 2)
    return refused({"a field given twice": answer}, f"refused: {answer}")


def form_redirect(site: Site) -> Finding:
    """Send a form with success_action_redirect. OSS answers 303 with the unchanged URL."""
    key = site.session(allow(site, "PutObject", "form/*"))
    url = "https://example.com/done?a=b"
    answer = site.form(key, "form/redirect", fields=[("success_action_redirect", url)])
    location = answer.headers.get("location", "")
    sound = (answer.status, location) == (303, url)
    return judged([] if sound else [f"got {answer}, Location {location}"], "303 to the URL")


def form_content_type(site: Site) -> Finding:
    """Send forms with a policy that allows only text/plain in $content-type.

    The first form has text/plain in its field and image/png as the type of its file. The second
    form has image/png in its field and text/plain as the type of its file. If OSS stores the first
    form and refuses the second, the condition checks the field.
    """
    key = site.session(allow(site, "PutObject", "form/*"))
    conditions = [["in", "$content-type", ["text/plain"]]]

    def send(name: str, field: str, file_type: str) -> Answer:
        fields = [("content-type", field)]
        return site.form(key, f"form/{name}", conditions, fields, file_type=file_type)

    works(send("both", "text/plain", "text/plain"), "a form with text/plain in field and file")
    by_field = send("by-field", "text/plain", "image/png")
    by_file = send("by-file", "image/png", "text/plain")
    fault = f"a form with text/plain only in the field got the answer {by_field}"
    faults = [] if by_field.is_good else [fault]
    if by_file.is_good:
        faults.append("OSS stored a form that names text/plain only in the header of its file")
    return judged(faults, "the condition checks the field, and ignores the type of the file")


def multipart_callback(site: Site) -> Finding:
    """Send InitiateMultipartUpload with x-oss-callback. OSS accepts the header, and sends no
    callback."""
    key = site.session(allow(site, "PutObject AbortMultipartUpload", "multipart/*"))
    works(started(site, key, "multipart/plain", {}), "a start without the header")
    header = {"x-oss-callback": callback_of("https://example.com/callback", "a=b")}
    answer = started(site, key, "multipart/callback", header)
    return judged([] if answer.is_good else [f"OSS answered {answer}"], "accepted")


def callback_variable(site: Site) -> Finding:
    """PUT with a callback to the function. The callback has a variable that OSS does not know.

    The assumption holds if OSS answers 400 before it stores anything. 200 or 203 means that OSS
    stored the object in spite of the variable.
    """
    if site.account.function is None:
        raise NotTried("needs a deployed function that OSS can call: set URL=https://…")
    key = site.session(allow(site, "PutObject", "callback/*"))
    url = f"{site.account.function}callback"
    # The function refuses this callback, because it has no seal. The refusal shows that OSS called
    # the function.
    known = site.oss(
        key,
        "PUT",
        "callback/known",
        headers={"x-oss-callback": callback_of(url, "bucket=${bucket}")},
        body=TEXT,
    )
    if known.status not in (200, 203):
        raise NotTried(
            f"a PUT whose callback uses only a variable that OSS knows got the answer {known}"
        )
    header = {"x-oss-callback": callback_of(url, "bucket=${bucket}&x=${nosuchvariable}")}
    answer = site.oss(key, "PUT", "callback/unknown", headers=header, body=TEXT)
    return judged([] if answer.status == 400 else [f"OSS answered {answer}"], f"refused: {answer}")


def callback_key(site: Site) -> Finding:
    """Upload with the function's own token and callback. OSS then sends the callback to the
    function, and the function verifies OSS's signature.

    If the answer is 200 with the function's Status OK, the function has the right public key of
    OSS. If the answer is 203, the function rejected OSS's signature.
    """
    token = token_of(site.function("GET", "/"))
    if token.get("StatusCode") != 200:
        raise NotTried(
            f"the function gives no token: {token.get('ErrorCode', 'no JSON')}; for AUTH=jwt, set "
            "LOGIN"
        )
    scope = token["Scope"]
    if not isinstance(scope, dict) or "Callback" not in scope:
        raise NotTried("the function has no CALLBACK_URL, so there are no callbacks")
    if scope.get("Bucket") != site.account.bucket:
        raise NotTried("the function's bucket is not BUCKET_NAME")
    if not str(scope["Prefix"]).startswith(site.account.prefix):
        raise NotTried("the function's Scope.Prefix does not begin with OBJECT_PREFIX")
    members = (token[n] for n in ("AccessKeyId", "AccessKeySecret", "SecurityToken"))
    key = AccessKey(*map(str, members))
    header = {"x-oss-callback": scope["Callback"], "x-oss-callback-var": scope["CallbackVar"]}
    name = f"{scope['Prefix']}{site.mark}/callback"
    answer = site.oss(key, "PUT", name, headers=header, body=TEXT)
    if answer.status not in (200, 203):
        raise NotTried(f"the upload got the answer {answer}")
    sound = answer.status == 200 and b'"OK"' in answer.body
    return judged([] if sound else [f"OSS answered {answer}: {answer.message}"], "verified")


def image_actions(site: Site) -> Finding:
    """GET a picture with 16 actions, and with 17 actions. OSS refuses only the second request."""
    key = _with_picture(site)
    process = {"x-oss-process": "image" + "/rotate,90" * 16}
    works(site.oss(key, "GET", "image/a.png", query=process), "16 actions")
    more = {"x-oss-process": "image" + "/rotate,90" * 17}
    answer = site.oss(key, "GET", "image/a.png", query=more)
    return refused({"17 actions": answer}, f"refused: {answer}")


def image_percent(site: Site) -> Finding:
    """GET a picture of 20 pixels with resize,w_5,p_50.

    If the picture in the answer is 5 pixels wide, p has no effect.
    """
    key = _with_picture(site)
    process = {"x-oss-process": "image/resize,w_5,p_50/format,png"}
    answer = works(site.oss(key, "GET", "image/a.png", query=process), "resizing")
    if not answer.body.startswith(b"\x89PNG") or len(answer.body) < 24:
        raise NotTried("the answer is not a PNG")
    (width,) = struct.unpack(">I", answer.body[16:20])
    return judged([] if width == 5 else [f"{width} pixels wide"], "5 pixels wide, as w says")


def v1_refused(site: Site) -> Finding:
    """Send a V1 header, a V1 URL and a V1 form to a bucket that was created in 2025-09 or later.

    The assumption holds if OSS refuses all three requests and stores nothing. The result quotes the
    answers. An older bucket may accept V1.
    """
    info = site.oss(site.account.key, "GET", "", query={"bucketInfo": ""})
    date = re.search(rb"<CreationDate>([^<]{19})", works(info, "GetBucketInfo").body)
    if date is None:
        raise NotTried("the answer to GetBucketInfo has no CreationDate")
    made = datetime.fromisoformat(date[1].decode()).replace(tzinfo=timezone.utc)
    if made < V1_ENDS:
        raise NotTried(
            f"the bucket was made in {made:%Y-%m}; the probe needs a bucket that was made in "
            "2025-09 or later"
        )
    key = site.session(allow(site, "PutObject", "v1/*"))
    works(site.oss(key, "PUT", "v1/by-v4", body=TEXT), "an upload by V4")
    answers = {
        "a header signed by V1": site.oss_v1(key, "v1/header", in_header=True),
        "a URL signed by V1": site.oss_v1(key, "v1/url", in_header=False),
        "a form signed by V1": site.form(key, "v1/form", version="V1"),
    }
    said = ", ".join(f"{name}: {answer}" for name, answer in answers.items())
    return refused(answers, f"refused ({said})")


def public_endpoint(site: Site) -> Finding:
    """GET an object at the region's public endpoint, in an account that may not use this endpoint.

    The project's tools look for 400 PublicEndpointForbidden with EC 0048-00000401.
    """
    key = site.session(allow(site, "PutObject GetObject", "public/*"))
    answer = site.oss(key, "GET", "public/none", endpoint=site.account.public)
    if answer.code == "NoSuchKey" or answer.is_good or answer.is_denied:
        raise NotTried(
            "the public endpoint is open to this account; needs an account for which it is closed"
        )
    seen = (answer.status, answer.code, answer.ec)
    sound = seen == (400, "PublicEndpointForbidden", "0048-00000401")
    return judged([] if sound else [f"OSS answered {answer}"], str(answer))


def unknown_header(site: Site) -> Finding:
    """PUT with an undocumented header x-oss-…. OSS refuses the PUT, or ignores the header."""
    key = site.session(allow(site, "PutObject", "unknown/*"))
    works(site.oss(key, "PUT", "unknown/plain", body=TEXT), "an upload without the header")
    answer = site.oss(key, "PUT", "unknown/a", headers={"x-oss-conform-unknown": "1"}, body=TEXT)
    return refused({"the unknown header": answer}, f"refused: {answer}")


def write_condition(site: Site) -> Finding:
    """Send AppendObject and InitiateMultipartUpload with If-None-Match.

    The assumption holds if OSS refuses both. According to the vendor's documentation, OSS also
    refuses PutObject with this header.
    """
    key = site.session(allow(site, "PutObject", "condition-on-write/*"))
    header = {"if-none-match": "*"}
    append = {"append": "", "position": "0"}
    name = "condition-on-write/plain"
    works(site.oss(key, "POST", name, query=append, body=TEXT), "an append without the header")
    put = site.oss(key, "PUT", "condition-on-write/put", headers=header, body=TEXT)
    if put.is_good:
        raise NotTried("PutObject accepts If-None-Match, though the documentation says otherwise")
    name = "condition-on-write/append"
    answers = {"AppendObject": site.oss(key, "POST", name, query=append, headers=header, body=TEXT)}
    answers["a multipart start"] = started(site, key, "condition-on-write/parts", header)
    return refused(answers, "refused")


def control_characters(site: Site) -> Finding:
    """List a key with the control character 1, without URL encoding. OSS may escape the
    character."""
    name = "control/a\x01b"
    key = site.session(allow(site, "PutObject", "control/*"))
    works(site.oss(key, "PUT", name, body=TEXT), "an upload of this key")
    query = {"list-type": "2", "prefix": f"{site.prefix}control/"}
    answer = works(site.oss(site.account.key, "GET", "", query=query), "the listing")
    found = re.search(rb"control/(a[^<]*b)</Key>", answer.body)
    if found is None:
        raise NotTried("the listing does not show the key")
    is_plain = found[1] == b"a\x01b"
    return judged([] if is_plain else [f"written as {found[1].decode()}"], "listed unchanged")


def link_headers(site: Site) -> Finding:
    """Send HEAD and GetSymlink for a link that has its own metadata.

    The assumption holds if HEAD has the target's CRC but not the target's name, and if GetSymlink
    has the metadata.
    """
    key = site.session(allow(site, "PutObject GetObject", "tells/*"))
    put = works(site.oss(key, "PUT", "tells/target", body=TEXT), "an upload of the target")
    own = {
        "x-oss-symlink-target": f"{site.prefix}tells/target".replace("/", "%2F"),
        "x-oss-meta-own": "link",
    }
    link = site.oss(key, "PUT", "tells/link", query={"symlink": ""}, headers=own)
    works(link, "making the link")
    head = works(site.oss(key, "HEAD", "tells/link"), "HEAD of the link").headers
    symlink = works(site.oss(key, "GET", "tells/link", query={"symlink": ""}), "GetSymlink").headers
    crc = "x-oss-hash-crc64ecma"
    faults = []
    if head.get(crc) != put.headers.get(crc):
        faults.append("HEAD does not have the target's CRC")
    if "x-oss-symlink-target" in head:
        faults.append("HEAD has the target's name")
    if symlink.get("x-oss-meta-own") != "link":
        faults.append("GetSymlink does not have the metadata")
    return judged(faults, "HEAD has only the target's CRC; GetSymlink has the metadata")


def range_answer(site: Site) -> Finding:
    """GET a range of a text of 2 KiB, and accept gzip.

    The assumption holds if the range is not compressed, and has the Content-MD5 of the whole text.
    """
    key, whole = _with_text(site, {"content-type": "text/plain"})
    sent = {"range": "bytes=0-1", "accept-encoding": "gzip"}
    part = site.oss(key, "GET", "gzip/a", sent=sent)
    if part.status != 206:
        raise NotTried(f"the GET of a range got the answer {part}")
    faults = []
    if "content-encoding" in part.headers:
        faults.append("the range is compressed")
    if part.headers.get("content-md5") != whole:
        faults.append("the answer's Content-MD5 is not the MD5 of the whole text")
    return judged(faults, "the range is not compressed, and has the MD5 of the whole text")


def compressed_type(site: Site) -> Finding:
    """GET an object with response-content-type=text/plain, and an object that has an encoding.

    Both objects have 2 KiB, and both requests accept gzip. The assumption holds if OSS compresses
    the first object because of the answer's type, and sends the second one with its own encoding.
    """
    key, _ = _with_text(site, {"content-type": "application/octet-stream"})
    gzip, query = {"accept-encoding": "gzip"}, {"response-content-type": "text/plain"}
    asked = site.oss(key, "GET", "gzip/a", query=query, sent=gzip)
    works(asked, "the download as text")
    encoded = {"content-type": "text/plain", "content-encoding": "conform"}
    key, _ = _with_text(site, encoded)
    own = works(site.oss(key, "GET", "gzip/a", sent=gzip), "the download with an encoding")
    faults = []
    if asked.headers.get("content-encoding") != "gzip":
        faults.append("OSS compresses by the stored type, not by the content type of the answer")
    if own.headers.get("content-encoding") != "conform":
        faults.append("an object that was stored with an encoding is compressed")
    return judged(
        faults,
        "OSS compresses by the content type of the answer, and does not compress an object that "
        "has a Content-Encoding",
    )


def appendable_copy(site: Site) -> Finding:
    """Copy an appendable object with CopyObject. OSS stores the copy, or refuses the request."""
    key = site.session(allow(site, "PutObject GetObject", "append/*"))
    append = {"append": "", "position": "0"}
    works(site.oss(key, "POST", "append/a", query=append, body=TEXT), "an append")
    source = f"/{site.account.bucket}/{site.prefix}append/a"
    answer = site.oss(key, "PUT", "append/copy", headers={"x-oss-copy-source": source})
    return judged([] if answer.is_good else [f"refused: {answer}"], "copied")


def refused(answers: dict[str, Answer], detail: str) -> Finding:
    """Return REFUTED if OSS accepted a request. Raises NotTried for an error without a code."""
    for name, answer in answers.items():
        if answer.status >= 400 and not answer.code:
            raise NotTried(f"{name}: {answer}")
    faults = [f"{name} was accepted ({a})" for name, a in answers.items() if a.status < 400]
    return judged(faults, detail)


def callback_of(url: str, body: str) -> str:
    """Return a callback in the form that OSS accepts in a header or the query: JSON in base64."""
    document = json.dumps({"callbackUrl": url, "callbackBody": body})
    return base64.b64encode(document.encode()).decode()


def started(site: Site, key: AccessKey, name: str, headers: dict[str, str]) -> Answer:
    """Send InitiateMultipartUpload. site.py notes the upload, so that it will be aborted."""
    return site.oss(key, "POST", name, query={"uploads": ""}, headers=headers)


def _with_text(site: Site, headers: dict[str, str]) -> tuple[AccessKey, str]:
    """Store a text of 2 KiB as gzip/a.

    Return a session that may read the text, and the MD5 of the text in base64.
    """
    key = site.session(allow(site, "PutObject GetObject", "gzip/*"))
    text = b"conform\n" * 256
    works(site.oss(key, "PUT", "gzip/a", headers=headers, body=text), "an upload of the text")
    digest = hashlib.md5(text, usedforsecurity=False).digest()
    return key, base64.b64encode(digest).decode()


def _with_picture(site: Site) -> AccessKey:
    key = site.session(allow(site, "PutObject GetObject", "image/*"))
    file = io.BytesIO()
    Image.new("RGB", (20, 20), "white").save(file, "PNG")
    works(site.oss(key, "PUT", "image/a.png", body=file.getvalue()), "an upload of the picture")
    return key
