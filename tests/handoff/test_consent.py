"""Consent: asked once in plain words, given, refused, taken back; refusing blocks no help, danger to life overrides."""

import pytest
from cast import CHEST, LIN, XIAOMEI, ZHOU
from county import County
from strict_double import answer, effect

from handoff.model.yes_no import yes_or_no
from handoff.service.case_view import CaseView
from handoff.service.consent import _AGREES, _TAKES_BACK

pytestmark = pytest.mark.asyncio(loop_scope="session")
STORES = ("sqlite",)
ASKS = "您愿意吗"


async def _order(county: County, token: str, what: str = "买盐") -> str:
    county.rasa.script[what] = answer("记下了。", effect("open_case", need="goods"))
    outcome = await county.say(token, what)
    assert outcome.reply is not None
    return outcome.reply.text


async def _said(county: County, token: str, text: str, intent: str = "talk_smalltalk") -> str:
    county.rasa.script[text] = answer("我听着。", need="talk", intent=intent)
    outcome = await county.say(token, text)
    assert outcome.reply is not None
    return outcome.reply.text


async def _seen(county: County, token: str, worker: object = LIN) -> CaseView:
    case = await county.case(token)
    return await county.domain.queue.case(case.id, county.id_of(worker))  # type: ignore[arg-type]


async def test_it_is_the_last_thing_asked_when_the_number_is_told(county: County) -> None:
    assert (await _order(county, await county.begin())).endswith(f"{ASKS}？")


async def test_it_is_asked_once(county: County) -> None:
    token = await county.begin()
    await _order(county, token)
    assert ASKS not in await _said(county, token, "还有个事")
    assert ASKS not in await _order(county, token, "买油")


@pytest.mark.parametrize("text", ["愿意", "要得嘛", "可以，给他看", "行", "中", "没事，看嘛"])
async def test_given(county: County, text: str) -> None:
    token = await county.begin()
    await _order(county, token)
    assert "只给社工看" in await _said(county, token, text)
    assert (await county.case(token)).consent == "given"
    assert "consent" in await county.kinds_of_events(await county.case(token))


@pytest.mark.parametrize("text", ["不愿意", "莫给别个看", "不要", "我不同意", "不行"])
async def test_refused_still_gets_help(county: County, text: str) -> None:
    token = await county.begin()
    await _order(county, token)
    assert "照样给您办" in await _said(county, token, text)
    case = await county.case(token)
    assert (case.consent, case.stage) == ("refused", "intake")


async def test_the_words_of_one_who_refused_show_only_to_who_takes_the_case(county: County) -> None:
    token = await county.begin()
    await _order(county, token, "买盐，家里紧得很")
    await _said(county, token, "不愿意", "talk_deny")
    for worker in (LIN, ZHOU):
        view = await _seen(county, token, worker)
        assert view.kept_close and view.lines == []
        assert "紧得很" not in repr(view)
    await county.claimed(token, LIN)
    assert "紧得很" in repr(await _seen(county, token, LIN))
    assert "紧得很" not in repr(await _seen(county, token, ZHOU))


async def test_taken_back_days_later_and_given_again(county: County) -> None:
    token = await county.begin()
    await _order(county, token)
    await _said(county, token, "愿意")
    assert "听您的" in await _said(county, token, "我反悔了，不同意了")
    assert (await county.case(token)).consent == "refused"
    await _said(county, token, "我又同意了")
    assert (await county.case(token)).consent == "given"


async def test_what_is_opened_afterwards_goes_by_it(county: County) -> None:
    token = await county.begin()
    await _order(county, token)
    await _said(county, token, "不愿意", "talk_deny")
    county.rasa.script["屋漏"] = answer("记下了。", effect("open_case", need="home"))
    await county.say(token, "屋漏")
    assert [case.consent for case in await county.cases(token)] == ["refused", "refused"]


async def test_a_yes_counts_only_right_after_the_question_but_it_may_be_heard_again(county: County) -> None:
    token = await county.begin()
    await _order(county, token)
    county.rasa.script["再说一遍"] = answer(effect("repeat"), need="talk", intent="talk_repeat")
    again = await county.say(token, "再说一遍")
    assert again.reply is not None and ASKS in again.reply.text
    await _said(county, token, "愿意")
    assert (await county.case(token)).consent == "given"
    other = await county.begin()
    await _order(county, other)
    await _said(county, other, "天气好")
    await _said(county, other, "好", "talk_affirm")
    assert (await county.case(other)).consent == "not_asked"


async def test_danger_to_life_is_not_asked_about_and_overrides_a_refusal(county: County) -> None:
    token = await county.begin()
    first = await county.say(token, CHEST)
    assert first.reply is not None and ASKS not in first.reply.text
    assert (await county.case(token)).consent == "overridden"
    other = await county.begin()
    await _order(county, other)
    await _said(county, other, "不愿意", "talk_deny")
    await county.say(other, CHEST)
    goods, danger = await county.cases(other)
    assert (goods.consent, danger.consent) == ("refused", "overridden")
    view = await county.domain.queue.case(danger.id, county.id_of(LIN))
    assert not view.kept_close and view.lines


async def test_who_operates_for_another_is_asked_about_that_one(county: County) -> None:
    assert "他本人愿意吗" in await _order(county, await county.begin(XIAOMEI))


async def test_other_matters_are_not_taken_for_consent() -> None:
    for text in ("我要买不锈钢的锅", "好像不大行", "没钱买药", "不晓得咋个办", "看医生要带啥子"):
        assert yes_or_no(text) is None
        assert not _TAKES_BACK.search(text) and not _AGREES.search(text)


async def test_what_is_told_beside_it_is_answered_too(county: County) -> None:
    token = await county.begin()
    text = "莫跟娃儿说，我想买床厚点的棉被"
    county.rasa.script[text] = answer("棉被记下了。", effect("open_case", need="goods"))
    outcome = await county.say(token, text)
    assert outcome.reply is not None
    assert "听您的" in outcome.reply.text and "棉被记下了" in outcome.reply.text
    assert (await county.case(token)).consent == "refused"
