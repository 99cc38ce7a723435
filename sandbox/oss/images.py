"""Image processing: an object's bytes and Instructions -> the answer's bytes and content type.

This module decodes the source and encodes the result with Pillow. image_steps.py has the single
steps. This module takes bytes and returns bytes, so no parameter reaches the file system.

Limits are from the vendor's documentation, except MAX_DECODED_PIXELS and MAX_FRAMES, which fit a
laptop. One image is processed at a time, so these two limits bound the memory of the whole process.
The highest memory use measured is 1.3 GB. Metadata (EXIF, colour profiles) is dropped.

Two things are not verified on the real OSS (assumption 21): the default quality, and the error code
that OSS answers when a certain limit is exceeded.
"""

from __future__ import annotations

import io
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from PIL import ExifTags, Image, ImageSequence
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import IFDRational

from sandbox.oss.errors import OssError, bad_image, image_too_large
from sandbox.oss.image_instructions import Instructions, Quality, Resize, Rotate
from sandbox.oss.image_steps import drawn, turned

MAX_SOURCE_BYTES = 20 * 1024**2  # size of a stored image that is processed
MAX_SOURCE_SIDE = {"tiff": 16384}
"""The largest side in pixels, by format. In formats that are not listed, a side may have 30,000
pixels."""

MAX_SOURCE_PIXELS = 250_000_000  # width times height of a stored image
MAX_DECODED_PIXELS = 89_478_485
"""Maximum pixels of all frames together; the number is Pillow's own default. image/info also
answers for larger images."""

MAX_FRAMES = 1000  # frames of an animation (the sandbox's own limit)
MAX_WEBP_SIDE = 16383  # pixels of a side (the format's own limit)
PATIENCE = 10
"""Seconds to wait for another image that is being processed."""

DEFAULT_QUALITY = 85  # percent, for requests that give no quality

FORMATS = ["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"]
"""Pillow's decoders for the formats that OSS's image processing reads (vendor documentation). No
other decoders are used, since some of them start programs."""

NAMES = {
    "BMP": "bmp",
    "GIF": "gif",
    "JPEG": "jpg",
    # Many phones make JPEG files that hold a second picture. Pillow calls their format MPO.
    "MPO": "jpg",
    "PNG": "png",
    "TIFF": "tiff",
    "WEBP": "webp",
}
_CONTENT_TYPES = {
    "bmp": "image/bmp",
    "gif": "image/gif",
    "jpg": "image/jpeg",
    "png": "image/png",
    "tiff": "image/tiff",
    "webp": "image/webp",
}

_drawing = threading.Lock()

Image.MAX_IMAGE_PIXELS = MAX_SOURCE_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)

T = TypeVar("T")


@dataclass(frozen=True)
class Processed:
    """The answer."""

    body: bytes
    content_type: str


def process(source: bytes, instructions: Instructions) -> Processed:
    """Process an image by the instructions.

    Raises OssError BadRequest if the source is damaged or is no image, ImageTooLarge if it exceeds
    a limit, and 503 if other images take too long.
    """
    check_size(len(source))
    with _one_at_a_time():
        image = _opened(source)
        if instructions.info:
            return Processed(_information(image, len(source)), "application/json")
        return _processed(image, instructions)


def check_size(size: int) -> None:
    """Refuse a source with too many bytes. Raises OssError ImageTooLarge."""
    if size > MAX_SOURCE_BYTES:
        raise image_too_large(f"The image exceeds {MAX_SOURCE_BYTES} bytes.", "0040-00000001")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    if not _drawing.acquire(timeout=PATIENCE):
        message = "Other images are being processed. Reduce your request rate."
        raise OssError(503, "ServiceUnavailable", message, "0004-00000801")
    try:
        yield
    finally:
        _drawing.release()


def _processed(image: Image.Image, instructions: Instructions) -> Processed:
    source_format = _name(image)
    # Only a GIF can be converted to "gif" (vendor documentation).
    wanted = "" if instructions.format == "gif" else instructions.format
    target_format = wanted or source_format
    _check_source(image)
    quality = _quality(image, instructions.quality)
    if source_format == target_format == "gif" and _keeps_moving(instructions) and _moves(image):
        frames, options = _frames(image)
    else:
        orientation = _orientation(image) if instructions.auto_orient else 1
        frames, options = [turned(_plain(image), orientation)], {}
    for step in instructions.steps:
        frames = [drawn(frame, step, may_enlarge=source_format != "gif") for frame in frames]
    if target_format in ("jpg", "webp"):
        options["quality"] = quality
    if target_format == "jpg":
        options["progressive"] = instructions.progressive
    body = _encoded(frames, target_format, options)
    return Processed(body, _CONTENT_TYPES[target_format])


