"""Who is speaking, and what may be told there: a matter is told to its person, never to whoever shares their telephone."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.words import Channel
from handoff.service.addresses import address_of, join_address, reached_at
from handoff.service.opening import OPEN
from handoff.store.tables import Address, Card, Case, Check, Conversation, Person, Reached

MOST_TOLD = 3
_DAY = timedelta(days=1)
_MOST_WRONG, _MOST_WRONG_AT_STATION, _MOST_WRONG_OF_CASE = 4, 8, 6
"""Wrong answers in a day after which nothing more is tried: from one address, at one station, about one case."""
_LONGEST_NAME_SAID = 14
"""Characters; who says more may be naming the whole village."""
_DIGITS = {
    **{char: str(value) for value, char in enumerate("零一二三四五六七八九")},
    **{str(value): str(value) for value in range(10)},
    **{chr(0xFF10 + value): str(value) for value in range(10)},
    "〇": "0", "洞": "0", "幺": "1", "两": "2", "俩": "2", "拐": "7",
}  # fmt: skip
_DIGIT_SOUNDS = {
    "ling": "0", "dong": "0", "yi": "1", "yao": "1", "er": "2", "liang": "2", "san": "3", "si": "4", "wu": "5", "liu": "6",
    "qi": "7", "guai": "7", "ba": "8", "jiu": "9",
}  # fmt: skip
_BETWEEN_DIGITS = re.compile(r"[\s，,、。.\-]+")


def number_said(text: str, *, by_sound: bool = False) -> str | None:
    """The case number in an utterance, however its digits are written; None where there is none.

    by_sound: what sounds like a digit is one, where a number was asked for (骑二八骑 is 7287).
    """
    found = re.search(r"(?<!\d)\d{4,6}(?!\d)", digits_of(text, by_sound=by_sound))
    return found[0] if found else None


def digits_of(text: str, *, by_sound: bool = False) -> str:
    """Its digits, however they are written or, if wanted, sound; `x` for all else but what stands between digits."""
    plain = _BETWEEN_DIGITS.sub("", text)
    if not by_sound:
        return "".join(_DIGITS.get(char, "x") for char in plain)
    closing = plain.rstrip("吧")  # sounds like an eight, and closes a sentence
    return "".join(_DIGITS.get(char) or _DIGIT_SOUNDS.get("".join(_syllables(char)), "x") for char in closing)


def says_name(text: str, name: str) -> bool:
    """Whether the name is said, by its sound without tones: a recogniser writes it as it likes."""
    if len(text) > _LONGEST_NAME_SAID:
        return False
    said, wanted = _syllables(text), _syllables(name)
    return len(wanted) >= 2 and any(
        said[at : at + len(wanted)] == wanted for at in range(len(said) - len(wanted) + 1)
    )


def _syllables(text: str) -> list[str]:
    from pypinyin import lazy_pinyin  # takes a while to load, and few ever need it

    return [one for char in text if "\u4e00" <= char <= "\u9fff" for one in lazy_pinyin(char)]


async def people_at(session: AsyncSession, talk: Conversation) -> list[Person]:
    """Who is reached where this conversation is held."""
    return await reached_at(session, talk.address_id) if talk.address_id is not None else []


async def is_shared(session: AsyncSession, talk: Conversation) -> bool:
    """Whether several people are reached there."""
    people = select(func.count()).select_from(Reached).where(Reached.address_id == talk.address_id)
    return talk.address_id is not None and (await session.scalar(people) or 0) > 1


async def shared_since(session: AsyncSession, talk: Conversation) -> datetime | None:
    """Since when more than one person is reached there."""
    joined = select(Reached.since).where(Reached.address_id == talk.address_id).order_by(Reached.since)
    since = [*await session.scalars(joined.limit(2))]
    return since[1] if len(since) > 1 else None


async def is_newest(session: AsyncSession, talk: Conversation) -> bool:
    """Whether nobody has begun to talk at the same address since."""
    later = select(Conversation.id).where(
        Conversation.address_id == talk.address_id, Conversation.id > talk.id
    )
    return await session.scalar(later.limit(1)) is None


async def has_telephone(session: AsyncSession, person_id: int | None) -> bool:
    """Whether somebody can be called, as far as we know."""
    numbers = select(Address.id).join(Reached, Reached.address_id == Address.id)
    numbers = numbers.where(Address.channel == Channel.PHONE, Reached.person_id == person_id)
    return person_id is not None and await session.scalar(numbers.limit(1)) is not None


async def known_cases(session: AsyncSession, talk: Conversation) -> Sequence[Case] | None:
    """The newest matters that may be told here; None where it must first be known who asks."""
    people = await people_at(session, talk)
    if len(people) > 1:
        return None if talk.person_id is None else await cases_of(session, talk.person_id)
    known = {person.id for person in people} | ({talk.person_id} if talk.person_id else set())
    return await _newest(session, or_(Case.conversation_id == talk.id, Case.person_id.in_(known)))


async def cases_of(session: AsyncSession, person_id: int) -> Sequence[Case]:
    """The newest matters of one person."""
    return await _newest(session, Case.person_id == person_id)


async def _newest(session: AsyncSession, which: ColumnElement[bool]) -> Sequence[Case]:
    found = select(Case).where(which).order_by(Case.id.desc()).limit(MOST_TOLD)
    return [*await session.scalars(found)]


async def case_of_number(session: AsyncSession, number: str) -> Case | None:
    """The matter of a number: the open one, else the last that bore it."""
    bearing = select(Case).where(Case.number == number).order_by(Case.id.desc())
    return await session.scalar(bearing.where(OPEN).limit(1)) or await session.scalar(bearing.limit(1))


async def may_try(
    session: AsyncSession, talk: Conversation, about: Case | Card | None, now: datetime
) -> bool:
    """Whether so few guesses were wrong in the last day that one more may be made."""
    wrong = select(func.count()).select_from(Check)
    wrong = wrong.where(Check.is_right.is_(False), Check.at > now - _DAY)
    if talk.address_id is not None:
        here, most = Check.address_id == talk.address_id, _MOST_WRONG
    elif talk.station_id is not None:
        here, most = Check.station_id == talk.station_id, _MOST_WRONG_AT_STATION
    else:
        here, most = Check.conversation_id == talk.id, _MOST_WRONG
    if (await session.scalar(wrong.where(here)) or 0) >= most:
        return False
    if about is None:
        return True
    same = Check.case_id == about.id if isinstance(about, Case) else Check.card_id == about.id
    return (await session.scalar(wrong.where(same)) or 0) < _MOST_WRONG_OF_CASE


def record_check(
    session: AsyncSession, talk: Conversation, about: Case | Card | None, now: datetime, *, right: bool
) -> None:
    """Put an answer to the check on record, without its words."""
    session.add(
        Check(
            conversation_id=talk.id, address_id=talk.address_id, station_id=talk.station_id,
            case_id=about.id if isinstance(about, Case) else None,
            card_id=about.id if isinstance(about, Card) else None, is_right=right, at=now,
        )
    )  # fmt: skip


async def put_on_record(
    session: AsyncSession, talk: Conversation, case: Case, name: str, phone: str, now: datetime
) -> Person:
    """The person of this name: found again where telephone or address tell that it is they, else new; joined to both."""
    person = await _same_person(session, talk, case, name, phone)
    if person is None:
        person = Person(village_id=case.village_id, name=name, phone=phone or None, created_at=now)
        session.add(person)
        await session.flush()
    if phone:
        person.phone = phone
        address = await address_of(session, Channel.PHONE, phone, now)
        await join_address(session, address.id, person.id, now)
    if talk.address_id is not None:
        await join_address(session, talk.address_id, person.id, now)
    await session.flush()
    return person


async def _same_person(
    session: AsyncSession, talk: Conversation, case: Case, name: str, phone: str
) -> Person | None:
    here = {person.id for person in await people_at(session, talk)} | {case.person_id, talk.person_id}
    # Names are sealed: they can only be compared here.
    village = Person.village_id == case.village_id if case.village_id else Person.village_id.is_(None)
    for person in await session.scalars(select(Person).where(village).order_by(Person.id)):
        if person.name != name or (phone and person.phone and person.phone != phone):
            continue
        if person.id in here or (phone and person.phone == phone):
            return person
    return None
