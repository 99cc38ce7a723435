"""Parses x-oss-process=image/... into values; images.py processes the image.

Names, ranges, defaults and ECs are from the vendor's documentation (the pages of image processing,
and of its error codes 0040-*). The message for a wrong value is from the documentation too. All
other messages are the sandbox's own texts. An EC of "" means that no page about the error was
found.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sandbox.oss.errors import OssError, invalid_argument, not_implemented

MAX_CHARACTERS = 4096  # length of x-oss-process (the sandbox's own limit)
MAX_ACTIONS = 16
"""Maximum number of actions. A request with more actions is refused as too long (EC 0017-00000288).
The number is not verified on the real OSS (assumption 20)."""

MAX_TEXT_BYTES = 64  # of a watermark's text in UTF-8
MAX_SIDE = 16384
"""The largest side of a resized image, in pixels."""

FORMATS = ("jpg", "png", "webp", "bmp", "gif", "tiff")
MODES = ("lfit", "mfit", "fill", "pad", "fixed")
GRID = ("nw", "north", "ne", "west", "center", "east", "sw", "south", "se")
FONTS = (
    "wqy-zenhei",
    "wqy-microhei",
    "fangzhengshusong",
    "fangzhengkaiti",
    "fangzhengheiti",
    "fangzhengfangsong",
    "droidsansfallback",
)

# The real OSS has these actions, so the sandbox refuses them as not implemented, not as invalid.
_MISSING_ACTIONS = frozenset(
    """
    average-hue blindwatermark blur bright circle contrast deblindwatermark indexcrop
    rounded-corners sharpen
    """.split()
)
_MISSING_FORMATS = ("heic", "avif")
_MISSING_WATERMARK = ("image", "order", "align", "interval")

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Resize:
    """The requested size: sides in pixels, or only `percent`. A value that is not given is None.

    `long` and `short` are the longer and the shorter side. `long` and `short` count only if `width`
    and `height` are both missing. If `limit` is true, an image that would get a longer side stays
    unchanged. `limit` has no effect on `percent`. It is not verified on the real OSS in which modes
    `limit` works (assumption 21). `color` fills the area that mode "pad" adds.
    """

    mode: str = "lfit"
    width: int | None = None
    height: int | None = None
    long: int | None = None
    short: int | None = None
    percent: int | None = None
    limit: bool = True
    color: Color = (255, 255, 255)


@dataclass(frozen=True)
class Crop:
    """A rectangle of the image. Its size is `width` and `height` (None means the whole side). It
    lies at `place` in the grid, shifted by `x` and `y`."""

    width: int | None
    height: int | None
    x: int
    y: int
    place: str


@dataclass(frozen=True)
class Rotate:
    """The clockwise rotation in degrees, 0 to 360."""

    degrees: int


@dataclass(frozen=True)
class Watermark:
    """Text on the image. Lengths are in pixels, `opacity` and `shadow` in percent.

    `degrees` turn the text clockwise. `voffset` moves the text down from the middle row of the
    grid. With `fill`, copies of the text cover the image; `padx` and `pady` are the gaps between
    the copies.
    """

    text: str
    color: Color
    size: int
    opacity: int
    shadow: int
    degrees: int
    place: str
    x: int
    y: int
    voffset: int
    fill: bool
    padx: int
    pady: int


@dataclass(frozen=True)
class Quality:
    """A quality from 1 to 100. If `relative` is true, `value` is a percentage of the source's
    quality. If `relative` is false, `value` is the highest quality that the result may have."""

    value: int
    relative: bool


Step = Resize | Crop | Rotate | Watermark


@dataclass(frozen=True)
class Instructions:
    """What a request asks for: steps, which are done in their order, and settings of the image.

    In a request, the actions for settings may come before, between or after the actions for steps.
    `format` is "" if the result keeps the format of the source. `auto_orient` turns the source by
    its EXIF data, before the first step. `info` must be the only action, since it returns JSON
    about the source instead of an image.
    """

    steps: tuple[Step, ...] = ()
    auto_orient: bool = True
    quality: Quality | None = None
    format: str = ""
    progressive: bool = False
    info: bool = False


def parse(process: str) -> Instructions:
    """Read the value of x-oss-process that begins with image.

    Raises OssError InvalidArgument, and NotImplemented for features that the sandbox lacks.
    """
    if len(process) > MAX_CHARACTERS:
        raise _too_long()
    if "|" in process:
        raise not_implemented("x-oss-process with a pipe (sys/saveas)")
    _, *actions = process.split("/")
    if len(actions) > MAX_ACTIONS:
        raise _too_long()
    made = Instructions()
    for action in actions or [""]:
        name, *arguments = action.split(",")
        read = _ACTIONS.get(name)
        if read is None:
            raise _unknown_action(name)
        made = read(made, arguments)
    if made.info and len(actions) > 1:
        raise invalid_argument("The action info must be the only action.")
    return made


def _resize(made: Instructions, arguments: Sequence[str]) -> Instructions:
    values = _values("resize", arguments, ("m", "w", "h", "l", "s", "p", "limit", "color"))
    sides = values.keys() & {"w", "h", "l", "s"}
    if not sides and "p" not in values:
        raise invalid_argument("The action resize needs a size.", ec="0040-00000322")
    percent = _number(values, "p", 1, 1000, "0040-00000317") if "p" in values else None
    step = Resize(
        mode=_one_of(values, "m", MODES, "lfit", "0040-00000311"),
        width=_side(values, "w", "0040-00000312"),
        height=_side(values, "h", "0040-00000313"),
        long=_side(values, "l", "0040-00000314"),
        short=_side(values, "s", "0040-00000315"),
        # If a side is given, the sandbox ignores the percentage. We have not verified that the real
        # OSS does the same (assumption 22).
        percent=None if sides else percent,
        limit=_switch(values, "limit", True, "0040-00000319"),
        color=_color(values, "FFFFFF", ""),
    )
    return _with_step(made, step)


def _crop(made: Instructions, arguments: Sequence[str]) -> Instructions:
    # "r" is accepted, since the vendor's own SDK tests use it. No page explains its meaning.
    values = _values("crop", arguments, ("w", "h", "x", "y", "g", "r"))
    most = 10**9 - 1
    width = _number(values, "w", 0, most, "0040-00000225", 0)
    height = _number(values, "h", 0, most, "0040-00000226", 0)
    step = Crop(
        width=width or None,
        height=height or None,
        x=_number(values, "x", 0, most, "", 0),
        y=_number(values, "y", 0, most, "", 0),
        place=_one_of(values, "g", GRID, "nw", ""),
    )
    return _with_step(made, step)


def _rotate(made: Instructions, arguments: Sequence[str]) -> Instructions:
    value = {"rotate": _single("rotate", arguments, "0040-00000216")}
    return _with_step(made, Rotate(_number(value, "rotate", 0, 360, "0040-00000217")))


def _auto_orient(made: Instructions, arguments: Sequence[str]) -> Instructions:
    value = {"auto-orient": _single("auto-orient", arguments, "0040-00000214")}
    return replace(made, auto_orient=_switch(value, "auto-orient", True, "0040-00000215"))


def _interlace(made: Instructions, arguments: Sequence[str]) -> Instructions:
    value = {"interlace": _single("interlace", arguments, "")}
    return replace(made, progressive=_switch(value, "interlace", False, ""))


def _quality(made: Instructions, arguments: Sequence[str]) -> Instructions:
    # In the vendor's documentation, only the page of EC 0040-00000310 has a number without "q_" or
    # "Q_". The sandbox reads it like a number after "q_", as a relative quality.
    if len(arguments) == 1 and arguments[0] and "_" not in arguments[0]:
        bare = {"quality": arguments[0]}
        value = _number(bare, "quality", 1, 100, "0040-00000310")
        return replace(made, quality=Quality(value, relative=True))
    values = _values("quality", arguments, ("q", "Q"))
    if "Q" in values:
        value = _number(values, "Q", 1, 100, "0040-00000308")
        return replace(made, quality=Quality(value, relative=False))
    if "q" in values:
        value = _number(values, "q", 1, 100, "0040-00000309")
        return replace(made, quality=Quality(value, relative=True))
    raise invalid_argument("The action quality needs a value.", ec="0040-00000307")


def _format(made: Instructions, arguments: Sequence[str]) -> Instructions:
    value = _single("format", arguments, "0040-00000207")
    if value in _MISSING_FORMATS:
        raise not_implemented(f"image/format,{value}")
    return replace(made, format=_one_of({"format": value}, "format", FORMATS, "", "0040-00000206"))


def _info(made: Instructions, arguments: Sequence[str]) -> Instructions:
    if arguments:
        raise _invalid("info", ",".join(arguments), "")
    return replace(made, info=True)


def _watermark(made: Instructions, arguments: Sequence[str]) -> Instructions:
    known = "text type color size shadow t rotate fill padx pady g x y voffset".split()
    values = _values("watermark", arguments, (*known, *_MISSING_WATERMARK))
    for name in _MISSING_WATERMARK:
        if name in values:
            raise not_implemented(f"image/watermark with {name}")
    if "text" not in values:
        raise invalid_argument("The action watermark needs a text.", ec="0040-00000278")
    if "type" in values and _decoded(values, "type", "0040-00000250") not in FONTS:
        raise _invalid("type", values["type"], "0040-00000251")
    step = Watermark(
        text=_text(values),
        color=_color(values, "000000", "0040-00000254"),
        size=_number(values, "size", 1, 1000, "0040-00000256", 40),
        opacity=_number(values, "t", 0, 100, "0040-00000263", 100),
        shadow=_number(values, "shadow", 0, 100, "", 0),
        degrees=_number(values, "rotate", 0, 360, "0040-00000272", 0),
        place=_one_of(values, "g", GRID, "se", "0040-00000260"),
        x=_number(values, "x", 0, 4096, "0040-00000262", 10),
        y=_number(values, "y", 0, 4096, "0040-00000264", 10),
        voffset=_number(values, "voffset", -1000, 1000, "0040-00000268", 0),
        fill=_switch(values, "fill", False, "0040-00000274"),
        padx=_number(values, "padx", 0, 4096, "", 0),
        pady=_number(values, "pady", 0, 4096, "", 0),
    )
    return _with_step(made, step)


_ACTIONS: Mapping[str, Callable[[Instructions, Sequence[str]], Instructions]] = {
    "resize": _resize,
    "crop": _crop,
    "rotate": _rotate,
    "auto-orient": _auto_orient,
    "interlace": _interlace,
    "quality": _quality,
    "format": _format,
    "info": _info,
    "watermark": _watermark,
}


def _with_step(made: Instructions, step: Step) -> Instructions:
    return replace(made, steps=(*made.steps, step))


def _values(action: str, arguments: Sequence[str], known: Collection[str]) -> dict[str, str]:
    """Read name_value arguments. If a name is repeated, the last one counts (vendor
    documentation)."""
    values = {}
    for argument in arguments:
        name, _, value = argument.partition("_")
        if name not in known:
            raise invalid_argument(f"The action {action} does not know the parameter {name}.")
        values[name] = value
    return values


def _single(action: str, arguments: Sequence[str], ec: str) -> str:
    """Return the value of an action that takes exactly one value without a name, as in
    `rotate,90`."""
    if len(arguments) > 1:
        raise _invalid(action, ",".join(arguments), "0040-00000203")
    if not arguments or not arguments[0]:
        raise invalid_argument(f"The action {action} needs a value.", ec=ec)
    return arguments[0]


def _number(
    values: Mapping[str, str], name: str, least: int, most: int, ec: str, default: int | None = None
) -> int:
    if name not in values and default is not None:
        return default
    text = values[name]
    # The pattern has [0-9], because \d and int() accept other digits as well.
    if not re.fullmatch("-?[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise _invalid(name, text, ec)
    return int(text)


def _side(values: Mapping[str, str], name: str, ec: str) -> int | None:
    return _number(values, name, 1, MAX_SIDE, ec) if name in values else None


def _switch(values: Mapping[str, str], name: str, default: bool, ec: str) -> bool:
    return _number(values, name, 0, 1, ec, int(default)) == 1


def _one_of(
    values: Mapping[str, str], name: str, accepted: Sequence[str], default: str, ec: str
) -> str:
    value = values.get(name, default)
    if value not in accepted:
        raise _invalid(name, value, ec)
    return value


def _color(values: Mapping[str, str], default: str, ec: str) -> Color:
    text = values.get("color", default)
    if not re.fullmatch("[0-9A-Fa-f]{6}", text):
        raise _invalid("color", text, ec)
    red, green, blue = bytes.fromhex(text)
    return red, green, blue


def _text(values: Mapping[str, str]) -> str:
    if not values["text"]:
        raise _invalid("text", "", "0040-00000258")
    text = _decoded(values, "text", "0040-00000257")
    # The documentation says 64 characters, but only about 20 Chinese characters fit, so the limit
    # is in bytes.
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise _invalid("text", values["text"], "0040-00000259")
    return text


def _decoded(values: Mapping[str, str], name: str, ec: str) -> str:
    """Read URL-safe base64, with or without padding."""
    value = values[name].rstrip("=")
    try:
        raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars="-_", validate=True)
        return raw.decode()
    except ValueError:
        raise _invalid(name, values[name], ec) from None


def _invalid(name: str, value: str, ec: str) -> OssError:
    return invalid_argument(f"The value: {value} of parameter: {name} is invalid.", ec=ec)


def _unknown_action(name: str) -> OssError:
    if name in _MISSING_ACTIONS:
        return not_implemented(f"image/{name}")
    if not name:
        return invalid_argument("x-oss-process has no action.", ec="0040-00000212")
    return invalid_argument(f"The action: {name} is invalid.", ec="0040-00000213")


def _too_long() -> OssError:
    return invalid_argument("x-oss-process is too long.", ec="0017-00000288")
