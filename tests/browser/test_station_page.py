"""The station page before a person: by voice, by typing, by keyboard; large, loud, and empty afterwards."""

import io
import re
import wave
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from visits import StationVisit

from connectors.station import page_phrases
from connectors.trial import Trial

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

Record = Callable[[str], Awaitable[float]]

# How the page tells assistive technology of things that can be operated.
OPERATED = {"button", "link", "textbox", "combobox", "searchbox", "checkbox", "radio", "slider"}


async def test_a_spoken_trouble_is_heard_shown_answered_aloud_and_gets_a_number(
    visit: StationVisit, into_microphone: Record
) -> None:
    await visit.say_aloud(await into_microphone("我想找人帮忙。"))
    await visit.tab.until_text("#heard", "找人")
    await visit.answer("号码")
    assert re.fullmatch(r"\d{4}", await visit.tab.text("#number"))
    assert "青石村" in await visit.tab.text("#number-spoken")
    await visit.heard_answer()
    assert {status for status, _ in visit.speech()} == {200}
    for selector in ("#heard", ".answer:last-child p", "#number", "#number-spoken"):
        assert await visit.size_of(selector) >= 24


async def test_words_recorded_while_the_button_is_held_are_heard_too(
    visit: StationVisit, into_microphone: Record
) -> None:
    await visit.hold_and_say(await into_microphone("我想找人帮忙。"))
    await visit.tab.until_text("#heard", "找人")
    await visit.answer()


async def test_silence_before_the_microphone_is_answered_kindly(
    visit: StationVisit, into_microphone: Record
) -> None:
    await visit.hold_and_say(await into_microphone("。"))
    await visit.answer()
    assert await visit.tab.text("#heard") == ""


async def test_typed_words_are_answered_once_however_often_send_is_pressed(visit: StationVisit) -> None:
    await visit.tab.write("#typed", "找人")
    for _ in range(3):
        await visit.tab.mouse("mousePressed", "#send")
        await visit.tab.mouse("mouseReleased", "#send")
    await visit.answer("号码")
    await visit.state("idle", "speaking")
    sent = [url for url in visit.tab.requests if url.endswith("/station/api/turns")]
    assert len(sent) == 1
    assert await visit.tab.js("document.querySelectorAll('.answer').length") == 1


async def test_the_other_buttons_say_it_again_say_it_slower_and_call_a_person(visit: StationVisit) -> None:
    await visit.type("医保卡丢了怎么办")
    first = await visit.answer()
    await visit.tab.until("window.heardSounds.length > 0")
    played = await visit.tab.js("window.heardSounds.length")
    await visit.tab.click("#again")
    await visit.tab.until(f"window.heardSounds.length > {played}")
    assert await visit.tab.text(".answer:last-child p") == first
    await visit.tab.click("#slower")
    await visit.answer("慢")
    await visit.tab.click("#person")
    await visit.answer("号码")


async def test_letters_grow_to_twice_their_size_and_stay_so(visit: StationVisit) -> None:
    for _ in range(5):
        await visit.tab.click("#larger")
    assert await visit.tab.js("document.querySelector('#larger').disabled")
    await visit.type("医保卡丢了怎么办")
    await visit.answer()
    assert await visit.size_of("#heard") >= 48
    assert await visit.tab.js("document.documentElement.scrollWidth <= innerWidth")


async def test_a_whole_visit_needs_no_more_than_a_keyboard(
    visit: StationVisit, into_microphone: Record
) -> None:
    seconds = await into_microphone("我想找人帮忙。")
    tab = visit.tab
    reached: list[str] = []
    while "talk" not in reached:
        await tab.key("Tab")
        reached.append(str(await tab.js("document.activeElement.id")))
        assert len(reached) < 20, reached
    await tab.key(" ", "down")
    await visit.state("listening")
    await tab.until(f"new Promise((done) => setTimeout(() => done(true), {seconds * 1000}))")
    await tab.key(" ", "up")
    await tab.until_text("#heard", "找人")
    await visit.answer()
    while reached[-1] != "person":
        await tab.key("Tab")
        reached.append(str(await tab.js("document.activeElement.id")))
        assert len(reached) < 40, reached
    await tab.key("Enter")
    await visit.answer("号码")
    while reached[-1] != "typed":
        await tab.key("Tab")
        reached.append(str(await tab.js("document.activeElement.id")))
        assert len(reached) < 60, reached
    await tab.call("Input.insertText", text="谢谢")
    await tab.key("Enter")
    await tab.until_text("#heard", "谢谢")
    await visit.answer()
    assert {"again", "slower", "person"} <= set(reached)


