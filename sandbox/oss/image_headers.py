"""Reads size and format from an image's header, for callbacks; no pixel is decoded."""

from __future__ import annotations

import io
import struct

from PIL import Image

from sandbox.oss.images import FORMATS, NAMES
from sandbox.oss.storage import OpenObject


class _ObjectFile(io.RawIOBase):
    """Gives Pillow an open object as a file. Only the bytes that Pillow asks for are read."""

    def __init__(self, opened: OpenObject) -> None:
        self._opened = opened
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._opened.info.size}
        if base[whence] + offset < 0:
            raise ValueError("before the first byte")
        self._place = base[whence] + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        chunks = self._opened.chunks(self._place, self._place + len(buffer))
        chunk = next(chunks, b"")
        buffer[: len(chunk)] = chunk
        self._place += len(chunk)
        return len(chunk)


def image_variables(opened: OpenObject) -> dict[str, str | int]:
    """Return the imageInfo variables of a callback, or no variables if the object is not an
    image."""
    file = io.BufferedReader(_ObjectFile(opened), 64 * 1024)
    try:
        with Image.open(file, formats=FORMATS) as image:
            return {
                "imageInfo.width": image.width,
                "imageInfo.height": image.height,
                "imageInfo.format": NAMES[image.format or ""],
            }
    # Pillow raises many kinds of errors for hostile bytes.
    except (
        OSError,
        ValueError,
        LookupError,
        ArithmeticError,
        TypeError,
        SyntaxError,
        EOFError,
        MemoryError,
        struct.error,
        Image.DecompressionBombError,
        # If Python treats warnings as errors, Pillow's warnings are raised as exceptions.
        Warning,
    ):
        return {}
