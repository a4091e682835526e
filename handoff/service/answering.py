"""Puts the answer of a turn together in its second transaction: words, effects, and what danger demands."""

import re
from dataclasses import dataclass

from sqlalchemy import select

from handoff.model.danger import Finding
from handoff.model.nouns import SILENCE, DialogueAnswer, Effect, asked_about
from handoff.model.triage import settle_need, settle_risk
from handoff.model.words import Need, Risk, highest
from handoff.service.consent import Consent
from handoff.service.effects import Effects, Turned
from handoff.service.opening import Desk, Matter, open_cases
from handoff.service.phrases import DangerWords, Phrases
from handoff.service.understanding import DANGER_OF_NEED, answer_is_danger
from handoff.store.tables import Conversation, Turn

_DENIAL = re.compile(r"^[\s，,。]*(啊|哎|嗯|哦)?[\s，,。]*(没|莫得|冇|不是|不想死|不会|都扔|早扔|都锁|锁)")
# Begins like a no and is none: 没错, 没办法, 没有药，有绳子.
_NO_DENIAL = re.compile(
    r"没(说)?错|没(得)?(办)?法|没人|没(有)?(别人|谁)|不是吗|(?<![没冇])有(?!的|什么|啥)|只(有|剩)|[，,。]是"
)
_SAYS_DEATH = re.compile("[死活]|自杀|自尽|上吊|寻短")
_SETTLED_BY_EMERGENCY = ("plainly", "means")
_SURE = 0.8
"""So sure the dialogue engine must be of a new danger while one is being met; the screen is not held to it."""
# What people say while somebody is on the way to them, and what is no new matter.
_SAID_WHILE_WAITING = ("talk_affirm", "talk_deny", "talk_smalltalk")
# What a person may ask for in the middle of a danger question without having answered it.
_ASIDES = ("talk_repeat", "talk_slower", "talk_louder", "human")


@dataclass(frozen=True)
class Accepted:
    """A turn that is stored and screened and still has no answer."""

    turn: Turn
    talk: Conversation
    """As it was when the turn was stored; its version tells whether it has gone on since."""
    finding: Finding


