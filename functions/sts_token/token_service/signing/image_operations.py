"""Checks an `x-oss-process` before we sign it: each image operation must be in a list.

OSS processes images with the signer's rights. Some operations read other objects of the bucket (an
image as watermark) or save their result (sys/saveas, blindwatermark), and "|" begins another
process (vendor documentation). We may not know all operations. How OSS reads capitals, blanks or a
second encoding is not documented (assumption 21). Therefore an operation must be in the list, with
the same spelling. The vendor documents the names and types of values; OSS checks their ranges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from token_service import base64url

_NUMBER = "[0-9]{1,9}"
_SIGNED = "-?[0-9]{1,9}"
_SWITCH = "[01]"
_COLOR = "[0-9A-Fa-f]{6}"
_PLACE = "nw|north|ne|west|center|east|sw|south|se"
_BASE64 = "[A-Za-z0-9_-]{1,512}={0,2}"
_FONTS = """
wqy-zenhei wqy-microhei fangzhengshusong fangzhengkaiti fangzhengheiti fangzhengfangsong
droidsansfallback
"""

_FONT = f"(?:{'|'.join(base64url.encode(name.encode()) for name in _FONTS.split())})={{0,2}}"

BARE = ""
"""The key in OPERATIONS for a value that has no name, as in `rotate,90`."""

OPERATIONS: Mapping[str, Mapping[str, str]] = {
    "resize": {
        "m": "lfit|mfit|fill|pad|fixed",
        **dict.fromkeys(("w", "h", "l", "s", "p"), _NUMBER),
        "limit": _SWITCH,
        "color": _COLOR,
    },
    # The samples of the vendor's SDKs have "r"; no page explains its meaning.
    "crop": {**dict.fromkeys(("w", "h", "x", "y"), _NUMBER), "g": _PLACE, "r": _NUMBER},
    "indexcrop": dict.fromkeys(("x", "y", "i"), _NUMBER),
    "circle": {"r": _NUMBER},
    "rounded-corners": {"r": _NUMBER},
    "rotate": {BARE: _NUMBER},
    "auto-orient": {BARE: _SWITCH},
    "blur": {"r": _NUMBER, "s": _NUMBER},
    "bright": {BARE: _SIGNED},
    "contrast": {BARE: _SIGNED},
    "sharpen": {BARE: _NUMBER},
    "interlace": {BARE: _SWITCH},
    "quality": {"q": _NUMBER, "Q": _NUMBER, BARE: _NUMBER},
    "format": {BARE: "jpg|png|webp|bmp|gif|tiff|heic|avif"},
    "watermark": {
        "text": _BASE64,
        "type": _FONT,
        "color": _COLOR,
        **dict.fromkeys(("size", "shadow", "rotate"), _NUMBER),
        "fill": _SWITCH,
        **dict.fromkeys(("padx", "pady", "t"), _NUMBER),
        "g": _PLACE,
        **dict.fromkeys(("x", "y"), _NUMBER),
        "voffset": _SIGNED,
    },
    "info": {},
    "average-hue": {},
}
"""The allowed operations, their parameters, and the pattern of each parameter's value."""


def fault(process: str) -> str | None:
    """Return what is wrong with an x-oss-process, without quoting it, or None. It must be `image/`
    and one or more operations of the table, separated by "/". After each operation come its
    parameters as `,name_value`, or a single value without a name."""
    kind, *operations = process.split("/")
    if kind != "image" or not operations:
        return f"must be image/ and one or more of {', '.join(OPERATIONS)}"
    for operation in operations:
        name, *arguments = operation.split(",")
        parameters = OPERATIONS.get(name)
        if parameters is None:
            return f"must have only operations of {', '.join(OPERATIONS)}"
        if name == "watermark" and not any(text.startswith("text_") for text in arguments):
            return "watermark must have a text, not an image, because an image is another object"
        if not _are_sound(arguments, parameters):
            accepts = [f"{name}_" if name != BARE else "a single value" for name in parameters]
            return f"{name} takes {', '.join(accepts) or 'no parameters'}, as OSS documents it"
    return None


def _are_sound(arguments: list[str], parameters: Mapping[str, str]) -> bool:
    if not parameters:
        return not arguments
    if BARE in parameters and len(arguments) == 1 and "_" not in arguments[0]:
        return re.fullmatch(parameters[BARE], arguments[0]) is not None
    return bool(arguments) and all(_is_sound(argument, parameters) for argument in arguments)


def _is_sound(argument: str, parameters: Mapping[str, str]) -> bool:
    name, _, value = argument.partition("_")
    pattern = parameters.get(name) if name != BARE else None
    return pattern is not None and re.fullmatch(pattern, value) is not None
