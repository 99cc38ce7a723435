"""Parses PostObject's form while it arrives, so that the whole file is never in memory.

form_policy.py checks what the form may hold, and authentication.py finds out who sends it. Limits
and codes are from the vendor's documentation. A repeated field is refused, which is not verified
on the real OSS (assumption 12).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from sandbox.oss.errors import OssError, invalid_argument
from sandbox.oss.objects import STORED_HEADERS, header_value

MAX_NAME_BYTES = 8 * 1024  # size of a field's name (vendor documentation)
MAX_VALUE_BYTES = 2 * 1024 * 1024  # size of a field's value (vendor documentation)
MAX_FIELDS_BYTES = 8 * 1024 * 1024
"""Maximum bytes before the file."""
MAX_FIELDS = 1000  # fields of one form (the sandbox's own limit)

# The limit leaves room for a field name, a file name, and the syntax around them.
_MAX_HEADER_BYTES = 24 * 1024
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")


@dataclass(frozen=True)
class Form:
    """The fields before the file.

    `fields` maps names in lower case to values. `content_type` is from the file's own part, or ""
    if that part has no content type.
    """

    fields: Mapping[str, str] = field(repr=False)
    filename: str
    content_type: str

    @property
    def key(self) -> str:
        """The object's key, in which ${filename} is replaced by the file's name.

        Raises InvalidArgument.
        """
        key = self.fields.get("key", "")
        if not key:
            message = "Bucket POST must contain a field named 'key'."
            raise invalid_argument(
                f"{message} If it is specified, please check the order of the fields.", "key"
            )
        return key.replace("${filename}", self.filename)

    def headers(self) -> dict[str, str]:
        """Return those fields of the form that PutObject would get as headers.

        If a form has several content types, the most specific type is used (vendor documentation).
        Raises InvalidArgument for a value that a header cannot hold.
        """
        headers = {
            name: _header(name, value)
            for name, value in self.fields.items()
            if name in STORED_HEADERS or name.startswith("x-oss-")
        }
        kind = headers.get("x-oss-content-type") or headers.get("content-type")
        kind = kind or _header("content-type", self.content_type)
        if kind:
            headers["content-type"] = kind
        else:
            headers.pop("content-type", None)
        return headers


class FormReader:
    """Receives a form in pieces. Pass each piece to feed(). `form` is None until all fields before
    the file have arrived. take() returns the bytes of the file that have arrived."""

    def __init__(self, boundary: bytes) -> None:
        """Raises MalformedPOSTRequest for a boundary that is too long."""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_to_header_name,
                    "on_header_value": self._add_to_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_value,
                    "on_part_data": self._add_to_value,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
                max_header_size=_MAX_HEADER_BYTES,
            )
        except FormParserError:
            raise malformed_form() from None
        self.form: Form | None = None
        self.size = 0
        self.file_size = 0
        self._ended = False
        self._fields: dict[str, str] = {}
        self._fields_bytes = 0
        self._headers: dict[bytes, bytes] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._name = ""
        self._value = bytearray()
        self._in_file = False
        self._pending = bytearray()

    @property
    def pending(self) -> int:
        """The number of bytes of the file that have arrived since the last take()."""
        return len(self._pending)

    def feed(self, chunk: bytes) -> None:
        """Parse the next piece. Raises OssError: MalformedPOSTRequest, FieldItemTooLong and
        others."""
        self.size += len(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise malformed_form() from None

    def take(self) -> bytes:
        """Return the file's bytes that arrived since the last call."""
        taken = bytes(self._pending)
        self._pending.clear()
        return taken

    def finish(self) -> None:
        """Mark the end of the input. Raises MalformedPOSTRequest if the form is incomplete."""
        if not self._ended:
            raise malformed_form()
        if self.form is None:
            raise _wrong_number_of_files("0006-00000107")

    def _begin_part(self) -> None:
        self._headers = {}

    def _add_to_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_to_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _begin_value(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition"))
        if disposition.lower() != b"form-data" or b"name" not in options:
            raise malformed_form()
        name = options[b"name"]
        if len(name) > MAX_NAME_BYTES:
            raise _field_too_long("0006-00000110")
        self._name = _text(name).lower()
        self._value.clear()
        if self._name == "file":
            if self.form is not None:
                raise _wrong_number_of_files("")
            filename = _text(options.get(b"filename", b""))
            kind = _text(self._headers.get(b"content-type", b""))
            self.form = Form(self._fields, filename, kind)
            self._in_file = True
        elif self.form is None and (self._name in self._fields or len(self._fields) == MAX_FIELDS):
            raise malformed_form()

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self.file_size += end - start
            self._pending += data[start:end]
        elif self.form is None:
            self._value += data[start:end]
            if len(self._value) > MAX_VALUE_BYTES:
                raise _field_too_long("")
            if self._fields_bytes + len(self._value) > MAX_FIELDS_BYTES:
                raise OssError(
                    400,
                    "MaxPOSTPreDataLengthExceededError",
                    "Your POST request fields preceding the upload file were too large.",
                    "0006-00000112",
                )

    def _end_part(self) -> None:
        # Parts after the file are ignored (vendor documentation).
        if self.form is None:
            self._fields[self._name] = _text(bytes(self._value))
            self._fields_bytes += len(self._name) + len(self._value)
        self._in_file = False

    def _end(self) -> None:
        self._ended = True


def boundary_of(headers: Mapping[str, str]) -> bytes:
    """Return the boundary of a form's parts. Raises RequestIsNotMultiPartContent."""
    kind, options = parse_options_header(headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if kind.lower() != b"multipart/form-data" or not boundary:
        message = "Bucket POST must be of the enclosure-type multipart/form-data."
        raise OssError(400, "RequestIsNotMultiPartContent", message)
    return boundary


def malformed_form() -> OssError:
    """Make the error for a malformed or incomplete form."""
    message = "The body of your POST request is not well-formed multipart/form-data."
    return OssError(400, "MalformedPOSTRequest", message, "0006-00000104")


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        # "The form must be encoded in UTF-8" (vendor documentation).
        raise malformed_form() from None


def _header(name: str, value: str) -> str:
    """Return a field's value in the form of a header: one latin-1 character for each byte."""
    if not _HEADER_NAME.fullmatch(name):
        raise invalid_argument(
            "A field's name has characters that are not allowed in a header's name.", name
        )
    return header_value(name, value)


def _field_too_long(ec: str) -> OssError:
    message = "One of your POST request's fields is too long."
    return OssError(400, "FieldItemTooLong", message, ec)


def _wrong_number_of_files(ec: str) -> OssError:
    message = "POST requires exactly one file upload per request."
    return OssError(400, "IncorrectNumberOfFilesInPOSTRequest", message, ec)
