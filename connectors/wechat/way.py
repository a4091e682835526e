"""The way to a villager's WeChat: a reply as messages, within the platform's windows, in their order."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import takewhile

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from connectors.errors import ConnectorError
from connectors.wechat.arrivals import MESSAGE_ID, Arrivals
from connectors.wechat.journal import Journal
from connectors.wechat.outcomes import MEDIA_GONE
from connectors.wechat.platform import Platform, PlatformError
from connectors.wechat.sounds import Sounds, voice_parts
from connectors.wechat.subscription import HINTED, Subscription
from connectors.wechat.texts import split_text
from connectors.wechat.windows import Closed, Windows
from handoff.model.clock import Clock
from handoff.service.arriving import Arrived
from handoff.service.dispatch import MAX_ATTEMPTS, Dispatch
from handoff.service.ways import ARRIVED, Told
from handoff.store.database import Store
from handoff.store.tables import Address, Conversation, Notice, Reply, Turn
from voice.errors import VoiceError

log = structlog.get_logger("connectors.wechat")

# So many of the messages that may be sent: a worker's words must not fail because ours were spoken as well.
_KEPT_FOR_TEXT = 2
_WAITS_S = 40.0  # for what was said before; longer than all attempts at one reply take


@dataclass(frozen=True)
class Part:
    """One message of a reply."""

    words: str
    spoken: bool = False


@dataclass(frozen=True)
class _To:
    openid: str
    address_id: int
    gone: bool


async def _speaks(session: AsyncSession, conversation_id: int) -> bool:
    """Whether their last words came by voice; and who has said nothing yet may not be able to read."""
    last = select(Turn.engine).where(Turn.conversation_id == conversation_id)
    engine = await session.scalar(last.order_by(Turn.id.desc()).limit(1))
    return engine not in ("typed", "sent")


class _Over(Exception):
    """Another attempt brings the reply."""


@dataclass(frozen=True)
class _Behind:
    """A reply that waits behind another, and the attempt that is to bring it."""

    notice_id: int
    reply: Reply


def _joined(part: Part, along: list[_Behind]) -> Part:
    return replace(part, words="\n".join([part.words, *(other.reply.text.strip() for other in along)]))


class WeChatWay:
    """Sends replies as customer-service messages; one for a process."""

    def __init__(
        self, platform: Platform, sounds: Sounds, windows: Windows, arrivals: Arrivals, journal: Journal, store: Store, dispatch: Dispatch,
        subscription: Subscription, clock: Clock, *, verified: bool,
    ) -> None:  # fmt: skip
        """`verified`: whether the account may write by itself; else only the passive reply is left."""
        self._platform = platform
        self._sounds = sounds
        self._windows = windows
        self._arrivals = arrivals
        self._journal = journal
        self._store = store
        self._dispatch = dispatch
        self._clock = clock
        self._verified = verified
        self._subscription = subscription

    @property
    def may_write(self) -> bool:
        """Whether anything can be sent but with the platform's own request."""
        return self._verified

    async def take_up(self) -> None:
        """What processes that are gone had noted as arrived goes on record, so that it is not said again; raises StoreError."""
        for taken in self._journal.of_the_gone():
            await self._dispatch.parts_arrived(taken.arrived)
            for arrival_id, asked in taken.given.items():
                await self._arrivals.given(arrival_id, asked)
            for arrival_id, (asked, until) in taken.giving.items():
                await self._arrivals.perhaps_given(arrival_id, asked, datetime.fromisoformat(until))

    async def tell(self, notice: Notice, reply: Reply) -> Told:
        """Send what has not arrived yet, after all that was said before it."""
        to = await self._to(reply)
        if to is None or not self._verified:
            return Told("not_allowed", again=False)
        if to.gone:
            return Told("not_following", again=False)
        await self._after_earlier(notice, reply, spoken=False)
        given = await self._given_meanwhile(notice, reply)
        if given is None:
            self._journal.arrived_on_record([Arrived(notice.id, reply.id, 0)])
            return ARRIVED
        if (noted := self._journal.parts_of(notice.id)) > given:  # when the store could not be written to
            given = noted
            await self._on_record([Arrived(notice.id, reply.id, noted)])
        async with self._store.read() as session:
            parts = await self._parts(session, reply)
        along = await self._along(notice, reply, parts[0]) if given == 0 else []
        for at in range(given, len(parts)):
            if at > given and not await self._stands(notice.id):
                return ARRIVED  # what was given before it has not arrived: another attempt brings it all
            if parts[at].spoken and (at == given or not parts[at - 1].spoken):
                await self._after_earlier(notice, reply, spoken=True)
            with_it = along if at == 0 else []
            arrived = [Arrived(other.notice_id, other.reply.id, 1) for other in with_it]
            arrived.append(Arrived(notice.id, reply.id, at + 1))
            told = await self._send(to, notice, reply, _joined(parts[at], with_it), arrived)
            if told.code is not None and parts[at].spoken and notice.attempt >= MAX_ATTEMPTS:
                return ARRIVED  # the text has; nobody is sent out for a sound
            if told.code is not None:
                return told
            await self._on_record(arrived)
        return ARRIVED

    async def _on_record(self, arrived: list[Arrived]) -> None:
        await self._dispatch.parts_arrived(arrived)
        self._journal.arrived_on_record(arrived)

    async def to_give(self, reply_id: str) -> tuple[list[Part], bool]:
        """A reply as messages, and whether words that were said before are still on their way: in one look at the store."""
        async with self._store.read() as session:
            reply = await session.get_one(Reply, reply_id)
            parts = await self._parts(session, reply)
            return parts, bool(await self._earlier(session, reply))

    async def _parts(self, session: AsyncSession, reply: Reply) -> list[Part]:
        """Its text, and where the person speaks rather than types, its sound."""
        parts = [Part(words) for words in split_text(reply.text)]
        if self._verified and await _speaks(session, reply.conversation_id):
            awaited = reply.turn_id is not None
            parts += [Part(words, spoken=True) for words in voice_parts(reply.text, awaited=awaited)]
        return parts

    async def _along(self, notice: Notice, reply: Reply, first: Part) -> list[_Behind]:
        """What was said after it and waits behind it, as far as one message holds it: few messages may be sent."""
        behind = select(Notice.id, Reply).join(Notice, Notice.reply_id == Reply.id)
        behind = behind.where(
            Reply.conversation_id == reply.conversation_id, Reply.created_at > reply.created_at
        )
        behind = behind.where(Notice.state == "pending", Notice.parts == 0, Notice.way == notice.way)
        async with self._store.read() as session:
            waiting = [_Behind(*row) for row in await session.execute(behind.order_by(Reply.created_at))]
        along: list[_Behind] = []
        for other in waiting if first.words == reply.text.strip() else []:
            arrival = await self._arrival_of(other.reply)
            if arrival is not None and await self._arrivals.may_still_be_given(arrival):
                break
            if self._journal.parts_of(other.notice_id):
                break
            if len(split_text(_joined(first, [*along, other]).words)) > 1:
                break
            along.append(other)
        return await self._still_waiting(along) if along else []

    async def _still_waiting(self, along: list[_Behind]) -> list[_Behind]:
        """The first of them, up to the one that the platform's own request has taken while we looked."""
        waiting = select(Notice.id).where(Notice.id.in_([one.notice_id for one in along]))
        waiting = waiting.where(Notice.state == "pending", Notice.parts == 0)
        async with self._store.read() as session:
            found = {*await session.scalars(waiting)}
        return [*takewhile(lambda one: one.notice_id in found, along)]

    async def _stands(self, notice_id: int) -> bool:
        async with self._store.read() as session:
            return (await session.get_one(Notice, notice_id)).state == "pending"

    async def _send(self, to: _To, notice: Notice, reply: Reply, part: Part, arrived: list[Arrived]) -> Told:
        """`arrived`: what will have arrived with it."""
        try:
            window = await self._windows.take(to.address_id, leave=_KEPT_FOR_TEXT if part.spoken else 0)
        except Closed as closed:
            # The text has arrived: a voice that may not follow is no reason to send somebody out.
            return ARRIVED if part.spoken else await self._closed(to, closed.code)
        try:
            note = partial(self._journal.arrived, arrived)
            await (self._speak(to, notice, reply, part, note) if part.spoken else self._write(to, part, note))
        except _Over:
            await self._windows.give_back(window)
        except VoiceError as error:
            log.warning("wechat.no_voice", code=error.code)
            await self._windows.give_back(window)
        except PlatformError as error:
            return await self._failed(to, part, window, error)
        except ConnectorError as error:  # no token: nothing was sent
            await self._windows.give_back(window)
            return Told(error.code)
        return ARRIVED

    async def _failed(self, to: _To, part: Part, window: int, error: PlatformError) -> Told:
        closed = error.code in ("quota_used", "window_closed")
        await (self._windows.used_up(to.address_id) if closed else self._windows.give_back(window))
        if part.spoken and not error.failed.again:
            return ARRIVED
        if closed:
            return await self._closed(to, error.code)
        return Told(error.code, again=error.failed.again)

    async def _closed(self, to: _To, code: str) -> Told:
        """Nothing may be written now: what is left is to say that words are waiting, where they have agreed to that."""
        hinted = await self._subscription.announce(to.openid, self._clock.now())
        return Told(code, again=False, hinted=HINTED if hinted else None)

    async def _write(self, to: _To, part: Part, note: Callable[[], None]) -> None:
        await self._platform.call(
            "send", lambda client: client.message.send_text(to.openid, part.words), note
        )

    async def _speak(
        self, to: _To, notice: Notice, reply: Reply, part: Part, note: Callable[[], None]
    ) -> None:
        pace = {"speed": float(reply.shown["speed"]), "volume": float(reply.shown["volume"])}
        media_id = await self._sounds.media_id(part.words, **pace)
        if not await self._stands(notice.id):  # rendering takes seconds
            raise _Over
        try:
            await self._platform.call(
                "send", lambda client: client.message.send_voice(to.openid, media_id), note
            )
        except PlatformError as error:
            if error.code == MEDIA_GONE:
                await self._sounds.forget(part.words, **pace)
            raise

    async def _to(self, reply: Reply) -> _To | None:
        async with self._store.read() as session:
            talk = await session.get_one(Conversation, reply.conversation_id)
            address = await session.get(Address, talk.address_id) if talk.address_id else None
            return _To(str(address.value), address.id, address.gone_at is not None) if address else None

    async def was_asked(self, reply: Reply) -> bool:
        """Whether it answers a message of the chat."""
        return await self._arrival_of(reply) is not None

    async def _arrival_of(self, reply: Reply) -> int | None:
        async with self._store.read() as session:
            turn = await session.get(Turn, reply.turn_id) if reply.turn_id else None
        of_chat = turn is not None and turn.message_id.startswith(MESSAGE_ID)
        return int(turn.message_id.removeprefix(MESSAGE_ID)) if turn is not None and of_chat else None

    async def _given_meanwhile(self, notice: Notice, reply: Reply) -> int | None:
        """How many parts the platform's own request has taken, once it can take no more; None for all."""
        arrival = await self._arrival_of(reply)
        if arrival is not None:
            await self._dispatch.until_moved([reply.id], lambda: self._arrivals.may_still_be_given(arrival))
        async with self._store.read() as session:
            now = await session.get_one(Notice, notice.id)
        return now.parts if now.state == "pending" else None

    @staticmethod
    async def _earlier(session: AsyncSession, reply: Reply, *, spoken: bool = False) -> list[str]:
        """Which replies that were made before are still on their way with their words; with `spoken`, with their sound."""
        pending = select(Reply.id, Notice.parts, Reply.text).join(Reply, Reply.id == Notice.reply_id)
        pending = pending.where(Reply.conversation_id == reply.conversation_id, Notice.state == "pending")
        pending = pending.where(Reply.id != reply.id, Reply.created_at < reply.created_at)
        standing = [*await session.execute(pending)]
        # Words don't wait for a sound, which takes seconds to render.
        return [id_ for id_, parts, text in standing if spoken or parts < len(split_text(text))]

    async def _after_earlier(self, notice: Notice, reply: Reply, *, spoken: bool) -> None:
        async def earlier() -> list[str]:
            async with self._store.read() as session:
                return await self._earlier(session, reply, spoken=spoken)

        async def stands() -> bool:
            return bool(await earlier())

        try:
            async with asyncio.timeout(_WAITS_S):
                if standing := await earlier():
                    await self._dispatch.until_moved(standing, stands)
        except TimeoutError:
            log.warning("wechat.out_of_order", notice=notice.id)
