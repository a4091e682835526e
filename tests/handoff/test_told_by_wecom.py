"""Workers are told in WeCom by risk, in turn and at fitting hours; a tap stops the clock; the console shows who was told how."""

import json
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from cast import BEATEN, CHEST, LIN, SALT, VILLAGE, ZHOU, Account
from county import County, Pages, pages, settings_for, until
from county import county as county_on
from far_wecom import SETTINGS, FarWecom, far_wecom
from sqlalchemy import update
from strict_double import answer, effect

from connectors.wechat.wecom import notice_of
from connectors.wechat.wecom_account import WecomAccount
from handoff.model.clock import Clock
from handoff.service.dispatch import Dispatch
from handoff.service.seen import Seen
from handoff.store.database import Store
from handoff.store.tables import Case, Conversation, Notice, Timer

pytestmark = pytest.mark.asyncio(loop_scope="session")
FILE = {"scope": "module", "loop_scope": "session"}
WECOM = {LIN: "LinXiao", ZHOU: "zhou.de"}
SAD = "我一个人在家心里难过"
"""Attention."""


@pytest_asyncio.fixture(**FILE)
async def shared_far() -> AsyncIterator[FarWecom]:
    async with far_wecom("linxiao", "zhou.de") as one:
        yield one


@pytest_asyncio.fixture(**FILE)
async def shared_county(
    shared_far: FarWecom, store_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[County]:
    """The county of this file, connected to WeCom as the service is."""
    settings = settings_for(
        tmp_path_factory.mktemp("county"), store_url, **SETTINGS, wecom_api=shared_far.url
    )
    accounts: list[WecomAccount] = []

    async def connect(store: Store, dispatch: Dispatch, clock: Clock) -> None:
        accounts.append(WecomAccount(settings, store, dispatch, clock))

    async with county_on(settings, connect) as here:
        yield here
    await accounts[0].close()


@pytest_asyncio.fixture(loop_scope="session")
async def far(shared_far: FarWecom, county: County) -> AsyncIterator[FarWecom]:
    """The far end as it should be, at noon, with Lin on duty and Zhou off."""
    shared_far.reset()
    county.at_hour(12)
    for account, name in WECOM.items():
        await county.domain.workers.set_wecom(account.name, name)
    await county.on_duty(LIN, True)
    await county.on_duty(ZHOU, False)
    yield shared_far


async def _case(county: County, words: str) -> Case:
    """A case that can wait is what Rasa makes of the words; danger is found by the screen."""
    county.rasa.script[SALT] = answer("记下了。", effect("open_case", need="goods"))
    county.rasa.script[SAD] = answer("我听着。", effect("open_case", need="emotion"), need="emotion")
    token = await county.begin()
    await county.say(token, words)
    return await county.case(token)


def _got(far: FarWecom, account: Account, case: Case) -> list[str]:
    """The titles of what a worker has got of a case."""
    cards = [one["template_card"] for one in far.to(WECOM[account])]
    return [one["main_title"]["title"] for one in cards if case.number in one["main_title"]["desc"]]


def _told(far: FarWecom, account: Account, case: Case, times: int = 1) -> Callable[[], bool]:
    return lambda: len(_got(far, account, case)) >= times


async def _tap(county: County, far: FarWecom, account: Account) -> str:
    """The worker taps the newest card on their telephone."""
    task = far.to(WECOM[account])[-1]["template_card"]["task_id"]
    notice = notice_of(task)
    assert notice is not None
    return await Seen(county.domain.store, county.domain.casework).by_wecom(notice, WECOM[account])


async def _pending(county: County, case: Case) -> list[Timer]:
    return await county.rows(Timer, Timer.case_id == case.id, Timer.fired_at.is_(None))


# -- whom, and when nobody looks --------------------------------------------------------------------------


async def test_an_emergency_goes_to_who_is_on_duty_then_to_the_next_after_two_minutes(
    county: County, far: FarWecom
) -> None:
    case = await _case(county, CHEST)
    await until(_told(far, LIN, case))
    county.clock.move(seconds=110)
    await county.domain.dispatch.sweep()
    assert _got(far, ZHOU, case) == []
    county.clock.move(seconds=11)
    await until(_told(far, ZHOU, case))
    await until(_told(far, LIN, case, 2))
    assert set(_got(far, ZHOU, case)) == {f"立即 · {VILLAGE}"}


async def test_a_tap_stops_the_clock(county: County, far: FarWecom) -> None:
    case = await _case(county, CHEST)
    await until(_told(far, LIN, case))
    assert await _tap(county, far, LIN) == "seen"
    county.clock.move(minutes=3)

    async def clock_has_run_out() -> bool:
        return [timer.kind for timer in await _pending(county, case)] == ["due"]

    await until(clock_has_run_out)
    assert _got(far, ZHOU, case) == [] and len(_got(far, LIN, case)) == 1
    assert "overdue" not in await county.kinds_of_events(case)


async def test_who_is_next_may_have_no_account_in_wecom(county: County, far: FarWecom) -> None:
    await county.domain.workers.set_wecom(ZHOU.name, None)
    case = await _case(county, CHEST)
    await until(_told(far, LIN, case))
    county.clock.move(seconds=121)

    async def next_one() -> list[Notice]:
        return [one for one in await county.notices(case) if one.worker_id == county.id_of(ZHOU)]

    (notice, *_) = await until(next_one)
    assert notice.way == "console"
    await until(_told(far, LIN, case, 2))


async def test_a_rise_of_risk_is_told_anew_in_the_words_of_the_new_risk(
    county: County, far: FarWecom
) -> None:
    token = await county.begin()
    await county.say(token, "我头有点晕，胸口闷")
    (case, *_) = await county.cases(token)
    await until(_told(far, LIN, case))
    await _tap(county, far, LIN)
    county.clock.move(seconds=1)
    await county.say(token, CHEST)
    await until(_told(far, LIN, case, 2))
    assert [one.split(" · ")[0] for one in _got(far, LIN, case)] == ["紧急", "立即"]
    county.clock.move(seconds=121)
    await until(_told(far, ZHOU, case))


# -- quiet hours ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "risk"), [(CHEST, "立即"), (BEATEN, "紧急")])
async def test_danger_never_waits(county: County, far: FarWecom, words: str, risk: str) -> None:
    county.at_hour(2)
    case = await _case(county, words)
    await until(_told(far, LIN, case))
    assert _got(far, LIN, case) == [f"{risk} · {VILLAGE}"]


@pytest.mark.parametrize(("words", "risk"), [(SAD, "关注"), (SALT, "一般")])
async def test_what_can_wait_is_told_in_the_day_at_once(
    county: County, far: FarWecom, words: str, risk: str
) -> None:
    case = await _case(county, words)
    await until(_told(far, LIN, case))
    assert _got(far, LIN, case) == [f"{risk} · {VILLAGE}"]


@pytest.mark.parametrize("words", [SAD, SALT])
async def test_what_can_wait_waits_at_night_until_the_morning(
    county: County, far: FarWecom, words: str
) -> None:
    county.at_hour(0)
    case = await _case(county, words)
    morning = county.settings.quiet_to

    async def waits() -> bool:
        tell = [one for one in await _pending(county, case) if one.kind == "tell"]
        return [one.due_at.astimezone().time() for one in tell] == [morning]

    await until(waits)
    county.clock.move(hours=7)
    await county.domain.dispatch.sweep()
    assert _got(far, LIN, case) == [] and await county.notices(case) == []
    county.clock.move(minutes=35)
    await until(_told(far, LIN, case))
    assert len(await county.rows(Notice, Notice.case_id == case.id, Notice.attempt == 1)) == 1


async def test_a_clock_that_runs_out_at_night_rings_once_in_the_morning(
    county: County, far: FarWecom
) -> None:
    """Eight hours after three in the afternoon is the middle of the night."""
    county.at_hour(15)
    case = await _case(county, SAD)
    await until(_told(far, LIN, case))
    county.clock.move(hours=9)

    async def waits() -> bool:
        return [one.due_at.astimezone().hour for one in await _pending(county, case)] == [7]

    await until(waits)
    assert len(_got(far, LIN, case)) == 1 and "overdue" not in await county.kinds_of_events(case)
    county.clock.move(hours=8)
    await until(_told(far, LIN, case, 2))
    assert "overdue" in await county.kinds_of_events(case)


async def test_two_clocks_of_a_night_ring_once(county: County, far: FarWecom) -> None:
    """Opened in the quiet, and overdue before it ends."""
    county.at_hour(22)
    case = await _case(county, SAD)

    async def first_waits() -> bool:
        return any(
            one.kind == "tell" and one.due_at > county.clock.now() for one in await _pending(county, case)
        )

    await until(first_waits)
    county.clock.move(hours=8, minutes=30)

    async def one_waits() -> bool:
        return [one.kind for one in await _pending(county, case)] == ["due"]

    await until(one_waits)
    county.clock.move(hours=2)
    await until(_told(far, LIN, case))
    (notice,) = await county.notices(case)
    assert (notice.round, notice.way) == (0, "wecom")


async def test_what_becomes_danger_at_night_waits_no_longer(county: County, far: FarWecom) -> None:
    county.at_hour(23)
    case = await _case(county, SAD)
    (talk,) = await county.rows(Conversation, Conversation.id == case.conversation_id)
    await county.say(talk.token, CHEST)
    graver = next(one for one in await county.cases(talk.token) if one.risk == "emergency")
    await until(_told(far, LIN, graver))


# -- on record --------------------------------------------------------------------------------------------


async def _attempts(county: County, case: Case) -> list[tuple[int, str, str, str | None]]:
    return [(one.attempt, one.way, one.state, one.code) for one in await county.notices(case)]


async def _page(here: Pages, case: Case) -> str:
    async with here.browser(LIN) as lin:
        return " ".join((await lin.get(f"/console/cases/{case.id}")).text.split())


async def test_each_attempt_is_on_record_and_the_worker_sees_which_way(county: County, far: FarWecom) -> None:
    far.answers.extend([45009, -1])
    case = await _case(county, BEATEN)
    await until(_told(far, LIN, case))

    async def on_record() -> bool:
        return await _attempts(county, case) == [
            (1, "wecom", "retried", "too_many"),
            (2, "wecom", "retried", "busy"),
            (3, "wecom", "delivered", None),
        ]

    await until(on_record)
    async with pages(county) as web:
        shown = await _page(web, case)
    assert "<b>社工小林</b> 企业微信 " in shown and "送到</li>" in shown


async def test_who_can_not_be_told_is_shown_with_the_reason_and_not_tried_again(
    county: County, far: FarWecom
) -> None:
    await county.domain.workers.set_wecom(LIN.name, "nobody")
    case = await _case(county, BEATEN)

    async def failed() -> bool:
        return await _attempts(county, case) == [(1, "wecom", "failed", "no_such_user")]

    await until(failed)
    async with pages(county) as web:
        shown = await _page(web, case)
    assert "<b>社工小林</b> 企业微信 没送到：企业微信里没有这个账号" in shown


async def test_an_open_console_is_told_to_be_the_way_only_where_wecom_was_none(
    county: County, far: FarWecom
) -> None:
    with county.domain.hub.listen(f"worker:{county.id_of(LIN)}"):
        good = await _case(county, BEATEN)
        await until(_told(far, LIN, good))
        far.answers.append(60020)
        bad = await _case(county, BEATEN)

        async def by_console() -> bool:
            return await _attempts(county, bad) == [(1, "console", "delivered", None)]

        await until(by_console)

        async def by_wecom() -> bool:
            return await _attempts(county, good) == [(1, "wecom", "delivered", None)]

        await until(by_wecom)


async def test_an_open_console_where_nobody_sits_does_not_end_the_calls(
    county: County, far: FarWecom
) -> None:
    far.answers.append(-1)
    with county.domain.hub.listen(f"worker:{county.id_of(LIN)}"):
        case = await _case(county, CHEST)
        await until(_told(far, LIN, case))


async def test_how_workers_were_told_is_shown_even_where_the_words_are_kept_close(
    county: County, far: FarWecom
) -> None:
    token = await county.begin()
    await county.say(token, BEATEN)
    case = await county.case(token)
    await until(_told(far, LIN, case))
    async with county.domain.store.write() as session:
        await session.execute(update(Case).where(Case.id == case.id).values(consent="refused"))
    async with pages(county) as web:
        shown = await _page(web, case)
    assert "告诉了谁" in shown and BEATEN not in shown


async def test_no_message_of_all_these_holds_what_was_said(county: County, far: FarWecom) -> None:
    cases = [await _case(county, words) for words in (CHEST, BEATEN, SAD, SALT)]
    for case in cases:
        await until(_told(far, LIN, case))
    out = json.dumps(far.sent, ensure_ascii=False)
    for case, words in zip(cases, (CHEST, BEATEN, SAD, SALT), strict=True):
        assert case.number in out and words not in out
        assert not any(why in out for why in case.why)
