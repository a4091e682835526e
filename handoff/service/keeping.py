"""Words about one person's matter for a shared telephone: kept until that person has said who they are."""

import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.words import Need
from handoff.service.away import has_been_away
from handoff.service.identity import has_telephone, is_newest, is_shared
from handoff.service.replying import add_reply
from handoff.service.tasks import plan_task
from handoff.store.tables import Case, Conversation, Notice, Reply

_SOON = timedelta(hours=2)
_WAITS_FOR = "waits_for"
"""In `Reply.shown`: the case whose person alone may hear it; None where a worker must tell it."""


async def tell(
    session: AsyncSession,
    talk: Conversation,
    case: Case,
    text: str,
    hint: str,
    now: datetime,
    worker_id: int | None = None,
) -> tuple[Reply, Notice | None]:
    """The words on their way; where others may read them, only `hint` is, and the words are kept."""  # fmt: skip
    if not await _must_be_kept(session, talk, case, now):
        return await add_reply(session, talk, text, now, worker_id=worker_id)
    # What is written about violence is told to nobody for a name that anybody at home knows: somebody calls instead.
    close = case.need == Need.ABUSE
    if worker_id is not None and (
        close or case.person_id is None
    ):  # who is not named can't say that it is they
        kind = "call" if close or await has_telephone(session, case.person_id) else "visit"
        await plan_task(session, case, kind, now + _SOON, now, unreached=True)
    shown = {"speed": talk.speed, "volume": talk.volume, _WAITS_FOR: None if close else case.id}
    reply = Reply(
        id=secrets.token_hex(16), conversation_id=talk.id, worker_id=worker_id, text=text, shown=shown, created_at=now
    )  # fmt: skip
    session.add(reply)
    _, notice = await add_reply(session, talk, hint, now)
    return reply, notice


async def tell_kept(session: AsyncSession, talk: Conversation, person_id: int, now: datetime) -> list[str]:
    """What was kept for this person at this address, the oldest first; it is told with the reply in the making."""
    kept = select(Reply).join(Conversation, Conversation.id == Reply.conversation_id)
    kept = kept.where(Conversation.address_id == talk.address_id, ~_is_on_its_way())
    told: list[str] = []
    for reply in [*await session.scalars(kept.order_by(Reply.created_at))]:
        waits_for = reply.shown.get(_WAITS_FOR)
        case = await session.get(Case, waits_for) if waits_for else None
        if case is None or case.person_id != person_id:
            continue
        told.append(str(reply.text))
        session.add(
            Notice(
                reply_id=reply.id, way=talk.channel, attempt=1, state="delivered", created_at=now, finished_at=now
            )
        )  # fmt: skip
    return told


async def last_said(session: AsyncSession, talk: Conversation) -> Reply | None:
    """The last words that whoever speaks here now has been told; what is kept for somebody is not among them."""
    said = select(Reply).join(Conversation, Conversation.id == Reply.conversation_id).where(_is_on_its_way())
    if not await is_shared(session, talk):
        said = said.where(Conversation.id == talk.id)
    elif await is_newest(session, talk):
        # Who has just taken over was answered in the conversation of whoever spoke before.
        said = said.where(Conversation.address_id == talk.address_id, Reply.created_at >= talk.started_at)
    elif talk.person_id is None:
        return None  # a page left open: its last words were another's
    else:
        said = said.where(Conversation.id == talk.id)
    return await session.scalar(said.order_by(Reply.created_at.desc()).limit(1))


def _is_on_its_way() -> Any:
    return select(Notice.id).where(Notice.reply_id == Reply.id).exists()


async def _must_be_kept(session: AsyncSession, talk: Conversation, case: Case, now: datetime) -> bool:
    """Not where the case's person, named or not, is the one who is talking with us now."""
    if not await is_shared(session, talk):
        return False
    here = await is_newest(session, talk) and not await has_been_away(session, talk, now)
    return not here or case.person_id != talk.person_id
