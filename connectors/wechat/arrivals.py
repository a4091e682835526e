"""The inbox: every message on record before anything is done with it, each done once, in the order of its sender."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from connectors.wechat.windows import Windows, opened_by
from handoff.model.clock import Clock
from handoff.model.words import Channel
from handoff.service.addresses import address_of
from handoff.store.database import Store, rows_changed
from handoff.store.tables import Arrival

MESSAGE_ID = "wechat-"
"""Before an arrival's number in the message id of its turn."""
_LEASE = timedelta(seconds=15)
_RENEW_S = 5.0
_PATIENCE = timedelta(seconds=4)
"""Of the platform, less a little: what comes so long after a request is its repeat, what comes sooner its duplicate."""
_LOOK_AGAIN_S = 0.1
_KNOWN = timedelta(days=3)
_ASKS_FOR = timedelta(seconds=20)  # three tries, five seconds each, and a little
_LAST_TRY_IS_IN = timedelta(seconds=6)  # after the time up to which who starts is sure to get it
_FOUND_WITHIN = timedelta(minutes=10)
_LEFT_BEHIND = timedelta(seconds=2)


class Arrivals:
    """Records, hands out and closes messages; for all processes of one store."""

    def __init__(self, store: Store, windows: Windows, clock: Clock) -> None:
        self._store = store
        self._windows = windows
        self._clock = clock
        self._began = clock.now()

    async def record(self, sender: str, key: str, message: dict[str, Any]) -> tuple[Arrival, bool]:
        """The message on record, and whether it is new; `key` makes it the same message when it comes again."""
        digest = hashlib.sha256(f"{sender}\0{key}".encode("utf-8", "replace")).hexdigest()
        try:
            async with self._store.write() as session:
                now = self._clock.now()
                address = await address_of(session, Channel.WECHAT, sender, now)
                fresh = Arrival(
                    channel=Channel.WECHAT, digest=digest, address_id=address.id, message=message, received_at=now
                )  # fmt: skip
                session.add(fresh)
                await session.flush()
                # Counted from here as the platform counts, however late it is worked on.
                if (kind := opened_by(message)) is not None:
                    await self._windows.opened(session, address.id, kind)
                return fresh, True
        except IntegrityError:
            async with self._store.read() as session:
                known = select(Arrival).where(Arrival.channel == Channel.WECHAT, Arrival.digest == digest)
                return (await session.scalars(known)).one(), False

    async def next_of(self, address_id: int) -> Arrival | None:
        """The oldest open message of an address, taken for this process; None where none is free."""
        now = self._clock.now()
        async with self._store.write() as session:
            oldest = select(Arrival).where(Arrival.address_id == address_id, Arrival.done_at.is_(None))
            found = await session.scalar(oldest.order_by(Arrival.id).limit(1))
            if found is None:
                return None
            free = or_(Arrival.taken_until.is_(None), Arrival.taken_until <= now)
            mine = update(Arrival).where(Arrival.id == found.id, Arrival.done_at.is_(None), free)
            return found if await rows_changed(session, mine.values(taken_until=now + _LEASE)) else None

    async def has_more(self, address_id: int) -> bool:
        """Whether a message of an address is still open."""
        async with self._store.read() as session:
            waiting = select(Arrival.id).where(Arrival.address_id == address_id, Arrival.done_at.is_(None))
            return await session.scalar(waiting.limit(1)) is not None

    @asynccontextmanager
    async def held(self, arrival: Arrival) -> AsyncIterator[None]:
        """Keeps the message for this process while it works on it."""
        renewing = asyncio.create_task(self._renew(arrival.id))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def done(
        self, arrival_id: int, replies: list[str], asked: Callable[[], datetime | None]
    ) -> datetime | None:
        """What came of it; what was said is not kept here any longer.

        asked: when the platform's request came that waits for it; None where none does. Looked at when it goes on record,
        and given back.
        """
        async with self._store.write() as session:
            outcome: dict[str, Any] = {"replies": replies}
            if (since := asked()) is not None:
                outcome["asked"] = since.isoformat()
            values = {"outcome": outcome, "message": None, "done_at": self._clock.now()}
            await session.execute(update(Arrival).where(Arrival.id == arrival_id).values(values))
        return since

    async def offered(self, arrival_id: int, asked: datetime) -> datetime:
        """A later request of the platform, come at `asked`, is to bring it."""
        async with self._store.write() as session:
            arrival = await session.get_one(Arrival, arrival_id, with_for_update=True)
            replies = (arrival.outcome or {}).get("replies", [])
            arrival.outcome = {"replies": replies, "asked": asked.isoformat()}
        return asked

    @staticmethod
    async def withdraw(session: AsyncSession, arrival_id: int, *, from_: datetime | None = None) -> bool:
        """No request of the platform gets it after all, within a transaction; the answer is sent.

        from_: only from the request that came then; False where the next one has been given it meanwhile.
        """
        arrival = await session.get_one(Arrival, arrival_id, with_for_update=True)
        outcome = arrival.outcome or {}
        if from_ is not None and outcome.get("asked") != from_.isoformat():
            return False
        arrival.outcome = {"replies": outcome.get("replies", [])}
        return True

    async def may_still_be_given(self, arrival_id: int) -> bool:
        """Whether the platform's own request, or its next one, may yet bring the answer: nobody else must send it.

        What was offered and never given stays so until it is taken back, whole.
        """
        async with self._store.read() as session:
            arrival = await session.get(Arrival, arrival_id)
        if arrival is None:
            return False
        if arrival.done_at is None:
            return self._clock.now() - arrival.received_at <= _ASKS_FOR
        outcome = arrival.outcome or {}
        return "asked" in outcome and not outcome.get("given")

    async def never_given(self, *, at_start: bool = False) -> list[int]:
        """Answers that were offered to a request, after which the process fell down and the platform asks no more."""
        asked, given = Arrival.outcome["asked"].as_string(), Arrival.outcome["given"].as_string()
        now = self._clock.now()
        left = select(Arrival.id).where(
            Arrival.received_at <= now - _ASKS_FOR, asked.is_not(None), given.is_(None)
        )
        if not at_start:  # who falls down while another runs is found soon
            left = left.where(Arrival.received_at > now - _FOUND_WITHIN)
        async with self._store.read() as session:
            return [*await session.scalars(left.order_by(Arrival.id))]

    async def take_back(self, arrival_id: int) -> list[str] | None:
        """The replies of one of them, for this process to send; None where another does, or it has been given."""
        async with self._store.write() as session:
            arrival = await session.get_one(Arrival, arrival_id, with_for_update=True)
            outcome, now = dict(arrival.outcome or {}), self._clock.now()
            if "asked" not in outcome or outcome.get("given"):
                return None
            if now - datetime.fromisoformat(outcome["asked"]) < _LEASE:
                return None
            if self._was_there_for_the_last_try(outcome):
                return None  # `settle` has it next, however long we were held up in between
            arrival.outcome = outcome | {"asked": now.isoformat()}
            return list(outcome["replies"])

    async def offer_again(self, arrival_id: int, asked: datetime) -> list[str] | None:
        """The replies for a request that came now for what is done; None where it needs none.

        Who asks once more after the platform's patience has not got the answer, whatever we wrote. Who asks sooner is a
        duplicate, answered by its twin; or the process that held the twin has crashed: then it waits here until that is
        certain.
        """
        while True:
            async with self._store.write() as session:
                arrival = await session.get_one(Arrival, arrival_id, with_for_update=True)
                outcome = dict(arrival.outcome or {})
                if "asked" not in outcome:
                    return None
                if self._clock.now() - datetime.fromisoformat(outcome["asked"]) >= _PATIENCE:
                    arrival.outcome = {"replies": outcome["replies"], "asked": asked.isoformat()}
                    return list(outcome["replies"])
                if outcome.get("given"):
                    return None
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def given(self, arrival_id: int, asked: str) -> None:
        """It is written to the platform's request that came then (as on record); where another has come since, that one counts."""
        async with self._store.write(first=True) as session:
            arrival = await session.get(Arrival, arrival_id, with_for_update=True)
            if arrival is not None and (arrival.outcome or {}).get("asked") == asked:
                arrival.outcome = {**(arrival.outcome or {}), "given": True}

    async def perhaps_given(self, arrival_id: int, asked: str, until: datetime) -> None:
        """It may have been written to the request that came then, as the process fell down.

        Where we are back while the platform still asks (`until` then), it is the platform that knows.
        """
        async with self._store.write() as session:
            arrival = await session.get(Arrival, arrival_id, with_for_update=True)
            if arrival is None or (arrival.outcome or {}).get("asked") != asked:
                return
            if self._clock.now() <= until:
                arrival.outcome = {**(arrival.outcome or {}), "perhaps": until.isoformat()}

    async def settle(self) -> None:
        """What may have been written, and the platform has not asked for again, it has.

        As soon as its last try must have come, so that no further restart can put it in doubt; and only where this process
        was there for that try: one that came later can't know.
        """
        now, perhaps = self._clock.now(), Arrival.outcome["perhaps"].as_string()
        open_ = select(Arrival.id, Arrival.outcome).where(Arrival.received_at > now - _FOUND_WITHIN)
        open_ = open_.where(perhaps.is_not(None), Arrival.outcome["given"].as_string().is_(None))
        async with self._store.read() as session:
            waiting = [(id_, outcome) for id_, outcome in await session.execute(open_)]
        for arrival_id, outcome in waiting:
            due = datetime.fromisoformat(outcome["perhaps"]) + _LAST_TRY_IS_IN <= now
            if not (due and self._was_there_for_the_last_try(outcome)):
                continue
            async with self._store.write() as session:
                arrival = await session.get_one(Arrival, arrival_id, with_for_update=True)
                if arrival.outcome == outcome:  # else it has just been asked for
                    arrival.outcome = outcome | {"given": True}

    def _was_there_for_the_last_try(self, outcome: dict[str, Any]) -> bool:
        return "perhaps" in outcome and self._began <= datetime.fromisoformat(outcome["perhaps"])

    async def tidy(self) -> None:
        """Forget messages that no platform repeats any more."""
        async with self._store.write() as session:
            old = Arrival.done_at <= self._clock.now() - _KNOWN
            await session.execute(delete(Arrival).where(old))

    async def left_behind(self) -> list[int]:
        """Addresses with messages that nobody works on: after a crash, or where another process gave up."""
        now = self._clock.now()
        async with self._store.read() as session:
            free = or_(Arrival.taken_until.is_(None), Arrival.taken_until <= now)
            waiting = select(Arrival.address_id).where(Arrival.done_at.is_(None), free)
            waiting = waiting.where(Arrival.received_at <= now - _LEFT_BEHIND).distinct()
            return [*await session.scalars(waiting.limit(100))]

    async def _renew(self, arrival_id: int) -> None:
        while True:
            await asyncio.sleep(_RENEW_S)
            await self._set(arrival_id, taken_until=self._clock.now() + _LEASE)

    async def _set(self, arrival_id: int, **values: Any) -> None:
        async with self._store.write() as session:
            await session.execute(update(Arrival).where(Arrival.id == arrival_id).values(**values))
