"""The danger lexicon: concepts, signs and cues read from YAML, and the small language signs are written in.

A pattern is one line of elements parted by blanks:
    <name>   any term of that concept          喝|吞   any of these terms
    4        up to 4 characters in between, within one clause
    4,       the same, also across clauses      x?     an element that may be missing
    -x|y     does not begin right after these   !x|y   not right before these
    ^  $     the clause begins, ends here
All terms are literal, so every gap is bounded and matching is linear in the length of the text.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from handoff.model.errors import HandoffError
from handoff.model.words import DangerKind, Risk

CUES = (
    "negation",
    "filler",
    "unsure",
    "if",
    "past",
    "now",
    "told",
    "over",
    "general",
    "animal",
    "person",
    "self",
    "gone",
)
_ROLES = ("", "wish", "means", "hint", "trace")
_IN_CLAUSE = "[^，。？]"
_ANYWHERE = "."


class LexiconError(HandoffError):
    """The danger lexicon at {file}, entry {entry}, is malformed: {what}."""

    def __init__(self, file: Path, entry: str, what: str) -> None:
        super().__init__("danger_lexicon", f"危险词表 {file} 的“{entry}”有误：{what}")
        self.file = file
        self.entry = entry


@dataclass(frozen=True)
class Pattern:
    """One line of the small language: the expression it means and the term groups it cannot do without."""

    source: str
    expression: str
    needs: tuple[tuple[str, ...], ...]

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """Compiled on first use: most patterns never meet a text that holds all their terms."""
        return re.compile(self.expression, re.DOTALL)


@dataclass(frozen=True)
class Sign:
    """Something that raises risk: any of its patterns, unless one of `unless` stands in the same sentence."""

    name: str
    patterns: tuple[Pattern, ...]
    risk: Risk
    kinds: tuple[DangerKind, ...] = ()
    role: str = ""
    unless: tuple[Pattern, ...] = ()
    still: frozenset[str] = frozenset()


@dataclass
class Lexicon:
    """All of nlu_data/danger: what the screen knows, checked and ready to match."""

    signs: list[Sign] = field(default_factory=list)
    masks: list[Pattern] = field(default_factory=list)
    cues: dict[str, list[Pattern]] = field(default_factory=dict)
    watch: list[str] = field(default_factory=list)
    heard: dict[str, str] = field(default_factory=dict)
    traditional: dict[str, str] = field(default_factory=dict)


def load_lexicon(folder: Path) -> Lexicon:
    """Read every YAML file of `folder`; LexiconError names the file and the entry that is wrong."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise LexiconError(folder, "-", "文件夹里没有 .yaml 文件")
    pages = [(file, _page(file)) for file in files]
    concepts: dict[str, tuple[str, ...]] = {}
    for file, page in pages:
        for name, words in _mapping(file, "concepts", page.get("concepts")):
            if name in concepts:
                raise LexiconError(file, name, "这个概念已经定义过")
            concepts[name] = _words(file, name, words)
    lexicon = Lexicon()
    for file, page in pages:
        _Reader(file, concepts, lexicon).read(page)
    if not lexicon.signs:
        raise LexiconError(folder, "signs", "一条险情规则也没有")
    for cue in CUES:
        if cue not in lexicon.cues:
            raise LexiconError(folder, f"cues/{cue}", "缺少这一类提示词")
    return lexicon


_PARTS = ("concepts", "signs", "masks", "cues", "watch", "heard", "traditional")
_FIELDS = ("sign", "kinds", "risk", "say", "role", "unless", "still")


def _page(file: Path) -> dict[str, Any]:
    try:
        page = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LexiconError(file, "-", f"读不出来（{type(error).__name__}）") from error
    if not isinstance(page, dict):
        raise LexiconError(file, "-", "最外层应是键值表")
    for part in page:
        if part not in _PARTS:
            raise LexiconError(file, str(part), f"不认识的部分，应是 {'、'.join(_PARTS)} 之一")
    return page


def _mapping(file: Path, entry: str, value: object) -> Iterator[tuple[str, object]]:
    if value is None:
        return
    if not isinstance(value, dict):
        raise LexiconError(file, entry, "应是键值表")
    for key, inner in value.items():
        yield str(key), inner


def _words(file: Path, entry: str, value: object) -> tuple[str, ...]:
    words = tuple(value.split()) if isinstance(value, str) else ()
    if not words:
        raise LexiconError(file, entry, "应是用空格隔开的词")
    return words


