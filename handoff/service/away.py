"""Whether somebody has been away so long that the talk begins anew."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.store.tables import Conversation, Turn

AWAY = timedelta(hours=4)
"""So long after the last words nobody is still answering a question that was asked then."""


async def has_been_away(
    session: AsyncSession, talk: Conversation, at: datetime, before: int | None = None
) -> bool:
    """Whether the last words, of all or before this turn, were said long before `at`."""
    earlier = select(Turn.received_at).where(Turn.conversation_id == talk.id)
    if before is not None:
        earlier = earlier.where(Turn.id < before)
    last = await session.scalar(earlier.order_by(Turn.id.desc()).limit(1))
    return last is not None and at - last >= AWAY


def begin_anew(talk: Conversation) -> None:
    """Forget what was being asked; what was told stands in its case."""
    talk.dialogue, talk.questions, talk.asked = None, [], None
    talk.version += 1
