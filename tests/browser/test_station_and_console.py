"""Villager and worker, each before their own page, through the same service."""

import json
from collections.abc import Awaitable, Callable

import pytest
from chromium import Tab
from visits import Console, Door, StationVisit, accounts

from connectors.trial import Trial

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

Record = Callable[[str], Awaitable[float]]
NewTab = Callable[..., Awaitable[Tab]]


async def ask_for_a_person(visit: StationVisit) -> str:
    """The number of the case."""
    await visit.type("我想找社工帮忙")
    await visit.answer("号码")
    return await visit.tab.text("#number")


async def test_danger_by_voice_rings_in_the_console_and_the_workers_words_are_spoken(
    visit: StationVisit, console: Console, into_microphone: Record
) -> None:
    await visit.hold_and_say(await into_microphone("我胸口疼得厉害，喘不上气来。"))
    await visit.tab.until_text("#heard", "胸口")
    await visit.answer("号码")
    number = await visit.tab.text("#number")
    assert await visit.tab.js("document.querySelector('#call-link').href") == "tel:120"
    assert "120" in await visit.tab.text("#call-link")
    assert await visit.size_of("#call-link") >= 48

    # No reload: the line of events alone brings it.
    await console.tab.until(f"document.querySelector('{console.row(number)}') !== null")
    assert (
        await console.tab.js(f"document.querySelector('{console.row(number)}').dataset.risk") == "emergency"
    )
    await console.tab.until_text("#alarm", number)
    await console.open(number)
    assert "胸口" in await console.tab.text("#conversation")
    await console.claim()
    await visit.tab.until_text("#held", "社工小林")
    await console.tab.until("document.querySelector('#alarm').hidden")

    fetched = len(visit.speech())
    await console.reply("我是小林，救护车已经在路上，您坐着别动。")
    await visit.tab.until_text(".answer.from-worker", "救护车已经在路上")
    await visit.tab.until("document.body.dataset.state === 'speaking'")
    await visit.heard_answer()
    assert len(visit.speech()) > fetched
    await console.tab.until_text("#conversation li:last-child .sent", "已送达")


async def test_who_talks_on_while_a_worker_has_the_conversation_is_told_that_it_arrived(
    visit: StationVisit, console: Console
) -> None:
    number = await ask_for_a_person(visit)
    await console.tab.until(f"document.querySelector('{console.row(number)}') !== null")
    await console.open(number)
    await console.claim()
    await visit.tab.until_text(".answers", "接手")
    await visit.type("就是想问问养老金的事")
    told = await visit.tab.until_text("#held", "已经送到")
    assert "社工小林" in told
    assert await visit.size_of("#held") >= 24
    await console.tab.until_text("#conversation", "就是想问问养老金的事")

    await console.tab.js("document.querySelector('form[action$=release] button').click()")
    await visit.tab.until("document.querySelector('#held').hidden")
    await console.tab.until_text("#events", "交回助手应答")


async def test_a_turn_cut_by_kill_9_goes_through_once_and_the_worker_still_answers(
    door: Door, new_tab: NewTab
) -> None:
    tab = await new_tab()
    await tab.goto(f"{door.base}/station")
    visit = StationVisit(tab)
    await visit.type("医保卡丢了怎么办")
    await visit.answer()

    await door.kill()
    await visit.type("我想找社工帮忙")
    await tab.until_text("#notice", "您的话没有丢")
    await door.one.start()
    await visit.answer("号码")
    assert await tab.text("#notice") == ""
    number = await tab.text("#number")

    console = Console(await new_tab(1440, 900), door.base)
    await console.sign_in("lin", accounts(door.one)["lin"])
    assert await console.tab.js("document.querySelectorAll('.case-row').length") == 1
    await console.open(number)
    said = await console.tab.js(
        "[...document.querySelectorAll('#conversation .turn-text')].filter((one) => one.textContent === '我想找社工帮忙').length"
    )
    assert said == 1
    await console.claim()

    await door.kill()
    await door.one.start()
    await console.tab.until("document.querySelector('#live').dataset.live === 'on'")
    await console.reply("我是小林，我明天上午来看您。")
    await tab.until_text(".answer.from-worker", "我明天上午来看您")
    broken = [trouble for trouble in tab.troubles + console.tab.troubles if "network:" not in trouble]
    assert broken == []


async def test_the_queue_lives_without_a_reload(console: Console, visit: StationVisit) -> None:
    await console.tab.js("window.sameDocument = true")
    number = await ask_for_a_person(visit)
    await console.tab.until(f"document.querySelector('{console.row(number)}') !== null")
    assert await console.tab.js("window.sameDocument") is True
    counted = await console.tab.text("#queue-count")
    assert int(counted) == await console.tab.js("document.querySelectorAll('.case-row').length")


