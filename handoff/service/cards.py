"""Station cards (便民卡): a number to carry, by which its person is found again wherever they speak, once they say their name."""

import re
import secrets
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.service.identity import digits_of
from handoff.store.sealed import digest
from handoff.store.tables import Card, Person

LENGTH = 8
_AROUND = re.compile(r"[^\u4e00-\u9fff]")
_MOST_AROUND = 8
"""Characters beside the digits; who says more tells of something else that has a number."""


def card_number_said(text: str, *, by_sound: bool = False) -> str | None:
    """The card number in an utterance, or in what a card reader typed; None where there is none. As `number_said`."""
    found = re.search(rf"(?<!\d)\d{{{LENGTH}}}(?!\d)", digits_of(text, by_sound=by_sound))
    return found[0] if found else None


def shows_card(text: str) -> str | None:
    """The card number where the utterance is little else ("我的卡号是……"), so that it need not be asked for."""
    number = card_number_said(text)
    if number is None:
        return None
    around = [char for char in _AROUND.sub("", text) if not digits_of(char).isdigit()]
    return number if not around or ("卡" in around and len(around) <= _MOST_AROUND) else None


async def person_of_card(session: AsyncSession, number: str) -> tuple[Card, Person] | None:
    """Whose card it is; None where nobody's, or where it was lost and made void."""
    card = await standing_card(session, Card.digest == digest(_value(number)))
    return (card, await session.get_one(Person, card.person_id)) if card else None


async def card_of(session: AsyncSession, person_id: int) -> Card | None:
    """The card that a person has."""
    return await standing_card(session, Card.person_id == person_id)


async def standing_card(session: AsyncSession, which: object) -> Card | None:
    """The newest card that is not void."""
    found = select(Card).where(which, Card.void_at.is_(None)).order_by(Card.id.desc())  # type: ignore[arg-type]
    return await session.scalar(found.limit(1))


async def make_card(session: AsyncSession, person_id: int, worker_id: int, now: datetime) -> Card:
    """A fresh card; those the person had are void from now on."""
    await void_cards(session, person_id, now)
    number = str(secrets.randbelow(9 * 10 ** (LENGTH - 1)) + 10 ** (LENGTH - 1))
    card = Card(
        digest=digest(_value(number)), number=number, person_id=person_id, made_by=worker_id, made_at=now
    )
    session.add(card)
    await session.flush()
    return card


async def void_cards(session: AsyncSession, person_id: int, now: datetime) -> None:
    """None of the person's cards counts any more: lost, or made anew."""
    standing = update(Card).where(Card.person_id == person_id, Card.void_at.is_(None))
    await session.execute(standing.values(void_at=now))


def in_groups(number: str) -> str:
    """As it is written on the card and read out: in groups of four."""
    return f"{number[: LENGTH // 2]} {number[LENGTH // 2 :]}"


def _value(number: str) -> str:
    return f"card:{number}"
