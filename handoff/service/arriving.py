"""What has arrived, on record as soon as can be: all that arrived while the store was busy goes in by one transaction.

What was sent and is not on record yet is said again after a crash. With a transaction for each, many that are sent at once
wait for one another for up to a second on a busy machine; and it goes before whatever else is to be written.
"""

import asyncio
from collections.abc import Mapping

from sqlalchemy import update

from handoff.store.database import Store
from handoff.store.tables import Notice


class Arriving:
    """Records how many parts of which replies have arrived."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, int] = {}
        self._recording = asyncio.Lock()

    async def record(self, parts: Mapping[str, int]) -> None:
        """On record, together or not at all, before this returns; raises StoreError."""
        for reply_id, arrived in parts.items():
            self._waiting[reply_id] = max(arrived, self._waiting.get(reply_id, 0))
        async with self._recording:
            together, self._waiting = self._waiting, {}
            if not together:
                return  # whoever was before us has recorded ours with theirs
            try:
                await self._write(together)
            except BaseException:
                # Ours fails; what others have put beside it is theirs to try.
                for reply_id, arrived in together.items():
                    self._waiting[reply_id] = max(arrived, self._waiting.get(reply_id, 0))
                raise

    async def _write(self, together: Mapping[str, int]) -> None:
        async with self._store.write(first=True) as session:
            for reply_id, arrived in together.items():
                going = update(Notice).where(Notice.reply_id == reply_id, Notice.state == "pending")
                await session.execute(going.where(Notice.parts < arrived).values(parts=arrived))
