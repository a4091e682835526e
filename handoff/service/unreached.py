"""What happens when words could not be brought to a person: another way is taken, and the worker sees which."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.service.after import Changes
from handoff.service.identity import has_telephone
from handoff.service.opening import Desk, open_cases
from handoff.service.tasks import UNREACHED, plan_task
from handoff.service.ways import Told
from handoff.store.tables import Case, Conversation, Reply, Task

_SOON, _NEXT_DAY = timedelta(hours=2), timedelta(days=1)


async def take_another_way(
    session: AsyncSession, desk: Desk, reply: Reply, told: Told, changes: Changes
) -> None:
    """A task for whoever has the matter: to call where a number is known, else to go there.

    Where the person was told that words are waiting, it may wait until the next day. Without any matter they are only said
    when the person writes again.
    """
    talk = await session.get_one(Conversation, reply.conversation_id)
    for case in await open_cases(session, talk.id) or await _newest(session, talk, reply):
        known = await has_telephone(session, case.person_id or talk.person_id)
        instead = "call" if known else "visit"
        now = desk.clock.now()
        due = now + (_NEXT_DAY if told.hinted else _SOON)
        await plan_task(session, case, instead, due, now, unreached=True)
        content = {"code": told.code or "", "instead": instead}
        if told.hinted:
            content["hinted"] = told.hinted
        desk.record(session, case, "unreached", content=content)
        changes.case(case, new=True)


async def hurry(session: AsyncSession, desk: Desk, address_id: int, changes: Changes) -> bool:
    """What could wait because somebody had been told that words are waiting can't: they have not been told.

    Whether there was anything of that.
    """
    soon = desk.clock.now() + _SOON
    late = (
        select(Task, Case)
        .join(Case, Case.id == Task.case_id)
        .join(Conversation, Conversation.id == Case.conversation_id)
    )
    late = late.where(Conversation.address_id == address_id, Task.asked_by == UNREACHED)
    late = late.where(Task.done_at.is_(None), Task.due_at > soon)
    found = [*await session.execute(late)]
    for task, case in found:
        task.due_at = soon
        desk.record(session, case, "unreached", content={"code": "not_hinted", "instead": task.kind})
        changes.case(case, new=True)
    return bool(found)


async def _newest(session: AsyncSession, talk: Conversation, reply: Reply) -> list[Case]:
    """What was said unasked where all is closed, such as the closing words themselves: they belong to the last matter."""
    if reply.turn_id is not None:
        return []
    last = select(Case).where(Case.conversation_id == talk.id).order_by(Case.id.desc()).limit(1)
    return [*await session.scalars(last)]
