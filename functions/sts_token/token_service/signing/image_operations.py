"""What an `x-oss-process` that we sign may say: a list of what is allowed, not of what is not.

OSS processes as whoever signed. Some operations read other objects of the bucket (a watermark that
is an image) or save what they made (sys/saveas, blindwatermark), and "|" begins another process
(vendor documentation). Others may be unknown here; and how leniently OSS reads another case, a
blank, or a second encoding is not documented (assumption 21). So nothing counts but what is listed,
spelled as it is here. Names and kinds of values are vendor documentation; ranges are left to OSS.
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
"""The name of a value that stands for itself, as in `rotate,90`."""

OPERATIONS: Mapping[str, Mapping[str, str]] = {
    "resize": {
        "m": "lfit|mfit|fill|pad|fixed",
        **dict.fromkeys(("w", "h", "l", "s", "p"), _NUMBER),
        "limit": _SWITCH,
        "color": _COLOR,
    },
    # "r" is in samples of the vendor's SDKs, without a documented meaning.
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
"""What may be asked for: an operation, its parameters, and the pattern of each one's value."""


def fault(process: str) -> str | None:
    """Say what is wrong with an x-oss-process, or None. Nothing of it is quoted. Accepted: `image/`
    and one or more operations of the table, separated by "/", each followed by its parameters as
    `,name_value`, or by its one bare value."""
    kind, *operations = process.split("/")
    if kind != "image" or not operations:
        return f"must be image/ and one or more of {', '.join(OPERATIONS)}"
    for operation in operations:
        name, *arguments = operation.split(",")
        parameters = OPERATIONS.get(name)
        if parameters is None:
            return f"has an operation that is none of {', '.join(OPERATIONS)}"
        if name == "watermark" and not any(text.startswith("text_") for text in arguments):
            return "watermark must have a text: an image would be another object"
        if not _are_sound(arguments, parameters):
            accepts = [f"{name}_" if name != BARE else "a value alone" for name in parameters]
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
