"""What somebody is to do about a case: a call, or a visit."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.store.tables import Case, Task

UNREACHED = "unreached"
"""Asked for because words could not be brought to the person."""


async def plan_task(
    session: AsyncSession, case: Case, kind: str, due_at: datetime, now: datetime, *, unreached: bool = False
) -> None:
    """A `call` or `visit` for whoever has the case; one that is open already is only brought forward where it comes too late.

    `unreached`: because the person could not be reached. The opening's own task does not stand for that, only another such.
    """
    alike = select(Task).where(Task.case_id == case.id, Task.kind == kind, Task.done_at.is_(None))
    if kind == "visit":  # nobody ticks visits off: one whose time has come may have been made
        alike = alike.where(Task.due_at > now)
    if unreached:
        alike = alike.where(Task.asked_by == UNREACHED)
    planned = await session.scalar(alike.order_by(Task.due_at).limit(1))
    if planned is None:
        asked_by = UNREACHED if unreached else "opening"
        session.add(Task(case_id=case.id, kind=kind, due_at=due_at, asked_by=asked_by))
    elif planned.due_at > due_at:
        planned.due_at = due_at
