"""Hears who somebody is, and the one check before a matter is told where it is not known yet."""

import secrets
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.words import Need, Risk, Stage
from handoff.service.addresses import join_address
from handoff.service.away import begin_anew
from handoff.service.called import STEPS, Called
from handoff.service.cards import LENGTH, card_number_said, person_of_card, shows_card
from handoff.service.consent import ASKED, UNANSWERED
from handoff.service.effects import Effects, Turned
from handoff.service.identity import (
    case_of_number,
    cases_of,
    is_shared,
    may_try,
    number_said,
    people_at,
    record_check,
    says_name,
    shared_since,
)
from handoff.service.keeping import tell_kept
from handoff.service.opening import Desk, Matter, find_open, open_cases
from handoff.service.phrases import Phrases
from handoff.store.tables import Card, Case, Conversation, Person

CALLER, WHO, NUMBER, NAME = "caller", "who", "number", "name"
"""What was asked last (`Conversation.asked["step"]`); `caller` at the beginning, before anything was wanted."""
_TRIES = 2
_ASIDES = ("talk_repeat", "talk_slower", "talk_louder")
_NOTHING_ELSE = ("", "unclear", "talk_smalltalk", "talk_affirm")
"""What a name that is not known here is taken for."""
_TURNS_AWAY = ("talk_cancel", "talk_deny", "human")


