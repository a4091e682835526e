"""A worker's day by plain pages and forms; what a volunteer does not see; what people say stays text."""

import asyncio
import html
import re
from datetime import timedelta

import pytest
from cast import BEATEN, CHEST, DARK, FANG, LIN, SALT, XIUYING, ZHOU
from county import Browser, County, Pages
from strict_double import answer, effect

from handoff.store.tables import Case

pytestmark = pytest.mark.asyncio(loop_scope="session")
STORES = ("sqlite",)

FORMS = {
    "claim": {},
    "acknowledge": {},
    "release": {},
    "reply": {"text": "我在。"},
    "remind": {"text": "明天量血压", "day": "2026-12-01", "time": "10:00"},
    "uncall": {"call": "1"},
    "card": {},
    "cardvoid": {},
    "note": {"text": "记一笔"},
    "person": {"name": XIUYING.name},
    "stage": {"stage": "plan", "reason": "去过了"},
    "risk": {"risk": "routine", "reason": "没事了"},
    "close": {"outcome": "已办好", "reason": "办好了"},
}


async def _case(county: County, text: str) -> Case:
    token = await county.begin()
    county.rasa.script[SALT] = answer("记下了。", effect("open_case", need="goods"))
    await county.say(token, text)
    return await county.case(token)


async def _page(browser: Browser, case: Case) -> str:
    page = await browser.get(f"/console/cases/{case.id}")
    assert page.status == 200
    return page.text


async def test_claim_talk_note_stage_risk_close_by_forms(county: County, web: Pages) -> None:
    token = await county.begin()
    await county.say(token, BEATEN)
    case = await county.case(token)
    async with web.browser(LIN) as lin:
        assert f'action="/console/cases/{case.id}/claim"' in await _page(lin, case)
        page = await lin.act(case.id, "claim")
        assert (page.status, page.url) == (200, f"/console/cases/{case.id}")
        await county.say(token, "他又来了")
        assert "他又来了" in await _page(lin, case)
        assert "您先去邻居家" in (await lin.act(case.id, "reply", text="您先去邻居家。")).text
        assert "邻居姓周" in (await lin.act(case.id, "note", text="邻居姓周")).text
        named = (await lin.act(case.id, "person", name=XIUYING.name)).text
        assert "王**" in named and XIUYING.name not in named
        assert (
            "接案 → 介入：已上门"
            in (await lin.act(case.id, "stage", stage="intervention", reason="已上门")).text
        )
        refused = await lin.act(case.id, "risk", risk="attention", reason="")
        assert refused.status == 409 and "调低风险要写明理由" in refused.text
        assert (
            "紧急 → 关注：谈过了" in (await lin.act(case.id, "risk", risk="attention", reason="谈过了")).text
        )
        closed = (await lin.act(case.id, "close", outcome="已办好", reason="家里谈好")).text
        assert "已办好：家里谈好" in closed
        assert f'data-case="{case.id}"' not in (await lin.get("/console/queue")).text
        assert f'data-case="{case.id}"' in (await lin.get("/console/queue?filter=closed")).text
    assert (await county.case(token)).stage == "closed"


async def test_the_queue_goes_by_risk_then_by_clock(county: County, web: Pages) -> None:
    cases = [await _case(county, text) for text in (SALT, DARK, CHEST, BEATEN, CHEST)]
    async with web.browser(LIN) as lin:
        shown = re.findall(r'data-case="(\d+)"', (await lin.get("/console/queue?fragment=1")).text)
    assert [int(one) for one in shown] == [cases[n].id for n in (2, 4, 1, 3, 0)]


async def test_a_claimed_case_stands_behind_those_that_wait(county: County, web: Pages) -> None:
    first, second = await _case(county, CHEST), await _case(county, CHEST)
    await county.domain.casework.claim(first.id, county.id_of(ZHOU))
    rows = await county.domain.queue.rows("queue", county.id_of(LIN))
    assert [row.id for row in rows] == [second.id, first.id]
    assert [row.id for row in await county.domain.queue.rows("mine", county.id_of(ZHOU))] == [first.id]


