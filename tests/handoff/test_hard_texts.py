"""Texts that a keyboard, a recogniser or an attacker may send."""

import pytest
from cast import CHEST, DARK, DARK_WITH_MEANS, LIN, SALT
from county import County, Pages

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_danger_at_the_very_end_of_a_hundred_thousand_characters(county: County) -> None:
    token = await county.begin()
    text = "今天天气好。" * 16_700 + DARK_WITH_MEANS
    assert len(text) > 100_000
    await county.say(token, text)
    case = await county.case(token)
    assert case.risk == "emergency"
    (turn,) = await county.turns(token)
    assert len(turn.text) == 4000
    assert "不想活" in case.why


async def test_a_long_ordinary_text_is_asked_about_in_short(county: County) -> None:
    token = await county.begin()
    await county.say(token, SALT * 10_000)
    assert len(county.rasa.asked[-1]["text"]) == 600


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("买\x00盐\x1b[31m\x7f", "买盐[31m"),
        ("买\ud83d盐\udc00", "买盐"),
        ("谢谢👵🏻❤️", "谢谢👵🏻❤️"),
        ("第一\n第二", "第一\n第二"),
        ("\u202e反着\u200b写", "\u202e反着\u200b写"),
        ("'; DROP TABLE turns; --", "'; DROP TABLE turns; --"),
        ("{number} {0} %s", "{number} {0} %s"),
    ],
)
async def test_words_are_kept_as_far_as_they_can_be_carried(county: County, text: str, kept: str) -> None:
    token = await county.begin()
    outcome = await county.say(token, text)
    assert outcome.heard == kept
    assert (await county.turns(token))[0].text == kept
    assert county.rasa.asked[-1]["text"] == kept


@pytest.mark.parametrize("broken", ["我不\ud800想活了", "我不\x00想活了", "我 不 想 活 了", "我不👵想活了"])
async def test_danger_is_seen_through_signs_and_can_be_shown(county: County, web: Pages, broken: str) -> None:
    token = await county.begin()
    await county.say(token, broken)
    case = await county.case(token)
    assert case.need == "crisis"
    async with web.browser(LIN) as lin:
        assert (await lin.get("/console/queue")).status == 200
        assert (await lin.get(f"/console/cases/{case.id}")).status == 200


@pytest.mark.parametrize("text", [SALT, CHEST, DARK])
async def test_a_message_id_may_be_any_text_of_a_provider(county: County, text: str) -> None:
    token = await county.begin()
    first = await county.say(token, text, message_id="wx:消息/1?'\"" + "9" * 100)
    assert first.reply is not None
