"""Every sentence that may be said and holds nothing of anybody: what the voice can render ahead."""

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from connectors.settings import ROOT
from handoff.model.knowledge import Entry
from voice.speech_text import first_clause, sentences

_PLACE = "{"
_LEAST = 4
"""Shorter texts are names and keys, not sentences."""


def responses() -> Iterator[str]:
    """What the dialogue says."""
    table = yaml.safe_load((ROOT / "bot" / "domain" / "responses.yml").read_text("utf-8"))["responses"]
    for wordings in table.values():
        yield from filter(None, map(_text, wordings))


def _text(wording: Any) -> str:
    return str(wording.get("text") or "") if isinstance(wording, dict) else ""


def said_in(entries: Iterable[Entry]) -> Iterator[str]:
    """What the knowledge base says, each answer in one."""
    for entry in entries:
        yield "".join(entry.said)


def said_ahead(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    """The sentences to render: those that a text begins with, for which somebody waits, and those that are rendered while
    another is being said.

    Of a sentence with a place to fill only the first clause, where that has none: where an answer begins with it, it is rendered apart.
    """
    begin: dict[str, None] = {}
    go_on: dict[str, None] = {}
    for text in texts:
        for at, sentence in enumerate(sentences(text) if len(text) >= _LEAST else ()):
            piece = first_clause(sentence)[0] if _PLACE in sentence else sentence
            if _PLACE not in piece:
                (go_on if at else begin)[piece] = None
    return [*begin], [piece for piece in go_on if piece not in begin]
