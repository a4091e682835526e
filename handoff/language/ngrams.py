"""Text as runs of characters, for what has no word breaks; shared by the need classifier and the consultation."""

import unicodedata

EDGE = "^"


def plain(text: str) -> str:
    """The text as the n-grams see it: one width, lower case, letters and digits only, `^` at each break."""
    kept = (ch if ch.isalnum() else EDGE for ch in unicodedata.normalize("NFKC", text).casefold())
    words = "".join("0" if ch.isdigit() else ch for ch in kept)
    return EDGE + EDGE.join(filter(None, words.split(EDGE))) + EDGE


def ngrams(text: str, longest: int) -> list[str]:
    """All runs of 1 to `longest` characters, repeats included."""
    line = plain(text)
    return [
        line[start : start + size]
        for size in range(1, longest + 1)
        for start in range(len(line) - size + 1)
        if line[start : start + size] != EDGE
    ]
