"""Values of x-oss-process that must never be signed."""

from __future__ import annotations

A15 = [
    "image/Watermark,image_x",
    "image/watermark,IMAGE_x",
    "image/ watermark,image_x",
    "image/blend,image_x",
    "image/resize,w_1%7Csys/saveas,o_x",
    "image/resize,w_1/sys/saveas,o_x",
]
"""Each value names another object. An early version had a list of forbidden operations.
These values were not in the list (finding A15)."""
