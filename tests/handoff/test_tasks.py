"""What somebody is to do about a case is planned once, as soon as the first reason for it asks."""

from datetime import timedelta

import pytest
from county import County
from strict_double import answer, effect

from handoff.service.tasks import plan_task
from handoff.store.tables import Case, Task

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def planned(
    county: County, case: Case, kind: str, in_hours: int, *, unreached: bool = False
) -> list[Task]:
    async with county.domain.store.write() as session:
        now = county.clock.now()
        await plan_task(session, case, kind, now + timedelta(hours=in_hours), now, unreached=unreached)
    return await county.rows(Task, Task.case_id == case.id, Task.kind == kind)


async def a_case(county: County) -> Case:
    token = await county.begin()
    county.rasa.script["要买盐"] = answer(effect("open_case", need="goods", slots={}))
    await county.say(token, "要买盐")
    return await county.case(token)


async def test_a_second_reason_only_brings_it_forward(county: County) -> None:
    case = await a_case(county)
    assert [task.kind for task in await planned(county, case, "visit", 24)] == ["visit"]
    (later,) = await planned(county, case, "visit", 48)
    (sooner,) = await planned(county, case, "visit", 2)
    assert sooner.id == later.id and sooner.due_at < later.due_at


async def test_who_was_not_reached_is_not_settled_by_the_call_of_the_opening(county: County) -> None:
    case = await a_case(county)
    assert len(await planned(county, case, "call", 2, unreached=True)) == 2
    assert len(await planned(county, case, "call", 2, unreached=True)) == 2


async def test_a_visit_is_planned_again_once_its_time_has_come(county: County) -> None:
    case = await a_case(county)
    await planned(county, case, "visit", 2)
    county.clock.offset += timedelta(hours=3)
    assert len(await planned(county, case, "visit", 2)) == 2
