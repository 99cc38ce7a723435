"""`make screenshots`: takes screenshots of the page, and puts the two that README shows into
docs/images/. All other screenshots (light and dark, phone and desktop, both languages) go to a
folder where people can look at them."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from built_page import built_page
from javascript import run
from running_sandbox import ROOT, running

IMAGES = ROOT / "docs" / "images"
MAX_BYTES = 150_000
SHOWN = {"page-phone.webp": "phone-light-en-GB-arrived", "page-desk.webp": "desk-light-en-GB-top"}
"""The files in docs/images/, each with the name of the screenshot that it shows."""
WIDTHS = {"page-phone.webp": 412, "page-desk.webp": 1280}
"""The width of each file in pixels."""
_SKIES = {
    "dunes.jpg": ((250, 214, 165), (226, 125, 96), (133, 72, 60)),
    "lake.jpg": ((196, 226, 245), (88, 150, 196), (30, 74, 92)),
    "pines.jpg": ((214, 232, 206), (112, 160, 120), (28, 66, 48)),
}


def photograph(name: str) -> Image.Image:
    """A landscape of 1600 x 1200 pixels: a sky, a sun and hills."""
    top, bottom, ground = _SKIES[name]
    image = Image.new("RGB", (1600, 1200))
    draw = ImageDraw.Draw(image)
    for y in range(1200):
        mixed = (a + (b - a) * y // 1200 for a, b in zip(top, bottom, strict=True))
        draw.line((0, y, 1600, y), tuple(mixed))
    draw.ellipse((1050, 260, 1250, 460), (255, 248, 225))
    for number, height in enumerate((760, 880, 1010)):
        color = tuple(channel + (2 - number) * 24 for channel in ground)
        hills = [
            (x, height + abs((x * (number + 2) // 3 + number * 211) % 800 - 400) // 3)
            for x in range(0, 1601, 20)
        ]
        draw.polygon([(0, 1200), *hills, (1600, 1200)], color)
    return image


def main() -> None:
    """Take all screenshots, and print where they are."""
    built_page()
    folder = Path(tempfile.mkdtemp(prefix="screenshots-"))
    photos = []
    for name in _SKIES:
        photograph(name).save(folder / name, quality=85)
        photos.append({"path": str(folder / name)})
    shots: list[dict[str, Any]] = [
        {
            "name": f"{device}-{theme}-{locale}",
            "device": "Pixel 7" if device == "phone" else "",
            "dark": theme == "dark",
            "locale": locale,
        }
        for device, theme, locale in itertools.product(
            ("phone", "desk"), ("light", "dark"), ("en-GB", "zh-CN")
        )
    ]
    for shot in shots:
        # Each screenshot has its own sandbox, so that alice has no files at the start.
        with running(folder / f"state-{shot['name']}", AUTH="jwt") as sandbox:
            url = f"http://127.0.0.1:{sandbox.port}/app/"
            job = {"url": url, "folder": str(folder), "photos": photos, "shots": [shot]}
            run("screenshots.mjs", job)
    IMAGES.mkdir(exist_ok=True)
    for name, shot_name in SHOWN.items():
        with Image.open(folder / f"{shot_name}.png") as image:
            height = image.height * WIDTHS[name] // image.width
            small = image.convert("RGB").resize((WIDTHS[name], height), Image.Resampling.LANCZOS)
            small.save(IMAGES / name, quality=85, method=6)
        assert (IMAGES / name).stat().st_size < MAX_BYTES
    print(f"{', '.join(SHOWN)} in {IMAGES.relative_to(ROOT)}; all others in {folder}")  # noqa: T201


if __name__ == "__main__":
    main()
