"""The whole danger screen: the lexicon's rules first, a classifier's second opinion, and what both make together."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from handoff.model.courtesy import only_thanks
from handoff.model.danger import DangerScreen, Finding
from handoff.model.words import DangerKind, Risk, highest

_CLAUSE = re.compile(r"[^，。？！、；,.?!;\s]+")
_LONG_CLAUSE, _PIECE = 14, 8
_ABOUT = frozenset({DangerKind.THIRD_PARTY, DangerKind.REPEAT_CONTACT, DangerKind.ASR_DOUBT})
_MIND = frozenset({DangerKind.SUICIDE, DangerKind.SELF_HARM})
_UNSURE_BELOW = 0.6


@dataclass(frozen=True)
class Suspicion:
    """A classifier's opinion of one text: the log-odds of danger, and each kind's share (0 to 1) if it is.

    span: where in a long text it sounds most like danger; None where the text is short enough to be one thing.
    """

    odds: float
    kinds: Mapping[DangerKind, float]
    span: tuple[int, int] | None = None


class InMandarin(Protocol):
    """A text with its dialect words put into Mandarin."""

    @property
    def text(self) -> str:
        """The Mandarin."""
        ...

    def original(self, span: str, text: str) -> str:
        """The piece of the original `text` that became `span`."""
        ...


class Suspects(Protocol):
    """A classifier of danger."""

    fusion: "Fusion"

    def suspect(self, texts: Sequence[str]) -> list[Suspicion]:
        """One suspicion a text."""
        ...


@dataclass(frozen=True)
class Fusion:
    """How much lexicon and classifier weigh together, in log-odds; measured, and kept with the classifier.

    odds: factor on the classifier's log-odds; emergency, urgent, attention, doubt: what the lexicon's finding
    adds; bias: the start; kind: the share from which a kind is named; worry: the share of danger from which a
    text that is not danger deserves attention; calm: the share below which even an emergency of body or place does.
    """

    odds: float
    emergency: float
    urgent: float
    attention: float
    doubt: float
    bias: float
    kind: float = 0.4
    worry: float = 0.3
    calm: float = 0.2

    @classmethod
    def of(cls, kept: object) -> "Fusion":
        """From a card's mapping; TypeError or ValueError when it is not one."""
        if not isinstance(kept, Mapping):
            raise TypeError("fusion")
        return cls(**{str(name): float(value) for name, value in kept.items()})

    def share(self, finding: Finding, suspicion: Suspicion) -> float:
        """The probability of danger, 0 to 1; 0.5 is where the screen raises it."""
        heard = {
            Risk.EMERGENCY: self.emergency,
            Risk.URGENT: self.urgent,
            Risk.ATTENTION: self.attention,
        }.get(finding.risk, 0.0)
        total = self.bias + self.odds * suspicion.odds + heard + self.doubt * finding.doubt
        return 1 / (1 + math.exp(-max(min(total, 60.0), -60.0)))


