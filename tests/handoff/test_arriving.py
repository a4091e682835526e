"""What has arrived is put on record together, and what could not be is kept for the next try."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from cast import SALT
from county import County
from sqlalchemy import select

from handoff.service.arriving import Arrived, Arriving
from handoff.store.database import Store, StoreError
from handoff.store.tables import Notice, Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")
MANY = 20


async def _under_way(county: County) -> list[Arrived]:
    """A part of each of some replies whose telling is pending; none of it is due, so that nobody drives it."""
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
        notices = [
            Notice(reply_id=one.id, way="nobody", state="pending", created_at=later) for one in replies
        ]
        session.add_all(notices)
        await session.flush()
        return [Arrived(one.id, str(one.reply_id), 1) for one in notices]


async def _parts(county: County, under_way: list[Arrived]) -> list[int]:
    async with county.domain.store.read() as session:
        return [(await session.get_one(Notice, one.notice_id)).parts for one in under_way]


async def _settle(county: County, under_way: list[Arrived]) -> None:
    async with county.domain.store.write() as session:
        for one in under_way:
            (await session.get_one(Notice, one.notice_id)).state = "delivered"


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
    under_way = await _under_way(county)
    arriving = Arriving(counted)
    await asyncio.gather(*(arriving.record([replace(one, parts=n + 1)]) for n, one in enumerate(under_way)))
    assert counted.writes <= 2
    await asyncio.gather(*(arriving.record([one]) for one in under_way))
    assert await _parts(county, under_way) == [n + 1 for n in range(MANY)]  # none goes back
    await _settle(county, under_way)


async def test_what_could_not_be_recorded_is_by_the_next(county: County, counted: Counted) -> None:
    under_way = await _under_way(county)
    counted.failing = 1
    arriving = Arriving(counted)
    told = await asyncio.gather(
        *(arriving.record([replace(one, parts=2)]) for one in under_way), return_exceptions=True
    )
    assert [type(one) for one in told if one is not None] == [StoreError]
    assert await _parts(county, under_way) == [2] * MANY
    await _settle(county, under_way)


async def test_what_bears_its_number_but_is_another_does_not_count(county: County, counted: Counted) -> None:
    under_way = await _under_way(county)
    await Arriving(counted).record([replace(one, reply_id="of-another-store") for one in under_way])
    assert await _parts(county, under_way) == [0] * MANY
    await _settle(county, under_way)
