"""The deterministic danger screen: signs from the lexicon, judged by negation, time, person and object."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import add
from pathlib import Path
from typing import Generic, TypeVar

from handoff.model.lexicon import Lexicon, Pattern, Sign, load_lexicon
from handoff.model.wording import ASK, MASK, SOFT, STOP, Alphabet
from handoff.model.words import DangerKind, Risk, highest

UNSURE_BELOW = 0.6
_PAIR = 2
_WINDOW, _STEP, _LEAD = 240, 160, 40
_LOOK_BACK, _LOOK_AHEAD, _REACH = 80, 60, 12

_MIND = frozenset({DangerKind.SUICIDE, DangerKind.SELF_HARM})
_HOME = frozenset({DangerKind.VIOLENCE, DangerKind.NEGLECT})
# What speaks for a kind only in company: enough of it close together raises the kind, each sign counted once.
_WEIGHT = {"wish": 3, "hint": 3, "means": 2, "trace": 2}
_SUFFICES, _NEAR = 6, 160
_COMPANY = {DangerKind.FRAUD: Risk.ATTENTION}
_LOWER = {Risk.EMERGENCY: Risk.URGENT, Risk.URGENT: Risk.ATTENTION, Risk.ATTENTION: Risk.ATTENTION}

Owner = TypeVar("Owner")


_DONE_TO_ME = re.compile("[把打骂关锁害给让逼撵掐推砍捅]我(?![爸妈爹娘老儿女孙家们])")
"""Somebody else does it, and it is the speaker who suffers it."""

_ENOUGH = 20
"""A sign that has raised the risk so often in one text adds nothing more, and a text may repeat it without end."""


@dataclass(frozen=True)
class Finding:
    """What the screen says of one utterance.

    `kinds` stand in the taxonomy's order; `why` are exact spans of the text in its order; `doubt` says that a
    possible danger word stands in the text although the rules dismissed it; `suspected`, that only the
    classifier holds it for danger.
    """

    risk: Risk
    kinds: tuple[DangerKind, ...]
    why: tuple[str, ...]
    doubt: bool = False
    suspected: bool = False


@dataclass(frozen=True)
class _Raised:
    """One sign that held: where, how high, and whether it is about someone else."""

    sign: Sign
    start: int
    end: int
    risk: Risk
    other: bool


class DangerScreen:
    """Screens any string in linear time, without state, network or model."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._alphabet = Alphabet(lexicon.traditional)
        self._heard = lexicon.heard
        self._masks = _Matcher((True, pattern) for pattern in lexicon.masks)
        self._signs = _Matcher((sign, pattern) for sign in lexicon.signs for pattern in sign.patterns)
        self._judge = _Judge(lexicon.cues)
        self._watch = lexicon.watch

    @classmethod
    def load(cls, folder: Path) -> "DangerScreen":
        """The screen with the lexicon of `folder`; LexiconError names the file and the entry that is wrong."""
        return cls(load_lexicon(folder))

    def screen(self, text: str, *, confidence: float = 1.0) -> Finding:
        """The danger in `text`; below a confidence of 0.6 any sign or doubt is at least urgent."""
        plain = self._alphabet.plain(text)
        clean, misheard = self._as_meant(plain)
        raised: list[_Raised] = []
        times: Counter[int] = Counter()
        doubt = any(word in clean for word in self._watch)
        for offset, window in _windows(clean):
            masked = self._mask(window)
            doubt |= masked != window
            for sign, match in self._signs.hits(masked):
                if (offset and match.start() < _LEAD) or times[id(sign)] >= _ENOUGH:
                    continue
                found = self._judge.weigh(sign, match, offset)
                if found is not None:
                    raised.append(found)
                    times[id(sign)] += 1
                elif sign.role != "trace":
                    doubt = True
        return self._finding(text, raised, doubt, misheard, confidence)

    def _as_meant(self, plain: str) -> tuple[str, list[int]]:
        places: list[int] = []
        for heard, meant in self._heard.items():
            if heard in plain:
                places += [match.start() for match in re.finditer(re.escape(heard), plain)]
                plain = plain.replace(heard, meant)
        return plain, places

    def _mask(self, window: str) -> str:
        spans = [match.span() for _, match in self._masks.hits(window)]
        for start, end in spans:
            window = window[:start] + MASK * (end - start) + window[end:]
        return window

    def _finding(
        self, text: str, raised: list[_Raised], doubt: bool, misheard: list[int], confidence: float
    ) -> Finding:
        risk, kept = _together(raised)
        kinds = {kind for found in kept for kind in found.sign.kinds}
        if any(found.other for found in kept):
            kinds.add(DangerKind.THIRD_PARTY)
        heard_in = {place for found in kept for place in range(found.start, found.end)} if misheard else set()
        if not heard_in.isdisjoint(misheard):
            kinds.add(DangerKind.ASR_DOUBT)
        unsure = not confidence >= UNSURE_BELOW
        if unsure and (doubt or raised):
            kinds.add(DangerKind.ASR_DOUBT)
            risk = highest(risk, Risk.URGENT)
        why = self._why(text, kept)
        # By identity: a text of 100,000 characters may hold 20,000 signs, too many to compare each with each.
        held = {id(found) for found in kept}
        doubt |= any(id(found) not in held and not _mere_hint(found) for found in raised)
        return Finding(risk, tuple(kind for kind in DangerKind if kind in kinds), why, doubt)

    def _why(self, text: str, kept: list[_Raised]) -> tuple[str, ...]:
        if not kept:
            return ()
        places = self._alphabet.places(text)
        spans: list[tuple[int, int]] = []
        for start, end in sorted({(found.start, found.end) for found in kept}):
            if spans and start < spans[-1][1]:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
        return tuple(dict.fromkeys(text[places[start] : places[end - 1] + 1] for start, end in spans))


