"""Whatever the dialogue engine does wrong, the person is told so and a human takes over."""

import asyncio
from typing import Any

import pytest
from cast import LIN, SALT
from county import County
from strict_double import answer, effect

pytestmark = pytest.mark.asyncio(loop_scope="session")
STORES = ("sqlite",)

DOWN = "我这会儿脑子转不动"


async def _handed_over(county: County, token: str) -> None:
    (turn,) = await county.turns(token)
    assert (turn.state, turn.need) == ("answered", "unclear")
    case = await county.case(token)
    assert (case.need, case.risk) == ("unclear", "attention")
    (reply,) = [one for one in await county.replies(token) if one.turn_id == turn.id]
    assert reply.text.startswith(DOWN)
    assert reply.text.count(case.number) == 2


@pytest.mark.parametrize(
    "does",
    [
        "hang",
        "crash",
        500,
        404,
        b"",
        b"not json",
        b"[]",
        b"null",
        b'"\xff"',
        b"{}",
        b'{"messages": [], "need": "goods", "intent": "goods", "confidence": 1, "state": null}',
        b'{"messages": [{"text": ""}], "need": "goods", "intent": "goods", "confidence": 1, "state": null}',
        b'{"messages": "hello", "need": "goods", "intent": "goods", "confidence": 1, "state": null}',
        b'{"messages": [{"text": "x"}], "need": "never", "intent": "goods", "confidence": 1, "state": null}',
        b'{"messages": [{"text": "x"}], "need": "goods", "intent": "goods", "confidence": "a", "state": null}',
        b'{"messages": [{"text": "x"}], "need": "goods", "intent": "g", "confidence": 1, "state": [1]}',
        b'{"messages": [{"effect": "go"}], "need": "goods", "intent": "g", "confidence": 1, "state": null}',
        b'{"messages": [{"text": "x"}], "need": "goods", "intent": "g", "confidence": 1'
        + b"0" * 400
        + b', "state": null}',
        b"[" * 100_000,
    ],
    ids=lambda does: str(does)[:40],
)
async def test_no_usable_answer_is_handed_over(county: County, does: Any) -> None:
    token = await county.begin()
    county.rasa.otherwise = does
    await county.say(token, SALT)
    await _handed_over(county, token)


async def test_rasa_that_is_not_ready_is_handed_over(county: County) -> None:
    county.client.url = ""
    token = await county.begin()
    await county.say(token, SALT)
    await _handed_over(county, token)


async def test_rasa_whose_port_is_shut_is_handed_over(county: County) -> None:
    county.client.url = "http://127.0.0.1:9"
    token = await county.begin()
    await county.say(token, SALT)
    await _handed_over(county, token)


@pytest.mark.parametrize(
    "message",
    [
        effect("fly"),
        effect("open_case"),
        effect("open_case", need="nonsense"),
        effect("open_case", need="goods", slots=["salt"]),
        effect("open_case", need=["goods"]),
        effect("pace", change="backwards"),
    ],
    ids=str,
)
async def test_an_effect_that_cannot_be_carried_out_is_no_answer(county: County, message: Any) -> None:
    token = await county.begin()
    county.rasa.otherwise = answer("好了，办好了。", message)
    await county.say(token, SALT)
    await _handed_over(county, token)


async def test_a_second_failure_adds_to_the_same_case(county: County) -> None:
    token = await county.begin()
    county.rasa.otherwise = 500
    await county.say(token, SALT)
    outcome = await county.say(token, SALT)
    case = await county.case(token)
    assert outcome.reply is not None and case.number in outcome.reply.text
    assert await county.kinds_of_events(case) == ["opened", "asked_for_human"]


async def test_the_state_before_a_failure_is_kept(county: County) -> None:
    token = await county.begin()
    county.rasa.script["一"] = answer("好。", state={"form": "goods"})
    county.rasa.script["二"] = 500
    await county.say(token, "一")
    await county.say(token, "二")
    assert (await county.talk(token)).dialogue == {"form": "goods"}


@pytest.mark.parametrize("silence", ["", "   ", "\x00\x07", "\ud800"])
async def test_silence_is_asked_about_once_and_then_handed_over(county: County, silence: str) -> None:
    token = await county.begin()
    first = await county.say(token, silence)
    assert first.reply is not None and "没听到声音" in first.reply.text
    assert await county.cases(token) == []
    second = await county.say(token, silence)
    case = await county.case(token)
    assert case.risk == "attention"
    assert second.reply is not None and case.number in second.reply.text
    assert county.rasa.asked == []


async def test_words_in_between_begin_the_count_of_silences_anew(county: County) -> None:
    token = await county.begin()
    for text in ("", SALT, ""):
        await county.say(token, text)
    assert await county.cases(token) == []


async def test_many_failures_at_once_leave_no_turn_unanswered(county: County) -> None:
    token = await county.begin()
    county.rasa.otherwise = "crash"
    await asyncio.gather(*(county.say(token, f"第{n}件") for n in range(8)))
    assert {turn.state for turn in await county.turns(token)} == {"answered"}
    assert len(await county.cases(token)) == 1


async def test_a_worker_can_answer_what_was_handed_over(county: County) -> None:
    token = await county.begin()
    county.rasa.otherwise = 500
    await county.say(token, SALT)
    case = await county.claimed(token, LIN)
    await county.domain.casework.reply(case.id, county.id_of(LIN), "盐我明天带来。")
    assert (await county.replies(token))[-1].text == "盐我明天带来。"
