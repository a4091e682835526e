"""What happens when words could not be brought to a person: another way is taken, and the worker sees which."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.words import Channel
from handoff.service.after import Changes
from handoff.service.opening import Desk, open_cases
from handoff.service.ways import Told
from handoff.store.tables import Address, Conversation, Reached, Reply, Task

_SOON, _NEXT_DAY = timedelta(hours=2), timedelta(days=1)


async def take_another_way(
    session: AsyncSession, desk: Desk, reply: Reply, told: Told, changes: Changes
) -> None:
    """A task for whoever has the matter: to call where a number is known, else to go there.

    Where the person was told that words are waiting, it may wait until the next day. Without an open matter nothing waits for these words; they are said when the person writes again.
    """
    talk = await session.get_one(Conversation, reply.conversation_id)
    for case in await open_cases(session, talk.id):
        known = await _has_telephone(session, case.person_id or talk.person_id)
        instead = "call" if known else "visit"
        waiting = select(Task.id).where(
            Task.case_id == case.id,
            Task.kind == instead,
            Task.done_at.is_(None),
            Task.asked_by == "unreached",
        )
        if await session.scalar(waiting) is None:
            due = desk.clock.now() + (_NEXT_DAY if told.hinted else _SOON)
            session.add(Task(case_id=case.id, kind=instead, due_at=due, asked_by="unreached"))
        content = {"code": told.code or "", "instead": instead}
        if told.hinted:
            content["hinted"] = told.hinted
        desk.record(session, case, "unreached", content=content)
        changes.case(case, new=True)


async def _has_telephone(session: AsyncSession, person_id: int | None) -> bool:
    """Whether somebody can be called, as far as we know."""
    numbers = select(Address.id).join(Reached, Reached.address_id == Address.id)
    numbers = numbers.where(Address.channel == Channel.PHONE, Reached.person_id == person_id)
    return person_id is not None and await session.scalar(numbers.limit(1)) is not None
