"""Probes of OSS: each says which requests it sends, and what each answer means.

A probe first checks that its basis works (its control). If that fails, nothing was tried.
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
"""Since then new buckets refuse V1 (vendor documentation)."""


def allow(site: Site, actions: str, *names: str) -> dict[str, object]:
    """Return a statement: these actions of OSS, on these names below the temporary prefix."""
    bucket = f"acs:oss:*:*:{site.account.bucket}/{site.prefix}"
    return {
        "Effect": "Allow",
        "Action": [f"oss:{action}" for action in actions.split()],
        "Resource": [bucket + name for name in names],
    }


def works(answer: Answer, what: str) -> Answer:
    """Return a control's answer. Raises NotTried if it was refused."""
    if not answer.is_good:
        raise NotTried(f"{what} was answered {answer}, so nothing can be concluded")
    return answer


def acl_in_put(site: Site) -> Finding:
    """PUT and form with x-oss-object-acl: private, by a session that may only oss:PutObject.

    AccessDenied for both: PutObjectAcl is required. Any success: it is not.
    """
    key = site.session(allow(site, "PutObject", "acl/*"))
    works(site.oss(key, "PUT", "acl/plain", body=TEXT), "an upload without an ACL")
    header = {"x-oss-object-acl": "private"}
    put = site.oss(key, "PUT", "acl/put", headers=header, body=TEXT)
    form = site.form(key, "acl/form", fields=header.items())
    return refused({"a PUT": put, "a form": form}, "AccessDenied without PutObjectAcl")


def link_rights(site: Site) -> Finding:
    """A link in one folder to an object of another, read by a session of the first folder.

    AccessDenied: the reader needs rights on the target. The object's bytes: a link opens a folder.
    """
    other = site.session(allow(site, "PutObject GetObject", "link/other/*"))
    works(site.oss(other, "PUT", "link/other/target", body=TEXT), "the target's upload")
    works(site.oss(other, "GET", "link/other/target"), "reading the target itself")
    own = site.session(allow(site, "PutObject GetObject", "link/own/*"))
    works(site.oss(own, "PUT", "link/own/plain", body=TEXT), "an upload beside the link")
    works(site.oss(own, "GET", "link/own/plain"), "reading beside the link")
    target = {"x-oss-symlink-target": f"{site.prefix}link/other/target".replace("/", "%2F")}
    link = site.oss(own, "PUT", "link/own/link", query={"symlink": ""}, headers=target)
    if link.is_denied:
        return Finding(Verdict.CONFIRMED, "the link itself is refused")
    works(link, "making the link")
    found = site.oss(own, "GET", "link/own/link")
    return refused({"reading through the link": found}, "AccessDenied through the link")


