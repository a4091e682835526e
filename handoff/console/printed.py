"""How a station card looks on paper: its number in groups, a code for scanners and telephones, a picture to know it by."""

from dataclasses import dataclass

import segno
from markupsafe import Markup

from handoff.service.cards import in_groups
from handoff.service.queue import CardView

MARKS = ("sun", "fish", "house", "tree", "flower", "moon", "bird", "cup")
"""Pictures, so that who can't read knows their own card from a neighbour's; drawn in the template."""
MARKS_ZH = dict(zip(MARKS, ("太阳", "鱼", "房子", "树", "花", "月亮", "鸟", "茶杯"), strict=True))


@dataclass(frozen=True)
class PrintedCard:
    """What the template needs. code: an SVG drawing."""

    number: str
    village: str
    mark: str
    mark_zh: str
    code: Markup
    scans: bool
    """Whether a telephone's camera leads to the page, and not only a card reader to the number."""


def print_card(card: CardView, link: str) -> PrintedCard:
    """`link`: what comes before the number in the code; empty where there is no page to lead to."""
    drawing = segno.make(f"{link}{card.number}", error="m", micro=False)
    mark = MARKS[int(card.number) % len(MARKS)]
    code = drawing.svg_inline(scale=4, border=2, omitsize=True)
    return PrintedCard(
        in_groups(card.number),
        card.village,
        mark,
        MARKS_ZH[mark],
        Markup(code),  # noqa: S704  # of digits and an address of our own
        scans=bool(link),
    )