async def test_a_new_case_is_told_to_open_consoles_without_words(county: County, web: Pages) -> None:
    async with web.browser(LIN) as lin, web.browser(FANG) as fang:
        async with lin.listen("/console/events") as worker, fang.listen("/console/events") as volunteer:
            case = await _case(county, CHEST)
            for heard in (worker, volunteer):
                name, event = await asyncio.wait_for(heard.get(), 5)
                while event["case"] != case.id:  # of a case before
                    name, event = await asyncio.wait_for(heard.get(), 5)
                assert (name, event["event"], event["new"]) == ("changed", "changed", True)
                assert (event["number"], event["risk"]) == (case.number, "emergency")
                assert "胸口" not in str(event)


async def test_a_volunteer_sees_the_queue_and_not_what_was_said(county: County, web: Pages) -> None:
    case = await _case(county, CHEST)
    async with web.browser(FANG) as fang:
        queue = (await fang.get("/console/queue")).text
        assert case.number in queue
        for hidden in ("胸口疼", "急病", "/claim", "我知道了", f"/console/cases/{case.id}"):
            assert hidden not in queue
        for fragment in ("", "?fragment=conversation", "?fragment=events", "?fragment=head"):
            page = await fang.get(f"/console/cases/{case.id}{fragment}")
            assert page.status == 403 and "胸口" not in page.text and case.number not in page.text


async def test_a_reminder_is_planned_shown_and_taken_back_by_forms(county: County, web: Pages) -> None:
    county.domain.calls.possible = True
    case = await _case(county, CHEST)
    day = (county.clock.now() + timedelta(days=2)).astimezone().strftime("%Y-%m-%d")
    async with web.browser(LIN) as lin:
        await lin.act(case.id, "claim")
        await lin.act(case.id, "person", name=XIUYING.name, phone=XIUYING.phone)
        for wrong in (
            {"day": "", "time": ""},
            {"day": day, "time": "三点"},
            {"day": "2020-01-01", "time": "10:00"},
        ):
            page = await lin.act(case.id, "remind", text="去量血压", **wrong)
            assert page.status == 409 and "不打了" not in page.text
        page = await lin.act(case.id, "remind", text="去量血压", day=day, time="10:00")
        assert page.status == 200 and "10:00 提醒" in page.text and XIUYING.phone not in page.text
        (call,) = re.findall(r'name="call" value="(\d+)"', page.text)
        page = await lin.act(case.id, "uncall", call=call)
        assert "不打了" not in page.text and "取消了一个电话：提醒" in page.text
    county.domain.calls.possible = False


async def test_a_volunteer_can_send_no_form(county: County, web: Pages) -> None:
    case = await _case(county, CHEST)
    async with web.browser(FANG) as fang:
        assert {(await fang.act(case.id, verb, **form)).status for verb, form in FORMS.items()} == {403}
    assert await county.kinds_of_events(case) == ["opened"]


@pytest.mark.parametrize("csrf", [None, "", "forged", "ä"])
async def test_a_missing_or_forged_token_changes_nothing(
    county: County, web: Pages, csrf: str | None
) -> None:
    case = await _case(county, CHEST)
    token = {} if csrf is None else {"csrf": csrf}
    async with web.browser(LIN) as lin:
        for verb, form in FORMS.items():
            assert (await lin.post(f"/console/cases/{case.id}/{verb}", data=form | token)).status == 409
    assert set(await county.kinds_of_events(case)) == {"opened", "read"}


async def test_another_persons_token_is_forged(county: County, web: Pages) -> None:
    case = await _case(county, CHEST)
    async with web.browser(LIN) as lin, web.browser(ZHOU) as zhou:
        csrf = (await zhou.get("/console/queue")).csrf
        assert (await lin.post(f"/console/cases/{case.id}/claim", data={"csrf": csrf})).status == 409
    assert (await county.rows(Case, Case.id == case.id))[0].claimed_by is None