def signed_size(site: Site) -> Finding:
    """PUT by a URL that signs content-length 7 as an additional header, with 7 and with 8 bytes.

    The first is stored. If the second is refused, the URL binds the size.
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
    """PUT by URLs that sign x-oss-forbid-overwrite: true: twice with the header, once without.

    200, then 409 FileAlreadyExists; and 403 without the header, because the signature covers it.
    """
    key = site.session(allow(site, "PutObject", "once/*"))
    header = {"x-oss-forbid-overwrite": "true"}
    works(site.oss(key, "PUT", "once/a", headers=header, body=TEXT), "the first upload")
    again = site.oss(key, "PUT", "once/a", headers=header, body=TEXT)
    without = site.oss(key, "PUT", "once/a", headers=header, sent={}, body=TEXT)
    faults = []
    if (again.status, again.code) != (409, "FileAlreadyExists"):
        faults.append(f"the second upload was answered {again}")
    if without.status != 403:
        faults.append(f"an upload without the signed header was answered {without}")
    return judged(faults, "409 FileAlreadyExists, and 403 without the header")


def additional_header(site: Site) -> Finding:
    """GET by a URL that signs `range` as an additional header, with that header and without it.

    Without it: refused. Bytes: a signed header can be left out.
    """
    key = site.session(allow(site, "PutObject GetObject", "additional/*"))
    works(site.oss(key, "PUT", "additional/a", body=TEXT), "an upload")
    header, names = {"range": "bytes=0-1"}, ("range",)
    with_it = site.oss(key, "GET", "additional/a", headers=header, additional=names)
    works(with_it, "the request as signed")
    without = site.oss(key, "GET", "additional/a", headers=header, additional=names, sent={})
    return refused({"the header left out": without}, f"refused without it: {without}")


def foreign_token(site: Site) -> Finding:
    """PUT with the key of one session and the token of another.

    403 InvalidSecurityToken is what the sandbox answers, and what the project's texts say.
    """
    one = site.session(allow(site, "PutObject", "token/*"))
    works(site.oss(one, "PUT", "token/own", body=TEXT), "an upload with its own token")
    other = site.session(allow(site, "PutObject", "token/*"))
    mixed = AccessKey(one.access_key_id, one.access_key_secret, other.security_token)
    answer = site.oss(mixed, "PUT", "token/mixed", body=TEXT)
    sound = (answer.status, answer.code) == (403, "InvalidSecurityToken")
    return judged([] if sound else [f"answered {answer}"], str(answer))


def form_conditions(site: Site) -> Finding:
    """A form signed by V4 whose policy has no condition on version, credential and date.

    Refused: the conditions are required. Stored: they are not.
    """
    key = site.session(allow(site, "PutObject", "form/*"))
    works(site.form(key, "form/bound"), "a form with the conditions")
    answer = site.form(key, "form/unbound", version="V4 unbound")
    return refused({"a form without them": answer}, f"refused: {answer}")


def form_field_twice(site: Site) -> Finding:
    """A form with one field given twice: it is refused, or one of the two counts."""
    key = site.session(allow(site, "PutObject", "form/*"))
    fields = [("success_action_status", "200")]
    works(site.form(key, "form/once", fields=fields), "a form with the field once")
    answer = site.form(key, "form/twice", fields=fields * 2)
    return refused({"a field given twice": answer}, f"refused: {answer}")


def form_redirect(site: Site) -> Finding:
    """A form with success_action_redirect: answered 303, with the URL as it was given."""
    key = site.session(allow(site, "PutObject", "form/*"))
    url = "https://example.com/done?a=b"
    answer = site.form(key, "form/redirect", fields=[("success_action_redirect", url)])
    location = answer.headers.get("location", "")
    sound = (answer.status, location) == (303, url)
    return judged([] if sound else [f"answered {answer}, Location {location}"], "303 to the URL")


def form_content_type(site: Site) -> Finding:
    """Forms whose policy wants text/plain in $content-type.

    A field text/plain with a file of image/png is stored, and the reverse is refused: so the
    condition checks the field.
    """
    key = site.session(allow(site, "PutObject", "form/*"))
    conditions = [["in", "$content-type", ["text/plain"]]]

    def send(name: str, field: str, file_type: str) -> Answer:
        fields = [("content-type", field)]
        return site.form(key, f"form/{name}", conditions, fields, file_type=file_type)

    works(send("both", "text/plain", "text/plain"), "a form in which both are text/plain")
    by_field = send("by-field", "text/plain", "image/png")
    by_file = send("by-file", "image/png", "text/plain")
    faults = [] if by_field.is_good else [f"the field alone was answered {by_field}"]
    if by_file.is_good:
        faults.append("the file's own type alone was enough")
    return judged(faults, "the field counts, the file's own type does not")


def multipart_callback(site: Site) -> Finding:
    """InitiateMultipartUpload with x-oss-callback: it is accepted, and nobody is called."""
    key = site.session(allow(site, "PutObject AbortMultipartUpload", "multipart/*"))
    works(started(site, key, "multipart/plain", {}), "a start without the header")
    header = {"x-oss-callback": callback_of("https://example.com/callback", "a=b")}
    answer = started(site, key, "multipart/callback", header)
    return judged([] if answer.is_good else [f"answered {answer}"], "let in")


def callback_variable(site: Site) -> Finding:
    """PutObject with a callback to the function whose body has a variable that OSS does not know.

    Refused with 400 before anything is stored. 200 or 203: OSS continued.
    """
    if site.account.function is None:
        raise NotTried("needs a deployed function, which OSS would call: URL=https://…")
    key = site.session(allow(site, "PutObject", "callback/*"))
    url = f"{site.account.function}callback"
    # It is not sealed, so the function refuses it. This shows only that OSS called.
    known = site.oss(
        key,
        "PUT",
        "callback/known",
        headers={"x-oss-callback": callback_of(url, "bucket=${bucket}")},
        body=TEXT,
    )
    if known.status not in (200, 203):
        raise NotTried(f"a callback with a variable of OSS's was answered {known}")
    header = {"x-oss-callback": callback_of(url, "bucket=${bucket}&x=${nosuchvariable}")}
    answer = site.oss(key, "PUT", "callback/unknown", headers=header, body=TEXT)
    return judged([] if answer.status == 400 else [f"answered {answer}"], f"refused: {answer}")


def callback_key(site: Site) -> Finding:
    """An upload with the function's own token and callback, which the function verifies.

    200 with the function's Status OK: it has OSS's key. 203: it rejected OSS's signature.
    """
    token = token_of(site.function("GET", "/"))
    if token.get("StatusCode") != 200:
        raise NotTried(f"the function gives no token: {token.get('ErrorCode', 'no JSON')}; LOGIN?")
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
        raise NotTried(f"the upload was answered {answer}")
    sound = answer.status == 200 and b'"OK"' in answer.body
    return judged([] if sound else [f"answered {answer}: {answer.message}"], "verified")


def image_actions(site: Site) -> Finding:
    """GET of a picture with 16 actions, and with 17: the first works, the second is refused."""
    key = _with_picture(site)
    process = {"x-oss-process": "image" + "/rotate,90" * 16}
    works(site.oss(key, "GET", "image/a.png", query=process), "16 actions")
    more = {"x-oss-process": "image" + "/rotate,90" * 17}
    answer = site.oss(key, "GET", "image/a.png", query=more)
    return refused({"17 actions": answer}, f"refused: {answer}")


def image_percent(site: Site) -> Finding:
    """GET of a picture of 20 pixels with resize,w_5,p_50: if it is 5 wide, p does not count."""
    key = _with_picture(site)
    process = {"x-oss-process": "image/resize,w_5,p_50/format,png"}
    answer = works(site.oss(key, "GET", "image/a.png", query=process), "resizing")
    if not answer.body.startswith(b"\x89PNG") or len(answer.body) < 24:
        raise NotTried("the answer is not a PNG")
    (width,) = struct.unpack(">I", answer.body[16:20])
    return judged([] if width == 5 else [f"{width} pixels wide"], "5 pixels wide, as w says")


def v1_refused(site: Site) -> Finding:
    """PUT signed by V1 in the header and in the URL, and a form; to a bucket made since 2025-09.

    All are refused and nothing is stored; the answers are noted. An older bucket may accept V1.
    """
    info = site.oss(site.account.key, "GET", "", query={"bucketInfo": ""})
    date = re.search(rb"<CreationDate>([^<]{19})", works(info, "GetBucketInfo").body)
    if date is None:
        raise NotTried("GetBucketInfo says no CreationDate")
    made = datetime.fromisoformat(date[1].decode()).replace(tzinfo=timezone.utc)
    if made < V1_ENDS:
        raise NotTried(f"the bucket was made in {made:%Y-%m}: needs one made since 2025-09")
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
    """HEAD of an object by the region's public endpoint, where that is closed to the account.

    400 PublicEndpointForbidden, EC 0048-00000401 is what the project's tools look for.
    """
    key = site.session(allow(site, "PutObject GetObject", "public/*"))
    answer = site.oss(key, "GET", "public/none", endpoint=site.account.public)
    if answer.code == "NoSuchKey" or answer.is_good or answer.is_denied:
        raise NotTried(
            "the public endpoint is open to this account: needs an account where it is closed"
        )
    seen = (answer.status, answer.code, answer.ec)
    sound = seen == (400, "PublicEndpointForbidden", "0048-00000401")
    return judged([] if sound else [f"answered {answer}"], str(answer))


def unknown_header(site: Site) -> Finding:
    """PUT with an undocumented header x-oss-…: it is refused, or ignored."""
    key = site.session(allow(site, "PutObject", "unknown/*"))
    works(site.oss(key, "PUT", "unknown/plain", body=TEXT), "an upload without it")
    answer = site.oss(key, "PUT", "unknown/a", headers={"x-oss-conform-unknown": "1"}, body=TEXT)
    return refused({"the unknown header": answer}, f"refused: {answer}")


def write_condition(site: Site) -> Finding:
    """AppendObject and InitiateMultipartUpload with If-None-Match: refused, as for PutObject."""
    key = site.session(allow(site, "PutObject", "condition-on-write/*"))
    header = {"if-none-match": "*"}
    append = {"append": "", "position": "0"}
    name = "condition-on-write/plain"
    works(site.oss(key, "POST", name, query=append, body=TEXT), "an append without it")
    put = site.oss(key, "PUT", "condition-on-write/put", headers=header, body=TEXT)
    if put.is_good:
        raise NotTried("PutObject accepts If-None-Match, though the documentation says otherwise")
    name = "condition-on-write/append"
    answers = {"AppendObject": site.oss(key, "POST", name, query=append, headers=header, body=TEXT)}
    answers["a multipart start"] = started(site, key, "condition-on-write/parts", header)
    return refused(answers, "refused")


def control_characters(site: Site) -> Finding:
    """A listing, not URL-encoded, with a key that has the character 1: as it is, or escaped."""
    name = "control/a\x01b"
    key = site.session(allow(site, "PutObject", "control/*"))
    works(site.oss(key, "PUT", name, body=TEXT), "such a key's upload")
    query = {"list-type": "2", "prefix": f"{site.prefix}control/"}
    answer = works(site.oss(site.account.key, "GET", "", query=query), "the listing")
    found = re.search(rb"control/(a[^<]*b)</Key>", answer.body)
    if found is None:
        raise NotTried("the listing does not show the key")
    is_plain = found[1] == b"a\x01b"
    return judged([] if is_plain else [f"written as {found[1].decode()}"], "as it is")


def link_headers(site: Site) -> Finding:
    """HEAD of a link with metadata of its own, and GetSymlink.

    The CRC is that of the target, the target's name is not shown, and GetSymlink has the metadata.
    """
    key = site.session(allow(site, "PutObject GetObject", "tells/*"))
    put = works(site.oss(key, "PUT", "tells/target", body=TEXT), "the target's upload")
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
        faults.append("the CRC is not the target's")
    if "x-oss-symlink-target" in head:
        faults.append("HEAD tells where the link leads")
    if symlink.get("x-oss-meta-own") != "link":
        faults.append("GetSymlink has no metadata")
    return judged(faults, "the target's CRC, not its name; GetSymlink has the metadata")


def range_answer(site: Site) -> Finding:
    """GET of a range of a text of 2 KiB, accepting gzip: Content-MD5 of the whole, uncompressed."""
    key, whole = _with_text(site, {"content-type": "text/plain"})
    sent = {"range": "bytes=0-1", "accept-encoding": "gzip"}
    part = site.oss(key, "GET", "gzip/a", sent=sent)
    if part.status != 206:
        raise NotTried(f"the range was answered {part}")
    faults = []
    if "content-encoding" in part.headers:
        faults.append("the range is compressed")
    if part.headers.get("content-md5") != whole:
        faults.append("the range has not the whole's Content-MD5")
    return judged(faults, "not compressed, with the whole's Content-MD5")


def compressed_type(site: Site) -> Finding:
    """GET, accepting gzip, of 2 KiB with response-content-type=text/plain; and with an encoding.

    The first is compressed, since the answer's type counts; the second keeps its encoding.
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
        faults.append("the stored type counts, not the answer's")
    if own.headers.get("content-encoding") != "conform":
        faults.append("what was stored with an encoding is compressed")
    return judged(faults, "the answer's type counts; a stored encoding stays")


