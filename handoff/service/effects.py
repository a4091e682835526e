"""Performs what the dialogue asked for; all writing for a turn's answer is here."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.danger import Finding
from handoff.model.nouns import Effect
from handoff.model.triage import NEED_FLOOR
from handoff.model.words import NEED_ZH, Need, Risk, Stage, highest
from handoff.service.after import Changes
from handoff.service.cards import card_number_said
from handoff.service.consulting import Consulting
from handoff.service.identity import known_cases, number_said
from handoff.service.keeping import last_said
from handoff.service.opening import Desk, Matter, find_open, open_cases
from handoff.service.phrases import Phrases
from handoff.store.tables import Case, Conversation, Question, Reply, Village, Worker

SLOWEST, LOUDEST = 0.6, 2.0
SLOT = 200
"""Characters of the opening words that are kept with a case; as many as the dialogue keeps of an answer."""
_NOT_TOLD = "没有说"
"""What the dialogue writes down for a question that was skipped."""


@dataclass
class Composed:
    """A reply in the making."""

    sentences: list[str] = field(default_factory=list)
    number: str | None = None
    village: str | None = None
    call: str | None = None
    stop: bool = False
    opened: bool = False
    """A matter's number is told for the first time."""

    @property
    def text(self) -> str:
        """The sentences in one piece."""
        return "".join(self.sentences)

    def say(self, sentence: str) -> None:
        """Add a sentence."""
        self.sentences.append(sentence)

    def say_if_silent(self, sentence: str) -> None:
        """Add a sentence only where the dialogue found no words of its own."""
        if not self.sentences:
            self.sentences.append(sentence)


@dataclass
class Turned:
    """One turn inside its second transaction."""

    session: AsyncSession
    talk: Conversation
    turn_id: int
    heard: str
    risk: Risk
    changes: Changes
    composed: Composed