@dataclass
class _Reader:
    """Reads one page into the lexicon, with the file and entry at hand for the error."""

    file: Path
    concepts: dict[str, tuple[str, ...]]
    lexicon: Lexicon

    def read(self, page: dict[str, Any]) -> None:
        entries = page.get("signs") or []
        if not isinstance(entries, list):
            raise LexiconError(self.file, "signs", "应是列表")
        for place, entry in enumerate(entries, start=1):
            self.lexicon.signs.append(self._sign(place, entry))
        if page.get("masks") is not None:
            self.lexicon.masks += self._patterns("masks", page["masks"])
        for name, lines in _mapping(self.file, "cues", page.get("cues")):
            if name not in CUES:
                raise LexiconError(self.file, f"cues/{name}", f"应是 {'、'.join(CUES)} 之一")
            self.lexicon.cues.setdefault(name, []).extend(self._patterns(f"cues/{name}", lines))
        if page.get("watch") is not None:
            self.lexicon.watch += _words(self.file, "watch", page["watch"])
        self._same_length("heard", page.get("heard"), self.lexicon.heard)
        self._same_length("traditional", page.get("traditional"), self.lexicon.traditional)

    def _same_length(self, part: str, value: object, into: dict[str, str]) -> None:
        for key, meant in _mapping(self.file, part, value):
            if not isinstance(meant, str) or len(key) != len(meant):
                raise LexiconError(self.file, f"{part}/{key}", "两边字数要一样（数字请加引号）")
            into[key] = meant

    def _sign(self, place: int, entry: object) -> Sign:
        if not isinstance(entry, dict) or not isinstance(entry.get("sign"), str):
            raise LexiconError(self.file, f"signs 第 {place} 条", "应是带 sign 名称的键值表")
        name = entry["sign"]
        for key in entry:
            if key not in _FIELDS:
                raise LexiconError(self.file, name, f"不认识的键 {key}")
        role = entry.get("role", "")
        if role not in _ROLES:
            raise LexiconError(self.file, name, f"role 应是 {'、'.join(_ROLES[1:])} 之一")
        return Sign(
            name=name,
            patterns=self._patterns(name, entry.get("say")),
            risk=self._risk(name, entry.get("risk")),
            kinds=self._kinds(name, entry.get("kinds")),
            role=role,
            unless=self._patterns(name, entry["unless"]) if "unless" in entry else (),
            still=self._still(name, entry.get("still")),
        )

    def _risk(self, name: str, value: object) -> Risk:
        if value not in list(Risk):
            raise LexiconError(self.file, name, f"risk 应是 {'、'.join(Risk)} 之一")
        return Risk(str(value))

    def _kinds(self, name: str, value: object) -> tuple[DangerKind, ...]:
        kinds = _words(self.file, name, value)
        for kind in kinds:
            if kind not in list(DangerKind):
                raise LexiconError(self.file, name, f"没有 {kind} 这种险情")
        return tuple(map(DangerKind, kinds))

    def _still(self, name: str, value: object) -> frozenset[str]:
        if value is None:
            return frozenset()
        cues = _words(self.file, name, value)
        for cue in cues:
            if cue not in CUES:
                raise LexiconError(self.file, name, f"still 里不认识 {cue}")
        return frozenset(cues)

    def _patterns(self, entry: str, value: object) -> tuple[Pattern, ...]:
        lines = [line.strip() for line in value.splitlines()] if isinstance(value, str) else []
        lines = [line for line in lines if line and not line.startswith("#")]
        if not lines:
            raise LexiconError(self.file, entry, "应是一行一条的写法")
        try:
            return tuple(parse(line, self.concepts) for line in lines)
        except ValueError as error:
            raise LexiconError(self.file, entry, str(error)) from error


def parse(line: str, concepts: dict[str, tuple[str, ...]]) -> Pattern:
    """One line of the small language; ValueError says which element is wrong."""
    pieces: list[str] = []
    needs: list[tuple[str, ...]] = []
    for element in line.split():
        if re.fullmatch(r"\d{1,2},?", element):
            inside = _ANYWHERE if element.endswith(",") else _IN_CLAUSE
            pieces.append(f"({inside}{{0,{element.rstrip(',')}}}?)")
        elif element == "^":
            pieces.append("(?:(?<=[，。？])|^)")
        elif element == "$":
            pieces.append("(?=[，。？]|$)")
        elif element[0] == "-":
            pieces[:0] = [f"(?<!{re.escape(term)})" for term in _terms(element[1:], concepts)]
        elif element[0] == "!":
            pieces.append(f"(?!{_either(_terms(element[1:], concepts))})")
        elif element.endswith("?"):
            pieces.append(f"{_either(_terms(element[:-1], concepts))}?")
        else:
            terms = _terms(element, concepts)
            needs.append(terms)
            pieces.append(_either(terms))
    if not needs:
        raise ValueError(f"“{line}”里没有一个必需的词")
    return Pattern(line, "".join(pieces), tuple(needs))


def _terms(element: str, concepts: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    terms: list[str] = []
    for part in element.split("|"):
        if part.startswith("<") and part.endswith(">"):
            if part[1:-1] not in concepts:
                raise ValueError(f"没有概念 {part}")
            terms += concepts[part[1:-1]]
        elif not part or set(part) & set("<>?!^$-，。？"):
            raise ValueError(f"看不懂“{element}”")
        else:
            terms.append(part)
    return tuple(dict.fromkeys(terms))


def _either(terms: Iterable[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, sorted(terms, key=len, reverse=True)))})"