def _mere_hint(found: _Raised) -> bool:
    """Whether the sign is an everyday word unless others join it."""
    return found.risk is Risk.ROUTINE and found.sign.role in ("hint", "trace")


def _together(raised: list[_Raised]) -> tuple[Risk, list[_Raised]]:
    """The risk of all signs together and those that count: what is weak alone counts only in company."""
    company = _company(raised)
    risk = highest(*(found.risk for found in raised), *(level for level, _ in company))
    wishes = any(found.sign.role == "wish" for found in raised)
    if wishes and any(found.sign.role == "means" for found in raised):
        risk = Risk.EMERGENCY
    if risk is Risk.ROUTINE:
        return risk, []
    loud = {id(found) for _, members in company for found in members}
    for found in raised:
        if found.risk is not Risk.ROUTINE or (wishes and found.sign.role in ("means", "hint")):
            loud.add(id(found))
    return risk, [found for found in raised if id(found) in loud]


def _company(raised: list[_Raised]) -> list[tuple[Risk, list[_Raised]]]:
    """The weak signs that together are enough for their kind, with the risk they make."""
    groups: list[tuple[Risk, list[_Raised]]] = []
    weak = sorted((found for found in raised if found.sign.role), key=lambda found: found.start)
    for kind in dict.fromkeys(kind for found in weak for kind in found.sign.kinds):
        if members := _close([found for found in weak if kind in found.sign.kinds]):
            groups.append((_COMPANY.get(kind, Risk.URGENT), members))
    return groups


def _close(weak: list[_Raised]) -> list[_Raised]:
    """The first signs of one kind, in the order of the text, that stand close together and weigh enough."""
    near: dict[str, _Raised] = {}
    for found in weak:
        near = {name: other for name, other in near.items() if found.start - other.start <= _NEAR}
        if all(found.start >= other.end for other in near.values()):
            near[found.sign.name] = found
        if sum(_WEIGHT[other.sign.role] for other in near.values()) >= _SUFFICES:
            return list(near.values())
    return []


def _windows(text: str) -> Iterator[tuple[int, str]]:
    """Overlapping pieces of a long text; each sign's start belongs to exactly one piece with its past in sight."""
    yield 0, text[:_WINDOW]
    for offset in range(_STEP, max(len(text) - _WINDOW + _STEP, 0), _STEP):
        yield offset, text[offset : offset + _WINDOW]


class _Matcher(Generic[Owner]):
    """Finds patterns fast: a pattern is tried only on a text that holds a term of each of its groups."""

    def __init__(self, items: Iterable[tuple[Owner, Pattern]]) -> None:
        groups: dict[tuple[str, ...], int] = {}
        self._by_key: dict[int, list[tuple[frozenset[int], Owner, Pattern]]] = {}
        for owner, pattern in items:
            needs = [groups.setdefault(terms, len(groups)) for terms in pattern.needs]
            rarest = max(zip(pattern.needs, needs, strict=True), key=lambda need: _rarity(need[0]))[1]
            self._by_key.setdefault(rarest, []).append((frozenset(needs), owner, pattern))
        of_term: dict[str, list[int]] = {}
        for terms, group in groups.items():
            for term in terms:
                of_term.setdefault(term, []).append(group)
        # Whole terms of one or two characters need no search; longer ones only where their first two stand.
        self._short: dict[str, list[int]] = {}
        self._long: dict[str, list[tuple[str, list[int]]]] = {}
        for term, members in of_term.items():
            if len(term) <= _PAIR:
                self._short[term] = members
            else:
                self._long.setdefault(term[:_PAIR], []).append((term, members))

    def hits(self, text: str) -> Iterator[tuple[Owner, re.Match[str]]]:
        """Every match of every pattern in `text`."""
        present = self._present(text)
        for group in present & self._by_key.keys():
            for needs, owner, pattern in self._by_key[group]:
                if needs <= present:
                    for match in pattern.compiled.finditer(text):
                        yield owner, match

    def _present(self, text: str) -> set[int]:
        pieces = {*text, *map(add, text, text[1:])}
        present: set[int] = set()
        for piece in pieces & self._short.keys():
            present.update(self._short[piece])
        for piece in pieces & self._long.keys():
            for term, groups in self._long[piece]:
                if term in text:
                    present.update(groups)
        return present


