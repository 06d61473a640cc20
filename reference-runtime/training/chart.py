"""The loss curve as an SVG: training loss (smoothed) and held-out bits per byte by segment, over tokens seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 860, 330
PLOT = {"top": 46, "height": 220, "width": 300}
COLOURS = {
    "train": "#4269d0",
    "en": "#4269d0",
    "de": "#c4453a",
    "fr": "#2f8f5b",
    "code": "#8a5bb8",
    "data": "#b7791f",
    "mean": "#222222",
}


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round tick values that lie in the range."""
    raw = (high - low) / count
    step = min((f * 10.0 ** math.floor(math.log10(raw)) for f in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - raw))
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 6) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def panel(left: int, title: str, series: dict[str, Points], labels: bool) -> list[str]:
    """One plot with its axes; ``series`` maps a name to (million tokens, value) points."""
    values = [value for points in series.values() for _, value in points]
    low, high = math.floor(min(values) * 2) / 2, math.ceil(max(values) * 2) / 2
    right = max(x for points in series.values() for x, _ in points)
    bottom = PLOT["top"] + PLOT["height"]

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x / right * PLOT["width"], bottom - (y - low) / (high - low) * PLOT["height"]

    parts = [f'<text x="{left}" y="26" font-size="14" font-weight="600">{title}</text>']
    for tick in ticks(low, high, 5):
        y = at(0, tick)[1]
        parts.append(f'<path d="M{left} {y:.1f}h{PLOT["width"]}" stroke="#e3e3e3"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in ticks(0, right, 5):
        x = at(tick, low)[0]
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>')
    middle = left + PLOT["width"] / 2
    parts.append(f'<text x="{middle}" y="{bottom + 38}" text-anchor="middle">million tokens</text>')
    places: list[float] = []
    for name, points in sorted(series.items(), key=lambda item: item[1][-1][1]):
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (at(*point) for point in points))
        thick = 2.5 if name in {"mean", "train"} else 1.6
        parts.append(f'<path d="M{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="{thick}"/>')
        if labels:
            y = min([at(*points[-1])[1], *(place - 14 for place in places[-1:])])
            places.append(y)
            x = left + PLOT["width"] + 6
            label = f"{name} {points[-1][1]:.2f}"
            parts.append(f'<text x="{x}" y="{y + 4:.1f}" fill="{COLOURS[name]}">{label}</text>')
    return parts


def loss_chart(train: Points, held: dict[str, Points]) -> str:
    """The whole image; points are (tokens, value), training loss in nats per token."""
    scaled = {name: [(x / 1e6, y) for x, y in points] for name, points in held.items()}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#333" role="img" aria-labelledby="title">',
        '<title id="title">Loss of mixtral-micro over training</title>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *panel(50, "Training loss (nats per token)", {"train": [(x / 1e6, y) for x, y in train]}, False),
        *panel(450, "Held-out bits per byte", scaled, True),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