class Checking:
    """One question at a time; nothing is confirmed or denied before the answer is right."""

    def __init__(self, desk: Desk, effects: Effects, phrases: Phrases, called: Called) -> None:
        self._desk = desk
        self._called = called
        self._effects = effects
        self._phrases = phrases
        effects.on_number = self._hear_number

    async def hear(self, turned: Turned, text: str, intent: str) -> bool:
        """Take the utterance as the answer to what was asked; False where it is something else."""
        heard = await self._hear(turned, text, intent)
        if heard and turned.talk.consent == ASKED:
            turned.talk.consent = UNANSWERED  # a yes counts only right after the question
        return heard

    async def hear_who(self, turned: Turned, text: str) -> bool:
        """While a worker holds the talk: only who is speaking, since words may be kept for them."""
        if turned.talk.questions or turned.risk.at_least(Risk.URGENT):
            return False
        return await self._says_who(turned, text)

    async def _hear(self, turned: Turned, text: str, intent: str) -> bool:
        talk = turned.talk
        if talk.questions or turned.risk.at_least(Risk.URGENT):
            talk.asked = None
            return False
        if intent in _ASIDES:
            return False
        if (called := talk.asked or {}).get("step") in STEPS:
            talk.asked = None
            return await self._called.hear(turned, text, intent, called)
        if await self._says_who(turned, text):
            return True
        asked: dict[str, Any] = talk.asked or {}
        talk.asked = None
        if number := shows_card(text):
            await self._hear_number(turned, number)
            return True
        if not asked or intent in _TURNS_AWAY:
            return False
        if asked["step"] == NAME:
            await self._hear_name(turned, text, asked)
            return True
        number = card_number_said(text) or number_said(text)
        number = number or card_number_said(text, by_sound=True) or number_said(text, by_sound=True)
        if number is not None:
            await self._hear_number(turned, number)
            return True
        if asked["step"] == WHO and intent in _NOTHING_ELSE:
            talk.person_id = None
            self._effects.ask_for_number(turned)
            return True
        return False

    # -- who is it? ----------------------------------------------------------------------------------------

    async def _says_who(self, turned: Turned, text: str) -> bool:
        """On a shared telephone a name is enough to say who speaks, whether it was asked for or not."""
        talk = turned.talk
        people = await people_at(turned.session, talk)
        asked = (talk.asked or {}).get("step")
        if len(people) < 2 or asked == NAME:
            return False
        named = [one for one in people if says_name(text, one.name)]
        if not named and asked in (CALLER, WHO):
            named = [one for one in people if one.called and says_name(text, one.called)]
        if len(named) != 1 or (asked not in (CALLER, WHO) and not _only_name(text, named[0])):
            return False
        talk.asked = None
        await self._go_on_with(turned, named[0], began=asked == CALLER)
        return True

    async def _go_on_with(self, turned: Turned, person: Person, *, began: bool) -> None:
        """From now on it is this person's conversation; what is theirs is told, and nothing else.

        began: it was asked before anything was wanted: only what is under way is told, and then it is their turn.
        """
        kept = await self._take_over(turned, person)
        cases = [one for one in await cases_of(turned.session, person.id) if one.need != Need.ABUSE]
        for case in [one for one in cases if Stage(one.stage).is_open or not began]:
            await self._effects.say_status(turned, case)
        if began:
            turned.composed.say(self._phrases["say_on"])
        elif not cases and not kept:
            self._effects.ask_for_number(turned)

    async def _take_over(self, turned: Turned, person: Person) -> bool:
        """The talk is this person's from now on, or a new one; whether words were kept for them, which are told."""
        session, talk = turned.session, turned.talk
        others = [one for one in await open_cases(session, talk.id) if one.person_id != person.id]
        since = await shared_since(session, talk)
        if talk.person_id is None and since is not None and talk.started_at >= since:
            # Opened by whoever has just said who they are; in an older conversation it may be anybody's.
            for case in [one for one in others if one.person_id is None]:
                case.person_id = person.id
                turned.changes.case(case)
            others = [one for one in others if one.person_id != person.id]
        if others or talk.person_id not in (None, person.id):
            session.add(_anew(talk, person, self._desk))
            # A page may still be open in it: whoever speaks there must first say who they are.
            begin_anew(talk)
            talk.person_id = None
        else:
            talk.person_id = person.id
        kept = await tell_kept(session, talk, person.id, self._desk.clock.now())
        for words in kept:
            turned.composed.say(words)
        return bool(kept)

    # -- the check -----------------------------------------------------------------------------------------

    async def _hear_number(self, turned: Turned, number: str) -> None:
        about, _ = await self._meant(turned.session, number)
        if not await may_try(turned.session, turned.talk, about, self._desk.clock.now()):
            await self._refuse(turned)
            return
        turned.talk.asked = {"step": NAME, "number": number, "wrong": 0}
        turned.composed.say(self._phrases["ask_name" if len(number) < LENGTH else "ask_name_of_card"])

    async def _meant(self, session: AsyncSession, number: str) -> tuple[Case | Card | None, Person | None]:
        """The matter or the card of a number, and whose it is."""
        if len(number) == LENGTH:
            return await person_of_card(session, number) or (None, None)
        case = await case_of_number(session, number)
        return case, await session.get(Person, case.person_id) if case and case.person_id else None

    async def _hear_name(self, turned: Turned, text: str, asked: dict[str, Any]) -> None:
        session, talk, now = turned.session, turned.talk, self._desk.clock.now()
        about, person = await self._meant(session, asked["number"])
        if not await may_try(session, talk, about, now):
            await self._refuse(turned)
            return
        right = person is not None and says_name(text, person.name)
        record_check(session, talk, about, now, right=right)
        if about is not None and person is not None and right:
            await (
                self._let_in(turned, about, person)
                if isinstance(about, Case)
                else self._know_by_card(turned, person)
            )
            return
        wrong = int(asked["wrong"]) + 1
        if wrong >= _TRIES:
            await self._refuse(turned)
            return
        talk.asked = asked | {"wrong": wrong}
        turned.composed.say(self._phrases["ask_name_again"])

    async def _let_in(self, turned: Turned, case: Case, person: Person) -> None:
        """The address is joined to the person, and the matter told; violence only by a worker."""
        if case.need == Need.ABUSE:
            await self._refuse(turned)
            return
        await self._join(turned, person)
        await self._tell(turned, case)

    async def _know_by_card(self, turned: Turned, person: Person) -> None:
        """The address is joined to the person, and their matters told, but for violence."""
        await self._join(turned, person)
        turned.composed.say(self._phrases["known_by_card"])
        told = [one for one in await cases_of(turned.session, person.id) if one.need != Need.ABUSE]
        for case in told:
            await self._tell(turned, case)
        if not told:
            turned.composed.say(self._phrases["nothing_under_way"])

    async def _join(self, turned: Turned, person: Person) -> None:
        talk = turned.talk
        if talk.address_id is not None:
            await join_address(turned.session, talk.address_id, person.id, self._desk.clock.now())
            await turned.session.flush()
            if await is_shared(turned.session, talk):
                await self._take_over(turned, person)
        if talk.person_id is None and not await is_shared(turned.session, talk):
            talk.person_id = person.id

    async def _tell(self, turned: Turned, case: Case) -> None:
        self._desk.record(turned.session, case, "identified", turn_id=turned.turn_id)
        turned.changes.case(case)
        await self._effects.say_status(turned, case)

    async def _refuse(self, turned: Turned) -> None:
        """Nothing is told, nothing confirmed; a worker sees to it."""
        turned.composed.say(self._phrases["not_identified"])
        matter = Matter(
            Need.HUMAN, Risk.ATTENTION, turn_id=turned.turn_id, slots={"reason": "not_identified"}
        )
        await self._effects.open(turned, matter)
        case = await find_open(turned.session, turned.talk.id, Need.HUMAN)
        if case is not None:
            self._desk.record(turned.session, case, "not_identified", turn_id=turned.turn_id)


def _only_name(text: str, person: Person) -> bool:
    """Whether little else is said: who tells of somebody is not that somebody."""
    said = "".join(char for char in text if "\u4e00" <= char <= "\u9fff")
    return said.startswith(("我是", "我叫", "这是", "是")) or len(said) <= len(person.name)


def _anew(talk: Conversation, person: Person, desk: Desk) -> Conversation:
    """A conversation of their own for another person at the same address; what comes next belongs to it."""
    return Conversation(
        token=secrets.token_urlsafe(24), channel=talk.channel, speaker=talk.speaker, risk=Risk.ROUTINE,
        questions=[], speed=1.0, volume=1.0, address_id=talk.address_id, village_id=talk.village_id,
        person_id=person.id, station_id=talk.station_id, started_at=desk.clock.now(),
    )  # fmt: skip