class Screening:
    """Screens a text by the lexicon and, where there is one, by a classifier beside it.

    The classifier raises what the lexicon missed, and lets down to attention what the lexicon held for danger where
    both together are nearly sure of everyday life, an emergency only where they are surer still; a word of wanting to die
    never falls (on real counselling texts letting those down cost a tenth of the recall). Where the classifier fails, the
    lexicon is all there is: `failed` is told, and every sign and doubt of it counts as it would alone.
    """

    def __init__(
        self,
        lexicon: DangerScreen,
        classifier: Suspects | None = None,
        failed: Callable[[Exception], None] = lambda _fault: None,
        mandarin: Callable[[str], InMandarin] | None = None,
    ) -> None:
        """`mandarin`: puts dialect into Mandarin; the lexicon then reads both and the graver finding counts."""
        self.lexicon = lexicon
        self.classifier = classifier
        self._failed = failed
        self._mandarin = mandarin

    def screen(self, text: str, *, confidence: float = 1.0) -> Finding:
        """The danger in one text; below a confidence of 0.6 any sign or doubt is at least urgent."""
        return self.screen_all([text], confidence=confidence)[0]

    def screen_heard(self, text: str, others: Sequence[str], *, confidence: float = 1.0) -> Finding:
        """The danger in what a recogniser heard. Danger that only another reading of the sound tells of is `asr_doubt`:
        urgent, whatever it would be if it were sure, and explained by the words of that reading."""
        finding = self.screen(text, confidence=confidence)
        if finding.risk.at_least(Risk.URGENT) or not others:
            return finding
        graver = (other for other in self.screen_all(others) if other.risk.at_least(Risk.URGENT))
        other = next(graver, None)
        if other is None:
            return finding
        kinds = tuple(kind for kind in DangerKind if kind in finding.kinds or kind is DangerKind.ASR_DOUBT)
        return Finding(Risk.URGENT, kinds, other.why, doubt=True, suspected=True)

    def screen_all(self, texts: Sequence[str], *, confidence: float = 1.0) -> list[Finding]:
        """The danger in each of many texts: the classifier reads them in batches."""
        found = [self._by_lexicon(text, confidence) for text in texts]
        if self.classifier is None:
            return found
        try:
            suspicions = self.classifier.suspect(texts)
            together = zip(texts, found, suspicions, strict=True)
            return [self._together(text, finding, other, confidence) for text, finding, other in together]
        except Exception as fault:  # a message must be screened and stored, whatever a model's runtime raises
            self._failed(fault)
            return found

    def _by_lexicon(self, text: str, confidence: float) -> Finding:
        finding = self.lexicon.screen(text, confidence=confidence)
        meant = self._mandarin(text) if self._mandarin else None
        if meant is None or meant.text == text:
            return finding
        other = self.lexicon.screen(meant.text, confidence=confidence)
        if other.risk.rank <= finding.risk.rank:
            return finding
        # Explained in the person's own words, not in the translation.
        return replace(other, why=tuple(meant.original(span, text) for span in other.why))

    def _together(self, text: str, finding: Finding, suspicion: Suspicion, confidence: float) -> Finding:
        if self.classifier is None or not any(char.isalpha() for char in text) or only_thanks(text):
            return finding
        fusion = self.classifier.fusion
        share = fusion.share(finding, suspicion)
        unsure = not confidence >= _UNSURE_BELOW and share >= fusion.worry
        if share >= 0.5 or unsure:
            return self._raised(text, finding, suspicion, fusion, asr_doubt=unsure)
        falls_below = {Risk.URGENT: fusion.worry, Risk.EMERGENCY: fusion.calm}.get(finding.risk, 0.0)
        may_fall = _MIND.isdisjoint(finding.kinds) and confidence >= _UNSURE_BELOW
        if may_fall and share < falls_below:
            return replace(finding, risk=Risk.ATTENTION, doubt=True)
        if share >= fusion.worry:
            return replace(finding, risk=highest(finding.risk, Risk.ATTENTION), doubt=True)
        return finding

    def _raised(
        self, text: str, finding: Finding, suspicion: Suspicion, fusion: Fusion, *, asr_doubt: bool
    ) -> Finding:
        if finding.risk.at_least(Risk.URGENT):
            return finding
        kinds = {*finding.kinds, *_named(suspicion, fusion.kind)}
        if asr_doubt:
            kinds.add(DangerKind.ASR_DOUBT)
        ordered = tuple(kind for kind in DangerKind if kind in kinds)
        why = finding.why or self._because(text, suspicion.span or (0, len(text)))
        return Finding(highest(finding.risk, Risk.URGENT), ordered, why, doubt=True, suspected=True)

    def _because(self, text: str, span: tuple[int, int]) -> tuple[str, ...]:
        """The clause of that part of the text that sounds most like danger by itself and is missed most when left
        out; an exact span of the text."""
        part = text[slice(*span)]
        spans = _pieces(part)
        if self.classifier is None or len(spans) < 2:
            return tuple(part[start:end] for start, end in spans) or (part.strip()[:_LONG_CLAUSE],)
        alone = self.classifier.suspect([part[start:end] for start, end in spans])
        without = self.classifier.suspect([part[:start] + part[end:] for start, end in spans])
        most = max(range(len(spans)), key=lambda at: alone[at].odds - without[at].odds)
        return (part[slice(*spans[most])],)


def _named(suspicion: Suspicion, least: float) -> set[DangerKind]:
    """The kinds that are likely enough; always one that says what it is, or nobody knows which words to say."""
    shares = suspicion.kinds
    named = {kind for kind, share in shares.items() if share >= least}
    if not named - _ABOUT and (own := [kind for kind in shares if kind not in _ABOUT]):
        named.add(max(own, key=lambda kind: shares[kind]))
    return named


def _pieces(text: str) -> list[tuple[int, int]]:
    """The clauses of a text as spans; long ones, which a recogniser leaves whole, in pieces."""
    spans = []
    for clause in _CLAUSE.finditer(text):
        start, end = clause.span()
        size = end - start if end - start <= _LONG_CLAUSE else _PIECE
        spans += [(at, min(at + size, end)) for at in range(start, end, size)]
    return spans
