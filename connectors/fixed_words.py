"""Every sentence that may be said and holds nothing of anybody: what the voice can render ahead."""

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from connectors.settings import ROOT
from handoff.model.knowledge import Entry


def responses() -> Iterator[str]:
    """What the dialogue says, without what has a place to fill."""
    table = yaml.safe_load((ROOT / "bot" / "domain" / "responses.yml").read_text("utf-8"))["responses"]
    for wordings in table.values():
        yield from (text for wording in wordings if "{" not in (text := _text(wording)) and text)


def _text(wording: Any) -> str:
    return str(wording.get("text") or "") if isinstance(wording, dict) else ""


def said_in(entries: Iterable[Entry]) -> Iterator[str]:
    """What the knowledge base says."""
    for entry in entries:
        yield from entry.said