async def test_everything_that_can_be_operated_has_a_name(visit: StationVisit) -> None:
    named = await visit.tab.names()
    operated = [(role, name) for role, name in named if role in OPERATED]
    assert len(operated) >= 9
    assert [role for role, name in operated if not name.strip()] == []
    assert any("按住说话" in name for _, name in operated)


async def test_main_targets_are_large_enough_for_trembling_hands(visit: StationVisit) -> None:
    for width, height in ((1280, 800), (390, 844), (320, 640)):
        await visit.tab.size(width, height)
        small = await visit.tab.js(
            """[...document.querySelectorAll('button, select, input, a[href]')].filter((one) => one.offsetParent)
            .filter((one) => one.offsetWidth < 60 || one.offsetHeight < 60).map((one) => one.id)"""
        )
        assert small == []
        assert await visit.tab.js("document.documentElement.scrollWidth <= innerWidth")


async def test_after_silence_nothing_of_the_visit_is_left(visit: StationVisit) -> None:
    await visit.tab.js(
        "Object.assign(document.body.dataset, {wipeAfter: '3', wipeHeld: '3', wipeWarning: '2'})"
    )
    await visit.type("我是柳树坪的，医保卡丢了怎么办")
    await visit.answer()
    await visit.heard_answer()
    warned = await visit.tab.until_text("#notice", "擦干净")
    assert "碰一下屏幕" in warned
    await visit.tab.until("!document.querySelector('#welcome').hidden")
    everything = str(await visit.tab.js("document.body.textContent"))
    assert "柳树坪" not in everything
    assert await visit.tab.text(".answers") == ""
    assert await visit.tab.js("document.querySelector('#typed').value") == ""
    assert await visit.tab.js("JSON.stringify({...sessionStorage})") == "{}"


async def test_a_touch_puts_the_wiping_off(visit: StationVisit) -> None:
    await visit.tab.js("Object.assign(document.body.dataset, {wipeAfter: '5', wipeWarning: '4'})")
    await visit.type("医保卡丢了怎么办")
    await visit.heard_answer()
    await visit.tab.until_text("#notice", "擦干净")
    await visit.tab.click("#words")
    assert await visit.tab.text("#notice") == ""
    assert await visit.tab.text("#heard") == "医保卡丢了怎么办"


async def test_without_a_microphone_the_page_says_what_to_do_and_typing_goes_on(visit: StationVisit) -> None:
    await visit.tab.js(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError')), true"
    )
    await visit.tab.click("#talk")
    said = await visit.tab.until_text("#notice", "话筒没有打开")
    assert "打字" in said
    await visit.type("医保卡丢了怎么办")
    await visit.answer()


async def test_the_pages_own_sentences_are_served_as_speech(county: Trial) -> None:
    phrases = page_phrases()
    assert {"wipe", "offline", "stuck", "refused", "passed"} <= phrases.keys()
    async with aiohttp.ClientSession(county.base) as http:
        for key in ("offline", "passed"):
            async with http.get(f"/station/speech/page/{key}.wav") as response:
                assert response.status == 200
                assert response.content_type == "audio/wav"
                sound = wave.open(io.BytesIO(await response.read()))
                assert sound.getnframes() / sound.getframerate() > 0.1 * len(phrases[key])
        async with http.get("/station/speech/page/nothing-like-it.wav") as response:
            assert response.status == 404
            assert (await response.json())["error"] == "no_such_reply"


async def test_markup_in_words_is_shown_as_words(visit: StationVisit) -> None:
    words = "<img src=x onerror=alert(1)><b>医保卡</b>丢了怎么办"
    await visit.type(words)
    await visit.answer()
    assert await visit.tab.text("#heard") == words
    assert await visit.tab.js("document.querySelectorAll('.words img, .words b').length") == 0
