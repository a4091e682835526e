"""What may still be sent to somebody: the platform's windows and counts, kept in the store for all processes."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.clock import Clock
from handoff.store.database import Store, rows_changed
from handoff.store.tables import Window

RULES = {
    "message": (timedelta(hours=48), 5),
    "follow": (timedelta(minutes=1), 3),
    "scan": (timedelta(minutes=1), 3),
    "tap": (timedelta(minutes=1), 3),
}
"""How long what somebody did lets us write, and how many messages. A menu tap opens no 48 hours."""


_EVENTS = {"subscribe": "follow", "subscribe_scan": "follow", "scan": "scan", "click": "tap"}


def opened_by(message: Mapping[str, Any]) -> str | None:
    """The kind of window that a message or event opens; None for an event that lets nothing be written."""
    if str(message.get("MsgType", "")).lower() != "event":
        return "message"
    return _EVENTS.get(str(message.get("Event", "")).lower())


class Closed(Exception):
    """Nothing may be sent now; `code` says why: `quota_used` or `window_closed`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Windows:
    """Opens, counts and closes."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def opened(self, session: AsyncSession, address_id: int, kind: str) -> None:
        """The person did something of this kind just now; the count begins anew."""
        lasts, allowed = RULES[kind]
        now = self._clock.now()
        fresh = {"opened_at": now, "closes_at": now + lasts, "allowed": allowed, "sent": 0}
        standing = update(Window).where(Window.address_id == address_id, Window.kind == kind)
        if not await rows_changed(session, standing.values(**fresh)):
            session.add(Window(address_id=address_id, kind=kind, **fresh))

    async def take(self, address_id: int, *, leave: int = 0) -> int:
        """Count one message; the window it is counted in. Raises Closed, also where fewer than `leave` would be left."""
        now = self._clock.now()
        async with self._store.write() as session:
            standing = select(Window.id).where(Window.address_id == address_id, Window.closes_at > now)
            # What closes first is used first.
            ids = [*await session.scalars(standing.order_by(Window.closes_at))]
            for one in ids:
                mine = update(Window).where(Window.id == one, Window.sent + leave < Window.allowed)
                if await rows_changed(session, mine.values(sent=Window.sent + 1)):
                    return int(one)
        raise Closed("quota_used" if ids else "window_closed")

    async def give_back(self, window_id: int) -> None:
        """What was counted has not been sent."""
        async with self._store.write() as session:
            counted = update(Window).where(Window.id == window_id, Window.sent > 0)
            await session.execute(counted.values(sent=Window.sent - 1))

    async def used_up(self, address_id: int) -> None:
        """The platform counts more than we do: believe it."""
        async with self._store.write() as session:
            standing = update(Window).where(
                Window.address_id == address_id, Window.closes_at > self._clock.now()
            )
            await session.execute(standing.values(sent=Window.allowed))
