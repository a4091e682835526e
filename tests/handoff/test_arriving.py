"""What has arrived is put on record together, and what could not be is kept for the next try."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from cast import SALT
from county import County
from sqlalchemy import select

from handoff.service.arriving import Arriving
from handoff.store.database import Store, StoreError
from handoff.store.tables import Notice, Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")
MANY = 20


async def _under_way(county: County) -> list[str]:
    """Replies whose telling is pending; none of it is due, so that nobody drives it."""
    token = await county.begin()
    await county.say(token, SALT)
    later = county.clock.now() + timedelta(days=1)
    async with county.domain.store.write() as session:
        conversation = await session.scalar(
            select(Reply.conversation_id).order_by(Reply.created_at.desc()).limit(1)
        )
        replies = [
            Reply(
                id=f"arriving-{token[:8]}-{n}",
                conversation_id=conversation,
                text="好",
                shown={},
                created_at=later,
            )
            for n in range(MANY)
        ]
        session.add_all(replies)
        await session.flush()
        session.add_all(
            Notice(reply_id=one.id, way="nobody", state="pending", created_at=later) for one in replies
        )
    return [one.id for one in replies]


async def _parts(county: County, replies: list[str]) -> list[int]:
    async with county.domain.store.read() as session:
        rows = await session.execute(
            select(Notice.reply_id, Notice.parts).where(Notice.reply_id.in_(replies))
        )
        found = {str(reply): parts for reply, parts in rows}
    return [found[reply] for reply in replies]


async def _settle(county: County, replies: list[str]) -> None:
    async with county.domain.store.write() as session:
        for notice in await session.scalars(select(Notice).where(Notice.reply_id.in_(replies))):
            notice.state = "delivered"


class Counted(Store):
    """A store of one's own, whose transactions are counted; the first `failing` of them can't be had."""

    writes = failing = 0

    def write(self, *, first: bool = False) -> Any:
        self.writes += 1
        if self.writes <= self.failing:
            raise StoreError("disk_full", "full")
        return super().write(first=first)


@pytest_asyncio.fixture(loop_scope="session")
async def counted(county: County) -> AsyncIterator[Counted]:
    """Beside the county's own, on the same rows."""
    store = Counted(county.settings.store_url)
    yield store
    await store.close()


async def test_what_arrives_meanwhile_is_recorded_together(county: County, counted: Counted) -> None:
    replies = await _under_way(county)
    arriving = Arriving(counted)
    await asyncio.gather(*(arriving.record({reply: n + 1}) for n, reply in enumerate(replies)))
    assert counted.writes <= 2
    await asyncio.gather(*(arriving.record({reply: 1}) for reply in replies))
    assert await _parts(county, replies) == [n + 1 for n in range(MANY)]  # none goes back
    await _settle(county, replies)


async def test_what_could_not_be_recorded_is_by_the_next(county: County, counted: Counted) -> None:
    replies = await _under_way(county)
    counted.failing = 1
    arriving = Arriving(counted)
    told = await asyncio.gather(*(arriving.record({reply: 2}) for reply in replies), return_exceptions=True)
    assert [type(one) for one in told if one is not None] == [StoreError]
    assert await _parts(county, replies) == [2] * MANY
    await _settle(county, replies)