def _rarity(terms: tuple[str, ...]) -> tuple[int, int]:
    return min(map(len, terms)), -len(terms)


class _Judge:
    """Weighs a sign by what stands around it."""

    def __init__(self, cues: dict[str, list[Pattern]]) -> None:
        self._cues = {name: _Cue(patterns) for name, patterns in cues.items()}
        self._closing = {
            name: self._cues[name].closes(self._cues["filler"]) for name in ("negation", "unsure")
        }

    def weigh(self, sign: Sign, match: re.Match[str], offset: int) -> _Raised | None:
        """The sign with the risk its surroundings leave it, or None when they dismiss it."""
        scene = _Scene(match)
        if self._denied(sign, match, scene) or any(p.compiled.search(scene.sentence) for p in sign.unless):
            return None
        risk = self._risk(sign, scene)
        if risk is None:
            return None
        other = self._about_other(scene)
        return _Raised(sign, offset + match.start(), offset + match.end(), risk, other)

    def _denied(self, sign: Sign, match: re.Match[str], scene: "_Scene") -> bool:
        gaps = [gap for gap in match.groups() if gap]
        before = scene.clause_before[-_REACH:]
        if before and before[-1] == match.group()[0]:
            before = before[:-1]
        return any(
            closes.search(stretch)
            for name, closes in self._closing.items()
            if name not in sign.still and (name == "negation" or _MIND.isdisjoint(sign.kinds))
            for stretch in (before, *gaps)
        )

    def _risk(self, sign: Sign, scene: "_Scene") -> Risk | None:
        if self._holds("told", sign, scene.before) or self._holds("general", sign, scene.rest):
            return None
        if sign.role != "wish" and self._animal(sign, scene):
            return None
        mind, home = (not kinds.isdisjoint(sign.kinds) for kinds in (_MIND, _HOME))
        iffy = self._holds("if", sign, scene.before) and not mind
        past = self._holds("past", sign, scene.before) and not self._later("now", "past", scene.before)
        if (iffy or past) and not (mind or home):
            return None
        over = self._holds("over", sign, scene.after)
        if over and not (mind or home):
            return min(sign.risk, Risk.ATTENTION, key=lambda risk: risk.rank)
        return _LOWER.get(sign.risk, sign.risk) if iffy or past or over else sign.risk

    def _holds(self, cue: str, sign: Sign, stretch: str) -> bool:
        return cue not in sign.still and self._cues[cue].last(stretch) >= 0

    def _later(self, cue: str, than: str, stretch: str) -> bool:
        return self._cues[cue].last(stretch) > self._cues[than].last(stretch)

    def _animal(self, sign: Sign, scene: "_Scene") -> bool:
        if not self._holds("animal", sign, scene.clause_before):
            return False
        clause = scene.clause_before
        return not (self._later("person", "animal", clause) or self._later("self", "animal", clause))

    def _about_other(self, scene: "_Scene") -> bool:
        if _DONE_TO_ME.search(scene.before[-1:] + scene.head):
            return False
        stretch = self._cues["gone"].blank(scene.before + scene.head)
        person = self._cues["person"].last(stretch[: len(scene.before) + 3])
        return person >= 0 and person > self._cues["self"].last(stretch[: len(scene.before) + 1])


class _Cue:
    """One class of cue words, as a single expression."""

    def __init__(self, patterns: list[Pattern]) -> None:
        self.expression = "|".join(pattern.expression for pattern in patterns)

    @cached_property
    def _anywhere(self) -> re.Pattern[str]:
        return re.compile(self.expression, re.DOTALL)

    def closes(self, filler: "_Cue") -> re.Pattern[str]:
        """An expression for this cue at the end of a stretch, with at most three fillers after it."""
        return re.compile(f"(?:{self.expression})(?:{filler.expression}){{0,3}}$")

    def last(self, stretch: str) -> int:
        """Where the last such cue begins, or -1."""
        return max((match.start() for match in self._anywhere.finditer(stretch)), default=-1)

    def blank(self, stretch: str) -> str:
        """The stretch with each such cue made unreadable."""
        return self._anywhere.sub(lambda match: MASK * len(match.group()), stretch)


class _Scene:
    """What stands around a match: its clause, its sentence, and a little more after it."""

    def __init__(self, match: re.Match[str]) -> None:
        text, start, end = match.string, match.start(), match.end()
        begin = max(text.rfind(STOP, 0, start), text.rfind(ASK, 0, start), start - _LOOK_BACK - 1) + 1
        clause = max(text.rfind(SOFT, begin, start) + 1, begin)
        stops = [place for place in (text.find(STOP, end), text.find(ASK, end)) if place >= 0]
        close = min([*stops, len(text), end + _LOOK_AHEAD])
        self.before = text[begin:start]
        self.clause_before = text[clause:start]
        self.head = text[start : start + 3]
        self.after = text[end : end + _LOOK_AHEAD]
        self.rest = text[end : close + 1]
        self.sentence = text[begin : close + 1]
