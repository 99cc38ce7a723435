"""Draws the single steps of image processing: resize, crop, rotate, watermark.

Each step takes a decoded image and makes another one. Limits are from the vendor's documentation.
Three things are not verified on the real OSS (assumption 21): the corners of a rotated image, the
look of a shadow, and how a text that is too long is cut off. The only font comes with Pillow and
has only ASCII characters. Other characters are drawn as boxes.
"""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from sandbox.oss.errors import bad_image, image_too_large
from sandbox.oss.image_instructions import (
    GRID,
    MAX_SIDE,
    Color,
    Crop,
    Resize,
    Rotate,
    Step,
    Watermark,
)

MAX_TARGET_PIXELS = 16_777_216  # resize may make an image of at most so many pixels
MAX_TURNED_SIDE = 4096  # rotate takes an image whose sides have at most so many pixels

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transformation that undoes each EXIF orientation (EXIF 2.3)."""

_GRID = {name: (place % 3, place // 3) for place, name in enumerate(GRID)}
"""Column and row of each place, 0 to 2."""


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Undo an EXIF orientation, 1 to 8. Raises OssError BadRequest for a large image."""
    if orientation == 1:
        return image
    _check_turn(image)
    return image.transpose(_TURNS[orientation])


def drawn(image: Image.Image, step: Step, *, may_enlarge: bool) -> Image.Image:
    """Apply one step to an image (RGB or RGBA). The image may be changed in place.

    Raises OssError ImageTooLarge or BadRequest if a limit would be exceeded.
    """
    if isinstance(step, Resize):
        return _resized(image, step, may_enlarge=may_enlarge)
    if isinstance(step, Crop):
        return _cropped(image, step)
    if isinstance(step, Rotate):
        return _rotated(image, step.degrees)
    return _marked(image, step)


def _resized(image: Image.Image, step: Resize, *, may_enlarge: bool) -> Image.Image:
    source = image.size
    mode, width, height = _wanted(step, *source)
    cover = max(width / source[0], height / source[1])
    contain = min(width / source[0], height / source[1])
    ratio = {"lfit": contain, "mfit": cover}.get(mode)
    if ratio is None:
        target = (_round(width), _round(height))
    else:
        target = (_round(source[0] * ratio), _round(source[1] * ratio))
    larger = target[0] > source[0] or target[1] > source[1]
    # An image is enlarged only if the request asks for that, by limit_0 or by a percentage above
    # 100.
    if larger and not (may_enlarge and (step.percent is not None or not step.limit)):
        return image
    if max(target) > MAX_SIDE or target[0] * target[1] > MAX_TARGET_PIXELS:
        raise image_too_large("The resized image is too large.", "0040-00000007")
    if mode == "fill":
        part = (width / cover, height / cover)
        left, top = (source[0] - part[0]) / 2, (source[1] - part[1]) / 2
        box = (left, top, min(left + part[0], source[0]), min(top + part[1], source[1]))
        return image.resize(target, Image.Resampling.LANCZOS, box)
    if mode == "pad":
        inner = (_round(source[0] * contain), _round(source[1] * contain))
        canvas = Image.new(image.mode, target, step.color)
        place = ((target[0] - inner[0]) // 2, (target[1] - inner[1]) // 2)
        canvas.paste(image.resize(inner, Image.Resampling.LANCZOS), place)
        return canvas
    return image.resize(target, Image.Resampling.LANCZOS)


def _wanted(step: Resize, width: int, height: int) -> tuple[str, float, float]:
    """Return the mode, and the sides of the rectangle that the mode uses."""
    first, second = step.width, step.height
    if first is None and second is None:
        if step.long is None and step.short is None:
            ratio = (step.percent or 100) / 100
            return "fixed", _round(width * ratio), _round(height * ratio)
        sides = (step.long, step.short)
        first, second = sides if width >= height else sides[::-1]
    if first and second:
        return step.mode, first, second
    given = first or second or 1
    if step.mode not in ("lfit", "mfit"):
        # If only the width or only the height is given, these modes make a square (vendor
        # documentation).
        return step.mode, given, given
    ratio = given / (width if first else height)
    return step.mode, width * ratio, height * ratio


def _cropped(image: Image.Image, step: Crop) -> Image.Image:
    width = min(step.width or image.width, image.width)
    height = min(step.height or image.height, image.height)
    left, top = _origin(step.place, image.width - width, image.height - height)
    left, top = left + step.x, top + step.y
    if left >= image.width or top >= image.height:
        raise bad_image("Advance cut's position is out of image.")
    return image.crop((left, top, min(left + width, image.width), min(top + height, image.height)))


def _origin(place: str, free_width: int, free_height: int) -> tuple[int, int]:
    """Return the position of a smaller picture's upper left corner in a larger picture. `place` is
    one of nine places in the larger picture. `free_width` and `free_height` say how much wider and
    higher the larger picture is."""
    column, row = _GRID[place]
    return free_width * column // 2, free_height * row // 2


def _rotated(image: Image.Image, degrees: int) -> Image.Image:
    if degrees % 360 == 0:
        return image
    _check_turn(image)
    corners = (0, 0, 0, 0) if image.mode == "RGBA" else (255, 255, 255)
    # Pillow rotates counter-clockwise. Pillow's rotation by 90, 180 or 270 degrees loses no pixels.
    return image.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=corners)


