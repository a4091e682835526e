"""The light consultation: which entry of the knowledge base answers what was said."""

from collections.abc import Callable, Iterable, Sequence

from handoff.language.likeness import Likeness
from handoff.model.knowledge import Entry
from handoff.model.words import Need

LIKE_ENOUGH = 0.45
"""So like a known way of asking a text must be to be answered where its words are not the entry's keys.

By likeness alone half of what it finds is wrong at any useful coverage (docs/decisions/0010): a wrong answer sends an
old person to the wrong window, so that the words decide and likeness only chooses among them.
"""
_KEYS = 1.0


class Consulting:
    """The entries of the files and, since they may be added while it runs, those that workers have written."""

    def __init__(
        self, entries: Sequence[Entry], *, region: str = "all", as_meant: Callable[[str], str] = str
    ) -> None:
        """`region`: entries of other regions are left out; `as_meant`: puts dialect into Mandarin."""
        self._files = [entry for entry in entries if entry.region in ("all", region)]
        self._as_meant = as_meant
        self.take_in([])

    @property
    def files(self) -> Sequence[Entry]:
        """The entries that came with the project."""
        return self._files

    def take_in(self, written: Iterable[Entry]) -> None:
        """Use these entries of the workers, and no others, beside those of the files."""
        entries = [*self._files, *written]
        self._entries = {entry.id: entry for entry in entries}
        known = [(entry.id, ask) for entry in entries for ask in entry.asks]
        self._likeness = Likeness(known, as_meant=self._as_meant)

    def find(self, text: str, need: Need) -> Entry | None:
        """The entry of this need that answers `text`; None where none does surely enough."""
        return self._best(text).get(need)

    def answers(self, text: str) -> dict[str, str]:
        """By need, how the entry that would answer `text` is followed up (`offer`, `open` or `none`)."""
        return {need.value: entry.follow for need, entry in self._best(text).items()}

    def _best(self, text: str) -> dict[Need, Entry]:
        likeness = self._likeness.each(text)
        meant = self._as_meant(text)
        best: dict[Need, tuple[float, Entry]] = {}
        for key, entry in self._entries.items():
            score = likeness.get(key, 0.0)
            if entry.is_meant(text) or entry.is_meant(meant):
                score += _KEYS
            if score >= LIKE_ENOUGH and score > best.get(entry.need, (0.0, entry))[0]:
                best[entry.need] = (score, entry)
        return {need: entry for need, (_, entry) in best.items()}
