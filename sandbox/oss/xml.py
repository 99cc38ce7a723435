"""XML as OSS writes and reads it: no namespace, no document type.

A namespace (xmlns) would break oss2, which looks up elements without a namespace (seen in oss2
2.19.1).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import escape

from sandbox.oss.errors import invalid_argument, malformed_xml

MAX_DEPTH = 8  # levels of nested elements (the sandbox's own limit)

# Characters that XML 1.0 cannot hold in any form. encoding-type=url exists for keys with these
# characters.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# The control characters among them. SDKs still write these into a key's element.
_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f]")
_KEY_TEXT = re.compile(rb"(?<=<Key>)[^<]+(?=</Key>)")
_CONTROL_IN_KEY = re.compile(
    rb"&#(?:x0*(?P<hex>[0-9a-fA-F]{1,2})|0*(?P<decimal>[0-9]{1,2}));|[\x01-\x1f]"
)

Content = "str | int | Iterable[tuple[str, Content]]"


def render(name: str, content: object) -> bytes:
    """Render a document. `content` is text, or pairs of a name (which may repeat) and its
    content."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_element(name, content)}'.encode()


def _element(name: str, content: object) -> str:
    if isinstance(content, Mapping):
        content = content.items()
    if isinstance(content, ListedKey):
        inner = _NOT_XML.sub(
            lambda found: found[0] if _CONTROL.fullmatch(found[0]) else "\ufffd",
            escape(content, {"\r": "&#13;"}),
        )
    elif isinstance(content, (str, int)):
        inner = escape(_NOT_XML.sub("\ufffd", str(content)), {"\r": "&#13;"})
    elif isinstance(content, Iterable):
        inner = "".join(_element(child, value) for child, value in content)
    else:
        raise TypeError(f"{name} must be text or pairs")
    return f"<{name}>{inner}</{name}>"


def parse(body: bytes, root: str) -> ElementTree.Element:
    """Parse a stranger's document whose root must be `root`.

    A Key may hold control characters, raw or as references, although expat would refuse them. oss2,
    alibabacloud-oss-v2 and the Go SDKs send them to delete keys with control characters (oss2's
    test_chinese.py, TestDeleteObjectsNormal of aliyun-oss-go-sdk). Raises OssError MalformedXML. A
    document type is always refused, since its entities could multiply or load files.
    """
    # While expat parses, a placeholder replaces each control character. The placeholder is random,
    # so a client cannot guess it.
    mark = secrets.token_hex(16)
    # If the body contains a NUL byte, its encoding is UTF-16. Such a body is passed on unchanged.
    if b"\0" not in body:
        body = _KEY_TEXT.sub(lambda key: _CONTROL_IN_KEY.sub(_marker(mark), key[0]), body)
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise malformed_xml("nested too deeply")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def doctype(*_: object) -> None:
        raise malformed_xml("a document type is not accepted")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(body, True)
    # expat raises LookupError for an unknown encoding, and ValueError for a wrong encoding.
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise malformed_xml(str(error)) from None
    document = builder.close()
    if document.tag != root:
        raise malformed_xml(f"expected {root}")
    for key in document.iter("Key"):
        key.text = re.sub(f"{mark}(..)", lambda found: chr(int(found[1], 16)), key.text or "")
    return document


def _marker(mark: str) -> Callable[[re.Match[bytes]], bytes]:
    def marked(found: re.Match[bytes]) -> bytes:
        if found["hex"]:
            character = chr(int(found["hex"], 16))
        elif found["decimal"]:
            character = chr(int(found["decimal"]))
        else:
            character = found[0].decode()
        if not _CONTROL.fullmatch(character):
            return found[0]
        return f"{mark}{ord(character):02x}".encode()

    return marked


def text_of(element: ElementTree.Element, name: str) -> str:
    """Return the text of the only child with this name. Raises OssError MalformedXML."""
    found = element.findall(name)
    if len(found) != 1:
        raise malformed_xml(f"exactly one {name} is expected in {element.tag}")
    return found[0].text or ""


class ListedKey(str):
    """A key in a listing. Its control characters are written as they are, without an escape.

    A raw control character is not valid XML 1.0, and expat refuses it, so clients can ask for
    encoding-type=url. ali-oss does not ask for it, but reads the raw key ("should encode variant
    object keys" in its tests). Older parsers of ali-oss also accepted a reference (&#x1;). It is
    not verified that the real OSS writes control characters raw (assumption 41).
    """

    __slots__ = ()


def key_writer(query: Mapping[str, str], *, lists: bool = False) -> KeyWriter:
    """Return the function that writes object keys into an answer.

    Raises OssError InvalidArgument.
    """
    wanted = query.get("encoding-type", "")
    if wanted not in ("", "url"):
        raise invalid_argument("Invalid Encoding Method specified in Request.", "encoding-type")
    return KeyWriter(wanted == "url", ListedKey if lists else str)


class KeyWriter:
    """Writes object keys in the encoding that the request asks for with encoding-type (oss2 always
    asks for url)."""

    def __init__(self, is_url: bool, plain: type[str]) -> None:
        self._is_url = is_url
        self._plain = plain

    def __call__(self, key: str) -> str:
        return quote(key, safe="") if self._is_url else self._plain(key)

    def element(self) -> list[tuple[str, str]]:
        """Return the element EncodingType, if the request asked for an encoding."""
        return [("EncodingType", "url")] if self._is_url else []