def _check_turn(image: Image.Image) -> None:
    if max(image.size) > MAX_TURNED_SIDE:
        raise bad_image("Picture exceed the maximum allowable rotation range.")


def _marked(image: Image.Image, step: Watermark) -> Image.Image:
    stamp = _stamp(step, image.size)
    if stamp is None:
        return image
    if step.fill:
        band = Image.new("RGBA", (image.width, stamp.height))
        for left in range(0, image.width, stamp.width + step.padx):
            band.paste(stamp, (left, 0))
        for top in range(0, image.height, stamp.height + step.pady):
            _put(image, band, (0, top))
        return image
    left, top = _origin(step.place, image.width - stamp.width, image.height - stamp.height)
    column, row = _GRID[step.place]
    left += (step.x, 0, -step.x)[column]
    top += (step.y, step.voffset, -step.y)[row]
    # If a text is too long, its beginning is shown.
    _put(image, stamp, (max(left, 0), max(top, 0)))
    return image


def _stamp(step: Watermark, size: tuple[int, int]) -> Image.Image | None:
    """Draw the watermark's text alone, but only the part that an image of this size can show.

    If the text is rotated by an angle other than 180 degrees, its width and height are cut to
    MAX_TURNED_SIDE pixels instead of the size of the image. Returns None if the text is blank.
    """
    font = ImageFont.load_default(step.size)
    text = "".join(character if character.isprintable() else " " for character in step.text)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    offset = max(step.size // 20, 1) if step.shadow else 0
    if right <= left or bottom <= top:
        return None
    most = size if step.degrees % 180 == 0 else (MAX_TURNED_SIDE, MAX_TURNED_SIDE)
    width, height = min(right - left + offset, most[0]), min(bottom - top + offset, most[1])
    stamp = _letters(text, font, step.color, (width, height), (-left, -top))
    if step.shadow:
        place = (offset - left, offset - top)
        shadow = _letters(text, font, (0, 0, 0), (width, height), place)
        stamp = Image.alpha_composite(_faded(shadow, step.shadow), stamp)
    stamp = _faded(stamp, step.opacity)
    return stamp.rotate(-step.degrees, Image.Resampling.BICUBIC, expand=True)


def _letters(
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    color: Color,
    size: tuple[int, int],
    place: tuple[int, int],
) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).text(place, text, 255, font)
    letters = Image.new("RGBA", size, color)
    letters.putalpha(mask)
    return letters


def _faded(image: Image.Image, percent: int) -> Image.Image:
    image.putalpha(image.getchannel("A").point(lambda alpha: alpha * percent // 100))
    return image


def _put(image: Image.Image, stamp: Image.Image, place: tuple[int, int]) -> None:
    if image.mode == "RGBA":
        image.alpha_composite(stamp, place)
    else:
        image.paste(stamp, place, stamp)


def _round(length: float) -> int:
    return max(int(length + 0.5), 1)