class Effects:
    """`perform` carries out one effect; an unknown one is an error, never ignored."""

    def __init__(self, desk: Desk, phrases: Phrases, consulting: Consulting) -> None:
        self._desk = desk
        self._phrases = phrases
        self._consulting = consulting
        self.on_number: Callable[[Turned, str], Awaitable[None]]
        """What is done when somebody asks for a matter by a number that is not known to be theirs."""
        self._by_name = {
            "answer": self._answer,
            "consult": self._consult,
            "open_case": self._open_case,
            "hand_over": self._hand_over,
            "status": self._status,
            "repeat": self._repeat,
            "pace": self._pace,
            "stop": self._stop,
            "withdraw": self._withdraw,
        }

    def knows(self, effect: Effect) -> bool:
        """Whether the effect can be carried out."""
        if effect.name in ("open_case", "answer", "consult"):
            return effect.fields.get("need") in list(Need) and isinstance(
                effect.fields.get("slots") or {}, dict
            )
        if effect.name == "pace":
            return effect.fields.get("change") in ("slower", "louder")
        return effect.name in self._by_name

    async def perform(self, turned: Turned, effect: Effect) -> None:
        """Carry out one effect in the turn's transaction."""
        await self._by_name[effect.name](turned, effect)

    async def open(self, turned: Turned, matter: Matter) -> None:
        """Open or raise a case and say its number and when somebody acts."""
        case, new = await self._desk.open_or_raise(turned.session, turned.talk, matter, turned.changes)
        await self.tell_number(turned, case, new or not await _has_heard_of(turned, case))

    async def note_down(self, turned: Turned, need: Need, finding: Finding) -> None:
        """Open the case of what is still being asked about, or add to it, without a word: who hangs up is not lost."""
        risk = highest(finding.risk, NEED_FLOOR.get(need, Risk.ROUTINE))
        slots = {"what": turned.heard[:SLOT]}
        matter = Matter(need, risk, finding.kinds, finding.why, turned.turn_id, slots)
        await self._desk.open_or_raise(turned.session, turned.talk, matter, turned.changes)

    async def forget(self, turned: Turned, need: Need) -> None:
        """Take back what was only being asked about; not what deserves attention, nor what has a number they heard."""
        case = await find_open(turned.session, turned.talk.id, need)
        if case is None or Risk(case.risk).at_least(Risk.ATTENTION) or await _has_heard_of(turned, case):
            return
        self._withdraw_case(turned, case)

    async def tell_number(self, turned: Turned, case: Case, new: bool) -> None:
        """Add the number, spoken twice, and the promise; a known case is only named."""
        village = await _village(turned.session, case.village_id)
        composed = turned.composed
        composed.number, composed.village = case.number, village
        if not new:
            composed.say(self._phrases.say("already_open", number=case.number))
            return
        composed.opened = True
        key = "number" if village else "number_no_village"
        composed.say(self._phrases.of("promise", case.risk))
        composed.say(self._phrases.say(key, number=case.number, village=village or ""))

    async def _answer(self, turned: Turned, effect: Effect) -> None:
        """Say the entry that the dialogue was told of; where it is gone since, it is a question like any other."""
        await self._look_up(turned, effect, turned.heard, opens=False)

    async def _consult(self, turned: Turned, effect: Effect) -> None:
        """Look up the whole matter, say what is known, and open the case; what is not known goes on the list."""
        told = [value for value in _slots(effect).values() if value != _NOT_TOLD]
        await self._look_up(turned, effect, "，".join(told), opens=True)

    async def _look_up(self, turned: Turned, effect: Effect, question: str, *, opens: bool) -> None:
        need = Need(effect.fields["need"])
        entry = self._consulting.find(question, need)
        # An order is no question: whoever takes it on knows what to do.
        unknown = entry is None and bool(question) and need is not Need.GOODS
        if entry is not None:
            turned.composed.sentences += entry.said
        else:
            turned.composed.say(self._phrases.usually(need, turned.turn_id))
            if unknown:
                turned.composed.say(self._phrases["unknown_answer"])
        if opens or entry is None:
            await self._open_case(turned, effect)
        if unknown:
            await self._put_on_the_list(turned, need, question)

    async def _put_on_the_list(self, turned: Turned, need: Need, question: str) -> None:
        case = await find_open(turned.session, turned.talk.id, need)
        if case is not None:
            now = self._desk.clock.now()
            turned.session.add(
                Question(turn_id=turned.turn_id, case_id=case.id, need=need, text=question, asked_at=now)
            )

    async def _open_case(self, turned: Turned, effect: Effect) -> None:
        need = Need(effect.fields["need"])
        slots = _slots(effect)
        risk = highest(turned.risk, NEED_FLOOR.get(need, Risk.ROUTINE))
        await self.open(turned, Matter(need, risk, turn_id=turned.turn_id, slots=slots))

    async def _hand_over(self, turned: Turned, effect: Effect) -> None:
        reason = str(effect.fields.get("reason", "asked"))
        standing = await open_cases(turned.session, turned.talk.id)
        if standing:
            self._desk.record(
                turned.session,
                standing[0],
                "asked_for_human",
                content={"reason": reason},
                turn_id=turned.turn_id,
            )
            turned.changes.case(standing[0])
            await self.tell_number(turned, standing[0], new=False)
            return
        need = Need.HUMAN if reason == "asked" else Need.UNCLEAR
        floor = Risk.ATTENTION if reason in ("dialogue_failed", "silent") else Risk.ROUTINE
        await self.open(
            turned,
            Matter(need, highest(turned.risk, floor), turn_id=turned.turn_id, slots={"reason": reason}),
        )

    async def _status(self, turned: Turned, _effect: Effect) -> None:
        cases = await known_cases(turned.session, turned.talk)
        number = card_number_said(turned.heard) or number_said(turned.heard)
        if number is not None and number not in [case.number for case in cases or ()]:
            await self.on_number(turned, number)
        elif cases is None:
            turned.talk.asked = {"step": "who"}
            turned.composed.say(self._phrases["ask_who"])
        elif not cases:
            self.ask_for_number(turned)
        for case in cases or () if turned.talk.asked is None else ():
            await self.say_status(turned, case)

    def ask_for_number(self, turned: Turned) -> None:
        """Nothing is known here; with the number of a matter it may be told after a check."""
        turned.talk.asked = {"step": "number"}
        turned.composed.say(self._phrases["status_none"])
        turned.composed.say(self._phrases["ask_number"])

    async def say_status(self, turned: Turned, case: Case) -> None:
        """What became of a case, and who sees to it."""
        turned.composed.sentences += await status_words(turned.session, self._phrases, case)

    async def _repeat(self, turned: Turned, _effect: Effect) -> None:
        reply = await last_said(turned.session, turned.talk)
        if reply is None:
            turned.composed.say(self._phrases["nothing_to_repeat"])
            return
        turned.composed.sentences[:] = [reply.text]  # the same words again, and nothing around them
        turned.composed.number, turned.composed.call = reply.shown.get("number"), reply.shown.get("call")

    async def _pace(self, turned: Turned, effect: Effect) -> None:
        if effect.fields.get("change") == "louder":
            turned.talk.volume = min(LOUDEST, turned.talk.volume * 1.3)
            turned.composed.say_if_silent(self._phrases["louder"])
        else:
            turned.talk.speed = max(SLOWEST, turned.talk.speed * 0.85)
            turned.composed.say_if_silent(self._phrases["slower"])

    async def _stop(self, turned: Turned, _effect: Effect) -> None:
        turned.composed.stop = True
        turned.composed.say_if_silent(self._phrases["stop"])

    def _withdraw_case(self, turned: Turned, case: Case) -> None:
        case.stage = Stage.WITHDRAWN
        self._desk.record(turned.session, case, "withdrawn", turn_id=turned.turn_id)
        turned.changes.case(case)

    async def _withdraw(self, turned: Turned, _effect: Effect) -> None:
        standing = sorted(await open_cases(turned.session, turned.talk.id), key=lambda case: -case.id)
        light = [case for case in standing if not Risk(case.risk).at_least(Risk.URGENT)]
        if light:
            self._withdraw_case(turned, light[0])
            turned.composed.say(self._phrases.say("withdrawn", number=light[0].number))
        else:
            turned.composed.say(self._phrases["withdraw_danger" if standing else "withdraw_none"])


