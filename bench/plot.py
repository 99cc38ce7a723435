"""A bar chart as SVG, without a library. It has colours for light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from statistics import median
from typing import NamedTuple

_STYLE = (
    "text{font:13px sans-serif;fill:#1f2328}.ours{fill:#0969da}.peer{fill:#8c959f}"
    ".spread{stroke:#1f2328;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.ours{fill:#4493f8}.peer{fill:#6e7681}"
    ".spread{stroke:#e6edf3}}"
)
_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 760, 250, 70, 28, 40


class Bar(NamedTuple):
    """A bar of the plot. Its length shows the median of the values. A line in the bar goes
    from the smallest value to the largest value."""

    label: str
    values: Sequence[float]
    is_ours: bool


def svg(title: str, unit: str, bars: Sequence[Bar]) -> str:
    """The whole file. A shorter bar is better. Values are in `unit`."""
    title += " (bar: median; line: fastest to slowest)"
    scale = (_WIDTH - _LEFT - _RIGHT) / max(max(bar.values) for bar in bars)
    height = _TOP + _ROW * len(bars) + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text x="8" y="22" style="font-weight:bold">{escape(title)}</text>',
    ]
    for number, (label, values, is_ours) in enumerate(bars):
        top = _TOP + _ROW * number
        middle, low, high = (
            _LEFT + value * scale for value in (median(values), min(values), max(values))
        )
        kind, width = "ours" if is_ours else "peer", middle - _LEFT
        said = f"{median(values):,.{2 if median(values) < 10 else 0}f} {escape(unit)}"
        lines += [
            f'<text x="{_LEFT - 8}" y="{top + 15}" text-anchor="end">{escape(label)}</text>',
            f'<rect class="{kind}" x="{_LEFT}" y="{top}" width="{width:.1f}" height="20"/>',
            f'<path class="spread" d="M{low:.1f} {top + 10}H{high:.1f}"/>',
            f'<text x="{high + 6:.1f}" y="{top + 15}">{said}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
