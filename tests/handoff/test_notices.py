"""Each attempt to tell somebody is a row: tried again further and further apart, then failed for all to see."""

import asyncio
from datetime import timedelta

import pytest
from cast import BEATEN, CHEST, LIN, ZHOU
from county import County, Pages, until

from handoff.store.tables import Case, Notice, Timer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _worker_says(county: County, words: str = "我是小林，我在。") -> tuple[str, str]:
    token = await county.begin()
    await county.say(token, BEATEN)
    case = await county.claimed(token, LIN)
    return token, await county.domain.casework.reply(case.id, county.id_of(LIN), words)


async def _attempts(county: County, reply_id: str) -> list[Notice]:
    return await county.rows(Notice, Notice.reply_id == reply_id)


async def test_an_open_console_gets_the_alarm_and_it_is_on_record(county: County) -> None:
    with county.domain.hub.listen(f"worker:{county.id_of(LIN)}") as queue:
        token = await county.begin()
        await county.say(token, CHEST)
        event = await asyncio.wait_for(queue.get(), 2)
    case = await county.case(token)
    assert (event["event"], event["case"], event["risk"]) == ("alert", case.id, "emergency")

    async def delivered() -> bool:
        notices = await county.notices(case)
        return any(n.worker_id == county.id_of(LIN) and n.state == "delivered" for n in notices)

    await until(delivered)
    other = [n for n in await county.notices(case) if n.worker_id == county.id_of(ZHOU)]
    await until(lambda: _state_of(county, other[0].id))


async def _state_of(county: County, notice_id: int) -> bool:
    (notice,) = await county.rows(Notice, Notice.id == notice_id)
    return (notice.state, notice.code) == ("retried", "not_connected")