def appendable_copy(site: Site) -> Finding:
    """CopyObject of an appendable object: stored, or refused."""
    key = site.session(allow(site, "PutObject GetObject", "append/*"))
    append = {"append": "", "position": "0"}
    works(site.oss(key, "POST", "append/a", query=append, body=TEXT), "an append")
    source = f"/{site.account.bucket}/{site.prefix}append/a"
    answer = site.oss(key, "PUT", "append/copy", headers={"x-oss-copy-source": source})
    return judged([] if answer.is_good else [f"refused: {answer}"], "copied")


def refused(answers: dict[str, Answer], detail: str) -> Finding:
    """REFUTED by requests that were accepted. Raises NotTried if OSS did not refuse properly."""
    for name, answer in answers.items():
        if answer.status >= 400 and not answer.code:
            raise NotTried(f"{name}: {answer}")
    faults = [f"{name} was let in ({a})" for name, a in answers.items() if a.status < 400]
    return judged(faults, detail)


def callback_of(url: str, body: str) -> str:
    """Return a callback as OSS takes it in a header or the query: JSON in base64."""
    document = json.dumps({"callbackUrl": url, "callbackBody": body})
    return base64.b64encode(document.encode()).decode()


def started(site: Site, key: AccessKey, name: str, headers: dict[str, str]) -> Answer:
    """Send InitiateMultipartUpload; site.py notes it, so that it will be aborted."""
    return site.oss(key, "POST", name, query={"uploads": ""}, headers=headers)


def _with_text(site: Site, headers: dict[str, str]) -> tuple[AccessKey, str]:
    """Return a session that may read gzip/a, a text of 2 KiB; and the text's MD5 in base64."""
    key = site.session(allow(site, "PutObject GetObject", "gzip/*"))
    text = b"conform\n" * 256
    works(site.oss(key, "PUT", "gzip/a", headers=headers, body=text), "a text's upload")
    digest = hashlib.md5(text, usedforsecurity=False).digest()
    return key, base64.b64encode(digest).decode()


def _with_picture(site: Site) -> AccessKey:
    key = site.session(allow(site, "PutObject GetObject", "image/*"))
    file = io.BytesIO()
    Image.new("RGB", (20, 20), "white").save(file, "PNG")
    works(site.oss(key, "PUT", "image/a.png", body=file.getvalue()), "a picture's upload")
    return key
