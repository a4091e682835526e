"""Putting words to the person on record, with the first attempt to deliver them."""

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from handoff.store.tables import Conversation, Notice, Person, Reply


async def add_reply(
    session: AsyncSession,
    talk: Conversation,
    text: str,
    now: datetime,
    *,
    turn_id: int | None = None,
    worker_id: int | None = None,
    reply_id: str | None = None,
    **shown: Any,
) -> tuple[Reply, Notice]:
    """The reply (with the person's own pace and volume) and its pending first notice."""
    shown = {"speed": talk.speed, "volume": talk.volume} | shown
    reply = Reply(
        id=reply_id or secrets.token_hex(16),
        conversation_id=talk.id,
        turn_id=turn_id,
        worker_id=worker_id,
        text=text,
        shown=shown,
        created_at=now,
    )
    session.add(reply)
    await session.flush()  # the notice refers to it, and without a relationship the order of inserts is open
    notice = Notice(reply_id=reply.id, way=talk.channel, attempt=1, state="pending", created_at=now)
    session.add(notice)
    return reply, notice


async def courtesy(session: AsyncSession, talk: Conversation, words: str) -> str:
    """The words with how the person is called before them (王嬢嬢，…), where a worker has put that on record."""
    person = await session.get(Person, talk.person_id) if talk.person_id else None
    return f"{person.called}，{words}" if person is not None and person.called else words
