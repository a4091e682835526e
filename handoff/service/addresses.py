"""Where people can be reached, and who is reached there: several may share a telephone, one may have several ways."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.words import Channel
from handoff.store.sealed import digest
from handoff.store.tables import Address, Conversation, Person, Reached


async def address_of(session: AsyncSession, channel: Channel, value: str, now: datetime) -> Address:
    """The address on record, put there if it is new."""
    known = select(Address).where(Address.channel == channel, Address.digest == digest(value))
    found = await session.scalar(known)
    if found is not None:
        return found
    fresh = Address(channel=channel, digest=digest(value), value=value, created_at=now)
    try:
        async with session.begin_nested():
            session.add(fresh)
    except IntegrityError:  # another process met them at the same moment
        found = await session.scalar(known)
        if found is None:
            raise
        return found
    return fresh


async def newest_talk(session: AsyncSession, channel: Channel, value: str) -> Conversation | None:
    """The last conversation that was held with an address."""
    talks = select(Conversation).join(Address, Address.id == Conversation.address_id)
    talks = talks.where(Address.channel == channel, Address.digest == digest(value))
    return await session.scalar(talks.order_by(Conversation.id.desc()).limit(1))


async def reached_at(session: AsyncSession, address_id: int) -> list[Person]:
    """Who has said that they are reached there, in the order of their saying so."""
    people = select(Person).join(Reached, Reached.person_id == Person.id)
    return [*await session.scalars(people.where(Reached.address_id == address_id).order_by(Reached.since))]


async def join_address(session: AsyncSession, address_id: int, person_id: int, now: datetime) -> None:
    """This person is reached there; once more does nothing."""
    if await session.get(Reached, (address_id, person_id)) is None:
        session.add(Reached(address_id=address_id, person_id=person_id, since=now))


async def set_gone(session: AsyncSession, address_id: int, at: datetime | None) -> None:
    """Since when nobody is reached there any more; None: they are back."""
    address = await session.get_one(Address, address_id)
    address.gone_at = at
