"""What workers do with cases: exactly one claims, only the claimer acts, the person hears of it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from cast import BEATEN, CHEST, DARK, FANG, HU, LIN, SALT, ZHOU, Account
from county import County
from strict_double import answer, effect

from handoff.model.errors import HandoffError
from handoff.model.words import Risk, Stage
from handoff.service.casework import Casework
from handoff.store.database import Store
from handoff.store.tables import Case, Task

pytestmark = pytest.mark.asyncio(loop_scope="session")

Act = Callable[[Casework, int, int], Awaitable[object]]

CLAIMERS_ONLY: dict[str, Act] = {
    "reply": lambda work, case, worker: work.reply(case, worker, "我在。"),
    "stage": lambda work, case, worker: work.set_stage(case, worker, Stage.PLAN),
    "risk": lambda work, case, worker: work.set_risk(case, worker, Risk.EMERGENCY, "更急了"),
    "close": lambda work, case, worker: work.close(case, worker, Stage.CLOSED, "办好了"),
    "refer": lambda work, case, worker: work.set_stage(case, worker, Stage.REFERRED, "转民政"),
    "release": lambda work, case, worker: work.release(case, worker),
}
EVERY: dict[str, Act] = CLAIMERS_ONLY | {
    "claim": lambda work, case, worker: work.claim(case, worker),
    "acknowledge": lambda work, case, worker: work.acknowledge(case, worker),
    "note": lambda work, case, worker: work.note(case, worker, "记一笔"),
}


async def _beaten(county: County) -> tuple[str, Case]:
    token = await county.begin()
    await county.say(token, BEATEN)
    return token, await county.case(token)


async def _refused(doing: Awaitable[object]) -> str:
    with pytest.raises(HandoffError) as refused:
        await doing
    return refused.value.code


async def test_of_twenty_who_claim_at_once_one_wins(county: County) -> None:
    token, case = await _beaten(county)
    stores = [Store(county.settings.store_url) for _ in range(2)]
    works = [
        Casework(store, county.domain.phrases, county.domain.dispatch, county.domain.calls, county.clock)
        for store in stores
    ]
    try:
        outcomes = await asyncio.gather(
            *(works[n % 2].claim(case.id, county.id_of((LIN, ZHOU)[n // 2 % 2])) for n in range(20)),
            return_exceptions=True,
        )
    finally:
        for store in stores:
            await store.close()
    assert outcomes.count(None) == 1
    assert {one.code for one in outcomes if isinstance(one, HandoffError)} == {"already_claimed"}
    assert (await county.kinds_of_events(case)).count("claimed") == 1
    assert len([reply for reply in await county.replies(token) if "接手了" in reply.text]) == 1


async def test_claiming_stops_the_alarm_holds_the_talk_and_tells_the_person(county: County) -> None:
    token, case = await _beaten(county)
    await county.domain.casework.claim(case.id, county.id_of(LIN))
    case = await county.case(token)
    assert (case.claimed_by, case.acknowledged_at) == (county.id_of(LIN), case.claimed_at)
    assert (await county.talk(token)).held_by == county.id_of(LIN)
    told = (await county.replies(token))[-1]
    assert LIN.display_name in told.text and told.worker_id is None


async def _codes(county: County, acts: dict[str, Act], case_id: int, who: Account) -> set[str]:
    return {await _refused(act(county.domain.casework, case_id, county.id_of(who))) for act in acts.values()}


async def test_nobody_acts_on_a_case_before_claiming_it(county: County) -> None:
    _, case = await _beaten(county)
    assert await _codes(county, CLAIMERS_ONLY, case.id, LIN) == {"not_yours"}
    assert await county.kinds_of_events(case) == ["opened"]


async def test_nobody_acts_on_another_workers_case(county: County) -> None:
    token, case = await _beaten(county)
    await county.claimed(token, LIN)
    assert await _codes(county, CLAIMERS_ONLY, case.id, ZHOU) == {"not_yours"}
    assert await county.kinds_of_events(case) == ["opened", "claimed"]


@pytest.mark.parametrize("who", [HU, FANG], ids=lambda who: who.role + "-" + who.name)
async def test_a_disabled_worker_and_a_volunteer_may_do_nothing(county: County, who: Account) -> None:
    _, case = await _beaten(county)
    assert await _codes(county, EVERY, case.id, who) == {"not_allowed"}
    assert await county.kinds_of_events(case) == ["opened"]


async def test_a_case_that_is_not_there_is_told_so(county: County) -> None:
    assert await _codes(county, EVERY, 999_999, LIN) == {"no_such_case"}


async def test_an_ended_case_stays_ended(county: County) -> None:
    token, case = await _beaten(county)
    await county.claimed(token, LIN)
    await county.domain.casework.close(case.id, county.id_of(LIN), Stage.CLOSED, "办好了")
    assert await _codes(county, CLAIMERS_ONLY, case.id, LIN) == {"ended"}
    assert await _refused(county.domain.casework.claim(case.id, county.id_of(ZHOU))) == "already_claimed"


async def test_lowering_needs_a_reason_raising_does_not(county: County) -> None:
    token, case = await _beaten(county)
    await county.claimed(token, LIN)
    work, me = county.domain.casework, county.id_of(LIN)
    for reason in ("", "  "):
        assert await _refused(work.set_risk(case.id, me, Risk.ROUTINE, reason)) == "empty"
    assert (await county.case(token)).risk == "urgent"
    await work.set_risk(case.id, me, Risk.EMERGENCY, "")
    await work.set_risk(case.id, me, Risk.ATTENTION, "到了现场，没有伤")
    last = (await county.events(case))[-1]
    assert (last.kind, last.worker_id) == ("risk_set", me)
    assert last.content == {"from": "emergency", "to": "attention", "reason": "到了现场，没有伤"}
    assert (await county.talk(token)).risk == "attention"


async def test_lowering_one_case_leaves_the_risk_of_a_graver_one(county: County) -> None:
    token, case = await _beaten(county)
    await county.say(token, CHEST)
    await county.domain.casework.claim(case.id, county.id_of(LIN))
    await county.domain.casework.set_risk(case.id, county.id_of(LIN), Risk.ROUTINE, "问清楚了")
    assert (await county.talk(token)).risk == "emergency"


async def test_the_person_hears_of_claim_stage_and_end(county: County) -> None:
    token, case = await _beaten(county)
    await county.claimed(token, LIN)
    work, me = county.domain.casework, county.id_of(LIN)
    await work.set_stage(case.id, me, Stage.INTERVENTION)
    await work.close(case.id, me, Stage.CLOSED, "家里谈好了", "已办好")
    told = [reply.text for reply in (await county.replies(token))[-3:]]
    assert LIN.display_name in told[0]
    assert case.number in told[1] and "正在办着" in told[1]
    assert case.number in told[2] and "办完了" in told[2]
    assert (await county.events(case))[-1].content["reason"] == "已办好：家里谈好了"
    assert not any("家里谈好了" in text for text in told)


async def test_ending_needs_a_result(county: County) -> None:
    token, case = await _beaten(county)
    await county.claimed(token, LIN)
    assert (
        await _refused(county.domain.casework.close(case.id, county.id_of(LIN), Stage.CLOSED, " ")) == "empty"
    )
    assert (await county.case(token)).stage == "intake"


async def test_a_workers_words_reach_the_same_conversation_and_keep_the_promise(county: County) -> None:
    token, case = await _beaten(county)
    await county.claimed(token, LIN)
    reply_id = await county.domain.casework.reply(case.id, county.id_of(LIN), "  您现在在哪儿？ ")
    said = await county.domain.talks.reply_of(token, reply_id)
    assert (said.text, said.author, said.held_by) == ("您现在在哪儿？", "worker", LIN.display_name)
    (task,) = await county.rows(Task, Task.case_id == case.id)
    assert task.done_at is not None
    assert "您现在在哪儿" not in str([event.content for event in await county.events(case)])


@pytest.mark.parametrize("nothing", ["", " \n "])
async def test_empty_words_are_not_sent(county: County, nothing: str) -> None:
    token, case = await _beaten(county)
    await county.claimed(token, LIN)
    assert await _refused(county.domain.casework.reply(case.id, county.id_of(LIN), nothing)) == "empty"
    assert await _refused(county.domain.casework.note(case.id, county.id_of(LIN), nothing)) == "empty"


async def test_any_worker_may_leave_a_note_which_the_person_never_sees(county: County) -> None:
    token, case = await _beaten(county)
    await county.claimed(token, LIN)
    before = len(await county.replies(token))
    await county.domain.casework.note(case.id, county.id_of(ZHOU), "上月也来过")
    assert (await county.events(case))[-1].content == {"text": "上月也来过"}
    assert len(await county.replies(token)) == before


async def test_claims_and_danger_at_the_same_moment_do_not_stop_each_other(county: County) -> None:
    for _ in range(2):
        token, case = await _beaten(county)
        await asyncio.gather(
            county.domain.casework.claim(case.id, county.id_of(LIN)),
            *(county.say(token, text) for text in (CHEST, DARK, BEATEN, SALT)),
        )
        assert {one.need for one in await county.cases(token)} == {"abuse", "emergency", "crisis"}
        assert (await county.talk(token)).risk == "emergency"


async def test_a_quiet_case_can_be_claimed_too(county: County) -> None:
    token = await county.begin()
    county.rasa.script[SALT] = answer(effect("open_case", need="goods"))
    await county.say(token, SALT)
    case = await county.claimed(token, ZHOU)
    assert (await county.kinds_of_events(case))[-1] == "claimed"
