"""The station page's files, and the sentences that stand in the page itself."""

import re
from functools import cache
from html import unescape
from pathlib import Path

PAGES = Path(__file__).parent


@cache
def page_phrases() -> dict[str, str]:
    """What the page says by itself ("the network is gone"), by key."""
    html = (PAGES / "station.html").read_text("utf-8")
    return {
        key: unescape(text).strip()
        for key, text in re.findall(r'<li data-key="([a-z-]+)">([^<]*)</li>', html)
    }
