"""What is said in a call that the service made, and how the answers are heard."""

import re
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.words import Need, Purpose, Risk
from handoff.model.yes_no import yes_or_no
from handoff.service.calls import end_call
from handoff.service.effects import Effects, Turned
from handoff.service.identity import says_name
from handoff.service.opening import Desk, Matter
from handoff.service.phrases import Phrases
from handoff.store.tables import Call, Case, Person

IS_IT_YOU, HEARD, HELPED = "is_it_you", "heard", "helped"
"""What was asked last (`Conversation.asked["step"]`) in a call that we made."""
STEPS = (IS_IT_YOU, HEARD, HELPED)
_NOT_HELPED = re.compile(r"(没|不|未).{0,3}(帮|好|办|用|行|来|成|解决|弄|搞|到|见)")
_HAS_HELPED = re.compile(r"帮到|帮上|好了|办好|办成|办妥|解决|弄好|搞好|来过|谢谢|多谢|有用")
_NOT_HEARD = re.compile(r"(没|不|未|莫|冇).{0,2}(听|晓得|知道|明白|懂|记)")
_HAS_HEARD = re.compile(r"听(清|见|到|明白)|晓得|知道|记(到|得|住|下|着)|明白|好的|收到")


class Called:
    """One question at a time: whether it is they, then what the call is for."""

    def __init__(self, desk: Desk, effects: Effects, phrases: Phrases) -> None:
        self._desk = desk
        self._effects = effects
        self._phrases = phrases

    async def first_words(
        self, session: AsyncSession, call: Call, case: Case
    ) -> tuple[str, dict[str, Any] | None]:
        """What whoever takes the call hears first, and what they are asked by it: of a matter nothing is told yet."""
        if call.purpose == Purpose.CALL_BACK:
            return self._phrases["called_back"], None
        person = await _person(session, case)
        whom = person and (person.called or person.name)
        words = self._phrases.say("is_it_you", whom=str(whom)) if whom else self._phrases["is_it_you_unnamed"]
        return words, {"step": IS_IT_YOU, "call": call.id}

    async def hear(self, turned: Turned, text: str, intent: str, asked: dict[str, Any]) -> bool:
        """Take the utterance as the answer; False where it is something else, which is then answered as always."""
        call = await turned.session.get_one(Call, asked["call"])
        case = await turned.session.get_one(Case, call.case_id)
        step = {IS_IT_YOU: self._is_it_you, HEARD: self._has_heard, HELPED: self._has_helped}[asked["step"]]
        return await step(turned, text, intent, call, case)

    async def _is_it_you(self, turned: Turned, text: str, intent: str, call: Call, case: Case) -> bool:
        person = await _person(turned.session, case)
        answer = yes_or_no(text, intent)
        if answer is None and not (person is not None and says_name(text, str(person.name))):
            return False
        if answer is False:
            turned.composed.say(self._phrases["call_for_another"])
            return True
        turned.talk.person_id = person.id if person else None
        if call.purpose == Purpose.REMINDER:
            self._remind(turned, call)
        else:
            turned.talk.asked = {"step": HELPED, "call": call.id}
            turned.composed.say(self._phrases["did_it_help"])
        return True

    def _remind(self, turned: Turned, call: Call) -> None:
        turned.talk.asked = {"step": HEARD, "call": call.id}
        turned.composed.say(self._phrases.say("reminder", words=str(call.words)))

    async def _has_heard(self, turned: Turned, text: str, intent: str, call: Call, case: Case) -> bool:
        answer = yes_or_no(text, intent)
        if answer is False or _NOT_HEARD.search(text):
            self._remind(turned, call)
            return True
        if answer is None and not _HAS_HEARD.search(text):
            return False
        self._settle(turned, call, case, "reminder_heard")
        turned.composed.say(self._phrases["reminder_heard"])
        return True

    async def _has_helped(self, turned: Turned, text: str, intent: str, call: Call, case: Case) -> bool:
        answer = yes_or_no(text, intent)
        if _NOT_HELPED.search(text):
            answer = False
        elif answer is None and _HAS_HELPED.search(text):
            answer = True
        if answer is None:
            return False
        self._settle(turned, call, case, "helped" if answer else "not_helped")
        if answer:
            turned.composed.say(self._phrases["helped"])
            return True
        turned.composed.say(self._phrases["not_helped"])
        # A matter of its own: the old one is closed, and whoever closed it need not be the one who sees to this.
        slots = {"what": f"{case.number} 没帮到"}
        await self._effects.open(
            turned, Matter(Need(case.need), Risk.ATTENTION, turn_id=turned.turn_id, slots=slots)
        )
        return True

    def _settle(self, turned: Turned, call: Call, case: Case, kind: str) -> None:
        self._desk.record(turned.session, case, kind, turn_id=turned.turn_id)
        end_call(turned.session, self._desk, call, case, "done", turned.changes)


async def _person(session: AsyncSession, case: Case) -> Person | None:
    return await session.get(Person, case.person_id) if case.person_id else None