def _opened(source: bytes) -> Image.Image:
    """Read an image's header. _plain() decodes its pixels."""
    try:
        image = Image.open(io.BytesIO(source), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels() from None
    except Exception:  # noqa: BLE001 - a decoder may raise anything on a stranger's bytes
        raise _no_image() from None
    if image.width < 1 or image.height < 1:
        raise _no_image()
    return image


def _check_source(image: Image.Image) -> None:
    name = _name(image)
    if name == "webp" and _moves(image):
        message = "The webp image file may be damaged."
        raise OssError(400, "BadWebPImage", message)
    if max(image.size) > MAX_SOURCE_SIDE.get(name, 30_000):
        ec = "0040-00000018" if name == "tiff" else "0040-00000019"
        raise image_too_large("The image's side is too long.", ec)
    count = _frame_count(image)
    if count > MAX_FRAMES or image.width * image.height * count > MAX_DECODED_PIXELS:
        raise _too_many_pixels()


def _name(image: Image.Image) -> str:
    return NAMES[image.format or ""]


def _moves(image: Image.Image) -> bool:
    return _guarded(lambda: bool(getattr(image, "is_animated", False)))


def _frame_count(image: Image.Image) -> int:
    if _name(image) != "gif":
        return 1
    return _guarded(lambda: int(getattr(image, "n_frames", 1)))


def _keeps_moving(instructions: Instructions) -> bool:
    """Whether a GIF stays an animation. Only resize (without percent), crop and watermark keep the
    animation (vendor documentation).
    """
    return instructions.quality is None and not any(
        isinstance(step, Rotate) or (isinstance(step, Resize) and step.percent is not None)
        for step in instructions.steps
    )


def _frames(image: Image.Image) -> tuple[list[Image.Image], dict[str, Any]]:
    """Decode an animation. Return the frames, and the options with which Pillow saves these frames
    as an animation."""
    frames, durations = [], []

    def read() -> None:
        for frame in ImageSequence.Iterator(image):
            frames.append(frame.convert("RGBA"))
            durations.append(int(frame.info.get("duration", 0)))

    _guarded(read)
    for frame in frames:
        frame.info = {}
    loop = {"loop": image.info["loop"]} if "loop" in image.info else {}
    return frames, {"duration": durations, "disposal": 2, **loop}


def _plain(image: Image.Image) -> Image.Image:
    """Decode to RGB, or to RGBA if the image may be transparent, without metadata."""

    def read() -> Image.Image:
        image.load()
        if image.mode.startswith(("I", "F")):
            # This image has 16 bits for each channel. convert() would cut off high values, so they
            # are scaled.
            scaled = image.convert("I").point(lambda value: value * (1 / 256))
            return scaled.convert("L").convert("RGB")
        return image.convert("RGBA" if image.has_transparency_data else "RGB")

    plain = _guarded(read)
    plain.info = {}
    return plain


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation (1 to 8). Return 1 if the orientation is missing or invalid."""
    # Pillow itself applies the orientation of a TIFF.
    if _name(image) not in ("jpg", "webp"):
        return 1
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - damaged EXIF data are no reason to refuse an image
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _information(image: Image.Image, size: int) -> bytes:
    values = {
        "FileSize": str(size),
        "Format": _name(image),
        "FrameCount": str(_frame_count(image)),
        "ImageHeight": str(image.height),
        "ImageWidth": str(image.width),
    }
    # OSS reports no EXIF values of a PNG (vendor documentation).
    if _name(image) != "png":
        values = {**_exif(image), **values}
    content = {name: {"value": values[name]} for name in sorted(values)}
    return json.dumps(content, indent=2, ensure_ascii=False).encode()


def _exif(image: Image.Image) -> dict[str, str]:
    """Return the EXIF values that are text or numbers, by name."""
    found = {}
    try:
        for tag, value in image.getexif().items():
            name = ExifTags.TAGS.get(tag)
            if name and isinstance(value, IFDRational):
                found[name] = f"{value.numerator}/{value.denominator}"
            elif name and isinstance(value, str | int):
                # A lone surrogate, which no JSON in UTF-8 can hold, becomes a question mark.
                found[name] = str(value).encode(errors="replace").decode()
    except Exception:  # noqa: BLE001 - damaged EXIF data are no reason to refuse an image
        return {}
    return found


def _guarded(read: Callable[[], T]) -> T:
    """Let Pillow read a stranger's bytes. Raises OssError BadRequest for every kind of error."""
    try:
        return read()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels() from None
    except Exception:  # noqa: BLE001 - a decoder may raise anything on a stranger's bytes
        raise bad_image("The image is damaged.") from None


def _quality(image: Image.Image, wanted: Quality | None) -> int:
    if wanted is None:
        return DEFAULT_QUALITY
    if not isinstance(image, JpegImageFile):
        return wanted.value
    source = _source_quality(image)
    if wanted.relative:
        return max(round(source * wanted.value / 100), 1)
    return min(wanted.value, source)


def _source_quality(image: JpegImageFile) -> int:
    """Estimate the quality (1 to 100) that a JPEG was saved with, from its quantization table."""
    table = image.quantization.get(0, [])
    if not table:
        return 100
    # libjpeg scales its table for quality 50 to get the table for another quality. The code below
    # computes the scale from the table, and the quality from the scale.
    scale = 100 * sum(table) / sum(_standard_table())
    quality = 5000 / scale if scale > 100 else (200 - scale) / 2
    return min(max(round(quality), 1), 100)


@cache
def _standard_table() -> list[int]:
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "JPEG", quality=50)
    return JpegImageFile(io.BytesIO(file.getvalue())).quantization[0]


def _encoded(frames: list[Image.Image], name: str, options: dict[str, Any]) -> bytes:
    image, *others = frames
    if name == "webp" and max(image.size) > MAX_WEBP_SIDE:
        raise image_too_large("The image is too large for WebP.", "0040-00000011")
    if name == "jpg" and image.mode == "RGBA":
        # Transparent areas become white, never black (vendor documentation).
        white = Image.new("RGBA", image.size, (255, 255, 255))
        image = Image.alpha_composite(white, image).convert("RGB")
    if others:
        options = {**options, "save_all": True, "append_images": others}
    file = io.BytesIO()
    image.save(file, "JPEG" if name == "jpg" else name.upper(), **options)
    return file.getvalue()


def _no_image() -> OssError:
    return bad_image("This image format is not supported.", "0040-00000005")


def _too_many_pixels() -> OssError:
    return image_too_large("The image has too many pixels.", "0040-00000012")
