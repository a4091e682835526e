"""What dialect words mean in Mandarin, and a text with them put into Mandarin; shared by Rasa and the danger screen."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ["word", "meaning", "pos", "source", "note"]
PARTS = frozenset("n v a d r m q p c u i".split())
CONTEXT = (
    "context"  # a note that begins so: the word is Mandarin too, with another meaning, and is left alone
)


class DialectError(Exception):
    """A file of the dialect lexicon is missing or malformed; the message names file and line."""


@dataclass(frozen=True)
class Word:
    """One entry. region: the file's name; source: where the meaning is from, or `unverified`."""

    word: str
    meaning: str
    region: str
    pos: str
    source: str
    note: str

    @property
    def replaced(self) -> bool:
        """Whether it may be put into Mandarin wherever it stands."""
        return not self.note.startswith(CONTEXT)


@dataclass(frozen=True)
class Mandarin:
    """A text with its dialect words in Mandarin.

    starts, ends: for each character the span of the text as it was said that it stands for.
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def original(self, span: str, text: str) -> str:
        """The piece of the original `text` that became `span`; `span` itself where it is not in the Mandarin."""
        at = self.text.find(span)
        return text[self.starts[at] : self.ends[at + len(span) - 1]] if at >= 0 and span else span


class Dialect:
    """The lexicon, ready to be applied; linear in the text's length."""

    def __init__(self, words: list[Word]) -> None:
        self.words = words
        # What one region's table leaves alone is left alone whoever speaks: nobody has said where they are from.
        kept = {one.word for one in words if not one.replaced}
        meanings: dict[str, str] = {}
        for one in words:
            if one.word not in kept:
                meanings.setdefault(one.word, one.meaning)
        by_first: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for word in sorted(meanings, key=len, reverse=True):
            by_first[word[0]].append((word, meanings[word]))
        self._by_first = dict(by_first)

    @classmethod
    def load(cls, folder: Path) -> "Dialect":
        """All tables of a folder; raises DialectError."""
        paths = sorted(folder.glob("*.tsv"))
        if not paths:
            raise DialectError(f"{folder} 里没有方言词表（*.tsv）")
        return cls([word for path in paths for word in _read(path)])

    def mandarin(self, text: str) -> Mandarin:
        """`text` with every dialect word replaced, the longest first; the same text where there is none."""
        said: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        at = 0
        while at < len(text):
            word, meaning = self._at(text, at)
            end = at + len(word)
            said.append(meaning)
            starts += [at] * len(meaning)
            ends += [end] * len(meaning)
            at = end
        return Mandarin("".join(said), tuple(starts), tuple(ends))

    def _at(self, text: str, at: int) -> tuple[str, str]:
        for word, meaning in self._by_first.get(text[at], ()):
            if text.startswith(word, at):
                return word, meaning
        return text[at], text[at]


def _read(path: Path) -> Iterator[Word]:
    seen: set[str] = set()
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        for number, row in enumerate(rows, 1):
            if number == 1 and row == COLUMNS:
                continue
            word, meaning, pos, source, note = _checked(path, number, row)
            if word in seen:
                raise DialectError(f"{path} 第 {number} 行：“{word}”重复")
            seen.add(word)
            yield Word(word, meaning, path.stem, pos, source, note)


def _checked(path: Path, number: int, row: list[str]) -> list[str]:
    if len(row) != len(COLUMNS):
        raise DialectError(f"{path} 第 {number} 行：要 {len(COLUMNS)} 列，用制表符隔开，实有 {len(row)} 列")
    fields = [field.strip() for field in row]
    if not all(fields[:4]) or fields[2] not in PARTS or fields[0] == fields[1]:
        raise DialectError(
            f"{path} 第 {number} 行：词、释义、词性、出处都要写，词性取 {' '.join(sorted(PARTS))}"
        )
    return fields
