"""What has arrived, on record as soon as can be: all that arrived while the store was busy goes in by one transaction.

What was sent and is not on record yet is said again after a crash. With a transaction for each, many that are sent at once
wait for one another for up to a second on a busy machine; and it goes before whatever else is to be written.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import update

from handoff.store.database import Store
from handoff.store.tables import Notice


@dataclass(frozen=True)
class Arrived:
    """So many parts of a reply have arrived, by this attempt to bring it: where another begins anew, they do not count."""

    notice_id: int
    reply_id: str
    parts: int


class Arriving:
    """Records what has arrived."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[tuple[int, str], int] = {}
        self._recording = asyncio.Lock()

    async def record(self, arrived: Iterable[Arrived]) -> None:
        """On record, together or not at all, before this returns; raises StoreError."""
        self._wait({(one.notice_id, one.reply_id): one.parts for one in arrived})
        async with self._recording:
            together, self._waiting = self._waiting, {}
            if not together:
                return  # whoever was before us has recorded ours with theirs
            try:
                await self._write(together)
            except BaseException:
                self._wait(together)  # ours fails; what others have put beside it is theirs to try
                raise

    def _wait(self, parts: dict[tuple[int, str], int]) -> None:
        for key, count in parts.items():
            self._waiting[key] = max(count, self._waiting.get(key, 0))

    async def _write(self, together: dict[tuple[int, str], int]) -> None:
        async with self._store.write(first=True) as session:
            for (notice_id, reply_id), count in together.items():
                # The reply too: what is left of another store must not count for what bears its number here.
                mine = (Notice.id == notice_id) & (Notice.reply_id == reply_id)
                going = update(Notice).where(mine, Notice.state == "pending", Notice.parts < count)
                await session.execute(going.values(parts=count))