async def status_words(session: AsyncSession, phrases: Phrases, case: Case) -> list[str]:
    """How a case stands, in sentences."""
    # What is told of violence at home is not named, since somebody else may be listening; nor what the profession calls
    # the wish to die: nobody wants to hear or read that of themselves.
    unnamed = case.need in (Need.ABUSE, Need.CRISIS)
    need = phrases["status_unnamed"] if unnamed else NEED_ZH[Need(case.need)]
    stage = phrases.of("stage", case.stage)
    words = [phrases.say("status_one", need=need, number=case.number, stage=stage)]
    if Stage(case.stage).is_open:
        worker = await session.get(Worker, case.claimed_by) if case.claimed_by else None
        claimed = phrases.say("status_claimed", worker=worker.display_name) if worker else ""
        words.append(claimed or phrases["status_waiting"])
    return words


async def _has_heard_of(turned: Turned, case: Case) -> bool:
    """Whether the person was told the case's number."""
    shown = await turned.session.scalars(select(Reply.shown).where(Reply.conversation_id == turned.talk.id))
    return any(one.get("number") == case.number for one in shown)


def _slots(effect: Effect) -> dict[str, str]:
    """What a form has heard, without what was not asked."""
    return {
        str(key): str(value)
        for key, value in (effect.fields.get("slots") or {}).items()
        if value not in (None, "None", "")
    }


async def _village(session: AsyncSession, village_id: int | None) -> str | None:
    village = await session.get(Village, village_id) if village_id else None
    return village.name if village else None
