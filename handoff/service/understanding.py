"""What one utterance means, by the danger screen and the dialogue engine together; stores nothing."""

import asyncio
from dataclasses import dataclass
from typing import Any

from handoff.model.danger import Finding
from handoff.model.nouns import DialogueAnswer, Effect
from handoff.model.screening import Screening
from handoff.model.triage import kind_of_words, settle_need, settle_risk
from handoff.model.words import DangerKind, Need, Risk, highest
from handoff.service.consulting import Consulting
from handoff.service.effects import Composed
from handoff.service.phrases import DangerWords, Phrases
from handoff.service.ports import Dialogue, DialogueError

TEXT_FOR_DIALOGUE = 600  # characters; nobody says more in one breath, and parsing is linear in them

DANGER_OF_NEED = {
    Need.EMERGENCY: DangerKind.MEDICAL,
    Need.CRISIS: DangerKind.SUICIDE,
    Need.ABUSE: DangerKind.VIOLENCE,
    Need.FRAUD: DangerKind.FRAUD,
}
"""The needs that are danger in themselves, and whose words are said for them."""

_DRY_WORDS = {
    "status": "status_none",
    "repeat": "nothing_to_repeat",
    "stop": "stop",
    "withdraw": "withdraw_none",
}


@dataclass(frozen=True)
class Understanding:
    """The full understanding of one utterance."""

    need: Need
    risk: Risk
    kinds: tuple[DangerKind, ...]
    confidence: float
    reply: str


class Understander:
    """The screen, the dialogue engine, the knowledge base and the first words, put together."""

    def __init__(
        self, screen: Screening, phrases: Phrases, consulting: Consulting, dialogue: Dialogue
    ) -> None:
        self.screen = screen
        self.phrases = phrases
        self.consulting = consulting
        self._dialogue = dialogue

    async def ask(
        self, text: str, state: dict[str, Any] | None, *, channel: str, speaker: str
    ) -> DialogueAnswer:
        """Ask the dialogue engine; raises DialogueError."""
        text = text[:TEXT_FOR_DIALOGUE]
        answers = self.consulting.answers(text)
        return await self._dialogue.answer(text, state, channel=channel, speaker=speaker, answers=answers)

    async def understand(self, text: str) -> Understanding:
        """What one utterance by itself is taken for, with the words it would get."""
        finding = await asyncio.to_thread(self.screen.screen, text)
        clean = clean_text(text)
        if not clean:
            return Understanding(Need.UNCLEAR, finding.risk, finding.kinds, 0.0, self.phrases["empty"])
        try:
            answer = await self.ask(clean, None, channel="terminal", speaker="self")
        except DialogueError:
            return self._without_dialogue(finding)
        need = settle_need(finding.kinds, finding.risk, answer.need)
        risk = settle_risk(finding.risk, need)
        danger = finding.risk.at_least(Risk.URGENT)
        reply = self.first_words(finding).text if danger else self._dry_words(clean, finding, answer, risk)
        return Understanding(need, risk, finding.kinds, round(answer.confidence, 4), reply)

    def _without_dialogue(self, finding: Finding) -> Understanding:
        """The screen alone: danger is known, all else is handed to a person."""
        risk = highest(finding.risk, Risk.ATTENTION)
        danger = finding.risk.at_least(Risk.URGENT)
        reply = self.first_words(finding).text if danger else self.phrases["dialogue_down"]
        return Understanding(settle_need(finding.kinds, risk, Need.UNCLEAR), risk, finding.kinds, 0.0, reply)

    def first_words(self, finding: Finding) -> Composed:
        """What is said at once to danger, whatever else is asked."""
        words = self.danger_words(finding)
        return Composed([words.say], call=words.call)

    def danger_words(self, finding: Finding) -> DangerWords:
        """The words, the number to call and the questions that fit what was found."""
        kind = kind_of_words(finding.kinds, finding.risk) or DangerKind.ASR_DOUBT
        return self.phrases.danger(kind, finding.risk, third=DangerKind.THIRD_PARTY in finding.kinds)

    def _dry_words(self, text: str, finding: Finding, answer: DialogueAnswer, risk: Risk) -> str:
        steps = (step if isinstance(step, str) else self._dry_answer(text, step) for step in answer.steps)
        words = [step for step in steps if step]
        names = [effect.name for effect in answer.effects]
        if {"open_case", "consult"} & {*names} or finding.risk.at_least(Risk.ATTENTION):
            words.append(self.phrases.of("promise", risk))
        if "hand_over" in names:
            words.append(self.phrases["handed_over"])
        words += [self.phrases[_DRY_WORDS[name]] for name in names if name in _DRY_WORDS]
        words += [
            self.phrases[str(effect.fields.get("change"))]
            for effect in answer.effects
            if effect.name == "pace"
        ]
        return "".join(words)

    def _dry_answer(self, text: str, effect: Effect) -> str:
        if effect.name != "answer":
            return ""
        entry = self.consulting.find(text[:TEXT_FOR_DIALOGUE], Need(effect.fields["need"]))
        return "".join(entry.said) if entry else ""


def clean_text(text: str) -> str:
    """Without control characters and lone surrogates, which no store or engine can carry."""
    return "".join(char for char in text if char == "\n" or _can_be_carried(ord(char))).strip()


def _can_be_carried(code: int) -> bool:
    return code >= 32 and not 0x7F <= code < 0xA0 and not 0xD800 <= code < 0xE000


def answer_is_danger(answer: DialogueAnswer) -> bool:
    """Whether the dialogue engine took the utterance for danger, sure enough to act."""
    return answer.need in DANGER_OF_NEED
