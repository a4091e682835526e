"""What a connector may read of a conversation, by its token: replies, who holds it, what became of it."""

from typing import Any

from sqlalchemy import select

from handoff.model.errors import HandoffError
from handoff.model.nouns import ReplyView
from handoff.model.words import Risk
from handoff.service.checking import NUMBER, WHO
from handoff.service.turns import conversation, holder, view
from handoff.store.database import Store
from handoff.store.tables import Case, Conversation, Reply, Station

_DIGITS = "零一二三四五六七八九，二九五七"
_NUMBER_ASKED = (WHO, NUMBER)


class Talks:
    """Reads conversations for the page, the gateway and the command line."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def only_station(self) -> str | None:
        """The code of the station where there is just one, so that its page needs no setting."""
        async with self._store.read() as session:
            codes = [*await session.scalars(select(Station.code).limit(2))]
        return codes[0] if len(codes) == 1 else None

    async def conversation_id(self, token: str) -> int:
        """Raises UnknownConversation."""
        async with self._store.read() as session:
            return (await conversation(session, token)).id

    async def reply_of(self, token: str, reply_id: str) -> ReplyView:
        """A reply of this conversation and of no other."""
        async with self._store.read() as session:
            talk = await conversation(session, token)
            reply = await session.get(Reply, reply_id) if reply_id.isprintable() else None
            if reply is None or reply.conversation_id != talk.id:
                raise HandoffError("no_such_reply", "没有这句话。")
            return view(reply, await holder(session, talk))

    async def held_by(self, conversation_id: int) -> str | None:
        """The display name of the worker who has the conversation."""
        async with self._store.read() as session:
            return await holder(session, await session.get_one(Conversation, conversation_id))

    async def likely_words(self, token: str) -> str:
        """What a recogniser should expect to hear just now: digits, where a number was asked for.

        Nothing else: names of the field and of villages made more errors than they mended (decision 16), and whoever guesses at
        the answer to a question must not be helped to it. Empty where the store can't say: hearing does not depend on it.
        """
        try:
            async with self._store.read() as session:
                talk = await conversation(session, token)
                return _DIGITS if (talk.asked or {}).get("step") in _NUMBER_ASKED else ""
        except HandoffError:
            return ""

    async def matters(self, token: str) -> list[dict[str, Any]]:
        """Every case of a conversation, the gravest first, for programs: number, need, risk, kinds, stage."""
        async with self._store.read() as session:
            talk = await conversation(session, token)
            cases = await session.scalars(select(Case).where(Case.conversation_id == talk.id))
            ordered = sorted(cases, key=lambda case: (-Risk(case.risk).rank, case.id))
            return [
                {
                    "number": case.number,
                    "need": case.need,
                    "risk": case.risk,
                    "kinds": case.kinds,
                    "stage": case.stage,
                }
                for case in ordered
            ]
