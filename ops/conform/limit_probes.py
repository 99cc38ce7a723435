"""Probes for the limits on uploads, in the style of oss_probes.py."""

from __future__ import annotations

import re
from typing import NamedTuple

from ops.conform.exchanges import Answer
from ops.conform.oss_probes import TEXT, allow, callback_of, refused, started, works
from ops.conform.site import Site
from ops.conform.verdicts import Finding, NotTried, Verdict, judged
from token_service.settings.values import AccessKey

_FORBID = {"x-oss-forbid-overwrite": "true"}
_REFUSED = (409, "FileAlreadyExists")
_XML = {"content-type": "application/xml"}


def part_size(site: Site) -> Finding:
    """Send a part of 7 bytes and a part of 8 bytes. Both URLs sign the header content-length: 7.

    OSS accepts the first part. If OSS refuses the second part, the URL limits the part's size.
    """
    key = site.session(allow(site, "PutObject", "part-size/*"))
    upload = _begun(site, key, "part-size/a")

    def put(number: str, body: bytes) -> Answer:
        query = {"partNumber": number, "uploadId": upload.id}
        length = {"content-length": "7"}
        return site.oss(
            key, "PUT", upload.name, query=query, headers=length, additional=length, body=body
        )

    works(put("1", TEXT), "a part of the signed size")
    answer = put("2", TEXT + b"!")
    return refused({"a part of another size": answer}, f"another size is refused: {answer}")


def completion_overwrite(site: Site) -> Finding:
    """Start two uploads of the same key, and complete both by URLs.

    The URLs' signatures cover the header x-oss-forbid-overwrite: true. The second completion is
    sent twice: with the header, and without the header. The assumption holds if OSS answers 200 to
    the first completion and 409 FileAlreadyExists to the second. The completion without the header
    must get 403, because the header is signed.
    """
    key = site.session(allow(site, "PutObject", "complete/*"))
    headers = {**_XML, **_FORBID}
    first = _with_part(site, key, "complete/a")
    works(_completed(site, key, first, headers), "the completion of the first upload")
    second = _with_part(site, key, "complete/a")
    again = _completed(site, key, second, headers)
    if (again.status, again.code) != _REFUSED:
        return Finding(Verdict.REFUTED, f"the second completion got the answer {again}")
    without = _completed(site, key, second, headers, sent=_XML)
    fault = f"the completion without the signed header got the answer {without}"
    sound = without.status == 403
    return judged(
        [] if sound else [fault], "OSS refuses the second completion, with and without the header"
    )


def completion_callback(site: Site) -> Finding:
    """Complete an upload by a signed URL. Its query contains a callback to the function.

    203 means that OSS called the function, and that the function refused the callback, because this
    callback has no seal (docs/callbacks.md). 200 means that OSS did not call the function.
    """
    if site.account.function is None:
        raise NotTried("needs a deployed function that OSS can call: set URL=https://…")
    key = site.session(allow(site, "PutObject", "complete/*"))
    callback = callback_of(f"{site.account.function}callback", "bucket=${bucket}")
    # The transcript shows queries. The callback contains the function's host, so the transcript
    # masks the callback.
    site.secrets.add(callback)
    header = {"x-oss-callback": callback}
    known = site.oss(key, "PUT", "complete/put", headers=header, body=TEXT)
    if known.status != 203:
        raise NotTried(f"a PUT with a callback got the answer {known}, so nothing can be concluded")
    upload = _with_part(site, key, "complete/callback")
    answer = _completed(site, key, upload, _XML, {"callback": callback})
    return judged([] if answer.status == 203 else [f"OSS answered {answer}"], "OSS called")


def completion_repeated(site: Site) -> Finding:
    """Complete one upload twice, like a client that did not get the first answer.

    The second answer is 404 NoSuchUpload.
    """
    key = site.session(allow(site, "PutObject", "complete/*"))
    upload = _with_part(site, key, "complete/twice")
    works(_completed(site, key, upload, _XML), "the first completion")
    again = _completed(site, key, upload, _XML)
    sound = (again.status, again.code) == (404, "NoSuchUpload")
    return judged(
        [] if sound else [f"the second completion got the answer {again}"], "404 NoSuchUpload"
    )


