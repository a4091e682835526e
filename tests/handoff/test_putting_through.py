"""Whom a caller who asks for a person is put through to, and when nobody is rung up."""

from datetime import time, timedelta

import pytest
from cast import CHEST, DARK, LIN, SALT, ZHOU
from county import County
from strict_double import answer, effect

from handoff.model.quiet import QuietHours
from handoff.service.putting_through import PuttingThrough
from handoff.service.workers import AccountError, Workers
from handoff.store.tables import CaseEvent, Task

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _through(county: County, quiet: QuietHours | None = None) -> PuttingThrough:
    never = QuietHours(time(3), time(3))
    here = county.domain
    return PuttingThrough(here.store, here.casework, here.dispatch, county.clock, quiet or never)


async def _asks(county: County, token: str, text: str = "找人") -> int:
    county.rasa.script["找人"] = answer(
        "好，我给您找人。", effect("hand_over", reason="asked"), need="human", intent="human"
    )
    county.rasa.script[SALT] = answer(
        "记下了。", effect("open_case", need="goods"), need="goods", intent="goods"
    )
    return (await county.say(token, text)).turn_id


async def _phones(county: County, **phones: str | None) -> None:
    workers = Workers(county.domain.store, county.clock)
    for name in ("lin", "zhou"):
        await workers.set_phone(name, phones.get(name))
        await workers.set_duty(name, True)


async def test_workers_on_duty_with_a_number_are_rung_up_in_their_order(county: County) -> None:
    await _phones(county, lin="13900000001", zhou="13900000002")
    wanted = await _through(county).wanted(await _asks(county, await county.begin()))
    assert wanted is not None and [one.worker_id for one in wanted.to] == [
        county.id_of(LIN),
        county.id_of(ZHOU),
    ]
    await Workers(county.domain.store, county.clock).set_duty("lin", False)
    wanted = await _through(county).wanted(await _asks(county, await county.begin()))
    assert wanted is not None and [one.phone for one in wanted.to] == ["13900000002"]


async def test_what_asks_for_nobody_rings_nobody_up(county: County) -> None:
    await _phones(county, lin="13900000001")
    assert await _through(county).wanted(await _asks(county, await county.begin(), SALT)) is None
    await _phones(county)
    assert await _through(county).wanted(await _asks(county, await county.begin())) is None


async def test_urgent_danger_does_and_an_emergency_is_left_free_to_ring_for_help(county: County) -> None:
    await _phones(county, lin="13900000001")
    at_night = QuietHours(time(0), time(23, 59, 59))
    assert (
        await _through(county, at_night).wanted(await _asks(county, await county.begin(), DARK)) is not None
    )
    assert await _through(county).wanted(await _asks(county, await county.begin(), CHEST)) is None


async def test_at_night_nobody_is_rung_up_for_what_can_wait(county: County) -> None:
    await _phones(county, lin="13900000001")
    at_night = QuietHours(time(0), time(23, 59, 59))
    assert await _through(county, at_night).wanted(await _asks(county, await county.begin())) is None


async def test_whoever_has_the_case_is_the_one(county: County) -> None:
    await _phones(county, lin="13900000001", zhou="13900000002")
    token = await county.begin()
    await _asks(county, token)
    case = await county.case(token)
    await county.domain.casework.claim(case.id, county.id_of(ZHOU))
    await county.domain.casework.release(case.id, county.id_of(ZHOU))
    wanted = await _through(county).wanted(await _asks(county, token))
    assert wanted is not None and [one.worker_id for one in wanted.to] == [county.id_of(ZHOU)]


async def test_who_takes_the_call_has_the_case(county: County) -> None:
    token = await county.begin()
    await _asks(county, token)
    case = await county.case(token)
    for _ in range(2):  # once more, after a crash, does no harm
        await _through(county).taken(case.id, county.id_of(LIN))
    assert (await county.case(token)).claimed_by == county.id_of(LIN)


async def test_where_nobody_takes_it_one_call_back_is_planned_and_seen(county: County) -> None:
    token = await county.begin()
    await _asks(county, token)
    case = await county.case(token)
    for _ in range(2):
        await _through(county).nobody(case.id)
    tasks = await county.rows(Task, Task.case_id == case.id, Task.kind == "call")
    assert len(tasks) == 1 and tasks[0].due_at - case.due_at < timedelta(seconds=1)
    assert await county.rows(CaseEvent, CaseEvent.case_id == case.id, CaseEvent.kind == "not_put_through")
    view = await county.domain.queue.case(case.id, county.id_of(LIN))
    assert any("没人接得了" in event["what"] for event in view.events)


@pytest.mark.parametrize("phone", ["", "12", "abc", "１３９００００００", "13900000001;rm", "+" + "1" * 21])
async def test_a_number_that_is_none_is_refused(county: County, phone: str) -> None:
    with pytest.raises(AccountError):
        await Workers(county.domain.store, county.clock).set_phone("lin", phone)


async def test_volunteers_are_not_rung_up(county: County) -> None:
    with pytest.raises(AccountError):
        await Workers(county.domain.store, county.clock).set_phone("fang", "13900000003")
