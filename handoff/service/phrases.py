"""The sentences that the service itself says, read from one file so that they can be checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from handoff.model.errors import HandoffError
from handoff.model.words import DangerKind, Need, Risk


class PhrasesError(HandoffError):
    """The file of phrases is malformed; the message names the entry."""


@dataclass(frozen=True)
class DangerWords:
    """What is said first about one kind of danger."""

    say: str
    call: str | None
    ask: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """One direct question about danger, and the risk when the answer is yes or can't be told."""

    say: str
    raises: Risk


class Phrases:
    """`phrases["stop"]`, `phrases.say("number", number="3021")`, `phrases.danger(kind, risk)`."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._table = table
        for kind in DangerKind:
            self._check_danger(kind)
        self._check_usually()

    @classmethod
    def load(cls, path: Path) -> "Phrases":
        """Read the YAML file; raises PhrasesError naming what is wrong."""
        try:
            table = yaml.safe_load(path.read_text("utf-8"))
        except (OSError, UnicodeError, yaml.YAMLError) as error:
            raise PhrasesError("bad_phrases", f"读不了语句文件 {path}：{error}") from error
        if not isinstance(table, dict):
            raise PhrasesError("bad_phrases", f"语句文件 {path} 的最外层应是键值表。")
        return cls(table)

    def __getitem__(self, key: str) -> str:
        text = self._table.get(key)
        if not isinstance(text, str):
            raise PhrasesError("bad_phrases", f"语句文件里缺 {key}。")
        return text

    def say(self, key: str, **words: str) -> str:
        """The sentence with its places filled."""
        return self[key].format(**words)

    def of(self, group: str, key: str) -> str:
        """A sentence of a group, such as `of("promise", "urgent")`."""
        return str(self._table[group][key])

    def usually(self, need: str, at: int) -> str:
        """What holds for all matters of a need, in one of its wordings; empty where there is nothing to say."""
        wordings = self._table["usually"].get(need, [""])
        return str(wordings[at % len(wordings)])

    def danger(self, kind: DangerKind, risk: Risk, *, third: bool = False) -> DangerWords:
        """First words, number to call and questions for this kind; `third`: it is about somebody else."""
        entry = self._table["danger"][kind.value]
        if third and "third_say" in entry:
            return DangerWords(
                entry["third_say"],
                entry.get("third_call") or entry["call"] or None,
                tuple(entry["third_ask"]),
            )
        hot = "emergency_" if risk is Risk.EMERGENCY and "emergency_say" in entry else ""
        return DangerWords(entry[f"{hot}say"], entry.get(f"{hot}call") or None, tuple(entry["ask"]))

    def question(self, key: str) -> Question:
        """One of the questions that a kind of danger asks."""
        entry = self._table["questions"][key]
        return Question(entry["say"], Risk(entry["raises"] or Risk.ROUTINE))

    def numbers(self) -> set[str]:
        """Every number that these words may have shown."""
        entries = self._table["danger"].values()
        return {str(entry[key]) for entry in entries for key in entry if key.endswith("call") and entry[key]}

    def texts(self) -> list[str]:
        """All that is said, in the file's order, places unfilled; the table's own codes and numbers among it."""
        return _texts(self._table)

    def _check_danger(self, kind: DangerKind) -> None:
        try:
            for words in (self.danger(kind, risk, third=third) for risk in Risk for third in (False, True)):
                for key in words.ask:
                    self.question(key)
        except (KeyError, TypeError, ValueError) as error:
            raise PhrasesError("bad_phrases", f"语句文件里 danger.{kind.value} 不完整：{error}") from error

    def _check_usually(self) -> None:
        table = self._table.get("usually")
        if not isinstance(table, dict) or not all(
            need in list(Need) and wordings and isinstance(wordings, list) for need, wordings in table.items()
        ):
            raise PhrasesError("bad_phrases", "语句文件里 usually 要按需求写，每种需求至少一句。")


def _texts(node: Any) -> list[str]:
    if isinstance(node, str):
        return [node]
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [text for child in children for text in _texts(child)]