@pytest.mark.parametrize(
    "said",
    ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><b>'{{ 7*7 }}", "</p><h1>x</h1>&amp;"],
)
async def test_what_people_say_stays_text(county: County, web: Pages, said: str) -> None:
    token = await county.begin()
    await county.say(token, f"{BEATEN}{said}")
    case = await county.claimed(token, LIN)
    async with web.browser(LIN) as lin:
        await lin.act(case.id, "note", text=said)
        await lin.act(case.id, "person", name=said)
        page = (await lin.act(case.id, "reply", text=said)).text
        queue = (await lin.get("/console/queue")).text
    escaped = str(html.escape(said)).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    assert page.count(escaped) >= 3
    assert said not in page and said not in queue


@pytest.mark.parametrize(
    ("verb", "form"),
    [
        ("stage", {}),
        ("stage", {"stage": "heaven"}),
        ("risk", {}),
        ("risk", {"risk": "none"}),
        ("reply", {}),
        ("close", {}),
        ("person", {"name": " "}),
    ],
)
async def test_a_form_with_nonsense_is_refused_plainly(
    county: County, web: Pages, verb: str, form: dict[str, str]
) -> None:
    case = await _case(county, BEATEN)
    await county.domain.casework.claim(case.id, county.id_of(LIN))
    async with web.browser(LIN) as lin:
        page = await lin.act(case.id, verb, **form)
    assert page.status == 409 and 'role="alert"' in page.text


@pytest.mark.parametrize("number", ["999999", "0", "9" * 9, "9" * 12, "9" * 30])
async def test_a_case_that_is_not_there(county: County, web: Pages, number: str) -> None:
    async with web.browser(LIN) as lin:
        assert (await lin.get(f"/console/cases/{number}")).status == 404
        assert (await lin.act(int(number), "claim")).status == 404
        assert (await lin.get("/console/cases/x")).status == 404


async def test_an_unknown_act_is_not_found(county: County, web: Pages) -> None:
    case = await _case(county, CHEST)
    async with web.browser(LIN) as lin:
        assert (await lin.act(case.id, "erase")).status == 404


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded; charset=nonsense"]
)
async def test_a_broken_form_is_refused(county: County, web: Pages, kind: str) -> None:
    case = await _case(county, CHEST)
    async with web.browser(LIN) as lin:
        for body in (
            b"\xff\xfe",
            b"--x\r\nContent-Disposition: form-data; name=text\r\n\r\n\xff\xfe\r\n--x--\r\n",
        ):
            url = f"/console/cases/{case.id}/note"
            page = await lin.post(url, data=body, headers={"Content-Type": kind})
            assert 400 <= page.status < 500
    assert "noted" not in await county.kinds_of_events(case)


async def test_an_old_emergency_is_not_lost_behind_many_light_cases(
    county: County, monkeypatch: pytest.MonkeyPatch
) -> None:
    grave = await _case(county, CHEST)
    tokens = [await county.begin() for _ in range(3)]
    for token in tokens:
        county.rasa.script[SALT] = answer(effect("open_case", need="goods"))
        await county.say(token, SALT)
    monkeypatch.setattr("handoff.service.queue.MOST_ROWS", 2)
    rows = await county.domain.queue.rows("queue", county.id_of(LIN))
    assert len(rows) == 2 and rows[0].id == grave.id


async def test_the_alarm_stands_on_every_page_as_it_is_loaded(county: County, web: Pages) -> None:
    """What is drawn in afterwards would move the page under the hand that clicks; and there may be no script."""
    grave, light = await _case(county, CHEST), await _case(county, SALT)
    alarm = f"立即：{grave.number} "
    async with web.browser(LIN) as lin, web.browser(FANG) as fang:
        pages = [
            "/console/queue", "/console/queue?filter=closed", f"/console/cases/{light.id}",
            "/console/questions", "/console/queue?fragment=alarm",
        ]  # fmt: skip
        for page in pages:
            shown = (await lin.get(page)).text
            assert alarm in shown and f"立即：{light.number}" not in shown, page
        assert alarm not in (await fang.get("/console/queue")).text
        await lin.act(grave.id, "acknowledge")
        assert alarm not in (await lin.get("/console/queue")).text