class Answering:
    """Composes the reply to an accepted turn and does all the writing it asks for."""

    def __init__(self, desk: Desk, effects: Effects, phrases: Phrases, *, records_calls: bool) -> None:
        self._desk = desk
        self._effects = effects
        self._phrases = phrases
        self._consent = Consent(desk, phrases, records_calls=records_calls)

    def need_of_turn(self, accepted: Accepted, answer: DialogueAnswer | None) -> tuple[Need, float]:
        """The need that goes on record for the turn, and how sure it is."""
        found = accepted.finding
        if answer is None:
            return settle_need(found.kinds, found.risk, Need.UNCLEAR), 0.0
        return settle_need(found.kinds, found.risk, answer.need), answer.confidence

    async def compose(
        self, turned: Turned, accepted: Accepted, answer: DialogueAnswer | None, need: Need
    ) -> None:
        """Fill `turned.composed`; `answer` is None where the engine gave nothing usable."""
        intent = answer.intent if answer else ""
        # What is said in reply to a danger question answers that one, and what sounds like more than consent is.
        asked = turned.talk.questions
        only_consent = not asked and await self._consent.hear(turned, accepted.turn.text, intent)
        if only_consent and not accepted.finding.risk.at_least(Risk.ATTENTION):
            turned.talk.dialogue = answer.state if answer else turned.talk.dialogue
            return
        if answer is None:
            await self._compose_failed(turned, accepted.turn)
            self._consent.ask(turned)
            return
        if await self._is_answer_to_danger(turned, accepted, answer):
            await self._stay(turned)
            return
        if turned.talk.questions and not _is_aside(accepted.turn.text, answer):
            await self._follow_up(turned, accepted.turn.text, answer.intent)
            return
        asked_before = asked_about(turned.talk.dialogue)
        turned.talk.dialogue = answer.state
        if asked_before and answer.intent == "talk_cancel":
            await self._effects.forget(turned, asked_before)
        for step in answer.steps:
            if isinstance(step, Effect):
                await self._effects.perform(turned, step)
            else:
                turned.composed.say(step)
        if answer.asks_about and (
            answer.asks_about != asked_before or accepted.finding.risk.at_least(Risk.ATTENTION)
        ):
            await self._effects.note_down(turned, answer.asks_about, accepted.finding)
        await self._open_what_the_floor_demands(turned, need, accepted.finding, answer)
        if answer.asks_about is None:
            self._consent.ask(turned)

    def ask_about_danger(
        self, turned: Turned, words: DangerWords, *, said: str = "", emergency: bool = False
    ) -> None:
        """One direct question a turn; what was said plainly, or is settled by an emergency, is not asked."""
        talk = turned.talk
        # Danger said in reply to a question answers that question.
        asked = talk.questions[1:] if talk.questions else [*words.ask]
        settled = _SETTLED_BY_EMERGENCY if emergency else ("plainly",) if _SAYS_DEATH.search(said) else ()
        talk.questions = [key for key in asked if key not in settled]
        if talk.questions:
            turned.composed.say(self._phrases.question(talk.questions[0]).say)

    async def _compose_failed(self, turned: Turned, turn: Turn) -> None:
        if turned.talk.questions:  # silence is no clear no either
            await self._follow_up(turned, turn.text, "")
            return
        if turn.text:
            turned.composed.say(self._phrases["dialogue_down"])
            await self._effects.perform(turned, Effect("hand_over", {"reason": "dialogue_failed"}))
            return
        before = (
            select(Turn.need)
            .where(Turn.conversation_id == turn.conversation_id, Turn.id < turn.id)
            .order_by(Turn.id.desc())
            .limit(1)
        )
        if turn.engine == SILENCE:
            turned.composed.say(self._phrases["silent"])
        elif await turned.session.scalar(before) != Need.UNCLEAR:
            turned.composed.say(self._phrases["empty"])
            return
        else:
            turned.composed.say(self._phrases["handed_over"])
        await self._effects.perform(turned, Effect("hand_over", {"reason": "silent"}))

    async def _is_answer_to_danger(self, turned: Turned, accepted: Accepted, answer: DialogueAnswer) -> bool:
        """People are on their way already, and this tells nothing new ("打了", "儿子在旁边", "没有人在身边")."""
        half_believed = answer_is_danger(answer) and answer.confidence < _SURE and not accepted.finding.kinds
        # A yes to an offer, or an answer to a form's question, is no such thing: it must be taken.
        nothing_to_do = not answer.effects and not asked_about(turned.talk.dialogue)
        goes_on = half_believed or (answer.intent in _SAID_WHILE_WAITING and nothing_to_do)
        if turned.talk.questions or not goes_on or not Risk(turned.talk.risk).at_least(Risk.URGENT):
            return False
        standing = await open_cases(turned.session, turned.talk.id)
        return bool(standing) and Risk(standing[0].risk).at_least(Risk.URGENT)

    async def _stay(self, turned: Turned) -> None:
        for case in await open_cases(turned.session, turned.talk.id):
            turned.changes.case(case)
        turned.composed.say(self._phrases["stay"])

    async def _follow_up(self, turned: Turned, text: str, intent: str) -> None:
        """The answer to a danger question: what is not clearly a no counts as danger."""
        asked, *rest = turned.talk.questions
        question = self._phrases.question(asked)
        standing = await open_cases(turned.session, turned.talk.id)
        denied = intent == "talk_deny" or _denies(text)
        if standing and not denied and question.raises.rank:
            matter = Matter(
                Need(standing[0].need), question.raises, turn_id=turned.turn_id, slots={"answered": asked}
            )
            await self._desk.open_or_raise(turned.session, turned.talk, matter, turned.changes)
        for case in standing:
            turned.changes.case(case)
        turned.talk.questions = rest
        turned.composed.say(self._phrases.question(rest[0]).say if rest else self._phrases["stay"])

    async def _open_what_the_floor_demands(
        self, turned: Turned, need: Need, finding: Finding, answer: DialogueAnswer
    ) -> None:
        """A need that is danger in itself, or a sign the screen saw, always has a case, whatever the dialogue did."""
        risk = settle_risk(finding.risk, need)
        turned.talk.risk = highest(Risk(turned.talk.risk), risk)
        if not answer_is_danger(answer) and (not finding.risk.at_least(Risk.ATTENTION) or answer.asks_about):
            return  # what is still being asked about is noted down already, and its question must come last
        if turned.composed.number is None:
            need = need if need not in (Need.TALK, Need.UNCLEAR) else Need.HUMAN
            await self._effects.open(turned, Matter(need, risk, finding.kinds, finding.why, turned.turn_id))
        if need in DANGER_OF_NEED:
            words = self._phrases.danger(DANGER_OF_NEED[need], risk)
            turned.composed.call = words.call
            self.ask_about_danger(turned, words, emergency=risk is Risk.EMERGENCY)


def _is_aside(text: str, answer: DialogueAnswer) -> bool:
    """Whether it is something other than an answer to a danger question: a request, or a danger of its own."""
    new_danger = answer_is_danger(answer) and answer.confidence >= _SURE
    return new_danger or (answer.intent in _ASIDES and not _denies(text))


def _denies(text: str) -> bool:
    """Whether this is a clear no."""
    return bool(_DENIAL.match(text)) and not _NO_DENIAL.search(text)
