"""Words cut to what the platform takes: whole sentences where it can be, never half a character."""

import re
from collections.abc import Iterator

MAX_BYTES = 2048
_SENTENCE = re.compile(r"[^。！？!?\n]*[。！？!?\n]+|[^。！？!?\n]+$")


def split_text(text: str, most: int = MAX_BYTES) -> list[str]:
    """The text in pieces of at most `most` bytes of UTF-8, at sentences; at least one piece."""
    parts = [""]
    for sentence in _sentences(text, most):
        if parts[-1] and _size(parts[-1] + sentence) > most:
            parts.append("")
        parts[-1] += sentence
    return [part.strip() for part in parts if part.strip()] or [text[:1] or "。"]


def _sentences(text: str, most: int) -> Iterator[str]:
    for sentence in _SENTENCE.findall(text):
        while _size(sentence) > most:
            head = sentence.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
            yield head
            sentence = sentence[len(head) :]
        yield sentence


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