def empty_completion(site: Site) -> Finding:
    """Complete an upload without parts. OSS answers 200, and the ETag ends with -0."""
    key = site.session(allow(site, "PutObject GetObject", "complete/*"))
    upload = _begun(site, key, "complete/empty")
    answer = _completed(site, key, upload, _XML)
    if not answer.is_good:
        return Finding(Verdict.REFUTED, f"the completion got the answer {answer}")
    found = works(site.oss(key, "HEAD", upload.name), "HEAD of the object").headers.get("etag", "")
    return judged([] if found.strip('"').endswith("-0") else [f"ETag {found}"], f"ETag {found}")


def start_overwrite(site: Site) -> Finding:
    """Start two uploads with x-oss-forbid-overwrite: true, for a new and for an existing name.

    The assumption holds if OSS answers 409 FileAlreadyExists for the existing name. If OSS answers
    with an UploadId, OSS checks the name only when the upload is completed.
    """
    key = site.session(allow(site, "PutObject", "start/*"))
    works(started(site, key, "start/new", _FORBID), "a start under a new name")
    works(site.oss(key, "PUT", "start/old", body=TEXT), "an upload")
    again = started(site, key, "start/old", _FORBID)
    sound = (again.status, again.code) == _REFUSED
    return judged([] if sound else [f"the start got the answer {again}"], "409 FileAlreadyExists")


def start_headers(site: Site) -> Finding:
    """Start an upload with Content-Type, Content-Disposition and Cache-Control. Then send a part,
    and complete the upload. The assumption holds if HEAD shows all three headers as they were sent.
    """
    key = site.session(allow(site, "PutObject GetObject", "start/*"))
    wanted = {
        "cache-control": "max-age=7",
        # If the request names a domain of OSS, OSS may add the value "attachment" to the answer.
        # The file name shows that OSS did not add this value.
        "content-disposition": 'attachment; filename="conform.txt"',
        "content-type": "text/x-conform",
    }
    upload = _with_part(site, key, "start/headers", wanted)
    works(_completed(site, key, upload, _XML), "the completion of the upload")
    found = works(site.oss(key, "HEAD", upload.name), "HEAD of the object").headers
    faults = [f"{n}: {found.get(n)}" for n, value in wanted.items() if found.get(n) != value]
    return judged(faults, "the object has the headers from the start of the upload")


def signed_disposition(site: Site) -> Finding:
    """Send PUTs by URLs that sign content-disposition as an additional header.

    The first PUT sends the header as it was signed, the second sends it with another value, and the
    third does not send it. OSS stores the first PUT. If OSS refuses the other two PUTs, a client
    cannot change the disposition that the URL signs.
    """
    key = site.session(allow(site, "PutObject", "disposition/*"))

    def put(name: str, sent: dict[str, str]) -> Answer:
        signed = {"content-disposition": "attachment"}
        name = f"disposition/{name}"
        return site.oss(key, "PUT", name, headers=signed, additional=signed, sent=sent, body=TEXT)

    works(put("as-signed", {"content-disposition": "attachment"}), "the signed value")
    answers = {
        "a PUT with another value": put("other", {"content-disposition": "inline"}),
        "a PUT without the header": put("none", {}),
    }
    return refused(answers, "OSS refuses another value, and a PUT without the header")


def form_exact(site: Site) -> Finding:
    """Send forms with exact conditions on x-oss-forbid-overwrite and content-disposition.

    The first two forms have both fields with the right values. Each other form lacks one field, or
    has a wrong value in one field. The assumption holds if OSS stores the first form, answers 409
    FileAlreadyExists to the second, and refuses all other forms.
    """
    key = site.session(allow(site, "PutObject", "form/*"))
    whole = {**_FORBID, "content-disposition": "attachment"}
    others = {"x-oss-forbid-overwrite": "false", "content-disposition": "inline"}

    def send(name: str, fields: dict[str, str]) -> Answer:
        conditions = [{field: value} for field, value in whole.items()]
        return site.form(key, f"form/{name}", conditions, fields.items())

    works(send("exact", whole), "a form with both fields")
    again = send("exact", whole)
    if (again.status, again.code) != _REFUSED:
        return Finding(Verdict.REFUTED, f"the second form got the answer {again}")
    answers = {}
    for field, other in others.items():
        rest = {n: v for n, v in whole.items() if n != field}
        answers[f"a form without {field}"] = send(f"no-{field}", rest)
        answers[f"another {field}"] = send(f"other-{field}", {**rest, field: other})
    return refused(answers, "OSS checks both conditions, and does not replace the object")


