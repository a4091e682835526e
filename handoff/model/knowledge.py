"""The knowledge base of the light consultation: what is usual, what to watch, where to go, what to bring."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from handoff.model.errors import HandoffError
from handoff.model.sayable import fault
from handoff.model.words import Need

REGIONS = ("all", "southwest", "jin", "northeast", "central")
PARTS = ("usual", "watch", "where", "bring")
Follow = Literal["open", "offer", "none"]
_FIELDS = {"id", "region", "asks", "keys", *PARTS, "case", "source", "date", "recheck"}


class KnowledgeError(HandoffError):
    """The knowledge base is malformed; the message names file, entry and what is wrong."""


@dataclass(frozen=True)
class Entry:
    """One thing people ask, and what is said to it.

    asks: ways of asking it; keys: groups of words, of each of which one must be said, and unless: words of which
    none may be, for the entry to be meant whatever else is said; usual, watch, where, bring: sentences, each sayable by itself; follow: whether a case
    is opened, offered or neither; source, written, recheck_by, recheck_months: where it is from and who must
    look at it again when.
    """

    id: str
    need: Need
    region: str
    asks: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]
    unless: tuple[str, ...]
    usual: tuple[str, ...]
    watch: tuple[str, ...]
    where: tuple[str, ...]
    bring: tuple[str, ...]
    follow: Follow
    source: str
    written: date
    recheck_by: str
    recheck_months: int

    @property
    def said(self) -> tuple[str, ...]:
        """All of it, in the order it is said."""
        return (*self.usual, *self.watch, *self.where, *self.bring)

    def is_meant(self, text: str) -> bool:
        """Whether the words that `text` must hold for this entry are all there, and none that it must not."""
        heard = all(any(word in text for word in group) for group in self.keys)
        return bool(self.keys) and heard and not any(word in text for word in self.unless)

    def due(self, today: date) -> bool:
        """Whether somebody should have looked at it again by now."""
        months = today.year * 12 + today.month - self.written.year * 12 - self.written.month
        return months - (today.day < self.written.day) >= self.recheck_months


def load_knowledge(folder: Path) -> list[Entry]:
    """All entries of the folder's files, one file a need; raises KnowledgeError."""
    found: list[Entry] = []
    seen: set[str] = set()
    for path in sorted(folder.glob("*.yaml")):
        for entry in _read(path):
            if entry.id in seen:
                raise KnowledgeError("bad_knowledge", f"{path}：“{entry.id}”写了两次。")
            seen.add(entry.id)
            found.append(entry)
    if not found:
        raise KnowledgeError("bad_knowledge", f"{folder} 里没有知识条目。")
    return found


def _read(path: Path) -> Iterable[Entry]:
    try:
        need = Need(path.stem)
        rows = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise KnowledgeError("bad_knowledge", f"读不了 {path}：{error}") from error
    if not isinstance(rows, list):
        raise KnowledgeError("bad_knowledge", f"{path} 的最外层应是列表。")
    for at, row in enumerate(rows, 1):
        name = row.get("id", f"第 {at} 条") if isinstance(row, dict) else f"第 {at} 条"
        try:
            yield _entry(need, row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise KnowledgeError("bad_knowledge", f"{path} 的“{name}”有误：{error}") from error


def _entry(need: Need, row: dict[str, Any]) -> Entry:
    if unknown := set(row) ^ _FIELDS:
        raise ValueError(f"缺少或多出 {'、'.join(sorted(unknown))}")
    parts = {part: tuple(str(text) for text in row[part] or ()) for part in PARTS}
    for text in (text for part in parts.values() for text in part):
        if why := fault(text):
            raise ValueError(f"“{text[:10]}……”{why}")
    asks = tuple(str(ask) for ask in row["asks"])
    if len(asks) < 3 or not parts["usual"]:
        raise ValueError("至少要三种问法和一句 usual")
    if row["region"] not in REGIONS or row["case"] not in ("open", "offer", "none"):
        raise ValueError("region 或 case 不在可选的词里")
    groups = [tuple(str(group).split("/")) for group in row["keys"]]
    if not groups or not all(all(group) for group in groups):
        raise ValueError("keys 要有一组以上的词，用 / 隔开")
    written = row["date"] if isinstance(row["date"], date) else date.fromisoformat(str(row["date"]))
    return Entry(
        id=str(row["id"]), need=need, region=row["region"], asks=asks,
        keys=tuple(group for group in groups if not group[0].startswith("!")),
        unless=tuple(word.removeprefix("!") for group in groups if group[0].startswith("!") for word in group),
        follow=cast(Follow, row["case"]),
        source=str(row["source"]), written=written, recheck_by=str(row["recheck"]["by"]),
        recheck_months=int(row["recheck"]["every_months"]), **parts,
    )  # fmt: skip
