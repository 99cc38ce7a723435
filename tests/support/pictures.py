"""Makes pictures for tests, as files, and processes them with the sandbox."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from sandbox.oss.errors import OssError
from sandbox.oss.image_instructions import parse
from sandbox.oss.images import process

RED, GREEN, BLUE, WHITE, BLACK = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
    (0, 0, 0),
)


def quarters(width: int = 200, height: int = 100) -> Image.Image:
    """A picture of four colours: red and green above, blue and white below."""
    image = Image.new("RGB", (width, height), WHITE)
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    return image


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    """Return the colours near the corners: upper left, upper right, lower left, lower right."""
    right, low = image.width - 3, image.height - 3
    return [pixel(image, x, y) for x, y in ((2, 2), (right, 2), (2, low), (right, low))]


def pixel(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    found = image.convert("RGBA" if image.has_transparency_data else "RGB").getpixel((x, y))
    assert isinstance(found, tuple)
    return tuple(int(value) for value in found)


def close(found: tuple[int, ...], wanted: tuple[int, ...], by: int = 8) -> bool:
    """Whether two colours are almost the same. JPEG and resizing change a colour a little."""
    return len(found) == len(wanted) and all(
        abs(one - other) <= by for one, other in zip(found, wanted, strict=True)
    )


def extrema(image: Image.Image) -> list[tuple[int, int]]:
    """The least and the largest value of each channel."""
    return [channel.getextrema() for channel in image.split()]  # type: ignore[misc]


@contextmanager
def or_refused(*statuses: int) -> Iterator[None]:
    """Ignore a refusal of OSS if it has one of these statuses."""
    try:
        yield
    except OssError as error:
        if error.status not in statuses:
            raise


def encoded(image: Image.Image, name: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def opened(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def made(source: bytes, actions: str) -> Image.Image:
    """Process a file with image/`actions`, and decode the result."""
    return opened(process(source, parse(f"image/{actions}")).body)


def text(value: str) -> str:
    """URL-safe base64 without padding, as the parameters text_ and type_ need it."""
    return base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")


def png_of_zeros(width: int, height: int) -> bytes:
    """A black PNG of any size. The file is small: 1 bit a pixel, and compressed."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pressed = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(pressed.compress(row) for _ in range(height)) + pressed.flush()
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