def response_headers(site: Site) -> Finding:
    """GET a stored HTML page by a URL with response-content-disposition and response-content-type.

    The assumption holds if the answer has the headers of the URL in place of the stored headers.
    """
    key = site.session(allow(site, "PutObject GetObject", "shown/*"))
    stored = {"content-disposition": "inline", "content-type": "text/html"}
    works(site.oss(key, "PUT", "shown/a", headers=stored, body=TEXT), "an upload")
    # OSS's own domains may add "attachment". The file name shows that OSS did not add this value.
    wanted = {
        "content-disposition": 'attachment; filename="conform.txt"',
        "content-type": "image/png",
    }
    query = {f"response-{name}": value for name, value in wanted.items()}
    found = works(site.oss(key, "GET", "shown/a", query=query), "the download").headers
    faults = [f"{n}: {found.get(n)}" for n, value in wanted.items() if found.get(n) != value]
    return judged(faults, "the answer has the headers that the URL asks for")


def two_framings(site: Site) -> Finding:
    """PUT a chunked body that also has a signed Content-Length.

    The signed length counts the data and the frames around the chunks of data. If OSS refuses the
    PUT, or stores the chunks with their frames, it enforces the signed size. If OSS stores the data
    without the frames, a client can bypass the signed size with chunks.
    """
    key = site.session(allow(site, "PutObject GetObject", "framing/*"))
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(TEXT), TEXT)
    signed = {"content-length": str(len(body))}

    def put(name: str, sent: dict[str, str]) -> Answer:
        return site.oss(key, "PUT", name, headers=signed, additional=signed, sent=sent, body=body)

    works(put("framing/plain", {}), "the same bytes, not chunked")
    answer = put("framing/both", {"transfer-encoding": "chunked"})
    if answer.status >= 400:
        return Finding(Verdict.CONFIRMED, f"refused: {answer}")
    found = works(site.oss(key, "HEAD", "framing/both"), "HEAD of the object").headers
    size = found.get("content-length", "")
    fault = f"{size} bytes were stored, but {len(body)} were signed"
    return judged([] if size == str(len(body)) else [fault], "stored with the signed size")


class _Upload(NamedTuple):
    """A multipart upload of a probe's key. `etags` are the ETags of its parts."""

    id: str
    name: str
    etags: tuple[str, ...] = ()


def _begun(site: Site, key: AccessKey, name: str, headers: dict[str, str] | None = None) -> _Upload:
    """Begin a multipart upload. Raises ValueError if the answer does not have one UploadId."""
    answer = works(started(site, key, name, headers or {}), "the start of a multipart upload")
    (upload,) = re.findall("<UploadId>([^<]+)</UploadId>", answer.body.decode())
    return _Upload(upload, name)


def _with_part(
    site: Site, key: AccessKey, name: str, headers: dict[str, str] | None = None
) -> _Upload:
    upload = _begun(site, key, name, headers)
    query = {"partNumber": "1", "uploadId": upload.id}
    part = works(site.oss(key, "PUT", name, query=query, body=TEXT), "a part")
    return upload._replace(etags=(part.headers["etag"],))


def _completed(
    site: Site,
    key: AccessKey,
    upload: _Upload,
    headers: dict[str, str],
    query: dict[str, str] | None = None,
    sent: dict[str, str] | None = None,
) -> Answer:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        for number, etag in enumerate(upload.etags, 1)
    )
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    query = {"uploadId": upload.id, **(query or {})}
    return site.oss(key, "POST", upload.name, query=query, headers=headers, sent=sent, body=body)