async def test_a_press_is_not_lost_where_the_queue_changes_under_it(
    console: Console, visit: StationVisit, county: Trial, new_tab: NewTab
) -> None:
    number = await ask_for_a_person(visit)
    link = f"{console.row(number)} .case-link"
    await console.tab.until(f"document.querySelector('{link}') !== null")
    counted = await console.tab.text("#queue-count")
    await console.tab.mouse("mousePressed", link)
    tab = await new_tab()
    await tab.goto(f"{county.base}/station")
    await ask_for_a_person(StationVisit(tab))
    await console.tab.until(f"document.querySelector('#queue-count').textContent !== '{counted}'")
    await console.tab.mouse("mouseReleased", link)
    await console.ready("case")


async def test_an_emergency_is_heard_while_something_is_held_down(
    visit: StationVisit, console: Console
) -> None:
    """Drawn it is when the hand lets go, for it moves the page; a hand that never does must not keep it silent."""
    await console.tab.mouse("mousePressed", "h1")
    await visit.type("我胸口疼得厉害，喘不上气")
    await visit.answer("号码")
    number = await visit.tab.text("#number")
    await console.tab.until(f"document.title.includes('{number}')")
    assert number not in await console.tab.text("#alarm")
    await console.tab.mouse("mouseReleased", "h1")
    await console.tab.until_text("#alarm", number)


async def test_the_console_shows_markup_in_a_villagers_words_as_words(
    visit: StationVisit, console: Console
) -> None:
    words = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>我不想活了，想喝农药'
    await visit.type(words)
    await visit.answer("号码")
    number = await visit.tab.text("#number")
    await console.tab.until(f"document.querySelector('{console.row(number)}') !== null")
    await console.open(number)
    await console.tab.until_text("#conversation", words)
    assert await console.tab.js("document.querySelectorAll('#main img, #main script').length") == 0
    assert await console.tab.js("window.broken ?? null") is None


async def test_the_console_needs_no_mouse(visit: StationVisit, console: Console) -> None:
    number = await ask_for_a_person(visit)
    await console.tab.until(f"document.querySelector('{console.row(number)}') !== null")
    wanted = json.dumps(number)
    for _ in range(60):
        await console.tab.key("j")
        if await console.tab.js(f"document.activeElement.textContent.includes({wanted})"):
            break
    await console.tab.key("Enter")
    await console.ready("case")
    await console.tab.key("c")
    await console.tab.until("document.querySelector('#reply') !== null")
    await console.ready("case")
    await console.tab.key("r")
    await console.tab.call("Input.insertText", text="您好，我是小林。")
    await console.tab.key("Enter", modifiers=2)
    await visit.tab.until_text(".answer.from-worker", "我是小林")


async def test_everything_in_a_case_has_a_name(visit: StationVisit, console: Console) -> None:
    number = await ask_for_a_person(visit)
    await console.tab.until(f"document.querySelector('{console.row(number)}') !== null")
    await console.open(number)
    await console.claim()
    await console.tab.js("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    nameless = [
        role
        for role, name in await console.tab.names()
        if role in ("button", "link", "textbox", "combobox") and not name.strip()
    ]
    assert nameless == []


async def test_a_volunteer_sees_that_there_is_work_but_not_what_was_said(
    visit: StationVisit, county: Trial, new_tab: NewTab
) -> None:
    await visit.type("我不想活了，想喝农药")
    await visit.answer("号码")
    number = await visit.tab.text("#number")
    volunteer = Console(await new_tab(1440, 900), county.base)
    await volunteer.sign_in("fang", accounts(county)["fang"])
    await volunteer.tab.until(f"document.querySelector('{volunteer.row(number)}') !== null")
    shown = await volunteer.tab.text("#queue")
    assert number in shown
    assert "农药" not in shown
    assert await volunteer.tab.js("document.querySelectorAll('.case-link').length") == 0
    assert volunteer.tab.troubles == []


async def test_a_wrong_password_is_refused_in_plain_words(county: Trial, new_tab: NewTab) -> None:
    tab = await new_tab()
    await tab.goto(f"{county.base}/console")
    await tab.until("location.pathname === '/console/sign-in'")
    await tab.write("#name", "lin")
    await tab.write("#password", "not-the-password")
    await tab.key("Enter")
    assert await tab.until_text("[role=alert]", "")
    assert await tab.js("location.pathname") == "/console/sign-in"
