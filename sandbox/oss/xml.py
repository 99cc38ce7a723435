"""XML as OSS writes and reads it: no namespace, no document type.

An xmlns would break oss2, which looks elements up without one (seen in oss2 2.19.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import escape

from sandbox.oss.errors import invalid_argument, malformed_xml

MAX_DEPTH = 8

# What XML 1.0 cannot hold, however it is spelt; encoding-type=url exists for keys with those.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Content = "str | int | Iterable[tuple[str, Content]]"


def render(name: str, content: object) -> bytes:
    """Render a document: text, or pairs of a name and its content (a name may come repeatedly)."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_element(name, content)}'.encode()


def _element(name: str, content: object) -> str:
    if isinstance(content, Mapping):
        content = content.items()
    if isinstance(content, (str, int)):
        inner = escape(_NOT_XML.sub("\ufffd", str(content)), {"\r": "&#13;"})
    elif isinstance(content, Iterable):
        inner = "".join(_element(child, value) for child, value in content)
    else:
        raise TypeError(f"{name} is neither text nor pairs")
    return f"<{name}>{inner}</{name}>"


def parse(body: bytes, root: str) -> ElementTree.Element:
    """Parse a stranger's document whose root must be `root`.

    Raises OssError MalformedXML, for a document type too: entities multiply, and reach out.
    """
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
    # An encoding that nobody knows is a LookupError, one that does not fit a ValueError.
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise malformed_xml(str(error)) from None
    document = builder.close()
    if document.tag != root:
        raise malformed_xml(f"expected {root}")
    return document


def text_of(element: ElementTree.Element, name: str) -> str:
    """Return the text of the one child of that name. Raises OssError MalformedXML."""
    found = element.findall(name)
    if len(found) != 1:
        raise malformed_xml(f"expected one {name} in {element.tag}")
    return found[0].text or ""


def key_writer(query: Mapping[str, str]) -> KeyWriter:
    """Return how to write object keys into the answer. Raises OssError InvalidArgument."""
    wanted = query.get("encoding-type", "")
    if wanted not in ("", "url"):
        raise invalid_argument("Invalid Encoding Method specified in Request.", "encoding-type")
    return KeyWriter(wanted == "url")


class KeyWriter:
    """Writes object keys as the request's encoding-type wants them (oss2 always asks for url)."""

    def __init__(self, is_url: bool) -> None:
        self._is_url = is_url

    def __call__(self, key: str) -> str:
        return quote(key, safe="") if self._is_url else key

    def element(self) -> list[tuple[str, str]]:
        """Return the element that tells the client, if it has to be told."""
        return [("EncodingType", "url")] if self._is_url else []
