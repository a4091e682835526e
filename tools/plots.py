"""Plain pictures for the docs, as SVG: how far "sure" means right, what is taken for what, and the time line of a call."""

from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

INK, PALE, MARK = "#22302b", "#d9d2c3", "#a8321f"


def _svg(width: int, height: int, parts: Sequence[str], title: str) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'font-family="sans-serif" font-size="12" fill="{INK}"><title>{escape(title)}</title>'
        f'<rect width="{width}" height="{height}" fill="#fffefb"/>'
    )
    return "\n".join([head, *parts, "</svg>\n"])


def calibration_plot(path: Path, bins: Sequence[tuple[float, float, int]]) -> None:
    """A dot for each bin (mean confidence, share that was right, sentences), its area by the sentences."""
    size, pad = 300, 46
    most = max((count for *_, count in bins), default=1)

    def at(share: float) -> float:
        return pad + share * size

    parts = [
        f'<rect x="{pad}" y="{pad - 20}" width="{size}" height="{size}" fill="none" stroke="{PALE}"/>',
        f'<line x1="{at(0)}" y1="{pad - 20 + size}" x2="{at(1)}" y2="{pad - 20}" stroke="{PALE}" stroke-dasharray="4 4"/>',
        f'<text x="{pad + size / 2}" y="{size + pad + 14}" text-anchor="middle">confidence</text>',
        f'<text x="14" y="{pad - 20 + size / 2}" transform="rotate(-90 14 {pad - 20 + size / 2})" text-anchor="middle">right</text>',
    ]
    for share in (0.0, 0.5, 1.0):
        parts += [
            f'<text x="{at(share)}" y="{size + pad - 4}" text-anchor="middle">{share:.1f}</text>',
            f'<text x="{pad - 6}" y="{pad - 16 + (1 - share) * size}" text-anchor="end">{share:.1f}</text>',
        ]
    for sure, right, count in bins:
        radius = 4 + 14 * (count / most) ** 0.5
        parts.append(
            f'<circle cx="{at(sure):.1f}" cy="{pad - 20 + (1 - right) * size:.1f}" r="{radius:.1f}" fill="{MARK}" '
            f'fill-opacity="0.7"><title>{count}: {sure:.3f} / {right:.3f}</title></circle>'
        )
    path.write_text(_svg(size + pad + 20, size + pad + 24, parts, "Confidence and share right"), "utf-8")


def confusion_plot(path: Path, names: Sequence[str], truth: Sequence[str], found: Sequence[str]) -> None:
    """Rows are what was meant, columns what it was taken for; the diagonal is right."""
    cell, left, top = 24, 92, 96
    counts = Counter(zip(truth, found, strict=True))
    meant = Counter(truth)
    parts = []
    for at, name in enumerate(names):
        middle = at * cell + cell / 2
        parts += [
            f'<text x="{left - 6}" y="{top + middle + 4}" text-anchor="end">{escape(name)}</text>',
            f'<text transform="translate({left + middle + 4} {top - 6}) rotate(-60)">{escape(name)}</text>',
        ]
    for row, a in enumerate(names):
        for column, b in enumerate(names):
            if count := counts[a, b]:
                colour = INK if a == b else MARK
                where = f'x="{left + column * cell}" y="{top + row * cell}"'
                parts += [
                    f'<rect {where} width="{cell - 1}" height="{cell - 1}" fill="{colour}" fill-opacity="{0.15 + 0.7 * count / meant[a]:.2f}"/>',
                    f'<text x="{left + column * cell + cell / 2}" y="{top + row * cell + 16}" text-anchor="middle" font-size="11">{count}</text>',
                ]
    size = len(names) * cell
    path.write_text(
        _svg(left + size + 70, top + size + 10, parts, "What was meant and what it was taken for"), "utf-8"
    )


def timeline_plot(
    path: Path, sides: Sequence[tuple[str, Sequence[tuple[float, float]]]], marks: Sequence[tuple[float, str]], seconds: float
) -> None:  # fmt: skip
    """Who spoke when: a row for each of `sides` (name, spans from and to in seconds), and what was decided when: `marks`."""
    left, row, scale, note = 60, 34, 14.0, 15
    below = 20 + len(sides) * row
    parts = []
    for at in range(0, int(seconds) + 1, 5):
        x = left + at * scale
        parts += [
            f'<line x1="{x}" y1="16" x2="{x}" y2="{below}" stroke="{PALE}"/>',
            f'<text x="{x}" y="12" text-anchor="middle" font-size="10">{at} s</text>',
        ]
    for at, (name, spans) in enumerate(sides):
        y = 22 + at * row
        parts.append(f'<text x="{left - 8}" y="{y + 17}" text-anchor="end">{escape(name)}</text>')
        for begun, ended in spans:
            where = f'x="{left + begun * scale:.1f}" width="{max(ended - begun, 0.05) * scale:.1f}"'
            parts.append(f'<rect {where} y="{y}" height="{row - 10}" rx="3" fill="{INK if at else MARK}"/>')
    free: list[float] = []
    for at, label in sorted(marks):
        # The first line of notes on which it does not run into the one before.
        line = next((n for n, end in enumerate(free) if end < at), len(free))
        free[line : line + 1] = [at + (len(label) * 11 + 14) / scale]
        x, y = left + at * scale, below + 18 + line * note
        parts += [
            f'<line x1="{x:.1f}" y1="22" x2="{x:.1f}" y2="{y - 9}" stroke="{MARK}" stroke-dasharray="2 3"/>',
            f'<text x="{x + 3:.1f}" y="{y}" font-size="11">{escape(label)}</text>',
        ]
    width = left + max([seconds, *free]) * scale + 20
    height = below + 26 + len(free) * note
    path.write_text(_svg(round(width), height, parts, "Who spoke when, and what was decided"), "utf-8")
