"""What happened in a case is only ever added, and reading is on record."""

import pytest
from cast import CHEST, FANG, LIN, ZHOU
from county import County, Pages
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError

from handoff.model.errors import HandoffError
from handoff.store.tables import CaseEvent

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    "statement",
    [
        update(CaseEvent).values(kind="nothing"),
        delete(CaseEvent),
        text("UPDATE case_events SET at = at"),
        text("DELETE FROM case_events WHERE id > 0"),
    ],
    ids=["update", "delete", "update-in-sql", "delete-in-sql"],
)
async def test_the_database_itself_refuses(county: County, statement: object) -> None:
    token = await county.begin()
    await county.say(token, CHEST)
    case = await county.case(token)
    before = [(event.id, event.kind) for event in await county.events(case)]
    with pytest.raises((DBAPIError, HandoffError)):
        async with county.domain.store.write() as session:
            await session.execute(statement)  # type: ignore[call-overload]
    assert [(event.id, event.kind) for event in await county.events(case)] == before


async def test_reading_is_recorded_once_in_a_while_for_each_reader(county: County) -> None:
    token = await county.begin()
    await county.say(token, CHEST)
    case = await county.case(token)
    for who in (LIN, LIN, ZHOU):
        await county.domain.queue.case(case.id, county.id_of(who))
    county.clock.move(minutes=11)
    await county.domain.queue.case(case.id, county.id_of(LIN))
    read = [event.worker_id for event in await county.events(case) if event.kind == "read"]
    assert read == [county.id_of(LIN), county.id_of(ZHOU), county.id_of(LIN)]


async def test_whoever_may_not_read_leaves_no_trace_of_reading(county: County, web: Pages) -> None:
    token = await county.begin()
    await county.say(token, CHEST)
    case = await county.case(token)
    async with web.browser(FANG) as fang:
        assert (await fang.get(f"/console/cases/{case.id}")).status == 403
    assert await county.kinds_of_events(case) == ["opened"]
