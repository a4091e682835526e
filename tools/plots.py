"""Two plain pictures for docs/evaluation.md, as SVG: how far "sure" means right, and what is taken for what."""

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