async def test_attempts_grow_apart_and_end_in_a_failure_that_workers_see(
    county: County, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handoff.service.dispatch.MAX_ATTEMPTS", 3)
    token, reply_id = await _worker_says(county)

    async def failed() -> list[Notice]:
        tries = await _attempts(county, reply_id)
        return tries if tries[-1].state == "failed" else []

    tries = await until(failed)
    assert [(one.attempt, one.state, one.code) for one in tries] == [
        (1, "retried", "not_connected"),
        (2, "retried", "not_connected"),
        (3, "failed", "not_connected"),
    ]
    ends = [one.finished_at for one in tries if one.finished_at]
    assert ends[2] - ends[1] > ends[1] - ends[0] > timedelta(seconds=0.9)
    view = await county.domain.queue.case((await county.case(token)).id, county.id_of(LIN))
    assert view.lines[-1].delivered == "未送达：页面没开着"


async def test_an_attempt_that_waits_for_its_time_is_not_hurried(county: County) -> None:
    """The sweep finds what nobody drives; a notice in its back-off is driven."""
    _, reply_id = await _worker_says(county)

    async def waits_four_seconds() -> bool:
        return (await _attempts(county, reply_id))[-1].attempt == 4

    await until(waits_four_seconds)
    county.clock.move(seconds=3.5)
    await county.domain.dispatch.sweep()
    await county.domain.dispatch.sweep()
    await asyncio.sleep(0)
    assert f"notice-{(await _attempts(county, reply_id))[-1].id}" not in county.domain.dispatch._started


async def test_a_page_that_comes_back_gets_what_it_missed(county: County, web: Pages) -> None:
    token, reply_id = await _worker_says(county)
    await until(lambda: _tried(county, reply_id))
    async with web.browser() as page, page.listen(f"/station/events?conversation={token}") as heard:
        missed = set()
        while reply_id not in missed:
            name, data = await asyncio.wait_for(heard.get(), 3)
            if name == "reply":
                missed.add(data["id"])
                body = {"conversation": token, "replies": [data["id"]]}
                assert (await page.post("/station/api/seen", json=body)).status == 200
    await until(lambda: _delivered(county, reply_id))


async def test_a_page_that_comes_back_after_all_was_given_up_gets_it_too(
    county: County, web: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handoff.service.dispatch.MAX_ATTEMPTS", 1)
    token, reply_id = await _worker_says(county)
    await until(lambda: _failed(county, reply_id))
    async with web.browser() as page, page.listen(f"/station/events?conversation={token}") as heard:
        while (await asyncio.wait_for(heard.get(), 3))[1].get("id") != reply_id:
            pass
        await page.post("/station/api/seen", json={"conversation": token, "replies": [reply_id]})
        await until(lambda: _delivered(county, reply_id))


async def _tried(county: County, reply_id: str) -> bool:
    return (await _attempts(county, reply_id))[0].state == "retried"


async def _failed(county: County, reply_id: str) -> bool:
    return (await _attempts(county, reply_id))[-1].state == "failed"


async def _delivered(county: County, reply_id: str) -> bool:
    return (await _attempts(county, reply_id))[-1].state == "delivered"


async def test_a_page_that_shows_nothing_counts_as_not_told(
    county: County, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handoff.service.dispatch.SEEN_WITHIN_S", 0.1)
    token = await county.begin()
    talk = await county.talk(token)
    with county.domain.hub.listen(f"conversation:{talk.id}"):
        await county.say(token, BEATEN)
        case = await county.claimed(token, LIN)
        reply_id = await county.domain.casework.reply(case.id, county.id_of(LIN), "我在。")
        await until(lambda: _tried(county, reply_id))
    assert (await _attempts(county, reply_id))[0].code == "not_shown"


async def test_a_fault_in_a_step_does_not_end_the_work(
    county: County, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, faults = county.domain.dispatch.attempt, iter([True, True, False])

    async def faulty(notice_id: int) -> dict[str, object]:
        if next(faults, False):
            raise OSError("the disk is away")
        return await attempt(notice_id)

    monkeypatch.setattr(county.domain.dispatch, "attempt", faulty)
    token = await county.begin()
    await county.say(token, CHEST)
    case = await county.case(token)

    async def tried() -> bool:
        return all(n.state != "pending" for n in await county.notices(case) if n.attempt == 1)

    await until(tried)


# -- clocks -----------------------------------------------------------------------------------------------


async def _rounds(county: County, case: Case) -> dict[int, set[int | None]]:
    found: dict[int, set[int | None]] = {}
    for notice in await county.notices(case):
        found.setdefault(notice.round, set()).add(notice.worker_id)
    return found


async def test_an_emergency_nobody_saw_goes_to_the_next_person_after_two_minutes(county: County) -> None:
    await county.on_duty(ZHOU, False)
    try:
        token = await county.begin()
        await county.say(token, CHEST)
        case = await county.case(token)
        assert await _rounds(county, case) == {0: {county.id_of(LIN)}}
        county.clock.move(seconds=110)
        await county.domain.dispatch.sweep()
        assert len(await _rounds(county, case)) == 1
        county.clock.move(seconds=11)

        async def wider() -> bool:
            return (await _rounds(county, case)).get(1) == {county.id_of(LIN), county.id_of(ZHOU)}

        await until(wider)
        assert "overdue" in await county.kinds_of_events(case)
        waiting = [t.kind for t in await county.rows(Timer, Timer.case_id == case.id) if not t.fired_at]
        assert sorted(waiting) == ["acknowledge", "due"]
    finally:
        await county.on_duty(ZHOU, True)


async def test_an_emergency_somebody_saw_but_nobody_took_is_told_again_in_a_quarter_of_an_hour(
    county: County,
) -> None:
    token = await county.begin()
    await county.say(token, CHEST)
    case = await county.case(token)
    await county.domain.casework.acknowledge(case.id, county.id_of(LIN))
    county.clock.move(minutes=3)

    async def clocks() -> dict[str, bool]:
        timers = await county.rows(Timer, Timer.case_id == case.id)
        return {timer.kind: timer.fired_at is not None for timer in timers}

    async def first_fired() -> bool:
        return await clocks() == {"acknowledge": True, "due": False}

    await until(first_fired)
    assert set(await _rounds(county, case)) == {0}
    county.clock.move(minutes=13)

    async def told_again() -> bool:
        return set(await _rounds(county, case)) == {0, 1}

    await until(told_again)


async def test_with_nobody_on_duty_somebody_is_told_all_the_same(county: County) -> None:
    for who in (LIN, ZHOU):
        await county.on_duty(who, False)
    try:
        token = await county.begin()
        await county.say(token, CHEST)
        assert (await _rounds(county, await county.case(token)))[0] == {county.id_of(LIN)}
    finally:
        for who in (LIN, ZHOU):
            await county.on_duty(who, True)


async def test_a_case_nobody_claimed_in_time_is_told_again_and_shown_as_overdue(county: County) -> None:
    token = await county.begin()
    await county.say(token, BEATEN)
    case = await county.case(token)
    county.clock.move(minutes=16)

    async def again() -> bool:
        return len(await _rounds(county, case)) == 2

    await until(again)
    row = next(r for r in await county.domain.queue.rows("queue", county.id_of(LIN)) if r.id == case.id)
    assert row.overdue and "已超时" in row.due_in


async def test_a_claimed_case_is_not_told_again(county: County) -> None:
    token = await county.begin()
    await county.say(token, BEATEN)
    case = await county.claimed(token, LIN)
    county.clock.move(minutes=16)
    await until(lambda: _all_fired(county, case))
    assert set(await _rounds(county, case)) == {0}
    assert "overdue" not in await county.kinds_of_events(case)


async def _all_fired(county: County, case: Case) -> bool:
    return all(timer.fired_at for timer in await county.rows(Timer, Timer.case_id == case.id))


async def test_a_clock_fires_once_however_many_find_it(county: County) -> None:
    token = await county.begin()
    await county.say(token, BEATEN)
    case = await county.case(token)
    (timer,) = await county.rows(Timer, Timer.case_id == case.id)
    county.clock.move(minutes=16)
    await asyncio.gather(*(county.domain.dispatch.fire(timer.id) for _ in range(5)))
    assert (await county.kinds_of_events(case)).count("overdue") == 1
    assert len(await county.rows(Timer, Timer.case_id == case.id)) == 2
